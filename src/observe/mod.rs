//! What an operator sees: logs, metrics, decision records.

mod durations;
pub mod figures;
pub mod line;
pub mod log;
pub mod metrics;
pub mod records;
pub mod shared;
