//! What every store must do with applications that registered themselves.

use jiff::SignedDuration;

use super::OwnRegistration;
use crate::model::application::{Application, UNVERIFIED};
use crate::store::contract::people::alice;
use crate::store::contract::{ACME, World, account, admin, application, at, key, scopes};
use crate::store::{RequestFilter, Standing};

const DAY: i64 = 86_400;

fn own(id: &str) -> Application {
    application(id, UNVERIFIED, false)
}

pub(in crate::store) async fn one_that_registers_itself_is_found_and_no_more_than_there_is_room_for(
    world: &World,
) {
    let now = at(0);
    for (id, taken) in [("9001", true), ("9002", true), ("9003", false)] {
        let application = own(id);
        let registration = OwnRegistration { application: &application, document: None, most: 2 };
        assert_eq!(world.store.register_itself(registration, now).await.unwrap(), taken);
        let found = world.store.application(&application.id).await.unwrap();
        assert_eq!(found, taken.then_some(application.clone()));
        assert_eq!(world.store.document_of(&application.id).await.unwrap(), None);
    }
}

pub(in crate::store) async fn a_description_that_says_something_else_changes_its_application(world: &World) {
    let (now, store) = (at(0), &world.store);
    let one = own("9001");
    let document = Some("https://app.example/client.json");
    let registration = OwnRegistration { application: &one, document, most: 10 };
    assert!(store.register_itself(registration, now).await.unwrap());
    let later = now + SignedDuration::from_hours(1);
    let before = store.newest().await.unwrap();
    store.reread(&one, later).await.unwrap();
    let found = store.document_of(&one.id).await.unwrap().unwrap();
    assert_eq!((&*found.address, found.read_at), ("https://app.example/client.json", later));
    assert!(!found.authorized);
    assert_eq!(store.newest().await.unwrap(), before, "nothing has changed");
    let other = Application { redirect_uris: vec!["https://app.example/new".to_owned()], ..one };
    store.reread(&other, later).await.unwrap();
    assert_eq!(store.application(&other.id).await.unwrap(), Some(other));
    assert!(store.newest().await.unwrap() > before);
    world.install("9001", None).await;
    assert!(store.document_of(&"9001".parse().unwrap()).await.unwrap().unwrap().authorized);
}

pub(in crate::store) async fn each_kind_has_its_room_and_what_is_decided_about_takes_none(world: &World) {
    let store = &world.store;
    let register = async |id: &str, document: Option<&str>| {
        let application = own(id);
        let registration = OwnRegistration { application: &application, document, most: 1 };
        store.register_itself(registration, at(0)).await.unwrap()
    };
    assert!(register("9001", Some("https://app.example/1")).await);
    assert!(!register("9002", Some("https://app.example/2")).await, "there is room for one");
    assert!(register("9003", None).await, "the other kind has its own");
    assert!(!register("9004", None).await);
    // Neither one that somebody has asked for nor one that is blocked is in the way of others.
    store.ask(&key("9001"), &alice(), "for the board", at(1)).await.unwrap();
    assert!(register("9002", Some("https://app.example/2")).await);
    let blocked = Standing::Blocked { word: "no".to_owned() };
    store.set_rule(&key("9003"), Some(&blocked), &admin(), at(2)).await.unwrap();
    assert!(register("9004", None).await);
    assert!(!register("9005", None).await);
}

