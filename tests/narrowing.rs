//! Token exchange (RFC 8693): an application makes its token narrower, never wider, and never another's.

use serde_json::{Value, json};

use crate::policy_files::copied;
use crate::support::application::claims;
use crate::support::fleet::Fleet;
use crate::support::script::Script;
use crate::support::{Answer, Application, World, eventually, post};

#[tokio::test]
async fn openid_client_exchanges_a_token_for_a_narrower_one() {
    exchanges("exchange.mjs", "openid-client").await;
}

#[tokio::test]
async fn oauth4webapi_exchanges_a_token_for_a_narrower_one() {
    exchanges("exchange.mjs", "oauth4webapi").await;
}

#[tokio::test]
async fn authlib_exchanges_a_token_for_a_narrower_one() {
    exchanges("exchange_authlib.py", "authlib").await;
}

async fn exchanges(script: &str, library: &str) {
    let world = World::start().await;
    let tokens = world.install("report-hub", "admin@acme", &["/acs/ecs"]).await;
    let application = world.application("report-hub");
    let mut script = Script::start(
        script,
        &json!({
            "library": library, "issuer": world.issuer,
            "client_id": application.client_id, "client_secret": application.secret, "token": tokens.access,
            "scope": "openid /acs/oss:read", "wider": "/acs/alidns", "resource": world.sidecar,
            "allowed": format!("{}/oss/reports/q1.csv", world.sidecar),
            "refused": format!("{}/ecs/?Action=StopInstance", world.sidecar),
        }),
    );
    let found = script.hear();
    assert!(found["supported"].as_array().unwrap().contains(&json!(GRANT_TYPE)), "{found}");
    assert_eq!((&found["allowed"], &found["refused_before"]), (&json!(200), &json!(200)), "{found}");
    assert_eq!(found["refused"], 403, "the new token has less: {found}");
    assert_eq!(found["narrow"]["issued_token_type"], ACCESS_TOKEN, "{found}");
    assert_eq!(found["narrow"]["scope"], "/acs/oss:read openid", "{found}");
    for (question, error) in
        [("wider", "invalid_scope"), ("elsewhere", "invalid_target"), ("no_token", "invalid_request")]
    {
        assert_eq!(found[question], error, "{question}: {found}");
    }
    let (old, new) = (claims(&tokens.access), claims(found["narrow"]["access_token"].as_str().unwrap()));
    for same in ["iss", "sub", "client_id", "aid", "uid", "type", "rev", "fam"] {
        assert_eq!(old[same], new[same], "{same}");
    }
    assert_eq!(new["aud"], world.sidecar.as_str());
    assert!(new["exp"].as_i64() <= old["exp"].as_i64() && new["jti"] != old["jti"], "{new}");
    assert!(new.get("act").is_none(), "the application acts for itself: {new}");

    world.delete_application("acme", "report-hub").await.expect(200);
    let after = script.ask(&json!({}));
    assert_eq!(after["exchange"], "invalid_request", "{after}");
    assert!([401, 403].contains(&after["call"].as_u64().unwrap()), "{after}");
    script.finish();
}

#[tokio::test]
async fn a_narrowed_token_never_becomes_wider_again() {
    let world = World::start().await;
    let tokens = world.install("report-hub", "admin@acme", &["/acs/ecs"]).await;
    let application = world.application("report-hub");
    let below = format!("{}/oss", world.sidecar);
    let narrow =
        exchange(&application, &tokens.access, &[("scope", "/acs/ecs:read"), ("audience", &below)]).await;
    let narrow = token(&narrow.expect(200));
    assert_eq!(
        (&claims(&narrow)["scope"], &claims(&narrow)["aud"]),
        (&json!("/acs/ecs:read"), &json!(below))
    );
    for scope in ["/acs/ecs", "/acs/ecs:write", "/acs/oss:read", "openid"] {
        exchange(&application, &narrow, &[("scope", scope)]).await.expect_oauth_error(400, "invalid_scope");
    }
    for place in [&world.issuer, &world.sidecar, &format!("{}/oss/../ecs", world.sidecar)] {
        exchange(&application, &narrow, &[("resource", place)])
            .await
            .expect_oauth_error(400, "invalid_target");
    }
    // The same again may be had, and lasts no longer.
    let again = token(&exchange(&application, &narrow, &[]).await.expect(200));
    assert_eq!(claims(&again)["scope"], "/acs/ecs:read");
    assert!(claims(&again)["exp"].as_i64() <= claims(&narrow)["exp"].as_i64());
}

