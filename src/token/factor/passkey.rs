//! Passkeys (WebAuthn level 3): what is asked of a browser, and what its answer proves. User verification is always
//! demanded, so that a passkey alone is two factors.
//!
//! Comes in: who registers, or nobody yet; and the browser's answer. Goes out: options for the browser's script, a
//! state to be kept for one answer, and the public key to be kept. What is asked is bound to our origin; where that
//! is an IP address there are no passkeys, since browsers give none to it (WebAuthn section 5.1.2).

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use url::Url;
use webauthn_rs::WebauthnBuilder;
use webauthn_rs::prelude::{
    DiscoverableAuthentication, DiscoverableKey, Passkey, PasskeyRegistration, PublicKeyCredential,
    RegisterPublicKeyCredential, Uuid, Webauthn, WebauthnError,
};
use zeroize::Zeroizing;

use crate::model::account::PrincipalKey;

/// Asks for passkeys and checks them.
pub struct Passkeys {
    site: Webauthn,
    handles: Zeroizing<[u8; 32]>,
}

/// What is to be put before a browser, and what is to be kept until it answers.
pub struct Asked {
    /// The options, as JSON for the browser's script.
    pub options: String,
    /// The state, as JSON; it holds no secret that outlives it, and never leaves the server.
    pub state: String,
}

/// A passkey that a browser has made.
pub struct Made {
    /// The credential's id.
    pub credential: Vec<u8>,
    /// What to keep of it, as JSON.
    pub public: String,
}

/// Which passkey a browser has answered with; nothing of it is proven yet.
pub struct Presented {
    answer: PublicKeyCredential,
}

