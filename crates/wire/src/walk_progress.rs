//! While history is walked before an answer begins: the walk ends when it is no longer wanted, and the client is kept
//! awake where there is a way to.
//!
//! There is one only where all of an answer is in bands (`sideband-all`): what stands before a pack has no place for a
//! packet that means nothing otherwise, and git's own server is as silent there.

use std::sync::Mutex;
use std::time::Instant;

use packhouse_object::Progress;

use crate::pktline::PacketWriter;
use crate::sideband;
use crate::upload_pack::FetchOptions;

/// See the module.
pub(crate) struct WalkProgress<'p, 'o> {
    options: &'p FetchOptions,
    bands: Option<Mutex<Bands<'p, 'o>>>,
}

struct Bands<'p, 'o> {
    out: &'p mut PacketWriter<'o>,
    sent_at: Instant,
    broken: bool,
}

impl<'p, 'o> WalkProgress<'p, 'o> {
    /// Says nothing to the client.
    pub(crate) fn silent(options: &'p FetchOptions) -> WalkProgress<'p, 'o> {
        WalkProgress {
            options,
            bands: None,
        }
    }

    /// Keeps a client awake that reads `out` in bands.
    pub(crate) fn in_bands(
        options: &'p FetchOptions,
        out: &'p mut PacketWriter<'o>,
    ) -> WalkProgress<'p, 'o> {
        let bands = Bands {
            out,
            sent_at: Instant::now(),
            broken: false,
        };
        WalkProgress {
            options,
            bands: Some(Mutex::new(bands)),
        }
    }
}

impl Progress for WalkProgress<'_, '_> {
    fn counting(&self, _n: u64) {
        let Some(bands) = &self.bands else {
            return;
        };
        let mut bands = bands.lock().expect("no holder of this lock panics");
        if bands.broken || bands.sent_at.elapsed() < self.options.keepalive {
            return;
        }
        bands.broken = bands.out.keep_alive(sideband::PROGRESS).is_err();
        bands.sent_at = Instant::now();
    }

    fn cancelled(&self) -> bool {
        let is_broken = self.bands.as_ref().is_some_and(|bands| {
            let bands = bands.lock().expect("no holder of this lock panics");
            bands.broken
        });
        is_broken || self.options.is_cancelled()
    }
}
