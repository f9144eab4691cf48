//! The shared tier over a real Redis, which hangs, dies, loses what it had, and to which attackers write.

#[path = "../../../tests/support/eventually.rs"]
mod eventually;
#[path = "../../../tests/support/redis.rs"]
mod real;

use std::future::ready;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::{Value, from_value, json};
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::eventually::eventually;
use self::real::{RealRedis, certificate, free_ports};
use super::publish::{Fact, RecordKeys, Signing};
use super::{Link, Names, Publisher, Reach, Tier, Watch, open, record};
use crate::config::redis::{Mode, Redis};
use crate::grants::changed::ChangedAt;
use crate::grants::follow::news::Place;
use crate::grants::follow::{Following, Told};
use crate::grants::origin::{Origin, OriginError, OwnKey};
use crate::model::account::PrincipalKey;
use crate::model::change::{Change, Epoch, Subject};
use crate::model::grant::{GrantState, Installed};
use crate::model::id::{GrantKey, Seq};
use crate::model::member::Member;
use crate::model::time::boot_milliseconds;
use crate::observe::shared::SharedCounts;
use crate::store::{self, Shared};
use crate::token::keys::{Purpose, Signer, generate};
use crate::token::verify::KeySet;

/// A control node that publishes, and a sidecar's tier.
struct World {
    redis: RealRedis,
    reach: Arc<Reach>,
    names: Names,
    store: Shared,
    epoch: Epoch,
    signer: Arc<Signer>,
    publisher: Arc<Publisher>,
    publishing: JoinHandle<()>,
    keys: Arc<Keys>,
    tier: Arc<Tier>,
    _folder: TempDir,
}

/// Answers control's keys, and nothing else.
#[derive(Default)]
struct Keys(Mutex<Vec<String>>);

#[async_trait]
impl Origin for Keys {
    async fn installed(&self, _: &GrantKey) -> Result<Option<Installed>, OriginError> {
        Err(OriginError("not asked here".to_owned()))
    }

    async fn member(&self, _: &GrantKey, _: &PrincipalKey) -> Result<Option<Member>, OriginError> {
        Err(OriginError("not asked here".to_owned()))
    }

    async fn keys(&self) -> Result<String, OriginError> {
        Err(OriginError("not asked here".to_owned()))
    }

