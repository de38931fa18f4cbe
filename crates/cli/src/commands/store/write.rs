//! `write`: standard input into a file.

use std::ffi::OsString;
use std::io::{self, Cursor, Read, Write};
use std::thread;

use bstr::BStr;
use clap::Args;
use packhouse_object::ObjectId;
use packhouse_repo::store::{
    CommitOptions, Edits, FileType, NewContent, Snapshot, Store, StoreError, normalize_file, pause,
};

use super::changes::{self, Counted, Shown};
use super::failure::Failure;
use super::flags::{BranchFlag, CommitFlags, CreateFlag, DryRunFlag, SnapshotFlags};
use super::ref_path::RefPath;
use super::select;
use super::session::{Missing, Session};
use super::until_stopped::UntilStopped;

/// Input up to this size is kept in memory and written again if someone else is faster.
const KEPT_BYTES: u64 = 1 << 20;

/// How often a write is tried again.
const RETRIES: u32 = 5;

/// Write standard input to a file
#[derive(Args, Debug)]
pub(crate) struct WriteArgs {
    /// The file
    path: OsString,
    #[command(flatten)]
    branch: BranchFlag,
    #[command(flatten)]
    commit: CommitFlags,
    #[command(flatten)]
    create: CreateFlag,
    /// Copy the input to standard output as well
    #[arg(short, long)]
    passthrough: bool,
}

pub(crate) fn run(args: WriteArgs, session: &Session) -> Result<(), Failure> {
    let place = RefPath::parse(&args.path)?;
    select::check([&place], &args.branch, &SnapshotFlags::default())?;
    let path = normalize_file(&place.path)?;
    if args.passthrough {
        session.check_stdout_is_free("a copy of the input", "leave out --passthrough")?;
    }
    let first = select::first_branch(&place, &args.branch);
    let missing = Missing::of(args.create, DryRunFlag::default());
    session.work(first, missing, |store| {
        write(&args, session, store, &place, path.as_ref())
    })
}

fn write(
    args: &WriteArgs,
    session: &Session,
    store: &Store,
    place: &RefPath,
    path: &BStr,
) -> Result<(), Failure> {
    let branch = select::writable_branch(store, [place], &args.branch)?;
    changes::check_tag(store, &args.commit.tag)?;
    let target = Target {
        store,
        branch: &branch,
        path,
        options: CommitOptions {
            message: args.commit.message.clone(),
            parents: select::parents(store, &args.commit.parents)?,
            ..CommitOptions::default()
        },
    };
    let stdin = io::stdin().lock();
    let written = match args.passthrough {
        true => target.write(Tee { from: stdin })?,
        false => target.write(stdin)?,
    };
    changes::tag(session, store, &written, &args.commit.tag)?;
    let shown = Shown {
        before: BStr::new(":"),
        dry_run: false,
        done: "Wrote",
        counted: Counted::Written,
    };
    changes::finish(session, &written, &shown)
}

/// Where to write.
struct Target<'a> {
    store: &'a Store,
    branch: &'a str,
    path: &'a BStr,
    options: CommitOptions,
}

impl Target<'_> {
    /// Writes all of `input`.
    fn write(&self, mut input: impl Read) -> Result<Snapshot, Failure> {
        let mut head = Vec::new();
        let kept = input.by_ref().take(KEPT_BYTES + 1).read_to_end(&mut head);
        kept.map_err(unreadable)?;
        if head.len() as u64 <= KEPT_BYTES {
            return Ok(self.write_again(head)?);
        }
        // The input can be read once only, so that it is stored before the branch is looked at.
        let mut edits = Edits::new(self.store);
        let mut input = UntilStopped::new(Cursor::new(head).chain(input));
        let id: ObjectId = match edits.sink.add_reader(&mut input, None) {
            Err(StoreError::Source(error)) => return Err(unreadable(error)),
            id => id?,
        };
        edits.set(self.path, FileType::Blob, id)?;
        Ok(self.commit(edits)?)
    }

    /// Writes `data`, and again if someone else is faster.
    fn write_again(&self, data: Vec<u8>) -> Result<Snapshot, StoreError> {
        let mut attempt = 0;
        loop {
            let mut edits = Edits::new(self.store);
            edits.put(self.path, NewContent::Bytes(data.clone()), None)?;
            match self.commit(edits) {
                Err(StoreError::Stale { .. }) if attempt < RETRIES => {
                    thread::sleep(pause(attempt));
                    attempt += 1;
                }
                done => return done,
            }
        }
    }

    /// Commits on the newest state. Other writers of this kind wait meanwhile; only `git` and its like do not.
    fn commit(&self, edits: Edits) -> Result<Snapshot, StoreError> {
        let _turn = self.store.exclusive()?;
        let tip = self.store.branches().get(self.branch)?;
        tip.commit_edits(edits, self.options.clone())
    }
}

fn unreadable(error: io::Error) -> Failure {
    Failure::because("Could not read standard input", &error)
        .hint("give it a file (`< FILE`), or the output of a command (`COMMAND |`)")
}

/// Reads, and shows what it has read.
struct Tee<R> {
    from: R,
}

impl<R: Read> Read for Tee<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let len = self.from.read(out)?;
        let mut shown = io::stdout().lock();
        match shown.write_all(&out[..len]).and_then(|()| shown.flush()) {
            // What is written does not depend on who watches.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
            _ => Ok(len),
        }
    }
}
