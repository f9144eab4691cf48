//! An application of the own account asks nothing of its own people, and is a third-party one elsewhere.

use serde_json::json;

use crate::support::{Application, World};

#[tokio::test]
async fn an_application_of_the_own_account_asks_nothing_of_its_people() {
    let world = World::start().await;
    let application = register(&world).await;
    for login in ["alice@acme", "admin@acme"] {
        let page = world.first_access(&application, login).await;
        assert!(page.returned("code").is_some(), "{login}: {}", page.left());
    }
    let attempt = application.ask();
    let page = crate::support::Person::new(&world, "bob@acme").visit(&attempt.url).await;
    let tokens = application.tokens(&attempt, &page).await;
    world.read_object(&tokens.access).await.expect(200);
    let stop = world.rpc("ecs", "StopInstance").bearer(&tokens.access).send().await;
    assert_eq!(stop.status, 403, "its own scopes bound it too: {}", stop.text());
}

#[tokio::test]
async fn in_another_account_it_needs_an_administrators_authorization() {
    let world = World::start().await;
    let application = register(&world).await;
    let eve = world.first_access(&application, "eve@globex").await;
    assert!(!eve.has_left(), "{:?}", eve.url);
    assert!(!eve.asks_consent(), "{}", eve.text());
}

#[tokio::test]
async fn only_an_administrator_registers_one_and_its_facts_are_checked() {
    let world = World::start().await;
    let path = "/publisher/applications";
    let url = format!("{}/api/v1{path}", world.issuer);
    crate::support::post(url).json(&facts("x", "http://127.0.0.1/callback")).send().await.expect(401);
    for (name, redirect) in [
        ("bad name", "http://127.0.0.1/callback"),
        ("plain-http", "http://example.com/callback"),
        ("fragment", "https://example.com/callback#there"),
        ("script", "javascript:alert(1)"),
    ] {
        let refused = world.api("acme", "POST", path).json(&facts(name, redirect)).send().await;
        assert_eq!(refused.status, 400, "{name}: {}", refused.text());
    }
}

fn facts(name: &str, redirect: &str) -> serde_json::Value {
    json!({
        "name": name, "display_name": name, "type": "WebApp", "redirect_uris": [redirect],
        "required_scopes": ["openid", "/acs/oss:read"], "optional_scopes": [],
    })
}

/// Registers an application of the account acme.
async fn register(world: &World) -> Application {
    let call = world.api("acme", "POST", "/publisher/applications");
    let registered = call.json(&facts("intranet", "http://127.0.0.1:9200/callback")).send().await.expect(201);
    Application {
        issuer: world.issuer.clone(),
        client_id: registered["client_id"].as_str().unwrap().to_owned(),
        secret: Some(registered["client_secret"].as_str().unwrap().to_owned()),
        redirect_uri: "http://127.0.0.1:9200/callback".to_owned(),
        scopes: vec!["openid".to_owned(), "/acs/oss:read".to_owned()],
    }
}