    async fn record_keys(&self) -> Result<String, OriginError> {
        Ok(format!(r#"{{"keys":[{}]}}"#, self.0.lock().join(",")))
    }

    async fn publish_key(&self, _: &OwnKey) -> Result<(), OriginError> {
        Ok(())
    }
}

impl World {
    async fn start() -> Self {
        Self::with(RealRedis::start()).await
    }

    async fn with(redis: RealRedis) -> Self {
        let settings = Redis::at(redis.url.parse().unwrap());
        Self::over(redis, &settings, &settings).await
    }

    /// Over `redis` or what it belongs to, reached by control and by sidecars with settings of their own.
    async fn over(redis: RealRedis, control: &Redis, sidecar: &Redis) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = store::open(&folder.path().join("store.db").display().to_string()).await.unwrap();
        let epoch = store.epoch().await.unwrap();
        let reach = Arc::new(open(control).unwrap());
        let signer = Arc::new(new_signer());
        let publisher =
            Publisher::new(Arc::clone(&reach), Arc::clone(&store), signing(&signer), LEASE).await.unwrap();
        let tier = Tier::new(Arc::new(open(sidecar).unwrap()), SharedCounts::default());
        let keys = Arc::new(Keys::default());
        keys.0.lock().push(signer.public().to_json());
        tier.refresh_keys(&*keys).await.unwrap();
        let place = Place { epoch: epoch.clone(), applied: Seq(0) };
        tier.changed().replace(&ChangedAt::beginning(epoch.clone()).snapshot(place));
        let world = Self {
            names: reach.names().clone(),
            publishing: tokio::spawn(Arc::clone(&publisher).run()),
            redis,
            reach,
            store,
            epoch,
            signer,
            publisher,
            keys,
            tier,
            _folder: folder,
        };
        world.reads_again().await;
        world
    }

    /// A change that goes through the store; answers its place.
    async fn change(&self, version: &str) -> Seq {
        self.store.note_policies(version, Timestamp::UNIX_EPOCH).await.unwrap().unwrap()
    }

    /// What the tier answers once Redis has: a busy machine may miss the deadline.
    async fn grant(&self, account: &str) -> Option<Installed> {
        let unanswered = || ["late", "failed", "not_asked"].map(|result| self.tier.counts().reads(result));
        let asked = async || {
            let before = unanswered();
            let found = self.ask(account).await;
            (before == unanswered()).then_some(found)
        };
        eventually("Redis answers in time", asked).await
    }

    async fn ask(&self, account: &str) -> Option<Installed> {
        self.tier.grant(&key(account), &subjects(account)).await
    }

    /// Leaves a grant there, and waits until it is.
    async fn leave(&self, account: &str, as_of: Seq, state: GrantState) {
        self.publisher.fill(as_of, Fact::Grant(Box::new(installed(account, state))));
        let stamp = format!("{} ", as_of.0);
        eventually("the record is there", || {
            let there: Option<Vec<u8>> = self.redis.ask(&["GET", &self.names.grant(&key(account))]);
            ready(there.filter(|there| there.starts_with(stamp.as_bytes())))
        })
        .await;
    }

    /// Leaves a grant there, again and again, until it is found: what is left while Redis is away is lost.
    async fn leaves_and_finds(&self, account: &str, as_of: Seq) {
        eventually("what is left is found", async || {
            self.publisher.fill(as_of, Fact::Grant(Box::new(installed(account, GrantState::Active))));
            self.ask(account).await
        })
        .await;
    }

    /// Waits until the breaker is closed.
    async fn reads_again(&self) {
        eventually("Redis is asked for records", async || {
            let before = self.tier.counts().reads("absent");
            let _ = self.ask("nobody").await;
            (self.tier.counts().reads("absent") > before).then_some(())
        })
        .await;
    }

    /// A sidecar that has applied the log up to `applied`, and is told by Redis.
    fn sidecar(&self, applied: Seq) -> Sidecar {
        let place = Place { epoch: self.epoch.clone(), applied };
        let following = watch::Sender::new(Following { place: Some(place), ..Following::default() });
        let (tell, told) = mpsc::channel(4);
        let stop = CancellationToken::new();
        let watch = Watch::new(Arc::clone(&self.tier), following.subscribe(), tell, LEASE);
        tokio::spawn(watch.run(stop.clone()));
        Sidecar { following, told, link: self.tier.link(), _stop: stop.drop_guard() }
    }

    fn signed(&self, key: &str, as_of: u64, body: &Value) -> String {
        record::write(&self.signer, key, &self.epoch, Seq(as_of), body).unwrap()
    }

    /// Nobody publishes any more; only attackers write.
    async fn silence(&mut self) {
        self.publishing.abort();
        let _ = (&mut self.publishing).await;
    }

    /// Puts a watermark there, dated now by Redis's own clock.
    fn put_watermark(&self, signer: &Signer, key: &str, seq: u64, change: impl Fn(&mut Value)) {
        let (seconds, micros): (u64, u64) = self.redis.ask(&["TIME"]);
        let told: String = self.redis.ask(&["INFO", "server"]);
        let run_id = told.lines().find_map(|line| line.strip_prefix("run_id:")).unwrap().trim();
        let mut body =
            json!({ "asked_at": seconds * 1000 + micros / 1000, "run_id": run_id, "lease_ms": 60_000 });
        change(&mut body);
        let record = record::write(signer, key, &self.epoch, Seq(seq), &body).unwrap();
        self.redis.put(self.names.watermark(), record.as_bytes());
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.publishing.abort();
    }
}

/// What a follower would be.
struct Sidecar {
    following: watch::Sender<Following>,
    told: mpsc::Receiver<Told>,
    link: watch::Receiver<Link>,
    _stop: tokio_util::sync::DropGuard,
}

impl Sidecar {
    /// Takes in what it is told until `wanted` is applied and the lease renewed; answers the renewal.
    async fn hears(&mut self, wanted: Seq) -> Told {
        let hearing = async {
            loop {
                let told = self.told.recv().await.unwrap();
                self.apply(&told);
                if told.as_of > 0 && told.news.newest >= wanted {
                    return told;
                }
            }
        };
        eventually::in_time("the change is heard of by Redis", hearing).await
    }

    fn apply(&self, told: &Told) {
        self.following.send_modify(|state| {
            if let Some(place) = &mut state.place {
                place.applied = place.applied.max(told.news.newest);
            }
        });
    }

    async fn is(&mut self, what: &str, wanted: impl Fn(&Link) -> bool) {
        eventually::in_time(what, self.link.wait_for(|link| wanted(link))).await.unwrap();
    }

