//! What finding a grant costs, by where it is found; what one weighs in memory; and that a flush is no stampede.
//!
//! ```text
//! cargo bench --bench grants
//! ```
//! Starts a Redis of its own. The origin is in memory and answers at once, so that only our own part is measured.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a benchmark tells what it finds, and has nothing better to do than to stop when it cannot begin"
)]

#[path = "../support/redis.rs"]
#[expect(dead_code, reason = "shared with the tests, which need more of it")]
mod real;
#[path = "grants/whole.rs"]
mod whole;

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use consentry::config::redis::Redis;
use consentry::grants::changed::ChangedAt;
use consentry::grants::follow::news::Place;
use consentry::grants::lease::Lease;
use consentry::grants::origin::{Origin, OriginError, OwnKey};
use consentry::grants::shared::publish::{Fact, RecordKeys};
use consentry::grants::shared::{Publisher, Tier, open};
use consentry::grants::slots::{Seal, SlotClock};
use consentry::grants::{Grants, Held};
use consentry::model::account::PrincipalKey;
use consentry::model::caller::Caller;
use consentry::model::change::Subject;
use consentry::model::grant::Installed;
use consentry::model::id::{GrantKey, Seq};
use consentry::model::member::Member;
use consentry::model::time::{Clock, boot_milliseconds};
use consentry::observe::shared::SharedCounts;
use consentry::policy::Policies;
use consentry::policy::reload::Current;
use consentry::store;
use consentry::token::keys::{Purpose, Signer, generate};
use consentry::token::verify::KeySet;
use serde_json::{Value, from_value, json};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    near_against_moka();
    runtime.block_on(finding());
    runtime.block_on(stampede());
    runtime.block_on(memory());
    runtime.block_on(shared());
    runtime.block_on(whole::whole());
}

/// The guard's own cost: the same cache, with and without the question whether the entry still holds.
fn near_against_moka() {
    struct Entry {
        seal: Seal,
    }
    let slots = SlotClock::default();
    let cache: moka::sync::Cache<GrantKey, Arc<Entry>> = moka::sync::Cache::new(10_000);
    let keys: Vec<GrantKey> = (0..1000).map(key).collect();
    for key in &keys {
        let grant = Subject::Grant(key.clone());
        let subjects = [grant.clone(), Subject::Application(key.application.clone()), grant.clone(), grant];
        let seal = slots.seal(&subjects, slots.now());
        cache.insert(key.clone(), Arc::new(Entry { seal }));
    }
    let unguarded = || keys.iter().filter(|key| black_box(cache.get(*key)).is_some()).count();
    let guarded = || {
        let found = |key: &&GrantKey| cache.get(*key).filter(|entry| slots.unchanged(&entry.seal));
        keys.iter().filter(|key| black_box(found(key)).is_some()).count()
    };
    let (mut bare, mut near) = (Vec::new(), Vec::new());
    for _ in 0..400 {
        bare.push(timed(|| assert_eq!(unguarded(), keys.len())) / keys.len() as f64);
        near.push(timed(|| assert_eq!(guarded(), keys.len())) / keys.len() as f64);
    }
    let (bare, near) = (median(&mut bare), median(&mut near));
    println!(
        "moka hit {bare:.0} ns; near hit (moka and the slot clock) {near:.0} ns; the guard {:.0} ns",
        near - bare
    );
}

/// A whole look-up, with what is held beside the token, and near.
async fn finding() {
    let world = World::new(10_000);
    let (caller, held) = (caller(1), Held::default());
    world.grants.find(&caller, &held).await.unwrap();
    let mut beside = Vec::new();
    let mut near = Vec::new();
    for _ in 0..20_000 {
        let began = Instant::now();
        black_box(world.grants.find(&caller, &held).await.unwrap());
        beside.push(nanoseconds(began.elapsed()));
        let anew = Held::default();
        let began = Instant::now();
        black_box(world.grants.find(&caller, &anew).await.unwrap());
        near.push(nanoseconds(began.elapsed()));
    }
    println!(
        "find, held with the token {:.0} ns; near, with a standing made anew {:.0} ns",
        median(&mut beside),
        median(&mut near)
    );
}

