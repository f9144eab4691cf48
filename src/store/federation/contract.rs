//! People whom other providers vouch for, and the sessions that they and others have.

use crate::model::account::{Principal, PrincipalKey, PrincipalKind};
use crate::model::id::GroupName;
use crate::store::contract::{ACME, GLOBEX, World, account, actor, admin, at, is_missing, user, whom};
use crate::store::{
    Arrival, Arrived, BrowserSession, By, NewIdentity, Newcomer, PersonChange, SessionFilter, SessionPlace,
    StoreError, Subject, TakenBack, Vouched,
};

fn arrival(subject: &str, name: &str) -> Arrival {
    Arrival {
        provider: "acme-id".to_owned(),
        issuer: "https://id.test".to_owned(),
        subject: subject.to_owned(),
        account: account(ACME),
        newcomer: Some(Newcomer {
            id: format!("id-of-{subject}").parse().unwrap(),
            login: format!("{name}@acme"),
            identity: format!("link-of-{subject}"),
        }),
        display_name: Some(format!("{name} at work")),
        groups: Some(groups(&["developers"])),
        full_access: Some(false),
        member: true,
    }
}

fn groups(names: &[&str]) -> Vec<GroupName> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

async fn let_in(world: &World, arrival: &Arrival, second: i64) -> (Principal, bool) {
    let arrived = world.store.arrive(arrival, at(second)).await.unwrap();
    let Arrived::In { principal, changed } = arrived else { panic!("{arrived:?}") };
    (principal, changed)
}

fn told(principal: &Principal) -> Vec<Subject> {
    vec![Subject::Principal(principal.key.clone())]
}

pub(in crate::store) async fn somebody_who_arrives_is_made_once_and_found_again_by_their_subject(
    world: &World,
) {
    let before = world.newest().await;
    let (carol, changed) = let_in(world, &arrival("s-1", "carol"), 1).await;
    assert_eq!((carol.login.as_str(), changed), ("carol@acme", true));
    assert_eq!(world.log_after(before).await, told(&carol));
    assert_eq!(carol.groups, groups(&["developers"]));
    assert!(world.store.credential("carol@acme").await.unwrap().unwrap().password_hash.is_none());
    // By another name, and as a newcomer of another id, which is not looked at.
    let mut again = arrival("s-1", "caroline");
    again.newcomer = arrival("s-9", "caroline").newcomer;
    let before = world.newest().await;
    let (same, changed) = let_in(world, &again, 2).await;
    assert_eq!((&same.key, same.login.as_str(), changed), (&carol.key, "carol@acme", false));
    assert_eq!(same.display_name, "caroline at work");
    assert!(world.log_after(before).await.is_empty());
    // The same subject of another issuer, or in another account, is somebody else.
    let other = Arrival { issuer: "https://other.test".to_owned(), newcomer: None, ..arrival("s-1", "x") };
    assert!(matches!(world.store.arrive(&other, at(3)).await.unwrap(), Arrived::Unknown));
    let other = Arrival { account: account(GLOBEX), newcomer: None, ..arrival("s-1", "x") };
    assert!(matches!(world.store.arrive(&other, at(3)).await.unwrap(), Arrived::Unknown));
    let events = world.store.audit(&account(ACME), 10).await.unwrap();
    assert_eq!(events.iter().filter(|event| event.event == "user.made").count(), 1);
    assert_eq!(events.iter().filter(|event| event.event == "login.succeeded").count(), 2);
}

pub(in crate::store) async fn who_has_the_name_of_somebody_else_is_not_let_in(world: &World) {
    let before = world.newest().await;
    let taken = world.store.arrive(&arrival("s-2", "ALICE"), at(1)).await.unwrap();
    assert!(matches!(taken, Arrived::Taken { .. }), "{taken:?}");
    assert!(world.log_after(before).await.is_empty());
    assert!(world.store.identities(&account(ACME), "", 10).await.unwrap().is_empty());
    let stranger = Arrival { member: false, ..arrival("s-3", "new") };
    let refused = world.store.arrive(&stranger, at(1)).await.unwrap();
    assert!(matches!(refused, Arrived::NoMember { changed: false }), "{refused:?}");
    assert!(world.store.credential("new@acme").await.unwrap().is_none());
}