    /// Nothing that it has been told so far renews its lease.
    fn renewed_nothing(&mut self) {
        while let Ok(told) = self.told.try_recv() {
            assert_eq!(told.as_of, 0, "{told:?}");
            self.apply(&told);
        }
    }
}

fn new_signer() -> Signer {
    Signer::from_pkcs8(Purpose::Record, &generate(Purpose::Record).unwrap()).unwrap()
}

fn signing(signer: &Arc<Signer>) -> Signing {
    let keys = RecordKeys { signer: Arc::clone(signer), known: Arc::new(KeySet::new([signer.public()])) };
    Arc::new(move || Some(keys.clone()))
}

fn key(account: &str) -> GrantKey {
    GrantKey { account: account.parse().unwrap(), application: "4".parse().unwrap() }
}

fn subjects(account: &str) -> Vec<Subject> {
    vec![Subject::Grant(key(account)), Subject::Application("4".parse().unwrap())]
}

fn installed(account: &str, state: GrantState) -> Installed {
    let by = json!({ "account": account, "kind": "user", "id": "11" });
    from_value(json!({
        "grant": { "key": { "account": account, "application": "4" }, "revision": 1, "since": 1, "state": state,
            "scopes": ["/acs/oss"], "declined": [], "authorized_at": "2026-01-01T00:00:00Z", "authorized_by": by,
            "authorized_by_login": "alice@acme", "assignment": "all", "expires_at": null },
        "application": { "id": "4", "name": "hub", "display_name": "Hub", "description": "", "publisher": "2",
            "publisher_name": "hub", "contact": "", "official": false, "kind": "WebApp", "redirect_uris": [],
            "required": ["/acs/oss"], "optional": [], "access_token_seconds": 3600, "refresh_token_seconds": 7200,
            "enabled": true, "created_at": "2026-01-01T00:00:00Z" },
    }))
    .unwrap()
}

fn state(found: Option<Installed>) -> Option<GrantState> {
    found.map(|installed| installed.grant.state)
}

#[tokio::test]
async fn what_control_has_left_is_found_and_what_it_has_not_is_absent() {
    let world = World::start().await;
    world.leave("1", Seq(3), GrantState::Active).await;
    assert_eq!(world.grant("1").await, Some(installed("1", GrantState::Active)));
    assert_eq!(world.grant("2").await, None);
    let member: Member =
        from_value(json!({ "principal": { "key": { "account": "1", "kind": "user", "id": "11" },
        "login": "alice@acme", "display_name": "Alice", "enabled": true, "full_access": false, "groups": [] },
        "assigned": true, "consented": null, "ended": [] }))
        .unwrap();
    world.publisher.fill(Seq(3), Fact::Member(key("1"), Box::new(member.clone())));
    let principal = &member.principal.key;
    let found = eventually("the member is found", async || {
        world.tier.member(&key("1"), principal, &subjects("1")).await
    })
    .await;
    assert_eq!(found, member);
    assert_eq!(world.tier.member(&key("2"), principal, &subjects("2")).await, None);
}

#[tokio::test]
async fn whatever_somebody_else_puts_there_is_absent_and_counted() {
    let world = World::start().await;
    let name = world.names.grant(&key("1"));
    world.leave("2", Seq(3), GrantState::Active).await;
    let others = world.redis.get(&world.names.grant(&key("2")));
    let body = serde_json::to_value(installed("1", GrantState::Active)).unwrap();
    let forged = record::write(&new_signer(), &name, &world.epoch, Seq(9), &body).unwrap();
    let newer =
        world.signer.sign(&json!({ "v": 2, "key": name, "epoch": world.epoch, "as_of": 9, "body": body }));
    let good = record::stamp(Seq(9), &world.signed(&name, 9, &body));
    let elsewhere = Epoch("another store".to_owned());
    let restored = record::write(&world.signer, &name, &elsewhere, Seq(9), &body).unwrap();
    for (reason, bytes) in [
        ("unsigned", serde_json::to_vec(&body).unwrap()),
        ("unsigned", b"9 ".to_vec()),
        ("unsigned", good.as_bytes().split_at(good.len() - 9).0.to_vec()),
        ("unknown_key", record::stamp(Seq(9), &forged).into_bytes()),
        ("other_place", others),
        ("newer", record::stamp(Seq(9), &newer.unwrap()).into_bytes()),
        ("too_long", vec![b'a'; 10 * record::LONGEST]),
        ("stale", record::stamp(Seq(9), &restored).into_bytes()),
    ] {
        let before = world.tier.counts().reads(reason);
        world.redis.put(&name, &bytes);
        assert_eq!(world.grant("1").await, None, "{reason}");
        assert_eq!(world.tier.counts().reads(reason), before + 1, "{reason}");
    }
    world.redis.ask::<()>(&["DEL", &name]);
    world.redis.ask::<()>(&["LPUSH", &name, "1"]);
    assert_eq!(world.grant("1").await, None);
    world.redis.put(&name, good.as_bytes());
    assert!(world.grant("1").await.is_some(), "after all that, the breaker is still closed");
}

#[tokio::test]
async fn a_record_from_before_a_revocation_is_absent_whoever_brings_it_back() {
    let world = World::start().await;
    let name = world.names.grant(&key("1"));
    world.leave("1", Seq(3), GrantState::Active).await;
    let old = world.redis.get(&name);
    world.tier.changed().raise(&Subject::Grant(key("1")), Seq(4));
    assert_eq!(world.grant("1").await, None, "also before the tombstone is there");
    world.leave("1", Seq(4), GrantState::Revoked).await;
    assert_eq!(state(world.grant("1").await), Some(GrantState::Revoked));
    world.redis.put(&name, &old);
    assert_eq!(world.grant("1").await, None);
    assert_eq!(world.tier.counts().reads("stale"), 2);
    world.redis.ask::<()>(&["DEL", &name]);
    assert_eq!(world.grant("1").await, None);
    world.leave("1", Seq(4), GrantState::Revoked).await;
    world.redis.ask::<()>(&["FLUSHALL"]);
    assert_eq!(world.grant("1").await, None);
}

#[tokio::test]
async fn an_older_fact_never_takes_the_place_of_a_later_one_and_a_lie_of_being_later_takes_nobodys() {
    let world = World::start().await;
    let name = world.names.grant(&key("1"));
    world.leave("1", Seq(7), GrantState::Revoked).await;
    // Another control node that was slow; the second grant only tells when the first has been looked at.
    world.publisher.fill(Seq(6), Fact::Grant(Box::new(installed("1", GrantState::Active))));
    world.leave("2", Seq(6), GrantState::Active).await;
    assert_eq!(state(world.grant("1").await), Some(GrantState::Revoked));
    for lie in ["99999999999 nonsense".to_owned(), {
        let theirs = json!({ "whose": "attacker" });
        record::stamp(Seq(99), &record::write(&new_signer(), &name, &world.epoch, Seq(99), &theirs).unwrap())
    }] {
        world.redis.put(&name, lie.as_bytes());
        world.leave("1", Seq(8), GrantState::Active).await;
        assert_eq!(state(world.grant("1").await), Some(GrantState::Active));
    }
    world.redis.ask::<()>(&["DEL", &name]);
    world.redis.ask::<()>(&["LPUSH", &name, "1"]);
    world.publisher.fill(Seq(9), Fact::Grant(Box::new(installed("1", GrantState::Active))));
    eventually("a key of another type is taken back", async || world.ask("1").await).await;
}

#[tokio::test]
async fn a_record_counts_no_more_once_its_key_is_withdrawn() {
    let world = World::start().await;
    world.leave("1", Seq(3), GrantState::Active).await;
    let added = new_signer().public().to_json();
    world.keys.0.lock().push(added);
    assert!(!world.tier.refresh_keys(&*world.keys).await.unwrap(), "a new key takes nothing away");
    assert!(world.grant("1").await.is_some());
    world.keys.0.lock().remove(0);
    assert!(world.tier.refresh_keys(&*world.keys).await.unwrap(), "what rests on the old one has to go");
    assert_eq!(world.grant("1").await, None);
    assert_eq!(world.tier.counts().reads("unknown_key"), 1);
}

#[tokio::test]
async fn a_redis_that_hangs_delays_a_few_reads_by_their_deadline_and_no_others() {
    let world = World::start().await;
    world.leave("1", Seq(3), GrantState::Active).await;
    world.redis.freeze();
    let (late, not_asked) = (world.tier.counts().reads("late"), world.tier.counts().reads("not_asked"));
    while world.tier.counts().reads("not_asked") == not_asked {
        assert_eq!(world.ask("1").await, None);
    }
    assert_eq!(world.tier.counts().reads("late") - late, 3, "so many, and then nobody asks");
    let asked = Instant::now();
    for _ in 0..1000 {
        assert_eq!(world.ask("1").await, None);
    }
    assert!(asked.elapsed() < Duration::from_secs(20), "a thousand deadlines would be 50 s");
    world.redis.thaw();
    eventually("it is asked again", async || world.ask("1").await).await;
}

#[tokio::test]
async fn a_redis_that_was_killed_and_comes_back_empty_is_used_again() {
    let mut world = World::start().await;
    world.leave("1", Seq(3), GrantState::Active).await;
    let mut sidecar = world.sidecar(Seq(0));
    sidecar.hears(Seq(0)).await;
    world.redis.kill9();
    assert_eq!(world.ask("1").await, None);
    sidecar.is("the connection is known to be lost", |link| matches!(link, Link::Lost(_))).await;
    world.redis.start_again();
    world.reads_again().await;
    let seq = world.change("after the restart").await;
    while sidecar.told.try_recv().is_ok() {}
    sidecar.hears(seq).await;
    sidecar.is("it is in step again", |link| *link == Link::Synced).await;
    world.leave("1", Seq(3), GrantState::Active).await;
    assert!(world.grant("1").await.is_some());
}

#[tokio::test]
async fn a_change_is_heard_of_in_order_and_renews_the_lease() {
    let world = World::start().await;
    let first = world.change("one").await;
    let mut sidecar = world.sidecar(Seq(0));
    let told = sidecar.hears(first).await;
    assert_eq!(told.path, "redis");
    let second = world.change("two").await;
    sidecar.hears(second).await;
    sidecar.is("it is in step", |link| *link == Link::Synced).await;
    // One that comes late is told all of it, in order.
    let mut late = world.sidecar(Seq(0));
    let told = eventually::in_time("news", late.told.recv()).await.unwrap();
    let entry = |seq: Seq| Change { seq, subject: Subject::Policies };
    assert_eq!(told.news.changes, [entry(first), entry(second)]);
}

#[tokio::test]
async fn a_log_with_a_gap_or_an_entry_that_is_not_controls_tells_up_to_there_and_renews_nothing() {
    let mut world = World::start().await;
    for version in ["one", "two", "three"] {
        world.change(version).await;
    }
    world.sidecar(Seq(0)).hears(Seq(3)).await;
    world.silence().await;
    let log = world.names.log().to_owned();
    let policies = json!("policies");
    let (first, third) = (world.signed(&log, 1, &policies), world.signed(&log, 3, &policies));
    let (forged, elsewhere) = (
        record::write(&new_signer(), &log, &world.epoch, Seq(2), &policies).unwrap(),
        world.signed(world.names.watermark(), 2, &policies),
    );
    let other_life = record::write(&world.signer, &log, &Epoch("x".to_owned()), Seq(2), &policies).unwrap();
    for (reason, second) in [
        ("gap", None),
        ("unsigned", Some("no record".to_owned())),
        ("unknown_key", Some(forged)),
        ("other_place", Some(elsewhere)),
        // The first entry again, as if it were the second.
        ("other_place", Some(first.clone())),
        ("other_epoch", Some(other_life)),
    ] {
        world.redis.ask::<()>(&["DEL", &log]);
        world.redis.ask::<()>(&["XADD", &log, "1-0", "r", &first]);
        if let Some(second) = &second {
            world.redis.ask::<()>(&["XADD", &log, "2-0", "r", second]);
        }
        world.redis.ask::<()>(&["XADD", &log, "3-0", "r", &third]);
        world.put_watermark(&world.signer, world.names.watermark(), 3, |_| ());
        let doubts = world.tier.counts().doubts(reason);
        let mut sidecar = world.sidecar(Seq(0));
        eventually(reason, || ready((world.tier.counts().doubts(reason) > doubts).then_some(()))).await;
        let told = eventually::in_time("the first entry", sidecar.told.recv()).await.unwrap();
        assert_eq!((told.news.newest, told.as_of), (Seq(1), 0), "{reason}: {told:?}");
        sidecar.renewed_nothing();
    }
    // The same, whole: it is the entries that made the difference.
    world.redis.ask::<()>(&["DEL", &log]);
    for (id, seq) in [("1-0", 1), ("2-0", 2), ("3-0", 3)] {
        world.redis.ask::<()>(&["XADD", &log, id, "r", &world.signed(&log, seq, &policies)]);
    }
    world.put_watermark(&world.signer, world.names.watermark(), 3, |_| ());
    // What somebody has added to it is a doubt too, though the watermark is reached.
    world.redis.ask::<()>(&["XADD", &log, "4-0", "r", "no record"]);
    let mut sidecar = world.sidecar(Seq(0));
    let told = eventually::in_time("the entries before", sidecar.told.recv()).await.unwrap();
    assert_eq!((told.news.newest, told.as_of), (Seq(3), 0), "{told:?}");
    world.redis.ask::<()>(&["XDEL", &log, "4-0"]);
    // It has looked before: from then a watermark counts. One that is dated in the very millisecond of that look does
    // not, so there is one again and again, as control does it.
    let dating = async {
        loop {
            world.put_watermark(&world.signer, world.names.watermark(), 3, |_| ());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        _ = sidecar.hears(Seq(3)) => {}
        () = dating => {}
    }
}

#[tokio::test]
async fn a_watermark_renews_from_when_control_asked_and_nothing_when_forged_old_of_another_run_or_not_reached()
 {
    let mut world = World::start().await;
    world.silence().await;
    let watermark = world.names.watermark().to_owned();
    let log = world.names.log().to_owned();
    let (ours, theirs) = (Arc::clone(&world.signer), new_signer());
    let shift = |body: &mut Value, by: i64| body["asked_at"] = json!(body["asked_at"].as_i64().unwrap() + by);
    type Put<'a> = (&'static str, &'a Signer, &'a str, u64, &'a dyn Fn(&mut Value));
    let puts: [Put<'_>; 6] = [
        ("unknown_key", &theirs, &watermark, 0, &|_| ()),
        ("other_place", &ours, &log, 0, &|_| ()),
        ("old_watermark", &ours, &watermark, 0, &|body| shift(body, -6000)),
        ("clock", &ours, &watermark, 0, &|body| shift(body, 6000)),
        ("other_run", &ours, &watermark, 0, &|body| body["run_id"] = json!("another")),
        ("gap", &ours, &watermark, 1, &|_| ()),
    ];
    let none = ("no_watermark", None);
    for (reason, put) in
        puts.into_iter().map(|(reason, a, b, c, d)| (reason, Some((a, b, c, d)))).chain([none])
    {
        match put {
            Some((signer, key, seq, change)) => world.put_watermark(signer, key, seq, change),
            None => world.redis.ask(&["DEL", &watermark]),
        }
        let doubts = world.tier.counts().doubts(reason);
        let mut sidecar = world.sidecar(Seq(0));
        eventually(reason, || ready((world.tier.counts().doubts(reason) > doubts).then_some(()))).await;
        sidecar.renewed_nothing();
    }
    // One that is good counts from a look before it was asked for, as long as there was one.
    let doubts = world.tier.counts().doubts("no_watermark");
    let mut sidecar = world.sidecar(Seq(0));
    eventually("a look", || ready((world.tier.counts().doubts("no_watermark") > doubts).then_some(()))).await;
    let looked = boot_milliseconds();
    world.put_watermark(&world.signer, &watermark, 0, |_| ());
    let told = sidecar.hears(Seq(0)).await;
    assert!(told.as_of <= looked, "{} after {looked}", told.as_of);
}

#[tokio::test]
async fn a_redis_that_hangs_renews_nothing_and_is_noticed_by_the_silence() {
    let world = World::start().await;
    let mut sidecar = world.sidecar(Seq(0));
    sidecar.hears(Seq(0)).await;
    world.redis.freeze();
    sidecar.is("the silence is noticed", |link| matches!(link, Link::Lost(_))).await;
    let frozen = boot_milliseconds();
    while let Ok(told) = sidecar.told.try_recv() {
        assert!(told.as_of < frozen);
    }
    world.redis.thaw();
    sidecar.is("it is in step again", |link| *link == Link::Synced).await;
}

#[tokio::test]
async fn whatever_is_done_to_the_log_the_publisher_mends_it() {
    let world = World::start().await;
    let mut sidecar = world.sidecar(Seq(0));
    let mut seq = world.change("first").await;
    sidecar.hears(seq).await;
    let (log, top) = (world.names.log(), "18446744073709551615-0");
    let attacks: [&[&[&str]]; 7] = [
        &[&["FLUSHALL"]],
        &[&["DEL", log]],
        &[&["XADD", log, top, "r", "nonsense"]],
        &[&["XADD", log, top, "r", "nonsense"], &["XDEL", log, top]],
        &[&["DEL", log], &["SET", log, "nonsense"]],
        &[&["DEL", log], &["XADD", log, "1-0", "r", "nonsense"]],
        &[&["DEL", world.names.watermark()], &["LPUSH", world.names.watermark(), "nonsense"]],
    ];
    for (number, attack) in attacks.iter().enumerate() {
        for command in *attack {
            world.redis.ask::<redis::Value>(command);
        }
        seq = world.change(&format!("after {number}")).await;
        sidecar.hears(seq).await;
    }
    let whole: Vec<(String, Vec<String>)> = world.redis.ask(&["XRANGE", log, "-", "+"]);
    let ids: Vec<_> = whole.into_iter().map(|(id, _)| id).collect();
    let wanted: Vec<_> = (1..=seq.0).map(|seq| format!("{seq}-0")).collect();
    assert_eq!(ids, wanted);
}

#[tokio::test]
async fn two_control_nodes_publish_one_log() {
    let world = World::start().await;
    let (reach, store) = (Arc::clone(&world.reach), Arc::clone(&world.store));
    let other = Publisher::new(reach, store, signing(&world.signer), LEASE).await.unwrap();
    let other = tokio::spawn(other.run());
    let mut sidecar = world.sidecar(Seq(0));
    let mut seq = Seq(0);
    for number in 0..30 {
        seq = world.change(&number.to_string()).await;
    }
    sidecar.hears(seq).await;
    let length: u64 = world.redis.ask(&["XLEN", world.names.log()]);
    assert_eq!(length, seq.0);
    other.abort();
}

#[tokio::test]
async fn a_redis_that_is_full_renews_nothing_and_holds_nobody_up() {
    let mut world = World::start().await;
    let mut sidecar = world.sidecar(Seq(0));
    sidecar.hears(Seq(0)).await;
    world.redis.ask::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
    world.change("unpublished").await;
    world.publisher.fill(Seq(1), Fact::Grant(Box::new(installed("1", GrantState::Active))));
    sidecar
        .is("the watermark ages", |link| matches!(link, Link::Syncing(why) if why == "old_watermark"))
        .await;
    assert_eq!(world.grant("1").await, None);
    world.redis.ask::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    while sidecar.told.try_recv().is_ok() {}
    sidecar.hears(Seq(1)).await;
    world.silence().await;
}

#[tokio::test]
async fn a_cluster_is_used_as_a_whole_and_goes_on_after_the_logs_primary_has_died() {
    let ports: [u16; 8] = free_ports();
    let settings = |bus: u16| {
        let bus = bus.to_string();
        ["--cluster-enabled", "yes", "--cluster-node-timeout", "500", "--cluster-port", &bus]
            .map(str::to_owned)
    };
    let mut nodes: Vec<RealRedis> = (0..4)
        .map(|at| {
            let settings = settings(ports[at + 4]);
            RealRedis::on_port(ports[at], &settings.each_ref().map(String::as_str))
        })
        .collect();
    let slots = [("0", "5460"), ("5461", "10922"), ("10923", "16383")];
    for (node, (from, to)) in nodes.iter().zip(slots) {
        node.ask::<()>(&["CLUSTER", "ADDSLOTSRANGE", from, to]);
    }
    for at in 1..4 {
        let (port, bus) = (ports[at].to_string(), ports[at + 4].to_string());
        nodes[0].ask::<()>(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]);
    }
    let slot: u32 = nodes[0].ask(&["CLUSTER", "KEYSLOT", "consentry:{log}"]);
    let holder = slots.iter().position(|(_, to)| slot <= to.parse().unwrap()).unwrap();
    let its_id: String = nodes[holder].ask(&["CLUSTER", "MYID"]);
    eventually("the replica knows its primary", || {
        ready(nodes[3].try_ask::<()>(&["CLUSTER", "REPLICATE", &its_id]).ok())
    })
    .await;
    eventually("the cluster is whole", || {
        let whole =
            nodes.iter().all(|node| node.ask::<String>(&["CLUSTER", "INFO"]).contains("cluster_state:ok"));
        let synced = nodes[3].ask::<String>(&["INFO", "replication"]).contains("master_link_status:up");
        ready((whole && synced).then_some(()))
    })
    .await;
    let mut log_holder = nodes.remove(holder);
    let url = |node: &RealRedis| node.url.parse().unwrap();
    let seeds = nodes.iter().chain([&log_holder]).map(url).collect();
    let settings = Redis { url: None, mode: Mode::Cluster, nodes: seeds, ..Redis::at(url(&log_holder)) };
    let world = World::over(nodes.remove(0), &settings, &settings).await;

    let mut sidecar = world.sidecar(Seq(0));
    let seq = world.change("one").await;
    sidecar.hears(seq).await;
    for account in ["1", "2", "3", "4", "5", "6"] {
        world.leaves_and_finds(account, seq).await;
    }
    log_holder.kill9();
    sidecar.is("the loss is noticed", |link| matches!(link, Link::Lost(_))).await;
    sidecar.is("its replica has taken over", |link| *link == Link::Synced).await;
    while sidecar.told.try_recv().is_ok() {}
    let seq = world.change("two").await;
    sidecar.hears(seq).await;
    for account in ["1", "2", "3", "4", "5", "6"] {
        world.leaves_and_finds(account, seq).await;
    }
}

#[tokio::test]
async fn behind_sentinels_the_primary_is_found_again_after_a_failover() {
    let [dead, primary, replica, sentinel] = free_ports();
    let mut first = RealRedis::on_port(primary, &["--repl-diskless-sync-delay", "0"]);
    let second = RealRedis::on_port(replica, &["--replicaof", "127.0.0.1", &primary.to_string()]);
    let watched = format!(
        "sentinel monitor ours 127.0.0.1 {primary} 1\nsentinel down-after-milliseconds ours 300\n\
         sentinel failover-timeout ours 2000"
    );
    let sentinel = RealRedis::sentinel(sentinel, &watched);
    let nodes = vec![format!("redis://127.0.0.1:{dead}").parse().unwrap(), sentinel.url.parse().unwrap()];
    let master = Some("ours".to_owned());
    let any = Redis::at(sentinel.url.parse().unwrap());
    let settings = Redis { url: None, mode: Mode::Sentinel, nodes, master, ..any };
    let world = World::over(second, &settings, &settings).await;
    let mut sidecar = world.sidecar(Seq(0));
    let seq = world.change("one").await;
    sidecar.hears(seq).await;
    world.leaves_and_finds("1", seq).await;
    eventually("the sentinel knows the replica", || {
        let known: Vec<redis::Value> = sentinel.ask(&["SENTINEL", "replicas", "ours"]);
        let synced = world.redis.ask::<String>(&["INFO", "replication"]).contains("master_link_status:up");
        ready((synced && !known.is_empty()).then_some(()))
    })
    .await;
    first.kill9();
    sidecar.is("the loss is noticed", |link| matches!(link, Link::Lost(_))).await;
    sidecar.is("the replica has taken over", |link| *link == Link::Synced).await;
    while sidecar.told.try_recv().is_ok() {}
    let seq = world.change("two").await;
    sidecar.hears(seq).await;
    world.leaves_and_finds("1", seq).await;
}

#[tokio::test]
async fn over_tls_each_role_has_a_user_and_a_sidecars_may_write_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let [certificate, key] = certificate(folder.path());
    let [port] = free_ports();
    let port = port.to_string();
    let redis = RealRedis::start_with(
        &[
            ["--tls-port", &port, "--tls-auth-clients", "no", "--tls-ca-cert-file", &certificate].as_slice(),
            ["--tls-cert-file", &certificate, "--tls-key-file", &key].as_slice(),
        ]
        .concat(),
    );
    let user = |name: &str, secret: &str, may: &str| {
        let words: Vec<_> = may.split(' ').collect();
        redis.ask::<()>(&[&["ACL", "SETUSER", name, "on", &format!(">{secret}")], words.as_slice()].concat());
        let file = folder.path().join(name);
        std::fs::write(&file, format!("{secret}\n")).unwrap();
        Redis {
            username: Some(name.to_owned()),
            password_file: Some(file),
            ca: Some((&certificate).into()),
            ..Redis::at(format!("rediss://127.0.0.1:{port}").parse().unwrap())
        }
    };
    let control = user("control", "hunter2", CONTROL_MAY);
    let sidecar = user("sidecar", "hunter3", SIDECAR_MAY);
    let world = World::over(redis, &control, &sidecar).await;
    let seq = world.change("one").await;
    world.sidecar(Seq(0)).hears(seq).await;
    world.leaves_and_finds("1", seq).await;

