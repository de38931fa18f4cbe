//! Syncs that run at the same time: a file system answers several with one write of its journal.
//!
//! Threads are kept for it. Starting one takes as long as a sync may take.

use std::fs::File;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use packhouse_object::ProcessLocal;

use super::durable::sync_folder;
use super::error::DirectoryError;
use super::ref_log::Appended;

/// The threads beside the caller's own.
const THREADS: usize = 4;

/// Calls of the system need little of it.
const STACK_BYTES: usize = 128 << 10;

/// Something to be made durable.
pub(super) enum Job {
    /// A file's content.
    Content(Arc<File>, PathBuf),
    /// The names in a folder.
    Folder(PathBuf),
    /// The names in a folder of loose objects. Where it is gone, `git gc` (or a collection of ours) found the objects
    /// in a pack, which was made durable before.
    Objects(PathBuf),
    /// A line of a reflog.
    Log(Appended),
}

impl Job {
    fn run(&self) -> Result<(), DirectoryError> {
        match self {
            Job::Content(file, path) => file.sync_data().map_err(DirectoryError::io("sync", path)),
            Job::Folder(path) => sync_folder(path).map_err(DirectoryError::io("sync", path)),
            Job::Objects(path) => match sync_folder(path) {
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
                synced => synced.map_err(DirectoryError::io("sync", path)),
            },
            Job::Log(appended) => appended.sync(),
        }
    }
}

type Task = (Job, Sender<Result<(), DirectoryError>>);

/// A forked process has none of its parent's threads.
static THREADS_KEPT: ProcessLocal<Mutex<Option<Sender<Task>>>> = ProcessLocal::new();

/// Does all jobs, one of them on this thread. Returns when all are done, or with the first error.
pub(super) fn sync_side_by_side(mut jobs: Vec<Job>) -> Result<(), DirectoryError> {
    let Some(own) = jobs.pop() else {
        return Ok(());
    };
    if jobs.is_empty() {
        return own.run();
    }
    let (done, results) = mpsc::channel();
    let mut result = Ok(());
    match tasks() {
        Some(tasks) => {
            for job in jobs {
                // A thread that is gone gives the task back.
                if let Err(mpsc::SendError((job, _))) = tasks.send((job, done.clone())) {
                    result = result.and(job.run());
                }
            }
        }
        None => result = jobs.iter().try_for_each(Job::run),
    }
    drop(done);
    result = result.and(own.run());
    results.iter().fold(result, Result::and)
}

/// Where tasks go; `None` if there can be no threads.
fn tasks() -> Option<Sender<Task>> {
    let mut kept = THREADS_KEPT.lock();
    if kept.is_none() {
        *kept = start();
    }
    kept.clone()
}

fn start() -> Option<Sender<Task>> {
    let (tasks, to_do) = mpsc::channel();
    let to_do = Arc::new(Mutex::new(to_do));
    let started = (0..THREADS)
        .filter(|_| {
            let to_do = to_do.clone();
            thread::Builder::new()
                .name("packhouse-sync".to_owned())
                .stack_size(STACK_BYTES)
                .spawn(move || work(&to_do))
                .is_ok()
        })
        .count();
    (started > 0).then_some(tasks)
}

fn work(to_do: &Mutex<Receiver<Task>>) {
    loop {
        let task = to_do.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((job, done)) = task else {
            return;
        };
        // Nobody waits any more if this fails.
        let _ = done.send(job.run());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_jobs_are_done_and_an_error_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let file = Arc::new(File::create(&path).unwrap());
        let content = || Job::Content(file.clone(), path.clone());
        let good = || Job::Folder(folder.path().to_owned());
        sync_side_by_side(Vec::new()).unwrap();
        sync_side_by_side(vec![good()]).unwrap();
        for _ in 0..20 {
            sync_side_by_side((0..30).flat_map(|_| [content(), good()]).collect()).unwrap();
        }
        let bad = Job::Folder(folder.path().join("none"));
        assert!(sync_side_by_side(vec![good(), bad, content()]).is_err());
    }
}
