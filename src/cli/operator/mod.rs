//! What operators do beside a running role: keys, sidecars, the store itself, a probe.

pub(super) mod health;
pub(super) mod keys;
pub(super) mod place;
pub(super) mod registrations;
pub(super) mod sidecars;
pub(super) mod store;
