//! What an access token is exchanged for: a key for as much as the token or less, for as long or shorter, and no token
//! itself.

use jiff::{SignedDuration, Timestamp};

use super::now;
use super::request::{Key, Signed};
use crate::support::application::Tokens;
use crate::support::fleet::Fleet;
use crate::support::{World, eventually, get, post};

#[tokio::test]
async fn neither_half_of_an_exchanged_credential_is_a_bearer_token_nor_can_it_be_exchanged_again() {
    let world = World::start().await;
    let tokens = world.install("report-hub", "admin@acme", &["/acs/ecs:read"]).await;
    let key = Key::of(&world, &tokens).await;
    // Also once the sidecar knows the token.
    Signed::new(&key, "DescribeInstances").call(&world.sidecar).send().await.expect(200);
    for half in [&key.token, &key.secret, &key.id] {
        world.read_object(half).await.expect_problem(401, "invalid_token");
        let rpc = world.rpc("ecs", "DescribeInstances").header("x-acs-bearer-token", half);
        rpc.send().await.expect_problem(401, "invalid_token");
        get(format!("{}/v1/userinfo", world.issuer)).bearer(half).send().await.expect(401);
        post(format!("{}/v1/exchange", world.issuer)).bearer(half).send().await.expect(401);
    }
    post(format!("{}/v1/exchange", world.issuer)).send().await.expect(401);
    post(format!("{}/v1/exchange", world.issuer))
        .bearer(&world.account("acme").api_token)
        .send()
        .await
        .expect(401);
}

#[tokio::test]
async fn what_was_exchanged_for_a_token_of_one_place_is_good_there_alone() {
    let world = World::start().await;
    let tokens = world.install("report-hub", "admin@acme", &["/acs/ecs"]).await;
    let place = format!("{}/ecs/", world.sidecar);
    let asked = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token", &tokens.access),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ("resource", &place),
    ];
    let narrow = world.application("report-hub").token(&asked).await.expect(200);
    let narrow = Tokens { access: narrow["access_token"].as_str().unwrap().to_owned(), ..tokens };
    let key = Key::of(&world, &narrow).await;
    let call = |target: &str| Signed::new(&key, "DescribeInstances").to(target).call(&world.sidecar).send();
    call("/ecs/").await.expect(200);
    let (before, _) = world.seen().await;
    let refused = call("/").await;
    assert_eq!(refused.json()["Code"], "InvalidSecurityToken.Malformed", "{}", refused.text());
    assert!(refused.text().contains("is for /ecs and what is below it"), "{}", refused.text());
    let other = Signed::new(&key, "DescribeDomainRecords").to("/alidns/").without("x-acs-version");
    let other = other.header("x-acs-version", "2015-01-09").call(&world.sidecar).send().await;
    assert_eq!(other.json()["Code"], "InvalidSecurityToken.Malformed", "{}", other.text());
    assert_eq!(world.seen().await.0, before, "nothing more has reached the upstream");
    call("/ecs/").await.expect(200);
}

#[tokio::test]
async fn a_credential_whose_grant_is_gone_takes_no_room_from_those_that_stand() {
    let mut fleet = Fleet::start().await;
    let tokens = fleet.world.install("report-hub", "admin@acme", &["/acs/ecs:read"]).await;
    let dead = Key::of(&fleet.world, &tokens).await;
    fleet.world.delete_application("acme", "report-hub").await.expect(200);
    let tokens = fleet.world.install("report-hub", "admin@acme", &["/acs/ecs:read"]).await;
    let key = Key::of(&fleet.world, &tokens).await;
    // There is room for as good as nothing.
    let invited = fleet.invite("narrow", &[]);
    let sidecar = fleet.lone("narrow", &invited, "[limits]\nnonces = 32\n").await;
    sidecar.until_ready().await;
    let call = |key: &Key| Signed::new(key, "DescribeInstances").call(&sidecar.url).send();
    for _ in 0..100 {
        let refused = call(&dead).await;
        assert_eq!(refused.json()["Code"], "InvalidBearerToken", "{}", refused.text());
    }
    call(&key).await.expect(200);
    // Who has a standing does take room, until there is none.
    let mut last = 200;
    for _ in 0..200 {
        last = if last == 200 { call(&key).await.status } else { last };
    }
    assert_eq!(last, 503);
}

#[tokio::test]
async fn an_exchange_may_ask_for_less_and_not_for_more_and_is_in_the_audit() {
    let world = World::start().await;
    let tokens = world.install("report-hub", "admin@acme", &["/acs/ecs"]).await;
    let ask = |fields: &[(&str, &str)]| {
        post(format!("{}/v1/exchange", world.issuer)).bearer(&tokens.access).form(fields).send()
    };
    let less = ask(&[("scope", "/acs/ecs:read"), ("duration_seconds", "60")]).await.expect(200);
    let ends: Timestamp = less["expiration"].as_str().unwrap().parse().unwrap();
    let left = ends.duration_since(now());
    assert!(left <= SignedDuration::from_secs(60) && left > SignedDuration::from_secs(30), "{left:?}");
    let less = Key::from(&less);
    Signed::new(&less, "DescribeInstances").call(&world.sidecar).send().await.expect(200);
    Signed::new(&less, "StopInstance")
        .call(&world.sidecar)
        .send()
        .await
        .expect_problem(403, "insufficient_scope");
    let all = Key::of(&world, &tokens).await;
    Signed::new(&all, "StopInstance").call(&world.sidecar).send().await.expect(200);

    ask(&[("scope", "/acs/alidns")]).await.expect_oauth_error(400, "invalid_scope");
    ask(&[("duration_seconds", "0")]).await.expect_oauth_error(400, "invalid_request");
    let long = ask(&[("duration_seconds", "86400")]).await.expect(200);
    let ends: Timestamp = long["expiration"].as_str().unwrap().parse().unwrap();
    assert!(ends.duration_since(now()) <= SignedDuration::from_mins(15));

    let short = Key::from(&ask(&[("duration_seconds", "1")]).await.expect(200));
    eventually("its time is over", || async {
        let answer = Signed::new(&short, "DescribeInstances").call(&world.sidecar).send().await;
        (answer.json()["Code"] == "InvalidSecurityToken.Expired").then_some(())
    })
    .await;

    let audit = world.api("acme", "GET", "/audit").send().await.expect(200).to_string();
    assert!(audit.contains("credential.exchange") && audit.contains(&less.id), "{audit}");
    assert!(!audit.contains(&less.secret) && !audit.contains(&less.token));
    let metadata =
        get(format!("{}/.well-known/oauth-authorization-server", world.issuer)).send().await.expect(200);
    assert_eq!(metadata["consentry_exchange_endpoint"], format!("{}/v1/exchange", world.issuer));
}

#[tokio::test]
async fn who_exchanges_again_and_again_is_told_to_wait() {
    let world = World::start().await;
    let tokens = world.install("report-hub", "admin@acme", &[]).await;
    let ask = || post(format!("{}/v1/exchange", world.issuer)).bearer(&tokens.access);
    let mut answer = ask().send().await;
    for _ in 0..60 {
        answer.expect(200);
        answer = ask().send().await;
    }
    answer.expect_oauth_error(429, "slow_down");
    assert!(answer.header("retry-after").parse::<u32>().unwrap() > 0);
}
