//! Calls to Alibaba Cloud are signed anew with a role of the caller's account, whoever signed them before. The clients are
//! the cloud's own SDKs, unmodified; the upstream is a script of ours that verifies every signature.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::policy_files::copied;
use crate::signed::{CLUSTERS, exchange};
use crate::support::Person;
use crate::support::fleet::{Fleet, Lone};
use crate::support::script::Script;

#[tokio::test]
async fn calls_to_alibaba_cloud_are_signed_with_a_role_of_the_callers_account() {
    let mut cloud = Script::start("acs_cloud.py", &json!({}));
    let told = cloud.hear();
    let folder = copied();
    std::fs::write(folder.path().join("scopes/cs.json"), CLUSTERS).unwrap();
    let mut fleet = Fleet::asleep_with(&format!("policies = \"{}\"", folder.path().display()), "").await;
    fleet.wake().await;
    let tokens = fleet.world.install("report-hub", "admin@acme", &["/acs/ecs:read"]).await;
    let (token, key) = (fleet.invite("acs", &[]), fleet.keep_cloud_key(&told["key"]));
    let settings =
        SETTINGS.replace("CLOUD", told["url"].as_str().unwrap()).replace("KEY", &key.display().to_string());
    let sidecar = fleet.lone("acs", &token, &settings).await;
    sidecar.until_ready().await;

    let world = &fleet.world;
    let call = |action: &str| world.rpc("servers", action).header("x-acs-version", "2014-05-26");
    let bearer = &tokens.access;
    for _ in 0..2 {
        call("DescribeInstances").header("x-acs-bearer-token", bearer).send().await.expect(200);
    }
    let named =
        world.call("POST", "/servers/?RegionId=cn-hangzhou&Name=a%20b%2B%C3%BC~%2A&Empty=").bearer(bearer);
    let named = named.header("x-acs-action", "DescribeDisks").header("x-acs-version", "2014-05-26");
    named.send().await.expect(200);
    let form = call("DescribeDisks").bearer(bearer).form(&[("Tag.1.Value", "x & y")]).send().await;
    form.expect(200);
    // As clients of old name it.
    let old = world.call("POST", "/servers/?Action=DescribeDisks&Version=2014-05-26").bearer(bearer);
    old.send().await.expect(200);
    // What was not granted is neither asked for nor signed.
    call("StopInstance").bearer(bearer).send().await.expect(403);

    let seen = arrived(&mut cloud);
    assert!(seen.iter().all(|one| one["why"].is_null()), "every signature was good: {seen:?}");
    let (asked, signed): (Vec<_>, Vec<_>) =
        seen.iter().partition(|one| one["headers"]["x-acs-action"] == "AssumeRole");
    assert_eq!((asked.len(), signed.len()), (1, 5), "one role for all: {seen:?}");
    assert!(signed.iter().all(|one| one["headers"]["x-acs-version"] == "2014-05-26"), "{signed:?}");
    let form = &asked[0]["form"];
    let account = &world.account("acme").id;
    assert_eq!(form["RoleArn"], format!("acs:ram::{account}:role/consentry"), "{form}");
    let client_id = &world.seed("report-hub").client_id;
    assert_eq!(form["RoleSessionName"], format!("admin@acme.{client_id}"), "{form}");
    assert!(form["SourceIdentity"].as_str().unwrap().starts_with("admin@acme.user."), "{form}");
    let policy = form["Policy"].as_str().unwrap();
    assert!(policy.contains("ecs:DescribeInstances") && !policy.contains("ecs:StopInstance"), "{policy}");
    assert!(!policy.contains("oss:"), "for the called service alone: {policy}");
    assert_ne!(signed[0]["key"], told["key"]["accessKeyId"], "the role's credentials, not the sidecar's own");
    assert!(!seen.iter().any(|one| one.to_string().contains(bearer.as_str())), "{seen:?}");

    sdks_sign_and_it_is_signed_anew(&fleet, &sidecar, &mut cloud).await;

    // With the application goes what was kept for it.
    world.delete_application("acme", "report-hub").await.expect(200);
    assert!([401, 403].contains(&call("DescribeInstances").bearer(bearer).send().await.status));
    let before = arrived(&mut cloud).len();
    let tokens = world.install("report-hub", "admin@acme", &["/acs/ecs:read"]).await;
    call("DescribeInstances").bearer(&tokens.access).send().await.expect(200);
    let after = arrived(&mut cloud);
    let asked = after.iter().skip(before).filter(|one| one["headers"]["x-acs-action"] == "AssumeRole");
    assert_eq!(asked.count(), 1, "a new authorization gets a role of its own");
    cloud.tell(&json!({ "end": true }));
    cloud.finish();
}

