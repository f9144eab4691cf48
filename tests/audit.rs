//! The audit, by the program itself: everything is in it but secrets, who changes it behind its back is found, and it can
//! be followed, exported, and verified elsewhere.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use crate::support::world::{consentry, run};
use crate::support::{Person, World, eventually, get, post};

/// The program's answer: exit code, data, narration.
fn audit(arguments: &[&str], data: &Path) -> (i32, String, String) {
    let data = data.display().to_string();
    let output = run(&[&["audit"], arguments, &["--data", &data]].concat());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

/// What happens in it: an installation, allowed and denied calls, a forged form, a wrong password, a deletion.
async fn busy_world() -> (World, Vec<String>) {
    let world = World::start().await;
    let tokens = world.install("report-hub", "admin@acme", &["/acs/ecs:read"]).await;
    let alice = world.sign_in("report-hub", "alice@acme").await;
    world.read_object(&alice.access).await.expect(200);
    let denied = world.call("PUT", "/oss/reports/q1.csv").bearer(&alice.access).body("x").send().await;
    denied.expect_problem(403, "insufficient_scope");
    let mut admin = Person::new(&world, "admin@acme");
    let page = admin.visit(format!("{}/console", world.issuer)).await;
    assert_eq!(page.status, 200);
    let forged = post(format!("{}/oauth2/v1/consent", world.issuer)).header("cookie", admin.cookie());
    forged
        .form(&[("csrf", "forged-csrf"), ("decision", "authorize"), ("transaction", "stolen")])
        .send()
        .await
        .expect(403);
    let application = world.application("report-hub");
    application.refresh("guessed-refresh-token").await.expect_oauth_error(400, "invalid_grant");
    get(format!("{}/api/v1/applications", world.issuer)).bearer("guessed-bearer").send().await.expect(401);
    world.delete_application("acme", "report-hub").await.expect(200);
    let mut secrets = vec![tokens.access, tokens.refresh, alice.access, alice.refresh, admin.cookie()];
    secrets.extend(["forged-csrf", "stolen", "guessed-refresh-token", "guessed-bearer"].map(str::to_owned));
    secrets.extend(world.accounts.iter().map(|account| account.api_token.clone()));
    let people = world.accounts.iter().flat_map(|account| &account.principals);
    secrets.extend(people.map(|principal| principal.password.clone()));
    secrets.extend(world.applications.iter().filter_map(|seed| seed.client_secret.clone()));
    let key = std::fs::read_to_string(world.data().join("key")).unwrap();
    secrets.push(key.trim().to_owned());
    (world, secrets)
}

#[tokio::test]
async fn what_was_recorded_is_verified_exported_without_a_secret_and_verified_elsewhere() {
    let (mut world, secrets) = busy_world().await;
    let wanted = [
        "refused.form_not_yours",
        "refused.unauthenticated",
        "refused.invalid_grant",
        "calls.recorded",
        "grant.revoke",
    ];
    eventually("all is recorded", || {
        let (_, lines, _) = audit(&["tail", "-n", "1000", "--format", "json"], &world.data());
        let (_, calls, _) = audit(&["tail", "--event", "calls.", "--format", "json"], &world.data());
        std::future::ready(wanted.iter().all(|event| (lines.clone() + &calls).contains(event)).then_some(()))
    })
    .await;
    // While it runs, and after it has ended.
    let (code, told, why) = audit(&["verify"], &world.data());
    assert_eq!(code, 0, "{told}{why}");
    assert!(world.terminate().await.success());
    let (code, told, why) = audit(&["verify"], &world.data());
    assert!(code == 0 && told.contains("signed to the last"), "{told}{why}");

    let elsewhere = tempfile::tempdir().unwrap();
    let at = |name: &str| elsewhere.path().join(name).display().to_string();
    let keep = |name: &str, arguments: &[&str]| {
        let (code, text, why) = audit(arguments, &world.data());
        assert_eq!(code, 0, "{arguments:?}: {why}");
        std::fs::write(at(name), &text).unwrap();
        text
    };
    keep("keys.json", &["key"]);
    keep("checkpoints", &["checkpoint"]);
    let whole = keep("audit.jsonl", &["export", "--decisions"]);
    keep("part.jsonl", &["export", "--account", &world.account("acme").id, "--event", "grant."]);
    for secret in &secrets {
        assert!(!whole.contains(secret.as_str()), "{secret} stands in the audit");
    }
    let verify = |file: &str| {
        run(&[
            "audit",
            "verify",
            "--file",
            &at(file),
            "--key",
            &at("keys.json"),
            "--checkpoint",
            &at("checkpoints"),
        ])
    };
    let good = verify("audit.jsonl");
    assert!(good.status.success(), "{}", String::from_utf8_lossy(&good.stderr));
    let part = verify("part.jsonl");
    assert!(String::from_utf8_lossy(&part.stdout).contains("2 records"), "{part:?}");
    std::fs::write(at("audit.jsonl"), whole.replace("\"actor\":\"admin@acme\"", "\"actor\":\"alice@acme\""))
        .unwrap();
    let changed = verify("audit.jsonl");
    assert_eq!(changed.status.code(), Some(1));
    let told = String::from_utf8_lossy(&changed.stderr).into_owned();
    assert!(told.contains("the audit is broken: record") && told.contains("changed"), "{told}");
}

#[tokio::test]
async fn who_changes_a_record_behind_its_back_is_found_and_the_record_is_named() {
    let (mut world, _) = busy_world().await;
    assert!(world.terminate().await.success());
    let options = SqliteConnectOptions::new().filename(world.data().join("consentry.db"));
    let mut connection = options.connect().await.unwrap();
    let change = "DROP TRIGGER audit_is_not_changed; UPDATE audit SET actor = 'alice@acme' WHERE event = 'grant.revoke'";
    sqlx::raw_sql(change).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let (code, told, why) = audit(&["verify", "--format", "json"], &world.data());
    assert_eq!(code, 1, "{told}");
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&told["good"], &told["broken"]["what"]), (&json!(false), &json!("changed")), "{told}");
    assert!(
        told["broken"]["where"].as_str().unwrap().starts_with("record ") && why.contains("broken"),
        "{told} {why}"
    );
    let stranger = tempfile::tempdir().unwrap();
    let (code, _, why) = audit(&["verify"], stranger.path());
    assert!(code == 4 && (why.contains("no store") || why.contains("secret")), "{why}");
    assert!(!stranger.path().join("key").exists(), "nothing is made where nothing is");
}

