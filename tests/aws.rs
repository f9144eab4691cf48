//! boto3, unmodified, with a credential that works at a sidecar only: what is allowed reaches AWS signed with a role's
//! credentials, which the upstream itself verifies; what is not is refused in words that boto3 understands. The upstream
//! is moto's server.

use consentry::token::random::Secret;
use consentry::token::signature::sigv4::{Claim, Signable};
use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use serde_json::{Value, json};

use crate::signed::exchange;
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
    /// Where moto is.
    cloud: String,
}

impl Aws {
    async fn start(scopes: &[&str]) -> Self {
        let mut script = Script::start("aws_boto.py", &json!({}));
        let moto = script.hear();
        let mut fleet = Fleet::start().await;
        let (application, tokens) = fleet.world.published("aws-reports", scopes).await;
        let token = fleet.invite("aws", &[]);
        let settings = settings(&fleet, &moto, "");
        let sidecar = fleet.lone("aws", &token, &settings).await;
        sidecar.until_ready().await;
        let cloud = moto["url"].as_str().unwrap().to_owned();
        Self { script, fleet, sidecar, application, tokens, cloud }
    }

    /// An access key for the application's token.
    async fn exchange(&self) -> Value {
        exchange(&self.fleet.world.issuer, &self.tokens.access).await
    }

    fn run(&mut self, run: &str, credentials: &Value) -> Value {
        self.run_at(&self.sidecar.url.clone(), run, credentials)
    }

    fn run_at(&mut self, url: &str, run: &str, credentials: &Value) -> Value {
        self.script.ask(&json!({ "run": run, "sidecar": url, "credentials": credentials }))
    }

    fn end(mut self) {
        self.script.tell(&json!({ "run": "end" }));
        self.script.finish();
    }

    /// How many requests have come to moto.
    fn come(&mut self) -> Value {
        self.script.ask(&json!({ "run": "count" }))
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
        Some(aws.sidecar.records()).filter(|records| RECORDED.iter().all(|action| has(records, action)))
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
        Some(aws.sidecar.records()).filter(|records| records.len() >= done.as_object().unwrap().len())
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
    aws.fleet.keep_cloud_key(&json!({ "accessKeyId": "AKIAUNKNOWN", "accessKeySecret": "very-secret" }));
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
    let told = format!("{refused}{log}{:?}", aws.sidecar.records());
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

/// Settings of a sidecar: moto as an upstream with a role of acme's, and routes to it for all that is asked; `more` stands
/// in each of them.
pub(crate) fn settings(fleet: &Fleet, moto: &Value, more: &str) -> String {
    let route = |path: &str| {
        format!(
            "\n[[route]]\npath = \"{path}\"\n{more}upstream = \"aws\"\nadapter = \"aws\"\nassume = \"sts\"\nsts = \"aws\"\n"
        )
    };
    let upstream = UPSTREAM
        .replace("MOTO", moto["url"].as_str().unwrap())
        .replace("KEY", &fleet.keep_cloud_key(&moto["sidecar"]).display().to_string())
        .replace("ACME", &fleet.world.account("acme").id);
    [upstream, route("/"), route("/{path…}")].concat()
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

const UPSTREAM: &str = r#"
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
"#;
