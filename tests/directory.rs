//! The embedded directory: a first account where there is none, a file that is applied, people who come and go, and
//! what they prove themselves by, in a real browser with an authenticator of its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};

use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::pages;
use crate::support::chromium::Story;
use crate::support::eventually::in_time;
use crate::support::world::{consentry, run};
use crate::support::{Call, World, eventually, get};

/// A real control plane on an empty store, at a name, as passkeys need it.
struct Plane {
    issuer: String,
    config: PathBuf,
    folder: TempDir,
    process: Option<Child>,
}

impl Plane {
    /// Its settings; nothing runs yet.
    fn asleep() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (issuer, config) = (format!("http://localhost:{port}"), folder.path().join("control.toml"));
        let at = |name: &str| folder.path().join(name).display().to_string();
        let text = format!(
            "listen = \"127.0.0.1:{port}\"\nissuer = \"{issuer}\"\nstore = \"sqlite:{}\"\nkey_file = \"{}\"\n",
            at("store.db"),
            at("key")
        );
        std::fs::write(&config, text).unwrap();
        Self { issuer, config, folder, process: None }
    }

    async fn wake(&mut self) {
        let mut command = consentry();
        command.arg("control").arg("--config").arg(&self.config).stdout(Stdio::null()).stderr(Stdio::null());
        self.process = Some(command.spawn().unwrap());
        let address = self.issuer.replace("localhost", "127.0.0.1");
        eventually("the control plane listens", || async {
            let port: u16 = address.rsplit_once(':').unwrap().1.parse().unwrap();
            tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()
        })
        .await;
    }

    fn directory(&self, arguments: &[&str]) -> Output {
        let config = self.config.display().to_string();
        run(&[&["directory", "--config", &config], arguments].concat())
    }

    /// What it prints, when it succeeds.
    #[track_caller]
    fn told(&self, arguments: &[&str]) -> String {
        let output = self.directory(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The same as JSON.
    #[track_caller]
    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.told(&[arguments, &["--format", "json"]].concat())).unwrap()
    }

    /// How it fails.
    #[track_caller]
    fn refused(&self, arguments: &[&str], code: i32, words: &str) {
        let output = self.directory(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(words) && output.stdout.is_empty(), "{arguments:?}: {said}");
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

#[tokio::test]
async fn a_first_account_is_made_by_an_operator_and_lives_in_the_browser() {
    let mut plane = Plane::asleep();
    assert!(plane.told(&["account", "list"]).contains("no account"));
    let link = plane.told(&["account", "add", "acme"]);
    plane.refused(&["account", "add", "ACME"], 1, "exists already");
    plane.wake().await;
    let facts = json!({ "issuer": plane.issuer, "link": link.trim() });
    Story::open("people.mjs", "people", "people", facts).end(pages::PEOPLE);
    let people = plane.json(&["user", "list", "acme"]);
    let carol = people["people"].as_array().unwrap().iter().find(|one| one["login"] == "carol@acme").unwrap();
    assert_eq!((&carol["groups"], &carol["enabled"]), (&json!(["ops"]), &json!(true)), "{people}");
}

#[test]
fn a_file_that_is_applied_twice_changes_nothing_the_second_time() {
    let plane = Plane::asleep();
    let file = plane.write("directory.toml", FILE);
    let dry = plane.told(&["apply", &file, "--dry-run"]);
    assert!(dry.contains("+ account acme") && dry.contains("+ user alice@acme, administrator"), "{dry}");
    assert!(plane.told(&["account", "list"]).contains("no account"), "a dry run changes nothing");
    let first = plane.json(&["apply", &file]);
    let links: Vec<_> = first["links"].as_array().unwrap().iter().map(|one| one["login"].clone()).collect();
    assert_eq!(links, ["root@acme", "alice@acme"], "who has a hash needs no link");
    assert!(
        first["links"][0]["link"].as_str().unwrap().starts_with(&format!("{}/set-password?", plane.issuer))
    );
    for _ in 0..2 {
        let again = plane.json(&["apply", &file]);
        assert_eq!((&again["changes"], &again["links"]), (&json!([]), &json!([])), "{again}");
    }
    // The same in JSON.
    let value: toml::Value = toml::from_str(FILE).unwrap();
    let same = plane.write("directory.json", &serde_json::to_string(&value).unwrap());
    assert_eq!(plane.json(&["apply", &same])["changes"], json!([]));
    // What somebody has done by hand stays, until it is pruned.
    plane.told(&["user", "add", "mallory@acme", "--group", "visitors"]);
    plane.told(&["group", "join", "visitors", "bob@acme"]);
    assert_eq!(plane.json(&["apply", &file])["changes"], json!([]));
    let pruned = plane.json(&["apply", &file, "--prune"])["changes"].to_string();
    for change in ["mallory@acme: disabled", "bob@acme: groups in developers", "- group visitors"] {
        assert!(pruned.contains(change), "{change}: {pruned}");
    }
    assert_eq!(plane.json(&["apply", &file, "--prune"])["changes"], json!([]));
    let changed = FILE.replace("administrator = true", "administrator = false");
    let other = plane.write("other.toml", &changed);
    assert_eq!(plane.json(&["apply", &other])["changes"], json!(["~ alice@acme: no administrator"]));
}

#[test]
fn a_file_that_cannot_be_meant_changes_nothing() {
    let plane = Plane::asleep();
    for (from, to, words) in [
        ("name = \"bob\"", "name = \"alice\"", "stands twice"),
        ("name = \"bob\"", "nmae = \"bob\"", "unknown field `nmae`"),
        ("name = \"bob\"", "name = \"b ob\"", "is no name"),
        ("$argon2id$", "secret", "Argon2id"),
        ("members = [\"alice\"]", "members = [\"nobody\"]", "no user there"),
        ("[[accounts.roles]]", "[[accounts.roles]]\nadministrator = true", "no role does"),
    ] {
        assert!(FILE.contains(from));
        let file = plane.write("bad.toml", &FILE.replacen(from, to, 1));
        plane.refused(&["apply", &file], 3, words);
    }
    assert!(plane.told(&["account", "list"]).contains("no account"));
    plane.refused(&["user", "add", "alice@acme"], 1, "no account acme");
    plane.told(&["account", "add", "acme", "--id", "1000000000000007"]);
    let file = plane.write("bad.toml", FILE);
    plane.refused(&["apply", &file], 1, "a number is never changed");
    plane.refused(&["user", "disable", "nobody@acme"], 1, "nobody has the login");
    plane.refused(&["user", "add", "alice"], 2, "as in alice@acme");
    plane.refused(&["role", "add", "a/b@acme"], 2, "is no name");
}

#[tokio::test]
async fn a_token_by_an_operator_works_until_it_is_revoked() {
    let mut plane = Plane::asleep();
    let file = plane.write("directory.toml", FILE);
    plane.told(&["apply", &file]);
    plane.wake().await;
    let token = plane.told(&["token", "add", "alice@acme", "--label", "ci"]).trim().to_owned();
    let ask = async || {
        let url = format!("{}/api/v1/directory/users", plane.issuer.replace("localhost", "127.0.0.1"));
        get(url).bearer(&token).send().await.status
    };
    assert_eq!(ask().await, 200);
    plane.told(&["user", "administrator", "alice@acme", "--take"]);
    assert_eq!(ask().await, 403);
    plane.told(&["user", "administrator", "alice@acme"]);
    let id = plane.json(&["token", "list", "acme"])["tokens"][0]["id"].as_str().unwrap().to_owned();
    plane.told(&["token", "revoke", "acme", &id]);
    assert_eq!(ask().await, 401);
    plane.refused(&["token", "revoke", "acme", &id], 1, "there is no token");
}

#[tokio::test]
async fn who_is_disabled_can_do_nothing_from_the_answer_on_and_streams_are_cut() {
    let world = World::start().await;
    world.install("report-hub", "admin@acme", &[]).await;
    let (alice, bob) =
        (world.sign_in("report-hub", "alice@acme").await, world.sign_in("report-hub", "bob@acme").await);
    world.read_object(&alice.access).await.expect(200);
    let mut events = world.call("GET", "/oss-watch/reports").bearer(&alice.access).open().await;
    assert_eq!(events.status(), 200);
    events.body_mut().frame().await.unwrap().unwrap();
    let path = "/directory/users/alice@acme";
    world.api("acme", "PATCH", path).json(&json!({ "enabled": false })).send().await.expect(200);
    let refused = world.read_object(&alice.access).await;
    assert!([401, 403].contains(&refused.status), "{} {}", refused.status, refused.text());
    in_time("the events break off", async { while let Some(Ok(_)) = events.body_mut().frame().await {} })
        .await;
    world.read_object(&bob.access).await.expect(200);
    // An operator's change takes the same way.
    let data = world.data().display().to_string();
    let output = run(&["directory", "--data", &data, "user", "disable", "bob@acme"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    eventually("the sidecar hears of it", || async {
        (world.read_object(&bob.access).await.status != 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn who_is_taken_out_of_a_group_loses_what_was_assigned_to_it() {
    let world = World::start().await;
    world.install("report-hub", "admin@acme", &[]).await;
    let api = |method: &str, path: &str| -> Call { world.api("acme", method, path) };
    api("POST", "/directory/groups").json(&json!({ "name": "readers" })).send().await.expect(201);
    api("PUT", "/directory/groups/readers/members/alice@acme").send().await.expect(200);
    let assign = format!("/applications/{}/assignments", world.seed("report-hub").client_id);
    let assigned = json!({ "mode": "assigned", "groups": ["readers"] });
    api("PUT", &assign).json(&assigned).send().await.expect(200);
    let alice = world.sign_in("report-hub", "alice@acme").await;
    world.read_object(&alice.access).await.expect(200);
    api("DELETE", "/directory/groups/readers/members/alice@acme").send().await.expect(200);
    world.read_object(&alice.access).await.expect_problem(403, "not_assigned");
    api("PUT", "/directory/groups/readers/members/alice@acme").send().await.expect(200);
    world.read_object(&alice.access).await.expect(200);
    api("DELETE", "/directory/groups/readers").send().await.expect(204);
    world.read_object(&alice.access).await.expect_problem(403, "not_assigned");
}

#[test]
fn a_password_is_taken_from_standard_input() {
    let plane = Plane::asleep();
    plane.told(&["account", "add", "acme"]);
    let set = |text: &str| with_input(&plane.config, text);
    assert_eq!(set("short\n").status.code(), Some(2));
    assert!(set("a long password\n").status.success());
    let people = plane.json(&["user", "list", "acme"]);
    assert_eq!(people["people"][0]["password"], true, "{people}");
}

fn with_input(config: &Path, text: &str) -> Output {
    use std::io::Write as _;
    let mut command = consentry();
    command.args(["directory", "user", "password", "root@acme", "--stdin", "--config"]).arg(config);
    let mut process =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    process.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    process.wait_with_output().unwrap()
}

/// Bob's hash is of a password that nobody has written down.
const FILE: &str = r#"
[[accounts]]
alias = "acme"
id = "1000000000000001"

[[accounts.groups]]
name = "developers"
description = "Who writes it"

[[accounts.groups]]
name = "auditors"
members = ["alice"]

[[accounts.users]]
name = "alice"
display_name = "Alice"
administrator = true

[[accounts.users]]
name = "bob"
groups = ["developers"]
password_hash = "$argon2id$v=19$m=19456,t=2,p=1$YWFhYWFhYWFhYWFhYWFhYQ$YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE"

[[accounts.roles]]
name = "deploy"
groups = ["developers"]
"#;
