//! Grants: who may install, what a revision promises, and what a revocation takes along.

use super::*;
use crate::model::grant::{AssignmentMode, GrantState};
use crate::store::{Assignees, Assignment, AssignmentChange, InstallRefused};

pub(super) async fn an_administrator_installs_with_the_required_scopes(world: &World) {
    let (grant, seq) = world.store.install(&wish("report-hub", "/acs/ecs:read", None), at(10)).await.unwrap();
    assert_eq!(grant.scopes, scopes("openid profile /acs/ecs:read"));
    assert_eq!(grant.declined, scopes("/acs/ecs"));
    assert_eq!((grant.revision, grant.since), (Revision(1), Revision(1)));
    assert_eq!((grant.state, grant.assignment), (GrantState::Active, AssignmentMode::All));
    assert_eq!((&grant.authorized_by, &*grant.authorized_by_login), (&user("u-admin"), "admin@acme"));
    let installed = world.store.installed(&key("report-hub")).await.unwrap().unwrap();
    assert_eq!(installed.grant, grant);
    assert_eq!(installed.application, application("report-hub", GLOBEX, false));
    assert_eq!(world.newest().await, seq);
    assert_eq!(world.install("mcp-server", None).await.assignment, AssignmentMode::Assigned);
    let listed = world.store.installed_in(&account(ACME)).await.unwrap();
    assert_eq!(listed.len(), 2);
    assert!(world.store.installed_in(&account(GLOBEX)).await.unwrap().is_empty());
}

pub(super) async fn who_is_no_administrator_installs_nothing(world: &World) {
    let role = Actor { principal: whom(ACME, PrincipalKind::Role, "r-deploy"), login: "role".to_owned() };
    let others = [
        actor(ACME, "u-alice", "alice@acme"),
        actor(GLOBEX, "u-eve", "eve@globex"),
        actor(ACME, "u-nobody", "nobody@acme"),
        role,
    ];
    for by in others {
        let wish = Install { by, ..wish("report-hub", "", None) };
        refused_as_no_administrator(world, &wish).await;
    }
}

async fn refused_as_no_administrator(world: &World, wish: &Install) {
    let refused = world.store.install(wish, at(10)).await.unwrap_err();
    assert!(matches!(refused, InstallRefused::NotAnAdministrator(_)), "{refused}");
    assert!(world.store.installed(&wish.key).await.unwrap().is_none());
}

pub(super) async fn a_right_lost_between_page_and_commit_installs_nothing(world: &World) {
    let wish = wish("report-hub", "", None);
    world.store.set_full_access(&user("u-admin"), false, at(9)).await.unwrap();
    refused_as_no_administrator(world, &wish).await;
    world.store.set_full_access(&user("u-admin"), true, at(10)).await.unwrap();
    world.store.enable_principal(&user("u-admin"), false, at(11)).await.unwrap();
    refused_as_no_administrator(world, &wish).await;
    world.store.enable_principal(&user("u-admin"), true, at(12)).await.unwrap();
    world.store.install(&wish, at(13)).await.unwrap();
}

pub(super) async fn a_first_party_application_needs_no_administrator_but_a_principal(world: &World) {
    let alice = Install { by: actor(ACME, "u-alice", "alice@acme"), ..wish("in-house", "", None) };
    world.store.install(&alice, at(10)).await.unwrap();
    let stranger =
        Install { by: actor(GLOBEX, "u-eve", "eve@globex"), ..wish("in-house", "", Some(Revision(1))) };
    let refused = world.store.install(&stranger, at(10)).await.unwrap_err();
    assert!(matches!(refused, InstallRefused::NotAnAdministrator(_)), "{refused}");
}

