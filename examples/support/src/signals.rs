//! A clean stop on SIGTERM and SIGINT.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The signals that ask a program to stop.
#[derive(Debug)]
pub struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// Takes the signals over. From now on they no longer end the process by themselves, so do it first.
    ///
    /// # Errors
    /// When the handlers cannot be installed.
    pub fn install() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Cancels `stop` on the first signal; a second one ends the process at once. Never returns.
    pub async fn cancel(mut self, stop: CancellationToken) {
        let mut asked = false;
        loop {
            let name = tokio::select! {
                _ = self.terminate.recv() => "SIGTERM",
                _ = self.interrupt.recv() => "SIGINT",
            };
            if asked {
                tracing::warn!(signal = name, "asked again: ending without waiting");
                std::process::exit(1);
            }
            asked = true;
            tracing::info!(signal = name, "stopping");
            stop.cancel();
        }
    }
}
