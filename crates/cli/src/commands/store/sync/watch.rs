//! `sync --watch`: syncs again whenever something has changed and then nothing for a while.

use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use notify::{Event, EventKind, RecursiveMode, Watcher};

use super::Job;
use crate::commands::store::changes;
use crate::commands::store::failure::Failure;
use crate::commands::store::log::short;
use crate::commands::store::output;
use crate::commands::store::session::{Session, warn};
use crate::signals;

/// How often signals are looked at while nothing happens.
const LOOK: Duration = Duration::from_millis(100);

/// Changes that never end are synced after this many times the pause.
const PATIENCE: u32 = 10;

/// Syncs, and again after every change, until a signal. A sync that fails is told, and the next one tried.
///
/// # Errors
///
/// The folder cannot be watched, or nobody reads the result any more.
pub(super) fn run(job: &Job<'_>, session: &Session, debounce: Duration) -> Result<(), Failure> {
    let failed = |error: notify::Error| {
        Failure::because(
            format_args!("Could not watch {}", job.local.display()),
            &error,
        )
    };
    let (sender, events) = mpsc::channel();
    // Watched before the first sync, so that no change falls between the two.
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        if event
            .as_ref()
            .map_or(true, |event| !matches!(event.kind, EventKind::Access(_)))
        {
            // The receiver is gone when the command ends.
            let _ = sender.send(());
        }
    })
    .map_err(failed)?;
    watcher
        .watch(job.local, RecursiveMode::Recursive)
        .map_err(failed)?;
    signals::stop_in_order();
    session.tell(format_args!("Watching {}", job.local.display()));
    cycle(job, session)?;
    while wait(&events, debounce, job.local)? {
        cycle(job, session)?;
    }
    Ok(())
}

/// Waits for a change and then for quiet. `false` when a signal asks to stop.
fn wait(events: &Receiver<()>, debounce: Duration, local: &Path) -> Result<bool, Failure> {
    let mut first: Option<Instant> = None;
    let mut last = Instant::now();
    loop {
        if signals::stopped() {
            return Ok(false);
        }
        match events.recv_timeout(LOOK.min(debounce)) {
            Ok(()) => {
                last = Instant::now();
                first.get_or_insert(last);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Failure::new(format!(
                    "{} can no longer be watched",
                    local.display()
                )));
            }
        }
        if first.is_some_and(|first| {
            last.elapsed() >= debounce || first.elapsed() >= debounce.saturating_mul(PATIENCE)
        }) {
            return Ok(true);
        }
    }
}

/// One sync and the line that tells of it.
fn cycle(job: &Job<'_>, session: &Session) -> Result<(), Failure> {
    match job.sync(session) {
        Ok(synced) => {
            let report = synced.changes();
            for error in report.map_or(&[][..], |report| &report.errors) {
                warn(format_args!("ERROR: {}: {}", error.path, error.error));
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
