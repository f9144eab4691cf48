//! What an account can see of the applications it has authorized.

use serde_json::Value;

use crate::support::{Person, World, eventually, get};

#[tokio::test]
async fn the_details_say_what_was_granted_by_whom_and_when() {
    let world = World::start().await;
    let tokens = world.install("report-hub", "admin@acme", &["/acs/ecs:read"]).await;
    world.read_object(&tokens.access).await.expect(200);
    let path = format!("/applications/{}", world.seed("report-hub").client_id);
    // Records are written a moment after the call, and the time of the last use with them.
    let details = eventually("the last use is known", || async {
        let details = world.api("acme", "GET", &path).send().await.expect(200);
        details["last_used"].is_string().then_some(details)
    })
    .await;

    assert_eq!(details["client_id"], world.seed("report-hub").client_id.as_str());
    assert_eq!(details["name"], "report-hub");
    assert_eq!(details["authorized_by"], "admin@acme");
    assert_eq!(details["state"], "active");
    assert!(details["revision"].as_u64().unwrap() >= 1);
    assert!(details["publisher"].is_string() || details["publisher"].is_object(), "{details}");
    for time in ["authorized_at", "last_used"] {
        let text = details[time].as_str().unwrap_or_default();
        assert!(text.contains('T') && text.ends_with('Z'), "{time} in RFC 3339: {details}");
    }
    let scopes = details["scopes"].to_string();
    for scope in ["openid", "profile", "/acs/oss:read", "/acs/ecs:read"] {
        assert!(scopes.contains(&format!("\"{scope}\"")), "{scope}: {scopes}");
    }
    // What was offered and declined is remembered too.
    assert_eq!(declined(&details), ["/acs/ecs"]);

    // The list tells the same.
    let list = world.api("acme", "GET", "/applications").send().await.expect(200);
    let list = list.as_array().or(list["applications"].as_array()).unwrap().clone();
    assert_eq!(list.len(), 1);
    assert_eq!(list[0]["authorized_at"], details["authorized_at"]);
}

#[tokio::test]
async fn nobody_else_can_see_them() {
    let world = World::start().await;
    world.install("report-hub", "admin@acme", &[]).await;
    let path = format!("/applications/{}", world.seed("report-hub").client_id);
    world.api("globex", "GET", &path).send().await.expect_problem(404, "not_installed");
    assert!(world.installed("globex").await.is_empty());
    let nobody = get(format!("{}/api/v1{path}", world.issuer)).send().await;
    nobody.expect(401);
    assert!(nobody.header("www-authenticate").starts_with("Bearer"), "{:?}", nobody.headers);
    // An application's own token is none for the admin API.
    let tokens = world.sign_in("report-hub", "alice@acme").await;
    let wrong = get(format!("{}/api/v1{path}", world.issuer)).bearer(&tokens.access).send().await;
    wrong.expect(401);
}

#[tokio::test]
async fn the_console_shows_an_administrator_the_same() {
    let world = World::start().await;
    world.install("report-hub", "admin@acme", &[]).await;
    let client_id = world.seed("report-hub").client_id.clone();
    let mut admin = Person::new(&world, "admin@acme");
    let list = admin.visit(format!("{}/console", world.issuer)).await;
    assert_eq!(list.status, 200);
    for word in ["report-hub", &client_id] {
        assert!(list.text().contains(word), "{word}: {}", list.text());
    }
    let details = admin.open(format!("{}/console/applications/{client_id}", world.issuer)).await;
    assert_eq!(details.status, 200);
    for word in ["report-hub", &client_id, "admin@acme", "/acs/oss:read", "Delete Application"] {
        assert!(details.text().contains(word), "{word}: {}", details.text());
    }
}

#[tokio::test]
async fn the_console_lets_nobody_else_delete() {
    let world = World::start().await;
    world.install("report-hub", "admin@acme", &[]).await;
    let client_id = world.seed("report-hub").client_id.clone();
    let page = format!("{}/console/applications/{client_id}", world.issuer);
    let mut eve = Person::new(&world, "admin@globex");
    let other = eve.visit(&page).await;
    assert_eq!(other.status, 404, "{}", other.text());
    let mut alice = Person::new(&world, "alice@acme");
    let own = alice.visit(&page).await;
    assert!(own.status == 403 || !own.text().contains("Delete Application"), "{}", own.text());
    assert_eq!(world.installed("acme").await, [client_id]);
}

fn declined(details: &Value) -> Vec<String> {
    let list = details["scopes"]["declined"].as_array().or(details["scopes_declined"].as_array());
    let list = list.unwrap_or_else(|| panic!("no declined scopes: {details}"));
    list.iter().map(|scope| scope.as_str().or(scope["name"].as_str()).unwrap().to_owned()).collect()
}
