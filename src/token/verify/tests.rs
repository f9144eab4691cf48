//! What an access token proves, and everything that proves nothing.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::*;
use crate::token::issue::AccessToken;
use crate::token::keys::{Signer, generate};

const ISSUER: &str = "https://issuer";
const AUDIENCE: &str = "https://api";

fn signer(purpose: Purpose) -> Signer {
    Signer::from_pkcs8(purpose, &generate(purpose).unwrap()).unwrap()
}

fn issued(signer: &Signer) -> String {
    let principal = PrincipalKey {
        account: "1001".parse().unwrap(),
        kind: PrincipalKind::User,
        id: "2001".parse().unwrap(),
    };
    let token = AccessToken {
        issuer: ISSUER,
        audience: AUDIENCE,
        application: &"4001".parse().unwrap(),
        principal: &principal,
        subject: "opaque",
        scopes: &"openid /acs/oss:read".parse().unwrap(),
        revision: Revision(3),
        family: &"fam-1".parse().unwrap(),
        seconds: 900,
    };
    token.sign(signer, 1000).unwrap().token.expose().to_owned()
}

fn verify(keys: &KeySet, token: &str) -> Result<Caller, TokenRefused> {
    verify_by(keys, token, (ISSUER, AUDIENCE), 1000, 30)
}

fn verify_by(
    keys: &KeySet,
    token: &str,
    (issuer, audience): (&str, &str),
    now: i64,
    skew: i64,
) -> Result<Caller, TokenRefused> {
    let meant = |found: &str| (found == audience).then_some(());
    verify_access_token(keys, token, issuer, meant, now, skew).map(|(caller, ())| caller)
}

fn claims() -> Value {
    json!({"iss":ISSUER,"aud":AUDIENCE,"sub":"opaque","client_id":"4001","exp":1900,"iat":1000,"jti":"j",
        "scope":"openid","aid":"1001","uid":"2001","type":"user","rev":3,"fam":"f"})
}

fn assert_invalid(result: Result<Caller, TokenRefused>, what: &str) {
    assert!(matches!(result, Err(TokenRefused::Invalid(_))), "{what}: {result:?}");
}

#[test]
fn a_token_proves_its_caller_through_the_published_key_set() {
    let key = signer(Purpose::AccessToken);
    let keys = KeySet::parse(&key_set_json([key.public()])).unwrap();
    let caller = verify(&keys, &issued(&key)).unwrap();
    assert_eq!(caller.grant().to_string(), "1001/4001");
    assert_eq!(caller.principal.id.as_str(), "2001");
    assert_eq!((caller.revision, caller.expires_at), (Revision(3), 1900));
    assert_eq!(caller.scopes, "openid /acs/oss:read".parse().unwrap());
    assert_eq!((caller.subject.as_str(), caller.family.as_str()), ("opaque", "fam-1"));
}

#[test]
fn jsonwebtoken_verifies_an_access_token_and_we_verify_one_that_it_signed() {
    let pkcs8 = generate(Purpose::AccessToken).unwrap();
    let key = Signer::from_pkcs8(Purpose::AccessToken, &pkcs8).unwrap();
    let jwk = serde_json::from_str(&key.public().to_json()).unwrap();
    let mut rules = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::EdDSA);
    rules.set_audience(&[AUDIENCE]);
    rules.set_issuer(&[ISSUER]);
    rules.validate_exp = false;
    let theirs = jsonwebtoken::DecodingKey::from_jwk(&jwk).unwrap();
    assert!(jsonwebtoken::decode::<Value>(issued(&key), &theirs, &rules).is_ok());

    let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::EdDSA);
    header.typ = Some("application/AT+JWT".to_owned());
    header.kid = Some(key.kid().to_owned());
    let signing = jsonwebtoken::EncodingKey::from_ed_der(&pkcs8);
    let mut claims = claims();
    claims["aud"] = json!(["https://elsewhere", AUDIENCE]);
    let token = jsonwebtoken::encode(&header, &claims, &signing).unwrap();
    assert!(verify(&KeySet::new([key.public()]), &token).is_ok());
}

