//! boto3, unmodified, with a credential that works at a sidecar only: what is allowed reaches AWS signed with a role's
//! credentials, which the upstream itself verifies; what is not is refused in words that boto3 understands. The upstream
//! is moto's server.

use std::collections::BTreeSet;

use consentry::token::random::Secret;
use consentry::token::signature::sigv4::{Claim, Signable};
use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use serde_json::{Value, json};

use crate::policy_files::copied;
use crate::signed::{CLUSTERS, exchange};
use crate::support::fleet::{Fleet, Lone};
use crate::support::script::{self, Script};
use crate::support::{Application, Person, Tokens, eventually};

/// moto, a sidecar before it, and an application that an account has authorized.
struct Aws {
    script: Script,
    fleet: Fleet,
    sidecar: Lone,
    application: Application,
    tokens: Tokens,
    /// Where moto is.
    cloud: String,
}

impl Aws {
    async fn start(scopes: &[&str]) -> Self {
        let mut script = Script::start("aws_boto.py", &json!({}));
        let moto = script.hear();
        let mut fleet = Fleet::start().await;
        let (application, tokens) = installed(&fleet, scopes).await;
        let token = fleet.invite("aws", &[]);
        let key = credentials_file(&fleet, &moto["sidecar"]);
        let settings = SETTINGS
            .replace("MOTO", moto["url"].as_str().unwrap())
            .replace("KEY", &key)
            .replace("ACME", &fleet.world.account("acme").id);
        let sidecar = fleet.lone("aws", &token, &settings).await;
        sidecar.until_ready().await;
        let cloud = moto["url"].as_str().unwrap().to_owned();
        Self { script, fleet, sidecar, application, tokens, cloud }
    }

    /// An access key for the application's token.
    async fn exchange(&self) -> Value {
        let address = format!("{}/v1/exchange", self.fleet.world.issuer);
        crate::support::post(address).bearer(&self.tokens.access).send().await.expect(200)
    }

    fn run(&mut self, run: &str, credentials: &Value) -> Value {
        self.run_at(&self.sidecar.url.clone(), run, credentials)
    }

    fn run_at(&mut self, url: &str, run: &str, credentials: &Value) -> Value {
        self.script.tell(&json!({ "run": run, "sidecar": url, "credentials": credentials }));
        self.script.hear()
    }

    fn end(mut self) {
        self.script.tell(&json!({ "run": "end" }));
        self.script.finish();
    }

    /// The decision records so far.
    fn records(&self) -> Vec<Value> {
        self.sidecar.records()
    }

    /// How many requests have come to moto.
    fn come(&mut self) -> Value {
        self.script.tell(&json!({ "run": "count" }));
        self.script.hear()
    }
}

