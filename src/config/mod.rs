//! Settings: what was typed in a file (`file`), and what it means (`sidecar`, `control`).
//!
//! Comes in: TOML. Goes out: inert values, parsed whole; an unknown key, a wrong type or a value without meaning is
//! refused with file, line, column and the mend. Nothing is opened, bound or resolved here.

pub mod control;
pub mod file;
pub mod provider;
pub mod redis;
pub mod route;
pub mod sidecar;
