//! A publisher's whole way in a real browser, by keyboard alone and without JavaScript.

use serde_json::json;

use crate::pages;
use crate::support::chromium::Story;
use crate::support::{Application, Person, World};

#[tokio::test]
async fn a_publishers_whole_way_by_keyboard_and_without_javascript() {
    let world = World::start().await;
    let done =
        Story::start(&world, "publisher.mjs", "publisher", "publisher", json!({})).end(pages::PUBLISHER);
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
