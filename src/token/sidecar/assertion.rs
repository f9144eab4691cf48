//! The assumed identity as an assertion: what an upstream receives instead of the application's token.
//!
//! Comes in: a caller whose call was permitted, the scopes that counted, the route's audience. Goes out: a token of
//! at most 60 seconds, signed by the sidecar's own key, that names the user and, as actor, the application (RFC
//! 8693 §4.1); or, bound to one request, of 30 seconds. For upstreams: the check of it.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::model::account::PrincipalKind;
use crate::model::caller::Caller;
use crate::model::id::Revision;
use crate::model::scope::ScopeSet;
use crate::token::issue::NotIssued;
use crate::token::keys::{KeyError, Purpose, Signer};
use crate::token::random;
use crate::token::verify::{BAD_CLAIMS, KeySet, Lasting, TokenRefused, read, signed_claims};

/// Life of an assertion that is good for any request, in seconds.
pub const SECONDS: i64 = 60;
/// Life of an assertion that is bound to one request, in seconds.
pub const BOUND_SECONDS: i64 = 30;

/// Signs assumed identities with the sidecar's own key.
pub struct AssertionSigner {
    signer: Signer,
    issuer: Arc<str>,
}

/// What an assumed identity says of a caller.
#[derive(Debug, Clone, Copy)]
pub struct Assumed<'a> {
    /// Who calls.
    pub caller: &'a Caller,
    /// The scopes that counted: never more than the grant holds.
    pub scopes: &'a ScopeSet,
    /// The grant's revision that was decided on.
    pub revision: Revision,
    /// When the grant comes to its own end, in seconds since 1970.
    pub ends_at: Option<i64>,
    /// The route's audience.
    pub audience: &'a str,
}

/// The one request that a bound assertion is good for.
#[derive(Debug, Clone, Copy)]
pub struct Binding<'a> {
    /// Its method.
    pub method: &'a str,
    /// Its path as the upstream sees it, without the query.
    pub path: &'a str,
    /// SHA-256 of its body, when the body is known before it is sent on.
    pub body: Option<&'a [u8; 32]>,
}

/// A signed assertion.
#[derive(Debug, Clone)]
pub struct SignedAssertion {
    /// The token.
    pub token: random::Secret,
    /// When it ends, in seconds since 1970. Never later than the caller's own token.
    pub expires_at: i64,
}

impl AssertionSigner {
    /// `signer` must be a key for assertions; `issuer` is the issuer in whose key set it is published.
    pub fn new(signer: Signer, issuer: impl Into<Arc<str>>) -> Result<Self, KeyError> {
        if signer.purpose() != Purpose::Assertion {
            return Err(KeyError::NoKey(Purpose::Assertion));
        }
        Ok(Self { signer, issuer: issuer.into() })
    }

    /// The key that is to be published.
    #[must_use]
    pub fn signer(&self) -> &Signer {
        &self.signer
    }

    /// Signs. `now` in seconds since 1970.
    pub fn sign(
        &self,
        assumed: Assumed<'_>,
        binding: Option<Binding<'_>>,
        now: i64,
    ) -> Result<SignedAssertion, NotIssued> {
        let caller = assumed.caller;
        let life = if binding.is_some() { BOUND_SECONDS } else { SECONDS };
        let end = caller.expires_at.min(assumed.ends_at.unwrap_or(i64::MAX));
        let expires_at = now.saturating_add(life).min(end.max(now.saturating_add(1)));
        let jti = random::identifier()?;
        let claims = Claims {
            iss: &self.issuer,
            aud: assumed.audience,
            sub: &caller.subject,
            aid: caller.principal.account.as_str(),
            uid: caller.principal.id.as_str(),
            kind: caller.principal.kind,
            act: Actor { sub: caller.application.as_str() },
            scope: assumed.scopes.to_string(),
            grant: caller.grant().to_string(),
            rev: assumed.revision.0,
            iat: now,
            exp: expires_at,
            jti: &jti,
            htm: binding.map(|bound| bound.method),
            htp: binding.map(|bound| bound.path),
            bh: binding.and_then(|bound| bound.body).map(|hash| URL_SAFE_NO_PAD.encode(hash)),
        };
        Ok(SignedAssertion { token: random::Secret::new(self.signer.sign(&claims)?), expires_at })
    }
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    aid: &'a str,
    uid: &'a str,
    #[serde(rename = "type")]
    kind: PrincipalKind,
    act: Actor<&'a str>,
    scope: String,
    grant: String,
    rev: u64,
    iat: i64,
    exp: i64,
    jti: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    htm: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    htp: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bh: Option<String>,
}

