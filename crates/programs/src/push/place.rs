//! A repository that pushes go to, and what its configuration says of them.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use packhouse_object::{ReceiveLimits, RefName};
use packhouse_repo::directory::{Moment, Served, ServedHead, StandsFor};
use packhouse_wire::{HiddenRefs, ReceiveOptions};

use super::certificate::Signatures;
use super::haves::LenderRefs;
use super::hooks::Hooks;
use super::nonce::Nonce;
use super::object_rules::RuleSettings;
use super::proc_receive::ProcReceiveRefs;
use super::settings::PushSettings;
use super::sink::DirectorySink;
use crate::config::{Config, home};
use crate::environment::Environment;
use crate::error::ProgramError;
use crate::identity::commit_time;
use crate::moment::utc_now;
use crate::namespace;
use crate::serve::{hidden, hooks_folder, keepalive, session_id};
use crate::source::ServedSource;

/// Where pushes go. Cheap to clone next to a push.
#[derive(Clone, Debug)]
pub struct PushPlace {
    pub(super) repository: Served,
    pub(super) settings: PushSettings,
    pub(super) rules: RuleSettings,
    pub(super) hooks: Hooks,
    pub(super) who: String,
    /// Whether the environment may say when refs move.
    is_dated: bool,
    pub(super) nonce: Option<Nonce>,
    pub(super) signatures: Signatures,
    pub(super) proc_receive: ProcReceiveRefs,
    lender_refs: LenderRefs,
    hidden: HiddenRefs,
    prefix: Vec<u8>,
    options: ReceiveOptions,
}

impl PushPlace {
    /// Reads what the configuration says. `who` is for the reflog.
    pub(crate) fn new(
        repository: Served,
        config: &Config,
        environment: &Environment,
        who: String,
        nonce: Option<Nonce>,
    ) -> Result<PushPlace, ProgramError> {
        let own_dir = repository.own_dir().to_owned();
        let folder = hooks_folder(&repository, config, environment)?;
        let rules = RuleSettings::read(config, &own_dir, home(environment).as_deref())?;
        rules.warn();
        let advises = config.flag("advice.ignoredhook")?.unwrap_or(true);
        Ok(PushPlace {
            settings: PushSettings::read(config)?,
            rules,
            lender_refs: LenderRefs::read(config, &own_dir, environment),
            hooks: Hooks::new(folder, own_dir, environment.clone()).advising(advises),
            who,
            is_dated: false,
            signatures: Signatures::new(config, environment),
            proc_receive: ProcReceiveRefs::new(config.all("receive.procreceiverefs")),
            hidden: hidden(config, "receive.hiderefs"),
            prefix: namespace::prefix(environment)?,
            options: options(config, nonce.as_ref())?,
            nonce,
            repository,
        })
    }

    /// Notes moves of refs as made when the environment says, and where.
    pub(crate) fn dated(mut self) -> PushPlace {
        self.is_dated = true;
        self
    }

    /// When refs are moved that are moved now; the error is that the environment says what is no time.
    pub(super) fn moment(&self) -> Result<Moment, String> {
        match self.is_dated {
            true => commit_time(self.hooks.environment()),
            false => Ok(utc_now()),
        }
    }

    /// Takes what git takes of old histories, if the configuration leaves that to git.
    pub(crate) fn taking_old_histories(
        mut self,
        config: &Config,
    ) -> Result<PushPlace, ProgramError> {
        self.rules.let_old_histories_pass(config)?;
        Ok(self)
    }

    /// The repository of a store in the folder `path`, for a server of its own: whoever started that answers for whose it is,
    /// and offers its clients what [`ReceiveOptions::default`] does. Pushes are noted as made by `who`, in reflogs of
    /// branches whatever the settings say. Namespaces are hidden. As for git, a push may be of any size: see
    /// [`PushPlace::within`].
    pub fn open(
        path: &Path,
        environment: &Environment,
        who: String,
    ) -> Result<PushPlace, ProgramError> {
        let repository = Served::open(path)?.of_store();
        let config = Config::load(environment, &repository)?;
        let mut place = PushPlace::new(repository, &config, environment, who, None)?;
        place.hidden = place.hidden.and(b"refs/namespaces");
        Ok(place)
    }

