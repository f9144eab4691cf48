//! A store of 100,000 grants: what filling it takes, what opening it takes, how long `consentry dev` takes to serve over
//! it and what it weighs, and how long a grant takes to find by tier.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use consentry::grants::lease::Lease;
use consentry::grants::origin::{Origin, StoreOrigin};
use consentry::grants::slots::SlotClock;
use consentry::grants::{Grants, Held};
use consentry::model::caller::Caller;
use consentry::model::id::GrantKey;
use consentry::model::time::{Clock, boot_milliseconds};
use consentry::policy::Policies;
use consentry::policy::reload::Current;
use consentry::store::{self, Actor, Install, Lasting, NewPrincipal, Shared};
use serde_json::{Value, from_value, json};
use tempfile::TempDir;

use super::{median, nanoseconds, resident};

/// Accounts, and applications that each of them has authorized.
const ACCOUNTS: u64 = 1_000;
const APPLICATIONS: u64 = 100;
/// What is looked for in each tier.
const LOOKED_FOR: u64 = 5_000;

pub(super) async fn whole() {
    let folder = tempfile::tempdir().unwrap();
    let (empty, weighs) = serving(&folder);
    println!("dev over its seed: serves after {empty:.0} ms, {weighs} MiB resident");
    let path = folder.path().join("data/consentry.db");
    let began = Instant::now();
    let store = open(&path).await;
    fill(&store).await;
    let took = began.elapsed();
    let grants = ACCOUNTS * APPLICATIONS;
    println!(
        "{grants} grants installed in {:.1} s: {:.0} a second",
        took.as_secs_f64(),
        grants as f64 / took.as_secs_f64()
    );
    store.close().await;
    drop(store);
    println!("the store's file: {} MiB", std::fs::metadata(&path).unwrap().len() >> 20);
    let (full, weighs) = serving(&folder);
    println!("dev over {grants} grants: serves after {full:.0} ms, {weighs} MiB resident");
    let began = Instant::now();
    let store = open(&path).await;
    println!("the store opens in {:.1} ms", nanoseconds(began.elapsed()) / 1e6);
    find(&store).await;
    store.close().await;
}

async fn open(path: &Path) -> Shared {
    store::open(&path.display().to_string()).await.unwrap()
}

/// Starts the program over the data of `folder`, waits until it serves, and ends it: milliseconds and MiB.
fn serving(folder: &TempDir) -> (f64, u64) {
    let ready = folder.path().join("ready.json");
    let _ = std::fs::remove_file(&ready);
    let began = Instant::now();
    let mut process = Dev(Command::new(env!("CARGO_BIN_EXE_consentry"))
        .args([
            "dev",
            "--control-port",
            "0",
            "--sidecar-port",
            "0",
            "--upstream-port",
            "0",
            "--admin-port",
            "0",
        ])
        .arg("--data")
        .arg(folder.path().join("data"))
        .arg("--ready-file")
        .arg(&ready)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap());
    while !ready.exists() {
        assert!(
            process.0.try_wait().unwrap().is_none() && began.elapsed() < Duration::from_secs(60),
            "it serves"
        );
        #[expect(
            clippy::disallowed_methods,
            reason = "looks once a millisecond, to leave the processors alone"
        )]
        std::thread::sleep(Duration::from_millis(1));
    }
    let took = nanoseconds(began.elapsed()) / 1e6;
    let told = std::fs::read_to_string(format!("/proc/{}/status", process.0.id())).unwrap();
    let kibibytes = told.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kibibytes: u64 = kibibytes.trim().trim_end_matches(" kB").trim().parse().unwrap();
    (took, kibibytes >> 10)
}