pub(super) async fn nobody_but_an_administrator_gives_back_what_an_administrator_took(world: &World) {
    let alice = || actor(ACME, "u-alice", "alice@acme");
    let own = |chosen: &str, seen| Install {
        by: alice(),
        declined: scopes(""),
        at_most: None,
        ..wish("in-house", chosen, Some(seen))
    };
    let first = Install { by: alice(), declined: scopes(""), ..wish("in-house", "/acs/ecs", None) };
    let (grant, _) = world.store.install(&first, at(10)).await.unwrap();
    let (narrow, _) =
        world.store.narrow(&grant.key, &scopes("/acs/ecs"), grant.revision, &admin(), at(11)).await.unwrap();
    for again in ["/acs/ecs", "/acs/ecs:read"] {
        let refused = world.store.install(&own(again, narrow.revision), at(12)).await.unwrap_err();
        assert!(matches!(refused, InstallRefused::NotAnAdministrator(_)), "{again}: {refused}");
    }
    // Nor by requiring it.
    let required = Application {
        required: scopes("openid profile /acs/ecs:read"),
        ..application("in-house", ACME, false)
    };
    world.store.change_application(&required, &admin(), at(13)).await.unwrap();
    let refused = world.store.install(&own("", narrow.revision), at(14)).await.unwrap_err();
    assert!(matches!(refused, InstallRefused::NotAnAdministrator(_)), "{refused}");
    let back = Install { by: admin(), ..own("/acs/ecs:read", narrow.revision) };
    let (back, _) = world.store.install(&back, at(15)).await.unwrap();
    assert_eq!(back.scopes, scopes("openid profile /acs/ecs:read"));
    let more = own("/acs/ecs:read", back.revision);
    let (kept, _) = world.store.install(&more, at(16)).await.expect("what is granted is nothing given back");
    // Nor what was deleted.
    world.store.set_state(&kept.key, GrantState::Revoked, &admin(), at(17)).await.unwrap();
    let again = |by| Install { by, seen: None, ..own("", kept.revision) };
    let refused = world.store.install(&again(alice()), at(18)).await.unwrap_err();
    assert!(matches!(refused, InstallRefused::NotAnAdministrator(_)), "{refused}");
    world.store.install(&again(admin()), at(19)).await.unwrap();
}

pub(super) async fn what_was_declined_stays_so_while_it_is_not_offered(world: &World) {
    let grant = world.install("report-hub", None).await;
    let offers = async |optional: &str| {
        let changed = Application { optional: scopes(optional), ..application("report-hub", GLOBEX, false) };
        world
            .store
            .change_application(&changed, &actor(GLOBEX, "u-eve", "eve@globex"), at(11))
            .await
            .unwrap();
    };
    offers("/acs/ecs:read").await;
    let again = Install { declined: scopes(""), ..wish("report-hub", "/acs/ecs:read", Some(grant.revision)) };
    let (grant, _) = world.store.install(&again, at(12)).await.unwrap();
    let taken = scopes("/acs/ecs:read");
    let (grant, _) = world.store.narrow(&grant.key, &taken, grant.revision, &admin(), at(13)).await.unwrap();
    offers("/acs/ecs /acs/ecs:read").await;
    assert_eq!(grant.declined, scopes("/acs/ecs /acs/ecs:read"));
    let (more, _) =
        world.store.install(&wish("report-hub", "/acs/ecs", Some(grant.revision)), at(14)).await.unwrap();
    assert!(more.declined.is_empty(), "what is granted is not declined any more");
}

pub(super) async fn what_has_come_to_its_end_begins_anew_only_for_who_says_for_how_long(world: &World) {
    let ends = Install { lasting: Lasting::Until(Some(at(20))), ..wish("report-hub", "", None) };
    let (grant, _) = world.store.install(&ends, at(10)).await.unwrap();
    let again = |lasting| Install { lasting, ..wish("report-hub", "", Some(grant.revision)) };
    let early = world.store.install(&again(Lasting::AsItWas), at(19)).await.unwrap().0;
    assert_eq!(early.expires_at, Some(at(20)), "as it was, while it lasts");
    let again = |lasting| Install { lasting, ..wish("report-hub", "", Some(early.revision)) };
    let refused = world.store.install(&again(Lasting::AsItWas), at(20)).await.unwrap_err();
    assert!(matches!(refused, InstallRefused::Store(StoreError::Conflict(_))), "{refused}");
    let anew = world.store.install(&again(Lasting::Until(Some(at(40)))), at(20)).await.unwrap().0;
    assert_eq!((anew.expires_at, anew.since), (Some(at(40)), anew.revision));
}