#[tokio::test]
async fn boto3_works_through_a_sidecar_with_what_was_granted() {
    let more = ["/aws/lambda:read", "/aws/lambda:write", "/aws/ec2:write"];
    let mut aws = Aws::start(&[GRANTED.as_slice(), &more].concat()).await;
    let credentials = aws.exchange().await;
    let done = aws.run("allowed", &credentials);
    let session = format!("admin@acme.{}", aws.application.client_id);
    assert_eq!(done["who"], format!("arn:aws:sts::123456789012:assumed-role/consentry/{session}"));
    let objects = &done["objects"];
    assert_eq!(objects["back"], true, "keys come to the upstream to the letter: {done}");
    assert_eq!(objects["listed"], json!(["a b/ü.txt"]), "{done}");
    assert_eq!((&objects["parts"], &objects["copied"]), (&json!(10 << 20), &json!("a b/ü.txt")), "{done}");
    assert_eq!(
        (&objects["buckets"], &objects["deleted"]),
        (&json!(["reports"]), &json!("NoSuchKey")),
        "{done}"
    );
    assert_eq!((&done["items"], &done["message"]), (&json!(4), &json!("do it & be done")), "{done}");
    let made = aws.run("machines", &credentials);
    assert_eq!((&made["listed"], &made["handler"]), (&json!(["resize"]), &json!("resize.run")), "{made}");
    assert_eq!(made["ran"], "{\"width\": \"\\u00fc\"}", "{made}");
    assert_eq!((&made["stopped"], &made["state"]), (&made["server"], &json!("stopped")), "{made}");

    // Each call has a record of what it was.
    let records = eventually("each is recorded", || async {
        let has = |records: &[Value], action: &str| records.iter().any(|one| one["action"] == action);
        Some(aws.records()).filter(|records| RECORDED.iter().all(|action| has(records, action)))
    })
    .await;
    let told = |action: &str| records.iter().find(|one| one["action"] == action).unwrap().clone();
    let account = &aws.fleet.world.account("acme").id;
    let put = told("dynamodb:PutItem");
    assert_eq!(put["resource"], format!("acs:dynamodb:*:{account}:table/orders"), "{put}");
    assert_eq!(put["outcome"], "forwarded", "{put}");
    assert_eq!(told("s3:PutObject")["resource"], format!("acs:s3:*:{account}:reports/plain.txt"));
    assert_eq!(told("sqs:SendMessage")["resource"], format!("acs:sqs:*:{account}:jobs"));
    let server = made["server"].as_str().unwrap();
    for (action, resource) in [
        ("lambda:CreateFunction", "function/resize".to_owned()),
        ("lambda:Invoke", "function/resize".to_owned()),
        ("lambda:GetFunction", "function/resize".to_owned()),
        ("lambda:ListFunctions", "*".to_owned()),
        ("ec2:RunInstances", "image/ami-12c6146b".to_owned()),
        ("ec2:StopInstances", format!("instance/{server}")),
        ("ec2:DescribeInstances", "*".to_owned()),
    ] {
        let record = told(action);
        let service = action.split_once(':').unwrap().0;
        assert_eq!(record["resource"], format!("acs:{service}:*:{account}:{resource}"), "{record}");
        assert_eq!(record["outcome"], "forwarded", "{record}");
    }

    // What it was given works at a sidecar alone: AWS itself knows nothing of it.
    let there = aws.run_at(&aws.cloud.clone(), "each", &credentials);
    assert_eq!((&there["s3"]["code"], &there["s3"]["status"]), (&json!("InvalidAccessKeyId"), &json!(403)));
    assert_eq!(
        (&there["sts"]["code"], &there["sts"]["status"]),
        (&json!("InvalidClientTokenId"), &json!(403))
    );
    assert_eq!(there["ec2"]["code"], "AuthFailure", "{there}");
    for service in ["dynamodb", "sqs"] {
        assert_eq!(there[service]["status"], 403, "{there}");
        assert!(there[service]["message"].as_str().unwrap().contains("InvalidClientTokenId"), "{there}");
    }
    aws.end();
}

#[tokio::test]
async fn what_was_not_granted_is_refused_in_words_that_boto3_understands() {
    let mut aws = Aws::start(&GRANTED).await;
    let credentials = aws.exchange().await;
    let before = aws.come();
    let done = aws.run("refused", &credentials);
    let said = |what: &str, code: &str, text: &str| {
        assert_eq!(done[what]["code"], code, "{what}: {done}");
        assert!(done[what]["message"].as_str().unwrap().contains(text), "{what}: {done}");
    };
    said("s3", "AccessDenied", "Scopes needed: ");
    said("s3", "AccessDenied", "/aws/s3");
    said("ec2", "UnauthorizedOperation", "/aws/ec2");
    said("dynamodb", "AccessDeniedException", &aws.application.client_id);
    said("lambda", "AccessDeniedException", "/aws/lambda:read");
    said("unknown", "InvalidRequest", "operation");
    said("service", "ValidationException", "The service of x-amz-target is not known here");
    said("statement", "ValidationException", "operation");
    said("open_queue", "ValidationException", "give rights by the operation");
    said("foreign_key", "InvalidRequest", "account");
    said("foreign_source", "ValidationException", "account");
    said("other_account", "ValidationException", "account");
    said("other_queue", "ValidationException", "account");
    said("rights", "InvalidRequest", "PutObjectAcl");
    said("wrong", "InvalidSignatureException", "signature does not fit");
    said("foreign", "InvalidAccessKeyId", "");
    said("unsigned", "InvalidClientTokenId", "");
    said("presigned", "", "presigned");
    assert_eq!(done["presigned"]["status"], 400, "{done}");
    assert_eq!(done["dots"]["status"], 400, "{done}");
    let records = eventually("each is recorded", || async {
        Some(aws.records()).filter(|records| records.len() >= done.as_object().unwrap().len())
    })
    .await;
    assert!(records.iter().all(|record| record["outcome"] != "forwarded"), "{records:?}");
    assert_eq!(aws.come(), before, "nothing of it has reached AWS, which was not even asked for a role");
    aws.end();
}