/// Why an answer proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum PasskeyError {
    /// It is no answer at all.
    #[error("the browser's answer could not be read")]
    Unreadable(#[source] serde_json::Error),
    /// It is wrong: of another origin, to another question, not by this key, or without user verification.
    #[error("the passkey does not prove who you are")]
    Refused(#[source] WebauthnError),
    /// What is kept cannot be read.
    #[error("a kept passkey cannot be read; remove it and register it again")]
    Damaged(#[source] serde_json::Error),
}

impl Passkeys {
    /// For pages of `origin`; none when its host is no name. `key` makes the handles by which authenticators know
    /// people.
    #[must_use]
    pub fn new(origin: &str, key: Zeroizing<[u8; 32]>) -> Option<Self> {
        let origin = Url::parse(origin).ok()?;
        let host = origin.domain()?.to_owned();
        let site = WebauthnBuilder::new(&host, &origin).ok()?.rp_name("Consentry").build().ok()?;
        Some(Self { site, handles: key })
    }

    /// Asks to make a passkey for somebody who has those in `there`.
    ///
    /// # Errors
    /// The library's own.
    pub fn ask_new(
        &self,
        whom: &PrincipalKey,
        login: &str,
        name: &str,
        there: Vec<Vec<u8>>,
    ) -> Result<Asked, PasskeyError> {
        let (options, state) = self
            .site
            .start_passkey_registration(self.handle(whom), login, name, Some(there))
            .map_err(PasskeyError::Refused)?;
        let mut options = serde_json::to_value(options).map_err(PasskeyError::Damaged)?;
        // So that it can be found without a login being typed, where the authenticator can keep it so.
        if let Some(wish) = options.pointer_mut("/publicKey/authenticatorSelection") {
            merge(wish, "residentKey", json!("preferred"));
        }
        asked(&options, &state)
    }

    /// Takes a passkey that was asked for.
    ///
    /// # Errors
    /// [`PasskeyError`].
    pub fn take_new(&self, state: &str, answer: &str) -> Result<Made, PasskeyError> {
        let state: PasskeyRegistration = serde_json::from_str(state).map_err(PasskeyError::Damaged)?;
        let answer: RegisterPublicKeyCredential =
            serde_json::from_str(answer).map_err(PasskeyError::Unreadable)?;
        let made = self.site.finish_passkey_registration(&answer, &state).map_err(PasskeyError::Refused)?;
        let public = serde_json::to_string(&made).map_err(PasskeyError::Damaged)?;
        Ok(Made { credential: made.cred_id().as_slice().to_vec(), public })
    }

    /// Asks for a passkey: any that the browser finds, or one of `among`.
    ///
    /// # Errors
    /// The library's own.
    pub fn ask(&self, among: &[Vec<u8>]) -> Result<Asked, PasskeyError> {
        let (options, state) =
            self.site.start_discoverable_authentication().map_err(PasskeyError::Refused)?;
        let mut options = serde_json::to_value(options).map_err(PasskeyError::Damaged)?;
        let one = |id: &Vec<u8>| json!({ "type": "public-key", "id": URL_SAFE_NO_PAD.encode(id) });
        if let Some(wish) = options.get_mut("publicKey") {
            merge(wish, "allowCredentials", among.iter().map(one).collect());
        }
        // Asked when a person presses a button, not while they fill in a form.
        if let Some(all) = options.as_object_mut() {
            all.remove("mediation");
        }
        asked(&options, &state)
    }

    /// What is asked for when a login has no passkey, or does not exist: the same each time, so that nobody learns
    /// which it is.
    #[must_use]
    pub fn decoy(&self, login: &str) -> Vec<u8> {
        self.mac(&format!("decoy {}", login.to_lowercase()))
    }

    /// Checks an answer against the passkey that it is by. Answers what to keep of it from now on.
    ///
    /// # Errors
    /// [`PasskeyError`].
    pub fn check(&self, state: &str, presented: &Presented, public: &str) -> Result<String, PasskeyError> {
        let state: DiscoverableAuthentication = serde_json::from_str(state).map_err(PasskeyError::Damaged)?;
        let mut passkey: Passkey = serde_json::from_str(public).map_err(PasskeyError::Damaged)?;
        let key = DiscoverableKey::from(&passkey);
        let proven = self
            .site
            .finish_discoverable_authentication_v2(&presented.answer, state, &key)
            .map_err(PasskeyError::Refused)?;
        if !proven.user_verified() {
            return Err(PasskeyError::Refused(WebauthnError::UserNotVerified));
        }
        passkey.update_credential(&proven);
        serde_json::to_string(&passkey).map_err(PasskeyError::Damaged)
    }

    /// Whether the authenticator says that its passkey is this person's. One that says nothing does not contradict.
    #[must_use]
    pub fn is_of(&self, presented: &Presented, whom: &PrincipalKey) -> Option<bool> {
        let handle = presented.answer.get_user_unique_id()?;
        Some(handle == self.handle(whom).as_bytes())
    }

    /// By what authenticators know somebody: it tells nothing about them (WebAuthn section 14.6.1).
    fn handle(&self, whom: &PrincipalKey) -> Uuid {
        let mac = self.mac(&format!("handle {}/{}/{}", whom.account, whom.kind, whom.id));
        let half = mac.first_chunk::<16>().copied().unwrap_or_default();
        Uuid::from_bytes(half)
    }

    fn mac(&self, text: &str) -> Vec<u8> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.handles.as_slice());
        hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
    }
}

impl Presented {
    /// Reads a browser's answer.
    ///
    /// # Errors
    /// [`PasskeyError::Unreadable`].
    pub fn read(answer: &str) -> Result<Self, PasskeyError> {
        serde_json::from_str(answer).map(|answer| Self { answer }).map_err(PasskeyError::Unreadable)
    }

    /// The credential's id that it names.
    #[must_use]
    pub fn credential(&self) -> &[u8] {
        self.answer.get_credential_id()
    }
}

fn asked(options: &Value, state: &impl serde::Serialize) -> Result<Asked, PasskeyError> {
    let state = serde_json::to_string(state).map_err(PasskeyError::Damaged)?;
    Ok(Asked { options: options.to_string(), state })
}