pub(super) async fn a_scope_that_is_not_offered_installs_nothing(world: &World) {
    for more in ["/acs/oss", "/acs/ecs:write"] {
        let refused = world.store.install(&wish("report-hub", more, None), at(10)).await.unwrap_err();
        assert!(matches!(refused, InstallRefused::NotOffered(ref scope) if scope == more), "{refused}");
    }
    assert!(world.store.installed(&key("report-hub")).await.unwrap().is_none());
}

pub(super) async fn a_disabled_application_is_not_installed(world: &World) {
    let mut disabled = application("report-hub", GLOBEX, false);
    disabled.enabled = false;
    world.store.change_application(&disabled, &admin(), at(5)).await.unwrap();
    for name in ["report-hub", "unheard-of"] {
        let refused = world.store.install(&wish(name, "", None), at(10)).await.unwrap_err();
        assert!(matches!(refused, InstallRefused::NoApplication(_)), "{refused}");
    }
}

pub(super) async fn of_many_installations_that_saw_the_same_one_wins(world: &World) {
    for seen in [None, Some(Revision(1))] {
        let answers = at_once(8, &world.store, |store, _| async move {
            store.install(&wish("report-hub", "", seen), at(10)).await
        })
        .await;
        let won = answers.iter().filter(|answer| answer.is_ok()).count();
        let conflicts = answers
            .iter()
            .filter(|answer| matches!(answer, Err(InstallRefused::Store(StoreError::Conflict(_)))))
            .count();
        assert_eq!((won, conflicts), (1, 7));
    }
    let installed = world.store.installed(&key("report-hub")).await.unwrap().unwrap();
    assert_eq!(installed.grant.revision, Revision(2));
}

pub(super) async fn replacing_keeps_since_and_a_suspension(world: &World) {
    world.install("report-hub", None).await;
    let by = admin();
    world.store.set_state(&key("report-hub"), GrantState::Suspended, &by, at(11)).await.unwrap();
    let grant = world.install("report-hub", Some(Revision(2))).await;
    assert_eq!(grant.state, GrantState::Suspended);
    assert_eq!((grant.revision, grant.since), (Revision(3), Revision(1)));
}

pub(super) async fn a_revision_rises_across_revocation_and_what_was_issued_stays_dead(world: &World) {
    let first = world.install("report-hub", None).await;
    let code = world.code(&first, 1).await;
    let (gone, _) = world.store.set_state(&first.key, GrantState::Revoked, &admin(), at(11)).await.unwrap();
    assert_eq!(gone.revision, Revision(2));
    let again = world.install("report-hub", None).await;
    assert_eq!((again.revision, again.since), (Revision(3), Revision(3)));
    assert!(!again.honours(first.revision, at(12)));
    assert!(again.honours(again.revision, at(12)));
    let outcome = world.store.redeem_code(&code.hash, at(12)).await.unwrap();
    assert!(matches!(outcome, crate::store::CodeOutcome::Unknown));
}

pub(super) async fn a_revoked_grant_is_answered_as_a_tombstone_and_not_listed(world: &World) {
    let grant = world.install("report-hub", None).await;
    world.store.set_state(&grant.key, GrantState::Revoked, &admin(), at(11)).await.unwrap();
    let tombstone = world.store.installed(&grant.key).await.unwrap().unwrap().grant;
    assert_eq!((tombstone.state, tombstone.revision), (GrantState::Revoked, Revision(2)));
    assert!(world.store.installed_in(&account(ACME)).await.unwrap().is_empty());
    for state in [GrantState::Active, GrantState::Suspended, GrantState::Revoked] {
        assert!(is_missing(world.store.set_state(&grant.key, state, &admin(), at(12)).await));
    }
    let nobody = world.store.member(&grant.key, &user("u-alice"), at(12)).await.unwrap().unwrap();
    assert!(!nobody.assigned);
}

