//! The pages in a real browser: with JavaScript and without, wide and narrow, by pointer and by keyboard, and
//! accessible by the WCAG 2.2 AA rules of axe-core. The pictures are in `tests/output`.

use serde_json::{Value, json};

use url::Url;

use crate::support::script::Script;
use crate::support::{Tokens, World};

#[tokio::test]
async fn the_whole_story_on_a_wide_screen() {
    journey("wide", json!({ "javascript": true, "width": 1280 })).await;
}

#[tokio::test]
async fn the_whole_story_on_a_narrow_screen() {
    journey("narrow", json!({ "javascript": true, "width": 320 })).await;
}

#[tokio::test]
async fn the_whole_story_without_javascript() {
    journey("plain", json!({ "javascript": false, "width": 1280 })).await;
}

#[tokio::test]
async fn the_whole_story_in_the_dark() {
    journey("dark", json!({ "javascript": true, "width": 1280, "dark": true })).await;
}

#[tokio::test]
async fn consent_by_keyboard_alone() {
    let world = World::start().await;
    let done =
        run(&world, json!({ "story": "keyboard", "name": "keyboard", "javascript": true, "width": 1280 }));
    let scope = world.seed("report-hub").optional_scopes[0].clone();
    assert_eq!(done["chosen"], scope.as_str(), "{done}");
    let path = format!("/applications/{}", world.seed("report-hub").client_id);
    let details = world.api("acme", "GET", &path).send().await.expect(200);
    assert!(details["scopes"].to_string().contains(&scope), "{details}");
}

#[tokio::test]
async fn a_request_and_all_that_can_become_of_it_on_a_wide_screen() {
    approval("approval-wide", json!({ "javascript": true, "width": 1280 })).await;
}

#[tokio::test]
async fn a_request_and_all_that_can_become_of_it_on_a_narrow_screen_in_the_dark() {
    approval("approval-narrow", json!({ "javascript": true, "width": 320, "dark": true })).await;
}

#[tokio::test]
async fn a_request_and_all_that_can_become_of_it_without_javascript() {
    approval("approval-plain", json!({ "javascript": false, "width": 1280 })).await;
}

/// From asking to a call that is forwarded and one that is not, and on through a change of scope, a block and a no.
async fn approval(name: &str, mut facts: Value) {
    let world = World::start().await;
    let application = world.application("report-hub");
    let attempt = application.ask();
    facts["story"] = "approval".into();
    facts["name"] = name.into();
    facts["authorize"] = attempt.url.clone().into();
    let mut script = Script::start("browser.mjs", &known(&world, facts));
    let heard = step(&mut script);
    let code = Url::parse(heard["authorized"].as_str().unwrap()).unwrap();
    let code = code.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    let tokens = Tokens::of(&application.redeem(&attempt, &code).await.expect(200));
    let list = async || world.rpc("ecs", "DescribeInstances").bearer(&tokens.access).send().await.status;
    world.read_object(&tokens.access).await.expect(200);
    assert_eq!(list().await, 200, "what the administrator has chosen");
    let stop = world.rpc("alidns", "AddDomainRecord").bearer(&tokens.access).send().await;
    assert_eq!(stop.status, 403, "{}", stop.text());
    script.tell(&json!({}));
    step(&mut script);
    assert_eq!(list().await, 403, "what was taken away");
    world.read_object(&tokens.access).await.expect(200);
    script.tell(&json!({}));
    step(&mut script);
    let blocked = world.read_object(&tokens.access).await;
    assert!([401, 403].contains(&blocked.status), "{}", blocked.text());
    script.tell(&json!({}));
    step(&mut script);
    script.finish();
    let path = format!("/approval-requests/{}", application.client_id);
    let denied = world.api("acme", "GET", &path).send().await.expect(200);
    assert_eq!((&denied["state"], &denied["decided_by"]), (&json!("denied"), &json!("admin@acme")));
}

/// What the browser says next.
fn step(script: &mut Script) -> Value {
    let heard = script.hear();
    assert!(heard["error"].is_null(), "{}", heard["error"].as_str().unwrap());
    heard
}

/// Refused as a user, asked as an administrator, authorized, looked at in the console, deleted, asked again,
/// rejected.
async fn journey(name: &str, mut facts: Value) {
    let world = World::start().await;
    facts["story"] = "journey".into();
    facts["name"] = name.into();
    let done = run(&world, facts);
    let pages: Vec<_> = done["pages"].as_array().unwrap().iter().map(|page| page.as_str().unwrap()).collect();
    assert_eq!(pages, ["login", "not-administrator", "consent", "console", "details", "confirm", "deleted"]);
    let application = world.application("report-hub");
    let authorized = done["authorized"].as_str().unwrap();
    assert!(authorized.starts_with(&application.redirect_uri) && authorized.contains("code="), "{done}");
    assert!(done["rejected"].as_str().unwrap().contains("error=access_denied"), "{done}");
    assert!(world.installed("acme").await.is_empty(), "deleted in the console, and then rejected");
}

fn run(world: &World, facts: Value) -> Value {
    let mut script = Script::start("browser.mjs", &known(world, facts));
    let done = step(&mut script);
    script.finish();
    done
}

/// What every story has to know.
fn known(world: &World, mut facts: Value) -> Value {
    let application = world.application("report-hub");
    let people = ["admin@acme", "alice@acme", "bob@acme"].map(|login| {
        let principal = world.principal(login);
        (login.split('@').next().unwrap(), json!({"login": principal.login, "password": principal.password}))
    });
    facts["people"] = people.into_iter().collect();
    if facts["authorize"].is_null() {
        facts["authorize"] = application.ask().url.into();
    }
    facts["redirect_uri"] = application.redirect_uri.into();
    facts["application"] = "report-hub".into();
    facts["client_id"] = application.client_id.into();
    facts["console"] = format!("{}/console", world.issuer).into();
    facts["output"] = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/output").into();
    facts
}