struct Dev(Child);

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn fill(store: &Shared) {
    let now = Clock::system().now();
    let publisher = root(0);
    let by = Actor { principal: publisher.key.clone(), login: publisher.login.clone() };
    for number in 0..=ACCOUNTS {
        let account = json!({ "id": account(number), "alias": format!("bench-{number}") });
        store.add_account(&from_value(account).unwrap()).await.unwrap();
        store.add_principal(&NewPrincipal { principal: root(number), password_hash: None }).await.unwrap();
    }
    for number in 0..APPLICATIONS {
        store.register(&from_value(application(number)).unwrap(), &[], &by).await.unwrap();
    }
    let mut filling = tokio::task::JoinSet::new();
    for task in 0..TASKS {
        let store = Arc::clone(store);
        filling.spawn(async move {
            for number in (task..ACCOUNTS * APPLICATIONS).step_by(usize::try_from(TASKS).unwrap()) {
                let who = root(number / APPLICATIONS + 1);
                let install = Install {
                    key: key(number),
                    scopes: from_value(json!(["openid", "profile", "/acs/oss"])).unwrap(),
                    declined: from_value(json!(["/acs/ecs"])).unwrap(),
                    at_most: None,
                    by: Actor { principal: who.key, login: who.login },
                    seen: None,
                    lasting: Lasting::AsItWas,
                };
                store.install(&install, now).await.unwrap();
            }
        });
    }
    while let Some(done) = filling.join_next().await {
        done.unwrap();
    }
}

/// Each grant is looked for in the store, compiled, and then near.
async fn find(store: &Shared) {
    let origin = StoreOrigin::new(Arc::clone(store), Clock::system());
    let (slots, lease) = (Arc::<SlotClock>::default(), Arc::new(Lease::new(Duration::from_secs(3600))));
    lease.renew(boot_milliseconds());
    let policies = Current::fixed(Policies::embedded().unwrap());
    let from = Arc::clone(&origin) as Arc<dyn Origin>;
    let grants = Grants::new(from, None, slots, lease, policies, Clock::system(), 10_000);
    let before = resident();
    let (mut cold, mut near) = (Vec::new(), Vec::new());
    // Spread over all accounts and applications.
    let numbers: Vec<u64> =
        (0..LOOKED_FOR).map(|number| number * 7_919 % (ACCOUNTS * APPLICATIONS)).collect();
    for took in [&mut cold, &mut near] {
        for number in &numbers {
            let (caller, held) = (caller(*number), Held::default());
            let began = Instant::now();
            grants.find(&caller, &held).await.unwrap();
            took.push(nanoseconds(began.elapsed()) / 1000.0);
        }
    }
    let (cold_median, near_median) = (median(&mut cold), median(&mut near));
    let at = |of: &[f64]| of.get(of.len() * 99 / 100).copied().unwrap_or(f64::NAN);
    println!(
        "of 100,000: from the store and compiled p50 {cold_median:.0} us, p99 {:.0} us; near p50 {near_median:.2} us, p99 {:.2} us; {} bytes each",
        at(&cold),
        at(&near),
        (resident() - before) / LOOKED_FOR
    );
}

fn account(number: u64) -> String {
    (9_000_000_000_000_000 + number).to_string()
}

fn root(number: u64) -> consentry::model::account::Principal {
    from_value(json!({
        "key": { "account": account(number), "kind": "account", "id": account(number) },
        "login": format!("root@bench-{number}"), "display_name": "Root", "enabled": true, "full_access": true,
        "groups": [],
    }))
    .unwrap()
}

fn client_id(number: u64) -> String {
    (8_000_000_000_000_000_000 + number).to_string()
}

fn key(number: u64) -> GrantKey {
    GrantKey {
        account: account(number / APPLICATIONS + 1).parse().unwrap(),
        application: client_id(number % APPLICATIONS).parse().unwrap(),
    }
}

fn application(number: u64) -> Value {
    json!({ "id": client_id(number), "name": format!("bench-{number}"), "display_name": "Bench",
        "description": "One of many.", "publisher": account(0), "publisher_name": "bench", "contact": "bench@example.com",
        "official": false, "kind": "WebApp", "redirect_uris": ["https://bench.example/callback"],
        "required": ["openid", "profile", "/acs/oss"], "optional": ["/acs/ecs"], "access_token_seconds": 3600,
        "refresh_token_seconds": 7200, "enabled": true, "created_at": "2026-01-01T00:00:00Z" })
}

fn caller(number: u64) -> Arc<Caller> {
    let key = key(number);
    let who = root(number / APPLICATIONS + 1).key;
    Arc::new(
        from_value(
            json!({ "application": key.application, "principal": who, "subject": "s", "scopes": ["/acs/oss"],
            "revision": 1, "family": "f", "expires_at": 4_000_000_000_i64 }),
        )
        .unwrap(),
    )
}

const TASKS: u64 = 64;
