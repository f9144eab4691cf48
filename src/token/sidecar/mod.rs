//! What a sidecar signs: the identities that upstreams see, and its proofs to the control plane. Two kinds of token,
//! by two keys.

pub mod assertion;
pub mod proof;
