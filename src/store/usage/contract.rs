//! Use and its figures, ends and fewer scopes, a person's own side, and a publisher's.

use super::records::decision;
use super::*;
use crate::model::decision::Outcome;
use crate::model::grant::GrantState;
use crate::store::{Counted, InstallRefused, day_of};

/// Keeps records, each of which used `scope`.
async fn keep_used(world: &World, decisions: &[Decision], scope: &str, now: Timestamp) {
    let used = scopes(scope);
    world.store.keep_decisions(decisions, &|_| used.clone(), now).await.unwrap();
}

fn scope_of(text: &str) -> crate::model::scope::Scope {
    text.parse().unwrap()
}

pub(super) async fn a_scope_was_last_used_by_what_was_forwarded_with_it(world: &World) {
    world.install("report-hub", None).await;
    world.install("mcp-server", None).await;
    let kept = [decision(5, "report-hub", Outcome::Denied), decision(3, "report-hub", Outcome::Forwarded)];
    keep_used(world, &kept, "/acs/ecs:read", at(10)).await;
    keep_used(world, &[decision(2, "report-hub", Outcome::Forwarded)], "/acs/ecs:read", at(11)).await;
    keep_used(world, &[decision(1, "report-hub", Outcome::Forwarded)], "profile", at(12)).await;
    let uses = world.store.scope_uses(&key("report-hub")).await.unwrap();
    assert_eq!(uses.get(&scope_of("/acs/ecs:read")), Some(&at(3)));
    assert_eq!(uses.get(&scope_of("profile")), Some(&at(1)));
    let page = world.store.in_use(&account(ACME), None, 1).await.unwrap();
    assert_eq!((page.len(), page[0].installed.application.id.as_str()), (1, "mcp-server"));
    assert_eq!((page[0].last_used, page[0].scopes.len()), (None, 0));
    let after = page[0].installed.application.id.clone();
    let page = world.store.in_use(&account(ACME), Some(&after), 10).await.unwrap();
    assert_eq!((page.len(), page[0].last_used), (1, Some(at(3))));
    assert_eq!(page[0].scope_used(&scope_of("/acs/ecs")), Some(at(3)), "a part is a use of the whole");
    assert_eq!(page[0].scope_used(&scope_of("/acs/oss")), None);
    assert!(world.store.in_use(&account(GLOBEX), None, 10).await.unwrap().is_empty());
}

pub(super) async fn no_use_is_dated_later_than_it_was_told(world: &World) {
    let grant = world.install("report-hub", None).await;
    let mut lie = decision(1, "report-hub", Outcome::Forwarded);
    lie.at = at(40_000_000);
    let mut old = decision(2, "report-hub", Outcome::Forwarded);
    old.at = Timestamp::UNIX_EPOCH;
    keep_used(world, &[lie, old], "/acs/ecs:read", at(50)).await;
    assert_eq!(world.store.last_used(&grant.key).await.unwrap(), Some(at(50)));
    assert_eq!(world.store.scope_uses(&grant.key).await.unwrap()[&scope_of("/acs/ecs:read")], at(50));
    let mine = world.store.acting_as(&user("u-alice"), None, 10, at(60)).await.unwrap();
    assert_eq!(mine[0].last_used, Some(at(50)));
    let all = (0, i64::MAX);
    let figures = world.store.figures(&account(ACME), None, Counted::Outcome, all).await.unwrap();
    assert_eq!(figures.iter().map(|one| (one.day, one.calls)).collect::<Vec<_>>(), [(day_of(at(50)), 1)]);
}

