//! Signed requests: an access token is exchanged for an access key, and what is signed with it counts at a sidecar for
//! no more, and no longer, than the token did. The cloud's own SDKs call, unmodified.

mod clients;
mod exchanges;
mod request;

use consentry::model::time::Clock;
use consentry::token::signature::{Parts, acs1};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::policy_files::copied;
use crate::support::application::{Tokens, random};
use crate::support::fleet::{Fleet, Lone};
use crate::support::raw::Raw;
use crate::support::world::run;
use crate::support::{Answer, Person, World, eventually, get, post};
use request::Sent;
pub(crate) use request::{Key, Signed};

#[tokio::test]
async fn a_request_that_proves_nothing_is_refused_in_the_clouds_own_words() {
    let mut fleet = Fleet::start().await;
    let sidecar = fleet.sidecar("proves").await;
    let world = &fleet.world;
    let tokens = world.install("report-hub", "admin@acme", &["/acs/ecs:read"]).await;
    world.install("report-hub", "admin@globex", &["/acs/ecs:read"]).await;
    let theirs = world.sign_in("report-hub", "eve@globex").await;
    let (mine, theirs) = (Key::of(world, &tokens).await, Key::of(world, &theirs).await);
    let good = || Signed::new(&mine, "DescribeInstances");
    let mut told = Vec::new();
    for (code, signed) in no_good(&mine, &theirs, &tokens.access) {
        let answer = signed.call(&sidecar.url).send().await;
        assert_eq!(answer.json()["Code"], code, "{} {}", answer.status, answer.text());
        assert!(answer.status >= 400 && !answer.text().contains(&mine.secret), "{}", answer.text());
        told.push(answer);
    }
    let long_lived = format!(
        "{}/?{}",
        sidecar.url,
        "AccessKeyId=LTAI&Signature=x&SignatureMethod=HMAC-SHA1&SignatureVersion=1.0&SignatureNonce=n&Action=DescribeInstances&Version=2014-05-26&Timestamp=2026-11-22T00:00:00Z"
    );
    told.push(get(long_lived).send().await);
    assert_eq!(told.last().unwrap().json()["Code"], "InvalidAccessKeyId.NotFound");
    assert_eq!(fleet.cloud.seen(), 0, "nothing has reached the upstream");

    // The same twice: once.
    let once = good().call(&sidecar.url);
    once.clone().send().await.expect(200);
    told.push(once.send().await);
    assert_eq!(told.last().unwrap().json()["Code"], "SignatureNonceUsed");
    assert_eq!(fleet.cloud.seen(), 1);

    has_a_record_each(&sidecar, &told, &mine, &world.account("acme").id).await;
}

const KNOWN: [&str; 3] = ["insufficient_scope", "access_denied", "signature_replayed"];

/// What proves nothing, or is of no use; and the cloud's code for it.
fn no_good(mine: &Key, theirs: &Key, token: &str) -> Vec<(&'static str, Signed)> {
    let good = || Signed::new(mine, "DescribeInstances");
    let with = |secret: &Key, token: &Key| Key { token: token.token.clone(), ..secret.clone() };
    vec![
        (
            "SignatureDoesNotMatch",
            Signed::new(&Key { secret: theirs.secret.clone(), ..mine.clone() }, "DescribeInstances"),
        ),
        ("InvalidSecurityToken.MismatchWithAccessKey", Signed::new(&with(mine, theirs), "DescribeInstances")),
        (
            "InvalidSecurityToken.Malformed",
            Signed::new(&Key { token: token.to_owned(), ..mine.clone() }, "DescribeInstances"),
        ),
        ("InvalidTimeStamp.Expired", good().at(-1000)),
        ("InvalidTimeStamp.Expired", good().at(1000)),
        ("IncompleteSignature", good().without("x-acs-signature-nonce")),
        ("InvalidAccessKeyId.NotFound", good().without("x-acs-security-token")),
        ("IncompleteSignature", good().signing_less("host")),
        ("IncompleteSignature", good().signing_less("x-acs-action")),
        ("SignatureDoesNotMatch", good().then("x-acs-action", "DescribeDisks")),
        ("SignatureDoesNotMatch", good().then_to("/?RegionId=cn-beijing")),
        ("SignatureDoesNotMatch", good().then_body("{}")),
        ("InvalidParameter", good().to("/?Action=StopInstance")),
        ("InvalidParameter", good().to("/?Version=2015-04-01")),
        ("InvalidParameter", good().to("/?InstanceId=i-1&InstanceId=i-2")),
        ("InvalidCredentials", good().then("x-acs-bearer-token", token)),
        ("NoPermission", Signed::new(mine, "StopInstance")),
        ("NoPermission", Signed::new(mine, "NoSuchAction")),
        ("NoPermission", good().to("/?OwnerId=1000000000000002")),
    ]
}

