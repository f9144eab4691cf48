//! What a provider has signed: ID tokens (OpenID Connect Core section 3.1.3.7) and logout tokens (Back-Channel Logout
//! section 2.6).
//!
//! Comes in: the provider's key set, a token, and what it must say. Goes out: its claims, or why it proves nothing, in
//! words that never repeat the token. The key is chosen by name and must fit the algorithm; `none` and every algorithm
//! with a shared secret are refused whatever the header says.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, Validation};
use serde_json::{Map, Value};

use crate::token::random::equal;

/// The claims of a token.
pub(super) type Claims = Map<String, Value>;

/// A provider's public keys.
#[derive(Debug, Clone, Default)]
pub(super) struct Keys(Vec<Jwk>);

/// Who must have signed, for whom, and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected<'a> {
    /// The provider's issuer.
    pub(super) issuer: &'a str,
    /// What it knows us as.
    pub(super) client_id: &'a str,
    /// Now, in seconds since 1970.
    pub(super) now: i64,
    /// By how many seconds its clock and ours may differ.
    pub(super) skew: i64,
}

/// Why a token proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unproven {
    /// No signed token.
    #[error("it is no signed JSON Web Token")]
    Shape,
    /// Signed with what is not accepted, or with nothing.
    #[error("it is not signed with an algorithm that is accepted here")]
    Algorithm,
    /// By a key that the provider does not publish. The set may be old.
    #[error("it is signed with a key that the provider does not publish")]
    UnknownKey,
    /// By somebody else.
    #[error("its signature is wrong")]
    Signature,
    /// From somebody else.
    #[error("it comes from another issuer")]
    Issuer,
    /// For somebody else.
    #[error("it is meant for another audience")]
    Audience,
    /// Its time is over.
    #[error("it has expired; compare the clocks")]
    Expired,
    /// Its time has not come.
    #[error("it is not valid yet; compare the clocks")]
    NotYet,
    /// Of another attempt to log in.
    #[error("its nonce is not that of this attempt")]
    Nonce,
    /// Something else is missing or has another shape.
    #[error("its claims cannot be read")]
    Claims,
}

impl Keys {
    /// Reads a key set (RFC 7517 section 5). Keys that cannot be used are left out.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let set: Value = serde_json::from_slice(bytes).ok()?;
        let keys = set.get("keys")?.as_array()?.iter().take(MOST_KEYS);
        Some(Self(keys.filter_map(|key| serde_json::from_value(key.clone()).ok()).collect()))
    }

    /// The one key that a header can mean: by its name, or the only one that fits when it names none.
    fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<&Jwk, Unproven> {
        let named = |key: &&Jwk| kid.is_none() || key.common.key_id.as_deref() == kid;
        let mut fitting = self.0.iter().filter(named).filter(|key| signs(key, algorithm));
        let found = fitting.next().ok_or(Unproven::UnknownKey)?;
        if fitting.next().is_some() { Err(Unproven::UnknownKey) } else { Ok(found) }
    }
}

/// The claims of an ID token that answers the attempt with this nonce.
pub(super) fn id_token(
    keys: &Keys,
    token: &str,
    expected: Expected<'_>,
    nonce: &str,
) -> Result<Claims, Unproven> {
    let claims = signed(keys, token)?;
    check(&claims, expected)?;
    let said = claims.get("nonce").and_then(Value::as_str).ok_or(Unproven::Nonce)?;
    if !equal(said.as_bytes(), nonce.as_bytes()) {
        return Err(Unproven::Nonce);
    }
    subject(&claims).ok_or(Unproven::Claims)?;
    Ok(claims)
}

