//! `receive.fsck.<msg-id>` and `receive.fsck.skipList`: which rules pushed objects may break.

use std::fs;
use std::path::Path;

use bstr::{BStr, ByteSlice};
use packhouse_object::ObjectId;
use packhouse_object::check::{ObjectRules, Severity};

use crate::config::{Config, path_setting};
use crate::error::ProgramError;

const PREFIX: &str = "receive.fsck.";

/// The most bytes of a list of objects.
const LIST_BYTES_MAX: u64 = 64 << 20;

/// The rules of a repository. Git's rules that are not among ours are passed over, as git does with those it does not know.
pub(super) fn object_rules(
    config: &Config,
    git_dir: &Path,
    home: Option<&Path>,
) -> Result<ObjectRules, ProgramError> {
    let mut rules = ObjectRules::default();
    for (rule, value) in config.below(PREFIX) {
        let rule = rule.to_str_lossy();
        let value = value
            .ok_or_else(|| ProgramError::Config(format!("missing value for '{PREFIX}{rule}'")))?;
        if rule == "skiplist" {
            read_list(&git_dir.join(path_setting(value, home)?), &mut rules)?;
        } else if ObjectRules::knows(&rule) {
            rules.set(&rule, severity(value)?);
        }
    }
    Ok(rules)
}

/// Lets objects of old histories pass unless `receive.fsckObjects`, or else `transfer.fsckObjects`, is true, or the rule is
/// set. What could do harm where it is checked out is refused all the same.
pub(super) fn let_old_histories_pass(
    config: &Config,
    rules: &mut ObjectRules,
) -> Result<(), ProgramError> {
    let own = config.flag("receive.fsckobjects")?;
    let looks = own.or(config.flag("transfer.fsckobjects")?);
    if looks != Some(true) {
        rules.let_old_histories_pass();
    }
    Ok(())
}

fn severity(value: &BStr) -> Result<Severity, ProgramError> {
    match value.to_ascii_lowercase().as_slice() {
        b"error" => Ok(Severity::Error),
        b"warn" => Ok(Severity::Warn),
        b"ignore" => Ok(Severity::Ignore),
        _ => {
            let message = format!("Unknown fsck message type: '{value}'");
            Err(ProgramError::Config(message))
        }
    }
}

/// Reads ids of objects, one a line, with comments behind `#`.
fn read_list(path: &Path, rules: &mut ObjectRules) -> Result<(), ProgramError> {
    let unreadable = |_| {
        let path = path.display();
        ProgramError::Config(format!("could not open object name list: {path}"))
    };
    let file = fs::metadata(path).map_err(unreadable)?;
    if file.len() > LIST_BYTES_MAX {
        let message = format!("object name list '{}' is too large", path.display());
        return Err(ProgramError::Config(message));
    }
    for line in fs::read(path).map_err(unreadable)?.lines() {
        let line = line.split(|byte| *byte == b'#').next().unwrap_or_default();
        let name = line.trim();
        if name.is_empty() {
            continue;
        }
        let id = ObjectId::from_hex(name).map_err(|_| {
            ProgramError::Config(format!("invalid object name: {}", name.as_bstr()))
        })?;
        rules.skip(id);
    }
    Ok(())
}
