//! Accounts, principals, sessions, applications and keys.

use super::*;
use crate::model::id::SidecarId;
use crate::store::{ApiToken, BrowserSession, KeyPurpose, PendingConsent, SealedKey, Secret, SidecarKey};

pub(super) async fn an_account_and_its_principals_are_found_again(world: &World) {
    let store = &world.store;
    assert_eq!(store.accounts().await.unwrap().len(), 3);
    assert_eq!(store.account(&account(ACME)).await.unwrap().unwrap().alias, "acme");
    assert!(store.account(&account("17")).await.unwrap().is_none());
    let mut alice = person(ACME, PrincipalKind::User, "u-alice", "alice@acme", false, &[]).principal;
    alice.groups = vec!["auditors".parse().unwrap(), "developers".parse().unwrap()];
    assert_eq!(store.principal(&user("u-alice")).await.unwrap().unwrap(), alice);
    assert!(store.principal(&whom(GLOBEX, PrincipalKind::User, "u-alice")).await.unwrap().is_none());
}

pub(super) async fn an_account_or_login_that_is_taken_is_refused(world: &World) {
    for (id, alias) in [(ACME, "new"), ("17", "ACME")] {
        let taken = Account { id: account(id), alias: alias.to_owned() };
        assert!(matches!(world.store.add_account(&taken).await, Err(StoreError::Exists(_))));
    }
    for (id, login) in [("u-alice", "new@acme"), ("u-new", "Alice@ACME")] {
        let taken = person(ACME, PrincipalKind::User, id, login, false, &[]);
        assert!(matches!(world.store.add_principal(&taken).await, Err(StoreError::Exists(_))));
    }
    let homeless = person("17", PrincipalKind::User, "u-new", "new@nowhere", false, &[]);
    assert!(is_missing(world.store.add_principal(&homeless).await));
}

pub(super) async fn a_login_is_found_in_any_letter_case(world: &World) {
    let found = world.store.credential("ALICE@acme").await.unwrap().unwrap();
    assert_eq!(found.principal.key, user("u-alice"));
    assert_eq!(found.password_hash.as_deref(), Some("hash of alice@acme"));
    assert!(world.store.credential("alice@globex").await.unwrap().is_none());
}

pub(super) async fn only_enabled_administrators_are_listed_the_root_first(world: &World) {
    let logins = async |limit| -> Vec<String> {
        let found = world.store.administrators(&account(ACME), limit).await.unwrap();
        found.into_iter().map(|principal| principal.login).collect()
    };
    assert_eq!(logins(10).await, ["root@acme", "admin@acme"]);
    assert_eq!(logins(1).await, ["root@acme"]);
    world.store.enable_principal(&user("u-admin"), false, at(1)).await.unwrap();
    assert_eq!(logins(10).await, ["root@acme"]);
}

fn session(byte: u8) -> BrowserSession {
    let (authenticated_at, expires_at) = (at(0), at(100));
    BrowserSession { hash: [byte; 32], principal: user("u-alice"), authenticated_at, expires_at }
}

pub(super) async fn a_session_is_answered_for_an_enabled_principal(world: &World) {
    world.store.open_session(&session(1)).await.unwrap();
    let (found, principal) = world.store.session(&[1; 32], at(99)).await.unwrap().unwrap();
    assert_eq!((found.authenticated_at, found.expires_at), (at(0), at(100)));
    assert_eq!((principal.login.as_str(), principal.groups.len()), ("alice@acme", 2));
}

pub(super) async fn a_session_is_not_answered_after_its_end_or_its_principals(world: &World) {
    for byte in 1..=2 {
        world.store.open_session(&session(byte)).await.unwrap();
    }
    let answered =
        async |byte: u8, second| world.store.session(&[byte; 32], at(second)).await.unwrap().is_some();
    assert!(!answered(1, 100).await);
    assert!(!answered(9, 50).await);
    world.store.close_session(&[1; 32]).await.unwrap();
    assert!(!answered(1, 50).await);
    assert!(answered(2, 50).await);
    world.store.enable_principal(&user("u-alice"), false, at(51)).await.unwrap();
    assert!(!answered(2, 52).await);
    world.store.enable_principal(&user("u-alice"), true, at(53)).await.unwrap();
    assert!(!answered(2, 54).await, "a session came back to life");
}