/// Everything is flushed while many ask.
async fn stampede() {
    const KEYS: u64 = 100;
    const ASKERS: u64 = 50;
    let world = World::new(10_000);
    let ask = async |world: &Arc<World>| {
        let mut asking = tokio::task::JoinSet::new();
        for number in 0..KEYS * ASKERS {
            let world = Arc::clone(world);
            asking.spawn(async move {
                world.grants.find(&caller(number % KEYS), &Held::default()).await.unwrap();
            });
        }
        while asking.join_next().await.is_some() {}
    };
    let world = Arc::new(world);
    ask(&world).await;
    let before = world.origin.reads.load(Ordering::SeqCst);
    world.slots.strike_all();
    ask(&world).await;
    let reads = world.origin.reads.load(Ordering::SeqCst) - before;
    println!(
        "after a flush {} look-ups of {KEYS} grants read the origin {reads} times: {:.2} a grant, {:.2} a member",
        KEYS * ASKERS,
        reads as f64 / 2.0 / KEYS as f64,
        reads as f64 / 2.0 / KEYS as f64,
    );
}

/// Grants and members of many accounts, all near.
async fn memory() {
    const MANY: u64 = 20_000;
    let world = World::new(MANY * 2);
    world.grants.find(&caller(0), &Held::default()).await.unwrap();
    let before = resident();
    for number in 1..=MANY {
        world.grants.find(&caller(number), &Held::default()).await.unwrap();
    }
    println!("memory: {} bytes for a grant with its member, compiled", (resident() - before) / MANY);
}

/// Records read from a real Redis, verified and judged.
async fn shared() {
    let port = real::free_ports::<1>()[0];
    let redis = real::RealRedis::on_port(port, &[]);
    let folder = tempfile::tempdir().unwrap();
    let store = store::open(&folder.path().join("store.db").display().to_string()).await.unwrap();
    let epoch = store.epoch().await.unwrap();
    let signer = Arc::new(Signer::from_pkcs8(Purpose::Record, &generate(Purpose::Record).unwrap()).unwrap());
    let reach = Arc::new(open(&Redis::at(redis.url.parse().unwrap())).unwrap());
    let keys = RecordKeys { known: Arc::new(KeySet::new([signer.public()])), signer: Arc::clone(&signer) };
    let signing = Arc::new(move || Some(keys.clone()));
    let publisher = Publisher::new(Arc::clone(&reach), store, signing, Duration::from_secs(5)).await.unwrap();
    let publishing = tokio::spawn(Arc::clone(&publisher).run());
    let tier = Tier::new(reach, SharedCounts::default());
    let place = Place { epoch: epoch.clone(), applied: Seq(0) };
    tier.changed().replace(&ChangedAt::beginning(epoch).snapshot(place));
    let origin = Memory { reads: AtomicU64::new(0), record_key: signer.public().to_json() };
    tier.refresh_keys(&origin).await.unwrap();
    for number in 0..500 {
        publisher.fill(Seq(1), Fact::Grant(Box::new(installed(number))));
    }
    let subjects = [Subject::Grant(key(499)), Subject::Application(key(499).application)];
    while tier.grant(&key(499), &subjects).await.is_none() {
        tokio::task::yield_now().await;
    }
    let (mut took, mut missed) = (Vec::new(), 0);
    // As a worker would: on a thread of its own, one after the other.
    let reading = Arc::clone(&tier);
    let took = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            for number in 0..10_000 {
                let key = key(number % 500);
                let subjects = [Subject::Grant(key.clone()), Subject::Application(key.application.clone())];
                let began = Instant::now();
                if reading.grant(&key, &subjects).await.is_none() {
                    missed += 1;
                }
                took.push(nanoseconds(began.elapsed()) / 1000.0);
            }
            (took, missed)
        })
    });
    let (mut took, missed) = tokio::task::spawn_blocking(move || took.join().unwrap()).await.unwrap();
    took.sort_by(f64::total_cmp);
    let at = |part: usize| took.get(took.len() * part / 1000).unwrap();
    println!(
        "shared hit p50 {:.0} us, p99 {:.0} us, p99.9 {:.0} us ({missed} missed)",
        at(500),
        at(990),
        at(999)
    );
    publishing.abort();
}

