//! The issuer's keys at one moment: which one signs for a purpose, and which ones are published.
//!
//! Comes in: the store's keys, opened, and the sidecars' public keys. Goes out: signers, and the key set at
//! `/v1/keys`. A key is published before it signs and after it has stopped, so that verifiers always know it.
//! This makes and rotates nothing: it is a value, rebuilt when the keys change.

use std::sync::Arc;

use jiff::Timestamp;
use zeroize::Zeroizing;

use super::exchange::KeySecrets;
use super::jwk::PublicJwk;
use super::keys::{KeyError, Purpose, Signer};
use super::verify::{KeySet, key_set_json};

/// One of the issuer's keys, opened.
pub struct KeyringEntry {
    /// Its name in the store. Must be its thumbprint.
    pub kid: String,
    /// What it signs.
    pub purpose: Purpose,
    /// The private half.
    pub pkcs8: Zeroizing<Vec<u8>>,
    /// From when on it signs.
    pub active_from: Timestamp,
    /// From when on it signs nothing more.
    pub retired_at: Option<Timestamp>,
    /// Until when it is published.
    pub published_until: Option<Timestamp>,
}

/// The issuer's keys.
#[derive(Debug, Default)]
pub struct Keyring {
    keys: Vec<Key>,
}

#[derive(Debug)]
struct Key {
    signer: Arc<Signer>,
    active_from: Timestamp,
    retired_at: Option<Timestamp>,
    published_until: Option<Timestamp>,
}

impl Keyring {
    /// Parses the keys. One bad key is an error of the whole: a missing key would show only when it is needed.
    pub fn new(entries: impl IntoIterator<Item = KeyringEntry>) -> Result<Self, KeyError> {
        let mut keys = Vec::new();
        for entry in entries {
            let signer = Signer::from_pkcs8(entry.purpose, &entry.pkcs8)?;
            if signer.kid() != entry.kid {
                return Err(KeyError::WrongName(entry.kid));
            }
            keys.push(Key {
                signer: Arc::new(signer),
                active_from: entry.active_from,
                retired_at: entry.retired_at,
                published_until: entry.published_until,
            });
        }
        Ok(Self { keys })
    }

    /// The key that signs for `purpose` now: of those that are active, the youngest.
    pub fn signer(&self, purpose: Purpose, now: Timestamp) -> Result<&Arc<Signer>, KeyError> {
        self.keys
            .iter()
            .filter(|key| key.signer.purpose() == purpose && key.signs(now))
            .max_by_key(|key| key.active_from)
            .map(|key| &key.signer)
            .ok_or(KeyError::NoKey(purpose))
    }

    /// The public keys that are in use now, and those that are about to be or have just been.
    pub fn published(&self, now: Timestamp) -> impl Iterator<Item = &PublicJwk> {
        self.keys
            .iter()
            .filter(move |key| key.published_until.is_none_or(|end| now < end))
            .map(|key| key.signer.public())
    }

    /// The key set at `/v1/keys` (RFC 7517 §5): the issuer's keys, and those of the sidecars. Of `sidecars` only
    /// keys for assumed identities are published: a sidecar can never add a key that signs access tokens. Those of
    /// grants' records and of the audit are not for the world.
    #[must_use]
    pub fn jwks(&self, sidecars: &[PublicJwk], now: Timestamp) -> String {
        key_set_json(self.all(sidecars, now))
    }

    /// What access key secrets are made with, of each key that is published.
    #[must_use]
    pub fn exchange_secrets(&self, now: Timestamp) -> KeySecrets {
        let live = self.keys.iter().filter(|key| key.published_until.is_none_or(|end| now < end));
        live.filter_map(|key| Some((Box::from(key.signer.kid()), key.signer.exchange_secret()?.clone())))
            .collect()
    }

    /// The keys of grants' records, as a key set. Only sidecars are to get it: they are of no use to anybody else.
    #[must_use]
    pub fn record_keys(&self, now: Timestamp) -> String {
        key_set_json(self.published(now).filter(|key| key.purpose() == Purpose::Record))
    }

    /// The keys of [`Keyring::jwks`], ready to verify with.
    #[must_use]
    pub fn key_set(&self, sidecars: &[PublicJwk], now: Timestamp) -> KeySet {
        KeySet::new(self.all(sidecars, now))
    }

