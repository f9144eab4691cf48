//! What the tests of the shared tier stand on: a real Redis, a control node that publishes, a sidecar that is told.

#[path = "../../../tests/support/eventually.rs"]
pub(super) mod eventually;
#[path = "../../../tests/support/redis.rs"]
pub(super) mod real;

pub(super) use std::future::ready;
pub(super) use std::sync::Arc;
pub(super) use std::time::Duration;

pub(super) use async_trait::async_trait;
pub(super) use jiff::Timestamp;
pub(super) use parking_lot::Mutex;
pub(super) use serde_json::{Value, from_value, json};
pub(super) use tempfile::TempDir;
pub(super) use tokio::sync::{mpsc, watch};
pub(super) use tokio::task::JoinHandle;
pub(super) use tokio_util::sync::CancellationToken;

pub(super) use self::eventually::eventually;
pub(super) use self::real::{RealRedis, certificate, free_ports};
pub(super) use crate::config::redis::{Mode, Redis};
pub(super) use crate::grants::changed::ChangedAt;
pub(super) use crate::grants::follow::news::Place;
pub(super) use crate::grants::follow::{Following, Told};
pub(super) use crate::grants::origin::{Origin, OriginError, OwnKey};
pub(super) use crate::grants::shared::publish::{Fact, RecordKeys, Signing};
pub(super) use crate::grants::shared::{Link, Names, Publisher, Reach, Tier, Watch, open, record};
pub(super) use crate::model::account::PrincipalKey;
pub(super) use crate::model::change::{Change, Epoch, Subject};
pub(super) use crate::model::grant::{GrantState, Installed};
pub(super) use crate::model::id::{GrantKey, Seq};
pub(super) use crate::model::member::Member;
pub(super) use crate::model::time::boot_milliseconds;
pub(super) use crate::observe::shared::SharedCounts;
pub(super) use crate::store::{self, Shared};
pub(super) use crate::token::keys::{Purpose, Signer, generate};
pub(super) use crate::token::verify::KeySet;

/// A control node that publishes, and a sidecar's tier.
pub(super) struct World {
    pub(super) redis: RealRedis,
    pub(super) reach: Arc<Reach>,
    pub(super) names: Names,
    pub(super) store: Shared,
    pub(super) epoch: Epoch,
    pub(super) signer: Arc<Signer>,
    pub(super) publisher: Arc<Publisher>,
    pub(super) publishing: JoinHandle<()>,
    pub(super) keys: Arc<Keys>,
    pub(super) tier: Arc<Tier>,
    _folder: TempDir,
}

