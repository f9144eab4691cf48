//! boto3, unmodified, with a credential that works at a sidecar only: what is allowed reaches AWS signed with a role's
//! credentials, which the upstream itself verifies; what is not is refused in words that boto3 understands. The upstream
//! is moto's server.

use consentry::token::random::Secret;
use consentry::token::signature::sigv4::{Claim, Signable};
use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use serde_json::{Value, json};

use crate::support::fleet::{Fleet, Lone};
use crate::support::script::{self, Script};
use crate::support::{Application, Tokens, eventually};

/// moto, a sidecar before it, and an application that an account has authorized.
struct Aws {
    script: Script,
    fleet: Fleet,
    sidecar: Lone,
    application: Application,
    tokens: Tokens,
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
        Self { script, fleet, sidecar, application, tokens }
    }

    /// An access key for the application's token.
    async fn exchange(&self) -> Value {
        let address = format!("{}/v1/exchange", self.fleet.world.issuer);
        crate::support::post(address).bearer(&self.tokens.access).send().await.expect(200)
    }

    fn run(&mut self, run: &str, credentials: &Value) -> Value {
        self.script.tell(&json!({ "run": run, "sidecar": self.sidecar.url, "credentials": credentials }));
        self.script.hear()
    }

    fn end(mut self) {
        self.script.tell(&json!({ "run": "end" }));
        self.script.finish();
    }

    /// The decision records so far.
    fn records(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.sidecar.folder.join("records.jsonl")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

#[tokio::test]
async fn boto3_works_through_a_sidecar_with_what_was_granted() {
    let mut aws = Aws::start(&GRANTED).await;
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

    // Each call has a record of what it was.
    let records = aws.records();
    let told = |action: &str| records.iter().find(|one| one["action"] == action).unwrap().clone();
    let account = &aws.fleet.world.account("acme").id;
    let put = told("dynamodb:PutItem");
    assert_eq!(put["resource"], format!("acs:dynamodb:*:{account}:table/orders"), "{put}");
    assert_eq!(put["outcome"], "forwarded", "{put}");
    assert_eq!(told("s3:PutObject")["resource"], format!("acs:s3:*:{account}:reports/plain.txt"));
    assert_eq!(told("sqs:SendMessage")["resource"], format!("acs:sqs:*:{account}:jobs"));
    aws.end();
}

#[tokio::test]
async fn what_was_not_granted_is_refused_in_words_that_boto3_understands() {
    let mut aws = Aws::start(&GRANTED).await;
    let credentials = aws.exchange().await;
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
    said("unknown", "UnauthorizedOperation", "decision ");
    said("statement", "ValidationException", "table");
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
        Some(aws.records()).filter(|records| records.len() >= 13)
    })
    .await;
    assert!(records.iter().all(|record| record["outcome"] != "forwarded"), "{records:?}");
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

    assert_eq!(aws.run("one", &credentials)["status"], 200);
    let path = format!("/applications/{}", aws.application.client_id);
    let receipt = aws.fleet.world.api("acme", "DELETE", &path).send().await.expect(200);
    assert_eq!(receipt["effective"], true, "{receipt}");
    let after = aws.run("one", &credentials);
    assert_eq!(after["status"], 403, "{after}");
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
    assert!(refused["message"].as_str().unwrap().contains("403"), "{refused}");
    let told = format!("{refused}{}{:?}", aws.sidecar.told(), aws.records());
    assert!(!told.contains("very-secret"), "{told}");
    aws.end();
}

#[tokio::test]
async fn signatures_are_those_that_botocores_signers_make() {
    let count = 300;
    let mut script = Script::start("aws_signers.py", &json!({ "seed": 20_261_122, "count": count }));
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
    let mut fleet = Fleet::start().await;
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

    cloud.tell(&json!({ "seen": true }));
    let seen = cloud.hear();
    let seen = seen.as_array().unwrap();
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

    // With the application goes what was kept for it.
    world.delete_application("acme", "report-hub").await.expect(200);
    assert!([401, 403].contains(&call("DescribeInstances").bearer(bearer).send().await.status));
    let tokens = world.install("report-hub", "admin@acme", &["/acs/ecs:read"]).await;
    call("DescribeInstances").bearer(&tokens.access).send().await.expect(200);
    cloud.tell(&json!({ "seen": true }));
    let seen = cloud.hear();
    let asked = seen.as_array().unwrap().iter().filter(|one| one["headers"]["x-acs-action"] == "AssumeRole");
    assert_eq!(asked.count(), 2, "a new authorization gets a role of its own");
    cloud.tell(&json!({ "end": true }));
    cloud.finish();
}

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
"#;
