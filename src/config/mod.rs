//! Settings: what was typed in a file (`file`), and what it means (`sidecar`, `control`).
//!
//! Comes in: TOML. Goes out: inert values, parsed whole; an unknown key, a wrong type or a value without meaning is
//! refused with file, line, column and the mend. Nothing is opened, bound or resolved here.

use url::{Host, Url};

pub mod control;
pub mod exchange;
pub mod file;
pub mod interception;
pub mod provider;
pub mod redis;
pub mod registration;
pub mod route;
pub mod sidecar;
pub mod sts;

/// Whether a URL leads to this machine: loopback, by address or by the name `localhost`.
fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// How long another service's answer may take unless the settings say otherwise, in milliseconds.
fn three_seconds() -> u64 {
    3_000
}
