//! What every store does for second factors, and for log-ins that rest on what is changed meanwhile.

use super::{Entry, Grounds, KeptPasskey, KeptTotp, Within};
use crate::store::contract::people::{alice, conflict, events, is_open, sessions};
use crate::store::contract::{ACME, GLOBEX, World, account, admin, at, at_once, is_missing, user};
use crate::store::{AuditEvent, BrowserSession, By, Factor, PersonChange, Rules, StoreError};

fn passkey(id: &str, byte: u8) -> KeptPasskey {
    KeptPasskey {
        credential: vec![byte; 16],
        principal: user(id),
        name: "Laptop".to_owned(),
        public: "{}".to_owned(),
        added_at: at(5),
        used_at: None,
    }
}

pub(in crate::store) async fn a_passkey_is_one_persons_and_is_used_only_while_it_is_there(world: &World) {
    let (store, me, admin) = (&world.store, alice(), admin());
    sessions(world, "u-alice", &[1, 3]).await;
    sessions(world, "u-admin", &[2]).await;
    let (hers, theirs) = ([1; 32], [2; 32]);
    store.add_passkey(&passkey("u-alice", 1), &hers, at(5)).await.unwrap();
    assert_eq!(store.passkeys(&user("u-alice")).await.unwrap(), [passkey("u-alice", 1)]);
    let taken = store.add_passkey(&passkey("u-admin", 1), &theirs, at(6)).await;
    assert!(matches!(taken, Err(StoreError::Exists(_))));
    assert!(
        conflict(store.add_passkey(&passkey("u-admin", 2), &hers, at(6)).await),
        "not in another's session"
    );
    // The password was changed while a thief was adding one in a session of hers.
    store.set_password(&user("u-alice"), "$new", None, Some(&hers), By::Person(&me), at(6)).await.unwrap();
    assert!(conflict(store.add_passkey(&passkey("u-alice", 2), &[3; 32], at(6)).await));
    assert!(store.used_passkey(&[1; 16], "{}", "{\"counter\":1}", at(7)).await.unwrap());
    assert!(!store.used_passkey(&[1; 16], "{}", "{\"counter\":1}", at(8)).await.unwrap(), "used twice");
    assert_eq!(store.passkey(&[1; 16]).await.unwrap().unwrap().used_at, Some(at(7)));
    let other = store.remove_passkey(&user("u-admin"), &[1; 16], By::Person(&admin), at(9)).await;
    assert!(is_missing(other), "another's passkey was removed");
    store.remove_passkey(&user("u-alice"), &[1; 16], By::Person(&me), at(9)).await.unwrap();
    assert!(!store.used_passkey(&[1; 16], "{\"counter\":1}", "{}", at(10)).await.unwrap());
    for byte in 10..20 {
        store.add_passkey(&passkey("u-alice", byte), &hers, at(11)).await.unwrap();
    }
    assert!(conflict(store.add_passkey(&passkey("u-alice", 20), &hers, at(11)).await));
}