struct World {
    grants: Grants,
    slots: Arc<SlotClock>,
    origin: Arc<Memory>,
}

impl World {
    fn new(capacity: u64) -> Self {
        let origin = Arc::new(Memory { reads: AtomicU64::new(0), record_key: String::new() });
        let (slots, lease) = (Arc::<SlotClock>::default(), Arc::new(Lease::new(Duration::from_secs(3600))));
        lease.renew(boot_milliseconds());
        let policies = Current::fixed(Policies::embedded().unwrap());
        let (from, clock) = (Arc::clone(&origin) as Arc<dyn Origin>, Clock::system());
        let grants = Grants::new(from, None, Arc::clone(&slots), lease, policies, clock, capacity);
        Self { grants, slots, origin }
    }
}

struct Memory {
    reads: AtomicU64,
    record_key: String,
}

#[async_trait]
impl Origin for Memory {
    async fn installed(&self, key: &GrantKey) -> Result<Option<Installed>, OriginError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        // Others come to ask the same meanwhile.
        tokio::time::sleep(Duration::from_millis(1)).await;
        Ok(Some(installed(key.account.as_str().parse().unwrap())))
    }

    async fn member(&self, _: &GrantKey, principal: &PrincipalKey) -> Result<Option<Member>, OriginError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(1)).await;
        let principal = json!({ "key": principal, "login": "alice@acme", "display_name": "Alice", "enabled": true,
            "full_access": false, "groups": ["finance"] });
        let member = json!({ "principal": principal, "assigned": true, "consented": null, "ended": [] });
        Ok(Some(from_value(member).unwrap()))
    }

    async fn keys(&self) -> Result<String, OriginError> {
        Ok(r#"{"keys":[]}"#.to_owned())
    }

    async fn record_keys(&self) -> Result<String, OriginError> {
        Ok(format!(r#"{{"keys":[{}]}}"#, self.record_key))
    }

    async fn publish_key(&self, _: &OwnKey) -> Result<(), OriginError> {
        Ok(())
    }
}

fn key(number: u64) -> GrantKey {
    GrantKey { account: number.to_string().parse().unwrap(), application: "4".parse().unwrap() }
}

fn principal(number: u64) -> Value {
    json!({ "account": number.to_string(), "kind": "user", "id": "11" })
}

fn caller(number: u64) -> Arc<Caller> {
    Arc::new(
        from_value(json!({ "application": "4", "principal": principal(number), "subject": "s",
            "scopes": ["/acs/oss"], "revision": 1, "family": "f", "expires_at": 4_000_000_000_i64 }))
        .unwrap(),
    )
}

fn installed(number: u64) -> Installed {
    let account = number.to_string();
    from_value(json!({
        "grant": { "key": { "account": account, "application": "4" }, "revision": 1, "since": 1, "state": "active",
            "scopes": ["openid", "profile", "/acs/oss", "/acs/ecs:read"], "declined": ["/acs/ecs:write"],
            "authorized_at": "2026-01-01T00:00:00Z", "authorized_by": principal(number),
            "authorized_by_login": "alice@acme", "assignment": "all", "expires_at": null },
        "application": { "id": "4", "name": "report-hub", "display_name": "Report Hub",
            "description": "Reports from what lies in buckets.", "publisher": "2", "publisher_name": "hub",
            "contact": "hub@example.com", "official": false, "kind": "WebApp",
            "redirect_uris": ["https://hub.example/callback"], "required": ["openid", "profile", "/acs/oss"],
            "optional": ["/acs/ecs"], "access_token_seconds": 3600, "refresh_token_seconds": 7200,
            "enabled": true, "created_at": "2026-01-01T00:00:00Z" },
    }))
    .unwrap()
}

/// Nanoseconds.
fn timed(work: impl FnOnce()) -> f64 {
    let began = Instant::now();
    work();
    nanoseconds(began.elapsed())
}

fn nanoseconds(took: Duration) -> f64 {
    took.as_nanos() as f64
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Resident memory in bytes.
fn resident() -> u64 {
    let told = std::fs::read_to_string("/proc/self/statm").unwrap();
    told.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap() * 4096
}
