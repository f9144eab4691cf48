//! The real `Grants` and `Follower` in front of a control plane that answers late, out of order, with gaps or not at
//! all, as a seed has it: once a sidecar has acknowledged a revocation, nothing is allowed on that grant, and whatever
//! was open on it is over. `CONSENTRY_SCHEDULES` says how many seeds are tried, `CONSENTRY_SEED` at which to begin.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use consentry::grants::changed::ChangedAt;
use consentry::grants::follow::news::{ChangeLog, FollowError, News, Place, Report, Snapshot};
use consentry::grants::follow::{Follower, Following, Refresh, Told};
use consentry::grants::lease::Lease;
use consentry::grants::origin::{Origin, OriginError, OwnKey};
use consentry::grants::slots::SlotClock;
use consentry::grants::{Grants, Held, Standing};
use consentry::model::account::PrincipalKey;
use consentry::model::caller::Caller;
use consentry::model::change::{Change, Epoch, Subject};
use consentry::model::grant::Installed;
use consentry::model::id::{GrantKey, Seq, SidecarId};
use consentry::model::member::Member;
use consentry::model::time::{Clock, boot_milliseconds};
use consentry::policy::Policies;
use consentry::policy::reload::Current;
use parking_lot::Mutex;
use serde_json::{Value, from_value, json};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// A control plane with its network.
struct Control {
    dice: Mutex<u64>,
    store: Mutex<Store>,
    told: mpsc::Sender<Told>,
    believes: Believes,
}

/// What counts as an acknowledgement.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Believes {
    Report,
    /// A mutant: whoever was answered has heard.
    OwnAnswer,
}

#[derive(Default)]
struct Store {
    epoch: u64,
    log: Vec<Subject>,
    revoked: HashMap<GrantKey, u64>,
    acknowledged: u64,
}

impl Store {
    fn epoch(&self) -> Epoch {
        Epoch(self.epoch.to_string())
    }

    fn newest(&self) -> u64 {
        self.log.len() as u64
    }

    fn news(&self, after: u64) -> News {
        let new = self.log.iter().enumerate().skip(usize::try_from(after).unwrap());
        let change = |(place, subject): (usize, &Subject)| Change {
            seq: Seq(place as u64 + 1),
            subject: subject.clone(),
        };
        let changes = new.map(change).collect();
        News { epoch: self.epoch(), newest: Seq(self.newest()), changes, lease_ms: LEASE.as_millis() as u64 }
    }
}

impl Control {
    fn dice(&self, sides: u64) -> u64 {
        let mut state = self.dice.lock();
        *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % sides
    }

    /// On its way.
    async fn travel(&self) {
        let long = if self.dice(8) == 0 { 400 } else { 20 };
        tokio::time::sleep(Duration::from_millis(self.dice(long))).await;
    }

    async fn travel_or_be_lost(&self) -> Result<(), FollowError> {
        self.travel().await;
        if self.dice(12) == 0 { Err(FollowError::Unreachable("lost".to_owned())) } else { Ok(()) }
    }

    async fn revoke(&self, key: &GrantKey) {
        let news = {
            let mut store = self.store.lock();
            store.log.push(Subject::Grant(key.clone()));
            let seq = store.newest();
            store.revoked.insert(key.clone(), seq);
            // As Redis tells it: from wherever the stream begins; perhaps that is a gap.
            store.news(seq.saturating_sub(1 + self.dice(3)))
        };
        let as_of = boot_milliseconds();
        self.travel().await;
        if self.dice(3) > 0 {
            let _ = self.told.send(Told { news, as_of, path: "redis" }).await;
        }
    }

    /// Whether a sidecar has acknowledged that `key` is revoked.
    fn is_over(&self, key: &GrantKey) -> bool {
        let store = self.store.lock();
        store.revoked.get(key).is_some_and(|seq| store.acknowledged >= *seq)
    }
}

