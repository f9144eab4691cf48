//! What applications present, how it is signed, and how it is checked.
//!
//! Comes in: facts of the model, secrets, the time and randomness. Goes out: opaque secrets and their hashes,
//! JSON Web Tokens (RFC 7519) and the callers that they prove, JSON Web Key Sets (RFC 7517), sealed keys and
//! password hashes. No store, no HTTP, no clock of its own: keys come as values and the time is an argument.
//!
//! One key serves one [`keys::Purpose`], a key's purpose fixes its algorithm and the `typ` of what it signs, and
//! every check pins all three. So an ID token is never taken for an access token, and a sidecar, whose key signs
//! assumed identities, can make neither (RFC 8725 §3.11, §3.12).

pub mod exchange;
pub mod factor;
pub mod issue;
pub mod jwk;
mod jws;
pub mod keyring;
pub mod keys;
pub mod password;
pub mod pkce;
pub mod random;
pub mod seal;
mod sidecar;
pub mod signature;
pub mod verify;

pub use sidecar::{assertion, proof, session};
