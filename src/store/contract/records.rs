//! Decision records, the audit, and what lasts.

use super::*;
use crate::model::decision::{Outcome, Took};
use crate::model::grant::GrantState;
use crate::store::{AuditEvent, DecisionFilter};

pub(super) fn decision(number: u32, application: &str, outcome: Outcome) -> Decision {
    Decision {
        id: format!("01900000-0000-7000-8000-{number:012}").parse().unwrap(),
        at: at(i64::from(number)),
        sidecar: "edge-1".into(),
        outcome,
        code: "ok".into(),
        status: 200,
        route: Some("/oss/{bucket}".into()),
        method: "GET".into(),
        path: "/oss/reports".into(),
        account: Some(ACME.into()),
        application: Some(application.into()),
        principal: Some("user/u-alice".into()),
        action: Some("oss:ListObjects".into()),
        resource: None,
        grant: Some(format!("{ACME}/{application}").into()),
        grant_revision: Some(1),
        scopes: None,
        policy: vec!["grant".into()],
        missing: Vec::new(),
        cache: None,
        trace: "0af7651916cd43dd8448eb211c80319c".into(),
        took: Took::default(),
    }
}

pub(super) async fn decisions_are_answered_newest_first_and_filtered(world: &World) {
    let kept = [
        decision(3, "mcp-server", Outcome::Forwarded),
        decision(1, "report-hub", Outcome::Forwarded),
        decision(2, "report-hub", Outcome::Denied),
        decision(4, "report-hub", Outcome::Forwarded),
    ];
    keep(&*world.store, &kept).await.unwrap();
    let all = DecisionFilter { limit: 1000, ..DecisionFilter::default() };
    let asked = async |filter: DecisionFilter| -> Vec<i64> {
        let found = world.store.decisions(&account(ACME), &filter).await.unwrap();
        found.iter().map(|decision| decision.at.as_second() - at(0).as_second()).collect()
    };
    let hub = Some("report-hub".parse().unwrap());
    assert_eq!(asked(all.clone()).await, [4, 3, 2, 1]);
    assert_eq!(asked(DecisionFilter { limit: 2, ..all.clone() }).await, [4, 3]);
    assert_eq!(asked(DecisionFilter { before: Some(kept[0].id.clone()), ..all.clone() }).await, [2, 1]);
    assert_eq!(asked(DecisionFilter { application: hub.clone(), ..all.clone() }).await, [4, 2, 1]);
    let denied = DecisionFilter { application: hub, outcome: Some(Outcome::Denied), ..all.clone() };
    assert_eq!(asked(denied).await, [2]);
    assert!(world.store.decisions(&account(GLOBEX), &all).await.unwrap().is_empty());
}

pub(super) async fn a_decision_is_kept_once_and_shown_to_its_account_only(world: &World) {
    let first = decision(1, "report-hub", Outcome::Forwarded);
    let mut second = first.clone();
    second.code = "rewritten".into();
    keep(&*world.store, std::slice::from_ref(&first)).await.unwrap();
    keep(&*world.store, &[second, decision(2, "report-hub", Outcome::Failed)]).await.unwrap();
    assert_eq!(world.store.decision(&account(ACME), &first.id).await.unwrap().unwrap(), first);
    assert!(world.store.decision(&account(GLOBEX), &first.id).await.unwrap().is_none());
    assert_eq!(world.store.any_decision(&first.id).await.unwrap().unwrap(), first);
    let mut unproven = decision(3, "report-hub", Outcome::Refused);
    (unproven.account, unproven.application) = (None, None);
    keep(&*world.store, std::slice::from_ref(&unproven)).await.unwrap();
    assert!(world.store.decision(&account(ACME), &unproven.id).await.unwrap().is_none());
    assert!(world.store.any_decision(&unproven.id).await.unwrap().is_some());
}

pub(super) async fn a_grant_was_last_used_by_what_was_forwarded(world: &World) {
    assert_eq!(world.store.last_used(&key("report-hub")).await.unwrap(), None);
    let kept = [decision(5, "report-hub", Outcome::Denied), decision(3, "report-hub", Outcome::Forwarded)];
    keep(&*world.store, &kept).await.unwrap();
    keep(&*world.store, &[decision(2, "report-hub", Outcome::Forwarded)]).await.unwrap();
    assert_eq!(world.store.last_used(&key("report-hub")).await.unwrap(), Some(at(3)));
    assert_eq!(world.store.last_used(&key("mcp-server")).await.unwrap(), None);
}