#[async_trait]
impl ChangeLog for Control {
    async fn follow(&self, report: &Report) -> Result<News, FollowError> {
        self.travel_or_be_lost().await?;
        let (ours, applied) = {
            let mut store = self.store.lock();
            let ours = report.place.as_ref().filter(|place| place.epoch == store.epoch());
            let applied = ours.map_or(0, |place| place.applied.0);
            store.acknowledged = store.acknowledged.max(applied);
            (ours.is_some(), applied)
        };
        for _ in 0..self.dice(4) {
            if self.store.lock().newest() > applied {
                break;
            }
            self.travel().await;
        }
        let mut news = self.store.lock().news(applied);
        if !ours {
            news.changes.clear();
        } else if self.dice(8) == 0 && !news.changes.is_empty() {
            news.changes.remove(0);
        }
        if self.believes == Believes::OwnAnswer {
            let mut store = self.store.lock();
            store.acknowledged = store.acknowledged.max(news.newest.0);
        }
        self.travel_or_be_lost().await?;
        Ok(news)
    }

    async fn snapshot(&self) -> Result<Snapshot, FollowError> {
        self.travel_or_be_lost().await?;
        let snapshot = {
            let store = self.store.lock();
            let changed = ChangedAt::beginning(store.epoch());
            let news = store.news(0);
            news.changes.iter().for_each(|change| changed.raise(&change.subject, change.seq));
            changed.snapshot(Place { epoch: news.epoch, applied: news.newest })
        };
        self.travel_or_be_lost().await?;
        Ok(snapshot)
    }

    async fn leave(&self, _: &SidecarId) {}
}

#[async_trait]
impl Origin for Control {
    async fn installed(&self, key: &GrantKey) -> Result<Option<Installed>, OriginError> {
        self.travel_or_be_lost().await.map_err(|error| OriginError(error.to_string()))?;
        let revoked = self.store.lock().revoked.contains_key(key);
        self.travel().await;
        let (revision, state) = if revoked { (2, "revoked") } else { (1, "active") };
        let grant = json!({ "key": key, "revision": revision, "since": 1, "state": state, "scopes": ["/acs/oss"],
            "declined": [], "authorized_at": "2026-01-01T00:00:00Z", "authorized_by": alice(),
            "authorized_by_login": "alice@acme", "assignment": "all", "expires_at": null });
        let application = json!({ "id": key.application, "name": "hub", "display_name": "Hub", "description": "",
            "publisher": "2", "publisher_name": "hub", "contact": "", "official": false, "kind": "WebApp",
            "redirect_uris": [], "required": ["/acs/oss"], "optional": [], "access_token_seconds": 3600,
            "refresh_token_seconds": 7200, "enabled": true, "created_at": "2026-01-01T00:00:00Z" });
        Ok(Some(from_value(json!({ "grant": grant, "application": application })).unwrap()))
    }

    async fn member(&self, _: &GrantKey, _: &PrincipalKey) -> Result<Option<Member>, OriginError> {
        self.travel().await;
        let principal = json!({ "key": alice(), "login": "alice@acme", "display_name": "Alice", "enabled": true,
            "full_access": false, "groups": [] });
        let member = json!({ "principal": principal, "assigned": true, "consented": null, "ended": [] });
        Ok(Some(from_value(member).unwrap()))
    }

