//! The only place that prints.

use std::io::{ErrorKind, Write};

use clap::ValueEnum;

use super::Failure;

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Tables and sentences
    Human,
    /// JSON
    Json,
}

/// Data, on standard output. A reader that has gone away is no failure.
///
/// # Errors
/// Standard output cannot be written.
pub fn data(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::Unreachable(format!("standard output cannot be written: {error}")))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Narration, on standard error.
pub fn narrate(text: &str) {
    // Where even standard error is closed there is nobody left to tell.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