pub(super) async fn a_pending_consent_is_taken_once_and_by_its_own_session(world: &World) {
    for byte in 1..=2 {
        let request = "{}".to_owned();
        let pending = PendingConsent { hash: [byte; 32], session: [7; 32], request, expires_at: at(600) };
        world.store.keep_pending(&pending).await.unwrap();
    }
    assert!(world.store.take_pending(&[1; 32], &[8; 32], at(10)).await.unwrap().is_none());
    let taken = at_once(8, &world.store, |store, _| async move {
        store.take_pending(&[1; 32], &[7; 32], at(10)).await.unwrap()
    })
    .await;
    let taken: Vec<_> = taken.into_iter().flatten().collect();
    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0].request, "{}");
    assert!(world.store.take_pending(&[2; 32], &[7; 32], at(600)).await.unwrap().is_none());
}

pub(super) async fn an_api_token_speaks_for_its_principal_until_it_ends(world: &World) {
    let token = |end| ApiToken {
        hash: [1; 32],
        principal: user("u-admin"),
        label: "console".to_owned(),
        expires_at: Some(at(end)),
    };
    world.store.add_api_token(&token(50)).await.unwrap();
    world.store.add_api_token(&token(100)).await.unwrap();
    let speaks = async |second| world.store.api_token(&[1; 32], at(second)).await.unwrap();
    assert_eq!(speaks(99).await.unwrap().login, "admin@acme");
    assert!(speaks(100).await.is_none());
    world.store.enable_principal(&user("u-admin"), false, at(60)).await.unwrap();
    assert!(speaks(61).await.is_none());
}

pub(super) async fn an_application_keeps_what_was_registered_and_changed(world: &World) {
    let store = &world.store;
    let mut hub = application("report-hub", GLOBEX, false);
    assert_eq!(store.application(&hub.id).await.unwrap().unwrap(), hub);
    assert!(matches!(store.register(&hub, &[], &admin()).await, Err(StoreError::Exists(_))));
    let mut namesake = application("another", GLOBEX, false);
    namesake.name = "report-hub".to_owned();
    assert!(matches!(store.register(&namesake, &[], &admin()).await, Err(StoreError::Exists(_))));
    namesake.name = "another".to_owned();
    store.register(&namesake, &[], &admin()).await.unwrap();
    hub.display_name = "Reports".to_owned();
    hub.optional = scopes("/acs/oss");
    store.change_application(&hub, &admin(), at(9)).await.unwrap();
    assert_eq!(store.application(&hub.id).await.unwrap().unwrap(), hub);
    hub.name = "another".to_owned();
    assert!(matches!(store.change_application(&hub, &admin(), at(9)).await, Err(StoreError::Exists(_))));
    let unknown = application("unheard-of", GLOBEX, false);
    assert!(is_missing(store.change_application(&unknown, &admin(), at(9)).await));
    assert_eq!(store.published_by(&account(GLOBEX)).await.unwrap().len(), 2);
    assert_eq!(
        store.official_applications().await.unwrap(),
        [application("mcp-server", "1000000000000009", true)]
    );
}

pub(super) async fn an_application_holds_two_secrets_and_no_third(world: &World) {
    let id = "report-hub".parse().unwrap();
    let secret = |name: &str, byte| Secret { id: name.to_owned(), hash: [byte; 32], created_at: at(9) };
    for (name, byte) in [("one", 1), ("two", 2)] {
        world.store.add_secret(&id, &secret(name, byte), &admin()).await.unwrap();
    }
    let third = world.store.add_secret(&id, &secret("three", 3), &admin()).await;
    assert!(matches!(third, Err(StoreError::Conflict(_))));
    world.store.delete_secret(&id, "one", &admin(), at(10)).await.unwrap();
    assert!(is_missing(world.store.delete_secret(&id, "one", &admin(), at(10)).await));
    let left = world.store.secrets(&id).await.unwrap();
    assert_eq!(left.iter().map(|secret| secret.hash).collect::<Vec<_>>(), [[2; 32]]);
}

fn signing_key(kid: &str, purpose: KeyPurpose, from: i64) -> SealedKey {
    SealedKey {
        kid: kid.to_owned(),
        purpose,
        public_jwk: "{}".to_owned(),
        sealed: vec![1, 2, 3],
        active_from: at(from),
        retired_at: None,
        published_until: None,
    }
}