pub(super) async fn suspending_can_be_undone_and_twice_is_once(world: &World) {
    let grant = world.install("report-hub", None).await;
    let set = async |state| world.store.set_state(&grant.key, state, &admin(), at(11)).await.unwrap();
    let (suspended, seq) = set(GrantState::Suspended).await;
    assert!(!suspended.honours(grant.revision, at(11)));
    assert_eq!(set(GrantState::Suspended).await, (suspended, seq));
    let (resumed, _) = set(GrantState::Active).await;
    assert_eq!((resumed.revision, resumed.since), (Revision(3), Revision(1)));
    assert!(resumed.honours(grant.revision, at(11)));
}

pub(super) async fn an_assignment_reaches_users_groups_and_roles_and_nobody_else(world: &World) {
    let grant = world.install("mcp-server", None).await;
    let assigned = async |kind, id| {
        let member = world.store.member(&grant.key, &whom(ACME, kind, id), at(12)).await.unwrap();
        member.unwrap().assigned
    };
    assert!(assigned(PrincipalKind::Account, ACME).await);
    assert!(!assigned(PrincipalKind::User, "u-bob").await);
    let assignment = Assignment {
        mode: AssignmentMode::Assigned,
        users: vec!["u-bob".parse().unwrap()],
        groups: vec!["auditors".parse().unwrap()],
        roles: vec!["r-deploy".parse().unwrap()],
    };
    let (changed, _) = world.store.assign(&grant.key, &assignment, &admin(), at(11)).await.unwrap();
    assert_eq!((changed.revision, changed.since), (Revision(2), Revision(1)));
    assert_eq!(world.store.assignment(&grant.key).await.unwrap(), assignment);
    for (kind, id) in [
        (PrincipalKind::User, "u-bob"),
        (PrincipalKind::User, "u-alice"),
        (PrincipalKind::Role, "r-deploy"),
        (PrincipalKind::Account, ACME),
    ] {
        assert!(assigned(kind, id).await, "{id} was not assigned");
    }
    assert!(!assigned(PrincipalKind::User, "u-admin").await);
    let all = Assignment { mode: AssignmentMode::All, ..assignment };
    world.store.assign(&grant.key, &all, &admin(), at(11)).await.unwrap();
    assert!(assigned(PrincipalKind::User, "u-admin").await);
}

pub(super) async fn single_people_are_told_of_alone_and_a_mode_or_a_group_as_the_grant(world: &World) {
    let grant = world.install("mcp-server", None).await;
    let of_grant = Subject::Grant(grant.key.clone());
    let of = |kind, id| Subject::Member(grant.key.clone(), whom(ACME, kind, id));
    let assign = async |mode, users: &[&str], groups: &[&str], roles: &[&str]| {
        let assignment = Assignment {
            mode,
            users: users.iter().map(|id| id.parse().unwrap()).collect(),
            groups: groups.iter().map(|name| name.parse().unwrap()).collect(),
            roles: roles.iter().map(|id| id.parse().unwrap()).collect(),
        };
        let before = world.newest().await;
        let (grant, seq) = world.store.assign(&grant.key, &assignment, &admin(), at(11)).await.unwrap();
        assert_eq!(world.newest().await, seq, "whoever waits waits for all of it");
        (grant.revision.0, world.log_after(before).await)
    };
    let (alice, bob) = (of(PrincipalKind::User, "u-alice"), of(PrincipalKind::User, "u-bob"));
    let deploy = of(PrincipalKind::Role, "r-deploy");
    let one = AssignmentMode::Assigned;
    assert_eq!(assign(one, &["u-alice"], &[], &["r-deploy"]).await, (1, vec![alice.clone(), deploy.clone()]));
    assert_eq!(assign(one, &["u-bob"], &[], &["r-deploy"]).await, (1, vec![bob.clone(), alice]));
    assert_eq!(assign(one, &["u-bob"], &[], &["r-deploy"]).await, (1, vec![]), "nothing is another");
    assert_eq!(assign(one, &["u-bob"], &["auditors"], &[]).await, (2, vec![of_grant.clone()]));
    assert_eq!(assign(AssignmentMode::All, &["u-bob"], &["auditors"], &[]).await, (3, vec![of_grant]));
    let change = AssignmentChange {
        remove: Assignees { users: vec!["u-bob".parse().unwrap()], ..Assignees::default() },
        ..AssignmentChange::default()
    };
    let before = world.newest().await;
    world.store.change_assignment(&grant.key, &change, &admin(), at(12)).await.unwrap();
    assert_eq!(world.log_after(before).await, [bob]);
    let audit = world.store.audit(&account(ACME), 1).await.unwrap();
    assert!(audit[0].detail.contains("user/u-bob") && audit[0].event == "grant.assign", "{:?}", audit[0]);
}

