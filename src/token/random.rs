//! Secrets made of randomness, and how they are kept and compared.
//!
//! Codes, refresh tokens, client secrets, cookies and API tokens are 256 random bits in base64url: too many to
//! guess, so one SHA-256 is enough to keep them by. What people choose is hashed by `password` instead.

use std::fmt;

use aws_lc_rs::{constant_time, digest, rand};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

/// A text that must not be seen: a password, a token, a client secret. It prints as `***` and is wiped from
/// memory when it goes.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a text that came from outside.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// 256 fresh random bits in base64url: 43 characters of the unreserved alphabet (RFC 3986 §2.3).
    pub fn random() -> Result<Self, NoRandomness> {
        let mut bytes = Zeroizing::new([0_u8; 32]);
        fill(bytes.as_mut_slice())?;
        Ok(Self::new(URL_SAFE_NO_PAD.encode(bytes.as_slice())))
    }

    /// The text itself. Where this is called, a secret leaves the type's protection.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What is kept of it.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        sha256(self.0.as_bytes())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The machine gave no random bytes. Nothing can be issued: answer 503.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the machine's random generator gave nothing; look at its entropy source")]
pub struct NoRandomness;

/// 128 fresh random bits in base64url, for ids that must be unique and need not be secret (`jti`, families).
pub fn identifier() -> Result<String, NoRandomness> {
    let mut bytes = [0_u8; 16];
    fill(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// Fills `bytes` with random ones.
pub fn fill(bytes: &mut [u8]) -> Result<(), NoRandomness> {
    rand::fill(bytes).map_err(|_| NoRandomness)
}

/// SHA-256.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0_u8; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    hash
}

/// Whether two texts or hashes are the same, in a time that does not tell where they differ.
#[must_use]
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(a, b).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_random_secret_is_43_unreserved_characters_and_never_the_same() {
        let (a, b) = (Secret::random().unwrap(), Secret::random().unwrap());
        assert_eq!(a.expose().len(), 43);
        assert!(a.expose().bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')));
        assert!(!equal(&a.hash(), &b.hash()));
        assert!(equal(&a.hash(), &a.clone().hash()));
    }

    #[test]
    fn a_secret_does_not_print() {
        let secret = Secret::new("hunter2".to_owned());
        assert_eq!(format!("{secret:?} {:?}", Some(&secret)), "*** Some(***)");
    }

    #[test]
    fn texts_of_another_length_are_not_equal() {
        assert!(!equal(b"abc", b"abcd"));
        assert!(!equal(b"abc", b"abd"));
    }
}
