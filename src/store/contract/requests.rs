//! What an account says beforehand, whom its users ask, and changes of scope.

use super::*;
use crate::model::application::Relation;
use crate::model::grant::GrantState;
use crate::store::{
    AskOutcome, InstallRefused, Manner, RequestFilter, RequestState, Rescope, Standing, Unknown,
};

const DAY: i64 = 86_400;

fn blocked(word: &str) -> Standing {
    Standing::Blocked { word: word.to_owned() }
}

fn approved(text: &str) -> Standing {
    Standing::PreApproved { scopes: scopes(text) }
}

fn alice() -> Actor {
    actor(ACME, "u-alice", "alice@acme")
}

fn bob() -> Actor {
    actor(ACME, "u-bob", "bob@acme")
}

impl World {
    async fn say(&self, application: &str, standing: &Standing) -> Option<Grant> {
        self.store.set_rule(&key(application), Some(standing), &admin(), at(5)).await.unwrap().0
    }

    async fn first_access(&self, application: &str, second: i64) -> Option<Grant> {
        let installed = self.store.install_pre_approved(&key(application), &alice(), at(second)).await;
        installed.unwrap().map(|(grant, _)| grant)
    }

    async fn ask(&self, application: &str, who: &Actor, second: i64) -> AskOutcome {
        self.store.ask(&key(application), who, "for the board", at(second)).await.unwrap()
    }

    async fn state(&self, application: &str, who: &Actor, second: i64) -> RequestState {
        let own = self.store.own_ask(&key(application), &who.principal, at(second)).await.unwrap();
        own.unwrap().1.state
    }

    async fn republish(&self, required: &str, optional: &str) {
        let changed = Application {
            required: scopes(required),
            optional: scopes(optional),
            ..application("report-hub", GLOBEX, false)
        };
        self.store.change_application(&changed, &actor(GLOBEX, "u-eve", "eve@globex"), at(6)).await.unwrap();
    }
}

pub(super) async fn a_policy_is_replaced_by_who_has_read_it_and_keeps_whose_its_rules_are(world: &World) {
    let acme = account(ACME);
    let first = world.store.tenant_policy(&acme).await.unwrap();
    assert_eq!((first.revision, first.manner, first.rules.len()), (0, Manner::default(), 0));
    world.say("report-hub", &approved("openid profile")).await;
    let manner = Manner { unknown: Unknown::Refuse, request_days: 3, message: "Ask us.".to_owned() };
    let rules = [
        ("report-hub".parse().unwrap(), approved("openid profile")),
        ("mcp-server".parse().unwrap(), blocked("not here")),
    ];
    let root = Actor { principal: whom(ACME, PrincipalKind::Account, ACME), login: "root@acme".to_owned() };
    let put = |seen| world.store.set_tenant_policy(&acme, &manner, &rules, seen, &root, at(9));
    let late = put(0).await.unwrap_err();
    assert!(matches!(late, InstallRefused::Store(StoreError::Conflict(_))), "{late}");
    assert_eq!(world.store.tenant_policy(&acme).await.unwrap().rules.len(), 1, "nothing of it was done");
    put(1).await.unwrap();
    let now = world.store.tenant_policy(&acme).await.unwrap();
    assert_eq!((now.revision, &now.manner), (2, &manner));
    let by: Vec<_> =
        now.rules.iter().map(|(one, rule)| (one.name.as_str(), rule.by_login.as_str())).collect();
    assert_eq!(by, [("mcp-server", "root@acme"), ("report-hub", "admin@acme")]);
    assert!(world.store.terms(&key("mcp-server")).await.unwrap().blocked());
    let empty = world.store.set_tenant_policy(&acme, &manner, &[], 2, &root, at(10)).await;
    empty.unwrap();
    assert!(world.store.terms(&key("mcp-server")).await.unwrap().rule.is_none());
    let other = GrantKey { account: account(GLOBEX), application: "mcp-server".parse().unwrap() };
    assert_eq!(world.store.terms(&other).await.unwrap().manner, Manner::default(), "an account's own");
    assert!(is_missing_rule(world.store.set_rule(&key("mcp-server"), None, &root, at(11)).await));
}

