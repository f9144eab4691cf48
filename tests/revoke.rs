//! Deleting an application ends its access everywhere, at once; suspending stops it until resumed.

use http_body_util::BodyExt as _;

use crate::support::eventually::in_time;
use crate::support::{Answer, Person, World, get};

#[tokio::test]
async fn deleting_answers_with_a_receipt_when_it_is_true_everywhere() {
    let world = World::start().await;
    let tokens = world.install("report-hub", "admin@acme", &[]).await;
    world.read_object(&tokens.access).await.expect(200);
    let (before, _) = world.seen().await;
    let path = format!("/applications/{}", world.seed("report-hub").client_id);
    let revision = world.api("acme", "GET", &path).send().await.expect(200)["revision"].as_u64();

    let receipt = world.delete_application("acme", "report-hub").await.expect(200);
    assert_eq!(receipt["effective"], true, "{receipt}");
    assert!(receipt["revision"].as_u64() > revision, "a revision only rises: {receipt}");
    assert!(receipt["elapsed_ms"].is_number() && receipt["streams_closed"].is_u64(), "{receipt}");
    for sidecar in receipt["sidecars"].as_array().unwrap() {
        let confirmed = sidecar["confirmed_ms"].is_number() || sidecar["stopped_by"].is_number();
        assert!(sidecar["id"].is_string() && confirmed, "{receipt}");
    }

    assert_dead(&world.read_object(&tokens.access).await);
    assert_eq!(world.seen().await.0, before, "nothing reached the upstream");
    assert!(world.installed("acme").await.is_empty());
}

#[tokio::test]
async fn deleting_kills_every_kind_of_token_and_the_codes_under_way() {
    let world = World::start().await;
    let application = world.application("report-hub");
    let tokens = world.install("report-hub", "admin@acme", &[]).await;
    let alice = world.sign_in("report-hub", "alice@acme").await;
    let attempt = application.ask();
    let page = Person::new(&world, "bob@acme").visit(&attempt.url).await;
    let code = application.code(&attempt, &page);
    assert_eq!(application.introspect(&alice.access).await["active"], true);

    world.delete_application("acme", "report-hub").await.expect(200);
    application.redeem(&attempt, &code).await.expect_oauth_error(400, "invalid_grant");
    for tokens in [&tokens, &alice] {
        assert_dead(&world.read_object(&tokens.access).await);
        application.refresh(&tokens.refresh).await.expect_oauth_error(400, "invalid_grant");
        let told = application.introspect(&tokens.access).await;
        assert_eq!(told, serde_json::json!({"active": false}), "and nothing else is told");
        let userinfo = get(format!("{}/v1/userinfo", world.issuer)).bearer(&tokens.access);
        userinfo.send().await.expect(401);
    }
}

#[tokio::test]
async fn deleting_in_one_account_leaves_the_other_accounts_alone() {
    let world = World::start().await;
    world.install("report-hub", "admin@acme", &[]).await;
    let globex = world.install("report-hub", "admin@globex", &[]).await;
    world.delete_application("acme", "report-hub").await.expect(200);
    world.read_object(&globex.access).await.expect(200);
    world.application("report-hub").refresh(&globex.refresh).await.expect(200);
}

#[tokio::test]
async fn an_open_stream_is_cut_and_counted() {
    let world = World::start().await;
    let tokens = world.install("report-hub", "admin@acme", &[]).await;
    let mut stream = world.call("GET", "/oss-watch/reports").bearer(&tokens.access).open().await;
    assert_eq!(stream.status(), 200);
    stream.body_mut().frame().await.unwrap().unwrap();
    let receipt = world.delete_application("acme", "report-hub").await.expect(200);
    assert_eq!(receipt["streams_closed"], 1, "{receipt}");
    let end = in_time("the stream ends", async {
        loop {
            match stream.body_mut().frame().await {
                Some(Ok(_)) => {}
                end => return end.is_some(),
            }
        }
    });
    assert!(end.await, "it breaks off, and does not pretend to be complete");
}

#[tokio::test]
async fn what_is_not_installed_cannot_be_deleted_nor_by_whom_it_does_not_concern() {
    let world = World::start().await;
    let tokens = world.install("report-hub", "admin@acme", &[]).await;
    let missing = world.delete_application("globex", "report-hub").await;
    missing.expect_problem(404, "not_installed");
    let missing = world.delete_application("acme", "desk-cli").await;
    missing.expect_problem(404, "not_installed");
    world.api("acme", "DELETE", "/applications/no-such-application").send().await.expect(404);
    world.read_object(&tokens.access).await.expect(200);
    world.delete_application("acme", "report-hub").await.expect(200);
    world.delete_application("acme", "report-hub").await.expect_problem(404, "not_installed");
}

#[tokio::test]
async fn deleting_without_waiting_is_accepted_and_takes_effect() {
    let world = World::start().await;
    let tokens = world.install("report-hub", "admin@acme", &[]).await;
    let path = format!("/applications/{}?wait=0", world.seed("report-hub").client_id);
    world.api("acme", "DELETE", &path).send().await.expect(202);
    crate::support::eventually("the token is dead", || async {
        let answer = world.read_object(&tokens.access).await;
        (answer.status != 200).then_some(())
    })
    .await;
    assert_dead(&world.read_object(&tokens.access).await);
}

#[tokio::test]
async fn suspending_stops_the_application_and_resuming_lets_it_go_on() {
    let world = World::start().await;
    let tokens = world.install("report-hub", "admin@acme", &[]).await;
    let path = format!("/applications/{}", world.seed("report-hub").client_id);
    let to = |verb: &str| world.api("acme", "POST", &format!("{path}/{verb}"));
    to("suspend").send().await.expect(200);
    let refused = world.read_object(&tokens.access).await;
    assert!([401, 403].contains(&refused.status), "{} {}", refused.status, refused.text());
    assert_eq!(world.api("acme", "GET", &path).send().await.expect(200)["state"], "suspended");

    to("resume").send().await.expect(200);
    assert_eq!(world.api("acme", "GET", &path).send().await.expect(200)["state"], "active");
    let tokens = world.sign_in("report-hub", "alice@acme").await;
    world.read_object(&tokens.access).await.expect(200);
}

/// Fails the test unless a call was refused since there is no grant for its token any more.
#[track_caller]
pub(crate) fn assert_dead(answer: &Answer) {
    let refusals = [(401, "invalid_token".into()), (403, "not_installed".into())];
    let refusal = (answer.status, answer.json()["code"].clone());
    assert!(refusals.contains(&refusal), "{} {}", answer.status, answer.text());
}
