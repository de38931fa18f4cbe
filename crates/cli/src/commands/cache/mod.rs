//! `packhouse cache`: a local cache of repositories and directories.

mod serve;
mod show;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::{Args, Subcommand};
use packhouse_client::SystemCredentials;
use packhouse_client::cache::{
    Cache, CacheConfig, CacheError, CacheStep, CallOptions, CancelToken, Cleared,
};

use self::show::{Listed, Made, Numbers, Shown};
use crate::error::CliError;
use crate::logging::LogFormat;
use crate::signals;
use crate::size::ByteSize;
use crate::ui::{Progress, Ui, count};

/// Keep local copies of repositories and directories
#[derive(Args, Debug)]
pub(crate) struct CacheArgs {
    #[command(flatten)]
    flags: CacheFlags,
    #[command(subcommand)]
    command: CacheCommand,
}

#[derive(Args, Debug)]
struct CacheFlags {
    /// The folder of the cache
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "PACKHOUSE_CACHE_ROOT",
        default_value = "./.metagit/.cache"
    )]
    root: PathBuf,
    /// How old a copy may get before it is stale, in minutes
    #[arg(
        long,
        global = true,
        value_name = "MINUTES",
        env = "PACKHOUSE_CACHE_TIMEOUT",
        default_value_t = 60,
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    timeout: u64,
    /// The most that the cache may take
    #[arg(
        long,
        global = true,
        value_name = "SIZE",
        env = "PACKHOUSE_CACHE_MAX_SIZE",
        default_value = "10GiB"
    )]
    max_size: ByteSize,
    /// Leave submodules out
    #[arg(long, global = true)]
    no_submodules: bool,
    /// Leave the pointers of Git LFS as they are
    #[arg(long, global = true)]
    no_lfs: bool,
    /// Leave out of directories what their .gitignore files say, also where there is no repository
    #[arg(long, global = true)]
    gitignore: bool,
    /// Leave out of directories what matches this pattern of .gitignore files (repeatable)
    #[arg(long, global = true, value_name = "PATTERN")]
    exclude: Vec<String>,
}

#[derive(Debug, Subcommand)]
enum CacheCommand {
    /// Copy a repository or directory, or bring the copy up to date, and print where it is
    Add {
        /// A URL, user@host:path, or a path of this machine
        source: String,
        /// The name of the entry [default: made of the source]
        #[arg(long)]
        name: Option<String>,
    },
    /// Print where a copy is
    Get {
        name: String,
    },
    /// List the entries
    List,
    /// Show the cache in numbers
    Stats,
    /// Bring an entry up to date
    Refresh {
        name: String,
    },
    /// Make a working tree at a commit, branch or tag, and print where it is
    Checkout {
        name: String,
        /// A branch, a tag, a whole name of a ref, the id of a commit, or HEAD
        revision: String,
    },
    /// Remove an entry with its checkouts, or one checkout by its id
    Remove {
        /// The entry
        #[arg(required_unless_present = "checkout")]
        name: Option<String>,
        /// The id of a checkout
        #[arg(long, value_name = "ID", conflicts_with = "name")]
        checkout: Option<String>,
    },
    /// Remove all entries
    Clear {
        /// Do not ask for this flag
        #[arg(long, short)]
        yes: bool,
    },
    /// Show an entry, and what its remote says now
    Details {
        name: String,
    },
    Serve(serve::ServeArgs),
}

