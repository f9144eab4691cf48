//! Signing keys: made, kept parsed, and used.
//!
//! Comes in: a purpose, or the PKCS#8 form of a key that was made before. Goes out: a [`Signer`], which holds the
//! parsed key, so that signing costs one signature and no parsing.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use serde::Serialize;
use zeroize::Zeroizing;

use super::exchange::KeySecret;
use super::jwk::{Material, PublicJwk};
use super::jws;

/// What a key signs. It fixes the algorithm and the `typ` of the tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Access tokens (RFC 9068), Ed25519.
    AccessToken,
    /// ID tokens, RS256, which every client knows.
    IdToken,
    /// ID tokens of clients that ask for ES256.
    IdTokenEc,
    /// A sidecar's assumed identities, Ed25519.
    Assertion,
    /// Grants' records in Redis, Ed25519. Only sidecars learn its public half, and no token is signed with it.
    Record,
    /// A sidecar's proof of who it is to the control plane's internal API, Ed25519. Never published.
    Sidecar,
    /// The audit's checkpoints, cut marks and exports, Ed25519. Only who verifies the audit needs its public half.
    Audit,
    /// The security tokens of exchanged credentials, ES256.
    Exchange,
}

impl Purpose {
    /// Every purpose.
    pub const ALL: [Self; 8] = [
        Self::AccessToken,
        Self::IdToken,
        Self::IdTokenEc,
        Self::Assertion,
        Self::Record,
        Self::Sidecar,
        Self::Audit,
        Self::Exchange,
    ];

    /// The word in the store and in `consentry_purpose`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AccessToken => "access-token",
            Self::IdToken => "id-token",
            Self::IdTokenEc => "id-token-ec",
            Self::Assertion => "assertion",
            Self::Record => "record",
            Self::Sidecar => "sidecar",
            Self::Audit => "audit",
            Self::Exchange => "exchange",
        }
    }

    /// The one algorithm of this purpose's keys.
    #[must_use]
    pub fn algorithm(self) -> Algorithm {
        match self {
            Self::AccessToken | Self::Assertion | Self::Record | Self::Sidecar | Self::Audit => {
                Algorithm::EdDsa
            }
            Self::IdToken => Algorithm::Rs256,
            Self::IdTokenEc | Self::Exchange => Algorithm::Es256,
        }
    }

    /// Whether its keys stand among those that everybody verifies tokens with.
    #[must_use]
    pub fn is_for_the_world(self) -> bool {
        match self {
            Self::AccessToken | Self::IdToken | Self::IdTokenEc | Self::Assertion | Self::Exchange => true,
            Self::Record | Self::Sidecar | Self::Audit => false,
        }
    }

    /// The `typ` of tokens under this purpose's keys (RFC 9068 §2.1, RFC 8725 §3.11).
    #[must_use]
    pub fn token_type(self) -> &'static str {
        match self {
            Self::AccessToken => "at+jwt",
            Self::IdToken | Self::IdTokenEc => "JWT",
            Self::Assertion => "identity+jwt",
            Self::Record => "record+jws",
            Self::Sidecar => "sidecar+jwt",
            Self::Audit => "audit+jws",
            Self::Exchange => "security-token+jwt",
        }
    }
}

impl FromStr for Purpose {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::ALL.into_iter().find(|purpose| purpose.as_str() == text).ok_or(KeyError::NoPurpose)
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The signature algorithms in use (RFC 7518 §3.1, RFC 8037 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// Ed25519, written `EdDSA`.
    EdDsa,
    /// RSA with PKCS#1 padding and SHA-256.
    Rs256,
    /// P-256 with SHA-256.
    Es256,
}

impl Algorithm {
    /// The word in `alg`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
        }
    }
}