pub(super) async fn audit_events_are_answered_newest_first(world: &World) {
    for second in 1..=3 {
        let event = AuditEvent {
            at: at(second),
            account: account(GLOBEX),
            actor: "192.0.2.7".to_owned(),
            event: "login.failed".to_owned(),
            subject: "eve@globex".to_owned(),
            detail: "{}".to_owned(),
        };
        world.store.keep_audit(&event).await.unwrap();
    }
    let found = world.store.audit(&account(GLOBEX), 2).await.unwrap();
    assert_eq!(found.iter().map(|event| event.at).collect::<Vec<_>>(), [at(3), at(2)]);
    assert!(
        world.store.audit(&account(ACME), 10).await.unwrap().iter().all(|event| event.actor != "192.0.2.7")
    );
}

pub(super) async fn a_second_handle_sees_what_was_committed(world: &World) {
    let other = world.again().await;
    let before = other.newest().await.unwrap();
    let (grant, seq) = world.store.install(&wish("report-hub", "", None), at(10)).await.unwrap();
    assert!(seq > before);
    assert_eq!(other.newest().await.unwrap(), seq);
    assert_eq!(other.installed(&grant.key).await.unwrap().unwrap().grant, grant);
    let (gone, _) = other.set_state(&grant.key, GrantState::Revoked, &admin(), at(11)).await.unwrap();
    assert_eq!(world.store.installed(&grant.key).await.unwrap().unwrap().grant, gone);
    let both = [&world.store, &other];
    let mut seqs = Vec::new();
    for round in 0..6_usize {
        let enabled = round % 2 == 1;
        both[round % 2].enable_principal(&user("u-bob"), enabled, at(12)).await.unwrap();
        seqs.push(both[(round + 1) % 2].newest().await.unwrap());
    }
    assert!(seqs.is_sorted_by(|one, next| one < next), "a place was given twice");
}

pub(super) async fn a_change_that_was_cut_short_is_there_whole_or_not_at_all(world: &World) {
    let other = world.again().await;
    let grant = world.install("report-hub", None).await;
    let store = Arc::clone(&world.store);
    let cut_short = tokio::spawn(async move {
        store.set_state(&key("report-hub"), GrantState::Suspended, &admin(), at(11)).await
    });
    cut_short.abort();
    let _ = cut_short.await;
    // The next change waits for whatever became of that one.
    world.store.close_session(&[0; 32]).await.unwrap();
    let found = other.installed(&grant.key).await.unwrap().unwrap().grant;
    let audit = other.audit(&account(ACME), 1).await.unwrap();
    match found.state {
        GrantState::Active => assert_eq!((found.revision, &*audit[0].event), (Revision(1), "grant.install")),
        GrantState::Suspended => {
            assert_eq!((found.revision, &*audit[0].event), (Revision(2), "grant.suspend"))
        }
        GrantState::Revoked => panic!("nobody revoked it"),
    }
}

pub(super) async fn the_log_has_no_gap_whoever_writes_it(world: &World) {
    let other = world.again().await;
    let before = world.newest().await;
    let act = |store: Shared, task: u8| async move {
        if task.is_multiple_of(2) {
            // Its place in the log is given back.
            assert!(is_missing(store.withdraw_key("k9", at(11)).await));
        }
        // Of another name than the one before, whichever handle wrote that.
        let name = format!("p{task}-{:p}", Arc::as_ptr(&store));
        store.note_policies(&name, at(12)).await.unwrap().unwrap()
    };
    let (here, there) = tokio::join!(at_once(16, &world.store, act), at_once(16, &other, act));
    let mut seqs: Vec<u64> = here.iter().chain(&there).map(|seq| seq.0).collect();
    seqs.sort_unstable();
    let wanted: Vec<u64> = (before.0 + 1..=world.newest().await.0).collect();
    assert!(seqs.iter().all(|seq| wanted.contains(seq)));
    let log = world.store.changes_after(before, 100).await.unwrap();
    assert_eq!(log.iter().map(|change| change.seq.0).collect::<Vec<_>>(), wanted);
}

pub(super) async fn a_refused_change_takes_none_along_that_is_committed_with_it(world: &World) {
    let answers = at_once(32, &world.store, |store, task| async move {
        let id = if task % 2 == 0 { ACME.to_owned() } else { format!("20000000000000{task:02}") };
        store.add_account(&Account { id: account(&id), alias: format!("a{task}") }).await
    })
    .await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 16);
    assert_eq!(world.again().await.accounts().await.unwrap().len(), 3 + 16);
}

