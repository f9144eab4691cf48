//! What is not known to be allowed is refused, and does not reach the upstream.

use crate::support::application::{claims, header};
use crate::support::{World, get};

#[tokio::test]
async fn what_no_route_names_is_refused() {
    let world = World::start().await;
    let tokens = world.install("report-hub", "admin@acme", &["/acs/ecs"]).await;
    let (before, _) = world.seen().await;
    for (method, path) in [
        ("GET", "/"),
        ("GET", "/nowhere"),
        ("GET", "/oss"),
        ("GET", "/OSS/reports/q1.csv"),
        ("GET", "/_seen"),
        ("POST", "/oss/reports/q1.csv"),
        ("PATCH", "/oss/reports/q1.csv"),
        ("DELETE", "/oss/reports"),
        ("POST", "/ecs/instances"),
        ("GET", "/accounts//oss/reports/q1.csv"),
        ("GET", "/livez"),
        ("GET", "/metrics"),
    ] {
        let refused = world.call(method, path).bearer(&tokens.access).send().await;
        assert!([400, 403, 404, 405].contains(&refused.status), "{method} {path}: {}", refused.status);
        assert!(!refused.header("x-consentry-decision").is_empty(), "{method} {path} has its record");
    }
    let unknown = world.rpc("ecs", "NoSuchAction").bearer(&tokens.access).send().await;
    assert_eq!(unknown.status, 403, "{}", unknown.text());
    assert_eq!(world.seen().await.0, before, "nothing reached the upstream");
}

#[tokio::test]
async fn a_token_that_was_changed_or_is_for_something_else_is_refused() {
    let world = World::start().await;
    let tokens = world.install("report-hub", "admin@acme", &[]).await;
    world.read_object(&tokens.access).await.expect(200);
    let parts: Vec<_> = tokens.access.split('.').collect();
    let wider = claims(&tokens.access).to_string().replace("/acs/oss:read", "/acs/oss");
    let header = header(&tokens.access).to_string().replace("at+jwt", "JWT");
    let none = r#"{"alg":"none","typ":"at+jwt"}"#;
    let encode = |text: &str| {
        use base64::Engine as _;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text)
    };
    for token in [
        format!("{}.{}.{}", parts[0], encode(&wider), parts[2]),
        format!("{}.{}.{}", encode(&header), parts[1], parts[2]),
        format!("{}.{}.", encode(none), parts[1]),
        format!("{}.{}.", parts[0], parts[1]),
        tokens.id.clone(),
        tokens.refresh.clone(),
    ] {
        let refused = world.read_object(&token).await;
        refused.expect_problem(401, "invalid_token");
    }
    // The address and a form body are no places for a credential.
    let query = format!("/oss/reports/q1.csv?access_token={}", tokens.access);
    world.call("GET", &query).send().await.expect(401);
}

#[tokio::test]
async fn identity_scopes_alone_open_userinfo_and_no_service() {
    let world = World::start().await;
    let application = world.application("report-hub");
    world.install("report-hub", "admin@acme", &[]).await;
    let attempt = application.ask_for("openid profile", &[]);
    let page = crate::support::Person::new(&world, "alice@acme").visit(&attempt.url).await;
    let tokens = application.tokens(&attempt, &page).await;
    get(format!("{}/v1/userinfo", world.issuer)).bearer(&tokens.access).send().await.expect(200);
    world.read_object(&tokens.access).await.expect_problem(403, "insufficient_scope");
    world.read_object(&tokens.id).await.expect_problem(401, "invalid_token");
}

#[tokio::test]
async fn an_official_application_is_not_open_to_an_account_that_has_not_installed_it() {
    let world = World::start().await;
    let page = world.first_access(&world.application("openapi-mcp-server"), "alice@acme").await;
    assert!(!page.has_left() && page.status == 403, "{} {}", page.status, page.text());
}