pub(in crate::store) async fn what_was_asked_for_in_vain_is_forgotten_with_its_requests(world: &World) {
    let store = &world.store;
    for id in ["9001", "9002", "9003"] {
        let application = own(id);
        let registration = OwnRegistration { application: &application, document: None, most: 10 };
        assert!(store.register_itself(registration, at(0)).await.unwrap());
        store.ask(&key(id), &alice(), "for the board", at(100)).await.unwrap();
    }
    store.deny(&key("9001"), 1, "no", &admin(), at(200)).await.unwrap();
    let blocked = Standing::Blocked { word: "no".to_owned() };
    store.set_rule(&key("9003"), Some(&blocked), &admin(), at(200)).await.unwrap();
    let forget = async |second| store.forget_unauthorized(at(second), at(second)).await.unwrap();
    assert_eq!(forget(200 + 90 * DAY).await, 0, "not yet for longer than 90 days");
    assert_eq!(forget(201 + 90 * DAY).await, 1, "the one that was denied");
    // Nobody decided about this one: it was over when it lapsed, a week after it was made.
    assert_eq!(forget(100 + 97 * DAY).await, 0);
    assert_eq!(forget(101 + 97 * DAY).await, 1);
    assert_eq!(forget(1000 * DAY).await, 0, "a rule is somebody's");
    let all = RequestFilter { limit: 10, ..RequestFilter::default() };
    let kept = store.approval_requests(&account(ACME), &all, at(1000 * DAY)).await.unwrap();
    let kept: Vec<_> = kept.iter().map(|(application, _)| application.id.as_str()).collect();
    assert_eq!(kept, ["9003"]);
    let told = store.audit(&account(ACME), 100).await.unwrap();
    assert!(told.iter().any(|event| event.event == "request.denied"), "the audit stays: {told:?}");
}

pub(in crate::store) async fn a_description_that_is_read_again_and_again_is_no_newer_by_that(world: &World) {
    let (store, one) = (&world.store, own("9001"));
    let document = Some("https://app.example/client.json");
    let registration = OwnRegistration { application: &one, document, most: 10 };
    assert!(store.register_itself(registration, at(0)).await.unwrap());
    store.reread(&one, at(7200)).await.unwrap();
    assert_eq!(store.forget_unauthorized(at(3600), at(7200)).await.unwrap(), 1);
    assert_eq!(store.application(&one.id).await.unwrap(), None);
}

pub(in crate::store) async fn what_nobody_authorized_is_forgotten_and_what_somebody_did_stays(world: &World) {
    let (now, store) = (at(0), &world.store);
    let (idle, used) = (own("9001"), own("9002"));
    for application in [&idle, &used] {
        let registration = OwnRegistration { application, document: None, most: 10 };
        assert!(store.register_itself(registration, now).await.unwrap());
    }
    world.install(used.id.as_str(), None).await;
    let later = now + SignedDuration::from_hours(1);
    assert_eq!(store.forget_unauthorized(now, later).await.unwrap(), 0, "none is so old");
    assert_eq!(store.forget_unauthorized(later, later).await.unwrap(), 1);
    assert_eq!(store.application(&idle.id).await.unwrap(), None);
    assert_eq!(store.application(&used.id).await.unwrap(), Some(used));
    assert_eq!(store.forget_unauthorized(later, later).await.unwrap(), 0);
}

pub(in crate::store) async fn what_was_disabled_stays_so_whatever_its_description_says(world: &World) {
    let (store, one) = (&world.store, own("9001"));
    let document = Some("https://app.example/client.json");
    let registration = OwnRegistration { application: &one, document, most: 1 };
    assert!(store.register_itself(registration, at(0)).await.unwrap());
    let disabled = Application { enabled: false, ..one.clone() };
    store.change_application(&disabled, &admin(), at(1)).await.unwrap();
    // Read before it was disabled, and taken in after that.
    let said =
        Application { display_name: "Another".to_owned(), required: scopes("/acs/ecs"), ..one.clone() };
    store.reread(&said, at(2)).await.unwrap();
    let kept = store.application(&one.id).await.unwrap().unwrap();
    assert_eq!(kept, Application { display_name: "Another".to_owned(), ..disabled });
    assert_eq!(
        store.forget_unauthorized(at(900), at(900)).await.unwrap(),
        0,
        "it does not come back enabled"
    );
    let other = own("9002");
    let registration =
        OwnRegistration { application: &other, document: Some("https://b.example/c"), most: 1 };
    assert!(store.register_itself(registration, at(3)).await.unwrap(), "it takes no room");
    assert_eq!(store.forget_unauthorized(at(900), at(900)).await.unwrap(), 1);
}
