//! Webhooks: subscribe, look at deliveries, deliver again.

use packhouse_api::{
    CreateWebhook, DeletedWebhook, ListDeliveriesQuery, ListWebhooksQuery, ListedDeliveries,
    ListedWebhooks, ReplayWebhook, ReplayedWebhook, Webhook, WebhookDelivery, paths,
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;

use super::call::{Call, Caller};
use super::error::HostedError;
use super::retry::Effect;

/// The webhooks of a repository or of an organisation.
#[derive(Clone)]
pub struct Webhooks {
    caller: Caller,
    to_write: &'static [&'static str],
    to_read: &'static [&'static str],
}

impl Webhooks {
    pub(super) fn new(
        caller: Caller,
        to_write: &'static [&'static str],
        to_read: &'static [&'static str],
    ) -> Webhooks {
        Webhooks {
            caller,
            to_write,
            to_read,
        }
    }

    /// Subscribes. The answer is the only one that has the secret.
    ///
    /// # Errors
    ///
    /// The server refused or failed; so it is with all calls here.
    pub async fn create(&self, request: &CreateWebhook) -> Result<Webhook, HostedError> {
        let call = Call::new(Method::POST, paths::WEBHOOKS, self.to_write);
        self.caller.json(call.write(request)?).await
    }

    /// One page of the webhooks, oldest first.
    pub async fn list(&self, query: &ListWebhooksQuery) -> Result<ListedWebhooks, HostedError> {
        self.caller.get(paths::WEBHOOKS, self.to_read, query).await
    }

    /// One webhook.
    pub async fn get(&self, id: &str) -> Result<Webhook, HostedError> {
        let path = path(paths::WEBHOOK, id, "");
        self.caller
            .json(Call::new(Method::GET, path, self.to_read))
            .await
    }

    /// Unsubscribes.
    pub async fn delete(&self, id: &str) -> Result<DeletedWebhook, HostedError> {
        let mut call = Call::new(Method::DELETE, path(paths::WEBHOOK, id, ""), self.to_write);
        call.effect = Effect::Write;
        self.caller.json(call).await
    }

    /// One page of what was delivered, the newest attempts first.
    pub async fn deliveries(
        &self,
        id: &str,
        query: &ListDeliveriesQuery,
    ) -> Result<ListedDeliveries, HostedError> {
        self.caller
            .get(&path(paths::DELIVERIES, id, ""), self.to_read, query)
            .await
    }

    /// Delivers one event again, and says how that went.
    pub async fn redeliver(
        &self,
        id: &str,
        delivery: &str,
    ) -> Result<WebhookDelivery, HostedError> {
        let path = path(paths::REDELIVER, id, delivery);
        let mut call = Call::new(Method::POST, path, self.to_write);
        call.effect = Effect::Write;
        self.caller.json(call).await
    }

    /// Delivers everything after an event again.
    pub async fn replay(
        &self,
        id: &str,
        request: &ReplayWebhook,
    ) -> Result<ReplayedWebhook, HostedError> {
        let call = Call::new(Method::POST, path(paths::REPLAY, id, ""), self.to_write);
        self.caller.json(call.write(request)?).await
    }
}

fn path(pattern: &str, id: &str, delivery: &str) -> String {
    let segment = |text| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    pattern
        .replace("{id}", &segment(id))
        .replace("{delivery}", &segment(delivery))
}

impl std::fmt::Debug for Webhooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhooks")
            .field("repo", &self.caller.repo)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_stay_in_their_segment() {
        assert_eq!(
            path(paths::REDELIVER, "a/b", "../c"),
            "/api/v1/webhooks/a%2Fb/deliveries/%2E%2E%2Fc/redeliver"
        );
    }
}