fn is_missing_rule<T>(answer: Result<T, InstallRefused>) -> bool {
    matches!(answer, Err(InstallRefused::Store(StoreError::Missing(_))))
}

pub(super) async fn a_block_suspends_what_is_installed_and_lets_nothing_in_again(world: &World) {
    let grant = world.install("report-hub", None).await;
    let before = world.newest().await;
    let suspended = world.say("report-hub", &blocked("it leaks")).await.unwrap();
    assert_eq!((suspended.state, suspended.revision), (GrantState::Suspended, grant.revision.next()));
    assert_eq!(world.log_after(before).await, [Subject::Grant(key("report-hub"))]);
    let again = world.store.install(&wish("report-hub", "", Some(suspended.revision)), at(12)).await;
    assert!(matches!(again, Err(InstallRefused::Blocked(_))));
    let resumed = world.store.set_state(&key("report-hub"), GrantState::Active, &admin(), at(13)).await;
    assert!(matches!(resumed, Err(StoreError::Conflict(_))));
    let rescope = Rescope {
        key: key("report-hub"),
        scopes: scopes("openid profile"),
        declined: ScopeSet::new(),
        by: admin(),
        seen: suspended.revision,
    };
    assert!(matches!(world.store.rescope(&rescope, at(13)).await, Err(InstallRefused::Blocked(_))));
    let other = GrantKey { account: account(GLOBEX), application: "mcp-server".parse().unwrap() };
    world.say("mcp-server", &blocked("")).await;
    assert!(!world.store.terms(&other).await.unwrap().blocked(), "another account is not concerned");
    let blocked = world.store.install(&wish("mcp-server", "", None), at(14)).await;
    assert!(matches!(blocked, Err(InstallRefused::Blocked(_))));

    world.store.set_rule(&key("report-hub"), None, &admin(), at(15)).await.unwrap();
    let standing = world.store.installed(&key("report-hub")).await.unwrap().unwrap().grant;
    assert_eq!(standing, suspended, "to unblock is not to resume");
    world.store.set_state(&key("report-hub"), GrantState::Active, &admin(), at(16)).await.unwrap();
}

pub(super) async fn a_pre_approval_installs_at_the_first_access_in_the_name_of_who_approved(world: &World) {
    assert!(world.first_access("report-hub", 9).await.is_none(), "nothing was said");
    world.say("report-hub", &approved("openid profile /acs/ecs:read")).await;
    let other = GrantKey { account: account(GLOBEX), application: "report-hub".parse().unwrap() };
    let eve = actor(GLOBEX, "u-eve", "eve@globex");
    assert!(world.store.install_pre_approved(&other, &eve, at(10)).await.unwrap().is_none());
    let grant = world.first_access("report-hub", 10).await.unwrap();
    assert_eq!(grant.scopes, scopes("openid profile /acs/ecs:read"));
    assert_eq!(grant.declined, scopes("/acs/ecs"));
    assert_eq!((&*grant.authorized_by_login, grant.authorized_by.clone()), ("admin@acme", user("u-admin")));
    assert!(world.first_access("report-hub", 11).await.is_none(), "there is a grant");
    let audit = world.store.audit(&account(ACME), 3).await.unwrap();
    let told: Vec<_> = audit.iter().map(|one| (one.event.as_str(), one.actor.as_str())).collect();
    assert_eq!(
        told,
        [
            ("application.preapproval.used", "alice@acme"),
            ("grant.install", "admin@acme"),
            ("application.preapprove", "admin@acme")
        ]
    );
}

pub(super) async fn a_pre_approval_of_who_lost_the_right_installs_nothing(world: &World) {
    world.say("report-hub", &approved("openid profile")).await;
    world.store.set_full_access(&user("u-admin"), false, at(6)).await.unwrap();
    assert!(world.first_access("report-hub", 10).await.is_none());
    world.store.set_full_access(&user("u-admin"), true, at(11)).await.unwrap();
    world.store.enable_principal(&user("u-admin"), false, at(12)).await.unwrap();
    assert!(world.first_access("report-hub", 13).await.is_none());
    world.store.enable_principal(&user("u-admin"), true, at(14)).await.unwrap();
    assert!(world.first_access("report-hub", 15).await.is_some(), "as long as who approved may");
}