/// What went wrong with a signing key. Nothing is signed then: answer 503.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The library could not make a key.
    #[error("a key for {0} could not be made")]
    NotMade(Purpose),
    /// The stored private half is no key for its purpose.
    #[error("the stored key for {0} cannot be read; restore the store from a backup")]
    Unreadable(Purpose),
    /// A key is stored under another `kid` than its own.
    #[error("the stored key {0} is another key; restore the store from a backup")]
    WrongName(String),
    /// No key of this purpose signs at this time.
    #[error("there is no key that signs for {0} now; add one")]
    NoKey(Purpose),
    /// A word that names no purpose.
    #[error(
        "a key's purpose is access-token, id-token, id-token-ec, assertion, record, sidecar, audit or exchange"
    )]
    NoPurpose,
    /// The signature was not made.
    #[error("signing for {0} failed")]
    NotSigned(Purpose),
}

/// A new key's private half in PKCS#8 (RFC 5208).
pub fn generate(purpose: Purpose) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let failed = |_| KeyError::NotMade(purpose);
    let random = SystemRandom::new();
    let bytes = match purpose.algorithm() {
        // Version 1 of the format: jsonwebtoken and OpenSSL refuse the newer one that holds the public half too.
        Algorithm::EdDsa => Ed25519KeyPair::generate_pkcs8v1(&random).map_err(failed)?.as_ref().to_vec(),
        Algorithm::Es256 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
            .map_err(failed)?
            .as_ref()
            .to_vec(),
        Algorithm::Rs256 => {
            let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(failed)?;
            let der: Pkcs8V1Der<'static> = pair.as_der().map_err(failed)?;
            der.as_ref().to_vec()
        }
    };
    Ok(Zeroizing::new(bytes))
}

/// A key that signs, parsed once.
pub struct Signer {
    pair: Pair,
    public: PublicJwk,
    /// The encoded header and its dot: the same for all that the key signs.
    prefix: Box<str>,
    /// What access key secrets are made with; only of a key for exchanges.
    exchange: Option<KeySecret>,
}

enum Pair {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

impl Signer {
    /// Reads the PKCS#8 form that [`generate`] made.
    pub fn from_pkcs8(purpose: Purpose, pkcs8: &[u8]) -> Result<Self, KeyError> {
        let unreadable = || KeyError::Unreadable(purpose);
        let pair = match purpose.algorithm() {
            Algorithm::EdDsa => Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8).map(Pair::Ed25519),
            Algorithm::Es256 => {
                EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).map(Pair::P256)
            }
            Algorithm::Rs256 => RsaKeyPair::from_pkcs8(pkcs8).map(Pair::Rsa),
        }
        .map_err(|_| unreadable())?;
        let public = PublicJwk::new(purpose, pair.material().ok_or_else(unreadable)?);
        let prefix = jws::prefix(purpose, public.kid());
        let exchange = if purpose == Purpose::Exchange { Some(KeySecret::of(pkcs8)?) } else { None };
        Ok(Self { pair, public, prefix, exchange })
    }

    /// The name of the key.
    #[must_use]
    pub fn kid(&self) -> &str {
        self.public.kid()
    }

    /// What it signs.
    #[must_use]
    pub fn purpose(&self) -> Purpose {
        self.public.purpose()
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> &PublicJwk {
        &self.public
    }

    /// What access key secrets are made with, of a key for exchanges.
    #[must_use]
    pub fn exchange_secret(&self) -> Option<&KeySecret> {
        self.exchange.as_ref()
    }

    /// A signed token with these claims, in the compact form (RFC 7515 §7.1).
    pub fn sign<C: Serialize>(&self, claims: &C) -> Result<String, KeyError> {
        let unsigned = jws::unsigned(&self.prefix, claims).ok_or(KeyError::NotSigned(self.purpose()))?;
        self.sign_text(unsigned)
    }

    /// Signs a signing input, and adds the signature to it.
    pub(super) fn sign_text(&self, mut token: String) -> Result<String, KeyError> {
        let failed = || KeyError::NotSigned(self.purpose());
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Ed25519(pair) => {
                let signature = pair.try_sign(token.as_bytes()).map_err(|_| failed())?;
                jws::append(&mut token, signature.as_ref());
            }
            Pair::P256(pair) => {
                let signature = pair.sign(&random, token.as_bytes()).map_err(|_| failed())?;
                jws::append(&mut token, signature.as_ref());
            }
            Pair::Rsa(pair) => {
                let mut signature = vec![0_u8; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, token.as_bytes(), &mut signature)
                    .map_err(|_| failed())?;
                jws::append(&mut token, &signature);
            }
        }
        Ok(token)
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer")
            .field("kid", &self.kid())
            .field("purpose", &self.purpose())
            .finish_non_exhaustive()
    }
}

