//! What hooks are told of the certificate of a signed push.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use packhouse_object::{LooseError, LooseStore, ObjectKind};
use packhouse_wire::PushCertificate;

use super::nonce::{Nonce, NonceCheck};
pub(super) use super::verify::Signatures;

/// Stores the certificate as a blob and has its signature and nonce checked. Returns the variables.
pub(super) fn variables(
    certificate: &PushCertificate,
    objects: &Path,
    signatures: &Signatures,
    nonce: Option<&Nonce>,
) -> Result<Vec<(String, OsString)>, LooseError> {
    let id = LooseStore::open(objects).write(ObjectKind::Blob, certificate.text())?;
    let signed = signatures.verify(certificate);
    let NonceCheck {
        nonce,
        status,
        slop,
    } = Nonce::check(nonce, certificate.headers("nonce").next());
    let mut variables: Vec<(String, OsString)> = vec![
        ("GIT_PUSH_CERT".to_owned(), id.to_string().into()),
        (
            "GIT_PUSH_CERT_SIGNER".to_owned(),
            OsString::from_vec(signed.signer),
        ),
        (
            "GIT_PUSH_CERT_KEY".to_owned(),
            OsString::from_vec(signed.key),
        ),
        (
            "GIT_PUSH_CERT_STATUS".to_owned(),
            signed.result.to_string().into(),
        ),
    ];
    if let Some(nonce) = nonce {
        variables.push(("GIT_PUSH_CERT_NONCE".to_owned(), nonce.into()));
        variables.push(("GIT_PUSH_CERT_NONCE_STATUS".to_owned(), status.into()));
        if let Some(slop) = slop {
            let slop = slop.to_string().into();
            variables.push(("GIT_PUSH_CERT_NONCE_SLOP".to_owned(), slop));
        }
    }
    Ok(variables)
}
