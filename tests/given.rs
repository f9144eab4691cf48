//! Clients ask a cloud's STS for a role, and are given that STS's own credentials: of the role that the settings name, held
//! by a session policy to what was granted, named after user and application, for as short as all agree to. The clients are
//! boto3 and Alibaba Cloud's own SDK, as they ship; moto's STS, and one that verifies our signature, are asked.

use serde_json::{Value, json};

use crate::alibaba::arrived;
use crate::support::fleet::{Fleet, Lone};
use crate::support::script::Script;
use crate::support::{Application, Tokens, post};

/// A cloud, a sidecar that answers with its roles, and an application that acme has authorized for these scopes.
struct Stage {
    cloud: Script,
    client: Script,
    fleet: Fleet,
    sidecar: Lone,
    application: Application,
    tokens: Tokens,
    /// The cloud itself.
    url: String,
}

impl Stage {
    async fn start(cloud: &str, client: &str, settings: &str, scopes: &[&str]) -> Self {
        let mut cloud = Script::start(cloud, &json!({}));
        let told = cloud.hear();
        let url = told["url"].as_str().unwrap().to_owned();
        let mut fleet = Fleet::start().await;
        let (application, tokens) = fleet.world.published("given", scopes).await;
        let token = fleet.invite("given", &[]);
        let settings = filled(settings, &told, &fleet);
        let sidecar = fleet.lone("given", &token, &settings).await;
        sidecar.until_ready().await;
        let client = Script::start(client, &json!({ "do": "nothing" }));
        Self { cloud, client, fleet, sidecar, application, tokens, url }
    }

    fn ask(&mut self, line: &Value) -> Value {
        self.client.ask(line)
    }

    /// What the client is told when it may not have a role.
    fn refused(&mut self, line: &Value) -> String {
        let told = self.ask(line);
        assert!(told["code"].is_string(), "{told}");
        format!("{} {}", told["code"].as_str().unwrap(), told["message"].as_str().unwrap())
    }

    async fn delete(&self) -> Value {
        let path = format!("/applications/{}", self.application.client_id);
        self.fleet.world.api("acme", "DELETE", &path).send().await.expect(200)
    }

    fn session(&self) -> String {
        format!("admin@acme.{}", self.application.client_id)
    }

    /// What the application may be given to sign with at a sidecar: for less than a cloud gives a role for, in whatever
    /// second it is used.
    async fn exchanged(&self) -> Value {
        let address = format!("{}/v1/exchange", self.fleet.world.issuer);
        post(address)
            .bearer(&self.tokens.access)
            .form(&[("duration_seconds", "600")])
            .send()
            .await
            .expect(200)
    }

    async fn audited(&self) -> Vec<Value> {
        let found =
            self.fleet.world.api("acme", "GET", "/audit?event=credential.role").send().await.expect(200);
        found["records"].as_array().unwrap().clone()
    }

