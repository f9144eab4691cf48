//! Clients ask a cloud's STS for credentials, and the sidecar answers: with keys of ours, which work at a sidecar for what
//! was granted, and end with it. The clients are boto3 and the cloud's own SDKs, as they ship.

use serde_json::{Value, json};

use crate::given::lasts;
use crate::signed::{Key, Signed};
use crate::support::fleet::{Fleet, Lone};
use crate::support::script::Script;
use crate::support::{Application, Tokens, post};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn boto3_hands_its_token_over_and_gets_credentials_that_work_as_far_as_was_granted() {
    let (fleet, sidecar, application, tokens) = scene(AWS, &["/aws/sts", "/aws/s3:read"]).await;
    let account = &fleet.world.account("acme").id;
    let (sts, s3) = (sidecar.url.replace("127.0.0.1", "localhost"), sidecar.url.clone());
    let with = |role: String| json!({ "RoleArn": role, "RoleSessionName": "alice", "WebIdentityToken": tokens.access, "DurationSeconds": 3600 });
    let own = format!("arn:aws:iam::{account}:role/reader");
    let mut script = Script::start(
        "explicit_aws.py",
        &json!({ "do": "web identity", "url": sts, "with": with(own.clone()) }),
    );
    let given = script.hear()["answer"].clone();
    assert_eq!(
        given["AssumedRoleUser"]["Arn"],
        format!("arn:aws:sts::{account}:assumed-role/reader/alice"),
        "{given}"
    );
    assert_eq!(given["Audience"], application.client_id.as_str(), "{given}");
    assert!(given["Credentials"]["AccessKeyId"].as_str().unwrap().starts_with("STS."), "{given}");
    assert!(lasts(&given["Credentials"]["Expiration"], 900), "{given}");

    let mut ask =
        |what: &str, url: &str, with: Value| script.ask(&json!({ "do": what, "url": url, "with": with }));
    let read = ask("read", &s3, Value::Null);
    assert_eq!(read["answer"]["ResponseMetadata"]["HTTPStatusCode"], 200, "{read}");
    assert_eq!(ask("delete", &s3, Value::Null)["code"], "AccessDenied");
    let who = ask("who", &sts, Value::Null);
    assert_eq!(
        (&who["answer"]["Account"], &who["answer"]["Arn"]),
        (&json!(account), &json!(format!("arn:aws:iam::{account}:user/admin"))),
        "{who}"
    );
    // Who has keys may ask for others, which last no longer.
    let again = ask("assume", &sts, json!({ "RoleArn": own, "RoleSessionName": "alice" }));
    assert!(again["answer"]["Credentials"]["SessionToken"].is_string(), "{again}");
    assert!(
        again["answer"]["Credentials"]["Expiration"].as_str() <= given["Credentials"]["Expiration"].as_str()
    );
    assert_eq!(ask("read", &s3, Value::Null)["answer"]["ResponseMetadata"]["HTTPStatusCode"], 200);
    // Of another account there is nothing to be had, nor with a policy that nobody would keep to, nor without a token.
    let other =
        ask("web identity", &sts, with(own.replace(account.as_str(), &fleet.world.account("globex").id)));
    assert!(other["code"].as_str().unwrap().starts_with("AccessDenied"), "{other}");
    let mut narrowed = with(own.clone());
    narrowed["Policy"] = json!("{\"Version\":\"2012-10-17\",\"Statement\":[]}");
    assert!(ask("web identity", &sts, narrowed)["message"].as_str().unwrap().contains("Policy"));
    for forged in [format!("{}x", tokens.access), "none".to_owned()] {
        let mut with = with(own.clone());
        with["WebIdentityToken"] = json!(forged);
        assert_eq!(ask("web identity", &sts, with)["code"], "InvalidClientTokenId");
    }

    let before = fleet.cloud.seen();
    let path = format!("/applications/{}", application.client_id);
    fleet.world.api("acme", "DELETE", &path).send().await.expect(200);
    // The credentials died with the grant, and there are no new ones.
    let plain = json!({ "RoleArn": own, "RoleSessionName": "alice" });
    is_over(ask("read", &s3, Value::Null));
    is_over(ask("who", &sts, Value::Null));
    is_over(ask("assume", &sts, plain));
    is_over(ask("web identity", &sts, with(own)));
    assert_eq!(fleet.cloud.seen(), before, "nothing more has reached the upstream");
    script.tell(&json!({ "do": "end" }));
    script.finish();
}