pub(in crate::store) async fn a_step_and_a_recovery_code_are_taken_by_one_of_many(world: &World) {
    let (store, me) = (&world.store, alice());
    let (totp, within) = (KeptTotp { sealed: vec![1, 2], step: 10 }, Within::Session(&[1; 32]));
    sessions(world, "u-alice", &[1, 2]).await;
    assert!(!store.take_step(&user("u-alice"), 11).await.unwrap());
    assert!(conflict(store.add_totp(&user("u-alice"), &totp, &[], Within::Session(&[9; 32]), at(5)).await));
    assert!(conflict(store.add_totp(&user("u-bob"), &totp, &[], within, at(5)).await), "another's session");
    store.add_totp(&user("u-alice"), &totp, &[[1; 32], [2; 32]], within, at(5)).await.unwrap();
    assert!(is_open(world, 1).await && !is_open(world, 2).await, "what has proven less ends elsewhere");
    let twice = store.add_totp(&user("u-alice"), &totp, &[], within, at(6)).await;
    assert!(matches!(twice, Err(StoreError::Exists(_))));
    let taken =
        at_once(4, store, |store, _| async move { store.take_step(&user("u-alice"), 12).await.unwrap() })
            .await;
    assert_eq!(taken.into_iter().filter(|taken| *taken).count(), 1);
    for old in [10, 11, 12] {
        assert!(!store.take_step(&user("u-alice"), old).await.unwrap(), "{old}");
    }
    assert!(store.take_step(&user("u-alice"), 13).await.unwrap());
    assert!(!store.take_recovery_code(&user("u-admin"), &[1; 32], at(7)).await.unwrap());
    let taken = at_once(4, store, |store, _| async move {
        store.take_recovery_code(&user("u-alice"), &[1; 32], at(7)).await.unwrap()
    })
    .await;
    assert_eq!(taken.into_iter().filter(|taken| *taken).count(), 1);
    assert_eq!(store.second_factors(&user("u-alice")).await.unwrap().recovery_codes, 1);
    store.remove_totp(&user("u-alice"), By::Person(&me), at(8)).await.unwrap();
    assert_eq!(store.second_factors(&user("u-alice")).await.unwrap(), crate::store::SecondFactors::default());
    assert!(is_missing(store.replace_recovery_codes(&user("u-alice"), &[[3; 32]], &[1; 32], at(9)).await));
}

pub(in crate::store) async fn who_lost_their_factors_is_reset_and_logged_out(world: &World) {
    let store = &world.store;
    sessions(world, "u-alice", &[1]).await;
    store.add_passkey(&passkey("u-alice", 1), &[1; 32], at(5)).await.unwrap();
    let totp = KeptTotp { sealed: vec![1], step: 1 };
    store.add_totp(&user("u-alice"), &totp, &[[1; 32]], Within::Session(&[1; 32]), at(5)).await.unwrap();
    let has = store.person(&user("u-alice")).await.unwrap().unwrap();
    assert_eq!((has.passkeys, has.totp, has.has_password), (1, true, true));
    store.reset_factors(&user("u-alice"), By::Person(&admin()), at(6)).await.unwrap();
    assert_eq!(store.second_factors(&user("u-alice")).await.unwrap(), crate::store::SecondFactors::default());
    assert!(!is_open(world, 1).await);
    assert_eq!(events(world).await[0], "directory.factors.reset alice@acme by admin@acme");
}

pub(in crate::store) async fn a_second_factor_is_demanded_of_administrators_from_then_on(world: &World) {
    let store = &world.store;
    let demand = Rules { administrators_need_second_factor: true };
    assert_eq!(store.rules(&account(ACME)).await.unwrap(), Rules::default());
    let rise = PersonChange { full_access: Some(true), ..PersonChange::default() };
    store.change_person(&user("u-bob"), &rise, By::Operator, at(4)).await.unwrap();
    sessions(world, "u-admin", &[1]).await;
    sessions(world, "u-bob", &[2]).await;
    sessions(world, "u-alice", &[3]).await;
    // What counts is what a session has proven, not what its owner has by now, nor who asks.
    let totp = KeptTotp { sealed: vec![1], step: 1 };
    store.add_totp(&user("u-bob"), &totp, &[[1; 32]], Within::Session(&[2; 32]), at(4)).await.unwrap();
    for (byte, factors) in [
        (4, vec![Factor::Password, Factor::Totp]),
        (5, vec![Factor::Passkey]),
        (6, vec![Factor::Password, Factor::RecoveryCode]),
        (7, vec![Factor::Provider]),
    ] {
        let new = BrowserSession::new([byte; 32], user("u-admin"), at(0), at(1000));
        store.open_session(&BrowserSession { factors, ..new }).await.unwrap();
    }
    store.set_rules(&account(ACME), demand, By::Person(&admin()), at(5)).await.unwrap();
    assert_eq!(store.rules(&account(ACME)).await.unwrap(), demand);
    assert_eq!(store.rules(&account(GLOBEX)).await.unwrap(), Rules::default());
    let mut open = Vec::new();
    for byte in 1..=7 {
        open.push(is_open(world, byte).await);
    }
    assert_eq!(open, [false, false, true, true, true, true, true]);
    store.change_person(&user("u-alice"), &rise, By::Person(&admin()), at(6)).await.unwrap();
    assert!(!is_open(world, 3).await, "a new administrator logs in again");
}