    fn end(mut self) {
        self.client.tell(&json!({ "do": "end" }));
        self.client.finish();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn boto3_is_given_a_role_of_aws_that_is_held_to_what_was_granted() {
    let mut stage =
        Stage::start("aws_boto.py", "explicit_aws.py", AWS, &["/aws/sts", "/aws/dynamodb:read"]).await;
    let (sts, late) = (stage.sidecar.url.replace("127.0.0.1", "localhost"), stage.sidecar.url.clone());
    let role = "arn:aws:iam::123456789012:role/consentry";
    let own = json!({ "RoleArn": role, "RoleSessionName": "anything", "DurationSeconds": 3600, "WebIdentityToken": stage.tokens.access });
    let told = stage.ask(&json!({ "do": "web identity", "url": sts, "with": own }));
    let given = told["answer"].clone();
    let session = stage.session();
    assert_eq!(
        given["AssumedRoleUser"]["Arn"],
        format!("arn:aws:sts::123456789012:assumed-role/consentry/{session}"),
        "{told}"
    );
    let source = given["SourceIdentity"].as_str().unwrap().to_owned();
    assert!(source.starts_with("admin@acme.user."), "{given}");
    assert!(given["Credentials"]["AccessKeyId"].as_str().unwrap().starts_with("ASIA"), "moto's own: {given}");
    assert!(lasts(&given["Credentials"]["Expiration"], 900), "{given}");
    asked_for_what_was_granted(&asked(&mut stage), &[role, &session, "900", &source]);
    // They are the cloud's: it takes them itself (and has no such bucket).
    assert_eq!(stage.ask(&json!({ "do": "read", "url": stage.url }))["code"], "NoSuchBucket");
    who_gives_a_policy_along_has_no_more_than_it_says(&mut stage, &sts, own.clone());

    // A key for sidecars ends too soon for what a cloud gives, unless the settings let a role outlive it.
    let key = stage.exchanged().await;
    let key = json!({ "AccessKeyId": key["accessKeyId"], "SecretAccessKey": key["accessKeySecret"], "SessionToken": key["securityToken"] });
    let plain = json!({ "RoleArn": role, "RoleSessionName": "anything" });
    let soon = stage.refused(&json!({ "do": "assume", "url": sts, "with": plain, "credentials": key }));
    assert!(soon.starts_with("AccessDenied ") && soon.contains("the token ends before"), "{soon}");
    let told = stage.ask(&json!({ "do": "assume", "url": late, "with": plain, "credentials": key }));
    assert!(lasts(&told["answer"]["Credentials"]["Expiration"], 900), "{told}");
    assert_eq!(last(&mut stage)["DurationSeconds"], "900");

    // It is in the audit, and a receipt says what nobody can end.
    assert_eq!(stage.audited().await.len(), 3);
    let receipt = stage.delete().await;
    assert!(lasts(&receipt["roles_until"], 960), "{receipt}");
    let before = last_count(&mut stage);
    assert!(stage.ask(&json!({ "do": "web identity", "url": sts, "with": own }))["code"].is_string());
    assert_eq!(last_count(&mut stage), before, "nobody asks for who has nothing any more");
    stage.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_that_could_be_more_than_was_granted_is_not_asked_for() {
    let mut stage =
        Stage::start("aws_boto.py", "explicit_aws.py", AWS, &["/aws/sts", "/aws/dynamodb:read"]).await;
    let sts = stage.sidecar.url.replace("127.0.0.1", "localhost");
    let own = json!({ "RoleArn": "arn:aws:iam::123456789012:role/consentry", "RoleSessionName": "anything", "WebIdentityToken": stage.tokens.access });
    let with = |changes: Value| {
        let mut own = own.clone();
        for (name, value) in changes.as_object().unwrap() {
            own[name] = value.clone();
        }
        json!({ "do": "web identity", "url": sts, "with": own })
    };
    for (what, changes, said) in too_much() {
        let refused = stage.refused(&with(changes));
        assert!(refused.contains(said), "{what}: {refused}");
    }
    // boto3 knows no such parameters here; whoever sends them means them.
    for (name, value) in
        [("SourceIdentity", "root"), ("Tags.member.1.Key", "team"), ("TransitiveTagKeys.member.1", "team")]
    {
        let form = [
            ("Action", "AssumeRoleWithWebIdentity"),
            ("Version", "2011-06-15"),
            ("RoleArn", "arn:aws:iam::123456789012:role/consentry"),
            ("RoleSessionName", "anything"),
            ("WebIdentityToken", &stage.tokens.access),
            (name, value),
        ];
        assert_eq!(post(&sts).form(&form).send().await.status, 400, "{name}");
    }
    assert_eq!(last_count(&mut stage), 0, "and nobody was asked");
    assert!(stage.audited().await.is_empty());
    // Nor is there any for who may not ask.
    let (_, others) = stage.fleet.world.published("without", &["/aws/dynamodb:read"]).await;
    let refused = stage.refused(&with(json!({ "WebIdentityToken": others.access })));
    assert!(refused.starts_with("AccessDenied ") && refused.contains("/aws/sts"), "{refused}");
    assert_eq!(last_count(&mut stage), 0);
    stage.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_for_one_sidecar_or_a_place_of_it_is_given_no_role_and_calls_there_as_ever() {
    let place = "https://sidecar.example";
    let mut cloud = Script::start("aws_boto.py", &json!({}));
    let told = cloud.hear();
    let mut fleet = Fleet::asleep_with(&format!("resources = [\"{place}\"]"), "").await;
    fleet.wake().await;
    let scopes = ["/aws/sts", "/aws/dynamodb:read", "/acs/oss:read"];
    let (application, tokens) = fleet.world.published("given", &scopes).await;
    let invited = fleet.invite("given", &[]);
    let settings = filled(AWS, &told, &fleet);
    let folder = fleet.lone("given", &invited, &settings).await.terminate().await;
    let settings = std::fs::read_to_string(folder.join("sidecar.toml")).unwrap();
    std::fs::write(folder.join("sidecar.toml"), format!("public_url = \"{place}\"\n{settings}")).unwrap();
    let sidecar = Lone::start(folder).await;
    sidecar.until_ready().await;
    let narrowed = async |path: &str| {
        let resource = format!("{place}{path}");
        let asked = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("subject_token", &tokens.access),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
            ("resource", &resource),
        ];
        application.token(&asked).await.expect(200)["access_token"].as_str().unwrap().to_owned()
    };
    let sts = sidecar.url.replace("127.0.0.1", "localhost");
    let role = |token: &str| {
        let form = [
            ("Action", "AssumeRoleWithWebIdentity"),
            ("Version", "2011-06-15"),
            ("RoleArn", "arn:aws:iam::123456789012:role/consentry"),
            ("RoleSessionName", "anything"),
            ("WebIdentityToken", token),
        ];
        post(&sts).form(&form).send()
    };
    for path in ["", "/"] {
        let root = narrowed(path).await;
        let refused = role(&root).await;
        assert_eq!(refused.status, 403, "{}", refused.text());
        let text = refused.text();
        assert!(text.contains("for one place alone") && !text.contains("AccessKeyId"), "{text}");
        sidecar.read_object(&root).await.expect(200);
    }
    let below = narrowed("/oss").await;
    let refused = role(&below).await;
    assert!(
        refused.status == 403 && refused.text().contains("is for /oss and what is below it"),
        "{}",
        refused.text()
    );
    sidecar.read_object(&below).await.expect(200);
    // What is for everything is for this too.
    let given = role(&tokens.access).await;
    assert!(given.status == 200 && given.text().contains("<AccessKeyId>ASIA"), "{}", given.text());
    cloud.tell(&json!({ "run": "asked" }));
    let asked = cloud.hear();
    assert_eq!(asked.as_array().map(Vec::len), Some(1), "nobody else was asked for: {asked}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alibaba_clouds_own_sdk_is_given_a_role_that_is_held_to_what_was_granted() {
    let mut stage =
        Stage::start("acs_cloud.py", "explicit_acs.py", ACS, &["/acs/sts", "/acs/ecs:read"]).await;
    let account = stage.fleet.world.account("acme").id.clone();
    let sts = stage.sidecar.url.strip_prefix("http://").unwrap().replace("127.0.0.1", "localhost");
    let role = format!("acs:ram::{account}:role/consentry");
    let own = json!({ "role_arn": role, "role_session_name": "anything", "oidctoken": stage.tokens.access, "duration_seconds": 3600,
        "oidcprovider_arn": format!("acs:ram::{account}:oidc-provider/consentry"),
        "policy": r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"ecs:Describe*","Resource":"*"},{"Effect":"Deny","Action":"ecs:DescribeDisks","Resource":"*"}]}"# });
    let told = stage.ask(&json!({ "do": "oidc", "endpoint": sts, "with": own }));
    let given = told["answer"].clone();
    let session = stage.session();
    assert_eq!(given["AssumedRoleUser"]["Arn"], format!("{role}/{session}"), "{told}");
    assert_eq!(given["OIDCTokenInfo"]["ClientIds"], stage.application.client_id.as_str(), "{given}");
    assert!(lasts(&given["Credentials"]["Expiration"], 900), "{given}");
    let seen = arrived(&mut stage.cloud);
    let [asked] = seen.as_slice() else { panic!("one question: {seen:?}") };
    assert!(asked["why"].is_null(), "signed by the sidecar's own key: {asked}");
    let form = &asked["form"];
    assert_eq!((&form["RoleArn"], &form["RoleSessionName"]), (&json!(role), &json!(session)), "{form}");
    assert_eq!(form["DurationSeconds"], "900", "{form}");
    assert!(form["SourceIdentity"].as_str().unwrap().starts_with("admin@acme.user."), "{form}");
    let policy: Value = serde_json::from_str(form["Policy"].as_str().unwrap()).unwrap();
    assert_eq!(policy["Version"], "1");
    let allowed = policy["Statement"][0]["Action"].as_array().unwrap();
    assert!(allowed.contains(&json!("ecs:DescribeInstances")), "{policy}");
    assert!(
        allowed.iter().all(|action| action
            .as_str()
            .is_some_and(|name| name.starts_with("ecs:Describe") && !name.contains('*'))),
        "{policy}"
    );
    assert_eq!(
        policy["Statement"][1],
        json!({ "Effect": "Deny", "Action": ["ecs:DescribeDisks"], "Resource": ["*"] })
    );
    // The cloud itself takes them.
    let cloud = stage.url.strip_prefix("http://").unwrap().to_owned();
    assert_eq!(stage.ask(&json!({ "do": "read", "endpoint": cloud })), json!({ "answer": {} }));

    let bearer = json!({ "do": "assume", "endpoint": sts, "bearer": stage.tokens.access, "with": { "role_arn": role, "role_session_name": "anything" } });
    let told = stage.ask(&bearer);
    assert_eq!(told["answer"]["SourceIdentity"], form["SourceIdentity"], "{told}");

    // A service that would give more than it is asked for gives nothing.
    stage.cloud.ask(&json!({ "longer": true }));
    let refused = stage.refused(&bearer);
    assert!(refused.contains("the identity for this call cannot be got at the moment"), "{refused}");
    let other = json!({ "do": "assume", "endpoint": sts, "bearer": stage.tokens.access,
        "with": { "role_arn": role.replace("consentry", "admin"), "role_session_name": "anything" } });
    assert!(stage.refused(&other).starts_with("NoPermission "));
    let globex = role.replace(&account, &stage.fleet.world.account("globex").id);
    let other = json!({ "do": "assume", "endpoint": sts, "bearer": stage.tokens.access,
        "with": { "role_arn": globex, "role_session_name": "anything" } });
    assert!(stage.refused(&other).starts_with("NoPermission "));
    let receipt = stage.delete().await;
    assert!(lasts(&receipt["roles_until"], 960), "{receipt}");
    stage.end();
}

/// These settings, with this cloud and what it says of our key there.
fn filled(settings: &str, cloud: &Value, fleet: &Fleet) -> String {
    let own = if cloud["sidecar"].is_object() { &cloud["sidecar"] } else { &cloud["key"] };
    let key = fleet.keep_cloud_key(own);
    settings
        .replace("CLOUD", cloud["url"].as_str().unwrap())
        .replace("KEY", &key.display().to_string())
        .replace("ACME", &fleet.world.account("acme").id)
}

/// What the service was asked, once: role, name, seconds and source identity as here, and a policy of what was granted.
fn asked_for_what_was_granted(asked: &[Value], expected: &[&str; 4]) {
    let [asked] = asked else { panic!("one question: {asked:?}") };
    for (name, expected) in
        ["RoleArn", "RoleSessionName", "DurationSeconds", "SourceIdentity"].iter().zip(expected)
    {
        assert_eq!(asked[name], *expected, "{asked}");
    }
    let policy = asked["Policy"].as_str().unwrap();
    for (permission, is_allowed) in [
        ("dynamodb:GetItem", true),
        ("dynamodb:Query", true),
        ("dynamodb:PutItem", false),
        ("sqs:SendMessage", false),
        ("sts:AssumeRole", false),
    ] {
        assert_eq!(policy.contains(&format!("\"{permission}\"")), is_allowed, "{permission}: {policy}");
    }
    assert_eq!(policy.matches('*').count(), 1, "each by its name, on any resource: {policy}");
    assert!(policy.contains(r#""aws:ResourceAccount":"123456789012""#), "{policy}");
}

fn who_gives_a_policy_along_has_no_more_than_it_says(stage: &mut Stage, sts: &str, own: Value) {
    let mut narrowed = own;
    narrowed["RoleArn"] = json!("arn:aws:iam::123456789012:role/reader");
    narrowed["Policy"] = json!(
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["dynamodb:*Item","s3:*"],"Resource":"arn:aws:dynamodb:*:*:table/a"}]}"#
    );
    let told = stage.ask(&json!({ "do": "web identity", "url": sts, "with": narrowed }));
    assert!(told["answer"]["Credentials"].is_object(), "{told}");
    let policy: Value = serde_json::from_str(last(stage)["Policy"].as_str().unwrap()).unwrap();
    let statement = &policy["Statement"][0];
    assert_eq!(statement["Resource"], json!(["arn:aws:dynamodb:*:*:table/a"]), "{policy}");
    let actions = statement["Action"].as_array().unwrap();
    assert!(
        actions.contains(&json!("dynamodb:GetItem")) && !actions.contains(&json!("dynamodb:Query")),
        "{policy}"
    );
    assert!(
        !actions.iter().any(|action| action == "dynamodb:PutItem" || action.as_str().unwrap().contains('*')),
        "{policy}"
    );
}

/// What could be more than was granted: changes of a request, and what is said of them.
fn too_much() -> Vec<(&'static str, Value, &'static str)> {
    let policy = |statement: &str| json!({ "Policy": format!(r#"{{"Version":"2012-10-17","Statement":[{statement}]}}"#) });
    let allow = r#"{"Effect":"Allow","Action":"dynamodb:GetItem","Resource":"*"}"#;
    vec![
        (
            "another role of the account",
            json!({ "RoleArn": "arn:aws:iam::123456789012:role/admin" }),
            "AccessDenied The role is not one",
        ),
        (
            "one of nobody's account",
            json!({ "RoleArn": "arn:aws:iam::999999999999:role/consentry" }),
            "ValidationError",
        ),
        (
            "a policy of the cloud's",
            json!({ "PolicyArns": [{ "arn": "arn:aws:iam::aws:policy/AdministratorAccess" }] }),
            "PolicyArns",
        ),
        (
            "what the policy leaves out",
            policy(&allow.replace("Action", "NotAction")),
            "The policy that came along",
        ),
        (
            "another version of the language",
            json!({ "Policy": format!(r#"{{"Version":"2008-10-17","Statement":{allow}}}"#) }),
            "Version",
        ),
        (
            "the account said otherwise",
            policy(
                &allow.replace(r#""*"}"#, r#""*","Condition":{"StringLike":{"aws:ResourceAccount":"*"}}}"#),
            ),
            "aws:ResourceAccount",
        ),
        (
            "what is said twice",
            policy(&allow.replace(r#""Effect""#, r#""Effect":"Deny","Effect""#)),
            "The policy that came along",
        ),
        ("what was not granted", policy(&allow.replace("GetItem", "PutItem")), "allows no action"),
        ("a token that is none", json!({ "WebIdentityToken": "none" }), "InvalidClientTokenId"),
    ]
}

/// What moto's STS was asked.
fn asked(stage: &mut Stage) -> Vec<Value> {
    stage.cloud.ask(&json!({ "run": "asked" })).as_array().unwrap().clone()
}

fn last(stage: &mut Stage) -> Value {
    asked(stage).pop().unwrap()
}

fn last_count(stage: &mut Stage) -> usize {
    asked(stage).len()
}

/// Whether a moment is at most so many seconds from now.
pub(crate) fn lasts(moment: &Value, seconds: i64) -> bool {
    let end: jiff::Timestamp = moment.as_str().unwrap().replace(' ', "T").parse().unwrap();
    (1..=seconds).contains(&(end.as_second() - consentry::model::time::Clock::system().seconds()))
}

const AWS: &str = r#"
[sts.strict]
cloud = "aws"
endpoint = "CLOUD"
region = "eu-central-1"
role = "arn:aws:iam::{account}:role/consentry"
credentials_file = "KEY"

[sts.strict.clients]
services = ["dynamodb"]
roles = ["arn:aws:iam::{account}:role/consentry", "arn:aws:iam::{account}:role/reader"]

[sts.late]
cloud = "aws"
endpoint = "CLOUD"
region = "eu-central-1"
role = "arn:aws:iam::{account}:role/consentry"
credentials_file = "KEY"
clients = { services = ["dynamodb"], outlive_token = true }

[cloud_accounts]
"ACME" = "123456789012"

[[route]]
path = "/"
host = "localhost"
adapter = "aws"
service = "sts"
answers = "sts"
sts = "strict"

[[route]]
path = "/"
host = "127.0.0.1"
adapter = "aws"
service = "sts"
answers = "sts"
sts = "late"
"#;

const ACS: &str = r#"
[sts.alibaba]
cloud = "alibaba"
endpoint = "CLOUD"
role = "acs:ram::{account}:role/consentry"
credentials_file = "KEY"
clients = { services = ["ecs", "oss"] }

[[route]]
path = "/"
host = "localhost"
adapter = "acs"
product = "sts"
answers = "sts"
sts = "alibaba"
"#;