impl Pair {
    fn material(&self) -> Option<Material> {
        match self {
            Self::Ed25519(pair) => Some(Material::Ed25519 { x: pair.public_key().as_ref().to_vec() }),
            Self::P256(pair) => {
                // An uncompressed point: 4, x, y (SEC 1 §2.3.3).
                let (_, point) = pair.public_key().as_ref().split_first()?;
                let (x, y) = point.split_at_checked(32)?;
                Some(Material::P256 { x: x.to_vec(), y: y.to_vec() })
            }
            Self::Rsa(pair) => {
                // RSAPublicKey ::= SEQUENCE { modulus INTEGER, publicExponent INTEGER } (RFC 8017 §A.1.1)
                let (sequence, _) = der_value(0x30, pair.public_key().as_ref())?;
                let (n, rest) = der_value(0x02, sequence)?;
                let (e, _) = der_value(0x02, rest)?;
                Some(Material::Rsa { n: without_sign(n).to_vec(), e: without_sign(e).to_vec() })
            }
        }
    }
}

/// One DER element of this tag: its contents, and what follows it.
fn der_value(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81 | 0x82 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x0f))?;
            (bytes.iter().fold(0, |sum, byte| (sum << 8) | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    (found == tag).then(|| rest.split_at_checked(length)).flatten()
}

/// A DER integer's bytes without the zero that only says "not negative" (RFC 7518 §2 Base64urlUInt).
fn without_sign(integer: &[u8]) -> &[u8] {
    match integer.split_first() {
        Some((0, rest)) if !rest.is_empty() => rest,
        Some(_) | None => integer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jsonwebtoken_verifies_what_every_kind_of_key_signs() {
        for purpose in Purpose::ALL {
            let signer = Signer::from_pkcs8(purpose, &generate(purpose).unwrap()).unwrap();
            let token = signer.sign(&serde_json::json!({"sub": "s", "n": 1})).unwrap();
            let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_str(&signer.public().to_json()).unwrap();
            let header = jsonwebtoken::decode_header(&token).unwrap();
            assert_eq!(header.kid.as_deref(), Some(signer.kid()));
            assert_eq!(header.typ.as_deref(), Some(purpose.token_type()));
            let mut rules = jsonwebtoken::Validation::new(purpose.algorithm().as_str().parse().unwrap());
            rules.required_spec_claims.clear();
            rules.validate_exp = false;
            let key = jsonwebtoken::DecodingKey::from_jwk(&jwk).unwrap();
            let read = jsonwebtoken::decode::<serde_json::Value>(&token, &key, &rules).unwrap();
            assert_eq!(read.claims["sub"], "s");
            let changed = token.replacen('.', ".e30", 1);
            assert!(jsonwebtoken::decode::<serde_json::Value>(&changed, &key, &rules).is_err());
        }
    }

    #[test]
    fn a_key_is_the_same_after_it_was_stored() {
        let pkcs8 = generate(Purpose::AccessToken).unwrap();
        let (a, b) = (
            Signer::from_pkcs8(Purpose::AccessToken, &pkcs8).unwrap(),
            Signer::from_pkcs8(Purpose::AccessToken, &pkcs8).unwrap(),
        );
        assert_eq!(a.sign(&1).unwrap(), b.sign(&1).unwrap());
    }

    #[test]
    fn a_key_of_another_kind_is_refused() {
        let ed = generate(Purpose::AccessToken).unwrap();
        for purpose in [Purpose::IdToken, Purpose::IdTokenEc] {
            assert_eq!(Signer::from_pkcs8(purpose, &ed).err(), Some(KeyError::Unreadable(purpose)));
        }
        assert!(Signer::from_pkcs8(Purpose::AccessToken, b"no key").is_err());
    }
}
