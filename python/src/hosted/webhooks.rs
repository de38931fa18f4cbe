//! Webhooks of a repository or of an organisation.

use packhouse_api::{CreateWebhook, ListDeliveriesQuery, ListWebhooksQuery, ReplayWebhook};
use packhouse_client::hosted::Webhooks;
use pyo3::prelude::*;

use super::running::{answer, request_of};

#[pyclass(frozen, module = "packhouse._native")]
pub(crate) struct HostedWebhooks(pub(super) Webhooks);

#[pymethods]
impl HostedWebhooks {
    fn create<'py>(
        &self,
        py: Python<'py>,
        request: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (webhooks, request) = (self.0.clone(), request_of::<CreateWebhook>(request)?);
        answer(py, async move { webhooks.create(&request).await })
    }

    fn list<'py>(
        &self,
        py: Python<'py>,
        request: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (webhooks, query) = (self.0.clone(), request_of::<ListWebhooksQuery>(request)?);
        answer(py, async move { webhooks.list(&query).await })
    }

    fn get<'py>(&self, py: Python<'py>, id: String) -> PyResult<Bound<'py, PyAny>> {
        let webhooks = self.0.clone();
        answer(py, async move { webhooks.get(&id).await })
    }

    fn delete<'py>(&self, py: Python<'py>, id: String) -> PyResult<Bound<'py, PyAny>> {
        let webhooks = self.0.clone();
        answer(py, async move { webhooks.delete(&id).await })
    }

    fn deliveries<'py>(
        &self,
        py: Python<'py>,
        id: String,
        request: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (webhooks, query) = (self.0.clone(), request_of::<ListDeliveriesQuery>(request)?);
        answer(py, async move { webhooks.deliveries(&id, &query).await })
    }

    fn redeliver<'py>(
        &self,
        py: Python<'py>,
        id: String,
        delivery: String,
    ) -> PyResult<Bound<'py, PyAny>> {
        let webhooks = self.0.clone();
        answer(py, async move { webhooks.redeliver(&id, &delivery).await })
    }

    fn replay<'py>(
        &self,
        py: Python<'py>,
        id: String,
        request: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (webhooks, request) = (self.0.clone(), request_of::<ReplayWebhook>(request)?);
        answer(py, async move { webhooks.replay(&id, &request).await })
    }
}
