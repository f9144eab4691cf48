//! The directory as it is managed.

use super::*;
use crate::model::id::GroupName;
use crate::store::{ApiToken, Assignment, BrowserSession, By, PasswordLink, PeopleFilter, PersonChange};

fn root() -> Actor {
    Actor { principal: whom(ACME, PrincipalKind::Account, ACME), login: "root@acme".to_owned() }
}

pub(in crate::store) fn alice() -> Actor {
    actor(ACME, "u-alice", "alice@acme")
}

fn group(name: &str) -> GroupName {
    name.parse().unwrap()
}

pub(in crate::store) async fn sessions(world: &World, id: &str, bytes: &[u8]) {
    for byte in bytes {
        let hash = [*byte; 32];
        let session = BrowserSession::new(hash, user(id), at(0), at(1000));
        world.store.open_session(&session).await.unwrap();
    }
}

pub(in crate::store) async fn is_open(world: &World, byte: u8) -> bool {
    world.store.session(&[byte; 32], at(50)).await.unwrap().is_some()
}

pub(in crate::store) async fn events(world: &World) -> Vec<String> {
    let audit = world.store.audit(&account(ACME), 100).await.unwrap();
    audit.into_iter().map(|event| format!("{} {} by {}", event.event, event.subject, event.actor)).collect()
}

pub(in crate::store) fn conflict<T>(answer: Result<T, StoreError>) -> bool {
    matches!(answer, Err(StoreError::Conflict(_)))
}

pub(super) async fn people_are_found_in_pages_by_what_is_looked_for(world: &World) {
    let logins = async |filter: PeopleFilter| -> Vec<String> {
        let found = world.store.people(&account(ACME), &filter).await.unwrap();
        found.into_iter().map(|person| person.principal.login).collect()
    };
    let all = PeopleFilter::users(10);
    assert_eq!(logins(all.clone()).await, ["admin@acme", "alice@acme", "bob@acme", "root@acme"]);
    assert_eq!(logins(PeopleFilter { limit: 2, ..all.clone() }).await, ["admin@acme", "alice@acme"]);
    let after = PeopleFilter { after: Some("Alice@acme".to_owned()), ..all.clone() };
    assert_eq!(logins(after).await, ["bob@acme", "root@acme"]);
    let search = |text: &str| PeopleFilter { search: Some(text.to_owned()), ..all.clone() };
    assert_eq!(logins(search("LIC")).await, ["alice@acme"]);
    for nothing in ["%", "_", "\\", "eve"] {
        assert_eq!(logins(search(nothing)).await, [""; 0], "{nothing}");
    }
    let inside = PeopleFilter { group: Some(group("developers")), ..all.clone() };
    assert_eq!(logins(inside).await, ["alice@acme"]);
    assert_eq!(logins(PeopleFilter { roles: true, ..all }).await, ["deploy-role@acme"]);
}

pub(super) async fn a_change_of_somebody_is_in_the_log_and_the_audit_where_it_concerns_calls(world: &World) {
    let (store, by) = (&world.store, admin());
    let before = world.newest().await;
    let change = async |change: PersonChange| {
        store.change_person(&user("u-alice"), &change, By::Person(&by), at(5)).await.unwrap()
    };
    let named = PersonChange { display_name: Some("Alice".to_owned()), ..PersonChange::default() };
    assert_eq!(change(named.clone()).await, before);
    assert_eq!(change(named).await, before, "a second time it is no change");
    sessions(world, "u-alice", &[1]).await;
    let out = PersonChange { leave: Some(group("developers")), ..PersonChange::default() };
    let into = PersonChange { join: Some(group("ops")), enabled: Some(false), ..PersonChange::default() };
    change(out).await;
    let newest = change(into).await;
    assert_eq!(newest, world.newest().await);
    assert_eq!(world.log_after(before).await, vec![Subject::Principal(user("u-alice")); 2]);
    let now = store.principal(&user("u-alice")).await.unwrap().unwrap();
    assert_eq!((now.enabled, now.groups), (false, vec![group("auditors"), group("ops")]));
    assert!(!is_open(world, 1).await);
    assert_eq!(events(world).await.iter().filter(|event| event.contains("person.change alice")).count(), 3);
}