pub(super) async fn an_application_is_replaced_by_who_has_read_it(world: &World) {
    let eve = actor(GLOBEX, "u-eve", "eve@globex");
    let read = application("report-hub", GLOBEX, false);
    let mine = Application { description: "mine".to_owned(), ..read.clone() };
    world.store.replace_application(&read, &mine, &eve, at(5)).await.unwrap();
    let theirs = Application { contact: "theirs".to_owned(), ..read.clone() };
    let late = world.store.replace_application(&read, &theirs, &eve, at(6)).await;
    assert!(matches!(late, Err(StoreError::Conflict(_))));
    assert_eq!(world.store.application(&read.id).await.unwrap().unwrap(), mine);
    // Everybody can read later what it was.
    let wider = Application {
        optional: scopes("/acs/alidns"),
        redirect_uris: vec!["https://x.example/cb".to_owned()],
        ..mine
    };
    world.store.change_application(&wider, &eve, at(7)).await.unwrap();
    let secret = crate::store::Secret { id: "s1".to_owned(), hash: [1; 32], created_at: at(8) };
    world.store.add_secret(&read.id, &secret, &eve).await.unwrap();
    world.store.delete_secret(&read.id, "s1", &eve, at(9)).await.unwrap();
    let events = world.store.audit(&account(GLOBEX), 4).await.unwrap();
    let told: Vec<serde_json::Value> =
        events.iter().map(|event| serde_json::from_str(&event.detail).unwrap()).collect();
    assert_eq!((&told[0]["secret"], &told[1]["secret"]), (&"s1".into(), &"s1".into()));
    let name = &read.name;
    assert_eq!(
        told[2],
        serde_json::json!({ "name": name, "changed": {
            "optional_scopes": [read.optional.to_string(), "/acs/alidns"],
            "redirect_uris": [read.redirect_uris, ["https://x.example/cb"]],
        } })
    );
    assert_eq!(
        told[3],
        serde_json::json!({ "name": name, "changed": { "description": [read.description, "mine"] } })
    );
}

/// To each kind of store: from SQLite to PostgreSQL, and from either to SQLite.
pub(super) async fn a_copy_holds_all_and_is_of_another_epoch(world: &World) {
    let grant = world.install("report-hub", None).await;
    let refresh = world.refresh(&grant, 1).await;
    let blocked = crate::store::Standing::Blocked { word: "no".to_owned() };
    world.store.set_rule(&key("in-house"), Some(&blocked), &admin(), at(1)).await.unwrap();
    let alice = actor(ACME, "u-alice", "alice@acme");
    world.store.ask(&key("mcp-server"), &alice, "please", at(1)).await.unwrap();
    let many: Vec<_> = (0..450).map(|number| decision(number, "report-hub", Outcome::Forwarded)).collect();
    keep(&*world.store, &many).await.unwrap();
    world.store.note_policies("p1", at(1)).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = format!("sqlite:{}", folder.path().join("copy.db").display());
    let database = super::fixture::Database::new();
    for (from, to) in [(&world.place, &database.url()), (&database.url(), &file)] {
        let mut told = Vec::new();
        let copied = crate::store::copy(from, to, None, |copied| told.push(copied)).await.unwrap();
        assert!(copied.iter().all(|copied| copied.rows == copied.of && told.contains(copied)));
        let copy = open(to).await.unwrap();
        assert_eq!(copy.installed(&grant.key).await.unwrap().unwrap().grant, grant);
        assert_eq!(
            copy.refresh(&[1; 32], at(30)).await.unwrap().unwrap().authorization,
            refresh.authorization
        );
        assert_eq!(copy.any_decision(&many[449].id).await.unwrap().as_ref(), Some(&many[449]));
        assert_eq!(copy.principal(&user("u-alice")).await.unwrap().unwrap().groups.len(), 2);
        assert!(copy.terms(&key("in-house")).await.unwrap().blocked());
        let asked = copy.own_ask(&key("mcp-server"), &user("u-alice"), at(2)).await.unwrap().unwrap();
        assert_eq!((asked.0.reason.as_str(), asked.1.askers), ("please", 1));
        assert_eq!(copy.newest().await.unwrap(), world.newest().await);
        assert_ne!(copy.epoch().await.unwrap(), world.store.epoch().await.unwrap());
        assert_eq!(copy.note_policies("p1", at(2)).await.unwrap(), None);
        let again = crate::store::copy(from, to, None, |_| {}).await.err().unwrap();
        assert!(matches!(again, StoreError::Conflict(_)), "{again}");
        copy.close().await;
    }
    // The numbers that a database gives by itself go on behind those that were copied.
    let copy = open(&database.url()).await.unwrap();
    keep(&*copy, &[decision(900, "report-hub", Outcome::Denied)]).await.unwrap();
    copy.add_secret(
        &"report-hub".parse().unwrap(),
        &crate::store::Secret { id: "s".to_owned(), hash: [1; 32], created_at: at(1) },
        &admin(),
    )
    .await
    .unwrap();
}