    /// Takes no more than `limits` say, whatever the repository's configuration allows.
    pub fn within(mut self, limits: ReceiveLimits) -> PushPlace {
        let own = &self.settings.limits;
        self.settings.limits = ReceiveLimits {
            pack_bytes: limits.pack_bytes.min(own.pack_bytes),
            small_objects: own.small_objects,
            small_pack_bytes: own.small_pack_bytes,
            ..limits
        };
        self
    }

    /// What a client sees now.
    pub(crate) fn source(&self) -> Result<ServedSource, ProgramError> {
        Ok(ServedSource::new(
            &self.repository,
            self.prefix.clone(),
            self.hidden.clone(),
        )?)
    }

    /// How pushes are answered, and what clients of `source` are offered.
    pub(crate) fn options_for(
        &self,
        source: &ServedSource,
    ) -> Result<ReceiveOptions, ProgramError> {
        let mut options = self.options.clone();
        options.offer.haves = source.outside();
        options
            .offer
            .haves
            .extend(self.lender_refs.targets(&self.repository)?);
        options.offer.shallow = self.repository.shallow()?.into_iter().collect();
        options.offer.shallow.sort_unstable();
        Ok(options)
    }

    /// Takes one push.
    pub fn sink(&self) -> Result<DirectorySink, ProgramError> {
        Ok(DirectorySink::new(self.clone(), self.source()?)?)
    }

    /// The working copy whose files show a branch: the folder of its repository and its own. One that is in the middle of
    /// rebasing or bisecting a branch counts too, though its `HEAD` is detached.
    pub(super) fn shown_in(&self, branch: &RefName) -> Result<Option<WorkingCopy>, ProgramError> {
        let git_dir = self.repository.git_dir();
        let main = self.repository.unlinked();
        if !main.is_bare() {
            let is_shown = match main.head()? {
                ServedHead::Branch(name) => self.leads_to(name)?.as_ref() == Some(branch),
                ServedHead::Detached(_) => is_under_way(git_dir, branch),
                ServedHead::Broken => false,
            };
            if is_shown {
                return Ok(Some(WorkingCopy {
                    git_dir: git_dir.to_owned(),
                    files: main.work_tree()?,
                }));
            }
        }
        // Linked working copies of this repository.
        let Ok(others) = std::fs::read_dir(git_dir.join("worktrees")) else {
            return Ok(None);
        };
        for other in others.flatten() {
            let folder = other.path();
            let head = std::fs::read(folder.join("HEAD")).unwrap_or_default();
            let is_shown = match head.strip_prefix(b"ref: ").map(<[u8]>::trim_ascii) {
                Some(name) => match RefName::parse(name) {
                    Ok(name) => self.leads_to(name)?.as_ref() == Some(branch),
                    Err(_) => false,
                },
                None => is_under_way(&folder, branch),
            };
            if is_shown {
                let files = files_of(&folder);
                let git_dir = folder;
                return Ok(Some(WorkingCopy { git_dir, files }));
            }
        }
        Ok(None)
    }

    /// The branch of `HEAD`, by its name in the store.
    pub(super) fn head_branch(&self) -> Result<Option<RefName>, ProgramError> {
        match self.repository.head()? {
            ServedHead::Branch(name) => self.leads_to(name),
            _ => Ok(None),
        }
    }

    /// The ref at the end of symbolic ones. As for git, only that one is checked out, and not what leads there.
    fn leads_to(&self, name: RefName) -> Result<Option<RefName>, ProgramError> {
        Ok(match self.repository.stands_for(&name)? {
            StandsFor::Itself => Some(name),
            StandsFor::Other(last) => Some(last),
            StandsFor::Nothing => None,
        })
    }
}

