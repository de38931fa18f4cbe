//! What a person sees while a pushed pack is checked, in git's words.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use packhouse_object::Progress;

use crate::receive_pack::ReceiveOptions;
use crate::sideband::Sideband;

/// Lines that overwrite each other come at most this often, as from git.
const REDRAW: Duration = Duration::from_secs(1);

/// So many warnings are kept for the client; of more it learns their number.
const MAX_WARNINGS: usize = 100;

/// Reports the checking of a pack to the client, and the client's absence to who checks it.
///
/// Nothing is sent while the pack is still arriving: a client need not read before it has written.
pub(crate) struct ReceiveProgress<'s, 'a> {
    sideband: &'s Sideband<'a>,
    options: &'s ReceiveOptions,
    shown: bool,
    drawn: Mutex<Drawn>,
    warnings: Mutex<Warnings>,
}

#[derive(Default)]
struct Warnings {
    kept: Vec<String>,
    more: u64,
}

struct Drawn {
    at: Instant,
    complete: bool,
}

impl<'s, 'a> ReceiveProgress<'s, 'a> {
    /// Reports on `sideband`; only keeps the connection alive unless `shown`.
    pub(crate) fn new(
        sideband: &'s Sideband<'a>,
        options: &'s ReceiveOptions,
        shown: bool,
    ) -> ReceiveProgress<'s, 'a> {
        let drawn = Mutex::new(Drawn {
            at: Instant::now(),
            complete: false,
        });
        ReceiveProgress {
            sideband,
            options,
            shown,
            drawn,
            warnings: Mutex::default(),
        }
    }

    /// Shows what is not as it should be, now that the pack has arrived.
    pub(crate) fn show_warnings(&self) {
        let mut warnings = self.warnings.lock().expect("no holder of this lock panics");
        let Warnings { kept, more } = std::mem::take(&mut *warnings);
        let more = (more > 0).then(|| format!("{more} more objects are not as they should be"));
        for text in kept.into_iter().chain(more) {
            // A failure is noticed by `cancelled`.
            let _ = self.sideband.progress(&format!("warning: {text}\n"));
        }
    }

    /// Whether the line is to be drawn now: about once a second, and when it is complete, that once.
    fn is_due(&self, complete: bool) -> bool {
        let mut drawn = self.drawn.lock().expect("no holder of this lock panics");
        let due = !drawn.complete && (complete || drawn.at.elapsed() >= REDRAW);
        if due {
            *drawn = Drawn {
                at: Instant::now(),
                complete,
            };
        }
        due
    }
}

impl Progress for ReceiveProgress<'_, '_> {
    fn resolving(&self, done: u64, total: u64) {
        let complete = done == total;
        if total > 0 && self.is_due(complete) && self.shown {
            let percent = done.saturating_mul(100) / total;
            let end = if complete { ", done.\n" } else { "\r" };
            // A failure is noticed by `cancelled`.
            let _ = self.sideband.progress(&format!(
                "Resolving deltas: {percent:3}% ({done}/{total}){end}"
            ));
        }
        let _ = self.sideband.keep_alive();
    }

    fn warning(&self, text: &str) {
        let mut warnings = self.warnings.lock().expect("no holder of this lock panics");
        match warnings.kept.len() < MAX_WARNINGS {
            true => warnings.kept.push(text.to_owned()),
            false => warnings.more += 1,
        }
    }

    fn cancelled(&self) -> bool {
        self.options.is_cancelled() || self.sideband.is_broken()
    }
}
