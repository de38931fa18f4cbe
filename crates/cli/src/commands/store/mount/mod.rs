//! `mount`: a commit as a read-only folder, through FUSE.
//!
//! What is mounted is one commit; it does not change when the branch moves on, so that the kernel may keep what it has
//! read for as long as it likes.

mod filesystem;
mod inodes;

use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use clap::Args;
use fuser::{Config, MountOption, Session as FuseSession, SessionACL};
use serde::Serialize;

use self::filesystem::Files;
use super::failure::Failure;
use super::flags::{BranchFlag, SnapshotFlags};
use super::output::{self, name_of};
use super::select;
use super::session::{Session, warn};
use crate::error::{FAILURE, SUCCESS};
use crate::signals::StopRequests;

/// What the process in the background says when the folder is there, before the commit.
const READY: &str = "mounted";

/// Threads that answer the kernel.
const THREADS: usize = 4;

/// How often a signal is looked for, and unmounting tried again.
const LOOK: Duration = Duration::from_millis(100);

/// Mount a commit as a read-only folder (FUSE)
///
/// It goes on in the background until `umount` or `fusermount3 -u`; with -f, until Ctrl-C.
#[derive(Args, Debug)]
pub(crate) struct MountArgs {
    /// An empty folder
    mountpoint: PathBuf,
    #[command(flatten)]
    branch: BranchFlag,
    #[command(flatten)]
    snapshot: SnapshotFlags,
    /// Stay in the foreground
    #[arg(short, long)]
    foreground: bool,
    /// Show what the kernel asks, and stay in the foreground
    #[arg(long)]
    debug: bool,
    /// Answer one request after the other
    #[arg(long)]
    nothreads: bool,
    /// Let other users read it too
    #[arg(long)]
    allow_other: bool,
    /// Say on standard output when the folder is there
    #[arg(long, hide = true)]
    announce: bool,
}

/// What was mounted.
#[derive(Serialize)]
struct Mounted {
    mountpoint: String,
    commit: String,
}

pub(crate) fn run(args: MountArgs, session: &Session) -> Result<u8, Failure> {
    const HINT: &str = "name an empty folder; `mkdir` makes one";
    let failed = |error| Failure::local(&args.mountpoint, &error).hint(HINT);
    let metadata = fs::metadata(&args.mountpoint).map_err(failed)?;
    if !metadata.is_dir() {
        let why = format!("Not a directory: {}", args.mountpoint.display());
        return Err(Failure::new(why).hint(HINT));
    }
    // What is there could not be reached any more: in the worst case the repository, by which the mount itself reads.
    let mut entries = fs::read_dir(&args.mountpoint).map_err(failed)?;
    if entries.next().transpose().map_err(failed)?.is_some() {
        let folder = args.mountpoint.display();
        let why = format!("Cannot mount {folder}: the folder is not empty");
        return Err(Failure::new(why).hint(HINT));
    }
    if !Path::new("/dev/fuse").exists() && cfg!(target_os = "linux") {
        return Err(Failure::new("Cannot mount: this system has no /dev/fuse")
            .hint("load the kernel's fuse module, or copy files out with cp"));
    }
    let store = session.open()?;
    let snapshot = select::chosen(&store, &args.branch, &args.snapshot)?;
    if !args.foreground && !args.debug && !args.announce {
        return in_background(&args.mountpoint, session);
    }
    // Files belong to whoever mounts them.
    let owner = fs::metadata("/proc/self").unwrap_or(metadata);
    let commit = snapshot.commit().to_string();
    let files = Files::new(snapshot, (owner.uid(), owner.gid()), args.debug);
    let mut config = Config::default();
    config.mount_options = vec![
        MountOption::RO,
        MountOption::FSName("packhouse".to_owned()),
        MountOption::NoSuid,
        MountOption::NoDev,
    ];
    config.acl = match args.allow_other {
        true => SessionACL::All,
        false => SessionACL::Owner,
    };
    config.n_threads = Some(if args.nothreads { 1 } else { THREADS });
    // As it is called now: where it is mounted, names on the way may change.
    let folder = args.mountpoint.canonicalize().map_err(failed)?;
    // Before it is mounted, so that no signal leaves a folder behind that nobody answers for.
    let stops = StopRequests::listen()
        .map_err(|error| Failure::because("Could not listen for signals", &error))?;
    let fuse = FuseSession::new(files, &folder, &config).map_err(|error| {
        Failure::because(
            format_args!("Cannot mount {}", args.mountpoint.display()),
            &error,
        )
        .hint("only root mounts without the fusermount3 program")
    })?;
    session.tell(format_args!("Mounted {}", args.mountpoint.display()));
    if args.announce {
        let mut out = output::stdout();
        writeln!(out, "{READY} {commit}")?;
        out.flush()?;
    } else {
        session.report(&mounted(&args.mountpoint, &commit))?;
    }
    answer(fuse, &folder, &args.mountpoint, &stops)
}