/// Each refusal has its record, for the reason that the answer gives; and it names who has proved to be it, and nobody else.
async fn has_a_record_each(sidecar: &Lone, told: &[Answer], key: &Key, account: &str) {
    let records = eventually("each is recorded", || async {
        Some(sidecar.records()).filter(|records| records.len() > told.len())
    })
    .await;
    for answer in told {
        let record = records.iter().find(|one| one["id"] == answer.header("x-consentry-decision"));
        let record = record.unwrap_or_else(|| panic!("no record: {}", answer.text()));
        let body = answer.json();
        let reason = body["AccessDeniedDetail"]["Reason"].as_str().unwrap();
        assert_eq!(
            (&record["code"], record["status"].as_u64()),
            (&json!(reason), Some(answer.status.into())),
            "{record}"
        );
        assert_ne!(record["outcome"], "forwarded", "{record}");
        // Who has signed the head is known by it, whatever the body is. Nobody else is named.
        let is_known = KNOWN.contains(&reason) || answer.text().contains("body is not the one");
        let named = record["account"].is_string() || record["principal"].is_string();
        assert_eq!(named, is_known, "{record}");
        assert!(!named || record["account"] == *account, "{record}");
        let text = record.to_string();
        assert!(!text.contains(&key.secret) && !text.contains(&key.token), "{text}");
    }
}

#[tokio::test]
async fn a_clock_may_be_a_minute_ahead_and_no_more() {
    let world = World::start().await;
    let tokens = world.install("report-hub", "admin@acme", &["/acs/ecs:read"]).await;
    let key = Key::of(&world, &tokens).await;
    Signed::new(&key, "DescribeInstances").at(50).call(&world.sidecar).send().await.expect(200);
    let ahead = Signed::new(&key, "DescribeInstances").at(90).call(&world.sidecar).send().await;
    assert_eq!(ahead.json()["Code"], "InvalidTimeStamp.Expired", "{}", ahead.text());
}

#[tokio::test]
async fn what_a_sidecar_has_seen_is_refused_by_the_one_that_is_started_in_its_place() {
    let mut fleet = Fleet::start().await;
    let tokens = fleet.world.install("report-hub", "admin@acme", &["/acs/ecs:read"]).await;
    let key = Key::of(&fleet.world, &tokens).await;
    let sidecar = fleet.sidecar_with_clock("signed-again").await;
    // As if some time went by between.
    sidecar.set_clock(-10);
    let captured = Signed::new(&key, "DescribeInstances").at(-10);
    captured.clone().call(&sidecar.url).send().await.expect(200);
    sidecar.set_clock(0);
    let first = sidecar.url.clone();
    let sidecar = Lone::start(sidecar.terminate().await).await;
    sidecar.until_ready().await;
    let before = fleet.cloud.seen();
    let refused = captured.call_to(&first, &sidecar.url).send().await;
    // In a form upon which clients sign anew.
    assert_eq!((refused.status, &refused.json()["Code"]), (503, &json!("ServiceUnavailable")));
    assert!(refused.text().contains("before this sidecar was started"), "{}", refused.text());
    assert_eq!(fleet.cloud.seen(), before);
    Signed::new(&key, "DescribeInstances").call(&sidecar.url).send().await.expect(200);
}

#[tokio::test]
async fn no_body_is_waited_for_where_the_head_says_enough() {
    let world = World::start().await;
    let tokens = world.install("report-hub", "admin@acme", &["/acs/ecs:read"]).await;
    let key = Key::of(&world, &tokens).await;
    let wrong = Key { secret: "x".repeat(43), ..key.clone() };
    let form = |key: &Key| {
        let form = ("content-type", "application/x-www-form-urlencoded");
        Signed::new(key, "DescribeInstances").header(form.0, form.1).body("InstanceId=i-1")
    };
    // A body is promised in each of these, and never comes.
    for (code, signed) in [
        ("SignatureDoesNotMatch", form(&wrong)),
        ("SignatureDoesNotMatch", form(&key).then("x-acs-action", "StopInstance")),
        ("InvalidTimeStamp.Expired", form(&key).at(-1000)),
        ("InvalidSecurityToken.Malformed", form(&Key { token: tokens.access.clone(), ..key.clone() })),
    ] {
        assert_eq!(head_alone(&world, signed.sent(&world.sidecar)).await["Code"], code);
    }
    assert_eq!(head_alone(&world, of_headers(&wrong, &world)).await["Code"], "SignatureDoesNotMatch");
    let seen = form(&key);
    seen.clone().call(&world.sidecar).send().await.expect(200);
    assert_eq!(head_alone(&world, seen.sent(&world.sidecar)).await["Code"], "SignatureNonceUsed");
    // Nor is it read where only the body could tell, once there is no grant that it could be read for.
    world.delete_application("acme", "report-hub").await.expect(200);
    for sent in [form(&key).sent(&world.sidecar), of_headers(&key, &world), of_parameters(&key)] {
        let told = head_alone(&world, sent).await;
        assert_eq!(told["AccessDeniedDetail"]["Reason"], "not_installed", "{told}");
        assert_eq!(told["AccessDeniedDetail"]["Application"], world.seed("report-hub").client_id.as_str());
    }
}