async fn comes_in(world: &World, byte: u8, who: &str, factors: &[Factor], grounds: &Grounds) -> bool {
    let session = BrowserSession::new([byte; 32], user(who), at(0), at(1000));
    let event = AuditEvent {
        at: at(1),
        account: account(ACME),
        actor: who.to_owned(),
        event: "login.succeeded".to_owned(),
        subject: who.to_owned(),
        detail: "{}".to_owned(),
    };
    let entry = Entry {
        session: BrowserSession { factors: factors.to_vec(), ..session },
        grounds: grounds.clone(),
        instead_of: Some([1; 32]),
        event: Some(event),
    };
    let before = events(world).await.len();
    let answer = world.store.enter(&entry).await;
    let (open, told) = (is_open(world, byte).await, events(world).await.len() - before);
    match answer {
        Ok(()) => assert!(open && told == 1 && !is_open(world, 1).await),
        Err(StoreError::Conflict(_)) => assert!(!open && told == 0, "nothing is opened, ended or told"),
        Err(error) => panic!("{error}"),
    }
    open
}

pub(in crate::store) async fn who_comes_in_does_so_by_what_still_stands(world: &World) {
    let (store, alice) = (&world.store, user("u-alice"));
    let set = async |hash: &str, second| {
        store.set_password(&alice, hash, None, None, By::Operator, at(second)).await.unwrap();
    };
    let by = |hash: &str, sealed: Option<&[u8]>| Grounds::Password {
        hash: hash.to_owned(),
        authenticator: sealed.map(<[u8]>::to_vec),
    };
    let (one, two) = ([Factor::Password], [Factor::Password, Factor::Totp]);
    set("$one", 2).await;
    sessions(world, "u-alice", &[1]).await;
    assert!(!comes_in(world, 10, "u-alice", &one, &by("$other", None)).await);
    assert!(is_open(world, 1).await, "the session before goes on");
    assert!(comes_in(world, 10, "u-alice", &one, &by("$one", None)).await);
    // The password is changed while a log-in with the old one is under way.
    set("$two", 3).await;
    assert!(!comes_in(world, 11, "u-alice", &one, &by("$one", None)).await);
    assert!(comes_in(world, 11, "u-alice", &one, &by("$two", None)).await);
    // An authenticator was set up meanwhile, and another one in its place.
    let totp = |byte| KeptTotp { sealed: vec![byte], step: 1 };
    store.add_totp(&alice, &totp(1), &[], Within::Session(&[11; 32]), at(4)).await.unwrap();
    assert!(!comes_in(world, 12, "u-alice", &one, &by("$two", None)).await, "a code is asked for by now");
    assert!(comes_in(world, 12, "u-alice", &two, &by("$two", Some(&[1]))).await);
    store.remove_totp(&alice, By::Operator, at(5)).await.unwrap();
    assert!(!comes_in(world, 13, "u-alice", &two, &by("$two", Some(&[1]))).await);
    store.add_totp(&alice, &totp(2), &[], Within::Session(&[12; 32]), at(5)).await.unwrap();
    assert!(!comes_in(world, 13, "u-alice", &two, &by("$two", Some(&[1]))).await);
    // A passkey was removed meanwhile, or is another's.
    let key = |byte| Grounds::Passkey { credential: vec![byte; 16] };
    store.add_passkey(&passkey("u-alice", 1), &[12; 32], at(6)).await.unwrap();
    assert!(comes_in(world, 14, "u-alice", &[Factor::Passkey], &key(1)).await);
    assert!(!comes_in(world, 15, "u-admin", &[Factor::Passkey], &key(1)).await);
    store.remove_passkey(&alice, &[1; 16], By::Operator, at(7)).await.unwrap();
    assert!(!comes_in(world, 15, "u-alice", &[Factor::Passkey], &key(1)).await);
    assert!(!comes_in(world, 15, "u-alice", &[Factor::Provider], &Grounds::Provider).await, "nobody vouches");
    store.enable_principal(&alice, false, at(8)).await.unwrap();
    assert!(!comes_in(world, 16, "u-alice", &two, &by("$two", Some(&[2]))).await);
}