/// Does what the line asks for.
pub(crate) fn run(args: CacheArgs, ui: Ui, log_format: Option<LogFormat>) -> Result<(), CliError> {
    let CacheArgs { flags, command } = args;
    if let CacheCommand::Clear { yes: false } = command {
        return Err(CliError::usage(
            "this would remove every entry of the cache",
            "call it with --yes if that is what is wanted",
        ));
    }
    let command = match command {
        CacheCommand::Serve(args) => return serve::run(args, config(flags), ui, log_format),
        command => command,
    };
    let cache = Cache::open(config(flags)).map_err(failure)?;
    match command {
        CacheCommand::Serve(_) => unreachable!("served above"),
        CacheCommand::Add { source, name } => {
            let doing = format!("caching {}", name.as_deref().unwrap_or("a copy"));
            let entry = work(ui, doing, |call| cache.add(&source, name.as_deref(), call))?;
            ui.show(&Shown::of(&entry), |out| {
                writeln!(out, "{}", entry.cache_path.display())
            })
        }
        CacheCommand::Get { name } => {
            let entry = cache.get(&name).map_err(failure)?;
            ui.show(&Shown::of(&entry), |out| {
                writeln!(out, "{}", entry.cache_path.display())
            })
        }
        CacheCommand::Refresh { name } => {
            let doing = format!("refreshing {name}");
            let entry = work(ui, doing, |call| cache.refresh(&name, call))?;
            ui.show(&Shown::of(&entry), |out| {
                writeln!(out, "{}", entry.cache_path.display())
            })
        }
        CacheCommand::List => {
            let entries = cache.list().map_err(failure)?;
            let listed = Listed::of(&entries);
            ui.show(&listed, |out| listed.write(out))
        }
        CacheCommand::Stats => {
            let numbers = Numbers::of(&cache.stats().map_err(failure)?);
            ui.show(&numbers, |out| numbers.write(out))
        }
        CacheCommand::Checkout { name, revision } => {
            let doing = format!("checking out {revision}");
            let made = work(ui, doing, |call| cache.checkout(&name, &revision, call))?;
            ui.show(&Made::of(&made), |out| {
                writeln!(out, "{}", made.path.display())
            })
        }
        CacheCommand::Remove { name, checkout } => {
            if let Some(id) = checkout {
                cache.remove_checkout(&id).map_err(failure)?;
            }
            if let Some(name) = name {
                work(ui, format!("removing {name}"), |call| {
                    cache.remove(&name, call)
                })?;
            }
            Ok(())
        }
        CacheCommand::Clear { .. } => {
            let cleared = work(ui, "clearing the cache".to_owned(), |call| {
                cache.clear(call)
            })?;
            let Cleared { removed, in_use } = &cleared;
            let shown = serde_json::json!({ "removed": removed, "in_use": in_use });
            ui.show(&shown, |out| {
                let what = if *removed == 1 { "entry" } else { "entries" };
                writeln!(out, "removed {removed} {what}")?;
                in_use
                    .iter()
                    .try_for_each(|what| writeln!(out, "still there: {what}"))
            })
        }
        CacheCommand::Details { name } => {
            let details = work(ui, format!("asking about {name}"), |call| {
                cache.details(&name, call)
            })?;
            let shown = show::Detailed::of(&details);
            ui.show(&shown, |out| shown.write(out))
        }
    }
}

fn config(flags: CacheFlags) -> CacheConfig {
    let mut config = CacheConfig::at(flags.root);
    config.timeout = Duration::from_secs(flags.timeout.saturating_mul(60));
    config.max_bytes = flags.max_size.0;
    config.submodules = !flags.no_submodules;
    config.lfs = !flags.no_lfs;
    config.ignore.gitignore = flags.gitignore.then_some(true);
    config.ignore.patterns = flags.exclude;
    config.credentials = vec![Arc::new(SystemCredentials::default())];
    config
}

/// Does work that takes its time: with progress on a terminal, until it is done or Ctrl-C ends it.
fn work<T>(
    ui: Ui,
    doing: String,
    call: impl FnOnce(&CallOptions<'_>) -> Result<T, CacheError>,
) -> Result<T, CliError> {
    let progress = ui.progress(doing);
    let (token, done) = (CancelToken::new(), AtomicBool::new(false));
    let step = |step: CacheStep, n: u64, total: Option<u64>| tell(&progress, step, n, total);
    let options = CallOptions {
        cancel: Some(&token),
        progress: Some(&step),
    };
    let result = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                if signals::stopped() {
                    token.cancel();
                }
                std::thread::park_timeout(Duration::from_millis(50));
            }
        });
        let result = call(&options);
        done.store(true, Ordering::SeqCst);
        result
    });
    drop(progress);
    result.map_err(failure)
}

fn tell(progress: &Progress, step: CacheStep, n: u64, total: Option<u64>) {
    let what = match step {
        CacheStep::Waiting => "waiting for another call",
        CacheStep::Asking => "asking the remote",
        CacheStep::Receiving => "reading object",
        CacheStep::Resolving => "resolving delta",
        CacheStep::CheckingOut => "writing file",
        CacheStep::LargeFiles => "getting large file",
        CacheStep::Copying => "copying file",
    };
    progress.step(what, n, total);
}