/// Answers the kernel until `folder`, called `name`, is unmounted: by others, or at a signal. Where it is in use then,
/// that is once nobody uses it, or at the next signal.
fn answer(
    mut fuse: FuseSession<Files>,
    folder: &Path,
    name: &Path,
    stops: &StopRequests,
) -> Result<u8, Failure> {
    let mut unmounter = fuse.unmount_callable();
    let (end, ended) = mpsc::channel();
    thread::spawn(move || {
        // Nobody waits for it any more after a second signal.
        let _ = end.send(fuse.run());
    });
    let mut is_asked = false;
    // What came of trying to unmount it.
    let mut tried = Ok(());
    loop {
        match ended.recv_timeout(LOOK) {
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(Failure::new("The mount broke off")),
            Ok(done) => {
                return done
                    .map(|()| SUCCESS)
                    .map_err(|error| Failure::because("The mount broke off", &error));
            }
        }
        match stops.another() {
            Some(status) if is_asked => {
                // Whoever uses it still has what is open, of which nothing can be read any more.
                if tried.is_err() {
                    let _ = unmount(folder, true);
                }
                return Ok(status);
            }
            Some(_) => {
                is_asked = true;
                tried = unmounter.unmount();
                if is_busy(&tried) {
                    let name = name.display();
                    warn(format_args!(
                        "WARNING: {name} is in use: it is unmounted once nobody uses it; a second Ctrl-C takes it away \
                         at once"
                    ));
                }
            }
            // Of other errors nothing is to be expected: someone else may have been faster.
            None if is_busy(&tried) => tried = unmount(folder, false),
            None => {}
        }
    }
}

fn is_busy(tried: &io::Result<()>) -> bool {
    matches!(tried, Err(error) if error.kind() == ErrorKind::ResourceBusy)
}

/// Unmounts a folder: even one that is in use, if `at_once`.
#[cfg(target_os = "linux")]
fn unmount(folder: &Path, at_once: bool) -> io::Result<()> {
    use rustix::mount::UnmountFlags;
    let flags = match at_once {
        true => UnmountFlags::DETACH,
        false => UnmountFlags::empty(),
    };
    Ok(rustix::mount::unmount(folder, flags)?)
}

/// Unmounts a folder: even one that is in use, if `at_once`.
#[cfg(not(target_os = "linux"))]
fn unmount(folder: &Path, at_once: bool) -> io::Result<()> {
    let mut command = Command::new("umount");
    if at_once {
        command.arg("-f");
    }
    let done = command.arg(folder).stderr(Stdio::null()).status()?;
    match done.success() {
        true => Ok(()),
        false => Err(ErrorKind::ResourceBusy.into()),
    }
}

fn mounted(mountpoint: &Path, commit: &str) -> Mounted {
    Mounted {
        mountpoint: name_of(mountpoint.as_os_str().as_bytes()),
        commit: commit.to_owned(),
    }
}

/// Runs the same command again, as a process that stays, and returns once the folder is there.
fn in_background(mountpoint: &Path, session: &Session) -> Result<u8, Failure> {
    let failed = |error: std::io::Error| Failure::because("Could not start a process", &error);
    let mut words = env::args_os();
    let mut command = Command::new(env::current_exe().map_err(failed)?);
    if let Some(name) = words.next() {
        command.arg0(name);
    }
    let mut process = command
        .args(words)
        .arg("--announce")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // Not ours: whoever waits for the end of our output must not wait for the process that stays.
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(failed)?;
    let mut line = String::new();
    if let Some(out) = process.stdout.take() {
        BufReader::new(out).read_line(&mut line).map_err(failed)?;
    }
    if let Some(commit) = line.trim_end().strip_prefix(READY) {
        session.tell(format_args!("Mounted {}", mountpoint.display()));
        session.report(&mounted(mountpoint, commit.trim_start()))?;
        return Ok(SUCCESS);
    }
    let mut said = String::new();
    if let Some(mut err) = process.stderr.take() {
        err.read_to_string(&mut said).map_err(failed)?;
    }
    warn(said.trim_end());
    let status = process.wait().map_err(failed)?;
    Err(Failure::silent(match status.code() {
        Some(0) | None => FAILURE,
        Some(code) => code.try_into().unwrap_or(FAILURE),
    }))
}