pub(super) async fn a_pre_approval_covers_what_was_named_and_nothing_that_came_later(world: &World) {
    world.say("report-hub", &approved("openid profile /acs/ecs:read")).await;
    world.republish("openid profile /acs/oss", "/acs/ecs").await;
    assert!(world.first_access("report-hub", 10).await.is_none(), "it requires what nobody approved");
    world.republish("openid", "profile /acs/oss").await;
    let grant = world.first_access("report-hub", 11).await.unwrap();
    assert_eq!(grant.scopes, scopes("openid profile"), "what is not offered any more is left out");
    assert_eq!(grant.declined, scopes("/acs/oss"));
}

pub(super) async fn a_deletion_ends_a_pre_approval_and_one_made_after_it_counts(world: &World) {
    world.say("report-hub", &approved("openid profile")).await;
    let grant = world.first_access("report-hub", 10).await.unwrap();
    world.store.set_state(&key("report-hub"), GrantState::Revoked, &admin(), at(11)).await.unwrap();
    assert!(world.store.terms(&key("report-hub")).await.unwrap().rule.is_none());
    assert!(world.first_access("report-hub", 12).await.is_none(), "who deletes it means it");
    let withdrawn = async || {
        let events = world.store.audit(&account(ACME), 100).await.unwrap();
        let withdrawn = events.iter().filter(|event| event.event == "application.preapproval.withdraw");
        withdrawn.map(|event| event.actor.clone()).collect::<Vec<_>>()
    };
    assert_eq!(withdrawn().await, ["admin@acme"], "and it is told");
    world.say("report-hub", &approved("openid profile")).await;
    let again = world.first_access("report-hub", 13).await.unwrap();
    assert!(again.since > grant.revision, "what was issued before stays dead");
    world.store.set_rule(&key("report-hub"), None, &admin(), at(14)).await.unwrap();
    world.store.set_state(&key("report-hub"), GrantState::Revoked, &admin(), at(15)).await.unwrap();
    assert_eq!(withdrawn().await.len(), 2, "where there is none, none is withdrawn");
}

pub(super) async fn only_who_may_authorize_approves_beforehand_and_only_what_is_offered(world: &World) {
    let say = async |standing: Standing, by: Actor| {
        world.store.set_rule(&key("report-hub"), Some(&standing), &by, at(5)).await.unwrap_err()
    };
    let good = || approved("openid profile");
    for by in [alice(), actor(GLOBEX, "u-eve", "eve@globex")] {
        assert!(matches!(say(good(), by).await, InstallRefused::NotAnAdministrator(_)));
    }
    let more = approved("openid profile /acs/alidns");
    assert!(matches!(say(more, admin()).await, InstallRefused::NotOffered(_)));
    assert!(matches!(say(approved("profile"), admin()).await, InstallRefused::Required(_)));
    let unknown: ApplicationId = "unknown".parse().unwrap();
    let unknown = GrantKey { account: account(ACME), application: unknown };
    let refused = world.store.set_rule(&unknown, Some(&good()), &admin(), at(5)).await;
    assert!(matches!(refused, Err(InstallRefused::NoApplication(_))));
    assert!(world.store.terms(&key("report-hub")).await.unwrap().rule.is_none());
    world.say("in-house", &good()).await;
    let own = application("in-house", ACME, false).relation_to(&account(ACME));
    assert!(own == Relation::FirstParty && world.first_access("in-house", 9).await.is_none());
}

