//! `cp`: copies files and folders between disk and store, and within the store.

mod from_disk;
mod to_disk;
mod within;

pub(crate) use to_disk::local_prefix;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use bstr::{BString, ByteSlice};
use clap::{Args, ValueEnum};
use packhouse_repo::store::FileType;

use super::failure::Failure;
use super::flags::{
    BranchFlag, CommitFlags, CreateFlag, DryRunFlag, ExcludeFlags, GlobFlag, SnapshotFlags,
};
use super::ref_path::{Place, RefPath};
use super::select;
use super::session::Session;

/// Copy files and folders between disk and repository, or within it
///
/// The last path is where to copy to. Paths of the repository begin with `:` or `ref:`. A source that ends in `/` stands
/// for what is in the folder; `base/./rest` keeps `rest` below the destination. One file is copied to exactly the
/// destination, unless that is a folder.
#[derive(Args, Debug)]
pub(crate) struct CpArgs {
    /// What to copy, then where to
    #[arg(required = true, value_name = "SRC|DEST")]
    paths: Vec<OsString>,
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
    glob: GlobFlag,
    /// What files become [default: as on disk]
    #[arg(long = "type", value_enum, value_name = "TYPE")]
    file_type: Option<KindFlag>,
    /// The same in older versions
    #[arg(long, value_enum, hide = true, conflicts_with = "file_type")]
    mode: Option<ModeFlag>,
    /// Copy what symbolic links name, and not the links
    #[arg(long)]
    follow_symlinks: bool,
    /// Leave files alone that are there
    #[arg(long)]
    ignore_existing: bool,
    /// Delete files at the destination that the source does not have
    #[arg(long)]
    delete: bool,
    #[command(flatten)]
    exclude: ExcludeFlags,
    /// Go on after files that cannot be copied
    #[arg(long)]
    ignore_errors: bool,
    /// Compare content of files that are older than the commit, too
    #[arg(short, long)]
    checksum: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum KindFlag {
    Blob,
    Executable,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ModeFlag {
    #[value(name = "644")]
    Plain,
    #[value(name = "755")]
    Executable,
}

pub(crate) fn run(args: CpArgs, session: &Session) -> Result<(), Failure> {
    let mut sources = args
        .paths
        .iter()
        .map(|path| Place::parse(path))
        .collect::<Result<Vec<_>, _>>()?;
    let dest = sources.pop().filter(|_| !sources.is_empty());
    let dest = dest.ok_or_else(|| {
        Failure::new("cp requires at least two arguments (SRC... DEST)")
            .hint("as in `cp site :www`, or `cp :www copy`")
    })?;
    let (mut local, mut stored) = (Vec::new(), Vec::new());
    for source in sources {
        match source {
            Place::Local(path) => local.push(path),
            Place::Stored(place) => stored.push(place),
        }
    }
    check(&args, &stored, &dest)?;
    match (local.is_empty(), stored.is_empty(), dest) {
        (false, false, _) => Err(
            Failure::new("Mixed local and repo sources are not supported")
                .hint("use one cp for each kind"),
        ),
        (_, true, Place::Stored(dest)) => from_disk::run(&args, session, local, &dest),
        (true, _, Place::Local(dest)) => to_disk::run(&args, session, &stored, dest.into()),
        (true, _, Place::Stored(dest)) => within::run(&args, session, &stored, &dest),
        (_, true, Place::Local(_)) => Err(Failure::new("Neither sources nor DEST is a repo path")
            .hint("begin paths in the repository with ':'")),
    }
}

/// Checks what the arguments and options say together.
fn check(args: &CpArgs, stored: &[RefPath], dest: &Place) -> Result<(), Failure> {
    let dest = match dest {
        Place::Stored(dest) => Some(dest),
        Place::Local(_) => None,
    };
    if let Some(dest) = dest {
        // The destination is in a branch and not in the past: filters are about the sources.
        select::check([dest], &args.branch, &SnapshotFlags::default())?;
    }
    let flags = &args.snapshot;
    select::check(stored, &args.branch, flags)?;
    let from_disk = stored.is_empty();
    let refused = [
        (
            from_disk && flags.any(),
            "--ref, --path, --match, --before and --back only apply when reading from repo",
        ),
        (
            !from_disk && args.exclude.any(),
            "--exclude and --exclude-from only apply when copying from disk to repo",
        ),
        (
            !from_disk && args.follow_symlinks,
            "--follow-symlinks only applies when copying from disk to repo",
        ),
        (
            !from_disk && args.file_type().is_some(),
            "--type only applies when copying from disk to repo",
        ),
    ];
    if dest.is_none() {
        check_no_commit(&args.commit)?;
    }
    match refused.iter().find(|(refused, _)| *refused) {
        Some((_, why)) => Err(Failure::new(*why)),
        None => Ok(()),
    }
}

impl CpArgs {
    fn file_type(&self) -> Option<FileType> {
        match (self.file_type, self.mode) {
            (Some(KindFlag::Blob), _) | (_, Some(ModeFlag::Plain)) => Some(FileType::Blob),
            (Some(KindFlag::Executable), _) | (_, Some(ModeFlag::Executable)) => {
                Some(FileType::Executable)
            }
            (None, None) => None,
        }
    }
}

/// Refuses what is said of a commit where none is made: copies to disk.
pub(crate) fn check_no_commit(flags: &CommitFlags) -> Result<(), Failure> {
    match flags.given() {
        Some(flag) => Err(
            Failure::new(format!("{flag} only applies when writing to repo"))
                .hint(format!("leave out {flag}: a copy to disk makes no commit")),
        ),
        None => Ok(()),
    }
}

/// Whether a source names a part of its path that is kept: `base/./rest`.
fn has_pivot(path: &[u8]) -> bool {
    path.find(b"/./").is_some_and(|at| at > 0)
}

/// The last part of a path.
fn basename(path: &OsStr) -> BString {
    let path = path.as_bytes().trim_end_with(|char| char == '/');
    let start = path.rfind_byte(b'/').map_or(0, |slash| slash + 1);
    path[start..].into()
}

/// The failure of `--delete` for a file.
fn delete_needs_a_folder() -> Failure {
    Failure::new("Cannot use --delete with a single file source")
        .hint("end the source with '/' to copy what is in a folder")
}
