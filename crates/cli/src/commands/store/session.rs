//! One run of a command: which repository it works on, and what it tells on the side.

use std::env;
use std::fmt::Display;
use std::io::Write;
use std::path::PathBuf;

use packhouse_repo::ref_text;
use packhouse_repo::store::{Create, Store, StoreOptions};

use super::failure::Failure;
use super::output::{Format, FormatFlag};
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
}

impl Session {
    /// A run with these flags.
    pub(crate) fn new(flags: SessionFlags, ui: Ui) -> Session {
        Session { flags, ui }
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
                Failure::new("No repository specified. Use --repo or set GITSTORE_REPO.")
            })
    }

    /// The store, which must exist.
    ///
    /// # Errors
    ///
    /// It does not, or cannot be opened.
    pub(crate) fn open(&self) -> Result<Store, Failure> {
        let path = self.path()?;
        if !path.exists() {
            return Err(
                Failure::new(format!("Repository not found: {}", path.display()))
                    .hint("make one with `init`, or let a command that writes make it"),
            );
        }
        Ok(Store::open(path, StoreOptions::default())?)
    }

    /// Works on the store, which is made with `branch` (or `main`) if it is missing and may be, as is the first
    /// branch of one that has none. If the work fails, what was made goes again.
    ///
    /// # Errors
    ///
    /// As [`Session::open`], and those of the work.
    pub(crate) fn work<T>(
        &self,
        branch: Option<&str>,
        may_create: bool,
        work: impl FnOnce(&Store) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        if !may_create {
            return work(&self.open()?);
        }
        let create = Create::IfMissing {
            branch: Some(branch.unwrap_or("main").to_owned()),
        };
        self.work_in(create, |store| match store.branches().is_empty()? {
            true => self.work_on_first(store, branch, work),
            false => work(store),
        })
    }

    /// The same in a repository without branches, which gets its first: the one asked for, or the one that `HEAD` waits for.
    fn work_on_first<T>(
        &self,
        store: &Store,
        branch: Option<&str>,
        work: impl FnOnce(&Store) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let awaited = || {
            let view = store.view()?;
            let head = view.head().as_bytes();
            let name = head.strip_prefix(b"refs/heads/").unwrap_or(b"main");
            Ok::<_, Failure>(ref_text(name))
        };
        let name = branch.map_or_else(awaited, |name| Ok(name.to_owned()))?;
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

    /// The same, made as `create` says.
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

    /// The form of a result.
    pub(crate) fn format(&self, flag: FormatFlag) -> Format {
        flag.or(self.ui.json)
    }

    /// Shows that work is under way, on a terminal; from now on Ctrl-C ends it in order.
    pub(crate) fn progress(&self, doing: &str) -> Progress {
        self.ui.progress(doing)
    }
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