/// In the words of AWS: the application is not installed.
#[track_caller]
fn is_over(refused: Value) {
    assert_eq!(refused["code"], "AccessDenied", "{refused}");
    assert!(refused["message"].as_str().unwrap().contains("not_installed"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_clouds_own_sdks_hand_their_token_over_and_get_credentials_that_work_as_far_as_was_granted() {
    let (fleet, sidecar, application, tokens) = scene(ACS, &["/acs/sts", "/acs/ecs:read"]).await;
    let mut clients = Vec::new();
    for script in SDKS {
        clients.push(Client::start(script, &fleet, &sidecar, &tokens));
    }
    for client in &mut clients {
        gets_credentials(client, &fleet, &application);
    }
    let before = fleet.cloud.seen();
    let path = format!("/applications/{}", application.client_id);
    fleet.world.api("acme", "DELETE", &path).send().await.expect(200);
    for mut client in clients {
        let token = client.token.clone();
        for asked in [
            json!({ "do": "read" }),
            json!({ "do": "who" }),
            json!({ "do": "assume", "with": client.plain() }),
            json!({ "do": "assume", "bearer": token, "with": client.plain() }),
            client.handing_over(),
        ] {
            let refused = client.ask(asked.clone());
            assert_eq!(refused["code"], "NoPermission", "{asked}: {refused}");
            let detail = &refused["data"]["AccessDeniedDetail"];
            assert_eq!(detail["Reason"], "not_installed", "{asked}: {refused}");
            assert_eq!(detail["Application"], application.client_id.as_str(), "{asked}: {refused}");
        }
        client.end();
    }
    assert_eq!(fleet.cloud.seen(), before, "nothing more has reached the upstream");
}

/// One of the cloud's SDKs, and what it may do while the grant stands.
fn gets_credentials(client: &mut Client, fleet: &Fleet, application: &Application) {
    let account = &fleet.world.account("acme").id;
    let told = client.ask(client.handing_over());
    let given = told["answer"].clone();
    assert_eq!(given["AssumedRoleUser"]["Arn"], format!("acs:ram::{account}:role/reader/alice"), "{told}");
    assert_eq!(given["OIDCTokenInfo"]["ClientIds"], application.client_id.as_str(), "{given}");
    assert!(lasts(&given["Credentials"]["Expiration"], 900), "{given}");

    let before = fleet.cloud.seen();
    assert_eq!(client.ask(json!({ "do": "read" })), json!({ "answer": {} }));
    assert_eq!(fleet.cloud.seen(), before + 1);
    let refused = client.ask(json!({ "do": "stop" }));
    assert_eq!(refused["code"], "NoPermission", "{refused}");
    let who = client.ask(json!({ "do": "who" }));
    assert_eq!(
        (&who["answer"]["AccountId"], &who["answer"]["IdentityType"]),
        (&json!(account), &json!("RAMUser")),
        "{who}"
    );
    let (plain, token) = (client.plain(), client.token.clone());
    let again = client.ask(json!({ "do": "assume", "with": plain }));
    assert!(again["answer"]["Credentials"]["SecurityToken"].is_string(), "{again}");
    let bearer = client.ask(json!({ "do": "assume", "bearer": token, "with": plain }));
    assert!(bearer["answer"]["Credentials"]["SecurityToken"].is_string(), "{bearer}");
    let mut globex = client.handing_over();
    globex["with"]["role_arn"] = json!(client.role.replace(account, &fleet.world.account("globex").id));
    assert_eq!(client.ask(globex)["code"], "NoPermission");
    let mut narrowed = client.handing_over();
    narrowed["with"]["policy"] = json!("{\"Version\":\"1\",\"Statement\":[]}");
    assert!(client.ask(narrowed)["message"].as_str().unwrap().contains("Policy"));
    assert_eq!(fleet.cloud.seen(), before + 1, "the sidecar answers, and nobody else is asked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_clouds_own_sdks_are_told_what_is_missing_where_no_credentials_were_granted() {
    let (fleet, sidecar, application, tokens) = scene(ACS, &["/acs/ecs:read"]).await;
    for script in SDKS {
        let mut client = Client::start(script, &fleet, &sidecar, &tokens);
        let assumed = json!({ "do": "assume", "bearer": tokens.access, "with": client.plain() });
        for asked in [client.handing_over(), assumed] {
            let refused = client.ask(asked);
            assert_eq!(refused["code"], "NoPermission", "{script}: {refused}");
            let detail = &refused["data"]["AccessDeniedDetail"];
            assert_eq!(detail["Reason"], "insufficient_scope", "{script}: {refused}");
            assert_eq!(detail["Application"], application.client_id.as_str(), "{script}: {refused}");
            assert!(detail["Scope"].as_str().unwrap().contains("/acs/sts"), "{script}: {refused}");
            assert!(!detail["NextStep"].as_str().unwrap().is_empty(), "{script}: {refused}");
            assert!(!refused.to_string().contains("SecurityToken"), "{script}: {refused}");
        }
        client.end();
    }
    assert_eq!(fleet.cloud.seen(), 0, "nothing has reached the upstream");
}

/// One of the cloud's SDKs, which has a token and knows of a role.
struct Client {
    script: Script,
    /// Where the sidecar plays the security token service, and where ECS.
    sts: String,
    ecs: String,
    role: String,
    provider: String,
    token: String,
}

impl Client {
    fn start(script: &str, fleet: &Fleet, sidecar: &Lone, tokens: &Tokens) -> Self {
        let account = &fleet.world.account("acme").id;
        let ecs = sidecar.url.strip_prefix("http://").unwrap().to_owned();
        Self {
            // It says nothing to this.
            script: Script::start(script, &json!({ "do": "nothing" })),
            sts: ecs.replace("127.0.0.1", "localhost"),
            ecs,
            role: format!("acs:ram::{account}:role/reader"),
            provider: format!("acs:ram::{account}:oidc-provider/consentry"),
            token: tokens.access.clone(),
        }
    }

    /// The request for credentials that has the token in it.
    fn handing_over(&self) -> Value {
        let with = json!({
            "role_arn": self.role, "role_session_name": "alice", "oidctoken": self.token, "duration_seconds": 3600,
            "oidcprovider_arn": self.provider,
        });
        json!({ "do": "oidc", "with": with })
    }

    /// What else it may ask for with, once it is known.
    fn plain(&self) -> Value {
        json!({ "role_arn": self.role, "role_session_name": "alice" })
    }

    fn ask(&mut self, mut line: Value) -> Value {
        let is_ecs = ["read", "stop"].contains(&line["do"].as_str().unwrap());
        line["endpoint"] = json!(if is_ecs { &self.ecs } else { &self.sts });
        self.script.ask(&line)
    }

    fn end(mut self) {
        self.script.tell(&json!({ "do": "end" }));
        self.script.finish();
    }
}

const SDKS: [&str; 2] = ["explicit_acs.py", "explicit_acs.mjs"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_not_been_granted_credentials_gets_none() {
    let (fleet, sidecar, _, tokens) = scene(AWS, &["/acs/ecs:read"]).await;
    let role = format!("arn:aws:iam::{}:role/reader", fleet.world.account("acme").id);
    let form = [
        ("Action", "AssumeRoleWithWebIdentity"),
        ("Version", "2011-06-15"),
        ("RoleArn", &role),
        ("RoleSessionName", "alice"),
        ("WebIdentityToken", &tokens.access),
    ];
    let address = sidecar.url.replace("127.0.0.1", "localhost");
    let refused = crate::support::post(&address).form(&form).send().await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    assert!(
        refused.text().contains("/aws/sts") && !refused.text().contains(&tokens.access),
        "{}",
        refused.text()
    );
    // A second credential is not a way to choose between two callers.
    let other = fleet.world.install("desk-cli", "admin@acme", &[]).await;
    let two = crate::support::post(&address).form(&form).bearer(&other.access).send().await;
    assert!([400, 403].contains(&two.status) && !two.text().contains("SessionToken"), "{}", two.text());
    // What could be read as either is read as neither.
    let twice = [form.as_slice(), &[("RoleArn", "arn:aws:iam::1:role/other")]].concat();
    assert_eq!(crate::support::post(&address).form(&twice).send().await.status, 400);
    let records = std::fs::read_to_string(sidecar.folder.join("records.jsonl")).unwrap();
    assert!(
        records.contains("sts:AssumeRoleWithWebIdentity") && !records.contains(&tokens.access),
        "{records}"
    );
}

#[tokio::test]
async fn what_is_asked_for_stands_in_query_or_form_and_in_no_other_body() {
    let (fleet, sidecar, _, tokens) = scene(ACS, &["/acs/sts"]).await;
    let role = format!("acs:ram::{}:role/reader", fleet.world.account("acme").id);
    let sts = sidecar.url.replace("127.0.0.1", "localhost");
    let asked = [
        ("Action", "AssumeRole"),
        ("Version", "2015-04-01"),
        ("RoleArn", &role),
        ("RoleSessionName", "alice"),
    ];
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(asked).finish();
    let address = format!("{sts}/?{query}");
    let call = |address: &str| post(address).bearer(&tokens.access);
    assert!(call(&address).send().await.expect(200)["Credentials"].is_object());
    assert!(call(&sts).form(&asked).send().await.expect(200)["Credentials"].is_object());
    assert!(call(&address).form(&[("DurationSeconds", "900")]).send().await.expect(200).is_object());
    let who = format!("{sts}/?Action=GetCallerIdentity&Version=2015-04-01");
    assert!(call(&who).send().await.expect(200)["Arn"].is_string());

    let policy = r#"{"Policy":"{\"Version\":\"1\",\"Statement\":[]}"}"#;
    for kind in
        ["application/json", "text/plain", "application/octet-stream", "multipart/form-data; boundary=b"]
    {
        for address in [&address, &who] {
            let refused = call(address).header("content-type", kind).body(policy).send().await;
            assert_eq!(
                (refused.status, &refused.json()["Code"]),
                (400, &json!("InvalidParameter")),
                "{kind}"
            );
        }
    }
    for (name, value) in [("policy", "{}"), ("durationseconds", "900"), ("Policy", "{}")] {
        let refused = call(&address).form(&[(name, value)]).send().await;
        assert_eq!(refused.status, 400, "{name}: {}", refused.text());
        assert!(!refused.text().contains("SecurityToken"), "{name}");
    }
    assert_eq!(fleet.cloud.seen(), 0, "nothing has reached the upstream");
}

#[tokio::test]
async fn a_token_for_one_place_is_handed_over_there_alone_and_what_it_gives_is_good_there_alone() {
    let place = "https://sidecar.example";
    let mut fleet = Fleet::asleep_with(&format!("resources = [\"{place}\"]"), "").await;
    fleet.wake().await;
    let (application, tokens) = fleet.world.published("explicit", &["/acs/sts", "/acs/ecs:read"]).await;
    let invited = fleet.invite("explicit", &[]);
    let route = "[[route]]\npath = \"/sts/\"\nadapter = \"acs\"\nproduct = \"sts\"\n";
    let folder = fleet.lone("explicit", &invited, route).await.terminate().await;
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
        let narrow = application.token(&asked).await.expect(200);
        narrow["access_token"].as_str().unwrap().to_owned()
    };
    let role = format!("acs:ram::{}:role/reader", fleet.world.account("acme").id);
    let query = |action: &str| {
        format!(
            "{}/sts/?Action={action}&Version=2015-04-01&RoleArn={role}&RoleSessionName=alice",
            sidecar.url
        )
    };
    let handed_over = |token: &str| post(format!("{}&OIDCToken={token}", query("AssumeRoleWithOIDC"))).send();
    let (here, elsewhere) = (narrowed("/sts").await, narrowed("/ecs").await);

    let assumed = post(query("AssumeRole"));
    for refused in [handed_over(&elsewhere).await, assumed.clone().bearer(&elsewhere).send().await] {
        let problem = refused.expect_problem(401, "invalid_token");
        assert!(
            problem["detail"].as_str().unwrap().contains("is for /ecs and what is below it"),
            "{problem}"
        );
    }
    for given in [handed_over(&here).await, assumed.bearer(&here).send().await] {
        let given = &given.expect(200)["Credentials"];
        let key = Key::from(&json!({
            "accessKeyId": given["AccessKeyId"], "accessKeySecret": given["AccessKeySecret"],
            "securityToken": given["SecurityToken"],
        }));
        let who = Signed::new(&key, "GetCallerIdentity").to("/sts/").without("x-acs-version");
        who.header("x-acs-version", "2015-04-01").call(&sidecar.url).send().await.expect(200);
        let refused = Signed::new(&key, "DescribeInstances").to("/ecs/").call(&sidecar.url).send().await;
        assert_eq!(refused.json()["Code"], "InvalidSecurityToken.Malformed", "{}", refused.text());
    }
    assert_eq!(fleet.cloud.seen(), 0, "nothing has reached the upstream");
    // What a token for all of it gives is good for all of it.
    let given = handed_over(&tokens.access).await.expect(200);
    let given = &given["Credentials"];
    let key = Key::from(&json!({
        "accessKeyId": given["AccessKeyId"], "accessKeySecret": given["AccessKeySecret"],
        "securityToken": given["SecurityToken"],
    }));
    Signed::new(&key, "DescribeInstances").to("/ecs/").call(&sidecar.url).send().await.expect(200);
}

/// A sidecar with these routes before the usual ones, and an application that acme has authorized for these scopes.
async fn scene(routes: &str, scopes: &[&str]) -> (Fleet, Lone, Application, Tokens) {
    let mut fleet = Fleet::start().await;
    let token = fleet.invite("explicit", &[]);
    let routes = routes.replace("CLOUD", &fleet.cloud.url);
    let sidecar = fleet.lone("explicit", &token, &routes).await;
    sidecar.until_ready().await;
    let (application, tokens) = fleet.world.published("explicit", scopes).await;
    (fleet, sidecar, application, tokens)
}

const AWS: &str = r#"
[upstreams.s3]
url = "CLOUD"

[[route]]
path = "/"
host = "localhost"
adapter = "aws"
service = "sts"

[[route]]
path = "/{path…}"
host = "127.0.0.1"
upstream = "s3"
adapter = "aws"
service = "s3"
"#;

const ACS: &str = r#"
[[route]]
path = "/"
host = "localhost"
adapter = "acs"
product = "sts"
"#;