#[tokio::test]
async fn bodies_are_what_was_signed_or_never_arrive() {
    let mut aws = Aws::start(&GRANTED).await;
    let credentials = aws.exchange().await;
    aws.run("allowed", &credentials);
    let done = aws.run("by_hand", &credentials);
    assert_eq!(
        done["chunked"],
        json!([200, true]),
        "signed chunks lose their framing and nothing else: {done}"
    );
    assert_eq!(done["encoding"], "", "{done}");
    assert_eq!(done["unsigned"], json!([200, true]), "{done}");
    for changed in ["forged", "other", "other_long"] {
        assert_eq!(done[changed], json!([true, true]), "{changed} is refused and not stored: {done}");
    }
    assert_eq!(done["replayed"], json!([200, 503, "SlowDown"]), "{done}");
    assert_eq!(done["late"], "RequestTimeTooSkewed", "{done}");
    assert_eq!(done["left_out"], "SignatureDoesNotMatch", "{done}");
    aws.end();
}

#[tokio::test]
async fn a_hundred_megabytes_stream_and_a_deletion_ends_all_at_once() {
    let mut aws = Aws::start(&GRANTED).await;
    let credentials = aws.exchange().await;
    aws.run("allowed", &credentials);
    let before = memory(&aws.sidecar);
    let done = aws.run("large", &credentials);
    assert_eq!(done["got"], done["size"], "{done}");
    let grown = memory(&aws.sidecar).saturating_sub(before);
    assert!(grown < 50_000, "it was held: {grown} kB more");

    let before = aws.come();
    let allowed = aws.run("each", &credentials);
    for (service, told) in allowed.as_object().unwrap() {
        assert_eq!(told["status"], 200, "{service}: {told}");
    }
    let come = aws.come().as_u64().unwrap() - before.as_u64().unwrap();
    assert!(come >= 5, "each has come to AWS: {come}");
    let path = format!("/applications/{}", aws.application.client_id);
    let receipt = aws.fleet.world.api("acme", "DELETE", &path).send().await.expect(200);
    assert_eq!(receipt["effective"], true, "{receipt}");
    let before = aws.come();
    let after = aws.run("each", &credentials);
    for (service, code) in [
        ("s3", "AccessDenied"),
        ("sts", "AccessDenied"),
        ("dynamodb", "AccessDeniedException"),
        ("sqs", "AccessDeniedException"),
        ("ec2", "UnauthorizedOperation"),
    ] {
        let told = &after[service];
        assert_eq!((&told["code"], &told["status"]), (&json!(code), &json!(403)), "{service}: {told}");
        let message = told["message"].as_str().unwrap();
        assert!(message.contains("not_installed") && message.contains(&aws.application.client_id), "{told}");
    }
    assert_eq!(aws.come(), before, "nothing more has reached AWS");
    aws.end();
}

#[tokio::test]
async fn without_the_service_that_gives_roles_nothing_is_forwarded() {
    let mut aws = Aws::start(&GRANTED).await;
    let credentials = aws.exchange().await;
    // What may assume the role is gone.
    let file = aws.fleet.world.data().join(KEY_FILE);
    std::fs::write(&file, r#"{"access_key_id":"AKIAUNKNOWN","secret_access_key":"very-secret"}"#).unwrap();
    let refused = aws.run("one", &credentials);
    assert_eq!(
        (&refused["status"], &refused["code"]),
        (&json!(503), &json!("ServiceUnavailable")),
        "{refused}"
    );
    // Why is for the log, where the decision's id leads.
    let message = refused["message"].as_str().unwrap();
    assert!(message.contains("cannot be got at the moment") && !message.contains("403"), "{refused}");
    let (_, decision) = message.rsplit_once("decision ").unwrap();
    let log = aws.sidecar.told();
    let line = log.lines().find(|line| line.contains(decision.trim_end_matches(')')));
    assert!(line.is_some_and(|line| line.contains("gave no credentials: 403")), "{log}");
    let decision = decision.trim_end_matches(')');
    let records = eventually("the call is recorded", || {
        let records = format!("{:?}", aws.records());
        std::future::ready(Some(records).filter(|records| records.contains(decision)))
    })
    .await;
    let told = format!("{refused}{log}{records}");
    assert!(!told.contains("very-secret"), "{told}");
    aws.end();
}

#[tokio::test]
async fn signatures_are_those_that_botocores_signers_make() {
    let count = 300;
    let mut script = Script::start("aws_signers.py", &json!({ "seed": script::seed(), "count": count }));
    for _ in 0..count {
        let signed = script.hear();
        let text = |name: &str| signed[name].as_str().unwrap();
        let headers = signed["headers"].as_object().unwrap().iter();
        let headers: HeaderMap = headers
            .map(|(name, value)| (name.parse().unwrap(), value.as_str().unwrap().parse().unwrap()))
            .collect::<Vec<(HeaderName, HeaderValue)>>()
            .into_iter()
            .collect();
        let (path, query) = match text("target").split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (text("target"), None),
        };
        let request =
            Signable { method: text("method"), path, query, headers: &headers, payload: text("payload") };
        let authorization = headers["authorization"].to_str().unwrap();
        let (claim, secret) = (Claim::read(authorization).unwrap(), Secret::new(text("secret").to_owned()));
        assert!(claim.verify(&request, &secret).is_ok(), "{signed}");
        let longer = format!("{path}x");
        for other in [
            Signable { path: &longer, ..request },
            Signable { query: Some("x=1"), ..request },
            Signable { payload: "UNSIGNED-PAYLOAD", ..request },
        ] {
            assert!(claim.verify(&other, &secret).is_err(), "{signed}");
        }
    }
    script.finish();
}