/// Whether a working copy is in the middle of rebasing or bisecting a branch, by the files in the folder of its repository.
fn is_under_way(git_dir: &Path, branch: &RefName) -> bool {
    // Some of these files have the name in full, some do not.
    let names_it = |file: &str| {
        let text = std::fs::read(git_dir.join(file)).unwrap_or_default();
        let name = text.trim_ascii_end();
        let name = name.strip_prefix(b"refs/heads/").unwrap_or(name);
        branch.as_bytes().strip_prefix(b"refs/heads/") == Some(name)
    };
    let has = |file: &str| git_dir.join(file).exists();
    let rebases = match has("rebase-apply") {
        // Else it is mail that is being applied.
        true => !has("rebase-apply/applying") && names_it("rebase-apply/head-name"),
        false => names_it("rebase-merge/head-name"),
    };
    rebases || (has("BISECT_LOG") && names_it("BISECT_START"))
}

/// Where the files of a further working copy are, by the file in its folder that says where its `.git` is: from that
/// folder on, if the path is relative.
fn files_of(folder: &Path) -> Option<PathBuf> {
    let text = std::fs::read(folder.join("gitdir")).ok()?;
    let path = Path::new(OsStr::from_bytes(text.trim_ascii_end()));
    Some(folder.join(path).parent()?.to_owned())
}

/// Files that show a branch.
#[derive(Clone, Debug)]
pub(super) struct WorkingCopy {
    pub(super) git_dir: PathBuf,
    /// `None`: nobody knows where they are.
    pub(super) files: Option<PathBuf>,
}

fn options(config: &Config, nonce: Option<&Nonce>) -> Result<ReceiveOptions, ProgramError> {
    let mut options = ReceiveOptions::of_git();
    if let Some(seconds) = config.number("receive.keepalive")? {
        options.keepalive = keepalive(seconds);
    }
    let offer = &mut options.offer;
    offer.atomic = config.flag("receive.advertiseatomic")?.unwrap_or(true);
    offer.ofs_delta = config.flag("repack.usedeltabaseoffset")?.unwrap_or(true);
    offer.push_options = config
        .flag("receive.advertisepushoptions")?
        .unwrap_or(false);
    offer.certificate_nonce = nonce.map(Nonce::issued);
    offer.session_id = session_id(config)?;
    Ok(options)
}

/// `GIT_PUSH_OPTION_COUNT` and the options, which the client may not have been asked for.
pub(super) fn option_variables(options: &[Vec<u8>]) -> Vec<(String, OsString)> {
    let count = (
        "GIT_PUSH_OPTION_COUNT".to_owned(),
        options.len().to_string().into(),
    );
    let each = options.iter().enumerate().map(|(number, option)| {
        (
            format!("GIT_PUSH_OPTION_{number}"),
            OsString::from_vec(option.clone()),
        )
    });
    std::iter::once(count).chain(each).collect()
}

#[cfg(test)]
mod tests {
    use packhouse_testkit::git::init_bare;

    use super::*;

    #[test]
    fn a_push_may_be_of_any_size_but_within_limits() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.git");
        let git = init_bare(&path);
        let mut environment = Environment::default();
        environment.set("GIT_CONFIG_NOSYSTEM", "1");
        let open = || PushPlace::open(&path, &environment, "x".to_owned()).unwrap();
        let of_git = ReceiveLimits {
            small_objects: 99,
            ..ReceiveLimits::of_git()
        };
        assert_eq!(open().settings.limits, of_git);
        let options = open().options;
        assert_eq!(options.max_command_bytes, usize::MAX);
        let of_host = ReceiveLimits {
            small_objects: 99,
            ..ReceiveLimits::default()
        };
        assert_eq!(
            open().within(ReceiveLimits::default()).settings.limits,
            of_host
        );
        git.run(&["config", "receive.maxInputSize", "1k"]);
        let held = open().within(ReceiveLimits::default()).settings.limits;
        let of_both = ReceiveLimits {
            pack_bytes: 1 << 10,
            ..of_host
        };
        assert_eq!(held, of_both);
    }
}