/// The claims of a logout token.
pub(super) fn logout_token(keys: &Keys, token: &str, expected: Expected<'_>) -> Result<Claims, Unproven> {
    let claims = signed(keys, token)?;
    check(&claims, expected)?;
    let event = claims.get("events").and_then(|events| events.get(LOGOUT_EVENT));
    let names_somebody = subject(&claims).is_some() || session(&claims).is_some();
    // A nonce is in ID tokens only: it must not be taken for one of those (section 2.4).
    if !event.is_some_and(Value::is_object) || claims.contains_key("nonce") || !names_somebody {
        return Err(Unproven::Claims);
    }
    Ok(claims)
}

/// The `sub`: at most 255 ASCII characters (OpenID Connect Core section 2).
pub(super) fn subject(claims: &Claims) -> Option<&str> {
    let printable =
        |text: &&str| (1..=255).contains(&text.len()) && text.bytes().all(|b| (b' '..=b'~').contains(&b));
    claims.get("sub").and_then(Value::as_str).filter(printable)
}

/// A claim that is a text of a sensible length.
pub(super) fn text<'c>(claims: &'c Claims, name: &str) -> Option<&'c str> {
    claims.get(name).and_then(Value::as_str).filter(|text| (1..=512).contains(&text.len()))
}

/// The provider's word for its session (`sid`).
pub(super) fn session(claims: &Claims) -> Option<&str> {
    text(claims, "sid").filter(|text| !text.chars().any(char::is_control))
}

/// A claim that is a time, in whole seconds since 1970 (RFC 7519 section 2: it may have a fraction).
pub(super) fn time(claims: &Claims, name: &str) -> Option<i64> {
    let value = claims.get(name)?;
    value.as_i64().or_else(|| value.to_string().split_once('.').and_then(|(whole, _)| whole.parse().ok()))
}

/// The claims of a token whose signature is one of these keys'.
fn signed(keys: &Keys, token: &str) -> Result<Claims, Unproven> {
    if token.len() > LONGEST || token.bytes().filter(|byte| *byte == b'.').count() != 2 {
        return Err(Unproven::Shape);
    }
    let header = token.split('.').next().and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let header: Value =
        header.and_then(|bytes| serde_json::from_slice(&bytes).ok()).ok_or(Unproven::Shape)?;
    // An extension that must be understood is not (RFC 7515 section 4.1.11).
    if header.get("crit").is_some() {
        return Err(Unproven::Shape);
    }
    let algorithm = header.get("alg").and_then(Value::as_str).and_then(|word| word.parse().ok());
    let algorithm = algorithm.filter(|one| ACCEPTED.contains(one)).ok_or(Unproven::Algorithm)?;
    let kid = match header.get("kid") {
        None => None,
        Some(kid) => Some(kid.as_str().ok_or(Unproven::Shape)?),
    };
    let key = DecodingKey::from_jwk(keys.find(kid, algorithm)?).map_err(|_| Unproven::UnknownKey)?;
    let mut rules = Validation::new(algorithm);
    // Times and audience are checked below, by our own clock.
    (rules.validate_exp, rules.validate_nbf, rules.validate_aud) = (false, false, false);
    rules.required_spec_claims.clear();
    let read = jsonwebtoken::decode::<Claims>(token, &key, &rules);
    read.map(|token| token.claims).map_err(|_| Unproven::Signature)
}

/// What every token must say.
fn check(claims: &Claims, expected: Expected<'_>) -> Result<(), Unproven> {
    let Expected { issuer, client_id, now, skew } = expected;
    if claims.get("iss").and_then(Value::as_str) != Some(issuer) {
        return Err(Unproven::Issuer);
    }
    let several = match claims.get("aud") {
        Some(Value::String(one)) if one == client_id => false,
        Some(Value::Array(any)) if any.iter().any(|one| one.as_str() == Some(client_id)) => any.len() > 1,
        Some(_) | None => return Err(Unproven::Audience),
    };
    match claims.get("azp") {
        None if !several => {}
        Some(party) if party.as_str() == Some(client_id) => {}
        Some(_) | None => return Err(Unproven::Audience),
    }
    let expires = time(claims, "exp").ok_or(Unproven::Claims)?;
    let issued = time(claims, "iat").ok_or(Unproven::Claims)?;
    let begins = time(claims, "nbf").unwrap_or(issued);
    if expires <= now.saturating_sub(skew) {
        return Err(Unproven::Expired);
    }
    if issued.max(begins) > now.saturating_add(skew) {
        return Err(Unproven::NotYet);
    }
    Ok(())
}