pub(super) async fn out_of_a_group_or_without_it_what_was_assigned_to_it_is_not(world: &World) {
    let grant = world.install("report-hub", None).await;
    let assignment = Assignment {
        mode: crate::model::grant::AssignmentMode::Assigned,
        users: Vec::new(),
        groups: vec![group("developers"), group("auditors")],
        roles: Vec::new(),
    };
    world.store.assign(&grant.key, &assignment, &admin(), at(11)).await.unwrap();
    let assigned = async || {
        let member = world.store.member(&grant.key, &user("u-alice"), at(12)).await.unwrap();
        member.unwrap().assigned
    };
    let leave = |name| PersonChange { leave: Some(group(name)), ..PersonChange::default() };
    let (by, alice) = (admin(), user("u-alice"));
    world.store.change_person(&alice, &leave("developers"), By::Person(&by), at(12)).await.unwrap();
    assert!(assigned().await);
    let before = world.newest().await;
    let seq = world.store.delete_group(&account(ACME), &group("auditors"), By::Person(&by), at(13)).await;
    assert!(seq.unwrap() > before && !assigned().await);
    assert_eq!(world.log_after(before).await, [Subject::Principal(alice.clone())]);
    let again = PersonChange { join: Some(group("auditors")), ..PersonChange::default() };
    world.store.change_person(&alice, &again, By::Person(&by), at(14)).await.unwrap();
    assert!(!assigned().await, "a group of the same name found what was assigned to the one before");
    let unknown = world.store.delete_group(&account(GLOBEX), &group("ops"), By::Operator, at(15)).await;
    assert!(is_missing(unknown));
}

pub(super) async fn nobody_rises_above_themselves(world: &World) {
    let (store, alice) = (&world.store, alice());
    let rise = PersonChange { full_access: Some(true), ..PersonChange::default() };
    assert!(conflict(store.change_person(&user("u-alice"), &rise, By::Person(&alice), at(5)).await));
    let fall = PersonChange { display_name: Some("x".to_owned()), ..PersonChange::default() };
    assert!(conflict(store.change_person(&user("u-admin"), &fall, By::Person(&alice), at(5)).await));
    let accomplice = person(ACME, PrincipalKind::User, "u-new", "new@acme", true, &[]);
    assert!(conflict(store.add_person(&accomplice, None, By::Person(&alice), at(5)).await));
    let link = PasswordLink { hash: [1; 32], expires_at: at(100) };
    assert!(conflict(store.offer_password(&user("u-admin"), &link, By::Person(&alice), at(5)).await));
    assert!(conflict(store.reset_factors(&user("u-admin"), By::Person(&alice), at(5)).await));
    // Another account's administrator is nobody here.
    let eve = actor(GLOBEX, "u-eve", "eve@globex");
    assert!(conflict(store.change_person(&user("u-bob"), &fall, By::Person(&eve), at(5)).await));
    assert!(conflict(store.offer_password(&user("u-bob"), &link, By::Person(&eve), at(5)).await));
    // The root identity is its own.
    let root_key = whom(ACME, PrincipalKind::Account, ACME);
    assert!(conflict(store.change_person(&root_key, &fall, By::Person(&admin()), at(5)).await));
    assert!(conflict(store.offer_password(&root_key, &link, By::Person(&admin()), at(5)).await));
    store.offer_password(&root_key, &link, By::Person(&root()), at(5)).await.unwrap();
    let off = PersonChange { enabled: Some(false), ..PersonChange::default() };
    assert!(conflict(store.change_person(&root_key, &off, By::Person(&root()), at(5)).await));
    // Who was disabled meanwhile changes nothing.
    store.change_person(&user("u-bob"), &rise, By::Person(&admin()), at(6)).await.unwrap();
    store.change_person(&user("u-bob"), &off, By::Person(&admin()), at(7)).await.unwrap();
    let bob = actor(ACME, "u-bob", "bob@acme");
    assert!(conflict(store.change_person(&user("u-alice"), &fall, By::Person(&bob), at(8)).await));
}

