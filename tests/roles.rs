//! The roles apart: a control plane and sidecars in processes of their own, with the internal API between them. A
//! sidecar serves only what it has been enrolled for, and a deletion is true at all of them when it is answered.

use http_body_util::BodyExt as _;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::revoke::assert_dead;
use crate::support::application::{claims, header};
use crate::support::eventually::in_time;
use crate::support::fleet::{Fleet, Lone};
use crate::support::raw::Raw;
use crate::support::world::run;
use crate::support::{eventually, get, post};

#[tokio::test]
async fn a_deletion_is_true_at_every_sidecar_when_it_is_answered() {
    let mut fleet = Fleet::start().await;
    let (one, two) = (fleet.sidecar("web-1").await, fleet.sidecar("web-2").await);
    let tokens = fleet.world.install("report-hub", "admin@acme", &[]).await;
    for sidecar in [&one, &two] {
        let shown = sidecar.read_object(&tokens.access).await.expect(200);
        let identity = shown["authorization"].as_str().unwrap().strip_prefix("Bearer ").unwrap().to_owned();
        assert_eq!(claims(&identity)["act"]["sub"], fleet.world.seed("report-hub").client_id.as_str());
        assert!(published(&fleet).await.contains(header(&identity)["kid"].as_str().unwrap()));
    }
    let before = fleet.cloud.seen();
    let receipt = fleet.world.delete_application("acme", "report-hub").await.expect(200);
    assert_eq!(confirmed(&receipt), [one.id.as_str(), two.id.as_str()], "{receipt}");
    for sidecar in [&one, &two] {
        assert_dead(&sidecar.read_object(&tokens.access).await);
    }
    assert_eq!(fleet.cloud.seen(), before, "nothing reached the upstream");
}

#[tokio::test]
async fn a_control_node_without_an_internal_api_waits_for_the_sidecars_of_others_all_the_same() {
    let mut fleet = Fleet::start().await;
    let one = fleet.sidecar("web-1").await;
    let tokens = fleet.world.install("report-hub", "admin@acme", &[]).await;
    one.read_object(&tokens.access).await.expect(200);
    fleet.kill_control().await;
    fleet.wake_without_internal().await;
    let receipt = fleet.world.delete_application("acme", "report-hub").await.expect(200);
    let told = &receipt["sidecars"][0];
    assert_eq!((&told["id"], told["stopped_by"].is_u64()), (&json!(one.id), true), "{receipt}");
    one.read_object(&tokens.access).await.expect_problem(503, "authorization_unavailable");
}