/// The answer to the head of a request that has a body, without the body.
async fn head_alone(world: &World, sent: Sent) -> Value {
    let mut raw = Raw::connect(&world.sidecar).await;
    let host = endpoint(world);
    let lines = sent.headers.iter().filter(|(name, _)| name != "host");
    let lines: String = lines.map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    raw.write(format!("POST {} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 14\r\n{lines}\r\n", sent.target))
        .await;
    serde_json::from_str(&raw.answer().await.body).unwrap()
}

/// Of a request with a body, as the first signature has it, of the ROA style.
fn of_headers(key: &Key, world: &World) -> Sent {
    let date = now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let mut headers = vec![
        ("content-md5", "mZFLkyvTelC5g8XnyQrpOw==".to_owned()),
        ("content-type", "application/json".to_owned()),
        ("date", date),
        ("x-acs-action", "DescribeInstances".to_owned()),
        ("x-acs-security-token", key.token.clone()),
        ("x-acs-signature-nonce", random()),
    ];
    let lines: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let parts = Parts { method: "POST", path: "/ecs/", query: "", headers: &lines };
    let signature = acs1::roa_signature(&key.secret, &parts);
    headers.push(("authorization", format!("acs {}:{signature}", key.id)));
    headers.push(("host", endpoint(world).to_owned()));
    let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Sent { target: "/ecs/".to_owned(), headers, body: "{}".to_owned() }
}

