//! The protocol of revocation as a model, searched breadth first: every order in which messages can be delayed, lost
//! and overtake each other, every crash and every loss of Redis within the bounds of a case. Time is not bounded.
//!
//! R1: after the receipt no sidecar allows on the revoked grant. R2: the receipt comes within a lease and a tick.
//! R4: no sidecar uses an older revision after a newer one. `kept` searches the protocol and finds nothing wrong;
//! `mutants` breaks one rule after the other and asserts that this is found, so that each rule is known to be needed.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says how far it went"
)]

mod faults;
mod forget;
mod kept;
mod mutants;
mod parties;
mod rules;
mod search;
mod steps;
mod world;
