//! Lists a page at a time, and provisioning within bounds.

use super::*;
use crate::model::grant::{AssignmentMode, GrantState};
use crate::store::{
    AssigneeKind, Assignees, AssignmentChange, InstallRefused, InstalledPage, Listed, Order, PageOf,
};

fn installed(order: Order, falling: bool, limit: u32) -> InstalledPage {
    InstalledPage { search: None, state: None, order, falling, after: None, limit }
}

fn ids(page: &[Listed]) -> Vec<&str> {
    page.iter().map(|one| one.installed.application.id.as_str()).collect()
}

fn page(search: &str, limit: u32) -> PageOf {
    PageOf { search: Some(search.to_owned()).filter(|text| !text.is_empty()), after: None, limit }
}

/// A dozen applications, every third one suspended, one revoked; another account has one of them.
async fn dozen(world: &World) {
    for number in 0..12 {
        let id = format!("app-{number:02}");
        let name = format!("{}%_{number:02}", if number % 2 == 0 { "Even" } else { "odd" });
        let application = Application { display_name: name, ..application(&id, GLOBEX, number % 4 == 0) };
        world.store.register(&application, &[], &admin()).await.unwrap();
        world.store.install(&wish(&id, "", None), at(100 - number)).await.unwrap();
        if number % 3 == 0 {
            let state = if number == 9 { GrantState::Revoked } else { GrantState::Suspended };
            world.store.set_state(&key(&id), state, &admin(), at(200)).await.unwrap();
        }
    }
}

pub(super) async fn the_pages_of_a_list_hold_each_application_once_in_every_order(world: &World) {
    dozen(world).await;
    let account = account(ACME);
    for order in [Order::Name, Order::Authorized, Order::LastUsed, Order::State] {
        for falling in [false, true] {
            let all = world.store.installed_page(&account, &installed(order, falling, 100)).await.unwrap();
            assert!(!all.more && all.items.len() == 11, "{order:?}: {:?}", ids(&all.items));
            let mut wanted = installed(order, falling, 4);
            let mut found = Vec::new();
            loop {
                let page = world.store.installed_page(&account, &wanted).await.unwrap();
                wanted.after = page.items.last().map(|last| last.place.clone());
                found.extend(page.items);
                if !page.more {
                    break;
                }
            }
            assert_eq!(ids(&found), ids(&all.items), "{order:?} {falling}");
        }
    }
    let newest = world.store.installed_page(&account, &installed(Order::Authorized, true, 2)).await.unwrap();
    assert_eq!(ids(&newest.items), ["app-00", "app-01"]);
    let named = world.store.installed_page(&account, &installed(Order::Name, false, 2)).await.unwrap();
    assert_eq!(ids(&named.items), ["app-00", "app-02"]);
}

pub(super) async fn a_list_is_searched_to_the_letter_and_by_state(world: &World) {
    dozen(world).await;
    let account = account(ACME);
    let search = async |text: &str, state| {
        let wanted =
            InstalledPage { search: Some(text.to_owned()), state, ..installed(Order::Name, false, 100) };
        let found = world.store.installed_page(&account, &wanted).await.unwrap();
        found.items.len()
    };
    assert_eq!(search("EVEN", None).await, 6);
    assert_eq!(search("n%_0", None).await, 5, "a percent sign and an underscore stand for themselves");
    assert_eq!(search("n_0", None).await, 0);
    assert_eq!(search("app-1", None).await, 2);
    assert_eq!(search("publisher", Some(GrantState::Suspended)).await, 3);
    assert_eq!(search("'; DROP TABLE grants; --", None).await, 0);
    let counts = world.store.installed_counts(&account).await.unwrap();
    assert_eq!(counts, [(GrantState::Active, 8), (GrantState::Suspended, 3)]);
    let other = world.store.installed_page(&super::account(GLOBEX), &installed(Order::Name, false, 9)).await;
    assert!(other.unwrap().items.is_empty(), "another account's");
}

pub(super) async fn official_applications_are_listed_with_what_they_are_to_the_account(world: &World) {
    dozen(world).await;
    let account = account(ACME);
    let first = world.store.official_page(&account, &page("", 2)).await.unwrap();
    assert!(first.more);
    let last = first.items.last().unwrap();
    assert_eq!(last.application.id.as_str(), "app-04");
    assert_eq!(last.installed, Some(GrantState::Active));
    let after = Some(format!("{}/{}", last.application.name, last.application.id));
    let rest = world.store.official_page(&account, &PageOf { after, ..page("", 9) }).await.unwrap();
    let rest: Vec<_> = rest.items.iter().map(|one| (one.application.id.as_str(), one.installed)).collect();
    assert_eq!(rest, [("app-08", Some(GrantState::Active)), ("mcp-server", None)]);
    assert!(
        world.store.official_page(&super::account(GLOBEX), &page("", 9)).await.unwrap().items[0]
            .installed
            .is_none()
    );
}

