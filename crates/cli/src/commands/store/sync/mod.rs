//! `sync`: makes one place the same as another, and keeps it so with `--watch`.

mod watch;

use std::ffi::OsString;
use std::fmt::Display;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use bstr::{BStr, BString, ByteSlice};
use clap::Args;
use packhouse_repo::store::{
    CopyBetween, ExcludeFilter, Snapshot, Store, StoreError, SyncIn, SyncOut, pause,
};

use super::changes::{self, Counted, Shown};
use super::cp::{check_no_commit, local_prefix};
use super::failure::Failure;
use super::flags::{BranchFlag, CommitFlags, CreateFlag, DryRunFlag, ExcludeFlags, SnapshotFlags};
use super::ref_path::{Place, RefPath};
use super::select;
use super::session::{Missing, Session, warn};

/// Shortest time that `--watch` may wait for changes to end.
const DEBOUNCE_MIN_MS: u64 = 100;

/// How often `--watch` tries again where somebody else is faster.
const RETRIES: u32 = 5;

/// Make a folder the same as another, on disk or in the repository
///
/// Files that the source does not have are deleted. With one argument, a local folder becomes the whole branch.
#[derive(Args, Debug)]
pub(crate) struct SyncArgs {
    /// The folder to copy from
    source: OsString,
    /// The folder to make the same [default: the root of the branch]
    dest: Option<OsString>,
    #[command(flatten)]
    branch: BranchFlag,
    #[command(flatten)]
    snapshot: SnapshotFlags,
    #[command(flatten)]
    commit: CommitFlags,
    #[command(flatten)]
    dry_run: DryRunFlag,
    #[command(flatten)]
    create: CreateFlag,
    #[command(flatten)]
    exclude: ExcludeFlags,
    /// Leave out what the `.gitignore` files of the source name
    #[arg(long)]
    gitignore: bool,
    /// Go on after files that cannot be copied
    #[arg(long)]
    ignore_errors: bool,
    /// Compare content of files that are older than the commit, too
    #[arg(short, long)]
    checksum: bool,
    /// Sync again whenever something changes, until Ctrl-C
    #[arg(long)]
    watch: bool,
    /// With --watch: how long nothing must change before syncing, in milliseconds (at least 100)
    #[arg(long, value_name = "MS", default_value_t = 2000)]
    debounce: u64,
}

/// Between which places.
enum Direction {
    ToStore(PathBuf, RefPath),
    ToDisk(RefPath, PathBuf),
    Within(RefPath, RefPath),
}

pub(crate) fn run(args: SyncArgs, session: &Session) -> Result<(), Failure> {
    let direction = direction(&args)?;
    check(&args, &direction)?;
    match &direction {
        Direction::ToStore(local, dest) => {
            // Read once, and before anything is made or a signal is waited for: it may be a pipe whose writer takes
            // its time, and is empty the second time.
            let exclude = args.exclude.filter(args.gitignore)?;
            let first = select::first_branch(dest, &args.branch);
            let missing = Missing::of(args.create, args.dry_run);
            session.work(first, missing, |store| {
                to_store(&args, session, store, local, dest, exclude)
            })
        }
        Direction::ToDisk(source, local) => to_disk(&args, session, source, local),
        Direction::Within(source, dest) => within(&args, session, source, dest),
    }
}

fn direction(args: &SyncArgs) -> Result<Direction, Failure> {
    let source = Place::parse(&args.source)?;
    let dest = match &args.dest {
        Some(dest) => Place::parse(dest)?,
        None => Place::Stored(RefPath::default()),
    };
    match (source, dest) {
        (Place::Local(local), Place::Stored(dest)) => Ok(Direction::ToStore(local.into(), dest)),
        (Place::Stored(source), Place::Local(local)) => Ok(Direction::ToDisk(source, local.into())),
        (Place::Stored(_), Place::Stored(_)) if args.dest.is_none() => {
            Err(Failure::new("sync of one argument takes a local folder")
                .hint("say where to copy to as well"))
        }
        (Place::Stored(source), Place::Stored(dest)) => Ok(Direction::Within(source, dest)),
        (Place::Local(_), Place::Local(_)) => Err(Failure::new("Neither argument is a repo path")
            .hint("begin paths in the repository with ':'")),
    }
}

fn check(args: &SyncArgs, direction: &Direction) -> Result<(), Failure> {
    let (from_disk, to_disk) = match direction {
        Direction::ToStore(..) => (true, false),
        Direction::ToDisk(..) => (false, true),
        Direction::Within(..) => (false, false),
    };
    match direction {
        Direction::ToStore(_, dest) => {
            select::check([dest], &args.branch, &SnapshotFlags::default())?;
        }
        Direction::ToDisk(source, _) => select::check([source], &args.branch, &args.snapshot)?,
        Direction::Within(source, dest) => {
            select::check([source], &args.branch, &args.snapshot)?;
            select::check([dest], &args.branch, &SnapshotFlags::default())?;
        }
    }
    let refused = [
        (
            from_disk && args.snapshot.any(),
            "--ref, --path, --match, --before and --back only apply when reading from repo",
        ),
        (
            !from_disk && args.exclude.any(),
            "--exclude and --exclude-from only apply when syncing from disk to repo",
        ),
        (
            !from_disk && args.gitignore,
            "--gitignore only applies when syncing from disk to repo",
        ),
        (
            args.watch && !from_disk,
            "--watch only applies when syncing from disk to repo",
        ),
        (
            args.watch && args.dry_run.dry_run,
            "--watch and --dry-run exclude each other",
        ),
        (
            args.watch && args.commit.tag.tag.is_some(),
            "--watch and --tag exclude each other",
        ),
        (
            args.debounce < DEBOUNCE_MIN_MS,
            "--debounce must be at least 100 ms",
        ),
    ];
    if to_disk {
        check_no_commit(&args.commit)?;
    }
    match refused.iter().find(|(refused, _)| *refused) {
        Some((_, why)) => Err(Failure::new(*why)),
        None => Ok(()),
    }
}