pub(super) async fn a_change_of_scope_adds_and_takes_what_is_named_and_nothing_else(world: &World) {
    let grant = world.install("report-hub", None).await;
    world.republish("openid profile /acs/oss", "/acs/ecs /acs/ecs:read /acs/alidns").await;
    let wish = |text: &str, seen| Rescope {
        key: key("report-hub"),
        scopes: scopes(text),
        declined: scopes("/acs/ecs:read /acs/alidns"),
        by: admin(),
        seen,
    };
    let rescope = async |wish: Rescope| world.store.rescope(&wish, at(20)).await;
    let seen = grant.revision;
    let narrow = wish("openid profile", seen);
    for (refused, why) in [
        (rescope(wish("openid", seen)).await, "what is required and granted stays"),
        (rescope(wish("openid profile /acs/none", seen)).await, "what is not offered"),
        (rescope(wish("openid profile", seen.next())).await, "another revision"),
        (rescope(Rescope { by: alice(), ..narrow.clone() }).await, "no administrator"),
        (rescope(Rescope { by: actor(GLOBEX, "u-eve", "eve@globex"), ..narrow.clone() }).await, "another's"),
    ] {
        assert!(refused.is_err(), "{why}");
    }
    assert_eq!(world.store.installed(&key("report-hub")).await.unwrap().unwrap().grant, grant);

    let before = world.newest().await;
    let (narrower, seq) = rescope(narrow).await.unwrap();
    assert_eq!(narrower.scopes, scopes("openid profile"), "what is required newly is not slipped in");
    assert_eq!((narrower.revision, narrower.since), (seen.next(), grant.since));
    assert_eq!(narrower.declined, scopes("/acs/ecs /acs/ecs:read /acs/alidns"));
    assert_eq!(
        (world.log_after(before).await, world.newest().await),
        (vec![Subject::Grant(key("report-hub"))], seq)
    );
    let same = rescope(wish("openid profile", narrower.revision)).await.unwrap().0;
    assert_eq!(same, narrower, "the same again is no change");
    let wider = rescope(wish("openid profile /acs/oss /acs/ecs", narrower.revision)).await.unwrap().0;
    assert_eq!(wider.declined, scopes("/acs/alidns"));
    let waiting =
        wider.waiting(&world.store.application(&key("report-hub").application).await.unwrap().unwrap());
    assert!(waiting.is_empty(), "{waiting:?}");
}

pub(super) async fn requests_for_one_application_are_one_with_everybodys_reason(world: &World) {
    let AskOutcome::Taken(first) = world.ask("report-hub", &alice(), 100).await else { panic!() };
    assert_eq!((first.round, first.askers, first.expires_at), (1, 1, at(100 + 7 * DAY)));
    assert!(
        matches!(world.ask("report-hub", &alice(), 101).await, AskOutcome::Already(same) if same == first)
    );
    let key = key("report-hub");
    let reason = "<b>every month</b>";
    let outcome = world.store.ask(&key, &bob(), reason, at(200)).await.unwrap();
    let AskOutcome::Taken(second) = outcome else { panic!("{outcome:?}") };
    assert_eq!((second.round, second.askers, second.last_asked_at), (1, 2, at(200)));
    let asked = world.store.askers(&key, 1, None, 10).await.unwrap();
    let who: Vec<_> = asked.iter().map(|one| (one.login.as_str(), one.reason.as_str())).collect();
    assert_eq!(who, [("bob@acme", reason), ("alice@acme", "for the board")]);
    let after = world.store.askers(&key, 1, Some((at(200), "bob@acme")), 10).await.unwrap();
    assert_eq!(after.iter().map(|one| &*one.login).collect::<Vec<_>>(), ["alice@acme"]);

    world.ask("mcp-server", &bob(), 300).await;
    let list = async |of: &str, filter: &RequestFilter| {
        let found = world.store.approval_requests(&account(of), filter, at(400)).await.unwrap();
        found.into_iter().map(|(application, _)| application.name).collect::<Vec<_>>()
    };
    let all = RequestFilter { limit: 10, ..RequestFilter::default() };
    assert_eq!(list(ACME, &all).await, ["mcp-server", "report-hub"]);
    assert!(list(GLOBEX, &all).await.is_empty());
    let after = Some((at(300), "mcp-server".parse().unwrap(), 1));
    assert_eq!(list(ACME, &RequestFilter { after, ..all.clone() }).await, ["report-hub"]);
    let denied = RequestFilter { state: Some(RequestState::Denied), ..all };
    assert!(list(ACME, &denied).await.is_empty());
    let foreign = GrantKey { account: account(GLOBEX), ..key };
    assert!(world.store.approval_request(&foreign, at(400)).await.unwrap().is_none());
    assert!(is_missing(world.store.ask(&foreign, &alice(), "x", at(400)).await), "not alice's account");
}