pub(in crate::store) async fn a_factor_that_is_demanded_meanwhile_is_asked_for(world: &World) {
    let (store, admin_key) = (&world.store, user("u-admin"));
    store.set_password(&admin_key, "$one", None, None, By::Operator, at(2)).await.unwrap();
    let by = |sealed: Option<&[u8]>| Grounds::Password {
        hash: "$one".to_owned(),
        authenticator: sealed.map(<[u8]>::to_vec),
    };
    let totp = KeptTotp { sealed: vec![1], step: 1 };
    let at_log_in = async |hash| store.add_totp(&admin_key, &totp, &[], Within::LogIn(hash), at(4)).await;
    assert!(conflict(at_log_in("$one").await), "nobody has demanded it");
    assert!(comes_in(world, 10, "u-admin", &[Factor::Password], &by(None)).await);
    let demand = Rules { administrators_need_second_factor: true };
    store.set_rules(&account(ACME), demand, By::Operator, at(3)).await.unwrap();
    assert!(!comes_in(world, 11, "u-admin", &[Factor::Password], &by(None)).await);
    // It is set up at the log-in by who still knows the password, and has nothing else.
    assert!(conflict(at_log_in("$old").await));
    sessions(world, "u-admin", &[20]).await;
    store.add_passkey(&passkey("u-admin", 1), &[20; 32], at(4)).await.unwrap();
    assert!(conflict(at_log_in("$one").await));
    store.remove_passkey(&admin_key, &[1; 16], By::Operator, at(4)).await.unwrap();
    at_log_in("$one").await.unwrap();
    assert!(comes_in(world, 11, "u-admin", &[Factor::Password, Factor::Totp], &by(Some(&[1]))).await);
}

pub(in crate::store) async fn codes_are_looked_at_until_too_many_were_wrong(world: &World) {
    let (store, alice) = (&world.store, user("u-alice"));
    sessions(world, "u-alice", &[1]).await;
    assert!(!store.try_code(&alice, at(1)).await.unwrap(), "there is nothing to guess at");
    let (totp, codes) = (KeptTotp { sealed: vec![1], step: 1 }, [[1; 32], [2; 32]]);
    store.add_totp(&alice, &totp, &codes, Within::Session(&[1; 32]), at(1)).await.unwrap();
    let wrong = async |times| {
        let mut looked_at = 0;
        for _ in 0..times {
            looked_at += u32::from(store.try_code(&alice, at(2)).await.unwrap());
        }
        looked_at
    };
    assert_eq!(wrong(19).await, 19);
    assert!(store.take_step(&alice, 2).await.unwrap());
    assert_eq!(wrong(30).await, 20, "a right one begins anew");
    assert!(events(world).await[0].starts_with("directory.totp.last_try alice@acme"));
    let tried =
        at_once(8, store, |store, _| async move { store.try_code(&user("u-alice"), at(2)).await.unwrap() });
    assert!(tried.await.into_iter().all(|looked_at| !looked_at));
    // What opens it again: a recovery code, another password.
    assert!(store.take_recovery_code(&alice, &[1; 32], at(3)).await.unwrap());
    assert_eq!(wrong(25).await, 20);
    store.set_password(&alice, "$new", None, None, By::Operator, at(4)).await.unwrap();
    assert_eq!(wrong(25).await, 20);
}