#[tokio::test]
async fn a_token_for_a_place_is_good_there_and_below() {
    let world = World::start().await;
    let tokens = world.install("report-hub", "admin@acme", &["/acs/ecs"]).await;
    let ecs = narrowed_to(&world, &tokens.access, "/ecs/").await;
    world.rpc("ecs", "DescribeInstances").bearer(&ecs).send().await.expect(200);
    world.rpc("ecs", "StopInstance").header("x-acs-bearer-token", &ecs).send().await.expect(200);
    let oss = narrowed_to(&world, &tokens.access, "/oss/reports").await;
    for path in ["/oss/reports", "/oss/reports/q1.csv", "/oss/%72eports/a%20b"] {
        world.call("GET", path).bearer(&oss).send().await.expect(200);
    }
    // All of a sidecar is a place where every call is.
    let all = narrowed_to(&world, &tokens.access, "/").await;
    world.rpc("ecs", "DescribeInstances").bearer(&all).send().await.expect(200);
    world.read_object(&all).await.expect(200);
}

#[tokio::test]
async fn a_token_for_a_place_is_refused_everywhere_else() {
    let world = World::start().await;
    let tokens = world.install("report-hub", "admin@acme", &["/acs/ecs"]).await;
    let (ecs, oss) = (
        narrowed_to(&world, &tokens.access, "/ecs/").await,
        narrowed_to(&world, &tokens.access, "/oss/reports").await,
    );
    // Where it is good.
    world.rpc("ecs", "DescribeInstances").bearer(&ecs).send().await.expect(200);
    let (before, _) = world.seen().await;
    let account = &world.account("acme").id;
    let read = |path: &str, token: &str| world.call("GET", path).bearer(token).send();
    for (told, refused) in [
        ("/ecs", world.read_object(&ecs).await),
        ("/ecs", world.rpc("alidns", "DescribeDomainRecords").bearer(&ecs).send().await),
        ("/ecs", world.call("POST", "/?Action=DescribeInstances").bearer(&ecs).send().await),
        (
            "/ecs",
            world
                .call("POST", "/")
                .header("x-acs-action", "DescribeInstances")
                .header("x-acs-bearer-token", &ecs)
                .send()
                .await,
        ),
        ("/oss/reports", world.rpc("ecs", "DescribeInstances").bearer(&oss).send().await),
        ("/oss/reports", read("/oss/reports2/q1.csv", &oss).await),
        ("/oss/reports", read("/oss/report", &oss).await),
        ("/oss/reports", read("/oss-watch/reports", &oss).await),
        ("/oss/reports", read(&format!("/accounts/{account}/oss/reports/q1.csv"), &oss).await),
    ] {
        let problem = refused.expect_problem(401, "invalid_token");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(&format!("is for {told} and what is below it")), "{problem}");
    }
    assert_eq!(world.seen().await.0, before, "nothing has reached the upstream");
}

/// What `token` becomes at a place of the world's sidecar.
async fn narrowed_to(world: &World, token_before: &str, path: &str) -> String {
    let place = format!("{}{path}", world.sidecar);
    let narrow = exchange(&world.application("report-hub"), token_before, &[("resource", &place)]).await;
    token(&narrow.expect(200))
}

