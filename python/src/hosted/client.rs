//! The client: options, and calls about the whole organisation.

use std::time::Duration;

use packhouse_api::{
    AuditQuery, CreateGitCredential, DeleteGitCredential, ListJobsQuery, ListReposQuery,
    UpdateGitCredential,
};
use packhouse_client::hosted::{
    Client, ClientCredential, ClientOptions, RefPolicy, RetryPolicy, SigningKey,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::events::HostedEvents;
use super::failures::failure;
use super::repo::HostedRepo;
use super::running::{answer, request_of};
use super::webhooks::HostedWebhooks;

/// The longest time that is asked for: 100 years.
const SECONDS_MAX: f64 = 3_153_600_000.0;

#[pyclass(frozen, module = "packhouse._native")]
pub(crate) struct HostedClient(Client);

#[pymethods]
impl HostedClient {
    #[new]
    #[pyo3(signature = (*, name, key, token, api_base_url, storage_base_url, api_version, default_ttl, agent, attempts, timeout, certificates))]
    #[expect(
        clippy::too_many_arguments,
        reason = "they are Python's keyword arguments"
    )]
    fn new(
        name: String,
        key: Option<&str>,
        token: Option<String>,
        api_base_url: String,
        storage_base_url: Option<String>,
        api_version: u32,
        default_ttl: Option<i64>,
        agent: String,
        attempts: Option<u32>,
        timeout: Option<f64>,
        certificates: Option<Vec<u8>>,
    ) -> PyResult<HostedClient> {
        let credential = match (token, key) {
            (Some(token), _) => ClientCredential::Token(token),
            (None, Some(key)) => {
                let key = SigningKey::from_pem(key);
                ClientCredential::Key(
                    key.map_err(|error| PyValueError::new_err(error.to_string()))?,
                )
            }
            (None, None) => return Err(PyValueError::new_err("a key or a token is needed")),
        };
        let mut options = ClientOptions::new(name, credential, api_base_url);
        options.storage_base_url = storage_base_url;
        options.api_version = api_version;
        options.default_ttl_seconds = default_ttl;
        options.agent = agent;
        options.extra_certificates = certificates;
        if let Some(attempts) = attempts {
            options.retry = RetryPolicy {
                attempts: attempts.max(1),
                ..RetryPolicy::default()
            };
        }
        if let Some(timeout) = timeout {
            let silence = Duration::try_from_secs_f64(timeout.min(SECONDS_MAX)).ok();
            let silence = silence
                .filter(|silence| !silence.is_zero())
                .ok_or_else(|| {
                    PyValueError::new_err("timeout is not a number of seconds above 0")
                })?;
            options.silence = Some(silence);
        }
        Client::new(options)
            .map(HostedClient)
            .map_err(|error| failure(&error))
    }

    fn repo(
        &self,
        id: String,
        ttl: Option<i64>,
        ref_policies: Vec<(String, Vec<String>)>,
    ) -> HostedRepo {
        let mut repo = self.0.repo(id);
        if let Some(ttl) = ttl {
            repo = repo.with_ttl_seconds(ttl);
        }
        HostedRepo(repo.with_ref_policies(policies(ref_policies)))
    }

    fn list_repos<'py>(
        &self,
        py: Python<'py>,
        request: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (client, query) = (self.0.clone(), request_of::<ListReposQuery>(request)?);
        answer(py, async move { client.list_repos(&query).await })
    }

    fn create_git_credential<'py>(
        &self,
        py: Python<'py>,
        request: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (client, request) = (self.0.clone(), request_of::<CreateGitCredential>(request)?);
        answer(
            py,
            async move { client.create_git_credential(&request).await },
        )
    }

    fn update_git_credential<'py>(
        &self,
        py: Python<'py>,
        request: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (client, request) = (self.0.clone(), request_of::<UpdateGitCredential>(request)?);
        answer(
            py,
            async move { client.update_git_credential(&request).await },
        )
    }

    fn delete_git_credential<'py>(
        &self,
        py: Python<'py>,
        request: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (client, request) = (self.0.clone(), request_of::<DeleteGitCredential>(request)?);
        answer(
            py,
            async move { client.delete_git_credential(&request).await },
        )
    }

    fn list_jobs<'py>(
        &self,
        py: Python<'py>,
        request: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (client, query) = (self.0.clone(), request_of::<ListJobsQuery>(request)?);
        answer(py, async move { client.list_jobs(&query).await })
    }

    fn list_audit<'py>(
        &self,
        py: Python<'py>,
        request: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (client, query) = (self.0.clone(), request_of::<AuditQuery>(request)?);
        answer(py, async move { client.list_audit(&query).await })
    }

    fn webhooks(&self) -> HostedWebhooks {
        HostedWebhooks(self.0.webhooks())
    }

    fn events(&self, after: Option<&str>) -> HostedEvents {
        HostedEvents::new(self.0.events(after))
    }
}

/// Policies from pairs of a pattern and its operations.
pub(super) fn policies(pairs: Vec<(String, Vec<String>)>) -> Vec<RefPolicy> {
    let policy = |(pattern, ops)| RefPolicy { pattern, ops };
    pairs.into_iter().map(policy).collect()
}
