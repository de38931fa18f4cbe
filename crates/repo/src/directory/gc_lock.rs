//! The lock that `git gc` takes, so that only one process at a time gathers and removes objects.
//!
//! `gc.pid` names the process that holds it. As Git has it, it does not count once it is twelve
//! hours old, or when its process is gone from this machine.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use packhouse_object::ProcessMark;
use rustix::process::{Pid, test_kill_process};

use super::backend::Directory;
use super::before_boot::Boot;
use super::error::DirectoryError;
use super::patience::Patience;

/// A lock older than this is forgotten, as in Git.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(12 * 3600);

/// So long one of which nothing is known may be at whatever it was told to do.
const LATELY: Duration = Duration::from_secs(3600);

/// The lock of the lock is older than this only if its maker is gone.
const ABANDONED_AFTER: Duration = Duration::from_secs(3);

/// The lock, held until this is dropped.
#[derive(Debug)]
pub(crate) struct GcLock {
    path: PathBuf,
    content: Vec<u8>,
    made_in: ProcessMark,
}

/// Who holds a lock.
struct Holder {
    pid: i32,
    host: String,
}

impl Directory {
    /// Takes the lock; `None` if another process is at it.
    pub(crate) fn lock_gc(&self) -> Result<Option<GcLock>, DirectoryError> {
        self.check_writable()?;
        let path = self.git_dir().join("gc.pid");
        let name = self.git_dir().join("gc.pid.lock");
        let mut patience = Patience::new(self.inner.refs.lock_timeout);
        let sharing = self.inner.refs.sharing;
        let mut file = loop {
            match sharing.create_new(&name) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    // It is there for the moment that writing a line takes, unless its maker was killed then.
                    match age_of(&name) > Some(ABANDONED_AFTER) {
                        true => drop(fs::remove_file(&name)),
                        false => patience.wait(&name)?,
                    }
                }
                file => break file.map_err(DirectoryError::io("make", &name))?,
            }
        };
        let content = format!("{} {}", std::process::id(), host()).into_bytes();
        let taken = match is_held(&path, Boot::of_this_system) {
            true => Ok(false),
            false => file
                .write_all(&content)
                .and_then(|()| fs::rename(&name, &path))
                .map(|()| true),
        };
        if !matches!(taken, Ok(true)) {
            let _ = fs::remove_file(&name);
        }
        let taken = taken.map_err(DirectoryError::io("make", &path))?;
        // Made only if it is held: what drops it gives the lock up.
        Ok(taken.then(|| GcLock {
            path,
            content,
            made_in: ProcessMark::here(),
        }))
    }
}

impl Drop for GcLock {
    fn drop(&mut self) {
        // After twelve hours it may be another's.
        if self.made_in.is_here()
            && fs::read(&self.path).is_ok_and(|content| content == self.content)
        {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn is_held(path: &Path, boot: fn() -> Option<Boot>) -> bool {
    if age_of(path) > Some(FORGOTTEN_AFTER) {
        return false;
    }
    let holder = fs::read_to_string(path).ok().and_then(|text| parse(&text));
    holder.is_some_and(|holder| match holder.host == host() {
        // Its number may be that of another process by now.
        true => is_alive(holder.pid) && !boot().is_some_and(|boot| boot.remove_older(path)),
        // Its machine did not start when this one did.
        false => true,
    })
}

/// Who gathers objects now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Collector {
    /// A program of this machine, by its command line.
    Command(Vec<String>),
    /// One of which nothing more is known, and that began lately.
    Unknown,
}

/// Who holds the lock of the repository, if anybody does. In most cases this is one look at the folder.
pub(super) fn collector(git_dir: &Path) -> Option<Collector> {
    let path = git_dir.join("gc.pid");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        Err(_) => return Some(Collector::Unknown),
    };
    if !is_held(&path, Boot::of_this_system) {
        return None;
    }
    let known = parse(&text).filter(|holder| holder.host == host());
    let arguments = known.and_then(|holder| {
        let line = fs::read(format!("/proc/{}/cmdline", holder.pid)).ok()?;
        let arguments = line.split(|&byte| byte == 0);
        let arguments = arguments.map(|argument| String::from_utf8_lossy(argument).into_owned());
        // That of a process that is ending is empty.
        (!line.is_empty()).then(|| arguments.collect())
    });
    Some(match arguments {
        Some(arguments) => Collector::Command(arguments),
        // What a machine that is gone left would make each write pay for hours.
        None if age_of(&path) > Some(LATELY) => Collector::Command(Vec::new()),
        None => Collector::Unknown,
    })
}

fn age_of(path: &Path) -> Option<Duration> {
    let modified = fs::metadata(path).ok()?.modified().ok()?;
    SystemTime::now().duration_since(modified).ok()
}

fn parse(text: &str) -> Option<Holder> {
    let (pid, host) = text.trim_end_matches(['\0', '\n']).split_once(' ')?;
    Some(Holder {
        pid: pid.parse().ok()?,
        host: host.to_owned(),
    })
}

fn is_alive(pid: i32) -> bool {
    match Pid::from_raw(pid).map(test_kill_process) {
        Some(Ok(())) => true,
        // Somebody else's process is one too.
        Some(Err(error)) => error == rustix::io::Errno::PERM,
        None => false,
    }
}

fn host() -> String {
    let name = rustix::system::uname();
    name.nodename().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use packhouse_object::RefName;
    use packhouse_testkit::forked::in_child;

    use super::super::file_system::is_on_disk;
    use super::super::{DirectoryOptions, write_skeleton};
    use super::*;

    #[test]
    fn a_forked_process_does_not_give_up_the_lock_of_its_parent() {
        let folder = tempfile::tempdir().unwrap();
        let git_dir = folder.path().join("s.git");
        write_skeleton(&git_dir, &RefName::branch("main").unwrap()).unwrap();
        let directory = Directory::open_store(&git_dir, DirectoryOptions::default()).unwrap();
        let lock = Cell::new(directory.lock_gc().unwrap());
        assert!(in_child(|| {
            drop(lock.take());
            true
        }));
        assert!(git_dir.join("gc.pid").exists());
        drop(lock.take());
        assert!(!git_dir.join("gc.pid").exists());
    }

    #[test]
    fn the_start_of_this_system_says_nothing_of_the_processes_of_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gc.pid");
        let later: fn() -> Option<Boot> = || Some(Boot::at(i64::MAX / 2));
        fs::write(&path, format!("1 {}-other", host())).unwrap();
        assert!(is_held(&path, later) && path.exists());
        let own = format!("{} {}", std::process::id(), host());
        fs::write(&path, own).unwrap();
        assert!(is_held(&path, || None));
        assert_eq!(is_held(&path, later), !is_on_disk(folder.path()));
        assert!(!is_held(&folder.path().join("none"), later));
    }

    #[test]
    fn who_collects_is_known_by_the_command_line_on_this_machine() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gc.pid");
        let of = |text: String| {
            fs::write(&path, text).unwrap();
            collector(folder.path())
        };
        assert_eq!(collector(folder.path()), None);
        assert_eq!(of(format!("1 {}-other", host())), Some(Collector::Unknown));
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let line = format!("{} {}", child.id(), host());
        let begun = std::time::Instant::now();
        // Until it is another program.
        while of(line.clone())
            != Some(Collector::Command(
                ["sleep", "60", ""].map(str::to_owned).into(),
            ))
        {
            assert!(begun.elapsed().as_secs() < 20);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(of(line), None);
    }
}