pub(in crate::store) async fn claims_change_groups_and_rights_and_sidecars_are_told(world: &World) {
    let (carol, _) = let_in(world, &arrival("s-1", "carol"), 1).await;
    for (names, full_access) in [(vec!["developers", "auditors"], true), (vec![], true), (vec![], false)] {
        let before = world.newest().await;
        let wish = Arrival {
            groups: Some(groups(&names)),
            full_access: Some(full_access),
            ..arrival("s-1", "carol")
        };
        let (now, changed) = let_in(world, &wish, 2).await;
        assert!(changed);
        assert_eq!(world.log_after(before).await, told(&carol));
        assert_eq!((now.groups.len(), now.is_administrator()), (names.len(), full_access));
        let before = world.newest().await;
        assert!(!let_in(world, &wish, 3).await.1);
        assert!(world.log_after(before).await.is_empty(), "the same again is no change");
    }
    // Where the provider has no say, what an administrator has set stays.
    world.store.set_full_access(&carol.key, true, at(4)).await.unwrap();
    let silent = Arrival { groups: None, full_access: None, ..arrival("s-1", "carol") };
    let (now, changed) = let_in(world, &silent, 5).await;
    assert!(now.is_administrator() && !changed);
}

pub(in crate::store) async fn who_is_no_member_is_disabled_and_comes_back_as_a_member(world: &World) {
    let (carol, _) = let_in(world, &arrival("s-1", "carol"), 1).await;
    world.store.open_session(&session(1, &carol.key, None)).await.unwrap();
    let before = world.newest().await;
    let out = Arrival { member: false, ..arrival("s-1", "carol") };
    assert!(matches!(world.store.arrive(&out, at(2)).await.unwrap(), Arrived::NoMember { changed: true }));
    assert_eq!(world.log_after(before).await, told(&carol));
    assert!(!world.store.principal(&carol.key).await.unwrap().unwrap().enabled);
    assert!(world.store.session(&[1; 32], at(3)).await.unwrap().is_none());
    assert!(matches!(world.store.arrive(&out, at(4)).await.unwrap(), Arrived::NoMember { changed: false }));
    let (back, changed) = let_in(world, &arrival("s-1", "carol"), 5).await;
    assert!(back.enabled && changed);
    assert!(world.store.session(&[1; 32], at(6)).await.unwrap().is_none(), "a session came back to life");
}

pub(in crate::store) async fn whom_an_administrator_has_disabled_stays_out(world: &World) {
    let (carol, _) = let_in(world, &arrival("s-1", "carol"), 1).await;
    world.store.enable_principal(&carol.key, false, at(2)).await.unwrap();
    for member in [true, false, true] {
        let answer = world.store.arrive(&Arrival { member, ..arrival("s-1", "carol") }, at(3)).await.unwrap();
        assert!(!matches!(answer, Arrived::In { .. }), "{answer:?}");
    }
    assert!(!world.store.principal(&carol.key).await.unwrap().unwrap().enabled);

    // The same where the provider had barred them first, and the administrator's word came after.
    for (subject, before_it) in [("s-2", [true, false].as_slice()), ("s-3", &[false])] {
        let (dave, _) = let_in(world, &arrival(subject, subject), 4).await;
        let out = Arrival { member: false, ..arrival(subject, subject) };
        assert!(matches!(
            world.store.arrive(&out, at(5)).await.unwrap(),
            Arrived::NoMember { changed: true }
        ));
        for enabled in before_it {
            let change = PersonChange { enabled: Some(*enabled), ..PersonChange::default() };
            world.store.change_person(&dave.key, &change, By::Operator, at(6)).await.unwrap();
        }
        let answer = world.store.arrive(&arrival(subject, subject), at(7)).await.unwrap();
        assert!(!matches!(answer, Arrived::In { .. }), "{answer:?}");
    }
}

