//! Every route of the admin API that its document names is refused without a credential, to another
//! account, and to someone who is no administrator. The document is walked, so that no route is forgotten.

use serde_json::{Value, json};

use crate::support::{Answer, Call, Person, World, get};

#[tokio::test]
async fn every_route_is_refused_without_a_credential_or_with_a_wrong_one() {
    let world = World::start().await;
    world.install("report-hub", "admin@acme", &[]).await;
    let tokens = world.sign_in("report-hub", "alice@acme").await;
    let before = standing(&world).await;
    for (method, path) in routes(&world).await {
        let what = format!("{method} {path}");
        let call = || call(&world, &method, &path);
        assert_refused(&what, &call().send().await, 401);
        assert_refused(&what, &call().bearer("nonsense").send().await, 401);
        assert_refused(&what, &call().bearer(&tokens.access).send().await, 401);
        let basic = call().basic("admin@acme", &world.principal("admin@acme").password);
        assert_refused(&what, &basic.send().await, 401);
        assert_refused(&what, &call().header("cookie", "session=nonsense").send().await, 401);
    }
    assert_eq!(standing(&world).await, before, "unharmed");
}

#[tokio::test]
async fn every_route_shows_and_changes_nothing_of_another_account() {
    let world = World::start().await;
    world.install("report-hub", "admin@acme", &[]).await;
    let before = standing(&world).await;
    for (method, path) in routes(&world).await {
        let token = &world.account("globex").api_token;
        let answer = call(&world, &method, &path).bearer(token).send().await;
        let what = format!("{method} {path}: {} {}", answer.status, answer.text());
        if path.contains('{') {
            assert!((400..500).contains(&answer.status), "{what}");
        }
        assert!(answer.status < 500 && !answer.text().contains("acme"), "{what}");
    }
    assert_eq!(standing(&world).await, before, "unharmed");
}

#[tokio::test]
async fn every_changing_route_is_refused_to_a_browser_that_was_led_there() {
    let world = World::start().await;
    world.install("report-hub", "admin@acme", &[]).await;
    let before = standing(&world).await;
    let mut alice = Person::new(&world, "alice@acme");
    let mut admin = Person::new(&world, "admin@acme");
    for person in [&mut alice, &mut admin] {
        person.visit(format!("{}/console", world.issuer)).await;
    }
    for (method, path) in routes(&world).await.into_iter().filter(|(method, _)| method != "GET") {
        // The administrator's own browser, sent by another site, without the CSRF token.
        for (person, site) in [(&alice, "same-origin"), (&admin, "cross-site")] {
            let call = call(&world, &method, &path).header("cookie", person.cookie());
            let answer =
                call.header("origin", "http://evil.example").header("sec-fetch-site", site).send().await;
            let what = format!("{method} {path} by {}", person.login);
            assert!([401, 403].contains(&answer.status), "{what}: {} {}", answer.status, answer.text());
        }
    }
    assert_eq!(standing(&world).await, before, "unharmed");
}

#[tokio::test]
async fn every_route_of_the_sidecar_is_refused_without_a_credential() {
    let world = World::start().await;
    let (before, _) = world.seen().await;
    let account = &world.account("acme").id;
    for path in
        ["/oss/a", "/oss/a/b", "/oss-watch/a", "/oss-socket/a", &format!("/accounts/{account}/oss/a/b")]
    {
        world.call("GET", path).send().await.expect(401);
    }
    for product in ["ecs", "alidns"] {
        world.rpc(product, "DescribeInstances").send().await.expect(401);
    }
    assert_eq!(world.seen().await.0, before, "nothing reached the upstream");
}

#[tokio::test]
async fn the_document_is_well_formed_and_the_published_one() {
    let world = World::start().await;
    let document = document(&world).await;
    assert_eq!(document["openapi"].as_str().unwrap().get(..3), Some("3.1"));
    let mut names: Vec<_> = routes(&world).await;
    names.sort();
    for route in [("DELETE", "/api/v1/applications/{client_id}"), ("GET", "/api/v1/decisions")] {
        assert!(names.contains(&(route.0.to_owned(), route.1.to_owned())), "{route:?} of {names:?}");
    }
    let published = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/control.openapi.json");
    let published: Value = serde_json::from_str(&std::fs::read_to_string(published).unwrap()).unwrap();
    assert!(document == published, "what is served is not what the repository publishes: bless it");
}

/// Each method and path of the document that is not public.
async fn routes(world: &World) -> Vec<(String, String)> {
    let document = document(world).await;
    let mut routes = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if ["get", "post", "put", "patch", "delete"].contains(&method.as_str()) {
                assert!(
                    operation["security"] != json!([]) || PUBLIC.contains(&path.as_str()),
                    "{path} is public, and this test does not know why"
                );
                if !PUBLIC.contains(&path.as_str()) {
                    routes.push((method.to_uppercase(), path.clone()));
                }
            }
        }
    }
    assert!(routes.len() >= 4, "{routes:?}");
    routes
}

async fn document(world: &World) -> Value {
    get(format!("{}/api/v1/openapi.json", world.issuer)).send().await.expect(200)
}

/// A request to a route about the application and the people of the account acme.
fn call(world: &World, method: &str, path: &str) -> Call {
    let path = path
        .replace("{client_id}", &world.seed("report-hub").client_id)
        .replace("{login}", "alice@acme")
        .replace(['{', '}'], "");
    let call = Call::new(method, format!("{}{path}", world.issuer));
    if method == "GET" || method == "DELETE" { call } else { call.json(&json!({})) }
}

#[track_caller]
fn assert_refused(what: &str, answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{what}: {}", answer.text());
    assert!(answer.header("www-authenticate").starts_with("Bearer"), "{what}: {:?}", answer.headers);
    assert_eq!(answer.header("content-type"), "application/problem+json", "{what}");
    assert!(!answer.text().contains("report-hub"), "{what}: {}", answer.text());
}

/// The application of acme as it stands.
async fn standing(world: &World) -> Value {
    let path = format!("/applications/{}", world.seed("report-hub").client_id);
    world.api("acme", "GET", &path).send().await.expect(200)
}

/// What anyone may read. This list may only shrink.
const PUBLIC: &[&str] = &["/api/v1/openapi.json"];