/// Who acts (RFC 8693 §4.1): the application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor<T = String> {
    /// Its `client_id`.
    pub sub: T,
}

/// A verified assertion's claims, as they stand in the token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assertion {
    /// The issuer.
    pub iss: String,
    /// The audience.
    pub aud: String,
    /// The user's opaque subject.
    pub sub: String,
    /// The user's account.
    pub aid: String,
    /// The user's id in it.
    pub uid: String,
    /// What kind of principal it is.
    #[serde(rename = "type")]
    pub kind: PrincipalKind,
    /// The application.
    pub act: Actor,
    /// The scopes that counted.
    pub scope: String,
    /// The grant, `account/application`.
    pub grant: String,
    /// Its revision.
    pub rev: u64,
    /// When it was signed.
    pub iat: i64,
    /// When it ends.
    pub exp: i64,
    /// Its id.
    pub jti: String,
    /// The method of the one request that it is good for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub htm: Option<String>,
    /// That request's path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub htp: Option<String>,
    /// SHA-256 of that request's body, base64url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bh: Option<String>,
}

impl Assertion {
    /// Whether it is good for this method and path: it is bound to none, or to exactly these.
    #[must_use]
    pub fn allows_request(&self, method: &str, path: &str) -> bool {
        let fits = |bound: &Option<String>, found: &str| bound.as_deref().is_none_or(|text| text == found);
        fits(&self.htm, method) && fits(&self.htp, path)
    }

    /// Whether it is good for a body with this SHA-256: it is bound to none, or to exactly this one.
    #[must_use]
    pub fn allows_body(&self, hash: &[u8; 32]) -> bool {
        self.bh.as_deref().is_none_or(|bound| bound == URL_SAFE_NO_PAD.encode(hash))
    }
}

