//! Exchanged credentials: made, verified, and told from everything else.

use super::*;
use crate::model::account::{PrincipalKey, PrincipalKind};
use crate::model::id::Revision;
use crate::token::issue::AccessToken;
use crate::token::keys::{Purpose, Signer, generate};
use crate::token::verify::{KeySet, TokenRefused, verify_access_token};

const ISSUER: &str = "https://issuer.example";

fn signer(purpose: Purpose) -> Signer {
    Signer::from_pkcs8(purpose, &generate(purpose).unwrap()).unwrap()
}

fn with<T>(seconds: u32, then: impl FnOnce(AccessToken<'_>) -> T) -> T {
    let principal = PrincipalKey {
        account: "1001".parse().unwrap(),
        kind: PrincipalKind::User,
        id: "2001".parse().unwrap(),
    };
    then(AccessToken {
        issuer: ISSUER,
        audience: ISSUER,
        application: &"4001".parse().unwrap(),
        principal: &principal,
        subject: "s",
        scopes: &"/acs/ecs:read".parse().unwrap(),
        revision: Revision(3),
        family: &"f1".parse().unwrap(),
        seconds,
    })
}

fn minted(signer: &Signer, seconds: u32) -> Exchanged {
    with(seconds, |token| NewCredential { token }.mint(signer, 100).unwrap())
}

fn verified(
    keys: &KeySet,
    token: &str,
    now: i64,
) -> Result<(crate::model::caller::Caller, AccessKey), TokenRefused> {
    let meant = |audience: &str| (audience == ISSUER).then_some(());
    verify_security_token(keys, token, ISSUER, meant, now, 0).map(|(caller, key, ())| (caller, key))
}

#[test]
fn a_sidecar_makes_the_same_secret_from_the_token_and_the_keys_secret_alone() {
    let signer = signer(Purpose::Exchange);
    let made = minted(&signer, 60);
    let (caller, key) = verified(&KeySet::new([signer.public()]), made.security_token.expose(), 120).unwrap();
    assert_eq!((&*key.id, &*key.kid), (made.access_key_id.as_str(), signer.kid()));
    assert_eq!((caller.revision, caller.family.as_str(), caller.expires_at), (Revision(3), "f1", 160));
    let sent = signer.exchange_secret().unwrap().to_wire();
    let secret = KeySecret::from_wire(sent.expose()).unwrap().access_key_secret(&key.id);
    assert_eq!(secret.expose(), made.access_key_secret.expose());
    let id = made.access_key_id.strip_prefix("STS.").unwrap();
    assert!(id.len() == 24 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{id}");
    assert_ne!(minted(&signer, 60).access_key_id, made.access_key_id);
}

#[test]
fn another_key_or_another_id_makes_another_secret() {
    let (one, two) = (signer(Purpose::Exchange), signer(Purpose::Exchange));
    let of = |signer: &Signer, id: &str| signer.exchange_secret().unwrap().access_key_secret(id);
    assert_ne!(of(&one, "STS.a").expose(), of(&two, "STS.a").expose());
    assert_ne!(of(&one, "STS.a").expose(), of(&one, "STS.b").expose());
    assert!(KeySecret::from_wire("c2hvcnQ").is_none());
    assert!(signer(Purpose::AccessToken).exchange_secret().is_none());
}

#[test]
fn a_security_token_is_no_access_token_and_an_access_token_no_security_token() {
    let (exchange, access) = (signer(Purpose::Exchange), signer(Purpose::AccessToken));
    let keys = KeySet::new([exchange.public(), access.public()]);
    let made = minted(&exchange, 60);
    let meant = |audience: &str| (audience == ISSUER).then_some(());
    assert!(verify_access_token(&keys, made.security_token.expose(), ISSUER, meant, 120, 0).is_err());
    let token = with(60, |token| token.sign(&access, 100).unwrap());
    assert!(verify_access_token(&keys, token.token.expose(), ISSUER, meant, 120, 0).is_ok());
    assert!(verified(&keys, token.token.expose(), 120).is_err());
    assert!(verified(&keys, made.security_token.expose(), 120).is_ok());
    // Nor does the key for access tokens make exchanged credentials.
    assert!(with(60, |token| NewCredential { token }.mint(&access, 100)).is_err());
}

#[test]
fn no_credential_lives_longer_than_a_quarter_of_an_hour_and_none_is_good_at_its_end_or_under_a_strange_key() {
    let signer = signer(Purpose::Exchange);
    let keys = KeySet::new([signer.public()]);
    let made = minted(&signer, 10_800);
    assert_eq!(made.expires_at, 100 + i64::from(LONGEST));
    assert!(verified(&keys, made.security_token.expose(), made.expires_at - 1).is_ok());
    assert_eq!(verified(&keys, made.security_token.expose(), made.expires_at), Err(TokenRefused::Expired));
    let strange = self::signer(Purpose::Exchange);
    let refused = verified(&KeySet::new([strange.public()]), made.security_token.expose(), 120);
    assert_eq!(refused, Err(TokenRefused::UnknownKey));
}

#[test]
fn nothing_of_it_is_printed() {
    let signer = signer(Purpose::Exchange);
    let made = minted(&signer, 60);
    let secret = signer.exchange_secret().unwrap().clone();
    let wire = secret.to_wire();
    let all: KeySecrets = [(Box::from(signer.kid()), secret)].into_iter().collect();
    let shown = format!("{made:?} {all:?} {signer:?}");
    for hidden in [&made.access_key_secret, &made.security_token, &wire] {
        assert!(!shown.contains(hidden.expose()), "{shown}");
    }
}
