//! The cloud's own protocol: what its requests name, and how it says no.

pub(super) mod parameters;
pub(super) mod tell;