fn merge(into: &mut Value, name: &str, value: Value) {
    if let Some(fields) = into.as_object_mut() {
        fields.insert(name.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::super::soft::Soft;
    use super::*;
    use crate::model::account::PrincipalKind;

    const HERE: &str = "https://login.example";

    fn passkeys() -> Passkeys {
        Passkeys::new(HERE, Zeroizing::new([7; 32])).unwrap()
    }

    fn alice() -> PrincipalKey {
        PrincipalKey {
            account: "17".parse().unwrap(),
            kind: PrincipalKind::User,
            id: "u-alice".parse().unwrap(),
        }
    }

    fn made(site: &Passkeys, soft: &mut Soft) -> Result<Made, PasskeyError> {
        let asked = site.ask_new(&alice(), "alice@acme", "Alice", Vec::new()).unwrap();
        let answer = soft.make(&asked.options);
        site.take_new(&asked.state, &answer)
    }

    #[test]
    fn a_passkey_is_made_and_proves_its_owner() {
        let (site, mut soft) = (passkeys(), Soft::new(HERE, 1));
        let made = made(&site, &mut soft).unwrap();
        assert_eq!(made.credential, soft.id);
        for among in [vec![], vec![soft.id.clone()]] {
            let asked = site.ask(&among).unwrap();
            let presented = Presented::read(&soft.answer(&asked.options)).unwrap();
            assert_eq!(presented.credential(), soft.id);
            assert_eq!(site.is_of(&presented, &alice()), Some(true));
            let other = PrincipalKey { account: "18".parse().unwrap(), ..alice() };
            assert_eq!(site.is_of(&presented, &other), Some(false));
            site.check(&asked.state, &presented, &made.public).unwrap();
        }
    }

    #[test]
    fn an_answer_to_another_question_or_at_another_origin_or_without_verification_proves_nothing() {
        let (site, mut soft) = (passkeys(), Soft::new(HERE, 1));
        let public = made(&site, &mut soft).unwrap().public;
        let (one, two) = (site.ask(&[]).unwrap(), site.ask(&[]).unwrap());
        let check = |answer: &str| site.check(&one.state, &Presented::read(answer).unwrap(), &public);
        assert!(check(&soft.answer(&two.options)).is_err(), "another question");
        soft.origin = "https://login.example.evil.example".to_owned();
        assert!(check(&soft.answer(&one.options)).is_err(), "another origin");
        soft.origin = HERE.to_owned();
        soft.verifies = false;
        assert!(check(&soft.answer(&one.options)).is_err(), "nobody proved to be there");
        soft.verifies = true;
        let mut stranger = Soft::new(HERE, 1);
        assert!(check(&stranger.answer(&one.options)).is_err(), "another key");
        check(&soft.answer(&one.options)).unwrap();
    }

    #[test]
    fn a_counter_that_goes_back_is_refused() {
        let (site, mut soft) = (passkeys(), Soft::new(HERE, 1));
        let public = made(&site, &mut soft).unwrap().public;
        let asked = site.ask(&[]).unwrap();
        let presented = Presented::read(&soft.answer(&asked.options)).unwrap();
        let after = site.check(&asked.state, &presented, &public).unwrap();
        assert_ne!(after, public);
        assert!(site.check(&asked.state, &presented, &after).is_err());
    }

    #[test]
    fn a_passkey_made_elsewhere_or_without_verification_is_not_taken() {
        let site = passkeys();
        assert!(made(&site, &mut Soft::new("https://evil.example", 1)).is_err());
        let mut lax = Soft::new(HERE, 1);
        lax.verifies = false;
        assert!(made(&site, &mut lax).is_err());
        assert!(site.take_new("{}", "{}").is_err() && Presented::read("nonsense").is_err());
    }

    #[test]
    fn an_address_that_is_no_name_has_no_passkeys() {
        assert!(Passkeys::new("http://127.0.0.1:8081", Zeroizing::new([7; 32])).is_none());
        assert!(Passkeys::new("http://localhost:8081", Zeroizing::new([7; 32])).is_some());
    }
}