/// What failed, and what to do about it.
fn failure(error: CacheError) -> CliError {
    let hint = match &error {
        CacheError::NotFound { name } if is_id(name) => {
            "`packhouse cache list` shows what there is; `packhouse cache remove --checkout ID` removes a checkout"
        }
        CacheError::NotFound { .. } => "`packhouse cache list` shows what there is",
        CacheError::NoSuchRevision { .. } => {
            "a revision is a branch, a tag, the whole name of a ref, the id of a commit, or HEAD"
        }
        CacheError::Missing { .. } => "`packhouse cache refresh` makes the copy again",
        CacheError::Occupied { .. } => {
            "once it is moved away, `packhouse cache refresh` makes the copy of an entry again"
        }
        CacheError::InvalidSource { .. } => {
            "a source is a URL, user@host:path, or a directory outside the cache"
        }
        CacheError::InvalidName { .. } => "a name is one folder: letters, digits, `-`, `_`, `.`",
        CacheError::AuthenticationFailed { .. } => {
            "credentials come from `git credential` and `gh auth`; check that they know the server"
        }
        CacheError::RepositoryNotFound { .. } => {
            "check the URL; a private repository looks the same without credentials"
        }
        CacheError::Submodule { .. } => {
            "`--no-submodules` copies the rest; a private submodule looks the same without credentials"
        }
        CacheError::Changing { .. } => {
            "call it again once nothing writes there, or leave that out by --exclude; a copy that is there already stays as it is"
        }
        CacheError::Full { .. } => "raise --max-size, or remove entries and checkouts",
        CacheError::Damaged { .. } => {
            "call it again: the catalog is mended when the cache is opened"
        }
        CacheError::NoSpace { .. } => {
            "make room on the disk, then try again; `packhouse cache remove` and `clear` work on a full one"
        }
        CacheError::InUse { .. } => {
            "try again when that process is done, or end it; entries that are not in use can be removed meanwhile"
        }
        CacheError::Cancelled => "nothing half-written was left behind; call it again to go on",
        error if error.is_lasting() => {
            "a copy that is there already stays as it is; to try again is of no use before the source is another"
        }
        _ => "a copy that is there already stays as it is; try again later",
    };
    match error {
        CacheError::InvalidName { .. } | CacheError::InvalidSource { .. } => {
            CliError::usage(error, hint)
        }
        error => CliError::failure(error, hint),
    }
}

/// Whether it looks like the id of a checkout.
fn is_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

impl Numbers {
    fn write(&self, out: &mut dyn std::io::Write) -> std::io::Result<()> {
        let entries = match self.total_entries {
            1 => "1 entry".to_owned(),
            n => format!("{n} entries"),
        };
        writeln!(
            out,
            "{entries}: {} fresh, {} stale, {} missing, {}",
            self.fresh_entries,
            self.stale_entries,
            self.missing_entries,
            count(self.error_entries, "error")
        )?;
        writeln!(
            out,
            "{} of {}",
            crate::ui::human_bytes(self.total_size_bytes),
            crate::ui::human_bytes(self.max_size_bytes)
        )
    }
}

#[cfg(test)]
mod tests {
    use packhouse_client::remote::RemoteError;

    use super::*;

    #[test]
    fn hints_are_of_use_for_what_failed() {
        let url = || "/srv/source".to_owned();
        let id = "0123456789abcdef".repeat(2);
        let shallow = || CacheError::Remote(Arc::new(RemoteError::Shallow { url: url() }));
        let silent = CacheError::Remote(Arc::new(RemoteError::TimedOut { url: url() }));
        let module = CacheError::Submodule {
            name: "lib".to_owned(),
            path: PathBuf::from("lib"),
            source: Arc::new(shallow()),
        };
        let changing = CacheError::Changing {
            path: PathBuf::from("log"),
            reason: "it changes while it is copied",
        };
        let unknown = CacheError::NoSuchRevision {
            revision: "x".to_owned(),
            name: "source".to_owned(),
        };
        for (error, expected) in [
            (CacheError::NotFound { name: id }, "remove --checkout ID"),
            (
                CacheError::NotFound { name: url() },
                "`packhouse cache list`",
            ),
            (unknown, "a revision is a branch, "),
            (shallow(), "to try again is of no use"),
            (silent, "try again later"),
            (module, "--no-submodules"),
            (changing, "--exclude"),
        ] {
            let shown = failure(error).to_string();
            let (_, hint) = shown.split_once("\nhint: ").unwrap();
            assert!(hint.contains(expected), "{shown}");
        }
    }
}
