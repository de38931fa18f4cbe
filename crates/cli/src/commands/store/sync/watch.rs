//! `sync --watch`: syncs again whenever something has changed and then nothing for a while.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use super::Job;
use crate::commands::store::changes;
use crate::commands::store::failure::Failure;
use crate::commands::store::log::short;
use crate::commands::store::output;
use crate::commands::store::session::{Session, warn};
use crate::signals;

/// How often signals, and the folder's name, are looked at while nothing happens.
const LOOK: Duration = Duration::from_millis(100);

/// Changes that never end are synced after this many times the pause.
const PATIENCE: u32 = 10;

/// Syncs, and again after every change, until a signal. A sync that fails is told, and the next one tried. While the
/// folder is missing nothing is synced.
///
/// # Errors
///
/// The folder cannot be watched, or nobody reads the result any more.
pub(super) fn run(job: &Job<'_>, session: &Session, debounce: Duration) -> Result<(), Failure> {
    // Watched before the first sync, so that no change falls between the two.
    let mut watch = Watch {
        local: job.local,
        watched: Some(Watched::begin(job.local).map_err(|error| unwatchable(job.local, &error))?),
    };
    signals::stop_in_order();
    session.tell(format_args!("Watching {}", job.local.display()));
    cycle(job, session)?;
    while watch.wait(debounce)? {
        cycle(job, session)?;
    }
    Ok(())
}

fn unwatchable(local: &Path, error: &notify::Error) -> Failure {
    let doing = format_args!("Could not watch {}", local.display());
    Failure::because(doing, error)
        .hint("name a folder; `fs.inotify.max_user_watches` limits how many folders can be watched")
}

/// Device and number of a folder.
type FolderId = (u64, u64);

/// Which folder has a name now.
fn folder_at(local: &Path) -> io::Result<FolderId> {
    let found = fs::metadata(local)?;
    match found.is_dir() {
        true => Ok((found.dev(), found.ino())),
        false => Err(io::ErrorKind::NotADirectory.into()),
    }
}

/// A folder under a name, which another may get.
struct Watch<'a> {
    local: &'a Path,
    /// `None` while the folder is missing.
    watched: Option<Watched>,
}

/// One folder, under whatever name.
struct Watched {
    folder: FolderId,
    events: Receiver<()>,
    _watcher: RecommendedWatcher,
}

impl Watched {
    fn begin(local: &Path) -> notify::Result<Watched> {
        // One message says that something has changed, and more would say no more.
        let (sender, events) = mpsc::sync_channel(1);
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if event
                .as_ref()
                .map_or(true, |event| !matches!(event.kind, EventKind::Access(_)))
            {
                // Full, or the receiver is gone, when another folder is watched or the command ends.
                let _ = sender.try_send(());
            }
        })?;
        // Looked at first: if another folder gets the name in between, this one is found to have lost it.
        let folder = folder_at(local).map_err(notify::Error::io)?;
        watcher.watch(local, RecursiveMode::Recursive)?;
        Ok(Watched {
            folder,
            events,
            _watcher: watcher,
        })
    }
}

impl Watch<'_> {
    /// Waits for a change and then for quiet. `false` when a signal asks to stop.
    fn wait(&mut self, debounce: Duration) -> Result<bool, Failure> {
        let mut first: Option<Instant> = None;
        let mut last = Instant::now();
        loop {
            if signals::stopped() {
                return Ok(false);
            }
            let changed = self.has_changed(LOOK.min(debounce))?;
            let is_another = self.look_again()?;
            if self.watched.is_none() {
                first = None;
            } else if changed || is_another {
                last = Instant::now();
                first.get_or_insert(last);
            }
            if first.is_some_and(|first| {
                last.elapsed() >= debounce || first.elapsed() >= debounce.saturating_mul(PATIENCE)
            }) {
                return Ok(true);
            }
        }
    }

    /// Waits for a change, but not for long.
    fn has_changed(&self, pause: Duration) -> Result<bool, Failure> {
        let Some(watched) = &self.watched else {
            thread::sleep(pause);
            return Ok(false);
        };
        match watched.events.recv_timeout(pause) {
            Ok(()) => Ok(true),
            Err(RecvTimeoutError::Timeout) => Ok(false),
            Err(RecvTimeoutError::Disconnected) => Err(Failure::new(format!(
                "{} can no longer be watched",
                self.local.display()
            ))
            .hint("run it again")),
        }
    }

    /// Watches the folder that has the name now, and says whether it is another one than before.
    fn look_again(&mut self) -> Result<bool, Failure> {
        let folder = folder_at(self.local).ok();
        if folder == self.watched.as_ref().map(|watched| watched.folder) {
            return Ok(false);
        }
        if folder.is_some() {
            match Watched::begin(self.local) {
                Ok(watched) => {
                    self.watched = Some(watched);
                    return Ok(true);
                }
                Err(error) if folder_at(self.local).is_ok() => {
                    return Err(unwatchable(self.local, &error));
                }
                // It is gone again.
                Err(_) => {}
            }
        }
        if self.watched.take().is_some() {
            let local = self.local.display();
            warn(format_args!(
                "WARNING: {local} is gone: nothing is synced until it is back"
            ));
        }
        Ok(false)
    }
}

/// One sync and the line that tells of it.
fn cycle(job: &Job<'_>, session: &Session) -> Result<(), Failure> {
    match job.sync(session) {
        Ok(synced) => {
            let report = synced.changes();
            for error in report.map_or(&[][..], |report| &report.errors) {
                warn(format_args!(
                    "ERROR: {}: {}",
                    error.path,
                    changes::reason(error)
                ));
            }
            let (summary, commit) = (changes::summary(report), short(&synced));
            let value =
                serde_json::json!({"changes": summary, "commit": synced.commit().to_string()});
            let format = match session.json() {
                true => output::Format::Json,
                false => output::Format::Text,
            };
            output::value(format, &value, |out| writeln!(out, "{summary}  {commit}"))
        }
        Err(failure) => {
            if !signals::stopped() {
                warn(&failure);
            }
            Ok(())
        }
    }
}