/// The upstream's check of an assumed identity. `audience` is its own; `now` in seconds since 1970. Clocks may
/// differ by five seconds.
pub fn verify_assertion(
    keys: &KeySet,
    token: &str,
    issuer: &str,
    audience: &str,
    now: i64,
) -> Result<Assertion, TokenRefused> {
    let claims = signed_claims(keys, token, Purpose::Assertion)?;
    read::<Lasting<'_>>(&claims)?.check(issuer, |found| (found == audience).then_some(()), now, 5)?;
    let assertion: Assertion = read(&claims)?;
    if assertion.exp.saturating_sub(assertion.iat) > SECONDS {
        return Err(BAD_CLAIMS);
    }
    Ok(assertion)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::account::PrincipalKey;
    use crate::token::keys::generate;

    fn signer(purpose: Purpose) -> Signer {
        Signer::from_pkcs8(purpose, &generate(purpose).unwrap()).unwrap()
    }

    fn caller() -> Caller {
        Caller {
            application: "4001".parse().unwrap(),
            principal: PrincipalKey {
                account: "1001".parse().unwrap(),
                kind: PrincipalKind::User,
                id: "2001".parse().unwrap(),
            },
            subject: "opaque".to_owned(),
            scopes: "openid /acs/oss:read".parse().unwrap(),
            revision: Revision(3),
            family: "f".parse().unwrap(),
            expires_at: 10_000,
        }
    }

    fn sign(own: &AssertionSigner, caller: &Caller, binding: Option<Binding<'_>>) -> SignedAssertion {
        let scopes = "/acs/oss:read".parse().unwrap();
        let (revision, ends_at) = (Revision(7), Some(2000));
        let assumed = Assumed { caller, scopes: &scopes, revision, ends_at, audience: "oss" };
        own.sign(assumed, binding, 1000).unwrap()
    }

    fn own() -> (AssertionSigner, KeySet) {
        let own = AssertionSigner::new(signer(Purpose::Assertion), "https://issuer").unwrap();
        let keys = KeySet::new([own.signer().public()]);
        (own, keys)
    }

    #[test]
    fn an_assertion_names_the_user_the_application_and_the_grant() {
        let (own, keys) = own();
        let signed = sign(&own, &caller(), None);
        assert_eq!(signed.expires_at, 1060);
        let read = verify_assertion(&keys, signed.token.expose(), "https://issuer", "oss", 1059).unwrap();
        assert_eq!((read.sub.as_str(), read.act.sub.as_str()), ("opaque", "4001"));
        assert_eq!((read.aid.as_str(), read.uid.as_str()), ("1001", "2001"));
        assert_eq!((read.grant.as_str(), read.rev, read.scope.as_str()), ("1001/4001", 7, "/acs/oss:read"));
        assert!(read.allows_request("DELETE", "/anything") && read.allows_body(&[0; 32]));
    }

    #[test]
    fn an_assertion_is_refused_elsewhere_later_and_from_another_issuer() {
        let (own, keys) = own();
        let token = sign(&own, &caller(), None).token;
        let check = |issuer, audience, now| verify_assertion(&keys, token.expose(), issuer, audience, now);
        assert_eq!(check("https://issuer", "oss", 1065), Err(TokenRefused::Expired));
        for (issuer, audience, now) in
            [("https://issuer", "ecs", 1000), ("https://other", "oss", 1000), ("https://issuer", "oss", 900)]
        {
            assert!(
                matches!(check(issuer, audience, now), Err(TokenRefused::Invalid(_))),
                "{audience} {now}"
            );
        }
    }

    #[test]
    fn an_assertion_never_outlives_the_callers_token() {
        let (own, _) = own();
        assert_eq!(sign(&own, &Caller { expires_at: 1010, ..caller() }, None).expires_at, 1010);
    }

    #[test]
    fn an_assertion_never_outlives_the_grant() {
        let (own, _) = own();
        let (caller, scopes) = (caller(), ScopeSet::new());
        let until = |end| {
            let (revision, ends_at) = (Revision(7), Some(end));
            let assumed = Assumed { caller: &caller, scopes: &scopes, revision, ends_at, audience: "oss" };
            own.sign(assumed, None, 1000).unwrap().expires_at
        };
        assert_eq!((until(1007), until(5000)), (1007, 1060));
    }

    #[test]
    fn a_bound_assertion_is_good_for_its_request_alone() {
        let (own, keys) = own();
        let body = random::sha256(b"body");
        let binding = Binding { method: "PUT", path: "/oss/b/o", body: Some(&body) };
        let signed = sign(&own, &caller(), Some(binding));
        assert_eq!(signed.expires_at, 1030);
        let read = verify_assertion(&keys, signed.token.expose(), "https://issuer", "oss", 1000).unwrap();
        assert!(read.allows_request("PUT", "/oss/b/o") && read.allows_body(&body));
        assert!(!read.allows_request("GET", "/oss/b/o"));
        assert!(!read.allows_request("PUT", "/oss/b/o2"));
        assert!(!read.allows_body(&random::sha256(b"other")));
    }

    #[test]
    fn only_a_key_for_assertions_signs_them() {
        assert!(AssertionSigner::new(signer(Purpose::AccessToken), "https://issuer").is_err());
    }
}
