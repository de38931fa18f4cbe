//! What a person sees while a pack is made and sent, in git's words.
//!
//! Git's line about compressing objects is for its search for deltas. None are looked for here: what is a delta in a pack
//! is sent as one, and git says nothing either where it has nothing to look for.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use packhouse_object::{PackStats, Progress};

use crate::sideband::Sideband;
use crate::upload_pack::FetchOptions;

/// Lines that overwrite each other come at most this often, as from git.
const REDRAW: Duration = Duration::from_secs(1);

/// Reports the making of a pack to the client, and the client's absence to who makes it.
pub(crate) struct SendProgress<'s, 'a> {
    sideband: &'s Sideband<'a>,
    options: &'s FetchOptions,
    shown: bool,
    drawn_at: Mutex<Instant>,
}

impl<'s, 'a> SendProgress<'s, 'a> {
    /// Reports on `sideband`; only keeps the connection alive unless `shown`.
    pub(crate) fn new(
        sideband: &'s Sideband<'a>,
        options: &'s FetchOptions,
        shown: bool,
    ) -> SendProgress<'s, 'a> {
        SendProgress {
            sideband,
            options,
            shown,
            drawn_at: Mutex::new(Instant::now()),
        }
    }

    /// The number of objects is known.
    pub(crate) fn counted(&self, total: u64) {
        self.show(|| format!("Enumerating objects: {total}, done.\nCounting objects: 100% ({total}/{total}), done.\n"));
    }

    /// The pack is written.
    pub(crate) fn sent(&self, pack: &PackStats) {
        let PackStats {
            objects,
            deltas,
            reused,
            pack_reused,
            ..
        } = pack;
        self.show(|| format!("Total {objects} (delta {deltas}), reused {reused} (delta {deltas}), pack-reused {pack_reused}\n"));
    }

    /// Shows a message whatever the time.
    fn show(&self, message: impl FnOnce() -> String) {
        if self.shown {
            // A failure is noticed by `cancelled` and by the next write of data.
            let _ = self.sideband.progress(&message());
        }
    }

    fn tick(&self, message: Option<impl FnOnce() -> String>) {
        let due = {
            let mut drawn_at = self.drawn_at.lock().expect("no holder of this lock panics");
            let due = drawn_at.elapsed() >= REDRAW;
            if due {
                *drawn_at = Instant::now();
            }
            due
        };
        match message {
            Some(message) if due => self.show(message),
            _ => {}
        }
        let _ = self.sideband.keep_alive();
    }
}

impl Progress for SendProgress<'_, '_> {
    fn counting(&self, n: u64) {
        self.tick(Some(|| format!("Enumerating objects: {n}\r")));
    }

    fn writing(&self, _done: u64, _total: u64) {
        self.tick(None::<fn() -> String>);
    }

    fn cancelled(&self) -> bool {
        self.options.is_cancelled() || self.sideband.is_broken()
    }
}