/// Whether signatures of this algorithm can be this key's.
fn signs(key: &Jwk, algorithm: Algorithm) -> bool {
    let for_signatures = matches!(&key.common.public_key_use, None | Some(PublicKeyUse::Signature));
    let named = key.common.key_algorithm.map(|named| named.to_string());
    let same = named.is_none_or(|named| named.parse().ok() == Some(algorithm));
    let family = match algorithm.family() {
        AlgorithmFamily::Rsa => matches!(&key.algorithm, AlgorithmParameters::RSA(_)),
        AlgorithmFamily::Ec => matches!(&key.algorithm, AlgorithmParameters::EllipticCurve(_)),
        AlgorithmFamily::Ed => matches!(&key.algorithm, AlgorithmParameters::OctetKeyPair(_)),
        AlgorithmFamily::Hmac => false,
    };
    for_signatures && same && family
}

/// Only signatures that nobody but the provider can make.
const ACCEPTED: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];
const LOGOUT_EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
const LONGEST: usize = 32 * 1024;
const MOST_KEYS: usize = 64;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::token::keys::{Purpose, Signer, generate};

    const NOW: i64 = 1_800_000_000;

    struct Issuer {
        signer: jsonwebtoken::EncodingKey,
        keys: Keys,
    }

    impl Issuer {
        /// A provider with one key, RS256 like most.
        fn new() -> Self {
            let pkcs8 = generate(Purpose::IdToken).unwrap();
            let public = Signer::from_pkcs8(Purpose::IdToken, &pkcs8).unwrap().public().to_json();
            let mut key: Value = serde_json::from_str(&public).unwrap();
            key["kid"] = "one".into();
            let keys = Keys::parse(json!({ "keys": [key, { "kty": "unheard-of" }] }).to_string().as_bytes());
            let pem = pem(&pkcs8);
            let signer = jsonwebtoken::EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap();
            Self { signer, keys: keys.unwrap() }
        }

        fn sign(&self, header: &Value, claims: &Value) -> String {
            let mut made = jsonwebtoken::Header::new(Algorithm::RS256);
            made.kid = header["kid"].as_str().map(str::to_owned);
            jsonwebtoken::encode(&made, claims, &self.signer).unwrap()
        }

        fn take(&self, changes: &Value) -> Result<Claims, Unproven> {
            let token = self.sign(&json!({ "kid": "one" }), &claims(changes));
            id_token(&self.keys, &token, expected(), "n-1")
        }
    }

    fn pem(pkcs8: &[u8]) -> String {
        let body = base64::engine::general_purpose::STANDARD.encode(pkcs8);
        format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n")
    }

    fn expected() -> Expected<'static> {
        Expected { issuer: "https://id.example", client_id: "consentry", now: NOW, skew: 30 }
    }

    fn claims(changes: &Value) -> Value {
        let mut claims = json!({
            "iss": "https://id.example", "aud": "consentry", "sub": "s-1", "nonce": "n-1",
            "iat": NOW, "exp": NOW + 60,
        });
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        claims
    }

    #[test]
    fn what_the_provider_has_signed_for_us_is_taken() {
        let issuer = Issuer::new();
        for changes in [
            json!({}),
            json!({ "aud": ["consentry"] }),
            json!({ "aud": ["consentry", "other"], "azp": "consentry" }),
            json!({ "exp": NOW - 29 }),
            json!({ "iat": NOW + 29 }),
            json!({ "iat": 1_799_999_999.5 }),
        ] {
            assert_eq!(issuer.take(&changes).unwrap()["sub"], "s-1", "{changes}");
        }
    }

    #[test]
    fn what_is_from_or_for_somebody_else_old_or_of_another_attempt_is_refused() {
        let issuer = Issuer::new();
        for (changes, why) in [
            (json!({ "iss": "https://id.example/" }), Unproven::Issuer),
            (json!({ "iss": null }), Unproven::Issuer),
            (json!({ "aud": "other" }), Unproven::Audience),
            (json!({ "aud": ["consentry", "other"] }), Unproven::Audience),
            (json!({ "azp": "other" }), Unproven::Audience),
            (json!({ "exp": NOW - 30 }), Unproven::Expired),
            (json!({ "exp": null }), Unproven::Claims),
            (json!({ "iat": NOW + 31 }), Unproven::NotYet),
            (json!({ "nbf": NOW + 31 }), Unproven::NotYet),
            (json!({ "nonce": "n-2" }), Unproven::Nonce),
            (json!({ "nonce": null }), Unproven::Nonce),
            (json!({ "sub": null }), Unproven::Claims),
            (json!({ "sub": "a\nb" }), Unproven::Claims),
        ] {
            assert_eq!(issuer.take(&changes).unwrap_err(), why, "{changes}");
        }
    }

    #[test]
    fn a_token_without_a_signature_of_a_published_key_is_refused_whatever_its_header_says() {
        let (issuer, other) = (Issuer::new(), Issuer::new());
        let good = issuer.sign(&json!({ "kid": "one" }), &claims(&json!({})));
        let take = |token: &str| id_token(&issuer.keys, token, expected(), "n-1").unwrap_err();
        let parts: Vec<&str> = good.split('.').collect();
        let encode = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        for (header, why) in [
            (json!({ "alg": "none" }), Unproven::Algorithm),
            (json!({ "alg": "HS256", "kid": "one" }), Unproven::Algorithm),
            (json!({ "alg": "ES256", "kid": "one" }), Unproven::UnknownKey),
            (json!({ "alg": "RS256", "kid": "two" }), Unproven::UnknownKey),
            (json!({ "alg": "RS256", "kid": "one", "crit": ["x"] }), Unproven::Shape),
            (json!({ "alg": "RS256", "kid": "one", "x": 1 }), Unproven::Signature),
        ] {
            assert_eq!(
                take(&format!("{}.{}.{}", encode(header.clone()), parts[1], parts[2])),
                why,
                "{header}"
            );
        }
        assert_eq!(take(&format!("{}.{}.", encode(json!({ "alg": "none" })), parts[1])), Unproven::Algorithm);
        assert_eq!(take(&other.sign(&json!({ "kid": "one" }), &claims(&json!({})))), Unproven::Signature);
        assert_eq!(take("a.b"), Unproven::Shape);
        assert!(id_token(&issuer.keys, &good, expected(), "n-1").is_ok());
    }

    #[test]
    fn a_logout_token_is_told_apart_from_an_id_token() {
        let issuer = Issuer::new();
        let events = json!({ LOGOUT_EVENT: {} });
        let take = |changes: &Value| {
            let token = issuer.sign(&json!({ "kid": "one" }), &claims(changes));
            logout_token(&issuer.keys, &token, expected()).map(|_| ())
        };
        assert_eq!(take(&json!({ "nonce": null, "events": events })), Ok(()));
        assert_eq!(take(&json!({ "nonce": null, "events": events, "sub": null, "sid": "x" })), Ok(()));
        for changes in [
            json!({}),
            json!({ "nonce": null }),
            json!({ "events": events }),
            json!({ "nonce": null, "events": events, "sub": null }),
            json!({ "nonce": null, "events": { LOGOUT_EVENT: "yes" } }),
        ] {
            assert_eq!(take(&changes), Err(Unproven::Claims), "{changes}");
        }
    }
}
