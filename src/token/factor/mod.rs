//! What people prove themselves by besides a password: passkeys, codes of an authenticator, recovery codes.
//!
//! Comes in: what a browser or a person answers, and what is kept of it. Goes out: proven or not, and what to keep.
//! Nothing is stored here, and attempts are not counted here.

pub mod passkey;
pub mod recovery;
pub mod totp;

#[cfg(test)]
pub(crate) mod soft;