pub(super) async fn what_there_is_not_is_not_counted(world: &World) {
    world.install("report-hub", None).await;
    let mut batch = Vec::new();
    for (number, (of, application, who)) in [
        ("9999", "report-hub", "user/u-alice"),
        (ACME, "unheard-of", "user/u-alice"),
        (ACME, "in-house", "user/u-alice"),
        (ACME, "report-hub", "user/u-nobody"),
        (ACME, "report-hub", "nonsense"),
        (GLOBEX, "report-hub", "user/u-alice"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut one = decision(u32::try_from(number).unwrap(), application, Outcome::Forwarded);
        (one.account, one.principal) = (Some(of.into()), Some(who.into()));
        batch.push(one);
    }
    keep_used(world, &batch, "/acs/ecs:read", at(50)).await;
    assert!(world.store.acting_as(&user("u-alice"), None, 10, at(60)).await.unwrap().is_empty());
    for not_installed in ["in-house", "unheard-of"] {
        assert!(world.store.scope_uses(&key(not_installed)).await.unwrap().is_empty());
    }
    let day = (day_of(at(0)), day_of(at(50)));
    let named = world.store.most(&account(ACME), None, Counted::Application, day, 10).await.unwrap();
    let named: Vec<_> = named.iter().map(|one| (one.name.as_str(), one.calls)).collect();
    assert_eq!(named, [("report-hub", 2), ("in-house", 1)]);
    assert!(
        world
            .store
            .figures(&account("9999"), None, Counted::Outcome, (0, i64::MAX))
            .await
            .unwrap()
            .is_empty()
    );
}

pub(super) async fn invented_reasons_count_as_one(world: &World) {
    let mut batch = Vec::new();
    for number in 0..150_u8 {
        let mut one = decision(u32::from(number), "report-hub", Outcome::Refused);
        let letters = [b'a' + number / 26, b'a' + number % 26];
        one.code = format!("reason_{}", String::from_utf8_lossy(&letters)).into();
        batch.push(one);
    }
    let mut odd = decision(900, "report-hub", Outcome::Refused);
    odd.code = "<script>".into();
    batch.push(odd);
    keep_used(world, &batch[..100], "", at(200)).await;
    keep_used(world, &batch[100..], "", at(200)).await;
    let days = (day_of(at(0)), day_of(at(200)));
    let counted = world.store.most(&account(ACME), None, Counted::Code, days, 1000).await.unwrap();
    assert!(counted.len() <= 65, "{}", counted.len());
    assert_eq!(counted.iter().map(|one| one.calls).sum::<u64>(), 151);
    assert_eq!(counted[0].name, "other");
}

pub(super) async fn a_batch_that_comes_again_counts_once(world: &World) {
    world.install("report-hub", None).await;
    let hub = "report-hub".parse().unwrap();
    let one = decision(1, "report-hub", Outcome::Forwarded);
    let batch = [one.clone(), decision(2, "report-hub", Outcome::Denied), one];
    for _ in 0..3 {
        keep_used(world, &batch, "/acs/ecs:read", at(10)).await;
    }
    let days = (day_of(at(0)), day_of(at(10)));
    for of in [None, Some(&hub)] {
        let counted = world.store.figures(&account(ACME), of, Counted::Outcome, days).await.unwrap();
        let counted: Vec<_> = counted.iter().map(|one| (one.name.as_str(), one.calls)).collect();
        assert_eq!(counted, [("denied", 1), ("forwarded", 1)]);
    }
    let own = world.store.most(&account(ACME), None, Counted::Own, days, 10).await.unwrap();
    assert_eq!((own.len(), own[0].calls), (1, 1), "only what was forwarded is timed");
}

pub(super) async fn old_figures_are_forgotten_and_last_uses_are_not(world: &World) {
    let grant = world.install("report-hub", None).await;
    keep_used(world, &[decision(1, "report-hub", Outcome::Forwarded)], "/acs/ecs:read", at(10)).await;
    let later = at(401 * 86_400);
    assert_eq!(world.store.forget_old_figures(at(86_400)).await.unwrap(), 0);
    assert!(world.store.forget_old_figures(later).await.unwrap() > 0);
    let left = world.store.figures(&account(ACME), None, Counted::Outcome, (0, i64::MAX)).await.unwrap();
    assert!(left.is_empty());
    assert_eq!(world.store.last_used(&grant.key).await.unwrap(), Some(at(1)));
    assert_eq!(world.store.scope_uses(&grant.key).await.unwrap().len(), 1);
}

pub(super) async fn an_end_is_a_revision_that_sidecars_are_told_of(world: &World) {
    let grant = world.install("report-hub", None).await;
    let before = world.newest().await;
    let end = at(100) + jiff::SignedDuration::from_millis(700);
    let (bounded, seq) =
        world.store.set_end(&grant.key, Some(end), Some(Revision(1)), &admin(), at(20)).await.unwrap();
    assert_eq!(
        (bounded.revision, bounded.since, bounded.expires_at),
        (Revision(2), Revision(1), Some(at(100)))
    );
    assert_eq!(world.log_after(before).await, [Subject::Grant(grant.key.clone())]);
    assert_eq!(world.newest().await, seq);
    assert_eq!(world.store.audit(&account(ACME), 1).await.unwrap()[0].event, "grant.expiry");
    assert!(bounded.honours(Revision(1), at(99)) && !bounded.honours(Revision(2), at(100)));
    let refresh = world.refresh(&bounded, 1).await;
    assert!(world.store.refresh(&refresh.hash, at(99)).await.unwrap().is_some());
    assert!(world.store.refresh(&refresh.hash, at(100)).await.unwrap().is_none(), "it ends with its grant");
    // Put off before it comes, it goes on.
    let (longer, _) = world.store.set_end(&grant.key, Some(at(500)), None, &admin(), at(90)).await.unwrap();
    assert_eq!((longer.revision, longer.since), (Revision(3), Revision(1)));
    assert!(world.store.refresh(&refresh.hash, at(100)).await.unwrap().is_some());
    let (endless, _) = world.store.set_end(&grant.key, None, None, &admin(), at(95)).await.unwrap();
    assert_eq!(endless.expires_at, None);
}

pub(super) async fn a_past_or_outdated_end_is_not_set(world: &World) {
    let grant = world.install("report-hub", None).await;
    for (end, seen, now) in
        [(at(20), None, at(20)), (at(19), None, at(20)), (at(99), Some(Revision(7)), at(20))]
    {
        let refused = world.store.set_end(&grant.key, Some(end), seen, &admin(), now).await.unwrap_err();
        assert!(matches!(refused, InstallRefused::Store(StoreError::Conflict(_))), "{refused}");
    }
    world.store.set_state(&grant.key, GrantState::Revoked, &admin(), at(30)).await.unwrap();
    let refused = world.store.set_end(&grant.key, None, None, &admin(), at(31)).await.unwrap_err();
    assert!(matches!(refused, InstallRefused::Store(StoreError::Missing(_))), "{refused}");
}

pub(super) async fn after_its_end_a_grant_begins_anew(world: &World) {
    let bounded = async |number: u8| {
        let seen = world.store.installed(&key("report-hub")).await.unwrap().map(|one| one.grant.revision);
        let until =
            Install { lasting: Lasting::Until(Some(at(100))), ..wish("report-hub", "/acs/ecs:read", seen) };
        let (grant, _) = world.store.install(&until, at(10)).await.unwrap();
        assert_eq!(grant.expires_at, Some(at(100)));
        (grant.clone(), world.refresh(&grant, number).await)
    };
    let (first, refresh) = bounded(1).await;
    // By another end, and by another authorization that says for how long.
    let (second, _) = world.store.set_end(&first.key, Some(at(200)), None, &admin(), at(100)).await.unwrap();
    assert_eq!((second.since, second.revision), (Revision(2), Revision(2)));
    assert!(!second.honours(first.revision, at(101)));
    assert!(world.store.refresh(&refresh.hash, at(101)).await.unwrap().is_none());
    let again = wish("report-hub", "/acs/ecs:read", Some(Revision(2)));
    let (third, _) = world.store.install(&again, at(150)).await.unwrap();
    assert_eq!(
        (third.since, third.expires_at),
        (Revision(2), Some(at(200))),
        "replaced, with the end it had"
    );
    let wish = wish("report-hub", "/acs/ecs:read", Some(Revision(3)));
    let again = Install { lasting: Lasting::Until(None), ..wish };
    let (fourth, _) = world.store.install(&again, at(200)).await.unwrap();
    assert_eq!((fourth.since, fourth.expires_at), (Revision(4), None));
    assert!(!fourth.honours(third.revision, at(201)));
}

pub(super) async fn nobody_puts_off_an_end_but_an_administrator(world: &World) {
    let alice = actor(ACME, "u-alice", "alice@acme");
    let wish = |seen| Install { declined: scopes(""), ..wish("in-house", "/acs/ecs:read", seen) };
    let bounded = Install { lasting: Lasting::Until(Some(at(100))), ..wish(None) };
    let (grant, _) = world.store.install(&bounded, at(10)).await.unwrap();
    for by in [alice.clone(), actor(GLOBEX, "u-eve", "eve@globex")] {
        let end = world.store.set_end(&grant.key, None, None, &by, at(20)).await.unwrap_err();
        assert!(matches!(end, InstallRefused::NotAnAdministrator(_)), "{end}");
        let narrow = world.store.narrow(&grant.key, &scopes("/acs/ecs"), Revision(1), &by, at(20)).await;
        assert!(matches!(narrow.unwrap_err(), InstallRefused::NotAnAdministrator(_)));
    }
    // A first-party application is authorized by whoever uses it, but not past the end that was set.
    let seen = Some(grant.revision);
    let silently = Install { by: alice, ..wish(seen) };
    let refused = world.store.install(&silently, at(100)).await.unwrap_err();
    assert!(matches!(refused, InstallRefused::NotAnAdministrator(_)), "{refused}");
    let (replaced, _) = world.store.install(&silently, at(99)).await.unwrap();
    assert_eq!(replaced.expires_at, Some(at(100)));
}

pub(super) async fn narrowing_takes_optional_scopes_and_adds_none(world: &World) {
    let (grant, _) =
        world.store.install(&wish("report-hub", "/acs/ecs /acs/ecs:read", None), at(10)).await.unwrap();
    // What the publisher requires since then is not granted by it.
    let mut wider = application("report-hub", GLOBEX, false);
    wider.required = scopes("openid profile /acs/oss");
    world.store.change_application(&wider, &admin(), at(11)).await.unwrap();
    let (narrow, seq) =
        world.store.narrow(&grant.key, &scopes("/acs/ecs"), Revision(1), &admin(), at(20)).await.unwrap();
    assert_eq!(narrow.scopes, scopes("openid profile /acs/ecs:read"));
    assert_eq!((narrow.revision, narrow.since, narrow.authorized_at), (Revision(2), Revision(1), at(20)));
    assert!(narrow.declined.contains(&scope_of("/acs/ecs")));
    assert_eq!(world.newest().await, seq);
    for (without, seen) in
        [("profile", 2), ("/acs/ecs", 2), ("/acs/oss", 2), ("/acs/ecs:read", 1), ("/acs/ecs:read openid", 2)]
    {
        let refused =
            world.store.narrow(&grant.key, &scopes(without), Revision(seen), &admin(), at(21)).await;
        let refused = refused.unwrap_err();
        assert!(matches!(refused, InstallRefused::Store(StoreError::Conflict(_))), "{without}: {refused}");
    }
    assert_eq!(world.store.installed(&grant.key).await.unwrap().unwrap().grant, narrow);
}

pub(super) async fn an_application_acts_as_somebody_until_that_is_taken_back(world: &World) {
    let (hub, server) = (world.install("report-hub", None).await, world.install("mcp-server", None).await);
    let alice = user("u-alice");
    let mine = async |now| world.store.acting_as(&alice, None, 10, now).await.unwrap();
    assert!(mine(at(15)).await.is_empty());
    let refresh = world.refresh(&hub, 1).await;
    world.store.consent_in_person(&server.key, &alice, &scopes("openid"), at(16)).await.unwrap();
    let found = mine(at(21)).await;
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].consented, Some((scopes("openid"), at(16))));
    assert!(found[1].signed_in && found[1].consented.is_none());
    let page = world.store.acting_as(&alice, Some(&server.key.application), 10, at(21)).await.unwrap();
    assert_eq!(page.iter().map(|one| &one.installed.grant.key).collect::<Vec<_>>(), [&hub.key]);
    assert!(world.store.acting_as(&user("u-bob"), None, 10, at(21)).await.unwrap().is_empty());

    let by = actor(ACME, "u-alice", "alice@acme");
    let before = world.newest().await;
    let bob = user("u-bob");
    assert!(is_missing(world.store.sign_out_of(&hub.key, &bob, &by, at(22)).await));
    let seq = world.store.sign_out_of(&hub.key, &alice, &by, at(22)).await.unwrap();
    assert_eq!(world.log_after(before).await, [Subject::Member(hub.key.clone(), alice.clone())]);
    assert_eq!(world.newest().await, seq);
    assert!(world.store.refresh(&refresh.hash, at(23)).await.unwrap().is_none());
    assert!(is_missing(world.store.sign_out_of(&hub.key, &alice, &by, at(24)).await));
    assert_eq!(mine(at(25)).await.len(), 1, "it holds nothing of hers, and never acted as her");
    world.store.set_state(&server.key, GrantState::Revoked, &admin(), at(26)).await.unwrap();
    assert!(mine(at(27)).await.is_empty());
}

