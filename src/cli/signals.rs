//! The operating system's word that it is time to end, and ours to whoever supervises the process.

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Failure;

/// SIGTERM and SIGINT, received from the moment this is made.
#[derive(Debug)]
pub struct End {
    terminate: Signal,
    interrupt: Signal,
}

impl End {
    /// Begins to receive. Make it before anyone can know that the process runs.
    ///
    /// # Errors
    /// Signals cannot be received.
    pub fn new() -> Result<Self, Failure> {
        let broken =
            |error: std::io::Error| Failure::Unreachable(format!("signals cannot be received: {error}"));
        let terminate = signal(SignalKind::terminate()).map_err(broken)?;
        let interrupt = signal(SignalKind::interrupt()).map_err(broken)?;
        Ok(Self { terminate, interrupt })
    }

    /// Waits for either.
    pub async fn come(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Tells systemd (`Type=notify`) that requests are served. Elsewhere there is nobody to tell, and nothing is done.
pub(super) fn serving() {
    tell(NotifyState::Ready);
}

/// Tells systemd that the end has begun.
pub(super) fn ending() {
    tell(NotifyState::Stopping);
}

fn tell(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "systemd could not be told; it will think that nothing has changed");
    }
}
