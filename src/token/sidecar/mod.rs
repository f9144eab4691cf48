//! What a sidecar signs: the identities that upstreams see, and its proofs to the control plane; and the sessions that it
//! binds to their callers.

pub mod assertion;
pub mod proof;
pub mod session;
