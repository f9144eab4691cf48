//! The issuer's signing keys in use: made at the first start, sealed at rest, rotated without anybody noticing.
//!
//! A new key is published before it signs; the one before it signs until then, and stays published until the longest
//! life of what it signed has ended. So a verifier that refreshes its key set now and then never meets a stranger.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::browser::session::later;
use super::issuer::NotAnIssuer;
use super::{Control, Problem};
use crate::grants::shared::publish::{RecordKeys, Signing};
use crate::model::id::Seq;
use crate::net::tls::TlsError;
use crate::store::{KeyPurpose, SealedKey, Shared, StoreError, Subject};
use crate::token::jwk::PublicJwk;
use crate::token::keyring::{Keyring, KeyringEntry};
use crate::token::keys::{KeyError, Purpose, Signer, generate};
use crate::token::password::PasswordError;
use crate::token::seal::{SealError, Sealer};
use crate::token::verify::KeySet;

/// Why a control plane did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configured address is none.
    #[error(transparent)]
    Issuer(#[from] NotAnIssuer),
    /// The store's own errors.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A key could not be sealed or opened.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A key could not be made or read.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Passwords could not be checked.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// Descriptions of clients cannot be read.
    #[error("registration: {0}")]
    Registration(#[from] TlsError),
    /// A provider to log in at cannot be asked.
    #[error("provider {name:?}: {why}")]
    Provider {
        /// Its name.
        name: String,
        /// Why.
        why: String,
    },
}

/// The issuer's keys, opened, and what they verify.
pub(super) struct Ring {
    pub(super) keys: Keyring,
    pub(super) verifiers: KeySet,
    pub(super) records: Arc<KeySet>,
}

impl Ring {
    pub(super) async fn load(store: &Shared, sealer: &Sealer, now: Timestamp) -> Result<Self, StartError> {
        let mut entries = Vec::new();
        for key in store.signing_keys(now).await? {
            entries.push(KeyringEntry {
                pkcs8: sealer.open(&key.kid, &key.sealed)?,
                kid: key.kid,
                purpose: signs(key.purpose),
                active_from: key.active_from,
                retired_at: key.retired_at,
                published_until: key.published_until,
            });
        }
        let keys = Keyring::new(entries)?;
        let verifiers = keys.key_set(&[], now);
        let records = keys.published(now).filter(|key| key.purpose() == Purpose::Record);
        let records = Arc::new(KeySet::new(records));
        Ok(Self { keys, verifiers, records })
    }
}

impl Control {
    pub(super) fn ring(&self) -> Arc<Ring> {
        self.ring.load_full()
    }

    /// The keys for records in the shared tier, as they are whenever it is asked.
    pub(super) fn record_keys(self: &Arc<Self>) -> Signing {
        // Whoever publishes belongs to it: without this, neither would ever go.
        let control = Arc::downgrade(self);
        Arc::new(move || {
            let control = control.upgrade()?;
            let ring = control.ring();
            let signer = ring.keys.signer(Purpose::Record, control.clock.now()).ok()?;
            Some(RecordKeys { signer: Arc::clone(signer), known: Arc::clone(&ring.records) })
        })
    }

    /// Makes a new key for every purpose. It is published at once and signs after the notice.
    ///
    /// # Errors
    /// [`StartError`]; the old keys then go on.
    pub async fn rotate_keys(&self) -> Result<(), StartError> {
        rotate_keys(&self.store, &self.sealer, self.settings.key_notice_seconds, self.clock.now()).await?;
        self.reload_keys().await
    }

    /// Reads the keys again, after they were changed here or by another node.
    ///
    /// # Errors
    /// [`StartError`]; the keys read before stay in use.
    pub async fn reload_keys(&self) -> Result<(), StartError> {
        let ring = Ring::load(&self.store, &self.sealer, self.clock.now()).await?;
        self.ring.store(Arc::new(ring));
        Ok(())
    }

    /// What has to be done now and then: reads the keys again when another node has changed them, has the store forget
    /// what is over, and keeps the audit. Never ends: run it as a task of its own and drop it at shutdown.
    pub async fn tend(&self) {
        tokio::join!(self.tend_keys(), self.tend_audit());
    }

    async fn tend_keys(&self) {
        let mut woken = self.store.woken();
        let (mut seen, mut policies) = (Seq::default(), self.policies.subscribe());
        let mut noted = None;
        let mut forget_at = Timestamp::UNIX_EPOCH;
        loop {
            let now = self.clock.now();
            if now >= forget_at {
                forget_at = later(now, FORGET_SECONDS);
                if let Err(error) = self.store.forget_old_tokens(now).await {
                    tracing::warn!(error = %error, "the store could not forget what is over; it will be tried again");
                }
                let idle = self.registrar.forget_before(now);
                if let Err(error) = self.store.forget_unauthorized(idle, now).await {
                    tracing::warn!(error = %error, "applications that nobody authorized could not be forgotten; it will be tried again");
                }
                if let Err(error) = self.store.forget_old_figures(now).await {
                    tracing::warn!(error = %error, "the store could not forget old figures of use; it will be tried again");
                }
                if let Err(error) = self.rotate_when_due(now).await {
                    tracing::warn!(error = %error, "the signing keys could not be rotated; the last ones go on");
                }
            }
            if let Err(error) = self.catch_up(&mut seen).await {
                tracing::warn!(error = %error, "the signing keys could not be read again; the last ones stay");
            }
            let version = policies.borrow_and_update().clone();
            if noted.as_ref() != Some(&version) {
                match self.store.note_policies(version.as_str(), now).await {
                    Ok(_) => noted = Some(version),
                    Err(error) => {
                        tracing::warn!(error = %error, "sidecars could not be told of new policies; it will be tried again");
                    }
                }
            }
            // Other nodes do not wake this one; a closed channel only makes the wait longer.
            let either = async {
                tokio::select! {
                    _ = woken.changed() => {}
                    Ok(()) = policies.changed() => {}
                }
            };
            let _ = tokio::time::timeout(LOOK_AGAIN, either).await;
        }
    }

    async fn rotate_when_due(&self, now: Timestamp) -> Result<(), StartError> {
        let newest = self.store.signing_keys(now).await?.iter().map(|key| key.active_from).max();
        let due = newest.is_none_or(|from| later(from, self.settings.key_life_seconds) <= now);
        if due { self.rotate_keys().await } else { Ok(()) }
    }

    async fn catch_up(&self, seen: &mut Seq) -> Result<(), StartError> {
        let newest = self.store.newest().await?;
        while *seen < newest {
            let changes = self.store.changes_after(*seen, 500).await?;
            let Some(last) = changes.last().map(|change| change.seq) else {
                *seen = newest;
                break;
            };
            if changes.iter().any(|change| change.subject == Subject::Keys) {
                self.reload_keys().await?;
            }
            *seen = last;
        }
        Ok(())
    }

    /// The key set at `/v1/keys`: the issuer's keys and the sidecars' own.
    pub(super) async fn key_set(&self) -> Result<String, Problem> {
        let now = self.clock.now();
        let sidecars = self.store.sidecar_keys(now).await?;
        let read = |json: &str| {
            PublicJwk::parse(json).map_err(|why| Problem::internal("a sidecar's key", &why)).ok()
        };
        let sidecars: Vec<_> = sidecars.iter().filter_map(|key| read(&key.public_jwk)).collect();
        Ok(self.ring().keys.jwks(&sidecars, now))
    }
}

/// Makes a new key for every purpose in `store`: announced now, signing after `notice` seconds.
///
/// # Errors
/// [`StartError`]; keys that were made before the fault stay.
pub async fn rotate_keys(
    store: &Shared,
    sealer: &Sealer,
    notice: i64,
    now: Timestamp,
) -> Result<(), StartError> {
    // A key that is sealed under another secret than its predecessors could not be opened with them.
    drop(Ring::load(store, sealer, now).await?);
    let active_from = later(now, notice);
    for purpose in KeyPurpose::ALL {
        let key = make(sealer, purpose, active_from)?;
        store.add_signing_key(&key, later(active_from, LONGEST_TOKEN_SECONDS), now).await?;
    }
    Ok(())
}

/// Makes the keys that are not there yet, which is all of them at the first start.
pub(super) async fn make_missing(store: &Shared, sealer: &Sealer, now: Timestamp) -> Result<(), StartError> {
    let there = store.signing_keys(now).await?;
    for purpose in KeyPurpose::ALL {
        let signs = |key: &SealedKey| {
            key.purpose == purpose && key.active_from <= now && key.retired_at.is_none_or(|end| now < end)
        };
        if !there.iter().any(signs) {
            let key = make(sealer, purpose, now)?;
            store.add_signing_key(&key, later(now, LONGEST_TOKEN_SECONDS), now).await?;
        }
    }
    Ok(())
}

fn make(sealer: &Sealer, purpose: KeyPurpose, active_from: Timestamp) -> Result<SealedKey, StartError> {
    let pkcs8 = generate(signs(purpose))?;
    let signer = Signer::from_pkcs8(signs(purpose), &pkcs8)?;
    Ok(SealedKey {
        kid: signer.kid().to_owned(),
        purpose,
        public_jwk: signer.public().to_json(),
        sealed: sealer.seal(signer.kid(), &pkcs8)?,
        active_from,
        retired_at: None,
        published_until: None,
    })
}

fn signs(purpose: KeyPurpose) -> Purpose {
    match purpose {
        KeyPurpose::AccessToken => Purpose::AccessToken,
        KeyPurpose::IdToken => Purpose::IdToken,
        KeyPurpose::IdTokenEc => Purpose::IdTokenEc,
        KeyPurpose::Record => Purpose::Record,
        KeyPurpose::Audit => Purpose::Audit,
        KeyPurpose::Exchange => Purpose::Exchange,
    }
}

/// The longest life that an application can have for its access tokens, and a little more for clocks.
pub(super) const LONGEST_TOKEN_SECONDS: i64 = 10_800 + 300;

const FORGET_SECONDS: i64 = 3600;

const LOOK_AGAIN: Duration = Duration::from_secs(5);