pub(super) async fn the_last_user_who_administers_is_taken_by_the_root_identity_only(world: &World) {
    let store = &world.store;
    let fall = PersonChange { full_access: Some(false), ..PersonChange::default() };
    let off = PersonChange { enabled: Some(false), ..PersonChange::default() };
    for change in [&fall, &off] {
        assert!(conflict(store.change_person(&user("u-admin"), change, By::Person(&admin()), at(5)).await));
    }
    let rise = PersonChange { full_access: Some(true), ..PersonChange::default() };
    store.change_person(&user("u-bob"), &rise, By::Person(&admin()), at(6)).await.unwrap();
    // Of two who take each other's right at once, one is left.
    let bob = actor(ACME, "u-bob", "bob@acme");
    let taken = at_once(2, store, move |store, task| {
        let (fall, bob) = (fall.clone(), bob.clone());
        async move {
            let (by, of) = if task == 0 { (admin(), user("u-bob")) } else { (bob, user("u-admin")) };
            store.change_person(&of, &fall, By::Person(&by), at(7)).await.is_ok()
        }
    })
    .await;
    assert_eq!(taken.into_iter().filter(|done| *done).count(), 1);
    let left = store.administrators(&account(ACME), 10).await.unwrap().pop().unwrap();
    store.change_person(&left.key, &off, By::Person(&root()), at(8)).await.unwrap();
    assert_eq!(store.administrators(&account(ACME), 10).await.unwrap().len(), 1, "the root identity");
}

pub(super) async fn a_link_sets_a_password_once_and_ends_sessions(world: &World) {
    let store = &world.store;
    let link = |byte, end| PasswordLink { hash: [byte; 32], expires_at: at(end) };
    sessions(world, "u-alice", &[1, 2]).await;
    for byte in [7, 8] {
        store.offer_password(&user("u-alice"), &link(byte, 100), By::Person(&admin()), at(5)).await.unwrap();
    }
    assert!(store.password_link(&[7; 32], at(6)).await.unwrap().is_none(), "a newer one took its place");
    assert!(store.password_link(&[8; 32], at(100)).await.unwrap().is_none());
    assert_eq!(store.password_link(&[8; 32], at(99)).await.unwrap().unwrap().login, "alice@acme");
    let used = at_once(4, store, |store, _| async move {
        store.use_password_link(&[8; 32], "other hash", at(50)).await.unwrap()
    })
    .await;
    assert_eq!(used.into_iter().flatten().count(), 1);
    let kept = store.credential("alice@acme").await.unwrap().unwrap().password_hash;
    assert_eq!(kept.as_deref(), Some("other hash"));
    assert!(!is_open(world, 1).await && !is_open(world, 2).await);
    store.offer_password(&user("u-alice"), &link(9, 100), By::Operator, at(51)).await.unwrap();
    let off = PersonChange { enabled: Some(false), ..PersonChange::default() };
    store.change_person(&user("u-alice"), &off, By::Operator, at(52)).await.unwrap();
    assert!(store.use_password_link(&[9; 32], "x", at(53)).await.unwrap().is_none());
    let role = whom(ACME, PrincipalKind::Role, "r-deploy");
    assert!(conflict(store.offer_password(&role, &link(3, 100), By::Operator, at(54)).await));
}

pub(super) async fn a_password_is_changed_from_the_one_that_stands(world: &World) {
    let (store, me) = (&world.store, alice());
    sessions(world, "u-alice", &[1, 2]).await;
    let set = async |hash: &str, expected: &str| {
        let keep = Some(&[1; 32]);
        store.set_password(&user("u-alice"), hash, Some(expected), keep, By::Person(&me), at(5)).await
    };
    assert!(conflict(set("new", "another").await));
    assert!(is_open(world, 2).await);
    set("new", "hash of alice@acme").await.unwrap();
    assert!(is_open(world, 1).await && !is_open(world, 2).await);
}