#[test]
fn the_tables_are_what_the_service_models_say() {
    let root = env!("CARGO_MANIFEST_DIR");
    let output = script::command("aws_tables.py").args([root, "--check"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// An application of another account that wants these scopes, authorized by `admin@acme`.
async fn installed(fleet: &Fleet, scopes: &[&str]) -> (Application, Tokens) {
    fleet.world.published("aws-reports", scopes).await
}

fn credentials_file(fleet: &Fleet, key: &Value) -> String {
    let file = fleet.world.data().join(KEY_FILE);
    let key = json!({ "access_key_id": key["accessKeyId"], "secret_access_key": key["accessKeySecret"] });
    std::fs::write(&file, key.to_string()).unwrap();
    file.display().to_string()
}

/// Kilobytes that a sidecar holds.
fn memory(sidecar: &Lone) -> usize {
    let id = sidecar.process();
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

const GRANTED: [&str; 7] = [
    "/aws/s3:read",
    "/aws/s3:write",
    "/aws/dynamodb:read",
    "/aws/dynamodb:write",
    "/aws/sqs",
    "/aws/ec2:read",
    "/aws/sts:read",
];
/// Records are written when their answers have gone out, which need not be in the order of the calls.
const RECORDED: [&str; 10] = [
    "dynamodb:PutItem",
    "s3:PutObject",
    "sqs:SendMessage",
    "lambda:CreateFunction",
    "lambda:Invoke",
    "lambda:GetFunction",
    "lambda:ListFunctions",
    "ec2:RunInstances",
    "ec2:StopInstances",
    "ec2:DescribeInstances",
];
const KEY_FILE: &str = "aws-key.json";

const SETTINGS: &str = r#"
[upstreams.aws]
url = "MOTO"

[sts.aws]
cloud = "aws"
endpoint = "MOTO"
region = "eu-central-1"
role = "arn:aws:iam::{account}:role/consentry"
credentials_file = "KEY"

[cloud_accounts]
"ACME" = "123456789012"

[[route]]
path = "/"
upstream = "aws"
adapter = "aws"
assume = "sts"
sts = "aws"

[[route]]
path = "/{path…}"
upstream = "aws"
adapter = "aws"
assume = "sts"
sts = "aws"
"#;

#[tokio::test]
async fn calls_to_alibaba_cloud_are_signed_with_a_role_of_the_callers_account() {
    let mut cloud = Script::start("acs_cloud.py", &json!({}));
    let told = cloud.hear();
    let folder = copied();
    std::fs::write(folder.path().join("scopes/cs.json"), CLUSTERS).unwrap();
    let mut fleet = Fleet::asleep_with(&format!("policies = \"{}\"", folder.path().display()), "").await;
    fleet.wake().await;
    let tokens = fleet.world.install("report-hub", "admin@acme", &["/acs/ecs:read"]).await;
    let (token, key) = (fleet.invite("acs", &[]), credentials_file(&fleet, &told["key"]));
    let settings = ACS_SETTINGS.replace("CLOUD", told["url"].as_str().unwrap()).replace("KEY", &key);
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
            script.tell(call);
            assert_eq!(script.hear(), json!({ "status": 200 }), "{call}");
        }
        for client in ["ecs", old] {
            script.tell(&call(client, "StopInstance", key));
            assert_eq!(script.hear()["error"]["code"], "NoPermission", "{client}");
        }
        sent += 1 + calls.len();
    }
    sent
}

/// What has come to the cloud.
fn arrived(cloud: &mut Script) -> Vec<Value> {
    cloud.tell(&json!({ "seen": true }));
    cloud.hear().as_array().unwrap().clone()
}

const LOOK: &str = "DescribeInstances";

const ACS_SETTINGS: &str = r#"
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