pub(super) async fn an_unknown_user_is_not_assigned(world: &World) {
    let grant = world.install("mcp-server", None).await;
    let assignment = Assignment {
        mode: AssignmentMode::Assigned,
        users: vec!["u-bob".parse().unwrap(), "u-eve".parse().unwrap()],
        groups: Vec::new(),
        roles: Vec::new(),
    };
    assert!(is_missing(world.store.assign(&grant.key, &assignment, &admin(), at(11)).await));
    assert!(world.store.assignment(&grant.key).await.unwrap().users.is_empty());
    assert!(is_missing(world.store.assign(&key("report-hub"), &assignment, &admin(), at(11)).await));
}

pub(super) async fn a_personal_consent_stands_until_it_is_withdrawn(world: &World) {
    let grant = world.install("mcp-server", None).await;
    let consented =
        async |id| world.store.member(&grant.key, &user(id), at(12)).await.unwrap().unwrap().consented;
    assert_eq!(consented("u-alice").await, None);
    for text in ["openid profile", "openid"] {
        world.store.consent_in_person(&grant.key, &user("u-alice"), &scopes(text), at(11)).await.unwrap();
        assert_eq!(consented("u-alice").await, Some(scopes(text)));
    }
    assert_eq!(consented("u-bob").await, None);
    let listed = world.store.personal_consents(&grant.key).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((&*listed[0].principal.login, listed[0].principal.groups.len()), ("alice@acme", 2));
    world.store.withdraw_consent(&grant.key, &user("u-alice"), &admin(), at(13)).await.unwrap();
    assert_eq!(consented("u-alice").await, None);
    assert!(is_missing(world.store.withdraw_consent(&grant.key, &user("u-alice"), &admin(), at(13)).await));
    for outsider in [whom(GLOBEX, PrincipalKind::User, "u-eve"), user("u-nobody")] {
        let answer = world.store.consent_in_person(&grant.key, &outsider, &scopes("openid"), at(14)).await;
        assert!(is_missing(answer));
    }
}

pub(super) async fn revoking_takes_assignments_consents_and_tokens_along(world: &World) {
    let grant = world.install("mcp-server", None).await;
    let assignment = Assignment {
        mode: AssignmentMode::Assigned,
        users: vec!["u-alice".parse().unwrap()],
        groups: Vec::new(),
        roles: Vec::new(),
    };
    let (grant, _) = world.store.assign(&grant.key, &assignment, &admin(), at(11)).await.unwrap();
    world.store.consent_in_person(&grant.key, &user("u-alice"), &scopes("openid"), at(11)).await.unwrap();
    let refresh = world.refresh(&grant, 1).await;
    assert!(world.store.refresh(&refresh.hash, at(21)).await.unwrap().is_some());
    world.store.set_state(&grant.key, GrantState::Revoked, &admin(), at(22)).await.unwrap();
    assert!(world.store.refresh(&refresh.hash, at(22)).await.unwrap().is_none());
    assert!(!world.store.family_is_live(&refresh.authorization.family).await.unwrap());
    let again = world.install("mcp-server", None).await;
    assert_eq!(world.store.assignment(&again.key).await.unwrap().users, []);
    assert!(world.store.personal_consents(&again.key).await.unwrap().is_empty());
    assert!(world.store.refresh(&refresh.hash, at(23)).await.unwrap().is_none());
}

