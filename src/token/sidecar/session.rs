//! Sessions of an upstream, bound to the caller that they were given to.
//!
//! Comes in: a session's name, as the upstream gave it, and whose it is. Goes out: a name that every sidecar of the
//! issuer opens for that caller, and none for anybody else. Nothing is kept: the binding is a keyed hash (RFC 2104) under
//! a key that the control plane gives its sidecars and nobody else.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::model::caller::Caller;

/// The key that binds sessions, the same for all sidecars of an issuer.
pub struct SessionKey(hmac::Key);

impl SessionKey {
    /// A key of this secret.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// The session's name as `caller` gets it. `place` is where it is good: another upstream may give the same names.
    #[must_use]
    pub fn bind(&self, caller: &Caller, place: &str, session: &str) -> String {
        let tag = hmac::sign(&self.0, statement(caller, place, session).as_bytes());
        format!("{}.{}", URL_SAFE_NO_PAD.encode(tag), URL_SAFE_NO_PAD.encode(session))
    }

    /// The session's own name, if it was bound to this caller and place.
    #[must_use]
    pub fn unbind(&self, caller: &Caller, place: &str, bound: &str) -> Option<String> {
        let (tag, session) = bound.split_once('.')?;
        let (tag, session) = (URL_SAFE_NO_PAD.decode(tag).ok()?, URL_SAFE_NO_PAD.decode(session).ok()?);
        let session = String::from_utf8(session).ok()?;
        let statement = statement(caller, place, &session);
        hmac::verify(&self.0, statement.as_bytes(), &tag).ok().map(|()| session)
    }
}

impl std::fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SessionKey(***)")
    }
}

/// Each part but the last is of characters that the divider is not among.
fn statement(caller: &Caller, place: &str, session: &str) -> String {
    let principal = &caller.principal;
    let (account, kind, id) = (principal.account.as_str(), principal.kind.as_str(), principal.id.as_str());
    let (application, length) = (caller.application.as_str(), place.len());
    format!("consentry session|{application}|{account}|{kind}|{id}|{length}|{place}|{session}")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn caller(application: &str, account: &str, kind: &str, id: &str) -> Caller {
        Caller {
            application: application.parse().unwrap(),
            principal: serde_json::from_value(
                serde_json::json!({ "account": account, "kind": kind, "id": id }),
            )
            .unwrap(),
            subject: "s".to_owned(),
            scopes: "openid".parse().unwrap(),
            revision: serde_json::from_str("1").unwrap(),
            family: "f".parse().unwrap(),
            expires_at: 100,
        }
    }

    #[test]
    fn a_session_is_its_callers_under_the_same_key() {
        let alice = caller("1", "2", "user", "3");
        let bound = SessionKey::new(&[7; 32]).bind(&alice, "cloud", "a|b.c~!");
        assert!(bound.bytes().all(|byte| byte.is_ascii_graphic()));
        let opened = SessionKey::new(&[7; 32]).unbind(&alice, "cloud", &bound);
        assert_eq!(opened.as_deref(), Some("a|b.c~!"));
    }

    #[test]
    fn a_session_is_nobody_elses_and_of_no_other_key_or_place() {
        let (key, alice) = (SessionKey::new(&[7; 32]), caller("1", "2", "user", "3"));
        let bound = key.bind(&alice, "cloud", "s");
        for other in [
            caller("9", "2", "user", "3"),
            caller("1", "9", "user", "3"),
            caller("1", "2", "role", "3"),
            caller("1", "2", "user", "9"),
        ] {
            assert_eq!(key.unbind(&other, "cloud", &bound), None);
        }
        assert_eq!(key.unbind(&alice, "other", &bound), None);
        assert_eq!(SessionKey::new(&[8; 32]).unbind(&alice, "cloud", &bound), None);
        for text in ["", "s", "a.b", ".", &bound.replacen('.', "", 1), &format!("{bound}x")] {
            assert_eq!(key.unbind(&alice, "cloud", text), None, "{text}");
        }
    }
}
