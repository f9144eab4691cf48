//! Standings over the life of a lease, and a follower whose sidecar or store hangs.

mod shared_kinds;
mod shared_log;
mod shared_records;
mod shared_world;

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, from_value, json};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::follow::news::{ChangeLog, FollowError, News, Report, Snapshot};
use super::follow::{CutStreams, Follower, Refresh, Told};
use super::lease::Lease;
use super::origin::{Origin, OriginError, OwnKey};
use super::source::Source;
use super::{Grants, Held, NoStanding, Tier};
use crate::model::account::PrincipalKey;
use crate::model::caller::Caller;
use crate::model::change::Epoch;
use crate::model::grant::Installed;
use crate::model::id::{GrantKey, Seq, SidecarId};
use crate::model::member::Member;
use crate::model::time::{Clock, boot_milliseconds};
use crate::policy::Policies;
use crate::policy::reload::Current;
use crate::store;

/// One grant and one member, always there.
struct Always;

#[async_trait]
impl Origin for Always {
    async fn installed(&self, _: &GrantKey) -> Result<Option<Installed>, OriginError> {
        Ok(Some(from_value(json!({ "grant": grant(), "application": application() })).unwrap()))
    }

    async fn member(&self, _: &GrantKey, _: &PrincipalKey) -> Result<Option<Member>, OriginError> {
        let principal = json!({ "key": key(), "login": "alice@acme", "display_name": "Alice", "enabled": true,
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

/// Never answers, and counts who asks.
#[derive(Default)]
struct Never(AtomicUsize);

#[async_trait]
impl Origin for Never {
    async fn installed(&self, _: &GrantKey) -> Result<Option<Installed>, OriginError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        pending().await
    }

    async fn member(&self, _: &GrantKey, _: &PrincipalKey) -> Result<Option<Member>, OriginError> {
        pending().await
    }

    async fn keys(&self) -> Result<String, OriginError> {
        pending().await
    }

    async fn publish_key(&self, _: &OwnKey) -> Result<(), OriginError> {
        pending().await
    }
}

fn key() -> Value {
    json!({ "account": "1", "kind": "user", "id": "11" })
}

fn grant() -> Value {
    json!({ "key": { "account": "1", "application": "4" }, "revision": 1, "since": 1, "state": "active",
        "scopes": ["/acs/oss"], "declined": [], "authorized_at": "2026-01-01T00:00:00Z", "authorized_by": key(),
        "authorized_by_login": "alice@acme", "assignment": "all", "expires_at": null })
}

fn application() -> Value {
    json!({ "id": "4", "name": "hub", "display_name": "Hub", "description": "", "publisher": "2",
        "publisher_name": "hub", "contact": "", "official": false, "kind": "WebApp", "redirect_uris": [],
        "required": ["/acs/oss"], "optional": [], "access_token_seconds": 3600, "refresh_token_seconds": 7200,
        "enabled": true, "created_at": "2026-01-01T00:00:00Z" })
}

fn caller() -> Arc<Caller> {
    let caller = json!({ "application": "4", "principal": key(), "subject": "s", "scopes": ["/acs/oss"], "revision": 1,
        "family": "f", "expires_at": 4_000_000_000_i64 });
    Arc::new(from_value(caller).unwrap())
}

fn grants(lease: &Arc<Lease>) -> Grants {
    let policies = Current::fixed(Policies::embedded().unwrap());
    Grants::new(Arc::new(Always), None, Arc::default(), Arc::clone(lease), policies, Clock::system(), 10)
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_turn_at_an_origin_that_hangs_is_refused_after_a_while() {
    let (lease, origin) = (Arc::new(Lease::new(Duration::from_secs(60))), Arc::<Never>::default());
    lease.renew(boot_milliseconds());
    let policies = Current::fixed(Policies::embedded().unwrap());
    let asked = Arc::clone(&origin);
    let grants = Grants::new(asked, None, Arc::default(), lease, policies, Clock::system(), 1000);
    let grants = Arc::new(grants);
    let mut asking = tokio::task::JoinSet::new();
    for account in 1..=200 {
        let grants = Arc::clone(&grants);
        asking.spawn(async move {
            let mut caller = Caller::clone(&caller());
            caller.principal.account = account.to_string().parse().unwrap();
            grants.find(&Arc::new(caller), &Held::default()).await.err().unwrap()
        });
    }
    let mut refused = 0;
    while asking.len() > origin.0.load(Ordering::SeqCst) || refused == 0 {
        let why = asking.join_next().await.unwrap().unwrap();
        assert!(matches!(why, NoStanding::Unavailable(_)), "{why:?}");
        refused += 1;
    }
    assert!(origin.0.load(Ordering::SeqCst) < 200);
}

#[tokio::test]
async fn a_standing_that_ended_with_the_lease_is_followed_by_a_new_one_when_the_lease_runs_again() {
    let lease = Arc::new(Lease::new(Duration::from_secs(60)));
    let (grants, caller, held) = (grants(&lease), caller(), Held::default());
    lease.renew(boot_milliseconds());
    let (first, _) = grants.find(&caller, &held).await.unwrap();
    let ending = grants.ending(&first);
    assert!(grants.still(&first) && !ending());
    lease.give_up();
    assert!(matches!(grants.find(&caller, &held).await, Err(NoStanding::Unavailable(_))));
    assert!(grants.end_stale());
    lease.renew(boot_milliseconds());
    assert!(!grants.still(&first), "what was cut does not come back");
    let (second, tier) = grants.find(&caller, &held).await.unwrap();
    assert!(grants.still(&second) && !grants.ending(&second)());
    assert_ne!(tier, Tier::Held);
}

#[tokio::test]
async fn what_rests_on_a_standing_ends_with_the_lease_though_nobody_tells() {
    let lease = Arc::new(Lease::new(Duration::from_secs(60)));
    let grants = grants(&lease);
    lease.renew(boot_milliseconds());
    let (standing, _) = grants.find(&caller(), &Held::default()).await.unwrap();
    let ending = grants.ending(&standing);
    assert!(!ending());
    lease.give_up();
    assert!(ending());
    lease.renew(boot_milliseconds());
    assert!(ending(), "an answer once given stays");
}

#[tokio::test]
async fn a_lease_is_not_used_before_all_that_is_new_is_applied_and_cut_though_it_is_waited_for_from_before() {
    let folder = tempfile::tempdir().unwrap();
    let store = store::open(&folder.path().join("store.db").display().to_string()).await.unwrap();
    let source = Source::new(store, Duration::from_secs(60), Clock::system(), false).await.unwrap();
    let lease = Arc::new(Lease::new(Duration::from_secs(60)));
    let (cutting, mut is_cutting) = watch::channel(false);
    // A worker that does not answer: nothing is known to be cut.
    let cut: CutStreams = Arc::new(move || {
        cutting.send_replace(true);
        Box::pin(pending())
    });
    let follower = Follower { cut, ..follower(Arc::clone(&source) as _, &lease).0 };
    let following = tokio::spawn(follower.run(CancellationToken::new()));
    is_cutting.wait_for(|cutting| *cutting).await.unwrap();
    assert!(!lease.holds());
    let before = source.cut_so_far();
    let receipt = source.everywhere(Seq(1), &before, |_| ());
    let waited_for = tokio::time::timeout(Duration::ZERO, receipt).await;
    assert!(waited_for.is_err(), "{waited_for:?}");
    following.abort();
}

/// A follower whose sidecar has nothing to refresh and nothing to cut, and what tells it news besides.
fn follower(log: Arc<dyn ChangeLog>, lease: &Arc<Lease>) -> (Follower, mpsc::Sender<Told>) {
    let nothing: Refresh = Arc::new(|| Box::pin(async { Ok(()) }));
    let (tell, told) = mpsc::channel(1);
    let follower = Follower {
        sidecar: "one".parse().unwrap(),
        log,
        told,
        slots: Arc::default(),
        changed: None,
        lease: Arc::clone(lease),
        refresh_keys: Arc::clone(&nothing),
        refresh_policies: nothing,
        cut: Arc::new(|| Box::pin(std::future::ready(0))),
        policies: Arc::new(String::new),
        state: watch::Sender::default(),
    };
    (follower, tell)
}

fn nothing_new(lease_ms: u64) -> News {
    News { epoch: Epoch("one".to_owned()), newest: Seq(0), changes: Vec::new(), lease_ms }
}

/// A control plane that answers once with a lease of so many milliseconds, and then with this refusal or never again.
struct Once {
    lease_ms: u64,
    then: Option<&'static str>,
    asked: AtomicBool,
}

impl Once {
    fn answering(lease_ms: u64, then: Option<&'static str>) -> Arc<dyn ChangeLog> {
        Arc::new(Self { lease_ms, then, asked: AtomicBool::new(false) })
    }
}

#[async_trait]
impl ChangeLog for Once {
    async fn follow(&self, _: &Report) -> Result<News, FollowError> {
        match (self.asked.swap(true, Ordering::SeqCst), self.then) {
            (false, _) => Ok(nothing_new(self.lease_ms)),
            (true, Some(why)) => Err(FollowError::Refused(why.to_owned())),
            (true, None) => pending().await,
        }
    }

    async fn snapshot(&self) -> Result<Snapshot, FollowError> {
        Err(FollowError::Unreachable("it answers nothing more".to_owned()))
    }

    async fn leave(&self, _: &SidecarId) {}
}

#[tokio::test]
async fn another_path_makes_no_lease_last_longer_than_the_control_plane_presumes_it_to() {
    let lease = Arc::new(Lease::new(Duration::from_millis(200)));
    let (follower, tell) = follower(Once::answering(200, None), &lease);
    let mut state = follower.state.subscribe();
    let following = tokio::spawn(follower.run(CancellationToken::new()));
    let presumed_until = state.wait_for(|state| state.presumed_until > 0).await.unwrap().presumed_until;
    let (mut told, mut kept_beyond_its_own) = (0, false);
    let over = async {
        // As fast as they are taken: by the other path all is well.
        while boot_milliseconds() < presumed_until || lease.holds() {
            tell.send(Told { news: nothing_new(200), as_of: boot_milliseconds(), path: "redis" })
                .await
                .unwrap();
            told += 1;
            kept_beyond_its_own |= lease.holds() && boot_milliseconds() > presumed_until - 190;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), over).await.unwrap();
    assert!(kept_beyond_its_own, "until then the other path does renew it; told {told} times");
    following.abort();
}

#[tokio::test]
async fn a_sidecar_that_was_refused_gets_no_lease_by_another_path() {
    let lease = Arc::new(Lease::new(Duration::from_secs(60)));
    let (follower, tell) = follower(Once::answering(60_000, Some("The enrolment was revoked.")), &lease);
    let mut state = follower.state.subscribe();
    let following = tokio::spawn(follower.run(CancellationToken::new()));
    state.wait_for(|state| state.trouble.is_some()).await.unwrap();
    for _ in 0..3 {
        // Room for one: the one before it has been taken in.
        tell.send(Told { news: nothing_new(60_000), as_of: boot_milliseconds(), path: "redis" })
            .await
            .unwrap();
        assert!(!lease.holds());
    }
    following.abort();
}

mod slot_clock {
    use crate::grants::slots::{SUBJECTS, SlotClock};
    use crate::model::change::Subject;
    use crate::model::id::GrantKey;

    fn subjects(name: &str) -> [Subject; SUBJECTS] {
        let key = GrantKey { account: "1".parse().unwrap(), application: name.parse().unwrap() };
        let application = Subject::Application(key.application.clone());
        [Subject::Grant(key.clone()), application, Subject::Grant(key.clone()), Subject::Grant(key)]
    }

    #[test]
    fn a_fact_is_used_while_nothing_it_rests_on_has_changed() {
        let clock = SlotClock::default();
        let seal = clock.seal(&subjects("a"), clock.now());
        clock.strike(&Subject::Keys);
        assert!(clock.unchanged(&seal));
    }

    #[test]
    fn a_fact_is_not_used_once_something_it_rests_on_has_changed() {
        let clock = SlotClock::default();
        for subject in subjects("a") {
            let seal = clock.seal(&subjects("a"), clock.now());
            clock.strike(&subject);
            assert!(!clock.unchanged(&seal), "{subject:?}");
        }
    }

    #[test]
    fn a_fact_whose_read_began_before_the_change_is_not_used_though_it_arrives_after_it() {
        let clock = SlotClock::default();
        let before_the_read = clock.now();
        for subject in subjects("a") {
            clock.strike(&subject);
        }
        let seal = clock.seal(&subjects("a"), before_the_read);
        assert!(!clock.unchanged(&seal));
        let read_again = clock.seal(&subjects("a"), clock.now());
        assert!(clock.unchanged(&read_again));
    }

    #[test]
    fn striking_all_spares_nothing_read_before() {
        let clock = SlotClock::default();
        let seal = clock.seal(&subjects("a"), clock.now());
        clock.strike_all();
        assert!(!clock.unchanged(&seal));
    }
}

mod single_flight {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;

    use crate::grants::flight::Flights;

    #[tokio::test]
    async fn callers_at_the_same_time_share_one_read() {
        let flights = Arc::new(Flights::<&str, usize>::default());
        let (reads, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
        let callers: Vec<_> = (0..8)
            .map(|_| {
                let (flights, reads, gate) = (Arc::clone(&flights), Arc::clone(&reads), Arc::clone(&gate));
                tokio::spawn(async move {
                    flights
                        .join(&"k", 1, || async {
                            let _open = gate.acquire().await;
                            Ok::<_, ()>(reads.fetch_add(1, Ordering::SeqCst))
                        })
                        .await
                })
            })
            .collect();
        tokio::task::yield_now().await;
        gate.add_permits(100);
        for caller in callers {
            caller.await.unwrap().unwrap();
        }
        assert!(flights.len() == 0);
        assert!(reads.load(Ordering::SeqCst) < 8);
    }

    #[tokio::test]
    async fn a_caller_of_a_later_generation_does_not_join_an_older_read() {
        let flights = Arc::new(Flights::<&str, &str>::default());
        let gate = Arc::new(Semaphore::new(0));
        let old = tokio::spawn({
            let (flights, gate) = (Arc::clone(&flights), Arc::clone(&gate));
            async move {
                let read = || async {
                    let _open = gate.acquire().await;
                    Ok::<_, ()>("old")
                };
                flights.join(&"k", 1, read).await
            }
        });
        tokio::task::yield_now().await;
        assert_eq!(flights.join(&"k", 2, || async { Ok::<_, ()>("new") }).await, Ok("new"));
        gate.add_permits(1);
        assert_eq!(old.await.unwrap(), Ok("old"));
    }
}
