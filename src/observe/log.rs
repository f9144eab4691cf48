//! Logs: for a person on a terminal, JSON otherwise, on standard error. `CONSENTRY_LOG` chooses what is shown
//! (`info` by default). Tokens, passwords and keys never reach a log: their types print as `***`.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Starts logging for this process. A second start changes nothing.
pub fn start() {
    let filter = EnvFilter::try_from_env("CONSENTRY_LOG")
        .unwrap_or_else(|_| EnvFilter::new("info,sqlx=warn,hyper=warn,h2=warn,rustls=warn"));
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // It would complain on standard error that standard error cannot be written (a full disk), and panic.
        .log_internal_errors(false);
    // The error says only that logging has started already.
    let _ = if std::io::stderr().is_terminal() {
        logs.with_target(false).try_init()
    } else {
        logs.json().flatten_event(true).with_ansi(false).try_init()
    };
}
