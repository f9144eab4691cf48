//! What every store must do with applications that registered themselves.

use jiff::SignedDuration;

use super::OwnRegistration;
use crate::model::application::{Application, UNVERIFIED};
use crate::store::contract::{World, application, at};

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
    let found = store.document_of(&one.id).await.unwrap();
    assert_eq!(found, Some(("https://app.example/client.json".to_owned(), later)));
    assert_eq!(store.newest().await.unwrap(), before, "nothing has changed");
    let other = Application { redirect_uris: vec!["https://app.example/new".to_owned()], ..one };
    store.reread(&other, later).await.unwrap();
    assert_eq!(store.application(&other.id).await.unwrap(), Some(other));
    assert!(store.newest().await.unwrap() > before);
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