pub(super) async fn a_request_expires_and_the_next_one_is_another_round(world: &World) {
    world.ask("report-hub", &alice(), 100).await;
    let end = 100 + 7 * DAY;
    assert_eq!(world.state("report-hub", &alice(), end - 1).await, RequestState::Open);
    assert_eq!(world.state("report-hub", &alice(), end).await, RequestState::Expired);
    let late = world.store.deny(&key("report-hub"), 1, "no", &admin(), at(end)).await;
    assert!(matches!(late, Err(StoreError::Conflict(_))));
    let AskOutcome::Taken(next) = world.ask("report-hub", &bob(), end + 1).await else { panic!() };
    assert_eq!((next.round, next.askers), (2, 1));
    assert_eq!(world.state("report-hub", &alice(), end + 2).await, RequestState::Expired, "hers stays so");
    assert!(
        matches!(world.ask("report-hub", &alice(), end + 3).await, AskOutcome::Taken(one) if one.askers == 2)
    );
}

pub(super) async fn a_denial_is_told_and_counts_for_the_round_that_was_read(world: &World) {
    world.ask("report-hub", &alice(), 100).await;
    let deny =
        async |round| world.store.deny(&key("report-hub"), round, "not this year", &admin(), at(200)).await;
    assert!(matches!(deny(2).await, Err(StoreError::Conflict(_))));
    deny(1).await.unwrap();
    assert!(matches!(deny(1).await, Err(StoreError::Conflict(_))), "once");
    let own = world.store.own_ask(&key("report-hub"), &user("u-alice"), at(201)).await.unwrap().unwrap().1;
    let decided = own.decided.unwrap();
    assert_eq!(
        (own.state, &*decided.by, &*decided.word),
        (RequestState::Denied, "admin@acme", "not this year")
    );
    let soon = world.ask("report-hub", &alice(), 300).await;
    assert_eq!(soon, AskOutcome::TooOften { again_at: at(100 + DAY) });
    assert!(
        matches!(world.ask("report-hub", &alice(), 100 + DAY).await, AskOutcome::Taken(one) if one.round == 2)
    );
    assert!(is_missing(world.store.deny(&key("mcp-server"), 1, "no", &admin(), at(300)).await));
}

pub(super) async fn an_installation_by_any_way_or_a_block_settles_a_request(world: &World) {
    world.ask("report-hub", &alice(), 100).await;
    let grant = world.install("report-hub", None).await;
    // `install` acts at an earlier second; the request is open all the same.
    assert_eq!(world.state("report-hub", &alice(), 101).await, RequestState::Approved);
    assert_eq!(world.ask("report-hub", &alice(), 102).await, AskOutcome::NotNeeded);
    world.republish("openid profile /acs/oss", "/acs/ecs /acs/ecs:read").await;
    assert!(matches!(world.ask("report-hub", &alice(), 103).await, AskOutcome::Taken(_)), "more is required");
    let narrower = Rescope {
        key: key("report-hub"),
        scopes: scopes("openid profile"),
        declined: ScopeSet::new(),
        by: admin(),
        seen: grant.revision,
    };
    let (grant, _) = world.store.rescope(&narrower, at(104)).await.unwrap();
    assert_eq!(world.state("report-hub", &alice(), 105).await, RequestState::Open, "that accepts nothing");
    let accepted = Rescope { scopes: scopes("openid profile /acs/oss"), seen: grant.revision, ..narrower };
    world.store.rescope(&accepted, at(106)).await.unwrap();
    assert_eq!(world.state("report-hub", &alice(), 107).await, RequestState::Approved);

    world.ask("mcp-server", &alice(), 200).await;
    world.store.set_rule(&key("mcp-server"), Some(&blocked("no")), &admin(), at(201)).await.unwrap();
    assert_eq!(world.state("mcp-server", &alice(), 202).await, RequestState::Blocked);
    assert_eq!(world.ask("mcp-server", &bob(), 203).await, AskOutcome::Refused);
}

