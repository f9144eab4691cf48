//! A call is allowed within the granted scopes, and refused beyond them with the next step.

use crate::support::raw::Raw;
use crate::support::{Person, Tokens, World};

#[tokio::test]
async fn it_allows_a_call_that_a_granted_scope_covers() {
    let world = World::start().await;
    let tokens = world.install("report-hub", "admin@acme", &["/acs/ecs"]).await;
    world.read_object(&tokens.access).await.expect(200);
    world.call("HEAD", "/oss/reports/q1.csv").bearer(&tokens.access).send().await.expect(200);
    world.call("GET", "/oss/reports").bearer(&tokens.access).send().await.expect(200);
    // A product's scope implies its reading and its writing part.
    for action in ["DescribeInstances", "StopInstance"] {
        world.rpc("ecs", action).bearer(&tokens.access).send().await.expect(200);
    }
}

#[tokio::test]
async fn it_refuses_a_call_beyond_them_and_says_which_scope_is_missing() {
    let world = World::start().await;
    let tokens = world.install("report-hub", "admin@acme", &["/acs/ecs:read"]).await;
    let (before, _) = world.seen().await;
    let refused = world.call("PUT", "/oss/reports/q1.csv").bearer(&tokens.access).body("x").send().await;
    refused.expect_problem(403, "insufficient_scope");
    let challenge = refused.header("www-authenticate");
    for part in ["error=\"insufficient_scope\"", "scope=\"", "/acs/oss:write", "resource_metadata=\"http"] {
        assert!(challenge.contains(part), "{part} is missing: {challenge}");
    }
    world
        .call("DELETE", "/oss/reports/q1.csv")
        .bearer(&tokens.access)
        .send()
        .await
        .expect_problem(403, "insufficient_scope");
    // Reading is granted, so writing is not.
    let stop = world.rpc("ecs", "StopInstance").bearer(&tokens.access).send().await;
    assert_eq!(stop.status, 403, "{}", stop.text());
    assert!(stop.text().contains("/acs/ecs"), "it names the scope: {}", stop.text());
    assert_eq!(world.seen().await.0, before, "nothing reached the upstream");
}

#[tokio::test]
async fn a_refusal_tells_a_declined_scope_from_one_that_was_never_offered() {
    let world = World::start().await;
    let tokens = world.install("report-hub", "admin@acme", &[]).await;
    let declined = world.rpc("ecs", "StopInstance").bearer(&tokens.access).send().await;
    let never = world.call("PUT", "/oss/reports/q1.csv").bearer(&tokens.access).body("x").send().await;
    assert_eq!((declined.status, never.status), (403, 403));
    assert!(declined.text().contains("declined"), "{}", declined.text());
    assert!(!never.text().contains("declined"), "{}", never.text());
}

#[tokio::test]
async fn a_token_asked_for_less_allows_less_than_the_grant() {
    let world = World::start().await;
    let application = world.application("report-hub");
    world.install("report-hub", "admin@acme", &["/acs/ecs"]).await;
    let attempt = application.ask_for("openid /acs/oss:read", &[]);
    let page = Person::new(&world, "alice@acme").visit(&attempt.url).await;
    let Tokens { access, scope, .. } = application.tokens(&attempt, &page).await;
    assert!(!scope.iter().any(|scope| scope.starts_with("/acs/ecs")), "{scope:?}");
    world.read_object(&access).await.expect(200);
    let refused = world.rpc("ecs", "DescribeInstances").bearer(&access).send().await;
    assert_eq!(refused.status, 403, "{}", refused.text());
}

#[tokio::test]
async fn a_token_never_allows_more_than_the_grant() {
    let world = World::start().await;
    let application = world.application("report-hub");
    world.install("report-hub", "admin@acme", &[]).await;
    // Alice's application asks for all that it could ever have.
    let tokens = world.sign_in("report-hub", "alice@acme").await;
    assert!(!tokens.scope.contains(&"/acs/ecs".to_owned()), "{:?}", tokens.scope);
    // One that is not the application's own is not even asked for.
    let attempt = application.ask_for("openid /acs/alidns", &[]);
    let page = Person::new(&world, "alice@acme").visit(&attempt.url).await;
    assert_eq!(page.returned("error").as_deref(), Some("invalid_scope"));
}

#[tokio::test]
async fn it_allows_a_resource_of_the_callers_account_and_refuses_one_of_another() {
    let world = World::start().await;
    let tokens = world.install("report-hub", "admin@acme", &[]).await;
    let read = |alias: &str| {
        let path = format!("/accounts/{}/oss/reports/q1.csv", world.account(alias).id);
        world.call("GET", &path).bearer(&tokens.access)
    };
    read("acme").send().await.expect(200);
    let (before, _) = world.seen().await;
    read("globex").send().await.expect_problem(403, "access_denied");
    assert_eq!(world.seen().await.0, before, "nothing reached the upstream");
}

#[tokio::test]
async fn it_refuses_a_second_operation_in_a_form_however_the_form_is_framed() {
    let world = World::start().await;
    let tokens = world.install("report-hub", "admin@acme", &["/acs/ecs:read"]).await;
    let (before, _) = world.seen().await;
    let form = "Action=DeleteInstance&InstanceId=i-1";
    for framing in [
        format!("content-length: {}\r\n\r\n{form}", form.len()),
        format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n{form}\r\n0\r\n\r\n", form.len()),
    ] {
        let mut raw = Raw::connect(&world.sidecar).await;
        raw.write(format!(
            "POST /ecs/ HTTP/1.1\r\nhost: cloud.test\r\nauthorization: Bearer {}\r\n\
             x-acs-action: DescribeInstances\r\ncontent-type: application/x-www-form-urlencoded\r\n{framing}",
            tokens.access
        ))
        .await;
        let answer = raw.answer().await;
        assert_eq!(answer.status, 400, "{framing}: {}", answer.body);
        assert!(answer.body.contains("action_ambiguous"), "{}", answer.body);
    }
    assert_eq!(world.seen().await.0, before, "nothing reached the upstream");
}