    let socket = world.redis.url.replace("redis+unix", "unix");
    let theirs = redis::Client::open(format!("{socket}?user=sidecar&pass=hunter3")).unwrap();
    let mut theirs = theirs.get_connection().unwrap();
    for command in [
        ["SET", "consentry:x", "1"].as_slice(),
        &["XDEL", "consentry:{log}", "1-0"],
        &["GETRANGE", "other:x", "0", "1"],
    ] {
        let refused = redis::cmd(command[0]).arg(&command[1..]).query::<()>(&mut theirs).unwrap_err();
        assert_eq!(refused.code(), Some("NOPERM"), "{command:?}");
    }
    let other = tempfile::tempdir().unwrap();
    let [other, _] = real::certificate(other.path());
    let wrong_secret = folder.path().join("wrong");
    std::fs::write(&wrong_secret, "hunter4").unwrap();
    for settings in [
        Redis { ca: Some(other.into()), ..control.clone() },
        Redis { ca: None, ..control.clone() },
        Redis { password_file: Some(wrong_secret), ..control.clone() },
    ] {
        let reach = open(&settings).unwrap();
        let refused = reach.primary(Arc::new(|_| Ok::<_, ()>(()))).await.err().unwrap();
        assert!(!format!("{refused} {refused:?}").contains("hunter"), "{refused}");
    }
}

#[test]
fn settings_that_name_no_file_or_would_skip_a_check_are_refused() {
    let at = |url: &str| Redis::at(url.parse().unwrap());
    let missing = Some("/nowhere/at/all".into());
    for settings in [
        Redis { password_file: missing.clone(), ..at("redis://127.0.0.1") },
        Redis { ca: missing, ..at("rediss://127.0.0.1") },
        at("rediss://127.0.0.1/#insecure"),
        at("redis://127.0.0.1/first"),
    ] {
        assert!(open(&settings).is_err(), "{settings:?}");
    }
}

/// What `docs` tell operators to allow the two users, and no more.
const CONTROL_MAY: &str =
    "~consentry:* -@all +hello +auth +ping +info +time +get +getrange +set +del +eval +xadd +xrange";
const SIDECAR_MAY: &str =
    "%R~consentry:* -@all +hello +auth +ping +info +time +getrange +xrange +client|tracking";
/// Long enough for a slow machine's look, short enough for a watermark to age while a test waits.
const LEASE: Duration = Duration::from_secs(3);
