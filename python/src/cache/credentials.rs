//! Credentials that a Python function knows.

use packhouse_client::{Credential, CredentialSource};
use pyo3::prelude::*;

/// A function of a URL that returns a user and a password, or None.
pub(super) struct Asked(pub(super) Py<PyAny>);

impl CredentialSource for Asked {
    fn find(&self, url: &str, _user: Option<&str>) -> Option<Credential> {
        Python::attach(|py| {
            let found = self.0.call1(py, (url,));
            match found.and_then(|found| found.extract::<Option<(String, String)>>(py)) {
                Ok(found) => found.map(|(user, password)| Credential::basic(user, password)),
                Err(error) => {
                    error.write_unraisable(py, Some(self.0.bind(py)));
                    None
                }
            }
        })
    }
}