/// Answers control's keys, and nothing else.
#[derive(Default)]
pub(super) struct Keys(pub(super) Mutex<Vec<String>>);

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
    pub(super) async fn start() -> Self {
        Self::with(RealRedis::start()).await
    }

    pub(super) async fn with(redis: RealRedis) -> Self {
        let settings = Redis::at(redis.url.parse().unwrap());
        Self::over(redis, &settings, &settings).await
    }

    /// Over `redis` or what it belongs to, reached by control and by sidecars with settings of their own.
    pub(super) async fn over(redis: RealRedis, control: &Redis, sidecar: &Redis) -> Self {
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
    pub(super) async fn change(&self, version: &str) -> Seq {
        self.store.note_policies(version, Timestamp::UNIX_EPOCH).await.unwrap().unwrap()
    }

    /// What the tier answers once Redis has: a busy machine may miss the deadline.
    pub(super) async fn grant(&self, account: &str) -> Option<Installed> {
        let unanswered = || ["late", "failed", "not_asked"].map(|result| self.tier.counts().reads(result));
        let asked = async || {
            let before = unanswered();
            let found = self.ask(account).await;
            (before == unanswered()).then_some(found)
        };
        eventually("Redis answers in time", asked).await
    }

    pub(super) async fn ask(&self, account: &str) -> Option<Installed> {
        self.tier.grant(&key(account), &subjects(account)).await
    }

    /// Leaves a grant there, and waits until it is.
    pub(super) async fn leave(&self, account: &str, as_of: Seq, state: GrantState) {
        self.publisher.fill(as_of, Fact::Grant(Box::new(installed(account, state))));
        let stamp = format!("{} ", as_of.0);
        eventually("the record is there", || {
            let there: Option<Vec<u8>> = self.redis.ask(&["GET", &self.names.grant(&key(account))]);
            ready(there.filter(|there| there.starts_with(stamp.as_bytes())))
        })
        .await;
    }

    /// Leaves a grant there, again and again, until it is found: what is left while Redis is away is lost.
    pub(super) async fn leaves_and_finds(&self, account: &str, as_of: Seq) {
        eventually("what is left is found", async || {
            self.publisher.fill(as_of, Fact::Grant(Box::new(installed(account, GrantState::Active))));
            self.ask(account).await
        })
        .await;
    }

    /// Waits until the breaker is closed.
    pub(super) async fn reads_again(&self) {
        eventually("Redis is asked for records", async || {
            let before = self.tier.counts().reads("absent");
            let _ = self.ask("nobody").await;
            (self.tier.counts().reads("absent") > before).then_some(())
        })
        .await;
    }

    /// A sidecar that has applied the log up to `applied`, and is told by Redis.
    pub(super) fn sidecar(&self, applied: Seq) -> Sidecar {
        let place = Place { epoch: self.epoch.clone(), applied };
        let following = watch::Sender::new(Following { place: Some(place), ..Following::default() });
        let (tell, told) = mpsc::channel(4);
        let stop = CancellationToken::new();
        let watch = Watch::new(Arc::clone(&self.tier), following.subscribe(), tell, LEASE);
        tokio::spawn(watch.run(stop.clone()));
        Sidecar { following, told, link: self.tier.link(), _stop: stop.drop_guard() }
    }

    pub(super) fn signed(&self, key: &str, as_of: u64, body: &Value) -> String {
        record::write(&self.signer, key, &self.epoch, Seq(as_of), body).unwrap()
    }

    /// Nobody publishes any more; only attackers write.
    pub(super) async fn silence(&mut self) {
        self.publishing.abort();
        let _ = (&mut self.publishing).await;
    }

    /// Puts a watermark there, dated now by Redis's own clock.
    pub(super) fn put_watermark(&self, signer: &Signer, key: &str, seq: u64, change: impl Fn(&mut Value)) {
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
pub(super) struct Sidecar {
    pub(super) following: watch::Sender<Following>,
    pub(super) told: mpsc::Receiver<Told>,
    pub(super) link: watch::Receiver<Link>,
    _stop: tokio_util::sync::DropGuard,
}

impl Sidecar {
    /// Takes in what it is told until `wanted` is applied and the lease renewed; answers the renewal.
    pub(super) async fn hears(&mut self, wanted: Seq) -> Told {
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

    pub(super) fn apply(&self, told: &Told) {
        self.following.send_modify(|state| {
            if let Some(place) = &mut state.place {
                place.applied = place.applied.max(told.news.newest);
            }
        });
    }

    pub(super) async fn is(&mut self, what: &str, wanted: impl Fn(&Link) -> bool) {
        eventually::in_time(what, self.link.wait_for(|link| wanted(link))).await.unwrap();
    }

    /// Nothing that it has been told so far renews its lease.
    pub(super) fn renewed_nothing(&mut self) {
        while let Ok(told) = self.told.try_recv() {
            assert_eq!(told.as_of, 0, "{told:?}");
            self.apply(&told);
        }
    }
}

pub(super) fn new_signer() -> Signer {
    Signer::from_pkcs8(Purpose::Record, &generate(Purpose::Record).unwrap()).unwrap()
}

pub(super) fn signing(signer: &Arc<Signer>) -> Signing {
    let keys = RecordKeys { signer: Arc::clone(signer), known: Arc::new(KeySet::new([signer.public()])) };
    Arc::new(move || Some(keys.clone()))
}

pub(super) fn key(account: &str) -> GrantKey {
    GrantKey { account: account.parse().unwrap(), application: "4".parse().unwrap() }
}

pub(super) fn subjects(account: &str) -> Vec<Subject> {
    vec![Subject::Grant(key(account)), Subject::Application("4".parse().unwrap())]
}

pub(super) fn installed(account: &str, state: GrantState) -> Installed {
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

pub(super) fn state(found: Option<Installed>) -> Option<GrantState> {
    found.map(|installed| installed.grant.state)
}

/// Long enough for a slow machine's look, short enough for a watermark to age while a test waits.
pub(super) const LEASE: Duration = Duration::from_secs(3);
