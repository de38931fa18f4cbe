//! One run of a command: which repository it works on, and what it tells on the side.

use std::env;
use std::fmt::Display;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use packhouse_repo::ref_text;
use packhouse_repo::store::{Create, Store, StoreOptions};
use serde::Serialize;

use super::failure::Failure;
use super::flags::{CreateFlag, DryRunFlag};
use super::output::{self, Format, FormatFlag};
use crate::ui::{Progress, Ui};

/// Where the repository is named if no option does; the first that is set counts.
const VARIABLES: [&str; 3] = ["PACKHOUSE_REPO", "GITSTORE_REPO", "VOST_REPO"];

/// Flags of every command, before or after its name.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct SessionFlags {
    /// The repository, a folder [env: PACKHOUSE_REPO, GITSTORE_REPO or VOST_REPO]
    #[arg(short, long, global = true, value_name = "PATH")]
    repo: Option<PathBuf>,
    /// Tell on stderr what is done
    #[arg(short, long, global = true)]
    verbose: bool,
}

/// A command under way.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    flags: SessionFlags,
    ui: Ui,
    pretends: Arc<AtomicBool>,
}

impl Session {
    /// A run with these flags.
    pub(crate) fn new(flags: SessionFlags, ui: Ui) -> Session {
        Session {
            flags,
            ui,
            pretends: Arc::default(),
        }
    }

    /// The repository's folder.
    ///
    /// # Errors
    ///
    /// Nobody says which.
    pub(crate) fn path(&self) -> Result<PathBuf, Failure> {
        let of_environment = || {
            let values = VARIABLES.iter().filter_map(env::var_os);
            values
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
                .next()
        };
        self.flags
            .repo
            .clone()
            .or_else(of_environment)
            .ok_or_else(|| {
                Failure::new("No repository specified. Use --repo or set GITSTORE_REPO.").hint(
                    "`-r data.git`, before the command or after it, names the folder data.git",
                )
            })
    }

    /// The store, which must exist.
    ///
    /// # Errors
    ///
    /// It does not, or cannot be opened.
    pub(crate) fn open(&self) -> Result<Store, Failure> {
        let path = self.path()?;
        let is_there = path.try_exists();
        if !is_there.map_err(|error| Failure::local(&path, &error))? {
            return Err(
                Failure::new(format!("Repository not found: {}", path.display()))
                    .hint("`init` makes one, and so do `write`, `cp`, `sync` and `archive_in`"),
            );
        }
        Ok(Store::open(path, StoreOptions::default())?)
    }

    /// Works on the store. One that is missing, or has no branch, is made with `branch` (or `main`) first, or not, as
    /// `missing` says. If the work fails, what was made goes again.
    ///
    /// # Errors
    ///
    /// As [`Session::open`], and those of the work.
    pub(crate) fn work<T>(
        &self,
        branch: Option<&str>,
        missing: Missing,
        work: impl FnOnce(&Store) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        match missing {
            Missing::Fails => work(&self.open()?),
            Missing::IsMade => {
                let branch_of_new = Some(branch.unwrap_or("main").to_owned());
                let create = Create::IfMissing {
                    branch: branch_of_new,
                };
                self.work_in(create, |store| match store.branches().is_empty()? {
                    true => self.work_on_first(store, branch, work),
                    false => work(store),
                })
            }
            Missing::CountsAsEmpty => {
                if self.is_missing()? {
                    return self.work_on_empty(Some(branch.unwrap_or("main").to_owned()), work);
                }
                let store = self.open()?;
                match store.branches().is_empty()? {
                    true => self.work_on_empty(Some(first_name(&store, branch)?), work),
                    false => work(&store),
                }
            }
        }
    }

    /// Works in a repository without branches, which gets its first.
    fn work_on_first<T>(
        &self,
        store: &Store,
        branch: Option<&str>,
        work: impl FnOnce(&Store) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let name = first_name(store, branch)?;
        let Some(first) = store.begin(&name)? else {
            return work(store);
        };
        self.tell(format_args!("Set branch {name}"));
        let done = work(store);
        match &done {
            Ok(_) => first.keep(),
            Err(_) => match first.take_back() {
                Ok(true) => self.tell(format_args!("Removed branch {name} again")),
                Ok(false) => {}
                Err(error) => warn(format_args!("WARNING: {name}: {error}")),
            },
        }
        done
    }

    /// Whether the repository would be made: nothing is there, or an empty folder.
    ///
    /// # Errors
    ///
    /// Nobody says which it is.
    pub(crate) fn is_missing(&self) -> Result<bool, Failure> {
        let path = self.path()?;
        Ok(match fs::read_dir(&path) {
            Ok(mut entries) => entries.next().is_none(),
            Err(error) => error.kind() == ErrorKind::NotFound,
        })
    }

