//! What the configuration says of how a repository's files are read and written.

use std::time::Duration;

use bstr::{BStr, ByteSlice};
use packhouse_repo::directory::{LockTimeouts, LogRefs, Served, ServedSettings};

use crate::config::Config;
use crate::error::ProgramError;

const LOG_REFS: &str = "core.logallrefupdates";

/// The repository as the whole configuration has it, wherever a setting stands.
pub(crate) fn configured(repository: &Served, config: &Config) -> Result<Served, ProgramError> {
    let is_on = |name: &str| Ok::<_, ProgramError>(config.flag(name)?.unwrap_or(true));
    let filters_version = config.text("commitgraph.changedpathsversion");
    let log_refs = config.text(LOG_REFS).map(|text| text.to_str_lossy());
    let logs_all = matches!(&log_refs, Some(text) if text.eq_ignore_ascii_case("always"));
    let logs = match logs_all {
        true => None,
        false => config.flag(LOG_REFS)?,
    };
    Ok(repository.with_settings(ServedSettings {
        commit_graphs: is_on("core.commitgraph")?,
        path_filters: match filters_version {
            Some(version) => version != "0",
            None => is_on("commitgraph.readchangedpaths")?,
        },
        multi_packs: is_on("core.multipackindex")?,
        reverse_indexes: config.flag("pack.writereverseindex")? == Some(true),
        log_refs: LogRefs::of(log_refs.as_deref(), logs, !repository.is_bare()),
        sharing: config
            .find("core.sharedrepository")
            .map(|value| value.unwrap_or(BStr::new("true")).to_string()),
    }))
}

/// The same for moves of refs: how long locks are waited for.
pub(crate) fn waiting(repository: &Served, config: &Config) -> Result<Served, ProgramError> {
    let timeouts = LockTimeouts {
        refs: milliseconds(config, "core.filesreflocktimeout")?,
        packed_refs: milliseconds(config, "core.packedrefstimeout")?,
    };
    Ok(match timeouts == LockTimeouts::default() {
        true => repository.clone(),
        false => repository.with_lock_timeouts(timeouts),
    })
}

/// A time that is waited, which is for ever where it is below 0.
fn milliseconds(config: &Config, name: &str) -> Result<Option<Duration>, ProgramError> {
    let number = config.number(name)?;
    Ok(number.map(|ms| u64::try_from(ms).map_or(Duration::MAX, Duration::from_millis)))
}

#[cfg(test)]
mod tests {
    use packhouse_testkit::git::init_bare;

    use super::*;
    use crate::environment::Environment;

    /// Whether summaries of packs are read by these settings of the call; the repository's own file says `own`.
    fn reads_summaries(own: &str, call: &str) -> Result<bool, ProgramError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.git");
        let git = init_bare(&path);
        git.run(&["config", "core.multiPackIndex", own]);
        let tree = git.feed(&["hash-object", "-t", "tree", "-w", "--stdin"], b"");
        git.feed(
            &["pack-objects", "-q", "objects/pack/pack"],
            tree.as_bytes(),
        );
        git.run(&["multi-pack-index", "write"]);
        let mut environment = Environment::default();
        environment.set("GIT_CONFIG_NOSYSTEM", "1");
        environment.set("GIT_CONFIG_PARAMETERS", call);
        let repository = Served::open(&path).unwrap();
        let config = Config::load(&environment, &repository)?;
        let configured = configured(&repository, &config)?;
        Ok(!configured.database().unwrap().multi_packs().is_empty())
    }

    #[test]
    fn the_call_has_more_weight_than_the_repository() {
        for (own, call, expected) in [
            ("true", "", true),
            ("false", "", false),
            ("true", "'core.multipackindex'='false'", false),
            ("false", "'core.multipackindex'", true),
        ] {
            assert_eq!(
                reads_summaries(own, call).unwrap(),
                expected,
                "{own} {call}"
            );
        }
        let bad = reads_summaries("true", "'core.commitgraph'='maybe'").unwrap_err();
        assert_eq!(
            bad.to_string(),
            "bad boolean config value 'maybe' for 'core.commitgraph'"
        );
    }
}