fn to_store(
    args: &SyncArgs,
    session: &Session,
    store: &Store,
    local: &Path,
    dest: &RefPath,
    exclude: Option<ExcludeFilter>,
) -> Result<(), Failure> {
    let dry_run = args.dry_run.dry_run;
    let branch = select::writable_branch(store, [dest], &args.branch)?;
    changes::check_tag(store, &args.commit.tag)?;
    let job = Job {
        args,
        store,
        branch: &branch,
        local,
        dest: dest.path.trim_end_with(|char| char == '/').into(),
        exclude,
    };
    // By the rule of what is missing everything goes, which a typing error should not do without a word.
    if !args.watch && is_missing(local) {
        warn_of_missing(local.display());
    }
    if args.watch {
        return watch::run(&job, session, Duration::from_millis(args.debounce));
    }
    let synced = job.sync(session)?;
    if !dry_run {
        changes::tag(session, store, &synced, &args.commit.tag)?;
    }
    let before = changes::stored_prefix(&job.dest);
    finish(session, &synced, before.as_ref(), dry_run)
}

/// A local folder and the folder of a branch that is to become the same.
struct Job<'a> {
    args: &'a SyncArgs,
    store: &'a Store,
    branch: &'a str,
    local: &'a Path,
    dest: BString,
    exclude: Option<ExcludeFilter>,
}

impl Job<'_> {
    /// Makes them the same, on the newest state of the branch.
    fn sync(&self, session: &Session) -> Result<Snapshot, Failure> {
        let progress = session.progress("syncing");
        let options = SyncIn {
            dry_run: self.args.dry_run.dry_run,
            // Between a look at the folder and its sync it may go.
            must_exist: self.args.watch,
            message: self.args.commit.message.clone(),
            ignore_errors: self.args.ignore_errors,
            // What is missed now is not looked for again until something changes.
            checksum: self.args.checksum || self.args.watch,
            keep_excluded: self.args.exclude.keep_excluded,
            exclude: self.exclude.clone(),
            parents: select::parents(self.store, &self.args.commit.parents)?,
            progress: Some(&progress),
        };
        let mut attempt = 0;
        loop {
            let tip = select::tip(self.store, self.branch)?;
            match tip.sync_in(self.local, &self.dest, &options) {
                // The change that is being synced is not told of again.
                Err(StoreError::Stale { .. }) if self.args.watch && attempt < RETRIES => {
                    thread::sleep(pause(attempt));
                    attempt += 1;
                }
                synced => return Ok(synced?),
            }
        }
    }
}

fn is_missing(local: &Path) -> bool {
    let found = fs::symlink_metadata(local);
    found.is_err_and(|error| error.kind() == ErrorKind::NotFound) && !local.as_os_str().is_empty()
}

fn warn_of_missing(place: impl Display) {
    warn(format_args!(
        "WARNING: {place}: not there, taken for an empty folder"
    ));
}

fn to_disk(
    args: &SyncArgs,
    session: &Session,
    source: &RefPath,
    local: &Path,
) -> Result<(), Failure> {
    let store = session.open()?;
    let snapshot = select::snapshot(&store, source, &args.branch, &args.snapshot)?;
    let progress = session.progress("syncing");
    let options = SyncOut {
        dry_run: args.dry_run.dry_run,
        ignore_errors: args.ignore_errors,
        checksum: args.checksum,
        progress: Some(&progress),
    };
    let path = source.path.trim_end_with(|char| char == '/');
    if !path.is_empty() && !snapshot.exists(path)? {
        warn_of_missing(format_args!("{}:{}", source.rev(), path.as_bstr()));
    }
    let synced = snapshot.sync_out(path, local, &options)?;
    drop(progress);
    let before = local_prefix(local);
    finish(session, &synced, before.as_ref(), args.dry_run.dry_run)
}

fn within(
    args: &SyncArgs,
    session: &Session,
    source: &RefPath,
    dest: &RefPath,
) -> Result<(), Failure> {
    let dry_run = args.dry_run.dry_run;
    let store = session.open()?;
    let branch = select::writable_branch(&store, [dest], &args.branch)?;
    changes::check_tag(&store, &args.commit.tag)?;
    let tip = select::tip(&store, &branch)?;
    let snapshot = select::snapshot(&store, source, &args.branch, &args.snapshot)?;
    let mut contents = BString::from(source.path.trim_end_with(|char| char == '/'));
    if !contents.is_empty() {
        contents.push(b'/');
    }
    let options = CopyBetween {
        delete: true,
        refuse_same: true,
        dry_run,
        message: args.commit.message.clone(),
        operation: Some("sync".to_owned()),
        parents: select::parents(&store, &args.commit.parents)?,
        ..CopyBetween::default()
    };
    let dest = dest.path.trim_end_with(|char| char == '/');
    let synced = tip.copy_from(&snapshot, &[contents], dest, &options)?;
    if !dry_run {
        changes::tag(session, &store, &synced, &args.commit.tag)?;
    }
    finish(session, &synced, BStr::new(":"), dry_run)
}

fn finish(
    session: &Session,
    synced: &Snapshot,
    before: &BStr,
    dry_run: bool,
) -> Result<(), Failure> {
    let shown = Shown {
        before,
        dry_run,
        done: "Synced",
        counted: Counted::All,
    };
    changes::finish(session, synced, &shown)
}