/// The same of the RPC style: without the form nobody can tell whether it fits.
fn of_parameters(key: &Key) -> Sent {
    let (nonce, at) = (random(), now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    let query = [
        ("Action", "DescribeInstances"),
        ("Version", "2014-05-26"),
        ("AccessKeyId", &key.id),
        ("SecurityToken", &key.token),
        ("SignatureMethod", "HMAC-SHA1"),
        ("SignatureVersion", "1.0"),
        ("SignatureNonce", &nonce),
        ("Timestamp", &at),
        ("Signature", "x"),
    ];
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    let headers = vec![("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned())];
    Sent { target: format!("/ecs/?{query}"), headers, body: String::new() }
}

#[tokio::test]
async fn a_large_signed_body_streams_and_goes_nowhere_when_it_is_another() {
    let world = World::start().await;
    let tokens = world.install("report-hub", "admin@acme", &["/acs/ecs:read"]).await;
    let key = Key::of(&world, &tokens).await;
    let large = "x".repeat(3 << 20);
    let send = |then: Option<String>| {
        let mut signed = Signed::new(&key, "DescribeInstances")
            .header("content-type", "application/octet-stream")
            .body(&large);
        if let Some(other) = then {
            signed = signed.then_body(&other);
        }
        signed.call(&world.sidecar)
    };
    let answer = send(None).send().await.expect(200);
    assert_eq!(answer["body"].as_str().unwrap().len(), large.len());
    let mut other = large.clone();
    other.replace_range(large.len() - 1.., "y");
    let refused = send(Some(other)).send().await;
    assert_eq!(refused.json()["Code"], "SignatureDoesNotMatch", "{}", refused.text());
    let seen = world.last_seen().await;
    assert!(seen["body"].as_str().unwrap().is_empty(), "the upstream has not had the whole of it");
}

#[tokio::test]
async fn a_sidecar_of_its_own_process_verifies_by_what_the_control_plane_tells_it() {
    let mut fleet = Fleet::start().await;
    let tokens = fleet.world.install("report-hub", "admin@acme", &["/acs/ecs:read"]).await;
    let sidecar = fleet.sidecar("signed-1").await;
    let key = Key::of(&fleet.world, &tokens).await;
    Signed::new(&key, "DescribeInstances").call(&sidecar.url).send().await.expect(200);
    // A key that is withdrawn takes all that was exchanged under it along.
    let data = fleet.world.data();
    let kid = crate::support::application::header(&key.token)["kid"].as_str().unwrap().to_owned();
    for verb in [&["rotate", "--notice", "0"][..], &["withdraw", &kid]] {
        let output = run(&[&["keys", "--data", data.to_str().unwrap()], verb].concat());
        assert!(output.status.success(), "{output:?}");
    }
    eventually("the key is good no more", || async {
        // A call that is under way at that moment is cut, and has no answer.
        let call = Signed::new(&key, "DescribeInstances").call(&sidecar.url);
        let answer = tokio::spawn(call.send()).await.ok()?;
        (answer.json()["Code"] == "InvalidSecurityToken.Malformed").then_some(())
    })
    .await;
    assert!(!sidecar.told().contains(&key.secret), "{}", sidecar.told());
}

#[tokio::test]
async fn a_call_that_names_several_things_is_asked_about_each_of_them() {
    let folder = copied();
    let guardrail = "@id(\"legal.instance\")\n@reason(\"It is under seal.\")\nforbid (\n  principal is Session,\n  \
                     action in Action::\"/acs/ecs\",\n  resource is Resource\n)\nwhen { resource.name == \
                     \"instance/i-sealed\" || (resource has region && resource.region == \"cn-sealed\") };\n";
    std::fs::write(folder.path().join("guardrails/sealed.cedar"), guardrail).unwrap();
    let world = World::start_with(&["--policies", folder.path().to_str().unwrap()]).await;
    let tokens = world.install("report-hub", "admin@acme", &["/acs/ecs"]).await;
    let key = Key::of(&world, &tokens).await;
    let ask = |query: &str| {
        Signed::new(&key, "StopInstances").to(&format!("/?{query}")).call(&world.sidecar).send()
    };
    ask("InstanceId.1=i-1&InstanceId.2=i-2&RegionId=cn-hangzhou").await.expect(200);
    let (before, _) = world.seen().await;
    for query in [
        "InstanceId.1=i-1&InstanceId.2=i-sealed",
        "InstanceId.1=i-sealed&InstanceId.2=i-1",
        "InstanceIds=%5B%22i-1%22%2C%22i-sealed%22%5D",
        "InstanceId.1=i-1&RegionId=cn-sealed",
        "ResourceType=instance&ResourceId.1=i-1&ResourceId.2=i-sealed",
        "InstanceId.1=i-1&ResourceId.1=i-sealed&ResourceType=Instance",
    ] {
        let refused = ask(query).await.expect_problem(403, "access_denied");
        assert!(refused["detail"].as_str().unwrap().contains("under seal"), "{query}: {refused}");
    }
    assert_eq!(world.seen().await.0, before, "nothing more has reached the upstream");
}

/// An application of the account's own, authorized for these scopes.
pub(crate) async fn first_party(world: &World, scopes: &[&str]) -> Tokens {
    let application = world.register("acme", "clusters", scopes).await;
    let attempt = application.ask();
    let page = Person::new(world, "bob@acme").visit(&attempt.url).await;
    application.tokens(&attempt, &page).await
}

/// Exchanges an access token.
pub(crate) async fn exchange(issuer: &str, access: &str) -> Value {
    let given = post(format!("{issuer}/v1/exchange")).bearer(access).send().await.expect(200);
    assert!(given["accessKeyId"].as_str().unwrap().starts_with("STS."), "{given}");
    assert!(!given["requestId"].as_str().unwrap().is_empty(), "{given}");
    given
}

fn now() -> Timestamp {
    Clock::system().now()
}

fn endpoint(world: &World) -> &str {
    world.sidecar.trim_start_matches("http://")
}

/// A product of the ROA style.
pub(crate) const CLUSTERS: &str = r#"{
    "service": "cs", "title": "Clusters",
    "scopes": [
        { "scope": "/acs/cs", "title": "Clusters", "consent": "Everything.", "risk": { "level": "high", "why": "All." } },
        { "scope": "/acs/cs:read", "title": "Clusters: look", "consent": "See them.",
          "risk": { "level": "low", "why": "Little." }, "actions": ["cs:DescribeClusterDetail", "cs:ListClusterNodes"] },
        { "scope": "/acs/cs:write", "title": "Clusters: change", "consent": "Change them.",
          "risk": { "level": "high", "why": "Much." }, "actions": ["cs:DeleteCluster"] }
    ],
    "calls": {
        "versions": ["2015-12-15"],
        "paths": [
            { "method": "GET", "path": "/clusters/{Id}", "operation": "DescribeClusterDetail", "resource": "cluster/{Id}" },
            { "method": "POST", "path": "/clusters/{Id}", "operation": "ListClusterNodes", "resource": "cluster/{Id}" },
            { "method": "DELETE", "path": "/clusters/{Id}", "operation": "DeleteCluster", "resource": "cluster/{Id}" }
        ]
    }
}"#;