pub(super) async fn single_assignments_come_and_go_and_twice_is_once(world: &World) {
    let grant = world.install("mcp-server", None).await;
    let key = &grant.key;
    let people = Assignees {
        users: vec!["u-alice".parse().unwrap(), "u-bob".parse().unwrap()],
        groups: vec!["developers".parse().unwrap()],
        roles: vec!["r-deploy".parse().unwrap()],
    };
    let add = AssignmentChange { add: people.clone(), ..AssignmentChange::default() };
    let (changed, seq) = world.store.change_assignment(key, &add, &admin(), at(20)).await.unwrap();
    assert_eq!(changed.revision, grant.revision.next());
    assert_eq!(world.log_after(Seq(seq.0 - 1)).await, [Subject::Grant(key.clone())]);
    let again = world.store.change_assignment(key, &add, &admin(), at(21)).await.unwrap();
    assert_eq!(again, (changed.clone(), seq), "what changes nothing leaves no trace");
    let audit = world.store.audit(&account(ACME), 1).await.unwrap();
    assert!(audit[0].detail.contains("user/u-alice"), "{:?}", audit[0]);

    let users = world.store.assignees(key, AssigneeKind::User, &page("", 1)).await.unwrap();
    assert!(users.more);
    assert_eq!(users.items[0].login, "alice@acme");
    let after = Some(users.items[0].place.clone());
    let rest =
        world.store.assignees(key, AssigneeKind::User, &PageOf { after, ..page("", 9) }).await.unwrap();
    assert_eq!((rest.items[0].login.as_str(), rest.more), ("bob@acme", false));
    let found = world.store.assignees(key, AssigneeKind::User, &page("BOB", 9)).await.unwrap();
    assert_eq!(found.items.len(), 1);
    let groups = world.store.assignees(key, AssigneeKind::Group, &page("", 9)).await.unwrap();
    assert_eq!(groups.items[0].id, "developers");
    let others = world.store.assignable(key, AssigneeKind::User, &page("", 9)).await.unwrap();
    assert_eq!(others.items.iter().map(|one| one.login.as_str()).collect::<Vec<_>>(), ["admin@acme"]);
    let others = world.store.assignable(key, AssigneeKind::Group, &page("", 9)).await.unwrap();
    assert_eq!(others.items.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), ["auditors"]);

    let only = AssignmentChange { remove: people, ..AssignmentChange::default() };
    world.store.change_assignment(key, &only, &admin(), at(22)).await.unwrap();
    let counts = world.store.assignee_counts(key).await.unwrap();
    assert_eq!((counts.users, counts.groups, counts.roles), (0, 0, 0));
    let all = AssignmentChange { mode: Some(AssignmentMode::All), ..AssignmentChange::default() };
    let (changed, _) = world.store.change_assignment(key, &all, &admin(), at(23)).await.unwrap();
    assert_eq!(changed.assignment, AssignmentMode::All);
}

pub(super) async fn nobody_of_another_account_is_assigned_alone(world: &World) {
    let grant = world.install("mcp-server", None).await;
    let eve = Assignees { users: vec!["u-eve".parse().unwrap()], ..Assignees::default() };
    let alice = Assignees { users: vec!["u-alice".parse().unwrap()], ..eve.clone() };
    let add = AssignmentChange {
        add: Assignees { users: [alice.users, eve.users].concat(), ..Assignees::default() },
        ..AssignmentChange::default()
    };
    assert!(is_missing(world.store.change_assignment(&grant.key, &add, &admin(), at(20)).await));
    assert_eq!(world.store.assignee_counts(&grant.key).await.unwrap().users, 0, "nor anybody along with her");
    let nothing = AssignmentChange::default();
    assert!(is_missing(world.store.change_assignment(&key("report-hub"), &nothing, &admin(), at(21)).await));
}

pub(super) async fn nothing_is_installed_beyond_what_was_allowed(world: &World) {
    let within = async |most: &str| {
        let install = Install { at_most: Some(scopes(most)), ..wish("mcp-server", "/acs/ecs:read", None) };
        world.store.install(&install, at(10)).await
    };
    let newest = world.newest().await;
    assert!(
        matches!(within("openid /acs/ecs:read").await, Err(InstallRefused::Beyond(scope)) if scope == "profile")
    );
    assert_eq!(world.newest().await, newest);
    assert!(world.store.installed(&key("mcp-server")).await.unwrap().is_none());
    let (grant, _) = within("openid profile /acs/ecs").await.unwrap();
    assert_eq!(grant.scopes, scopes("openid profile /acs/ecs:read"));
}

pub(super) async fn personal_consents_are_listed_by_login(world: &World) {
    let grant = world.install("mcp-server", None).await;
    for id in ["u-bob", "u-alice", "u-admin"] {
        world.store.consent_in_person(&grant.key, &user(id), &scopes("openid"), at(30)).await.unwrap();
    }
    let first = world.store.consents_page(&grant.key, &page("", 2)).await.unwrap();
    let logins: Vec<_> = first.items.iter().map(|one| one.login.as_str()).collect();
    assert_eq!((logins, first.more), (vec!["admin@acme", "alice@acme"], true));
    let after = first.items.last().map(|last| last.place.clone());
    let rest = world.store.consents_page(&grant.key, &PageOf { after, ..page("", 2) }).await.unwrap();
    assert_eq!((rest.items[0].login.as_str(), rest.items.len(), rest.more), ("bob@acme", 1, false));
    assert_eq!(world.store.consents_page(&grant.key, &page("ALI", 2)).await.unwrap().items.len(), 1);
    assert_eq!(world.store.consents_count(&grant.key).await.unwrap(), 3);
}
