//! Tokens issued: access tokens (RFC 9068), ID tokens (OpenID Connect Core §2), and the identity claims that an
//! ID token and userinfo share.
//!
//! Comes in: who, for whom, with what, and the key that signs. Goes out: signed tokens. Whether they may be issued
//! was decided before; nothing here asks.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use super::keys::{KeyError, Signer};
use super::random::{self, NoRandomness, Secret, sha256};
use crate::model::account::{Principal, PrincipalKey, PrincipalKind};
use crate::model::id::{AccountId, ApplicationId, FamilyId, PrincipalId, Revision};
use crate::model::scope::ScopeSet;

/// Why no token was issued. Answer 503.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotIssued {
    /// The key did not sign.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// No id could be made.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

/// Makes `sub`: for each principal one opaque text, the same for ever and in every token, from which nobody can
/// tell the account, the uid or the name.
pub struct Subjects(hmac::Key);

impl Subjects {
    /// With the issuer's own key for this, such as `Sealer::derive("subjects")`. Under another key everybody
    /// would be somebody else to every application, so it never changes.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// The principal's `sub`: 43 characters of base64url.
    #[must_use]
    pub fn of(&self, principal: &PrincipalKey) -> String {
        // A slash stands in no identifier, so no two principals give the same text.
        let text = format!("{}/{}/{}", principal.account, principal.kind, principal.id);
        URL_SAFE_NO_PAD.encode(hmac::sign(&self.0, text.as_bytes()))
    }
}

/// What an access token says.
pub struct AccessToken<'a> {
    /// `iss`.
    pub issuer: &'a str,
    /// `aud`: the resource that was asked for (RFC 8707), or the issuer's default one.
    pub audience: &'a str,
    /// `client_id`.
    pub application: &'a ApplicationId,
    /// `aid`, `type` and `uid`.
    pub principal: &'a PrincipalKey,
    /// `sub`, from [`Subjects::of`].
    pub subject: &'a str,
    /// `scope`.
    pub scopes: &'a ScopeSet,
    /// `rev`: the grant's revision now.
    pub revision: Revision,
    /// `fam`.
    pub family: &'a FamilyId,
    /// Its life in seconds, from the application.
    pub seconds: u32,
}

/// An issued token.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The token.
    pub token: Secret,
    /// Its `jti`, for the audit.
    pub jti: String,
    /// When it ends, in seconds since 1970.
    pub expires_at: i64,
}

impl AccessToken<'_> {
    /// Signs it, with a key for access tokens. `now` in seconds since 1970.
    pub fn sign(&self, signer: &Signer, now: i64) -> Result<Issued, NotIssued> {
        let jti = random::identifier()?;
        let claims = self.claims(&jti, now);
        let (token, expires_at) = (Secret::new(signer.sign(&claims)?), claims.exp);
        Ok(Issued { token, jti, expires_at })
    }

    /// What it says.
    pub(super) fn claims<'c>(&'c self, jti: &'c str, now: i64) -> AccessClaims<'c> {
        AccessClaims {
            iss: self.issuer,
            aud: self.audience,
            sub: self.subject,
            client_id: self.application.as_str(),
            exp: now.saturating_add(i64::from(self.seconds)),
            iat: now,
            jti,
            scope: self.scopes.to_string(),
            aid: self.principal.account.as_str(),
            uid: self.principal.id.as_str(),
            kind: self.principal.kind,
            rev: self.revision.0,
            fam: self.family.as_str(),
        }
    }
}

/// The claims of an access token, and of what is like one.
#[derive(Serialize)]
pub(super) struct AccessClaims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    client_id: &'a str,
    pub(super) exp: i64,
    iat: i64,
    jti: &'a str,
    scope: String,
    aid: &'a str,
    uid: &'a str,
    #[serde(rename = "type")]
    kind: PrincipalKind,
    rev: u64,
    fam: &'a str,
}

/// Who somebody is, as far as the scopes let an application know: the body of userinfo, and part of an ID token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IdentityClaims<'a> {
    /// The opaque subject; always there.
    pub sub: &'a str,
    /// `account`, `user` or `role`; with `profile`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<PrincipalKind>,
    /// A user's or role session's display name; with `profile`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'a str>,
    /// A user's login; with `profile`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upn: Option<&'a str>,
    /// The account's login; with `profile`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub login_name: Option<&'a str>,
    /// The account's number; with `aliuid`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aid: Option<&'a AccountId>,
    /// The principal's number in it; with `aliuid`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<&'a PrincipalId>,
}

impl<'a> IdentityClaims<'a> {
    /// What `scopes` let out of `principal`.
    #[must_use]
    pub fn new(subject: &'a str, principal: &'a Principal, scopes: &ScopeSet) -> Self {
        let has = |name: &str| scopes.iter().any(|scope| scope.as_str() == name);
        let (profile, numbers) = (has("profile"), has("aliuid"));
        let (name, upn, login_name) = match principal.key.kind {
            PrincipalKind::Account => (None, None, Some(principal.login.as_str())),
            PrincipalKind::User => {
                (Some(principal.display_name.as_str()), Some(principal.login.as_str()), None)
            }
            PrincipalKind::Role => (Some(principal.display_name.as_str()), None, None),
        };
        Self {
            sub: subject,
            kind: profile.then_some(principal.key.kind),
            name: name.filter(|_| profile),
            upn: upn.filter(|_| profile),
            login_name: login_name.filter(|_| profile),
            aid: numbers.then_some(&principal.key.account),
            uid: numbers.then_some(&principal.key.id),
        }
    }
}