#[tokio::test]
async fn an_application_exchanges_its_own_tokens_only() {
    let world = World::start().await;
    let theirs = world.install("report-hub", "admin@acme", &[]).await;
    let own = world.install("desk-cli", "admin@acme", &[]).await;
    let desk = world.application("desk-cli");
    exchange(&desk, &theirs.access, &[]).await.expect_oauth_error(400, "invalid_request");
    exchange(&desk, &own.access, &[]).await.expect(200);
    // A refresh token, an ID token and a token of somebody who acts are none that could be exchanged.
    for other in [&own.refresh, &own.id] {
        exchange(&desk, other, &[]).await.expect_oauth_error(400, "invalid_request");
    }
    let acting = [("actor_token", own.access.as_str()), ("actor_token_type", ACCESS_TOKEN)];
    exchange(&desk, &own.access, &acting).await.expect_oauth_error(400, "invalid_request");
    let mut stranger = world.application("report-hub");
    stranger.secret = Some("not-the-secret-of-this-application".to_owned());
    exchange(&stranger, &theirs.access, &[]).await.expect_oauth_error(401, "invalid_client");
}

#[tokio::test]
async fn a_narrowed_token_ends_with_its_family_and_is_in_the_audit() {
    let world = World::start().await;
    let tokens = world.install("report-hub", "admin@acme", &[]).await;
    let application = world.application("report-hub");
    let narrow =
        token(&exchange(&application, &tokens.access, &[("scope", "/acs/oss:read")]).await.expect(200));
    world.read_object(&narrow).await.expect(200);
    let audit = world.api("acme", "GET", "/audit?event=token.exchange").send().await.expect(200);
    let told = audit.to_string();
    assert!(
        told.contains("token.exchange") && told.contains(claims(&narrow)["jti"].as_str().unwrap()),
        "{told}"
    );
    assert!(!told.contains(&narrow), "a token is in no record");
    // Giving back the narrow one ends all that came of the authorization.
    application.revoke(&narrow).await.expect(200);
    for dead in [&narrow, &tokens.access] {
        assert!([401, 403].contains(&world.read_object(dead).await.status));
        exchange(&application, dead, &[]).await.expect_oauth_error(400, "invalid_request");
    }
}