/// Whether somebody comes in on these grounds, with a session in the place of the one with the hash `[1; 32]`.
pub(super) async fn a_link_lasts_while_who_made_it_may_make_one(world: &World) {
    let (store, alice) = (&world.store, user("u-alice"));
    let link = |byte| PasswordLink { hash: [byte; 32], expires_at: at(900) };
    let offer = async |byte, by: By<'_>| store.offer_password(&alice, &link(byte), by, at(2)).await.unwrap();
    let stands = async |byte| store.password_link(&[byte; 32], at(3)).await.unwrap().is_some();
    let used = async |byte| store.use_password_link(&[byte; 32], "$new", at(4)).await.unwrap().is_some();
    let (by, bob) = (admin(), actor(ACME, "u-bob", "bob@acme"));
    // Made by an administrator who is none any more, or is one again.
    offer(1, By::Person(&by)).await;
    assert!(stands(1).await);
    store.set_full_access(&user("u-admin"), false, at(3)).await.unwrap();
    assert!(!stands(1).await && !used(1).await);
    store.set_full_access(&user("u-admin"), true, at(3)).await.unwrap();
    assert!(stands(1).await && used(1).await);
    // By somebody who is disabled; by one who never administered; by an operator.
    offer(2, By::Person(&bob)).await;
    store.enable_principal(&user("u-bob"), false, at(3)).await.unwrap();
    assert!(!stands(2).await && !used(2).await);
    store.enable_principal(&user("u-bob"), true, at(3)).await.unwrap();
    assert!(stands(2).await);
    offer(3, By::Operator).await;
    assert!(!stands(2).await && used(3).await && !used(3).await);
}

pub(super) async fn an_account_is_founded_with_its_root_identity(world: &World) {
    let store = &world.store;
    let new = Account { id: account("17"), alias: "initech".to_owned() };
    let root = person("17", PrincipalKind::Account, "17", "root@initech", false, &[]);
    let link = PasswordLink { hash: [1; 32], expires_at: at(100) };
    store.found_account(&new, &root, Some(&link), at(5)).await.unwrap();
    assert!(store.password_link(&[1; 32], at(6)).await.unwrap().unwrap().is_administrator());
    let again = store.found_account(&new, &root, Some(&link), at(7)).await;
    assert!(matches!(again, Err(StoreError::Exists(_))));
    assert!(store.password_link(&[1; 32], at(8)).await.unwrap().is_some(), "the refused one left a trace");
}

pub(super) async fn a_group_is_there_without_members_and_made_by_the_first(world: &World) {
    let (store, by) = (&world.store, admin());
    let names = async || -> Vec<(String, u64)> {
        let found = store.groups(&account(ACME), None, 10).await.unwrap();
        found.into_iter().map(|one| (one.name.to_string(), one.members)).collect()
    };
    let there = |name: &str, members| (name.to_owned(), members);
    assert_eq!(names().await, [there("auditors", 1), there("developers", 1)]);
    let put = async |fresh| {
        store.put_group(&account(ACME), &group("ops"), "on call", fresh, By::Person(&by), at(5)).await
    };
    assert!(is_missing(put(false).await));
    put(true).await.unwrap();
    assert!(matches!(put(true).await, Err(StoreError::Exists(_))));
    put(false).await.unwrap();
    assert_eq!(store.group(&account(ACME), &group("ops")).await.unwrap().unwrap().description, "on call");
    assert_eq!(names().await.len(), 3);
    assert_eq!(store.groups(&account(ACME), Some(&group("developers")), 10).await.unwrap().len(), 1);
    assert!(store.group(&account(GLOBEX), &group("ops")).await.unwrap().is_none());
}

pub(super) async fn a_token_is_listed_by_its_mark_and_ends_when_it_is_revoked(world: &World) {
    let store = &world.store;
    let (principal, label) = (user("u-admin"), "ci".to_owned());
    let token = ApiToken { hash: [5; 32], principal, label, expires_at: Some(at(100)) };
    store.give_token(&token, By::Operator, at(5)).await.unwrap();
    let listed = store.tokens(&account(ACME), at(6)).await.unwrap();
    assert_eq!((listed.len(), listed[0].login.as_str(), listed[0].label.as_str()), (1, "admin@acme", "ci"));
    assert!(store.tokens(&account(GLOBEX), at(6)).await.unwrap().is_empty());
    assert!(is_missing(store.revoke_token(&account(GLOBEX), &listed[0].id, By::Operator, at(7)).await));
    store.revoke_token(&account(ACME), &listed[0].id, By::Operator, at(7)).await.unwrap();
    assert!(store.api_token(&[5; 32], at(8)).await.unwrap().is_none());
}