/// What an ID token says.
pub struct IdToken<'a> {
    /// `iss`.
    pub issuer: &'a str,
    /// `aud`: the application, as it calls itself.
    pub client_id: &'a str,
    /// The identity, as far as the scopes go.
    pub identity: IdentityClaims<'a>,
    /// `auth_time`: when the person logged in, in seconds since 1970.
    pub authenticated_at: i64,
    /// The authorization request's `nonce`, if it had one.
    pub nonce: Option<&'a str>,
    /// The access token that is given with it, for `at_hash` (OpenID Connect Core §3.1.3.6).
    pub access_token: Option<&'a Secret>,
    /// Its life in seconds.
    pub seconds: u32,
}

impl IdToken<'_> {
    /// Signs it, with a key for ID tokens. `now` in seconds since 1970.
    pub fn sign(&self, signer: &Signer, now: i64) -> Result<Secret, NotIssued> {
        let claims = IdClaims {
            iss: self.issuer,
            aud: self.client_id,
            identity: &self.identity,
            exp: now.saturating_add(i64::from(self.seconds)),
            iat: now,
            auth_time: self.authenticated_at,
            nonce: self.nonce,
            at_hash: self.access_token.map(at_hash),
        };
        Ok(Secret::new(signer.sign(&claims)?))
    }
}

#[derive(Serialize)]
struct IdClaims<'a> {
    iss: &'a str,
    aud: &'a str,
    #[serde(flatten)]
    identity: &'a IdentityClaims<'a>,
    exp: i64,
    iat: i64,
    auth_time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at_hash: Option<String>,
}

/// The left half of the SHA-256 of the token, for both algorithms that sign ID tokens.
fn at_hash(token: &Secret) -> String {
    let hash = sha256(token.expose().as_bytes());
    let (left, _) = hash.split_at(16);
    URL_SAFE_NO_PAD.encode(left)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::keys::{Purpose, generate};

    fn principal(kind: PrincipalKind, id: &str) -> Principal {
        Principal {
            key: PrincipalKey { account: "1001".parse().unwrap(), kind, id: id.parse().unwrap() },
            login: format!("{id}@acme"),
            display_name: "Shown".to_owned(),
            enabled: true,
            full_access: false,
            groups: Vec::new(),
        }
    }

    fn identity(kind: PrincipalKind, scopes: &str) -> serde_json::Value {
        let principal = principal(kind, "2001");
        serde_json::to_value(IdentityClaims::new("s", &principal, &scopes.parse().unwrap())).unwrap()
    }

    #[test]
    fn identity_claims_follow_scope_and_kind() {
        use serde_json::json;
        assert_eq!(
            identity(PrincipalKind::User, "openid profile aliuid"),
            json!({"sub":"s","type":"user","name":"Shown","upn":"2001@acme","aid":"1001","uid":"2001"})
        );
        assert_eq!(
            identity(PrincipalKind::Account, "openid profile"),
            json!({"sub":"s","type":"account","login_name":"2001@acme"})
        );
        assert_eq!(
            identity(PrincipalKind::Role, "openid profile"),
            json!({"sub":"s","type":"role","name":"Shown"})
        );
    }

    #[test]
    fn without_a_scope_only_the_opaque_subject_is_let_out() {
        for kind in [PrincipalKind::Account, PrincipalKind::User, PrincipalKind::Role] {
            assert_eq!(identity(kind, "openid /acs/ecs"), serde_json::json!({"sub": "s"}));
        }
    }

    #[test]
    fn a_subject_is_stable_and_its_own_for_every_principal_and_issuer() {
        let subjects = Subjects::new(&[1; 32]);
        let user = principal(PrincipalKind::User, "2001").key;
        let role = principal(PrincipalKind::Role, "2001").key;
        assert_eq!(subjects.of(&user), subjects.of(&user));
        assert_eq!(subjects.of(&user).len(), 43);
        assert_ne!(subjects.of(&user), subjects.of(&role));
        assert_ne!(subjects.of(&user), Subjects::new(&[2; 32]).of(&user));
    }

    #[test]
    fn jsonwebtoken_reads_an_id_token_with_everything_that_openid_asks_for() {
        for purpose in [Purpose::IdToken, Purpose::IdTokenEc] {
            let signer = Signer::from_pkcs8(purpose, &generate(purpose).unwrap()).unwrap();
            let user = principal(PrincipalKind::User, "2001");
            let scopes = "openid profile".parse().unwrap();
            // The example of OpenID Connect Core appendix A.3.
            let access = Secret::new("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y".to_owned());
            let token = IdToken {
                issuer: "https://issuer",
                client_id: "4001",
                identity: IdentityClaims::new("s", &user, &scopes),
                authenticated_at: 90,
                nonce: Some("n-1"),
                access_token: Some(&access),
                seconds: 60,
            };
            let token = token.sign(&signer, 100).unwrap();
            let jwk = serde_json::from_str(&signer.public().to_json()).unwrap();
            let key = jsonwebtoken::DecodingKey::from_jwk(&jwk).unwrap();
            let mut rules = jsonwebtoken::Validation::new(purpose.algorithm().as_str().parse().unwrap());
            rules.set_audience(&["4001"]);
            rules.set_issuer(&["https://issuer"]);
            rules.validate_exp = false;
            let claims =
                jsonwebtoken::decode::<serde_json::Value>(token.expose(), &key, &rules).unwrap().claims;
            assert_eq!(
                claims,
                serde_json::json!({"iss":"https://issuer","aud":"4001","sub":"s","type":"user","name":"Shown",
                    "upn":"2001@acme","exp":160,"iat":100,"auth_time":90,"nonce":"n-1",
                    "at_hash":"77QmUPtjPfzWtF2AnpK9RQ"})
            );
        }
    }
}
