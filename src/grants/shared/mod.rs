//! The shared tier: grants in Redis, between what a sidecar holds near and the control plane.
//!
//! Comes in: `[redis]` of the settings. Goes out: for a sidecar, [`Tier`] and [`Watch`]; for control, [`Publisher`].
//! Redis is not trusted: everything in it is signed by control for the very key it stands under ([`record`]), a fact
//! counts only if it is no older than the newest change of what it rests on, and a lease is counted from when control
//! asked its store. Who can write Redis can make a sidecar ask the origin, and nothing else. Without Redis everything
//! works by the control plane alone.

mod breaker;
mod connection;
mod drift;
mod names;
pub mod publish;
pub mod record;
mod tier;
mod watch;

pub use connection::{OpenError, Reach, Unreached, open};
pub use names::Names;
pub use publish::Publisher;
pub use tier::{Link, Tier};
pub use watch::{Watch, Watermark};