#[tokio::test]
async fn a_guardrail_forbids_one_application_to_exchange_and_another_goes_on() {
    let folder = copied();
    let world = World::start_with(&["--policies", folder.path().to_str().unwrap()]).await;
    let (hub, desk) = (world.application("report-hub"), world.application("desk-cli"));
    let theirs = world.install("report-hub", "admin@acme", &["/acs/ecs"]).await;
    let others = world.install("desk-cli", "admin@acme", &[]).await;
    let key = |token: &str| post(format!("{}/v1/exchange", world.issuer)).bearer(token);
    exchange(&hub, &theirs.access, &[]).await.expect(200);
    key(&theirs.access).send().await.expect(200);
    let below = format!("{}/oss", world.sidecar);
    let guardrail = GUARDRAIL.replace("CLIENT_ID", &hub.client_id).replace("PLACE", &below);
    std::fs::write(folder.path().join("guardrails/exports.cedar"), guardrail).unwrap();
    let refused = eventually("the new guardrail forbids", || async {
        let answer = key(&theirs.access).send().await;
        (answer.status != 200).then_some(answer)
    })
    .await;
    refused.expect_oauth_error(403, "access_denied");
    let told = refused.json()["error_description"].as_str().unwrap().to_owned();
    for part in
        ["Nothing leaves the report hub.", "exports.no-keys", "Ask the people who keep the guardrails"]
    {
        assert!(told.contains(part), "{part}: {told}");
    }
    // However the place is spelled, and where it is what the token is for already.
    for place in [below.clone(), format!("{below}/"), below.replace("oss", "%6fss")] {
        let refused = exchange(&hub, &theirs.access, &[("resource", &place)]).await;
        refused.expect_oauth_error(400, "invalid_request");
        let told = refused.json()["error_description"].as_str().unwrap().to_owned();
        assert!(told.contains("No tokens for the files.") && told.contains("exports.no-tokens"), "{told}");
    }
    let elsewhere = exchange(&hub, &theirs.access, &[("scope", "/acs/ecs:read")]).await;
    world.rpc("ecs", "DescribeInstances").bearer(&token(&elsewhere.expect(200))).send().await.expect(200);
    exchange(&desk, &others.access, &[("resource", &below)]).await.expect(200);
    key(&others.access).send().await.expect(200);

    let audit =
        world.api("acme", "GET", "/audit?event=refused.exchange").send().await.expect(200).to_string();
    for part in [
        "identity:ExchangeCredential",
        "exports.no-keys",
        "identity:ExchangeToken",
        "exports.no-tokens",
        &below,
    ] {
        assert!(audit.contains(part), "{part}: {audit}");
    }
    assert!(!audit.contains(&desk.client_id) && !audit.contains(&theirs.access), "{audit}");
    let others = world.api("globex", "GET", "/audit?event=refused.exchange").send().await.expect(200);
    assert!(!others.to_string().contains("exports."), "another account is told nothing: {others}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_sidecar_answers_is_decided_by_its_own_action_alone() {
    let folder = copied();
    let guardrail = "@id(\"exports.no-keys\")\n@reason(\"None.\")\nforbid (principal is Session, action == \
                     Action::\"identity:ExchangeCredential\", resource is Resource);\n";
    std::fs::write(folder.path().join("guardrails/exports.cedar"), guardrail).unwrap();
    let policies = format!("policies = \"{}\"", folder.path().display());
    let mut fleet = Fleet::asleep_with(&policies, "").await;
    fleet.wake().await;
    let (_, tokens) = fleet.world.published("explicit", &["/acs/sts"]).await;
    let invited = fleet.invite("explicit", &[]);
    let route = "[[route]]\npath = \"/sts/\"\nadapter = \"acs\"\nproduct = \"sts\"\n";
    let sidecar = fleet.lone("explicit", &invited, route).await;
    sidecar.until_ready().await;
    let account = &fleet.world.account("acme").id;
    let asked = format!(
        "{}/sts/?Action=AssumeRole&Version=2015-04-01&RoleArn=acs:ram::{account}:role/reader&RoleSessionName=alice",
        sidecar.url
    );
    let given = post(&asked).bearer(&tokens.access).send().await.expect(200);
    assert!(given["Credentials"]["SecurityToken"].is_string(), "{given}");
    let key = post(format!("{}/v1/exchange", fleet.world.issuer)).bearer(&tokens.access);
    key.clone().send().await.expect_oauth_error(403, "access_denied");
    // And the other way round.
    let own = guardrail.replace("identity:ExchangeCredential", "sts:AssumeRole");
    std::fs::write(folder.path().join("guardrails/exports.cedar"), own).unwrap();
    eventually("the sidecar has the other guardrail", || async {
        (post(&asked).bearer(&tokens.access).send().await.status == 403).then_some(())
    })
    .await;
    key.send().await.expect(200);
}

/// One application gets no keys, and no tokens for one place.
const GUARDRAIL: &str = r#"@id("exports.no-keys")
@reason("Nothing leaves the report hub.")
forbid (
  principal in Application::"CLIENT_ID",
  action == Action::"identity:ExchangeCredential",
  resource is Resource
);

@id("exports.no-tokens")
@reason("No tokens for the files.")
forbid (
  principal in Application::"CLIENT_ID",
  action == Action::"identity:ExchangeToken",
  resource is Resource
)
when { resource.name == "PLACE" };
"#;

async fn exchange(application: &Application, subject: &str, more: &[(&str, &str)]) -> Answer {
    let fields =
        [("grant_type", GRANT_TYPE), ("subject_token", subject), ("subject_token_type", ACCESS_TOKEN)];
    application.token(&[&fields, more].concat()).await
}

#[track_caller]
fn token(body: &Value) -> String {
    body["access_token"].as_str().unwrap().to_owned()
}

const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
