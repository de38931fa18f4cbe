//! What the audit log says of commands of whoever runs the server.

use packhouse_catalog::{NewAuditEntry, OrgId};

/// The entry of `kind` done to `target` by the command `who`; `org` is not known before it is created.
pub(crate) fn entry(
    who: &str,
    kind: &'static str,
    org: Option<OrgId>,
    target: &str,
) -> NewAuditEntry {
    NewAuditEntry {
        org,
        repo: None,
        kind,
        target: Some(target.to_owned()),
        detail: None,
        who: who.to_owned(),
        origin: None,
    }
}
