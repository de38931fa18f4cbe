//! Ctrl-C and SIGTERM: the first asks for an orderly end, the second ends the process.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Once};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::CliError;

/// Exit status of a command that Ctrl-C has told to stop: 128 and the number of SIGINT.
pub(crate) const INTERRUPTED: u8 = 130;
/// The same of SIGTERM.
const TERMINATED: u8 = 143;

/// Whether long work has been told to stop.
static STOPPED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// The exit status for the signal that told it.
static STATUS: LazyLock<Arc<AtomicUsize>> = LazyLock::new(Arc::default);

/// The two signals, which no longer end the process by themselves.
pub(crate) struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignals {
    /// From now on the signals are delivered to [`StopSignals::wait`]. Call from within a Tokio runtime.
    pub(crate) fn listen() -> Result<StopSignals, CliError> {
        let failed = |error| {
            CliError::because(
                "could not listen for signals",
                &error,
                "check the limits of this process",
            )
        };
        Ok(StopSignals {
            interrupt: signal(SignalKind::interrupt()).map_err(failed)?,
            terminate: signal(SignalKind::terminate()).map_err(failed)?,
        })
    }

    /// Returns at the next signal.
    pub(crate) async fn wait(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Signals that ask to stop, one after the other, none of which ends the process by itself.
pub(crate) struct StopRequests(Arc<AtomicUsize>);

impl StopRequests {
    /// From now on the signals are told by [`StopRequests::another`].
    pub(crate) fn listen() -> io::Result<StopRequests> {
        let asked = Arc::new(AtomicUsize::new(0));
        for signal in [SIGINT, SIGTERM] {
            flag::register_usize(signal, asked.clone(), status_of(signal).into())?;
        }
        Ok(StopRequests(asked))
    }

    /// The exit status for a signal that has come since this was last asked, if one has.
    pub(crate) fn another(&self) -> Option<u8> {
        let status = self.0.swap(0, Ordering::SeqCst);
        u8::try_from(status).ok().filter(|status| *status != 0)
    }
}

/// The exit status of a command that a signal has ended, as shells have it.
fn status_of(signal: i32) -> u8 {
    match signal {
        SIGTERM => TERMINATED,
        _ => INTERRUPTED,
    }
}

/// Lets long work end by itself at the first signal, removing what it has half written. The second one ends the process.
pub(crate) fn stop_in_order() {
    static LISTENING: Once = Once::new();
    LISTENING.call_once(|| {
        for signal in [SIGINT, SIGTERM] {
            // The flag is set in the signal's handler itself: what comes after the signal, such as the end of an
            // input whose writer got it too, finds the flag set. The second signal finds it as well.
            let status = status_of(signal);
            let exit = flag::register_conditional_shutdown(signal, status.into(), STOPPED.clone());
            let told = exit
                .and_then(|_| flag::register_usize(signal, STATUS.clone(), status.into()))
                .and_then(|_| flag::register(signal, STOPPED.clone()));
            if let Err(error) = told {
                tracing::warn!(%error, "a signal will end this command at once");
            }
        }
    });
}

/// Whether a signal has asked long work to stop.
pub(crate) fn stopped() -> bool {
    STOPPED.load(Ordering::SeqCst)
}

/// The exit status of work that a signal has stopped.
pub(crate) fn status() -> u8 {
    u8::try_from(STATUS.load(Ordering::SeqCst)).unwrap_or(INTERRUPTED)
}
