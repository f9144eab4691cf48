//! A revocation that was acknowledged is final, whatever breaks: real processes, a fault for each row of the failure
//! table, and traffic and open streams all the while. `tests/run --faults` runs the long form.

mod clock;
mod instruments;
mod links;
mod nodes;
mod play;
mod redis;
pub(crate) mod report;
pub(crate) mod role;
pub(crate) mod servers;
pub(crate) mod stage;
mod stores;
