//! People on the way to an application, in a real browser: what they ask for and what becomes of it, and signing in at
//! their organization's own provider. By keyboard alone and without JavaScript, and by pointer with it.

use serde_json::{Value, json};

use crate::pages;
use crate::support::chromium::{Story, redeemed, told};
use crate::support::provider::Provider;
use crate::support::{Person, World};

#[tokio::test]
async fn a_request_and_all_that_can_become_of_it_by_keyboard_alone_and_without_javascript() {
    approval(json!({}), pages::APPROVAL).await;
}

#[tokio::test]
async fn a_request_and_all_that_can_become_of_it_by_pointer_on_a_narrow_screen() {
    let manner = json!({ "javascript": true, "keyboard": false, "width": 320, "quick": true });
    approval(manner, pages::APPROVAL).await;
}

/// From asking to a call that is forwarded and one that is not, and on through a change of scope, a block, a no and an
/// approval beforehand.
async fn approval(manner: Value, looked_at: &[&str]) {
    let world = World::start().await;
    let application = world.application("report-hub");
    let attempt = application.ask();
    let mut facts = told(&application, &attempt);
    facts["redirect_uris"] = json!([application.redirect_uri]);
    facts.as_object_mut().unwrap().extend(manner.as_object().unwrap().clone());
    let mut story = Story::start(&world, "browser.mjs", "approval", "approval", facts);
    let tokens = redeemed(&application, &attempt, &story.comes_to("approved")).await;
    let list = async || world.rpc("ecs", "DescribeInstances").bearer(&tokens.access).send().await.status;
    world.read_object(&tokens.access).await.expect(200);
    assert_eq!(list().await, 200, "what the administrator has chosen");
    let stop = world.rpc("alidns", "AddDomainRecord").bearer(&tokens.access).send().await;
    assert_eq!(stop.status, 403, "{}", stop.text());
    story.go_on();
    story.comes_to("narrowed");
    assert_eq!(list().await, 403, "what was taken away");
    world.read_object(&tokens.access).await.expect(200);
    story.go_on();
    story.comes_to("blocked");
    let blocked = world.read_object(&tokens.access).await;
    assert!([401, 403].contains(&blocked.status), "{}", blocked.text());
    story.go_on();
    let tokens = redeemed(&application, &attempt, &story.comes_to("beforehand")).await;
    world.read_object(&tokens.access).await.expect(200);
    assert_eq!(world.rpc("ecs", "DescribeInstances").bearer(&tokens.access).send().await.status, 403);
    story.go_on();
    story.end(looked_at);
    let path = format!("/approval-requests/{}", application.client_id);
    world.api("acme", "GET", &path).send().await.expect(200);
}

#[tokio::test]
async fn signing_in_at_the_organizations_provider_and_out_again() {
    let people = json!({ "s-carol": { "preferred_username": "carol", "groups": ["owners"] } });
    let mut provider = Provider::start(&people, false);
    let own = provider.settings(
        "accounts = [\"acme\"]\nusers = \"create\"\n\
         administrator = { claim = \"groups\", values = [\"owners\"] }",
    );
    let other = provider.named("globex-id", "accounts = [\"globex\"]\nbutton = false");
    let world = provider.world(&format!("{own}{other}")).await;
    Person::new(&world, "alice@acme").visit(format!("{}/me/sessions", world.issuer)).await;
    let facts = json!({
        "me": format!("{}/me/sessions", world.issuer),
        "carol": { "login": "s-carol", "password": "" },
    });
    Story::start(&world, "browser.mjs", "elsewhere", "elsewhere", facts).end(pages::ELSEWHERE);
}