    async fn keys(&self) -> Result<String, OriginError> {
        Ok(r#"{"keys":[]}"#.to_owned())
    }

    async fn publish_key(&self, _: &OwnKey) -> Result<(), OriginError> {
        Ok(())
    }
}

/// One application's calls: each in the open until the next.
async fn call(control: Arc<Control>, grants: Arc<Grants>, application: String) -> usize {
    let caller = json!({ "application": application, "principal": alice(), "subject": "s", "scopes": ["/acs/oss"],
        "revision": 1, "family": "f", "expires_at": 4_000_000_000_i64 });
    let caller: Arc<Caller> = Arc::new(from_value(caller).unwrap());
    let (key, held) = (caller.grant(), Held::default());
    let mut open: Vec<Arc<Standing>> = Vec::new();
    let mut allowed = 0;
    for _ in 0..CALLS {
        let was_over = control.is_over(&key);
        let found = grants.find(&caller, &held).await;
        assert!(!(was_over && found.is_ok()), "allowed after the acknowledgement");
        if let Ok((standing, _)) = found {
            allowed += 1;
            open.push(standing);
        }
        if control.is_over(&key) {
            let ended = open.iter().all(|standing| grants.ending(standing)() && !grants.still(standing));
            assert!(ended, "a stream is open after the acknowledgement");
        }
        control.travel().await;
    }
    allowed
}

/// One life, as `seed` has it; answers how many calls were allowed and how many revocations acknowledged.
async fn live(seed: u64, policies: Arc<Current>, believes: Believes) -> (usize, usize) {
    let (telling, told) = mpsc::channel(64);
    let (dice, store) = (Mutex::new(seed), Mutex::default());
    let control = Arc::new(Control { dice, store, told: telling, believes });
    let (slots, lease) = (Arc::new(SlotClock::default()), Arc::new(Lease::new(LEASE)));
    let origin: Arc<dyn Origin> = Arc::<Control>::clone(&control);
    let parts = (Arc::clone(&slots), Arc::clone(&lease));
    let grants = Arc::new(Grants::new(origin, None, parts.0, parts.1, policies, Clock::system(), 10));
    let nothing: Refresh = Arc::new(|| Box::pin(async { Ok(()) }));
    let cutting = (Arc::clone(&control), Arc::clone(&grants));
    let follower = Follower {
        sidecar: "one".parse().unwrap(),
        log: Arc::<Control>::clone(&control),
        told,
        slots,
        changed: Some(Arc::default()),
        lease,
        refresh_keys: Arc::clone(&nothing),
        refresh_policies: nothing,
        cut: Arc::new(move || {
            let (control, grants) = (Arc::clone(&cutting.0), Arc::clone(&cutting.1));
            Box::pin(async move {
                control.travel().await;
                u64::from(grants.end_stale())
            })
        }),
        policies: Arc::new(String::new),
        state: watch::Sender::new(Following::default()),
    };
    let stop = CancellationToken::new();
    let following = tokio::spawn(follower.run(stop.clone()));
    let names = ["4", "5", "6"].map(str::to_owned);
    let calls = names.clone().map(|name| tokio::spawn(call(Arc::clone(&control), Arc::clone(&grants), name)));
    for name in names {
        for _ in 0..control.dice(12) {
            control.travel().await;
        }
        if control.dice(6) == 0 {
            // Copied to another place: the same facts, the places of another log.
            let mut store = control.store.lock();
            (store.epoch, store.acknowledged) = (store.epoch + 1, 0);
        }
        let key = GrantKey { account: "1".parse().unwrap(), application: name.parse().unwrap() };
        let control = Arc::clone(&control);
        tokio::spawn(async move { control.revoke(&key).await });
    }
    let mut allowed = 0;
    for calls in calls {
        allowed += calls.await.unwrap();
    }
    stop.cancel();
    let _ = following.await;
    let store = control.store.lock();
    let over = store.revoked.values().filter(|seq| store.acknowledged >= **seq).count();
    (allowed, over)
}

/// Goes through as many schedules as are asked for.
fn schedules(many: u64, believes: Believes) -> (usize, usize) {
    let asked = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let from = asked("CONSENTRY_SEED").unwrap_or(0);
    let policies = Current::fixed(Policies::embedded().unwrap());
    let (mut allowed, mut over) = (0, 0);
    for seed in from..from + asked("CONSENTRY_SCHEDULES").unwrap_or(many) {
        let running = Running(seed);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let lived = runtime.unwrap().block_on(live(seed, Arc::clone(&policies), believes));
        std::mem::forget(running);
        (allowed, over) = (allowed + lived.0, over + lived.1);
    }
    (allowed, over)
}

/// Says which seed it was, when it ends by a panic.
struct Running(u64);

impl Drop for Running {
    fn drop(&mut self) {
        println!("CONSENTRY_SEED={} CONSENTRY_SCHEDULES=1", self.0);
    }
}

#[test]
fn nothing_is_allowed_and_nothing_is_open_after_an_acknowledgement() {
    let (allowed, over) = schedules(300, Believes::Report);
    println!("{allowed} calls allowed, {over} revocations acknowledged");
    assert!(allowed > 0 && over > 0, "nothing happened");
}

#[test]
#[should_panic(expected = "after the acknowledgement")]
fn it_would_be_if_an_answer_counted_before_it_is_applied() {
    schedules(300, Believes::OwnAnswer);
}

fn alice() -> Value {
    json!({ "account": "1", "kind": "user", "id": "11" })
}

const LEASE: Duration = Duration::from_secs(600);
const CALLS: usize = 40;