pub(in crate::store) async fn who_becomes_an_administrator_by_a_claim_signs_in_anew(world: &World) {
    let (carol, _) = let_in(world, &arrival("s-1", "carol"), 1).await;
    world.store.open_session(&session(1, &carol.key, None)).await.unwrap();
    let_in(world, &arrival("s-1", "carol"), 2).await;
    assert!(world.store.session(&[1; 32], at(3)).await.unwrap().is_some());
    let raised = Arrival { full_access: Some(true), ..arrival("s-1", "carol") };
    assert!(let_in(world, &raised, 4).await.1);
    assert!(world.store.session(&[1; 32], at(5)).await.unwrap().is_none());
}

pub(in crate::store) async fn a_link_is_made_once_by_an_administrator_and_taken_away_with_its_sessions(
    world: &World,
) {
    let new = |id: &str, subject: &str, login: &str| NewIdentity {
        id: id.to_owned(),
        account: account(ACME),
        issuer: "https://id.test".to_owned(),
        subject: subject.to_owned(),
        provider: "acme-id".to_owned(),
        login: login.to_owned(),
    };
    let link =
        async |id, subject, login| world.store.link_identity(&new(id, subject, login), &admin(), at(1)).await;
    assert_eq!(link("l-1", "s-1", "Alice@acme").await.unwrap().login, "alice@acme");
    // Neither again, nor another subject for her, nor hers for another; nor the root, a role, or another account's.
    for (id, subject, login) in
        [("l-1", "s-1", "alice@acme"), ("l-2", "s-2", "alice@acme"), ("l-2", "s-1", "bob@acme")]
    {
        assert!(matches!(link(id, subject, login).await, Err(StoreError::Exists(_))), "{subject} {login}");
    }
    for login in ["root@acme", "deploy-role@acme", "eve@globex", "nobody@acme"] {
        assert!(is_missing(link("l-3", "s-3", login).await), "{login}");
    }
    let (alice, _) = let_in(world, &arrival("s-1", "whoever"), 2).await;
    assert_eq!(alice.key, user("u-alice"));
    let vouched = |subject: &str| Vouched {
        provider: "acme-id".to_owned(),
        issuer: "https://id.test".to_owned(),
        subject: subject.to_owned(),
        session: None,
    };
    world.store.open_session(&session(1, &alice.key, Some(vouched("s-1")))).await.unwrap();
    world.store.open_session(&session(2, &alice.key, None)).await.unwrap();
    assert!(is_missing(world.store.unlink_identity(&account(GLOBEX), "l-1", &admin(), at(3)).await));
    world.store.unlink_identity(&account(ACME), "l-1", &admin(), at(3)).await.unwrap();
    assert!(world.store.session(&[1; 32], at(4)).await.unwrap().is_none());
    assert!(world.store.session(&[2; 32], at(4)).await.unwrap().is_some(), "her own");
    let gone = Arrival { newcomer: None, ..arrival("s-1", "x") };
    assert!(matches!(world.store.arrive(&gone, at(5)).await.unwrap(), Arrived::Unknown));
}