#[test]
fn a_token_expires_and_says_so() {
    let key = signer(Purpose::AccessToken);
    let (keys, token) = (KeySet::new([key.public()]), issued(&key));
    let at = |now| verify_by(&keys, &token, (ISSUER, AUDIENCE), now, 30);
    assert!(at(1929).is_ok());
    assert_eq!(at(1930), Err(TokenRefused::Expired));
    assert!(at(970).is_ok());
    assert_invalid(at(969), "from the future");
}

#[test]
fn a_token_from_another_issuer_or_for_another_audience_is_refused() {
    let key = signer(Purpose::AccessToken);
    let (keys, token) = (KeySet::new([key.public()]), issued(&key));
    assert_invalid(verify_by(&keys, &token, ("https://issuer/", AUDIENCE), 1000, 0), "issuer");
    assert_invalid(verify_by(&keys, &token, (ISSUER, "https://api2"), 1000, 0), "audience");
}

#[test]
fn an_unknown_key_is_told_apart_and_a_swapped_kid_is_refused() {
    let (key, other) = (signer(Purpose::AccessToken), signer(Purpose::AccessToken));
    let token = issued(&key);
    assert_eq!(verify(&KeySet::new([other.public()]), &token), Err(TokenRefused::UnknownKey));
    let keys = KeySet::new([key.public(), other.public()]);
    let (_, rest) = token.split_once('.').unwrap();
    let borrowed = format!("{}{rest}", crate::token::jws::prefix(Purpose::AccessToken, other.kid()));
    assert_invalid(verify(&keys, &borrowed), "a kid of another key");
    assert!(verify(&keys, &token).is_ok());
}

#[test]
fn a_key_signs_one_type_of_token_only() {
    let (id, assertion) = (signer(Purpose::IdToken), signer(Purpose::Assertion));
    let record = signer(Purpose::Record);
    let keys = KeySet::new([id.public(), assertion.public(), record.public()]);
    for key in [&id, &assertion, &record] {
        assert_invalid(verify(&keys, &key.sign(&claims()).unwrap()), key.purpose().as_str());
    }
    // An access token's header over a sidecar's key, or the one of records.
    for key in [&assertion, &record] {
        let forged = forge(key, &json!({"alg":"EdDSA","typ":"at+jwt","kid":key.kid()}), &claims());
        assert_invalid(verify(&keys, &forged), "an access token by a key for something else");
    }
}

#[test]
fn the_header_chooses_no_algorithm() {
    let key = signer(Purpose::AccessToken);
    let keys = KeySet::new([key.public()]);
    let body = URL_SAFE_NO_PAD.encode(claims().to_string());
    for alg in ["none", "None", "HS256", "RS256", "ES256", "eddsa", ""] {
        let header = json!({"alg":alg,"typ":"at+jwt","kid":key.kid()});
        assert_invalid(verify(&keys, &forge(&key, &header, &claims())), alg);
        let unsigned = format!("{}.{body}.", URL_SAFE_NO_PAD.encode(header.to_string()));
        assert_invalid(verify(&keys, &unsigned), alg);
    }
    // HS256 with the public key as its secret, the classic confusion.
    let public: Value = serde_json::from_str(&key.public().to_json()).unwrap();
    let secret = URL_SAFE_NO_PAD.decode(public["x"].as_str().unwrap()).unwrap();
    let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256);
    header.typ = Some("at+jwt".to_owned());
    header.kid = Some(key.kid().to_owned());
    let hs =
        jsonwebtoken::encode(&header, &claims(), &jsonwebtoken::EncodingKey::from_secret(&secret)).unwrap();
    assert_invalid(verify(&keys, &hs), "HS256 under the public key");
}

