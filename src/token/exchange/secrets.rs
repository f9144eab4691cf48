//! What access key secrets are made with: one secret for each key that signs security tokens.

use std::collections::HashMap;
use std::fmt;

use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use crate::token::keys::{KeyError, Purpose};
use crate::token::random::Secret;

/// The secret of one key. Who has it can make the secret of any access key id under that key, and no security token.
#[derive(Clone)]
pub struct KeySecret(Zeroizing<[u8; 32]>);

impl KeySecret {
    /// The secret that follows from a key's private half. The private half does not follow from it.
    pub(in crate::token) fn of(pkcs8: &[u8]) -> Result<Self, KeyError> {
        let failed = |_| KeyError::Unreadable(Purpose::Exchange);
        let root = Salt::new(HKDF_SHA256, b"consentry exchange key v1").extract(pkcs8);
        let mut secret = Zeroizing::new([0_u8; 32]);
        root.expand(&[b"access key secrets".as_slice()], Length)
            .and_then(|key| key.fill(secret.as_mut_slice()))
            .map_err(failed)?;
        Ok(Self(secret))
    }

    /// The secret of an access key.
    #[must_use]
    pub fn access_key_secret(&self, access_key_id: &str) -> Secret {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.as_slice());
        Secret::new(URL_SAFE_NO_PAD.encode(hmac::sign(&key, access_key_id.as_bytes())))
    }

    /// As it goes from a control plane to a sidecar that has proved itself.
    #[must_use]
    pub fn to_wire(&self) -> Secret {
        Secret::new(URL_SAFE_NO_PAD.encode(self.0.as_slice()))
    }

    /// Reads what [`KeySecret::to_wire`] wrote.
    #[must_use]
    pub fn from_wire(text: &str) -> Option<Self> {
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).ok()?);
        let mut secret = Zeroizing::new([0_u8; 32]);
        let (source, target) = (bytes.as_slice(), secret.as_mut_slice());
        if source.len() != target.len() {
            return None;
        }
        target.copy_from_slice(source);
        Some(Self(secret))
    }
}

impl fmt::Debug for KeySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The secrets of all live keys, by `kid`.
#[derive(Debug, Clone, Default)]
pub struct KeySecrets(HashMap<Box<str>, KeySecret>);

impl KeySecrets {
    /// The secret of a key, while it lives.
    #[must_use]
    pub fn get(&self, kid: &str) -> Option<&KeySecret> {
        self.0.get(kid)
    }

    /// Each `kid` with its secret.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &KeySecret)> {
        self.0.iter().map(|(kid, secret)| (&**kid, secret))
    }
}

impl FromIterator<(Box<str>, KeySecret)> for KeySecrets {
    fn from_iter<I: IntoIterator<Item = (Box<str>, KeySecret)>>(secrets: I) -> Self {
        Self(secrets.into_iter().collect())
    }
}

struct Length;

impl KeyType for Length {
    fn len(&self) -> usize {
        32
    }
}