pub(in crate::store) async fn a_link_of_an_administrator_is_for_an_administrator_to_make_and_to_take_away(
    world: &World,
) {
    let store = &world.store;
    let new = |id: &str, login: &str| NewIdentity {
        id: id.to_owned(),
        account: account(ACME),
        issuer: "https://id.test".to_owned(),
        subject: id.to_owned(),
        provider: "acme-id".to_owned(),
        login: login.to_owned(),
    };
    // Policy may let somebody manage people who is no administrator.
    let alice = actor(ACME, "u-alice", "alice@acme");
    let stranger = actor(GLOBEX, "u-eve", "eve@globex");
    let conflict = |answer: Result<_, StoreError>| matches!(answer, Err(StoreError::Conflict(_)));
    assert!(conflict(store.link_identity(&new("l-1", "admin@acme"), &alice, at(1)).await.map(drop)));
    assert!(conflict(store.link_identity(&new("l-1", "bob@acme"), &stranger, at(1)).await.map(drop)));
    assert!(store.identities(&account(ACME), "", 10).await.unwrap().is_empty());
    store.link_identity(&new("l-1", "admin@acme"), &admin(), at(1)).await.unwrap();
    store.link_identity(&new("l-2", "bob@acme"), &alice, at(1)).await.unwrap();
    assert!(conflict(store.unlink_identity(&account(ACME), "l-1", &alice, at(2)).await));
    store.unlink_identity(&account(ACME), "l-2", &alice, at(2)).await.unwrap();
    store.enable_principal(&user("u-admin"), false, at(3)).await.unwrap();
    assert!(conflict(store.unlink_identity(&account(ACME), "l-1", &admin(), at(4)).await), "any more");
    assert_eq!(store.identities(&account(ACME), "", 10).await.unwrap().len(), 1);
}

fn session(byte: u8, of: &PrincipalKey, vouched: Option<Vouched>) -> BrowserSession {
    let opened_at = at(i64::from(byte));
    BrowserSession { vouched, ..BrowserSession::new([byte; 32], of.clone(), opened_at, at(1000)) }
}

pub(in crate::store) async fn sessions_are_listed_by_pages_and_ended_by_whose_they_are(world: &World) {
    let store = &world.store;
    for byte in 1..=3 {
        store.open_session(&session(byte, &user("u-alice"), None)).await.unwrap();
    }
    store.open_session(&session(4, &user("u-bob"), None)).await.unwrap();
    let eve = whom(GLOBEX, PrincipalKind::User, "u-eve");
    store.open_session(&session(5, &eve, None)).await.unwrap();
    let list = async |of: Option<PrincipalKey>, after, limit| -> Vec<u8> {
        let filter = SessionFilter { account: account(ACME), of, after, limit };
        let found = store.sessions(&filter, at(10)).await.unwrap();
        found.into_iter().map(|(session, _)| session.hash[0]).collect()
    };
    assert_eq!(list(None, None, 10).await, [4, 3, 2, 1]);
    assert_eq!(list(Some(user("u-alice")), None, 2).await, [3, 2]);
    let after = SessionPlace { opened_at: at(2), id: session(2, &eve, None).id() };
    assert_eq!(list(Some(user("u-alice")), Some(after), 2).await, [1]);

    let by = admin();
    let (own, all) = (Some(user("u-alice")), None);
    for (of, byte) in [(&own, 4), (&all, 5), (&own, 5), (&all, 9)] {
        let id = session(byte, &eve, None).id();
        assert!(is_missing(store.end_session(&account(ACME), of.as_ref(), id, &by, at(11)).await), "{byte}");
    }
    let id = session(3, &eve, None).id();
    store.end_session(&account(ACME), own.as_ref(), id, &by, at(11)).await.unwrap();
    assert_eq!(list(None, None, 10).await, [4, 2, 1]);
    assert_eq!(store.end_sessions(&user("u-alice"), Some(&[2; 32]), &by, at(12)).await.unwrap(), 1);
    assert_eq!(list(None, None, 10).await, [4, 2]);
    assert_eq!(store.end_sessions(&user("u-bob"), None, &by, at(12)).await.unwrap(), 1);
    assert!(store.session(&[5; 32], at(12)).await.unwrap().is_some());
    let events = store.audit(&account(ACME), 10).await.unwrap();
    assert_eq!(events.iter().filter(|event| event.event == "session.ended").count(), 3);
}

