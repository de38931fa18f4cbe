//! What a repository's configuration says of pushes.

use packhouse_object::ReceiveLimits;

use super::deny::Deny;
use crate::config::Config;
use crate::error::ProgramError;

/// Pushes of fewer objects become loose objects, if nothing else is set.
const UNPACK_LIMIT: i64 = 100;

/// `receive.*` and what of `transfer.*` concerns pushes.
#[derive(Clone, Debug)]
pub(crate) struct PushSettings {
    pub(crate) deny_deletes: bool,
    pub(crate) deny_non_fast_forwards: bool,
    pub(crate) deny_current_branch: Deny,
    pub(crate) deny_delete_current: Deny,
    pub(crate) shallow_update: bool,
    pub(crate) auto_gc: bool,
    pub(crate) update_server_info: bool,
    /// What a pack may cost.
    pub(crate) limits: ReceiveLimits,
}

impl PushSettings {
    pub(crate) fn read(config: &Config) -> Result<PushSettings, ProgramError> {
        let flag = |name: &str| config.flag(name);
        Ok(PushSettings {
            deny_deletes: flag("receive.denydeletes")?.unwrap_or(false),
            deny_non_fast_forwards: flag("receive.denynonfastforwards")?.unwrap_or(false),
            deny_current_branch: Deny::read(config, "receive.denycurrentbranch")?,
            deny_delete_current: Deny::read(config, "receive.denydeletecurrent")?,
            shallow_update: flag("receive.shallowupdate")?.unwrap_or(false),
            auto_gc: flag("receive.autogc")?.unwrap_or(true),
            update_server_info: flag("receive.updateserverinfo")?.unwrap_or(false),
            limits: limits(config)?,
        })
    }
}

fn limits(config: &Config) -> Result<ReceiveLimits, ProgramError> {
    let mut limits = ReceiveLimits::of_git();
    if let Some(bytes) = config.number("receive.maxinputsize")?
        && bytes > 0
    {
        limits.pack_bytes = bytes.unsigned_abs();
    }
    let unpack = match config
        .number("receive.unpacklimit")?
        .filter(|limit| *limit >= 0)
    {
        Some(limit) => limit,
        None => config
            .number("transfer.unpacklimit")?
            .filter(|limit| *limit >= 0)
            .unwrap_or(UNPACK_LIMIT),
    };
    // Objects that become loose are in memory together first, so few but large ones become a pack all the same.
    limits.small_objects = unpack.unsigned_abs().saturating_sub(1);
    if unpack <= 1 {
        limits.small_pack_bytes = 0;
    }
    Ok(limits)
}
