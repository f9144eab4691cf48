//! The upstream learns for whom a call is made by a short-lived assertion, and by nothing else: neither the
//! application's own credential nor a header that imitates ours ever arrives.

use crate::support::application::claims;
use crate::support::{World, get};

#[tokio::test]
async fn the_upstream_receives_the_users_assumed_identity() {
    let world = World::start().await;
    world.install("report-hub", "admin@acme", &["/acs/ecs:read"]).await;
    let tokens = world.sign_in("report-hub", "alice@acme").await;
    let identity = world.read_object(&tokens.access).await.expect(200)["identity"].clone();
    let token = claims(&tokens.access);

    assert_eq!(identity["iss"], world.issuer.as_str());
    assert_eq!(identity["sub"], token["sub"]);
    assert_eq!(identity["aid"], world.account("acme").id.as_str());
    assert_eq!(identity["type"], "user");
    assert_ne!(identity["uid"], identity["aid"], "a user's own id");
    assert_eq!(identity["act"]["sub"], world.seed("report-hub").client_id.as_str());
    let scope = identity["scope"].as_str().unwrap();
    assert!(scope.contains("/acs/oss:read") && !scope.contains("/acs/oss:write"), "{scope}");
    assert!(identity["grant"].is_string() && identity["rev"].is_u64(), "{identity}");
    let life = identity["exp"].as_i64().unwrap() - identity["iat"].as_i64().unwrap();
    assert!((1..=60).contains(&life), "{identity}");
    assert_ne!(identity["aud"], token["aud"], "it is for the upstream, not for the sidecar");
}

#[tokio::test]
async fn the_root_identity_is_told_from_a_user() {
    let world = World::start().await;
    let tokens = world.install("report-hub", "root@acme", &[]).await;
    let identity = world.read_object(&tokens.access).await.expect(200)["identity"].clone();
    assert_eq!(identity["type"], "account");
    assert_eq!(identity["uid"], identity["aid"]);
}

#[tokio::test]
async fn the_applications_own_credential_never_arrives() {
    let world = World::start().await;
    let tokens = world.install("report-hub", "admin@acme", &["/acs/ecs:read"]).await;
    world.read_object(&tokens.access).await.expect(200);
    let call = world.rpc("ecs", "DescribeInstances").header("x-acs-bearer-token", &tokens.access);
    call.header("x-acs-signature-type", "BEARERTOKEN").send().await.expect(200);
    let seen = world.seen().await.1;
    assert_eq!(seen.len(), 2);
    for seen in seen {
        let text = seen.to_string();
        assert!(!text.contains(&tokens.access), "{text}");
        let assertion = seen["headers"]["authorization"].as_str().unwrap();
        assert!(assertion.starts_with("Bearer "), "{assertion}");
        assert!(seen["headers"].get("x-acs-bearer-token").is_none(), "{text}");
    }
    // Presenting two credentials is no way to choose one.
    let two = world.rpc("ecs", "DescribeInstances").bearer(&tokens.access);
    let two = two.header("x-acs-bearer-token", &tokens.access).header("authorization", "Bearer other");
    let two = two.send().await;
    assert!([400, 401].contains(&two.status), "{}", two.status);
}

#[tokio::test]
async fn headers_that_imitate_ours_do_not_arrive_and_ordinary_ones_do() {
    let world = World::start().await;
    let tokens = world.install("report-hub", "admin@acme", &[]).await;
    let mut call = world.call("GET", "/oss/reports/q1.csv").bearer(&tokens.access);
    let spoofed = [
        "x-consentry-identity",
        "x-consentry-decision",
        "X_Consentry_Account",
        "x-forwarded-user",
        "x-forwarded-for",
        "forwarded",
        "x-original-url",
        "x-rewrite-url",
        "x-http-method-override",
        "proxy-authorization",
    ];
    for name in spoofed {
        call = call.header(name, "for=evil");
    }
    call.header("x-request-note", "kept").header("accept", "text/csv").send().await.expect(200);
    let seen = world.last_seen().await;
    assert!(!seen["headers"].to_string().contains("evil"), "{seen}");
    assert_eq!(seen["headers"]["x-request-note"], "kept");
    assert_eq!(seen["headers"]["accept"], "text/csv");
}

#[tokio::test]
async fn the_upstream_accepts_nobody_who_comes_round_the_sidecar() {
    let world = World::start().await;
    let tokens = world.install("report-hub", "admin@acme", &[]).await;
    let direct = || get(format!("{}/oss/reports/q1.csv", world.upstream));
    direct().send().await.expect(401);
    direct().bearer(&tokens.access).send().await.expect(401);
    direct().bearer(&world.account("acme").api_token).send().await.expect(401);
    // And an assertion is worth nothing at the sidecar or at the issuer.
    world.read_object(&tokens.access).await.expect(200);
    let seen = world.last_seen().await["headers"]["authorization"].as_str().unwrap().to_owned();
    let assertion = seen.trim_start_matches("Bearer ");
    world.read_object(assertion).await.expect_problem(401, "invalid_token");
    get(format!("{}/v1/userinfo", world.issuer)).bearer(assertion).send().await.expect(401);
}

#[tokio::test]
async fn the_action_that_is_decided_is_the_action_that_is_done() {
    let world = World::start().await;
    let tokens = world.install("report-hub", "admin@acme", &["/acs/ecs:read"]).await;
    let (before, _) = world.seen().await;
    // Two places name the action, and they differ.
    let call = world.call("POST", "/ecs/?Action=StopInstance").bearer(&tokens.access);
    let refused = call.header("x-acs-action", "DescribeInstances").send().await;
    refused.expect(400);
    let twice = world.call("POST", "/ecs/?Action=DescribeInstances&Action=StopInstance");
    twice.bearer(&tokens.access).send().await.expect(400);
    let body = world.call("POST", "/ecs/?Action=DescribeInstances").bearer(&tokens.access);
    body.form(&[("Action", "StopInstance")]).send().await.expect(400);
    let none = world.call("POST", "/ecs/").bearer(&tokens.access).send().await;
    none.expect(400);
    assert_eq!(world.seen().await.0, before, "nothing reached the upstream");
    // When they agree, it goes on.
    let call = world.call("POST", "/ecs/?Action=DescribeInstances").bearer(&tokens.access);
    call.header("x-acs-action", "DescribeInstances").send().await.expect(200);
}
