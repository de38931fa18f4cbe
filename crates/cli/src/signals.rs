//! Ctrl-C and SIGTERM: the first asks for an orderly end, the second ends the process.

use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::CliError;

/// Exit status of a command that was told to stop: 128 and the number of SIGINT.
pub(crate) const INTERRUPTED: u8 = 130;

/// Whether long work has been told to stop.
static STOPPED: AtomicBool = AtomicBool::new(false);

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

/// Lets long work end by itself at the first signal, removing what it has half written.
pub(crate) fn stop_in_order() {
    static LISTENING: Once = Once::new();
    LISTENING.call_once(|| {
        let started = match Handle::try_current() {
            Ok(runtime) => {
                let _entered = runtime.enter();
                StopSignals::listen().map(|signals| {
                    runtime.spawn(note(signals));
                })
            }
            // Commands that need no runtime get a thread that waits for signals and nothing else.
            Err(_) => note_on_a_thread(),
        };
        if let Err(error) = started {
            tracing::warn!(%error, "a signal will end this command at once");
        }
    });
}

async fn note(mut signals: StopSignals) {
    signals.wait().await;
    STOPPED.store(true, Ordering::Relaxed);
    signals.wait().await;
    std::process::exit(INTERRUPTED.into());
}

fn note_on_a_thread() -> Result<(), CliError> {
    let failed = |error| {
        CliError::because(
            "could not start a thread",
            &error,
            "check the limits of this process",
        )
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed)?;
    let entered = runtime.enter();
    let signals = StopSignals::listen()?;
    drop(entered);
    let wait = move || runtime.block_on(note(signals));
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(wait)
        .map_err(failed)?;
    Ok(())
}

/// Whether a signal has asked long work to stop.
pub(crate) fn stopped() -> bool {
    STOPPED.load(Ordering::Relaxed)
}