pub(super) async fn every_change_of_a_grant_is_in_the_log_and_the_audit(world: &World) {
    let before = world.newest().await;
    let grant = world.install("mcp-server", None).await;
    let alice = user("u-alice");
    world.store.set_state(&grant.key, GrantState::Suspended, &admin(), at(11)).await.unwrap();
    world.store.set_state(&grant.key, GrantState::Active, &admin(), at(12)).await.unwrap();
    world.store.consent_in_person(&grant.key, &alice, &scopes("openid"), at(13)).await.unwrap();
    world.store.withdraw_consent(&grant.key, &alice, &admin(), at(14)).await.unwrap();
    world.install("mcp-server", Some(Revision(3))).await;
    let (_, last) = world.store.set_state(&grant.key, GrantState::Revoked, &admin(), at(15)).await.unwrap();
    let (of_grant, of_member) =
        (Subject::Grant(grant.key.clone()), Subject::Member(grant.key.clone(), alice));
    let (g, m) = (&of_grant, &of_member);
    assert_eq!(world.log_after(before).await.iter().collect::<Vec<_>>(), [g, g, g, m, m, g, g]);
    assert_eq!(world.newest().await, last);
    assert_eq!(world.store.changes_after(before, 2).await.unwrap().len(), 2);
    let audit = world.store.audit(&account(ACME), 7).await.unwrap();
    let events: Vec<_> = audit.iter().map(|event| &*event.event).collect();
    assert_eq!(
        events,
        [
            "grant.revoke",
            "grant.replace",
            "consent.withdraw",
            "consent.personal",
            "grant.resume",
            "grant.suspend",
            "grant.install"
        ]
    );
    assert_eq!((&*audit[0].actor, &*audit[0].subject), ("admin@acme", &*grant.key.to_string()));
}

pub(super) async fn a_refused_change_leaves_no_trace(world: &World) {
    let (seq, audit) = (world.newest().await, world.store.audit(&account(ACME), 100).await.unwrap().len());
    let by = actor(ACME, "u-alice", "alice@acme");
    world.store.install(&Install { by, ..wish("report-hub", "", None) }, at(10)).await.unwrap_err();
    world.store.install(&wish("report-hub", "", Some(Revision(7))), at(10)).await.unwrap_err();
    world.store.set_state(&key("report-hub"), GrantState::Revoked, &admin(), at(10)).await.unwrap_err();
    assert_eq!(world.newest().await, seq);
    assert_eq!(world.store.audit(&account(ACME), 100).await.unwrap().len(), audit);
}

pub(super) async fn taking_rights_and_disabling_are_in_the_log(world: &World) {
    let before = world.newest().await;
    let bob = user("u-bob");
    world.store.enable_principal(&bob, false, at(1)).await.unwrap();
    world.store.enable_principal(&bob, false, at(1)).await.unwrap();
    world.store.set_full_access(&bob, true, at(2)).await.unwrap();
    world.store.set_full_access(&bob, false, at(3)).await.unwrap();
    assert_eq!(world.log_after(before).await, vec![Subject::Principal(bob); 3]);
    assert!(is_missing(world.store.enable_principal(&user("u-nobody"), false, at(4)).await));
    assert!(is_missing(world.store.set_full_access(&user("u-nobody"), true, at(4)).await));
    let before = world.newest().await;
    world.store.change_application(&application("in-house", ACME, false), &admin(), at(5)).await.unwrap();
    assert_eq!(world.log_after(before).await, [Subject::Application("in-house".parse().unwrap())]);
}

pub(super) async fn a_follower_is_woken_after_the_commit(world: &World) {
    let mut woken = world.store.woken();
    assert_eq!(*woken.borrow_and_update(), world.newest().await);
    let (_, seq) = world.store.install(&wish("report-hub", "", None), at(10)).await.unwrap();
    assert!(woken.has_changed().unwrap());
    assert_eq!(*woken.borrow_and_update(), seq);
    world.store.install(&wish("report-hub", "", None), at(10)).await.unwrap_err();
    assert!(!woken.has_changed().unwrap());
}

pub(super) async fn a_member_of_another_account_is_not_assigned(world: &World) {
    let grant = world.install("report-hub", None).await;
    let eve = whom(GLOBEX, PrincipalKind::User, "u-eve");
    let member = world.store.member(&grant.key, &eve, at(12)).await.unwrap().unwrap();
    assert!(!member.assigned);
    assert!(world.store.member(&grant.key, &user("u-nobody"), at(12)).await.unwrap().is_none());
    let mut code = code(&grant, 1);
    code.authorization.principal = eve;
    assert!(is_missing(world.store.keep_code(&code).await));
}
