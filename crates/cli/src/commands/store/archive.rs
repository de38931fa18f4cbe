//! `archive_out`, `archive_in` and their short forms: files as zip and tar archives.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::str::FromStr;

use bstr::BStr;
use clap::Args;
use packhouse_repo::store::{ArchiveFormat, ArchiveIn, Store, StoreError};
use serde::Serialize;

use super::changes::{self, Counted, Shown};
use super::failure::Failure;
use super::flags::{BranchFlag, CommitFlags, CreateFlag, DryRunFlag, SnapshotFlags};
use super::output::name_of;
use super::ref_path::RefPath;
use super::select;
use super::session::{Missing, Session};

/// Write the files of a commit to an archive
#[derive(Args, Debug)]
pub(crate) struct OutArgs {
    /// The archive, whose name says its format, or `-` for standard output
    file: OsString,
    #[command(flatten)]
    format: FormatFlag,
    #[command(flatten)]
    common: OutFlags,
}

/// Write the files of a commit to a zip archive
#[derive(Args, Debug)]
pub(crate) struct ZipArgs {
    /// The archive, or `-` for standard output
    file: OsString,
    #[command(flatten)]
    common: OutFlags,
}

/// Write the files of a commit to a tar archive, compressed as its name says
#[derive(Args, Debug)]
pub(crate) struct TarArgs {
    /// The archive, or `-` for standard output
    file: OsString,
    #[command(flatten)]
    common: OutFlags,
}

/// Take the files of an archive into the repository, in one commit
#[derive(Args, Debug)]
pub(crate) struct InArgs {
    /// The archive, whose name says its format, or `-` for standard input
    #[arg(default_value = "-")]
    file: OsString,
    #[command(flatten)]
    format: FormatFlag,
    #[command(flatten)]
    common: InFlags,
}

/// Take the files of a zip archive into the repository, in one commit
#[derive(Args, Debug)]
pub(crate) struct UnzipArgs {
    /// The archive, or `-` for standard input
    file: OsString,
    #[command(flatten)]
    common: InFlags,
}

/// Take the files of a tar archive into the repository, in one commit
#[derive(Args, Debug)]
pub(crate) struct UntarArgs {
    /// The archive, or `-` for standard input
    #[arg(default_value = "-")]
    file: OsString,
    #[command(flatten)]
    common: InFlags,
}

#[derive(Args, Clone, Copy, Debug)]
struct FormatFlag {
    /// zip, tar, tar.gz, tar.bz2, tar.xz or a short name; tar compressed as its name says [default: by its name]
    #[arg(long, value_name = "FORMAT")]
    format: Option<Kind>,
}

#[derive(Args, Debug)]
struct OutFlags {
    #[command(flatten)]
    branch: BranchFlag,
    #[command(flatten)]
    snapshot: SnapshotFlags,
}

#[derive(Args, Debug)]
struct InFlags {
    #[command(flatten)]
    branch: BranchFlag,
    #[command(flatten)]
    commit: CommitFlags,
    #[command(flatten)]
    dry_run: DryRunFlag,
    #[command(flatten)]
    create: CreateFlag,
}

/// What is said of a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Any tar: how it is compressed is in its name.
    Tar,
    Exactly(ArchiveFormat),
}

impl FromStr for Kind {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Kind, StoreError> {
        Ok(match text.parse()? {
            ArchiveFormat::Tar => Kind::Tar,
            format => Kind::Exactly(format),
        })
    }
}

/// An archive that was written.
#[derive(Serialize)]
struct Written {
    file: String,
    commit: String,
    count: u64,
}

pub(crate) fn archive_out(args: OutArgs, session: &Session) -> Result<(), Failure> {
    write(&args.file, args.format.format, &args.common, session)
}

pub(crate) fn zip(args: ZipArgs, session: &Session) -> Result<(), Failure> {
    write(&args.file, Some(ZIP), &args.common, session)
}

pub(crate) fn tar(args: TarArgs, session: &Session) -> Result<(), Failure> {
    write(&args.file, Some(Kind::Tar), &args.common, session)
}

pub(crate) fn archive_in(args: InArgs, session: &Session) -> Result<(), Failure> {
    read(&args.file, args.format.format, &args.common, session)
}

pub(crate) fn unzip(args: UnzipArgs, session: &Session) -> Result<(), Failure> {
    read(&args.file, Some(ZIP), &args.common, session)
}

