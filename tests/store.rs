//! The store behind the control plane: PostgreSQL in SQLite's place, copies, and upgrades.

use std::path::Path;
use std::process::{Child, Output, Stdio};

use crate::support::postgres::Database;
use crate::support::world::{consentry, run};
use crate::support::{Call, World, eventually};

/// The copy's counts, when it succeeds.
#[track_caller]
fn copied(from: &str, to: &str) -> String {
    let output = run(&["store", "copy", from, to]);
    assert!(output.status.success(), "{}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn sqlite(path: &Path) -> String {
    format!("sqlite:{}", path.display())
}

/// Settings of a control plane over `store`, with the sealing key of `world`.
fn settings(world: &World, store: &str, name: &str) -> String {
    let path = world.data().join(name);
    let key = world.data().join("key");
    let text = format!(
        "listen = \"127.0.0.1:0\"\nissuer = \"{}\"\nstore = \"{store}\"\nkey_file = \"{}\"\n",
        world.issuer,
        key.display()
    );
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[tokio::test]
async fn a_copy_to_postgresql_and_back_keeps_grants_tokens_and_keys() {
    let mut world = World::start().await;
    let tokens = world.install("report-hub", "admin@acme", &["/acs/ecs:read"]).await;
    assert!(world.terminate().await.success());
    let (database, own) = (Database::new(), world.data().join("consentry.db"));
    let there = copied(&sqlite(&own), &database.url());
    for table in ["grants", "families", "refresh_tokens", "signing_keys", "change_log"] {
        assert!(there.lines().any(|line| line.ends_with(&format!("  {table}"))), "{there}");
    }
    let other = world.data().join("copy.db");
    assert_eq!(copied(&database.url(), &sqlite(&other)), there);
    std::fs::remove_file(&own).unwrap();
    for more in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{more}", own.display()));
    }
    std::fs::rename(&other, &own).unwrap();
    world.start_again().await;
    world.read_object(&tokens.access).await.expect(200);
    world.application("report-hub").refresh(&tokens.refresh).await.expect(200);
}

#[tokio::test]
async fn a_copy_to_a_store_that_is_not_empty_or_from_none_is_refused_and_changes_nothing() {
    let mut world = World::start().await;
    assert!(world.terminate().await.success());
    let (database, own) = (Database::new(), world.data().join("consentry.db"));
    copied(&sqlite(&own), &database.url());
    let before = database.tell("SELECT count(*) FROM audit").unwrap();
    let again = run(&["store", "copy", &sqlite(&own), &database.url()]);
    assert_eq!(again.status.code(), Some(4));
    assert!(said(&again).contains("is not empty"), "{}", said(&again));
    assert_eq!(database.tell("SELECT count(*) FROM audit").unwrap(), before);
    let nowhere = world.data().join("nowhere.db");
    let from_none = run(&["store", "copy", &sqlite(&nowhere), &Database::new().url()]);
    assert!(said(&from_none).contains("there is no store at"), "{}", said(&from_none));
    assert!(!nowhere.exists());
}

/// `consentry control` in a process of its own.
struct Node {
    address: String,
    process: Child,
}

impl Node {
    async fn start(world: &World, store: &str, name: &str) -> Self {
        let config = settings(world, store, &format!("{name}.toml"));
        let told = world.data().join(format!("{name}.txt"));
        let log = std::fs::File::create(&told).unwrap();
        let mut command = consentry();
        command.args(["control", "--config", &config]).stdout(Stdio::null()).stderr(log);
        let process = command.spawn().unwrap();
        let address = eventually("the control plane says where it listens", || {
            let text = std::fs::read_to_string(&told).unwrap_or_default();
            let address = text.split_once("control plane on ").and_then(|(_, rest)| rest.split_once('\n'));
            std::future::ready(address.map(|(address, _)| address.to_owned()))
        })
        .await;
        Self { address, process }
    }

    /// A request to this node's admin API, as an administrator of acme.
    fn api(&self, world: &World, method: &str, path: &str) -> Call {
        let url = format!("{}/api/v1{path}", self.address);
        Call::new(method, url).bearer(&world.account("acme").api_token)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn two_control_planes_on_one_postgresql_see_each_others_changes() {
    let mut world = World::start().await;
    world.install("report-hub", "admin@acme", &[]).await;
    assert!(world.terminate().await.success());
    let database = Database::new();
    let url = database.url();
    copied(&sqlite(&world.data().join("consentry.db")), &url);
    let (one, other) = tokio::join!(Node::start(&world, &url, "one"), Node::start(&world, &url, "other"));
    let path = format!("/applications/{}", world.seed("report-hub").client_id);
    for node in [&one, &other] {
        node.api(&world, "GET", &path).send().await.expect(200);
    }
    one.api(&world, "DELETE", &path).send().await.expect(200);
    for node in [&one, &other] {
        node.api(&world, "GET", &path).send().await.expect(404);
    }
}

#[tokio::test]
async fn two_control_planes_that_start_at_once_on_an_empty_postgresql_both_come_up() {
    let mut world = World::start().await;
    assert!(world.terminate().await.success());
    let database = Database::new();
    let url = database.url();
    let (one, other) = tokio::join!(Node::start(&world, &url, "one"), Node::start(&world, &url, "other"));
    assert_ne!(one.address, other.address);
    assert_eq!(database.tell("SELECT count(DISTINCT purpose) FROM signing_keys").unwrap(), "6");
}

#[test]
fn migrating_only_makes_the_schema_and_ends() {
    let database = Database::new();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("control.toml");
    let text = format!(
        "listen = \"127.0.0.1:1\"\nissuer = \"http://127.0.0.1:1\"\nstore = \"{}\"\n",
        database.url()
    );
    std::fs::write(&config, text).unwrap();
    let schemas = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/store/postgres");
    let migrations = std::fs::read_dir(schemas).unwrap().count().to_string();
    let migrate = || run(&["control", "--migrate-only", "--config", config.to_str().unwrap()]);
    for _ in 0..2 {
        let output = migrate();
        assert!(output.status.success(), "{}", said(&output));
        assert_eq!(database.tell("SELECT version FROM consentry_schema").unwrap(), migrations);
    }
    database.tell("UPDATE consentry_schema SET version = 99").unwrap();
    let refused = migrate();
    assert_eq!(refused.status.code(), Some(4));
    assert!(said(&refused).contains("newer consentry (its schema is 99"), "{}", said(&refused));
}
