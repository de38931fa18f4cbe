//! The kind and the body of an event.

use packhouse_api::{EventRepository, PushEvent};
use packhouse_catalog::{Event, EventKind};
use serde_json::{Map, Value, json};

use crate::rest::time;

/// Every kind of event there is.
pub(crate) const KINDS: [&str; 6] = [
    PUSH,
    "repo.created",
    "repo.deleted",
    "repo.sync.started",
    "repo.sync.succeeded",
    "repo.sync.failed",
];

const PUSH: &str = "push";

/// An event as it is sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Message {
    /// Its kind.
    pub(crate) kind: String,
    /// JSON.
    pub(crate) body: String,
}

/// What `event` of repository `repo` of organisation `org` looks like.
pub(crate) fn message(event: &Event, repo: &str, org: &str) -> Message {
    let repository = EventRepository {
        id: repo.to_owned(),
        url: repo.to_owned(),
    };
    let at = time::rfc3339(event.at_ms.div_euclid(1000));
    match &event.kind {
        EventKind::Ref { name, old, new } => {
            let push = PushEvent {
                repository,
                // A name that is no text cannot be in JSON otherwise.
                ref_name: String::from_utf8_lossy(name).into_owned(),
                before: hex(old.as_deref()),
                after: hex(new.as_deref()),
                customer_id: org.to_owned(),
                pushed_at: at,
            };
            let body = serde_json::to_string(&push).expect("texts alone are always JSON");
            let kind = PUSH.to_owned();
            Message { kind, body }
        }
        EventKind::Other { kind, detail } => {
            let mut body = Map::new();
            body.insert("type".into(), json!(kind));
            body.insert("repository".into(), json!(repository));
            body.insert("customer_id".into(), json!(org));
            body.insert("occurred_at".into(), json!(at));
            let detail = detail.as_deref().map(serde_json::from_str::<Value>);
            if let Some(Ok(Value::Object(detail))) = detail {
                body.extend(detail);
            }
            Message {
                kind: kind.clone(),
                body: Value::Object(body).to_string(),
            }
        }
    }
}

/// Whether a subscription to `wanted`, kinds and patterns with spaces between them, is for events of `kind`.
pub(crate) fn is_wanted(wanted: &str, kind: &str) -> bool {
    wanted
        .split(' ')
        .any(|pattern| match pattern.strip_suffix('*') {
            Some(start) => kind.starts_with(start),
            None => pattern == kind,
        })
}

/// An id in hexadecimal; zeros if there is none.
pub(crate) fn hex(id: Option<&[u8]>) -> String {
    const SHA1_BYTES: usize = 20;
    let id = id.unwrap_or(&[0; SHA1_BYTES]);
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use packhouse_catalog::{Position, RepoId};

    fn event(kind: EventKind) -> Event {
        Event {
            position: Position {
                tick: 1,
                repo: RepoId(2),
                generation: 3,
                ordinal: 4,
            },
            kind,
            who: String::new(),
            at_ms: 1_700_000_000_999,
        }
    }

    #[test]
    fn a_push_has_the_fields_that_clients_require() {
        let message = message(
            &event(EventKind::Ref {
                name: b"refs/heads/main".to_vec(),
                old: None,
                new: Some(vec![0xab; 20]),
            }),
            "team/site",
            "acme",
        );
        assert_eq!(message.kind, "push");
        let body: Value = serde_json::from_str(&message.body).unwrap();
        let expected = json!({
            "repository": { "id": "team/site", "url": "team/site" },
            "ref": "refs/heads/main", "before": "0".repeat(40), "after": "ab".repeat(20),
            "customer_id": "acme", "pushed_at": "2023-11-14T22:13:20Z",
        });
        assert_eq!(body, expected);
    }

    #[test]
    fn details_of_other_events_are_their_fields() {
        let made = message(
            &event(EventKind::Other {
                kind: "repo.sync.failed".into(),
                detail: Some(r#"{"run_count":2,"error":"no \"route\""}"#.into()),
            }),
            "r",
            "acme",
        );
        let body: Value = serde_json::from_str(&made.body).unwrap();
        assert_eq!(body["type"], "repo.sync.failed");
        assert_eq!(body["repository"]["id"], "r");
        assert_eq!(
            (&body["run_count"], &body["error"]),
            (&json!(2), &json!("no \"route\""))
        );
    }

    #[test]
    fn a_pattern_stands_for_what_it_begins() {
        assert!(is_wanted("push", "push"));
        assert!(!is_wanted("push", "repo.created"));
        assert!(is_wanted("push repo.sync.*", "repo.sync.failed"));
        assert!(!is_wanted("push repo.sync.*", "repo.created"));
        assert!(KINDS.iter().all(|kind| is_wanted("*", kind)));
    }
}
