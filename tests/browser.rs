//! The pages in a real browser: with JavaScript and without, wide and narrow, by pointer and by keyboard, and
//! accessible by the WCAG 2.2 AA rules of axe-core. The pictures are in `tests/output`.

use serde_json::{Value, json};

use crate::support::World;
use crate::support::script::Script;

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
async fn the_audit_leads_from_an_event_to_its_calls_and_back() {
    let sizes = [
        ("audit-wide", json!({ "javascript": true, "width": 1280 })),
        ("audit-narrow", json!({ "javascript": true, "width": 320, "dark": true })),
        ("audit-plain", json!({ "javascript": false, "width": 640 })),
    ];
    let world = World::start().await;
    let tokens = world.install("report-hub", "admin@acme", &[]).await;
    world.read_object(&tokens.access).await.expect(200);
    world.call("PUT", "/oss/reports/q1.csv").bearer(&tokens.access).body("x").send().await.expect(403);
    for (name, mut facts) in sizes {
        facts["story"] = "audit".into();
        facts["name"] = name.into();
        let done = run(&world, facts);
        assert_eq!(done["pages"].as_array().unwrap().len(), 4, "{done}");
    }
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

fn run(world: &World, mut facts: Value) -> Value {
    let application = world.application("report-hub");
    let people = ["admin@acme", "alice@acme"].map(|login| {
        let principal = world.principal(login);
        (login.split('@').next().unwrap(), json!({"login": principal.login, "password": principal.password}))
    });
    facts["people"] = people.into_iter().collect();
    facts["authorize"] = application.ask().url.into();
    facts["redirect_uri"] = application.redirect_uri.into();
    facts["application"] = "report-hub".into();
    facts["client_id"] = application.client_id.into();
    facts["console"] = format!("{}/console", world.issuer).into();
    facts["output"] = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/output").into();
    let mut script = Script::start("browser.mjs", &facts);
    let done = script.hear();
    assert!(done["error"].is_null(), "{}", done["error"].as_str().unwrap());
    script.finish();
    done
}