#[tokio::test]
async fn open_streams_of_lone_sidecars_are_cut_before_the_receipt() {
    let mut fleet = Fleet::start().await;
    let (one, two) = (fleet.sidecar("web-1").await, fleet.sidecar("web-2").await);
    let tokens = fleet.world.install("report-hub", "admin@acme", &[]).await;
    let mut events = one.call("/oss-watch/reports").bearer(&tokens.access).open().await;
    assert_eq!(events.status(), 200);
    events.body_mut().frame().await.unwrap().unwrap();
    let mut socket = Raw::connect(&two.url).await;
    let (host, token) = (two.url.trim_start_matches("http://"), &tokens.access);
    socket
        .write(format!(
            "GET /oss-socket/reports HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\
             Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        ))
        .await;
    assert!(socket.read_to("\r\n\r\n").await.starts_with("HTTP/1.1 101"));
    let receipt = fleet.world.delete_application("acme", "report-hub").await.expect(200);
    assert_eq!(receipt["streams_closed"], 2, "{receipt}");
    in_time("the events break off", async { while let Some(Ok(_)) = events.body_mut().frame().await {} })
        .await;
    socket.closed().await;
}

#[tokio::test]
async fn a_sidecar_without_a_good_token_serves_nothing_until_it_is_given_one() {
    let mut fleet = Fleet::start().await;
    let good = fleet.sidecar("web-1").await;
    let tokens = fleet.world.install("report-hub", "admin@acme", &[]).await;
    let used = std::fs::read_to_string(good.folder.join("token")).unwrap();
    let (others, expired) = (fleet.invite("web-9", &[]), fleet.invite("web-8", &["--life", "0"]));
    let stranger = "A".repeat(43);
    let mut refused = Vec::new();
    for (name, token) in [
        ("web-1", &used),
        ("web-2", &others),
        ("web-8", &expired),
        ("web-3", &stranger),
        ("web-4", &String::new()),
    ] {
        let sidecar = fleet.lone(name, token, "").await;
        sidecar.until_not_ready("refused: ").await;
        let answer = sidecar.read_object(&tokens.access).await;
        answer.expect_problem(503, "authorization_unavailable");
        refused.push((name, sidecar));
    }
    good.read_object(&tokens.access).await.expect(200);
    assert!(!refused.iter().any(|(_, sidecar)| sidecar.told().contains(&stranger)), "a token is in a log");

    let (name, sidecar) = refused.remove(3);
    std::fs::write(sidecar.folder.join("token"), fleet.invite(name, &[])).unwrap();
    sidecar.until_ready().await;
    sidecar.read_object(&tokens.access).await.expect(200);
}

#[tokio::test]
async fn a_revoked_sidecar_serves_nothing_and_its_key_is_published_no_more() {
    let mut fleet = Fleet::start().await;
    let (one, two) = (fleet.sidecar("web-1").await, fleet.sidecar("web-2").await);
    let tokens = fleet.world.install("report-hub", "admin@acme", &[]).await;
    let shown = one.read_object(&tokens.access).await.expect(200);
    let identity = shown["authorization"].as_str().unwrap().strip_prefix("Bearer ").unwrap().to_owned();
    fleet.revoke("web-1");
    one.until_not_ready("refused: The enrolment of the sidecar web-1 was revoked").await;
    one.read_object(&tokens.access).await.expect_problem(503, "authorization_unavailable");
    assert!(!published(&fleet).await.contains(header(&identity)["kid"].as_str().unwrap()));
    two.read_object(&tokens.access).await.expect(200);

    // Started again it is refused as before, and with a new invitation it serves.
    let folder = one.terminate().await;
    let again = Lone::start(folder.clone()).await;
    again.until_not_ready("was revoked").await;
    std::fs::write(folder.join("token"), fleet.invite("web-1", &[])).unwrap();
    again.until_ready().await;
    again.read_object(&tokens.access).await.expect(200);
}

#[tokio::test]
async fn an_enrolled_sidecar_needs_no_token_when_it_starts_again() {
    let mut fleet = Fleet::start().await;
    let tokens = fleet.world.install("report-hub", "admin@acme", &[]).await;
    let folder = fleet.sidecar("web-1").await.terminate().await;
    std::fs::remove_file(folder.join("token")).unwrap();
    let again = Lone::start(folder).await;
    again.until_ready().await;
    again.read_object(&tokens.access).await.expect(200);
    // The process that ended is waited for no more.
    let receipt = fleet.world.delete_application("acme", "report-hub").await.expect(200);
    assert_eq!(confirmed(&receipt), [again.id.as_str()], "{receipt}");
}

#[tokio::test]
async fn a_sidecar_that_reaches_nobody_says_so_and_serves_as_soon_as_it_does() {
    let mut fleet = Fleet::asleep("").await;
    let token = fleet.invite("web-1", &[]);
    let sidecar = fleet.lone("web-1", &token, "").await;
    sidecar.until_not_ready("no_lease: the control plane has not been heard from yet").await;
    sidecar.read_object("a.b.c").await.expect_problem(503, "authorization_unavailable");
    fleet.wake().await;
    sidecar.until_ready().await;
    let tokens = fleet.world.install("report-hub", "admin@acme", &[]).await;
    sidecar.read_object(&tokens.access).await.expect(200);
}

#[tokio::test]
async fn a_crash_of_the_control_plane_is_survived_for_a_lease_and_followed_on_from() {
    let mut fleet = Fleet::start().await;
    let (one, two) = (fleet.sidecar("web-1").await, fleet.sidecar("web-2").await);
    let tokens = fleet.world.install("report-hub", "admin@acme", &[]).await;
    for sidecar in [&one, &two] {
        sidecar.read_object(&tokens.access).await.expect(200);
    }
    fleet.kill_control().await;
    // What is known is good for a lease, and no longer.
    one.read_object(&tokens.access).await.expect(200);
    one.until_not_ready("no_lease: the control plane has not been heard from for too long").await;
    one.read_object(&tokens.access).await.expect_problem(503, "authorization_unavailable");
    fleet.wake().await;
    one.until_ready().await;
    two.until_ready().await;
    one.read_object(&tokens.access).await.expect(200);
    let receipt = fleet.world.delete_application("acme", "report-hub").await.expect(200);
    assert_eq!(confirmed(&receipt), [one.id.as_str(), two.id.as_str()], "{receipt}");
    assert_dead(&one.read_object(&tokens.access).await);
}

#[tokio::test]
async fn a_control_plane_that_crashed_waits_for_the_leases_that_it_had_given() {
    let mut fleet = Fleet::start().await;
    let (one, two) = (fleet.sidecar("web-1").await, fleet.sidecar("web-2").await);
    let tokens = fleet.world.install("report-hub", "admin@acme", &[]).await;
    two.read_object(&tokens.access).await.expect(200);
    // It still counts on what it knows, and answers nobody: not the one that has forgotten it either.
    two.signal(Signal::STOP);
    fleet.kill_control().await;
    fleet.wake().await;
    one.until_ready().await;
    let receipt = fleet.world.delete_application("acme", "report-hub").await.expect(200);
    let of_two = receipt["sidecars"].as_array().unwrap().iter().find(|part| part["id"] == two.id.as_str());
    assert!(of_two.is_some_and(|part| part["stopped_by"].is_number()), "{receipt}");
    two.signal(Signal::CONT);
    assert_ne!(two.read_object(&tokens.access).await.status, 200);
}

#[tokio::test]
async fn a_crashed_sidecar_is_waited_for_until_its_lease_has_ended() {
    let mut fleet = Fleet::start().await;
    let (one, two) = (fleet.sidecar("web-1").await, fleet.sidecar("web-2").await);
    fleet.world.install("report-hub", "admin@acme", &[]).await;
    let id = two.id.clone();
    two.kill().await;
    let receipt = fleet.world.delete_application("acme", "report-hub").await.expect(200);
    assert_eq!(confirmed(&receipt), [one.id.as_str()], "{receipt}");
    let part = receipt["sidecars"].as_array().unwrap().iter().find(|part| part["id"] == id.as_str()).unwrap();
    assert!(part["stopped_by"].as_u64().unwrap() <= 2000, "{receipt}");
    assert!(receipt["elapsed_ms"].as_u64().unwrap() < 3000, "{receipt}");
}

#[tokio::test]
async fn each_sidecars_word_is_told_as_it_comes() {
    let mut fleet = Fleet::start().await;
    let (one, two) = (fleet.sidecar("web-1").await, fleet.sidecar("web-2").await);
    fleet.world.install("report-hub", "admin@acme", &[]).await;
    two.signal(Signal::STOP);
    let path = format!("/applications/{}", fleet.world.seed("report-hub").client_id);
    let call = fleet.world.api("acme", "DELETE", &path).header("accept", "application/x-ndjson");
    let mut answer = call.open().await;
    assert_eq!(answer.headers()["content-type"], "application/x-ndjson");
    let mut next = async || {
        let frame = in_time("the next line", answer.body_mut().frame()).await.unwrap().unwrap();
        serde_json::from_slice::<Value>(&frame.into_data().unwrap()).unwrap()
    };
    let first = next().await;
    assert!(first["id"] == one.id.as_str() && first["confirmed_ms"].is_number(), "{first}");
    let second = next().await;
    assert!(second["id"] == two.id.as_str() && second["stopped_by"].is_number(), "{second}");
    let receipt = next().await;
    assert_eq!((&receipt["effective"], &receipt["sidecars"]), (&json!(true), &json!([first, second])));
}

#[tokio::test]
async fn revoking_on_the_command_line_names_each_sidecar_before_the_whole() {
    let mut fleet = Fleet::start().await;
    let one = fleet.sidecar("web-1").await;
    fleet.world.install("report-hub", "admin@acme", &[]).await;
    let token = &fleet.world.account("acme").api_token;
    let revoke = ["app", "revoke", "report-hub", "--server", &fleet.world.issuer, "--token", token];
    let output = run(&revoke);
    let told = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = told.lines().collect();
    assert!(lines[0].starts_with(&one.id) && lines[0].contains("confirmed"), "{told}");
    assert!(lines[1].starts_with("True everywhere after "), "{told}");
    let again = run(&revoke);
    assert_eq!(again.status.code(), Some(1), "{}", String::from_utf8_lossy(&again.stderr));
}

#[tokio::test]
async fn an_administrator_sees_who_is_connected_and_how_fresh() {
    let mut fleet = Fleet::start().await;
    let (one, two) = (fleet.sidecar("web-1").await, fleet.sidecar("web-2").await);
    let shown = async || fleet.world.api("acme", "GET", "/sidecars").send().await.expect(200);
    eventually("both have applied everything, by the control plane's own word", || async {
        let shown = shown().await;
        let of = |at: usize| shown["sidecars"][at]["processes"][0].clone();
        let fresh = |process: Value| {
            process["applied"] == shown["newest"]
                && process["lease"] == "held"
                && process["paths"] == json!(["control"])
                && process["policies"] == shown["policies"]
                && process["heard_ms"].as_u64().is_some_and(|ms| ms < 2000)
        };
        assert_eq!((of(0)["id"].as_str(), of(1)["id"].as_str()), (Some(&*one.id), Some(&*two.id)), "{shown}");
        (fresh(of(0)) && fresh(of(1))).then_some(())
    })
    .await;
    fleet.revoke("web-1");
    two.terminate().await;
    eventually("one is revoked and its lease ended, and one has left", || async {
        let shown = shown().await;
        let [one, two] = [&shown["sidecars"][0], &shown["sidecars"][1]];
        assert!(one["revoked_at"].is_string() && two["revoked_at"].is_null(), "{shown}");
        let ended = one["processes"][0]["lease"] == "ended";
        (ended && two["processes"] == json!([])).then_some(())
    })
    .await;
    let data = fleet.world.data().display().to_string();
    let listed = run(&["sidecars", "list", "--format", "json", "--data", &data]);
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(listed["sidecars"][0]["name"], "web-1", "{listed}");
    assert!(listed["sidecars"][0]["revoked_at"].is_string(), "{listed}");
}

#[tokio::test]
async fn policies_of_the_control_plane_are_in_force_at_sidecars_and_bad_ones_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    for part in ["scopes", "guardrails"] {
        std::fs::create_dir(folder.path().join(part)).unwrap();
        for file in std::fs::read_dir(here.join(part)).unwrap() {
            let file = file.unwrap().path();
            std::fs::copy(&file, folder.path().join(part).join(file.file_name().unwrap())).unwrap();
        }
    }
    std::fs::copy(here.join("console.cedar"), folder.path().join("console.cedar")).unwrap();
    let settings = format!("policies = \"{}\"", folder.path().display());
    let mut fleet = Fleet::asleep_with(&settings, "").await;
    fleet.wake().await;
    let sidecar = fleet.sidecar("web-1").await;
    let tokens = fleet.world.install("report-hub", "admin@acme", &[]).await;
    sidecar.read_object(&tokens.access).await.expect(200);
    let guardrail = "@id(\"no-reading\") @reason(\"Nobody reads today.\")\nforbid (principal, action == \
                     Action::\"oss:GetObject\", resource);\n";
    let file = folder.path().join("guardrails/no-reading.cedar");
    std::fs::write(&file, guardrail).unwrap();
    eventually("the guardrail is in force at the sidecar", || async {
        (sidecar.read_object(&tokens.access).await.status == 403).then_some(())
    })
    .await;
    std::fs::write(&file, "permit (principal, action, resource);").unwrap();
    std::fs::write(folder.path().join("guardrails/later.cedar"), "nonsense").unwrap();
    sidecar.read_object(&tokens.access).await.expect(403);
    std::fs::remove_file(folder.path().join("guardrails/later.cedar")).unwrap();
    std::fs::remove_file(&file).unwrap();
    eventually("it is lifted again", || async {
        (sidecar.read_object(&tokens.access).await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_sidecar_without_a_control_plane_in_its_settings_says_what_to_add() {
    let folder = tempfile::tempdir().unwrap();
    let example = include_str!("../deploy/sidecar.toml");
    let settings: String = example.split_inclusive('\n').filter(|line| !of_control(line)).collect();
    let config = folder.path().join("sidecar.toml");
    std::fs::write(&config, settings).unwrap();
    let output = run(&["sidecar", "--config", &config.display().to_string()]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{told}");
    assert!(told.contains("there is no [control]") && told.contains("deploy/sidecar.toml"), "{told}");
}

fn of_control(line: &str) -> bool {
    ["[control]", "urls", "name", "state", "token_file"].iter().any(|word| line.starts_with(word))
}

#[tokio::test]
async fn a_certificate_for_its_name_enrols_a_sidecar_and_one_for_another_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let files = Certificates::make(folder.path());
    let mut fleet = Fleet::asleep(&files.of_control()).await;
    fleet.internal = fleet.internal.replace("http://127.0.0.1", "https://localhost");
    fleet.wake().await;
    fleet.internal = fleet.internal.replace("127.0.0.1", "localhost");
    let good = fleet.lone("web-1", "", &files.of_sidecar("web-1")).await;
    good.until_ready().await;
    let tokens = fleet.world.install("report-hub", "admin@acme", &[]).await;
    good.read_object(&tokens.access).await.expect(200);
    let other = fleet.lone("web-2", "", &files.of_sidecar("web-1")).await;
    other.until_not_ready("refused: ").await;
    let none = fleet.lone("web-3", "", &files.of_nobody()).await;
    none.until_not_ready("no_lease: ").await;
}

#[tokio::test]
async fn copies_of_decision_records_reach_the_admin_api() {
    let mut fleet = Fleet::start().await;
    let sidecar = fleet.sidecar("web-1").await;
    let tokens = fleet.world.install("report-hub", "admin@acme", &[]).await;
    let answer = sidecar.read_object(&tokens.access).await;
    answer.expect(200);
    let id = answer.header("x-consentry-decision").to_owned();
    let record = eventually("the record has been copied", || async {
        let found = fleet.world.api("acme", "GET", &format!("/decisions/{id}")).send().await;
        (found.status == 200).then(|| found.json())
    })
    .await;
    assert_eq!(record["decision"]["sidecar"], sidecar.id.as_str(), "{record}");
    let own = std::fs::read_to_string(sidecar.folder.join("records.jsonl")).unwrap();
    assert!(own.contains(&id));
}

#[tokio::test]
async fn the_internal_api_is_not_where_the_public_is_and_answers_nobody_unknown() {
    let fleet = Fleet::start().await;
    post(format!("{}/internal/v1/follow", fleet.world.issuer)).send().await.expect(404);
    get(format!("{}/api/v1/applications", fleet.internal)).send().await.expect_problem(401, "unproven");
    let tokens = fleet.world.install("report-hub", "admin@acme", &[]).await;
    for token in [&tokens.access, &fleet.world.account("acme").api_token] {
        let keys = get(format!("{}/internal/v1/keys", fleet.internal));
        keys.bearer(token).send().await.expect_problem(401, "unproven");
    }
}

/// Which sidecars have confirmed.
fn confirmed(receipt: &Value) -> Vec<&str> {
    let sidecars = receipt["sidecars"].as_array().unwrap().iter();
    sidecars.filter(|part| part["confirmed_ms"].is_number()).filter_map(|part| part["id"].as_str()).collect()
}

/// The issuer's key set, as text.
async fn published(fleet: &Fleet) -> String {
    get(format!("{}/v1/keys", fleet.world.issuer)).send().await.text()
}

/// An authority, the control plane's certificate, and a sidecar's.
struct Certificates(std::path::PathBuf);

impl Certificates {
    fn make(folder: &std::path::Path) -> Self {
        use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let authority = params.self_signed(&key).unwrap();
        std::fs::write(folder.join("ca.crt"), authority.pem()).unwrap();
        let issuer = Issuer::new(params, key);
        for name in ["localhost", "web-1"] {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
            let certificate = params.signed_by(&key, &issuer).unwrap();
            std::fs::write(folder.join(format!("{name}.crt")), certificate.pem()).unwrap();
            std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
        }
        Self(folder.to_owned())
    }

    fn at(&self, file: &str) -> String {
        self.0.join(file).display().to_string()
    }

    fn of_control(&self) -> String {
        let (certificate, key, ca) = (self.at("localhost.crt"), self.at("localhost.key"), self.at("ca.crt"));
        format!("tls = {{ certificate = \"{certificate}\", key = \"{key}\", client_ca = \"{ca}\" }}")
    }

    fn of_sidecar(&self, name: &str) -> String {
        let (certificate, key) = (self.at(&format!("{name}.crt")), self.at(&format!("{name}.key")));
        format!("certificate = \"{certificate}\"\nkey = \"{key}\"\n{}", self.of_nobody())
    }

    fn of_nobody(&self) -> String {
        format!("ca = \"{}\"", self.at("ca.crt"))
    }
}