#[test]
fn a_header_of_another_shape_is_refused() {
    let key = signer(Purpose::AccessToken);
    let keys = KeySet::new([key.public()]);
    let good = json!({"alg":"EdDSA","typ":"at+jwt","kid":key.kid()});
    assert!(verify(&keys, &forge(&key, &good, &claims())).is_ok());
    for (member, value) in [
        ("typ", json!("JWT")),
        ("typ", Value::Null),
        ("kid", Value::Null),
        ("kid", json!(1)),
        ("crit", json!(["exp"])),
        ("alg", json!(["EdDSA"])),
    ] {
        let mut header = good.clone();
        header[member] = value;
        assert_invalid(verify(&keys, &forge(&key, &header, &claims())), &header.to_string());
    }
    let twice = format!(r#"{{"alg":"none","alg":"EdDSA","typ":"at+jwt","kid":"{}"}}"#, key.kid());
    assert_invalid(verify(&keys, &forge_text(&key, &twice, &claims().to_string())), "alg twice");
}

#[test]
fn claims_of_another_shape_are_refused_even_when_signed() {
    let key = signer(Purpose::AccessToken);
    let keys = KeySet::new([key.public()]);
    assert!(verify(&keys, &key.sign(&claims()).unwrap()).is_ok());
    for member in
        ["iss", "aud", "sub", "client_id", "exp", "iat", "jti", "scope", "aid", "uid", "type", "rev", "fam"]
    {
        for value in [Value::Null, json!([]), json!({}), json!(-1.5), json!(""), json!("a\u{0}b")] {
            // No scope at all is a token without rights, not a bad one.
            if member == "scope" && value == json!("") {
                continue;
            }
            let mut bad = claims();
            bad[member] = value;
            assert_invalid(verify(&keys, &key.sign(&bad).unwrap()), &format!("{member}: {}", bad[member]));
        }
        let mut missing = claims();
        missing.as_object_mut().unwrap().remove(member);
        assert_invalid(verify(&keys, &key.sign(&missing).unwrap()), member);
    }
    let header = json!({"alg":"EdDSA","typ":"at+jwt","kid":key.kid()}).to_string();
    for member in [r#""exp":9999"#, r#""aid":"1002""#] {
        let twice = claims().to_string().replacen('{', &format!("{{{member},"), 1);
        assert_invalid(verify(&keys, &forge_text(&key, &header, &twice)), &twice);
    }
}

#[test]
fn texts_that_are_no_token_are_refused() {
    let key = signer(Purpose::AccessToken);
    let (keys, token) = (KeySet::new([key.public()]), issued(&key));
    let long = format!("{token}{}", "A".repeat(8 * 1024));
    for bad in [
        "",
        ".",
        "..",
        "...",
        "a.b.c",
        "é.é.é",
        &long,
        &format!("{token}."),
        &format!(" {token}"),
        &format!("{token}="),
        &format!("{token}\n"),
        token.rsplit_once('.').unwrap().0,
    ] {
        assert_invalid(verify(&keys, bad), bad);
    }
}

#[test]
fn a_key_set_leaves_out_what_is_not_ours_and_a_text_that_is_none_is_refused() {
    let key = signer(Purpose::AccessToken);
    let own = key.public().to_json();
    let mixed = format!(r#"{{"keys":[{own},{{"kty":"oct","k":"AAAA","kid":"x"}},7,{{"kty":"OKP"}}]}}"#);
    let keys = KeySet::parse(&mixed).unwrap();
    assert!(keys.contains(key.kid()));
    assert_eq!(keys.len(), 1);
    for bad in ["", "[]", "{}", r#"{"keys":{}}"#] {
        assert_eq!(KeySet::parse(bad).err(), Some(NotAKeySet), "{bad}");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(256))]
    #[test]
    fn no_changed_character_leaves_a_token_valid(at in 0_usize..1000, to in "[A-Za-z0-9_.=-]") {
        let key = signer(Purpose::AccessToken);
        let (keys, token) = (KeySet::new([key.public()]), issued(&key));
        let at = at % token.len();
        let mut changed = token.clone();
        changed.replace_range(at..=at, &to);
        proptest::prop_assert_eq!(verify(&keys, &changed).is_ok(), changed == token);
    }

    #[test]
    fn no_text_makes_the_check_fall_over(text in ".{0,200}", dots in "[A-Za-z0-9_-]{0,80}\\.[A-Za-z0-9_-]{0,80}\\.[A-Za-z0-9_-]{0,80}") {
        let keys = KeySet::default();
        proptest::prop_assert!(verify(&keys, &text).is_err());
        proptest::prop_assert!(verify(&keys, &dots).is_err());
    }
}

fn forge(key: &Signer, header: &Value, claims: &Value) -> String {
    forge_text(key, &header.to_string(), &claims.to_string())
}

/// Signs any header and claims with `key`, as only its holder can.
fn forge_text(key: &Signer, header: &str, claims: &str) -> String {
    let prefix = format!("{}.", URL_SAFE_NO_PAD.encode(header));
    let unsigned = format!("{prefix}{}", URL_SAFE_NO_PAD.encode(claims));
    key.sign_text(unsigned).unwrap()
}