pub(in crate::store) async fn a_role_is_taken_back_from_who_came_in_as_it_and_from_nobody_else(
    world: &World,
) {
    let store = &world.store;
    let vouched = |provider: &str, subject: &str| Vouched {
        provider: provider.to_owned(),
        issuer: "https://id.test".to_owned(),
        subject: subject.to_owned(),
        session: None,
    };
    let role = whom(ACME, PrincipalKind::Role, "r-deploy");
    for (byte, of, vouched) in [
        (1, &role, vouched("acme-id", "s-1")),
        (2, &role, vouched("acme-id", "s-2")),
        (3, &role, vouched("other-id", "s-1")),
        (4, &user("u-alice"), vouched("acme-id", "s-1")),
    ] {
        store.open_session(&session(byte, of, Some(vouched))).await.unwrap();
    }
    let of = vouched("acme-id", "s-1");
    assert_eq!(store.end_roles(&of, Some(&role), at(10)).await.unwrap(), 0, "it is still theirs");
    assert_eq!(store.end_roles(&of, None, at(10)).await.unwrap(), 1);
    assert_eq!(store.end_roles(&of, None, at(10)).await.unwrap(), 0);
    let there = async |byte: u8| store.session(&[byte; 32], at(11)).await.unwrap().is_some();
    assert_eq!([there(1).await, there(2).await, there(3).await, there(4).await], [false, true, true, true]);
    let other = whom(ACME, PrincipalKind::Role, "r-other");
    assert_eq!(store.end_roles(&vouched("acme-id", "s-2"), Some(&other), at(12)).await.unwrap(), 1);
    let events = store.audit(&account(ACME), 10).await.unwrap();
    assert_eq!(events.iter().filter(|event| event.event == "session.ended").count(), 2);
}

pub(in crate::store) async fn a_provider_takes_back_its_own_sessions_only(world: &World) {
    let store = &world.store;
    let vouched = |issuer: &str, subject: &str, sid: &str| {
        Some(Vouched {
            provider: "acme-id".to_owned(),
            issuer: issuer.to_owned(),
            subject: subject.to_owned(),
            session: Some(sid.to_owned()),
        })
    };
    let eve = whom(GLOBEX, PrincipalKind::User, "u-eve");
    for (byte, of, vouched) in [
        (1, user("u-alice"), vouched("https://id.test", "s-1", "a")),
        (2, user("u-alice"), vouched("https://id.test", "s-1", "b")),
        (3, user("u-alice"), vouched("https://other.test", "s-1", "a")),
        (4, user("u-alice"), None),
        (5, eve, vouched("https://id.test", "s-1", "c")),
        (6, user("u-bob"), vouched("https://id.test", "s-1", "d")),
    ] {
        store.open_session(&session(byte, &of, vouched)).await.unwrap();
    }
    let take = async |subject: Option<&str>, sid: Option<&str>, until| {
        let taken = TakenBack {
            issuer: "https://id.test".to_owned(),
            subject: subject.map(str::to_owned),
            session: sid.map(str::to_owned),
            until: at(until),
        };
        store.take_back(&taken, &[account(ACME)], at(10)).await.unwrap()
    };
    assert_eq!(take(None, None, 9).await, 0, "nobody named is nobody");
    assert_eq!(take(Some("s-2"), Some("a"), 9).await, 0);
    assert_eq!(take(Some("s-1"), Some("a"), 0).await, 0, "younger than the word");
    assert_eq!(take(Some("s-1"), Some("a"), 9).await, 1);
    assert_eq!(take(Some("s-1"), None, 5).await, 1);
    let there = async |byte: u8| store.session(&[byte; 32], at(11)).await.unwrap().is_some();
    assert!(!there(1).await && !there(2).await);
    assert!(there(3).await && there(4).await && there(5).await && there(6).await);
}