pub(super) async fn a_signing_key_is_published_until_it_is_withdrawn(world: &World) {
    let before = world.newest().await;
    let key = signing_key("k1", KeyPurpose::AccessToken, 0);
    world.store.add_signing_key(&key, at(0), at(0)).await.unwrap();
    assert!(matches!(world.store.add_signing_key(&key, at(0), at(0)).await, Err(StoreError::Exists(_))));
    let published = world.store.signing_keys(at(1)).await.unwrap();
    assert_eq!((published.len(), &*published[0].sealed), (1, &[1, 2, 3][..]));
    assert_eq!(published[0].retired_at, None, "a refused key retired this one");
    world.store.withdraw_key("k1", at(2)).await.unwrap();
    assert!(world.store.signing_keys(at(1)).await.unwrap().is_empty());
    assert!(is_missing(world.store.withdraw_key("k1", at(3)).await));
    assert_eq!(world.log_after(before).await, [Subject::Keys, Subject::Keys]);
}

pub(super) async fn a_new_signing_key_retires_its_predecessor_only(world: &World) {
    for (kid, purpose, from) in [
        ("k1", KeyPurpose::AccessToken, 0),
        ("k2", KeyPurpose::IdToken, 0),
        ("k3", KeyPurpose::AccessToken, 100),
    ] {
        world.store.add_signing_key(&signing_key(kid, purpose, from), at(500), at(0)).await.unwrap();
    }
    let keys = world.store.signing_keys(at(499)).await.unwrap();
    let of = |kid: &str| keys.iter().find(|key| key.kid == kid).unwrap();
    assert_eq!((of("k1").retired_at, of("k1").published_until), (Some(at(100)), Some(at(500))));
    assert_eq!((of("k2").retired_at, of("k3").retired_at), (None, None));
    assert_eq!(world.store.signing_keys(at(500)).await.unwrap().len(), 2);
}

pub(super) async fn a_sidecars_key_is_prolonged_by_itself_and_by_nobody_else(world: &World) {
    let key = |sidecar: &str, jwk: &str, until| SidecarKey {
        kid: "s1".to_owned(),
        sidecar: sidecar.parse::<SidecarId>().unwrap(),
        public_jwk: jwk.to_owned(),
        published_until: at(until),
    };
    world.store.publish_sidecar_key(&key("edge-1", "{}", 100), at(0)).await.unwrap();
    world.store.publish_sidecar_key(&key("edge-1", "{}", 200), at(50)).await.unwrap();
    assert_eq!(world.store.sidecar_keys(at(199)).await.unwrap().len(), 1);
    assert!(world.store.sidecar_keys(at(200)).await.unwrap().is_empty());
    for other in [key("edge-2", "{}", 300), key("edge-1", "{\"x\":1}", 300)] {
        let refused = world.store.publish_sidecar_key(&other, at(60)).await;
        assert!(matches!(refused, Err(StoreError::Conflict(_))));
    }
    world.store.withdraw_key("s1", at(70)).await.unwrap();
    assert!(world.store.sidecar_keys(at(71)).await.unwrap().is_empty());
    assert!(world.store.publish_sidecar_key(&key("edge-1", "{}", 400), at(72)).await.is_err());
}

pub(super) async fn a_sidecar_has_only_so_many_live_keys_and_another_has_its_own(world: &World) {
    let key = |sidecar: &str, number: usize| SidecarKey {
        kid: format!("{sidecar}-{number}"),
        sidecar: sidecar.parse::<SidecarId>().unwrap(),
        public_jwk: "{}".to_owned(),
        published_until: at(100),
    };
    let publish = async |sidecar: &str, number, now| {
        world.store.publish_sidecar_key(&key(sidecar, number), at(now)).await
    };
    let mut number = 0;
    let refused = loop {
        match publish("edge-1", number, 0).await {
            Ok(()) => number += 1,
            Err(refused) => break refused,
        }
        assert!(number < 10_000, "there is an end");
    };
    assert!(matches!(refused, StoreError::Conflict(_)), "{refused}");
    publish("edge-2", 1, 0).await.unwrap();
    publish("edge-1", 0, 0).await.unwrap();
    publish("edge-1", number, 100).await.unwrap();
}