pub(crate) fn untar(args: UntarArgs, session: &Session) -> Result<(), Failure> {
    read(&args.file, Some(Kind::Tar), &args.common, session)
}

const ZIP: Kind = Kind::Exactly(ArchiveFormat::Zip);

/// The format of an archive of this name.
fn format_of(file: &OsStr, kind: Option<Kind>) -> Result<ArchiveFormat, Failure> {
    let by_name = ArchiveFormat::from_path(Path::new(file));
    match (kind, by_name) {
        (Some(Kind::Exactly(format)), _) => Ok(format),
        (Some(Kind::Tar), Some(format)) if format != ArchiveFormat::Zip => Ok(format),
        (Some(Kind::Tar), _) => Ok(ArchiveFormat::Tar),
        (None, Some(format)) => Ok(format),
        (None, None) => Err(Failure::new(format!(
            "The format of '{}' is not known",
            file.display()
        ))
        .hint("say --format zip, tar, tar.gz, tar.bz2 or tar.xz")),
    }
}

fn write(
    file: &OsStr,
    kind: Option<Kind>,
    flags: &OutFlags,
    session: &Session,
) -> Result<(), Failure> {
    let format = format_of(file, kind)?;
    if file == "-" {
        session.check_stdout_is_free("the archive", "name a file in place of '-'")?;
    }
    let store = session.open()?;
    let snapshot = select::chosen(&store, &flags.branch, &flags.snapshot)?;
    let progress = session.progress("archiving");
    let count = if file == "-" {
        // Not locked: an encoder may write from another thread.
        let mut out = BufWriter::with_capacity(64 << 10, io::stdout());
        let count = snapshot.archive_out("", &mut out, format, &progress)?;
        out.flush()?;
        count
    } else {
        snapshot.archive_to_file("", Path::new(file), format, &progress)?
    };
    drop(progress);
    session.tell(format_args!("Archived {count} file(s)"));
    if file == "-" {
        return Ok(());
    }
    session.report(&Written {
        file: name_of(file.as_bytes()),
        commit: snapshot.commit().to_string(),
        count,
    })
}

fn read(
    file: &OsStr,
    kind: Option<Kind>,
    flags: &InFlags,
    session: &Session,
) -> Result<(), Failure> {
    let format = format_of(file, kind)?;
    let mut input: Box<dyn Read> = match file == "-" {
        true => Box::new(io::stdin().lock()),
        // Opened before the repository is made for it.
        false => Box::new(File::open(file).map_err(|error| Failure::local(file.as_ref(), &error))?),
    };
    let place = RefPath::default();
    let first = select::first_branch(&place, &flags.branch);
    let missing = Missing::of(flags.create, flags.dry_run);
    session.work(first, missing, |store| {
        take_in(&mut input, file, format, flags, session, store)
    })
}

fn take_in(
    input: &mut dyn Read,
    file: &OsStr,
    format: ArchiveFormat,
    flags: &InFlags,
    session: &Session,
    store: &Store,
) -> Result<(), Failure> {
    let branch = select::writable_branch(store, [&RefPath::default()], &flags.branch)?;
    changes::check_tag(store, &flags.commit.tag)?;
    let tip = select::tip(store, &branch)?;
    let progress = session.progress("unpacking");
    let dry_run = flags.dry_run.dry_run;
    let options = ArchiveIn {
        dry_run,
        message: flags.commit.message.clone(),
        parents: select::parents(store, &flags.commit.parents)?,
        ..ArchiveIn::default()
    };
    let taken = match tip.archive_in(input, format, &options, &progress) {
        Err(StoreError::Source(error)) => return Err(unreadable(file, &error)),
        taken => taken?,
    };
    drop(progress);
    if !dry_run {
        changes::tag(session, store, &taken, &flags.commit.tag)?;
    }
    let shown = Shown {
        before: BStr::new(":"),
        dry_run,
        done: "Imported",
        counted: Counted::Written,
    };
    changes::finish(session, &taken, &shown)
}

fn unreadable(file: &OsStr, error: &io::Error) -> Failure {
    let named = match file == "-" {
        true => "standard input".to_owned(),
        false => file.display().to_string(),
    };
    Failure::because(format_args!("Could not read {named}"), error)
        .hint("it must be a whole archive of this form; `archive_in --format` takes other forms")
}
