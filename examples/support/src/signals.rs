//! A clean stop on SIGTERM and SIGINT.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Waits for SIGTERM or SIGINT and cancels `stop`; a second signal ends the process at once.
///
/// # Errors
/// When the handlers cannot be installed.
pub async fn cancel_on_signal(stop: CancellationToken) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut asked = false;
    loop {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
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
