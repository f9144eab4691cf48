//! A publisher's whole way in a real browser, by keyboard alone and without JavaScript, and the pages of use, report
//! and what acts as somebody, looked at wide, narrow and dark. The pictures are in `tests/output`.

use serde_json::{Value, json};

use crate::support::script::Script;
use crate::support::{Application, Person, World, eventually};

#[tokio::test]
async fn a_publishers_whole_way_by_keyboard_and_without_javascript() {
    let world = World::start().await;
    let done =
        run(&world, json!({ "story": "publisher", "name": "publisher", "javascript": false, "width": 1280 }));
    let text = |name: &str| done[name].as_str().unwrap().to_owned();
    // What was registered works with the secret that was made last, and not with the one that was deleted.
    let application = |secret: String| Application {
        issuer: world.issuer.clone(),
        client_id: text("client_id"),
        secret: Some(secret),
        redirect_uri: "http://127.0.0.1:9300/callback".to_owned(),
        scopes: vec!["openid".to_owned(), "/acs/oss:read".to_owned()],
    };
    let fresh = application(text("second"));
    let attempt = fresh.ask();
    let page = Person::new(&world, "alice@acme").visit(&attempt.url).await;
    let tokens = fresh.tokens(&attempt, &page).await;
    world.read_object(&tokens.access).await.expect(200);
    let deleted = application(text("first"));
    deleted.refresh(&tokens.refresh).await.expect_oauth_error(401, "invalid_client");
    let path = format!("/publisher/applications/{}", text("client_id"));
    let shown = world.api("acme", "GET", &path).send().await.expect(200);
    assert_eq!(shown["display_name"], "Intranet 2", "{shown}");
}

#[tokio::test]
async fn the_pages_of_use_on_a_wide_screen() {
    looked_at("use-wide", json!({ "javascript": true, "width": 1280 })).await;
}

#[tokio::test]
async fn the_pages_of_use_on_a_narrow_screen() {
    looked_at("use-narrow", json!({ "javascript": true, "width": 320 })).await;
}

#[tokio::test]
async fn the_pages_of_use_in_the_dark() {
    looked_at("use-dark", json!({ "javascript": true, "width": 1280, "dark": true })).await;
}

async fn looked_at(name: &str, mut facts: Value) {
    let world = World::start().await;
    let tokens = world.install("report-hub", "admin@acme", &["/acs/ecs:read"]).await;
    world.read_object(&tokens.access).await.expect(200);
    world.rpc("ecs", "StopInstance").bearer(&tokens.access).send().await.expect(403);
    eventually("the calls are counted", || async {
        let figures = world.api("acme", "GET", "/report").header("accept", "application/json").send().await;
        let day = figures.expect(200)["days"].as_array().unwrap().last().unwrap().clone();
        (day["forwarded"] == 1 && day["denied"] == 1).then_some(())
    })
    .await;
    facts["story"] = "pages".into();
    facts["name"] = name.into();
    let done = run(&world, facts);
    assert_eq!(done["pages"].as_array().unwrap().len(), 8, "{done}");
}

fn run(world: &World, mut facts: Value) -> Value {
    let people = ["admin@acme", "alice@acme"].map(|login| {
        let principal = world.principal(login);
        (login.split('@').next().unwrap(), json!({"login": principal.login, "password": principal.password}))
    });
    facts["people"] = people.into_iter().collect();
    facts["issuer"] = world.issuer.clone().into();
    facts["client_id"] = world.seed("report-hub").client_id.clone().into();
    facts["output"] = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/output").into();
    let mut script = Script::start("publisher.mjs", &facts);
    let done = script.hear();
    assert!(done["error"].is_null(), "{}", done["error"].as_str().unwrap());
    script.finish();
    done
}