    fn all<'k>(&'k self, sidecars: &'k [PublicJwk], now: Timestamp) -> impl Iterator<Item = &'k PublicJwk> {
        self.published(now)
            .filter(|key| key.purpose().is_for_the_world())
            .chain(sidecars.iter().filter(|key| key.purpose() == Purpose::Assertion))
    }
}

impl Key {
    fn signs(&self, now: Timestamp) -> bool {
        self.active_from <= now
            && self.retired_at.is_none_or(|end| now < end)
            && self.published_until.is_none_or(|end| now < end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::keys::generate;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn entry(purpose: Purpose, from: i64, retired: Option<i64>, until: Option<i64>) -> KeyringEntry {
        let pkcs8 = generate(purpose).unwrap();
        KeyringEntry {
            kid: Signer::from_pkcs8(purpose, &pkcs8).unwrap().kid().to_owned(),
            purpose,
            pkcs8,
            active_from: at(from),
            retired_at: retired.map(at),
            published_until: until.map(at),
        }
    }

    #[test]
    fn a_rotation_publishes_the_next_key_before_it_signs_and_the_last_one_after() {
        let old = entry(Purpose::AccessToken, 0, Some(100), Some(200));
        let new = entry(Purpose::AccessToken, 100, None, None);
        let (old_kid, new_kid) = (old.kid.clone(), new.kid.clone());
        let ring = Keyring::new([old, new]).unwrap();
        let signs = |now| ring.signer(Purpose::AccessToken, at(now)).unwrap().kid().to_owned();
        let published = |now| ring.published(at(now)).map(|key| key.kid().to_owned()).collect::<Vec<_>>();
        assert_eq!((signs(99), signs(100)), (old_kid.clone(), new_kid.clone()));
        assert_eq!(published(50), [old_kid.clone(), new_kid.clone()]);
        assert_eq!(published(199), [old_kid, new_kid.clone()]);
        assert_eq!(published(200), [new_kid]);
    }

    #[test]
    fn no_key_signs_for_a_purpose_that_has_none_nor_before_its_time() {
        let ring = Keyring::new([entry(Purpose::AccessToken, 100, None, None)]).unwrap();
        assert_eq!(ring.signer(Purpose::IdToken, at(100)).err(), Some(KeyError::NoKey(Purpose::IdToken)));
        assert!(ring.signer(Purpose::AccessToken, at(99)).is_err());
        assert!(ring.signer(Purpose::AccessToken, at(100)).is_ok());
    }

    #[test]
    fn a_sidecars_key_is_published_only_for_assumed_identities() {
        let key =
            |purpose| Signer::from_pkcs8(purpose, &generate(purpose).unwrap()).unwrap().public().clone();
        let (good, bad) = (key(Purpose::Assertion), key(Purpose::AccessToken));
        let jwks = Keyring::default().jwks(&[good.clone(), bad.clone()], at(0));
        assert!(jwks.contains(good.kid()));
        assert!(!jwks.contains(bad.kid()));
    }

    #[test]
    fn the_keys_of_records_are_for_sidecars_and_the_others_for_the_world() {
        let ring =
            Keyring::new([entry(Purpose::Record, 0, None, None), entry(Purpose::AccessToken, 0, None, None)])
                .unwrap();
        let kid = |purpose| ring.signer(purpose, at(0)).unwrap().kid().to_owned();
        let (record, access) = (kid(Purpose::Record), kid(Purpose::AccessToken));
        let (world, sidecars) = (ring.jwks(&[], at(0)), ring.record_keys(at(0)));
        assert!(world.contains(&access) && !world.contains(&record));
        assert!(sidecars.contains(&record) && !sidecars.contains(&access));
        assert!(!ring.key_set(&[], at(0)).contains(&record));
    }

    #[test]
    fn a_key_stored_under_another_name_is_refused() {
        let mut swapped = entry(Purpose::AccessToken, 0, None, None);
        swapped.kid = "k".to_owned();
        assert_eq!(Keyring::new([swapped]).err(), Some(KeyError::WrongName("k".to_owned())));
    }
}