#[tokio::test]
async fn who_follows_it_sees_what_comes_and_an_administrator_reads_the_own_accounts_only() {
    let world = World::start().await;
    let mut follow = consentry()
        .args(["audit", "tail", "--follow", "-n", "0", "--data"])
        .arg(world.data())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(follow.stdout.take().unwrap()).lines();
    let told = std::thread::spawn(move || {
        lines.by_ref().map_while(Result::ok).find(|line| line.contains("grant.install"))
    });
    // Whatever came before it follows is not told, so that it is made again until it is.
    let told = eventually("it is told", || async {
        world.delete_application("acme", "report-hub").await;
        world.install("report-hub", "admin@acme", &[]).await;
        told.is_finished().then_some(())
    });
    told.await;
    follow.kill().unwrap();
    follow.wait().unwrap();

    let mine = world.api("acme", "GET", "/audit?format=ndjson").send().await;
    assert_eq!((mine.status, mine.header("content-type")), (200, "application/x-ndjson"));
    let lines: Vec<Value> = mine.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (head, end) = (&lines[0], &lines[lines.len() - 1]);
    assert_eq!((&head["scope"], &head["account"]), (&json!("part"), &json!(world.account("acme").id)));
    assert!(end["export"].is_string() && lines.len() > 3);
    let own = world.account("acme").id.clone();
    assert!(lines[1..lines.len() - 1].iter().all(|line| line["account"] == own.as_str()), "{}", mine.text());
    let folder = tempfile::tempdir().unwrap();
    let (file, keys) = (folder.path().join("mine.jsonl"), folder.path().join("keys.json"));
    std::fs::write(&file, mine.text()).unwrap();
    std::fs::write(&keys, audit(&["key"], &world.data()).1).unwrap();
    let verified =
        consentry().args(["audit", "verify", "--file"]).arg(&file).arg("--key").arg(&keys).output().unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}
