//! The operating system's word that it is time to end.

use tokio::signal::unix::{SignalKind, signal};

use super::Failure;

/// Waits for SIGTERM or SIGINT.
///
/// # Errors
/// Signals cannot be received.
pub async fn ended() -> Result<(), Failure> {
    let broken = |error: std::io::Error| Failure::Unreachable(format!("signals cannot be received: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(broken)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(broken)?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
