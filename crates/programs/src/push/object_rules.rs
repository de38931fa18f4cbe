//! `receive.fsck.<msg-id>` and `receive.fsck.skipList`: which rules pushed objects may break.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bstr::{BStr, ByteSlice};
use packhouse_object::ObjectId;
use packhouse_object::check::{ObjectRules, Severity};

use crate::config::{Config, path_setting};
use crate::error::ProgramError;

const PREFIX: &str = "receive.fsck.";

/// The most bytes of a list of objects.
const LIST_BYTES_MAX: u64 = 64 << 20;

/// Rules of Git's that nothing may break, in lower case: whoever says otherwise has every pack refused.
const UNBREAKABLE: [&str; 2] = ["nulinheader", "unterminatedheader"];

/// Further names that Git knows, in lower case: of rules that are no matter of settings here, or that concern what nobody looks at.
const OTHERS: [&str; 23] = [
    "badfilemode",
    "badobjectsha1",
    "badparentsha1",
    "badtagname",
    "badtree",
    "badtreesha1",
    "badtype",
    "extraheaderentry",
    "gitattributesmissing",
    "gitattributessymlink",
    "gitignoresymlink",
    "gitmodulesmissing",
    "gitmodulesparse",
    "mailmapsymlink",
    "missingobject",
    "missingtag",
    "missingtagentry",
    "missingtaggerentry",
    "missingtree",
    "missingtype",
    "missingtypeentry",
    "nullsha1",
    "unknowntype",
];

/// What a repository's configuration says of the rules. Lists are read when there is a pack to be looked at.
#[derive(Clone, Debug, Default)]
pub(super) struct RuleSettings {
    rules: ObjectRules,
    others: Vec<Other>,
    /// Names of rules that nobody knows.
    unknown: Vec<String>,
    /// Whether Git would not look at objects, so that what it would find there is nothing to complain of.
    is_lenient: bool,
}

/// What Git heeds once it looks at objects, in the order in which it is set.
#[derive(Clone, Debug)]
enum Other {
    /// A list of objects that may break every rule.
    List(PathBuf),
    /// Every pack is refused for this.
    Refusal(String),
}

impl RuleSettings {
    /// The rules of a repository. Git's rules that are not among ours are passed over.
    pub(super) fn read(
        config: &Config,
        git_dir: &Path,
        home: Option<&Path>,
    ) -> Result<RuleSettings, ProgramError> {
        let mut settings = RuleSettings::default();
        for (name, value) in config.below(PREFIX) {
            let rule = name.to_str_lossy();
            let value = value.ok_or_else(|| {
                ProgramError::Config(format!("missing value for '{PREFIX}{rule}'"))
            })?;
            let is_ours = ObjectRules::knows(&rule);
            let is_fixed = UNBREAKABLE.contains(&&*rule);
            if rule == "skiplist" {
                let path = git_dir.join(path_setting(value, home)?);
                settings.others.push(Other::List(path));
            } else if is_ours || is_fixed || OTHERS.contains(&&*rule) {
                let severity = severity(value)?;
                if is_ours {
                    settings.rules.set(&rule, severity);
                } else if is_fixed && severity != Severity::Error {
                    let refusal = format!("Cannot demote {rule} to {value}");
                    settings.others.push(Other::Refusal(refusal));
                }
            } else {
                settings.unknown.push(rule.into_owned());
            }
        }
        Ok(settings)
    }

    /// Says on standard error which names nobody knows, as git does.
    pub(super) fn warn(&self) {
        for rule in &self.unknown {
            let text = format!("warning: skipping unknown msg id '{rule}'\n");
            // Nobody is left to tell if that is closed.
            let _ = io::stderr().write_all(text.as_bytes());
        }
    }

    /// Lets objects of old histories pass unless `receive.fsckObjects`, or else `transfer.fsckObjects`, is true, or the rule is
    /// set. What could do harm where it is checked out is refused all the same.
    pub(super) fn let_old_histories_pass(&mut self, config: &Config) -> Result<(), ProgramError> {
        let own = config.flag("receive.fsckobjects")?;
        let looks = own.or(config.flag("transfer.fsckobjects")?);
        if looks != Some(true) {
            self.rules.let_old_histories_pass();
            self.is_lenient = true;
        }
        Ok(())
    }

    /// The rules that a pack is held to, or why none is taken.
    pub(super) fn in_force(&self) -> Result<ObjectRules, String> {
        let mut rules = self.rules.clone();
        for other in &self.others {
            let refusal = match other {
                Other::List(path) => read_list(path, &mut rules).err(),
                Other::Refusal(why) => Some(why.clone()),
            };
            if let Some(why) = refusal.filter(|_| !self.is_lenient) {
                return Err(why);
            }
        }
        Ok(rules)
    }
}

fn severity(value: &BStr) -> Result<Severity, ProgramError> {
    match value.as_bytes() {
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
fn read_list(path: &Path, rules: &mut ObjectRules) -> Result<(), String> {
    let unreadable = |_| format!("could not open object name list: {}", path.display());
    let file = fs::metadata(path).map_err(unreadable)?;
    if file.len() > LIST_BYTES_MAX {
        return Err(format!(
            "object name list '{}' is too large",
            path.display()
        ));
    }
    for line in fs::read(path).map_err(unreadable)?.lines() {
        let line = line.split(|byte| *byte == b'#').next().unwrap_or_default();
        let name = line.trim();
        if name.is_empty() {
            continue;
        }
        let id = ObjectId::from_hex(name)
            .map_err(|_| format!("invalid object name: {}", name.as_bstr()))?;
        rules.skip(id);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use packhouse_repo::directory::Served;
    use packhouse_testkit::git::{command, init_bare};

    use super::*;
    use crate::environment::Environment;

    /// The names in `names` that our programs do not know, and those that git does not.
    fn unknown(names: &[&str], value: &str) -> [Vec<String>; 2] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.git");
        let git = init_bare(&path);
        for name in names {
            git.run(&["config", &format!("{PREFIX}{name}"), value]);
        }
        let repository = Served::open(&path).unwrap();
        let config = Config::load(&Environment::default(), &repository).unwrap();
        let settings = RuleSettings::read(&config, &path, None).unwrap();
        let said = command()
            .args(["receive-pack", "--http-backend-info-refs"])
            .arg(&path)
            .output()
            .unwrap();
        assert!(said.status.success(), "{said:?}");
        let said = String::from_utf8(said.stderr).unwrap();
        let named = said.lines().map(|line| {
            let name = line.strip_prefix("warning: skipping unknown msg id '");
            name.unwrap().strip_suffix('\'').unwrap().to_owned()
        });
        [settings.unknown, named.collect()]
    }

    #[test]
    fn names_that_git_does_not_know_are_told() {
        let known = [&OTHERS[..], &UNBREAKABLE, &["missingEmail", "HASDOTGIT"]].concat();
        for value in ["ignore", "error"] {
            let [ours, gits] = unknown(&known, value);
            assert_eq!((ours, gits), (Vec::new(), Vec::new()), "{value}");
        }
        // Whatever it is to be.
        for value in ["ignore", "maybe"] {
            let [ours, gits] = unknown(&["noSuchRule", "badEmails"], value);
            assert_eq!(ours, gits, "{value}");
            assert_eq!(ours, ["nosuchrule", "bademails"], "{value}");
        }
    }
}