/// The cloud's SDKs sign as they do with what they were given, by each of its signatures; the cloud gets its own.
async fn sdks_sign_and_it_is_signed_anew(fleet: &Fleet, sidecar: &Lone, cloud: &mut Script) {
    let (application, admin) = fleet.world.published("acs-reports", &["/acs/ecs:read", "/acs/cs:read"]).await;
    let attempt = application.ask();
    let page = Person::new(&fleet.world, "alice@acme").visit(&attempt.url).await;
    let alice = application.tokens(&attempt, &page).await;
    let key = exchange(&fleet.world.issuer, &admin.access).await;
    let other = exchange(&fleet.world.issuer, &alice.access).await;
    let before = arrived(cloud).len();
    let sent = sdks_call(&sidecar.url, &admin.access, [&key, &other]);

    let all = arrived(cloud);
    let seen = &all[before..];
    assert!(seen.iter().all(|one| one["why"].is_null()), "every signature was good: {seen:?}");
    let (asked, signed): (Vec<&Value>, Vec<_>) =
        seen.iter().partition(|one| one["headers"]["x-acs-action"] == "AssumeRole");
    assert_eq!(signed.len(), sent, "each was forwarded once, and nothing else: {seen:?}");
    let mut sessions: Vec<&str> =
        asked.iter().map(|one| one["form"]["RoleSessionName"].as_str().unwrap()).collect();
    sessions.sort_unstable();
    let of = |login: &str| format!("{login}@acme.{}", application.client_id);
    // The administrator's for ECS and for the clusters, of which each knows nothing of the other.
    assert_eq!(sessions, [of("admin"), of("admin"), of("alice")], "one role for each who calls and what");
    let keys: BTreeSet<&str> = signed.iter().map(|one| one["key"].as_str().unwrap()).collect();
    assert_eq!(keys.len(), 3, "signed with the role of who called: {signed:?}");
    for one in signed {
        let (headers, text) = (&one["headers"], one.to_string());
        assert!(headers["authorization"].as_str().unwrap().starts_with("ACS3-HMAC-SHA256 "), "{one}");
        for given in [&key, &other] {
            for member in ["accessKeyId", "accessKeySecret", "securityToken"] {
                assert!(!text.contains(given[member].as_str().unwrap()), "the {member} has gone on: {text}");
            }
        }
        assert!(!text.contains("SignatureNonce=") && !text.contains(&admin.access), "{text}");
        let is_roa = one["target"].as_str().unwrap().starts_with("/clusters/c-1");
        let version = if is_roa { "2015-12-15" } else { "2014-05-26" };
        assert_eq!(headers["x-acs-version"], version, "{one}");
    }
}

/// What was granted, and what was not, by each client; with the key of another user too. Answers how many calls that was
/// that should have gone on.
fn sdks_call(sidecar: &str, token: &str, [key, other]: [&Value; 2]) -> usize {
    let call = |client: &str, action: &str, key: &Value| {
        json!({
            "client": client, "endpoint": sidecar.trim_start_matches("http://"), "key": key, "action": action,
            "instance": "i-1", "path": "/clusters/c-1",
        })
    };
    let with = |mut call: Value, name: &str, value: &str| {
        call[name] = json!(value);
        call
    };
    let bearer = with(call("ecs", LOOK, key), "bearer", token);
    let posted = |client: &str, action: &str| with(call(client, action, key), "method", "POST");
    let clusters = |client: &str| {
        let nodes = with(posted(client, "ListClusterNodes"), "body", "{\"a\":1}");
        [call(client, "DescribeClusterDetail", key), nodes]
    };
    let python = [call("core", LOOK, key), posted("core-common", LOOK), bearer.clone()];
    let node = [call("pop", LOOK, key), posted("pop", LOOK), bearer];
    let mut sent = 0;
    for (script, old, more, roa) in
        [("acs_clients.py", "core", python, "core-roa"), ("acs_clients.mjs", "pop", node, "pop-roa")]
    {
        let mut script = Script::start(script, &call("ecs", LOOK, key));
        assert_eq!(script.hear(), json!({ "status": 200 }));
        let others = [call("ecs", LOOK, other), call(old, LOOK, other)];
        let calls: Vec<Value> = more.into_iter().chain(clusters(roa)).chain(others).collect();
        for call in &calls {
            assert_eq!(script.ask(call), json!({ "status": 200 }), "{call}");
        }
        for client in ["ecs", old] {
            assert_eq!(
                script.ask(&call(client, "StopInstance", key))["error"]["code"],
                "NoPermission",
                "{client}"
            );
        }
        sent += 1 + calls.len();
    }
    sent
}

/// What has come to the cloud.
pub(crate) fn arrived(cloud: &mut Script) -> Vec<Value> {
    cloud.ask(&json!({ "seen": true })).as_array().unwrap().clone()
}

const LOOK: &str = "DescribeInstances";

const SETTINGS: &str = r#"
[upstreams.servers]
url = "CLOUD"

[sts.alibaba]
cloud = "alibaba"
endpoint = "CLOUD"
role = "acs:ram::{account}:role/consentry"
credentials_file = "KEY"

[[route]]
path = "/servers/"
upstream = "servers"
adapter = "acs"
product = "ecs"
assume = "sts"
sts = "alibaba"

[[route]]
path = "/"
host = "127.0.0.1"
upstream = "servers"
adapter = "acs"
product = "ecs"
assume = "sts"
sts = "alibaba"

[[route]]
path = "/{path…}"
host = "127.0.0.1"
upstream = "servers"
adapter = "acs"
product = "cs"
assume = "sts"
sts = "alibaba"
"#;