pub(super) async fn a_publisher_learns_which_accounts_stand_on_older_scopes(world: &World) {
    let (acme, _) = world.store.install(&wish("report-hub", "/acs/ecs:read", None), at(10)).await.unwrap();
    let globex = GrantKey { account: account(GLOBEX), application: acme.key.application.clone() };
    let eve = actor(GLOBEX, "u-eve", "eve@globex");
    let theirs = Install { key: globex, by: eve, ..wish("report-hub", "/acs/ecs", None) };
    world.store.install(&theirs, at(11)).await.unwrap();
    let mut hub = application("report-hub", GLOBEX, false);
    let behind = async |hub: &Application, after: Option<&AccountId>, limit| {
        let found = world.store.behind(hub, after, limit).await.unwrap();
        let accounts: Vec<_> =
            found.accounts.iter().map(|one| (one.account.alias.clone(), one.since)).collect();
        (accounts, found.next)
    };
    assert_eq!(behind(&hub, None, 10).await, (vec![], None));
    hub.optional = scopes("/acs/ecs /acs/ecs:read /acs/oss");
    let both = vec![("acme".to_owned(), at(10)), ("globex".to_owned(), at(11))];
    assert_eq!(behind(&hub, None, 10).await, (both.clone(), None));
    let (first, next) = behind(&hub, None, 1).await;
    assert_eq!((first, next.as_ref().map(AccountId::as_str)), (both[..1].to_vec(), Some(ACME)));
    assert_eq!(behind(&hub, next.as_ref(), 10).await.0, both[1..]);
    // Who has granted what is not offered any more stands on older scopes as well.
    hub.optional = scopes("/acs/ecs:read");
    assert_eq!(behind(&hub, None, 10).await.0, both[1..]);
    world.store.set_state(&acme.key, GrantState::Revoked, &admin(), at(12)).await.unwrap();
    hub.required = scopes("openid profile /acs/oss");
    assert_eq!(behind(&hub, None, 10).await.0, both[1..]);
}