pub(super) async fn who_cannot_ask_leaves_no_trace(world: &World) {
    let manner = Manner { unknown: Unknown::Refuse, ..Manner::default() };
    assert_eq!(world.ask("in-house", &alice(), 9).await, AskOutcome::NotNeeded, "the account's own");
    world.store.set_tenant_policy(&account(ACME), &manner, &[], 0, &admin(), at(9)).await.unwrap();
    assert_eq!(world.ask("report-hub", &alice(), 10).await, AskOutcome::Refused);
    world
        .store
        .set_tenant_policy(&account(ACME), &Manner::default(), &[], 1, &admin(), at(11))
        .await
        .unwrap();
    world.store.enable_principal(&user("u-alice"), false, at(12)).await.unwrap();
    assert!(is_missing(world.store.ask(&key("report-hub"), &alice(), "x", at(13)).await));
    let gone: ApplicationId = "gone".parse().unwrap();
    let gone = GrantKey { account: account(ACME), application: gone };
    assert!(is_missing(world.store.ask(&gone, &bob(), "x", at(13)).await));
    let grant = world.install("report-hub", None).await;
    world.store.set_state(&grant.key, GrantState::Suspended, &admin(), at(14)).await.unwrap();
    assert_eq!(world.ask("report-hub", &bob(), 15).await, AskOutcome::Refused, "suspended");
    let all = RequestFilter { limit: 10, ..RequestFilter::default() };
    assert!(world.store.approval_requests(&account(ACME), &all, at(20)).await.unwrap().is_empty());
}

pub(super) async fn who_asks_in_vain_does_not_do_so_for_ever(world: &World) {
    let manner = Manner { unknown: Unknown::Refuse, ..Manner::default() };
    world.store.set_tenant_policy(&account(ACME), &manner, &[], 0, &admin(), at(9)).await.unwrap();
    for second in 100..110 {
        assert_eq!(world.ask("report-hub", &alice(), second).await, AskOutcome::Refused, "{second}");
    }
    let records = async || {
        let events = world.store.audit(&account(ACME), 100).await.unwrap();
        events.into_iter().filter(|event| event.event == "refused.request").count()
    };
    let too_often = AskOutcome::TooOften { again_at: at(100 + DAY) };
    for _ in 0..5 {
        assert_eq!(world.ask("report-hub", &alice(), 200).await, too_often);
    }
    assert_eq!(records().await, 10, "there is an end to the records");
    assert_eq!(world.ask("report-hub", &bob(), 200).await, AskOutcome::Refused, "another person");
    assert_eq!(world.ask("report-hub", &alice(), 101 + DAY).await, AskOutcome::Refused, "another day");
    world
        .store
        .set_tenant_policy(&account(ACME), &Manner::default(), &[], 1, &admin(), at(300))
        .await
        .unwrap();
    assert!(matches!(world.ask("report-hub", &bob(), 301).await, AskOutcome::Taken(_)));
    assert_eq!(records().await, 12);
}

pub(super) async fn one_person_asks_for_ten_applications_a_day_and_no_more(world: &World) {
    let eve = actor(GLOBEX, "u-eve", "eve@globex");
    for number in 0..11 {
        let new = application(&format!("app-{number}"), GLOBEX, false);
        world.store.register(&new, &[], &eve).await.unwrap();
    }
    for number in 0..10 {
        let taken = world.ask(&format!("app-{number}"), &alice(), 100 + number).await;
        assert!(matches!(taken, AskOutcome::Taken(_)), "{number}: {taken:?}");
    }
    assert_eq!(world.ask("app-10", &alice(), 200).await, AskOutcome::TooOften { again_at: at(100 + DAY) });
    assert!(matches!(world.ask("app-10", &bob(), 200).await, AskOutcome::Taken(_)), "another person");
    assert!(matches!(world.ask("app-10", &alice(), 101 + DAY).await, AskOutcome::Taken(_)), "another day");
}