    /// Works on a new repository that nobody else sees and that goes again, for a dry run.
    ///
    /// # Errors
    ///
    /// It cannot be made, and those of the work.
    pub(crate) fn work_on_empty<T>(
        &self,
        branch: Option<String>,
        work: impl FnOnce(&Store) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let failed = |error| {
            Failure::because("Could not make a temporary folder", &error)
                .hint("TMPDIR names the folder that it is made in")
        };
        let aside = tempfile::tempdir().map_err(failed)?;
        let create = Create::New { branch };
        self.pretends.store(true, Ordering::Relaxed);
        work(&Store::open(aside.path().join("git"), with(create))?)
    }

    /// Works on the store, made as `create` says. If the work fails, what was made goes again.
    ///
    /// # Errors
    ///
    /// It cannot be made or opened, and those of the work.
    pub(crate) fn work_in<T>(
        &self,
        create: Create,
        work: impl FnOnce(&Store) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let path = self.path()?;
        let (store, made) = Store::open_provisionally(&path, with(create))?;
        if made.is_new() {
            self.tell(format_args!("Initialized {}", path.display()));
        }
        let done = work(&store);
        match &done {
            Ok(_) => made.keep(),
            Err(_) => match made.take_back() {
                Ok(true) => self.tell(format_args!("Removed {} again", path.display())),
                Ok(false) => {}
                Err(error) => warn(format_args!("WARNING: {}: {error}", path.display())),
            },
        }
        done
    }

    /// Whether the work is on an empty store that stands for one that is missing, so that its commits are nobody's.
    pub(crate) fn pretends(&self) -> bool {
        self.pretends.load(Ordering::Relaxed)
    }

    /// A line on stderr under `-v`.
    pub(crate) fn tell(&self, text: impl Display) {
        if self.flags.verbose {
            warn(text);
        }
    }

    /// Whether results are wanted in our own JSON form.
    pub(crate) fn json(&self) -> bool {
        self.ui.json
    }

    /// Checks that standard output is not wanted for JSON, where it gets the bytes of `what`.
    ///
    /// # Errors
    ///
    /// It is wanted for both.
    pub(crate) fn check_stdout_is_free(&self, what: &str, instead: &str) -> Result<(), Failure> {
        match self.json() {
            true => Err(
                Failure::new(format!("Standard output cannot take both JSON and {what}"))
                    .hint(format!("leave out --json, or {instead}")),
            ),
            false => Ok(()),
        }
    }

    /// Shows what a command did that says nothing if all went well: its value, if one is wanted.
    ///
    /// # Errors
    ///
    /// It could not be written.
    pub(crate) fn report<T: Serialize>(&self, done: &T) -> Result<(), Failure> {
        match self.json() {
            true => output::value(Format::Json, done, |_| Ok(())),
            false => Ok(()),
        }
    }

    /// The form of a result.
    pub(crate) fn format(&self, flag: FormatFlag) -> Format {
        flag.or(self.ui.json)
    }

    /// Shows that work is under way, on a terminal; from now on Ctrl-C ends it in order.
    pub(crate) fn progress(&self, doing: &str) -> Progress {
        self.ui.progress(doing)
    }
}

/// What becomes of a command for which the repository is missing, or has no branches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// It fails.
    Fails,
    /// It makes it.
    IsMade,
    /// A dry run: it tells what would be done after making it.
    CountsAsEmpty,
}

impl Missing {
    /// As flags say it.
    pub(crate) fn of(create: CreateFlag, dry_run: DryRunFlag) -> Missing {
        match (create.no_create, dry_run.dry_run) {
            (true, _) => Missing::Fails,
            (false, true) => Missing::CountsAsEmpty,
            (false, false) => Missing::IsMade,
        }
    }
}

/// The first branch of a repository that has none: the one asked for, or the one that `HEAD` waits for.
fn first_name(store: &Store, branch: Option<&str>) -> Result<String, Failure> {
    if let Some(name) = branch {
        return Ok(name.to_owned());
    }
    let view = store.view()?;
    let head = view.head().as_bytes();
    let name = head.strip_prefix(b"refs/heads/").unwrap_or(b"main");
    Ok(ref_text(name))
}

fn with(create: Create) -> StoreOptions {
    StoreOptions {
        create,
        ..StoreOptions::default()
    }
}

/// A line on stderr.
pub(crate) fn warn(text: impl Display) {
    // Nobody is left to tell if stderr is closed.
    let _ = writeln!(std::io::stderr(), "{text}");
}
