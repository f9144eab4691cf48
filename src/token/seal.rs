//! Private keys at rest: sealed under a key that only the operator's secret gives.
//!
//! Comes in: the operator's secret (from the environment or a file, read by `config`), a key's id and its private
//! half. Goes out: bytes for the store, and the private half again. Who has the store without the secret has
//! nothing; who swaps two sealed keys in the store is noticed, for the id is bound into the seal.
//!
//! Layout: version (1) · which secret (8) · nonce (12) · AES-256-GCM ciphertext and tag.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use zeroize::Zeroizing;

use super::random::{self, NoRandomness};

/// Seals and opens with one operator's secret.
pub struct Sealer {
    root: Prk,
    key: LessSafeKey,
    mark: [u8; MARK],
}

/// Why something was not sealed or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The operator's secret is too short to protect anything.
    #[error(
        "the secret that seals private keys has {0} bytes and must have at least 32; make one with `openssl rand -base64 32`"
    )]
    TooShort(usize),
    /// It was sealed under another secret.
    #[error(
        "the key {0} was sealed under another secret than the one configured now; start with the secret that it was made under"
    )]
    OtherSecret(String),
    /// It was sealed under this secret, and changed since, or moved to another id.
    #[error("the sealed key {0} is damaged, or is not the key of that id; restore the store from a backup")]
    Damaged(String),
    /// The library did not do it.
    #[error("sealing failed in the cryptographic library")]
    Failed,
    /// No nonce could be made.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

impl Sealer {
    /// Derives the sealing key from the operator's secret: at least 32 bytes, of any alphabet.
    pub fn new(secret: &[u8]) -> Result<Self, SealError> {
        if secret.len() < 32 {
            return Err(SealError::TooShort(secret.len()));
        }
        let root = Salt::new(HKDF_SHA256, b"consentry operator secret v1").extract(secret);
        let key = Zeroizing::new(expand::<32>(&root, b"seal private keys")?);
        let mark = expand::<MARK>(&root, b"which secret")?;
        let key = UnboundKey::new(&AES_256_GCM, key.as_slice()).map_err(|_| SealError::Failed)?;
        Ok(Self { root, key: LessSafeKey::new(key), mark })
    }

    /// Seals `plain` for the key `kid`.
    pub fn seal(&self, kid: &str, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0_u8; NONCE_LEN];
        random::fill(&mut nonce)?;
        let mut body = plain.to_vec();
        self.key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(kid.as_bytes()),
                &mut body,
            )
            .map_err(|_| SealError::Failed)?;
        let mut sealed = Vec::with_capacity(1 + MARK + NONCE_LEN + body.len());
        sealed.push(VERSION);
        sealed.extend_from_slice(&self.mark);
        sealed.extend_from_slice(&nonce);
        sealed.append(&mut body);
        Ok(sealed)
    }

    /// Opens what [`Sealer::seal`] sealed for the same `kid`.
    pub fn open(&self, kid: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let damaged = || SealError::Damaged(kid.to_owned());
        let (&version, rest) = sealed.split_first().ok_or_else(damaged)?;
        let (mark, rest) = rest.split_first_chunk::<MARK>().ok_or_else(damaged)?;
        let (nonce, body) = rest.split_first_chunk::<NONCE_LEN>().ok_or_else(damaged)?;
        if version != VERSION {
            return Err(damaged());
        }
        if *mark != self.mark {
            return Err(SealError::OtherSecret(kid.to_owned()));
        }
        let mut body = Zeroizing::new(body.to_vec());
        let plain = self
            .key
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(kid.as_bytes()), &mut body)
            .map_err(|_| damaged())?
            .len();
        body.truncate(plain);
        Ok(body)
    }

    /// Another key from the same secret, for one named use (such as `subjects`). The same secret and use give
    /// the same key for ever.
    pub fn derive(&self, purpose: &str) -> Result<Zeroizing<[u8; 32]>, SealError> {
        Ok(Zeroizing::new(expand::<32>(&self.root, format!("derive {purpose}").as_bytes())?))
    }
}

fn expand<const N: usize>(root: &Prk, purpose: &[u8]) -> Result<[u8; N], SealError> {
    let mut out = [0_u8; N];
    root.expand(&[purpose], Length(N)).and_then(|key| key.fill(&mut out)).map_err(|_| SealError::Failed)?;
    Ok(out)
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

const VERSION: u8 = 1;
const MARK: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer(fill: u8) -> Sealer {
        Sealer::new(&[fill; 32]).unwrap()
    }

    #[test]
    fn what_was_sealed_opens_again_under_the_same_secret() {
        let sealed = sealer(1).seal("k1", b"private").unwrap();
        assert!(!sealed.windows(7).any(|part| part == b"private"));
        assert_eq!(sealer(1).open("k1", &sealed).unwrap().as_slice(), b"private");
    }

    #[test]
    fn another_secret_is_named_as_the_reason() {
        let sealed = sealer(1).seal("k1", b"private").unwrap();
        assert_eq!(sealer(2).open("k1", &sealed).unwrap_err(), SealError::OtherSecret("k1".to_owned()));
    }

    #[test]
    fn another_id_and_any_changed_byte_are_refused() {
        let sealed = sealer(1).seal("k1", b"private").unwrap();
        assert_eq!(sealer(1).open("k2", &sealed).unwrap_err(), SealError::Damaged("k2".to_owned()));
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(sealer(1).open("k1", &changed).is_err(), "byte {at}");
            assert!(sealer(1).open("k1", &sealed[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_short_secret_is_refused() {
        assert_eq!(Sealer::new(b"secret").err(), Some(SealError::TooShort(6)));
    }

    #[test]
    fn a_derived_key_depends_on_secret_and_use() {
        assert_eq!(sealer(1).derive("a").unwrap(), sealer(1).derive("a").unwrap());
        assert_ne!(sealer(1).derive("a").unwrap(), sealer(1).derive("b").unwrap());
        assert_ne!(sealer(1).derive("a").unwrap(), sealer(2).derive("a").unwrap());
    }
}
