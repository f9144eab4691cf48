//! Credentials of a cloud's roles: those that are kept are renewed before they end, and are nobody's once what they were
//! got on has ended; those that leave are for as long as all agree to. Time is a clock that the tests move.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::world::{Facts, eventually, installed, member};
use crate::grants::lease::Lease;
use crate::grants::origin::Origin;
use crate::grants::slots::SlotClock;
use crate::grants::{Grants, Held, Standing};
use crate::model::call::{Action, Call, Resource};
use crate::model::caller::Caller;
use crate::model::change::Subject;
use crate::model::id::Revision;
use crate::model::time::{Clock, boot_milliseconds};
use crate::policy::reload::Current;
use crate::policy::{Permit, Policies, Surroundings, decide};
use crate::sidecar::assume::{AtHand, Errand, Identity};
use crate::sidecar::identify::{Known, Meant};
use crate::sidecar::refuse::{NoIdentity, Refusal};
use crate::sidecar::sts::{Credentials, NotGiven, Sts, Wish};

#[tokio::test]
async fn credentials_are_renewed_before_they_end_by_one_and_meanwhile_the_others_use_what_is_kept() {
    let stage = Stage::new("").await;
    let standing = stage.standing().await;
    let first = stage.fetched(&standing).await;
    stage.clock.advance(599);
    assert!(Arc::ptr_eq(&stage.kept(&standing).unwrap(), &first));
    assert_eq!(stage.service.asked(), 1, "two thirds of their life nobody asks anew");

    stage.service.hold();
    stage.clock.advance(1);
    for _ in 0..5 {
        assert!(Arc::ptr_eq(&stage.kept(&standing).unwrap(), &first), "nobody waits for the renewal");
    }
    eventually("they are asked for", || (stage.service.asked() == 2).then_some(())).await;
    stage.service.let_go();
    let renewed = || stage.kept(&standing).filter(|now| !Arc::ptr_eq(now, &first));
    let second = eventually("the new ones are used", renewed).await;
    assert!(second.expires_at > first.expires_at);
    assert_eq!(stage.service.asked(), 2, "one has asked for all");
}

#[tokio::test]
async fn a_renewal_that_fails_is_tried_again_and_credentials_that_have_ended_are_not_used() {
    let stage = Stage::new("").await;
    let standing = stage.standing().await;
    let first = stage.fetched(&standing).await;
    stage.service.fail(true);
    stage.clock.advance(600);
    assert!(stage.kept(&standing).is_some());
    eventually("it was tried", || (stage.service.asked() == 2).then_some(())).await;
    let later = || {
        stage.clock.advance(5);
        stage.kept(&standing).map(drop).filter(|()| stage.service.asked() == 3)
    };
    eventually("it is tried again", later).await;
    stage.clock.advance(first.expires_at - 59 - stage.clock.seconds());
    assert!(stage.kept(&standing).is_none(), "in their last minute they sign nothing");

    // A failure is everybody's for a moment: the service is not asked as often as there are calls.
    let failed = |refused: Refusal| matches!(refused, Refusal::NoIdentity(NoIdentity::Failed(_)));
    stage.clock.advance(10);
    let asked = stage.service.asked();
    assert!(failed(stage.fetch(&standing).await.unwrap_err()));
    for _ in 0..3 {
        let again = stage.fetch(&standing).await.unwrap_err();
        assert!(
            matches!(&again, Refusal::NoIdentity(NoIdentity::JustFailed(why)) if why.contains("403")),
            "{again:?}"
        );
    }
    assert_eq!(stage.service.asked(), asked + 1);
    stage.service.fail(false);
    stage.clock.advance(2);
    stage.fetched(&standing).await;
}

#[tokio::test]
async fn with_what_they_were_got_on_credentials_end_and_are_wiped() {
    let stage = Stage::new("").await;
    let standing = stage.standing().await;
    let wiped = Arc::downgrade(&stage.fetched(&standing).await);
    assert!(stage.kept(&standing).is_some() && wiped.strong_count() == 1);
    stage.revoke();
    assert!(stage.kept(&standing).is_none(), "nobody has them");
    eventually("nothing holds them", || (wiped.strong_count() == 0).then_some(())).await;
}

#[tokio::test]
async fn what_is_under_way_when_what_it_is_for_ends_is_kept_for_nobody() {
    let stage = Stage::new("").await;
    let standing = stage.standing().await;
    drop(stage.fetched(&standing).await);
    stage.service.hold();
    stage.clock.advance(700);
    assert!(stage.kept(&standing).is_some());
    eventually("a renewal is under way", || (stage.service.asked() == 2).then_some(())).await;
    stage.revoke();
    // Who waits for the same has it in hand, and is decided anew before it is used.
    let waiting = stage.errand(&standing).unwrap();
    let let_go = async { stage.service.let_go() };
    let (came, ()) = tokio::join!(waiting, let_go);
    let came = signed(came.unwrap());
    assert!(stage.kept(&standing).is_none());
    let wiped = Arc::downgrade(&came);
    drop(came);
    eventually("nothing keeps them", || (Weak::strong_count(&wiped) == 0).then_some(())).await;
    assert_eq!(stage.service.asked(), 2);
}

#[tokio::test]
async fn what_leaves_lasts_as_long_as_settings_asker_grant_and_token_agree_to() {
    let clients = |more: &str| format!("clients = {{ services = [\"dynamodb\"]{more} }}");
    let life = async |clients: String, asked: Option<u32>, token: i64, grant: Option<i64>| {
        let stage = Stage::new(&clients).await;
        let end = |seconds: i64| Timestamp::from_second(NOW + seconds).unwrap();
        stage.facts.installed.lock().grant.expires_at = grant.map(end);
        stage.may_have(asked, token).await
    };
    let long = || clients(", seconds = 7200");
    assert_eq!(life(clients(""), Some(43_200), 90_000, None).await, Ok(900));
    assert_eq!(life(long(), None, 90_000, None).await, Ok(7200));
    assert_eq!(life(long(), Some(3600), 90_000, None).await, Ok(3600));
    assert_eq!(life(long(), Some(43_200), 5000, None).await, Ok(5000));
    assert_eq!(life(long(), Some(43_200), 5000, Some(4000)).await, Ok(4000));
    assert_eq!(life(long(), Some(900), 899, None).await, Err(NotGiven::Life("token")));
    let outlive = clients(", seconds = 7200, outlive_token = true");
    assert_eq!(life(outlive.clone(), Some(7200), 10, None).await, Ok(900));
    assert_eq!(life(outlive, Some(900), 10, Some(899)).await, Err(NotGiven::Life("grant")));
    assert_eq!(life(String::new(), None, 90_000, None).await, Err(NotGiven::Role), "nobody is to have any");
}

/// A sidecar's part that gets roles, before a service of the test's own.
struct Stage {
    facts: Arc<Facts>,
    slots: Arc<SlotClock>,
    grants: Grants,
    sts: Arc<Sts>,
    service: Service,
    clock: Clock,
}

impl Stage {
    async fn new(settings: &str) -> Self {
        let clock = Clock::set(NOW);
        let service = Service::start(clock.clone()).await;
        let folder = tempfile::tempdir().unwrap().keep();
        let key = folder.join("key.json");
        std::fs::write(&key, r#"{"access_key_id":"AKIA1","secret_access_key":"s"}"#).unwrap();
        let settings = format!(
            "cloud = \"aws\"\nendpoint = \"{}\"\nregion = \"r\"\nrole = \"{ROLE}\"\ncredentials_file = {:?}\n{settings}",
            service.url,
            key.display().to_string(),
        );
        let sts = Sts::new(&toml::from_str(&settings).unwrap(), Arc::default(), clock.clone()).unwrap();
        let mut installed = installed();
        installed.grant.scopes = "openid /aws/dynamodb:read".parse().unwrap();
        let facts = Arc::new(Facts {
            installed: Mutex::new(installed),
            member: Mutex::new(member()),
            silent: AtomicBool::new(false),
            jwks: Mutex::default(),
        });
        let (slots, lease) = (Arc::new(SlotClock::default()), Arc::new(Lease::new(Duration::from_secs(30))));
        lease.renew(boot_milliseconds());
        let origin = Arc::clone(&facts) as Arc<dyn Origin>;
        let policies = Current::fixed(Policies::embedded().unwrap());
        let grants = Grants::new(origin, None, Arc::clone(&slots), lease, policies, clock.clone(), 100);
        Self { facts, slots, grants, sts: Arc::new(sts), service, clock }
    }

    fn caller(&self, seconds: i64) -> Caller {
        let installed = self.facts.installed.lock();
        Caller {
            application: installed.application.id.clone(),
            principal: member().principal.key,
            subject: "an-opaque-subject".to_owned(),
            scopes: installed.grant.scopes.clone(),
            revision: Revision(3),
            family: "family-1".parse().unwrap(),
            expires_at: NOW + seconds,
        }
    }

    async fn standing(&self) -> Arc<Standing> {
        self.grants.find(&Arc::new(self.caller(90_000)), &Held::default()).await.unwrap().0
    }

    fn with<T>(&self, standing: &Arc<Standing>, then: impl FnOnce(&Permit<'_>) -> T) -> T {
        let account = member().principal.key.account;
        let resource = Resource { name: "table/orders".to_owned(), account, region: None };
        let call = Call { action: Action::new("dynamodb:GetItem"), resource };
        let around = Surroundings {
            ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            time: self.clock.now(),
            method: "POST",
            host: "sidecar",
            path: "/",
        };
        then(&decide(standing.session(), &call, &around).unwrap())
    }

    fn at_hand(&self, standing: &Arc<Standing>) -> AtHand {
        let known = Known::new(self.caller(90_000), Meant::Everywhere, Arc::from("a.b.c"), 0, None);
        self.with(standing, |permit| {
            self.sts.at_hand(permit, &known, standing, self.clock.seconds()).unwrap()
        })
    }

    fn kept(&self, standing: &Arc<Standing>) -> Option<Arc<Credentials>> {
        match self.at_hand(standing) {
            AtHand::Identity(identity) => Some(signed(identity)),
            AtHand::Errand(_) | AtHand::Made => None,
        }
    }

    fn errand(&self, standing: &Arc<Standing>) -> Option<Errand> {
        match self.at_hand(standing) {
            AtHand::Errand(errand) => Some(errand),
            AtHand::Identity(_) | AtHand::Made => None,
        }
    }

    async fn fetch(&self, standing: &Arc<Standing>) -> Result<Arc<Credentials>, Refusal> {
        self.errand(standing).expect("nothing is at hand").await.map(signed)
    }

    async fn fetched(&self, standing: &Arc<Standing>) -> Arc<Credentials> {
        self.fetch(standing).await.unwrap()
    }

    /// What a follower does when it hears that the grant is another.
    fn revoke(&self) {
        self.slots.strike(&Subject::Grant(self.facts.installed.lock().grant.key.clone()));
        assert!(self.grants.end_stale());
        self.sts.drop_ended();
    }

    /// For how long a role may be had with a token of so many seconds.
    async fn may_have(&self, asked: Option<u32>, token: i64) -> Result<u32, NotGiven> {
        let caller = self.caller(token);
        let standing = self.grants.find(&Arc::new(caller.clone()), &Held::default()).await.unwrap().0;
        let role = ROLE.replace("{account}", caller.principal.account.as_str());
        let wish = Wish { role: &role, policy: None, seconds: asked };
        self.with(&standing, |permit| {
            self.sts.may_give(permit, &caller, &standing, &wish, NOW).map(|leave| leave.seconds())
        })
    }
}

fn signed(identity: Identity) -> Arc<Credentials> {
    match identity {
        Identity::Signed(credentials) => credentials,
        Identity::Bearer(_) | Identity::None => panic!("it is signed with a role's credentials"),
    }
}

/// A security token service: credentials for a quarter of an hour, other ones each time.
struct Service {
    url: String,
    state: Arc<State>,
}

struct State {
    asked: Mutex<usize>,
    gate: Semaphore,
    fails: AtomicBool,
}

impl Service {
    async fn start(clock: Clock) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(State {
            asked: Mutex::new(0),
            gate: Semaphore::new(OPEN),
            fails: AtomicBool::new(false),
        });
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (state, clock) = (Arc::clone(&shared), clock.clone());
                tokio::spawn(async move {
                    let (mut head, mut byte) = (Vec::new(), [0; 1]);
                    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).await.unwrap_or(0) > 0 {
                        head.extend_from_slice(&byte);
                    }
                    let number = {
                        let mut asked = state.asked.lock();
                        *asked += 1;
                        *asked
                    };
                    drop(state.gate.acquire().await);
                    let (status, body) = if state.fails.load(Ordering::SeqCst) {
                        ("403 Forbidden", "<Error><Code>AccessDenied</Code></Error>".to_owned())
                    } else {
                        let end = Timestamp::from_second(clock.seconds() + 900).unwrap();
                        (
                            "200 OK",
                            format!(
                                "<Credentials><AccessKeyId>ASIA{number}</AccessKeyId><SecretAccessKey>s</SecretAccessKey>\
                             <SessionToken>t</SessionToken><Expiration>{end}</Expiration></Credentials>"
                            ),
                        )
                    };
                    let length = body.len();
                    let answer = format!(
                        "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
                    );
                    let _ = stream.write_all(answer.as_bytes()).await;
                    // What was sent and not read would end the connection before the answer is there.
                    let _ = stream.shutdown().await;
                    let _ = stream.read_to_end(&mut Vec::new()).await;
                });
            }
        });
        Self { url, state }
    }

    fn asked(&self) -> usize {
        *self.state.asked.lock()
    }

    /// From now on nobody is answered.
    fn hold(&self) {
        self.state.gate.forget_permits(OPEN);
    }

    fn let_go(&self) {
        self.state.gate.add_permits(OPEN);
    }

    fn fail(&self, fails: bool) {
        self.state.fails.store(fails, Ordering::SeqCst);
    }
}

const NOW: i64 = 1_800_000_000;
const OPEN: usize = 100;
const ROLE: &str = "arn:aws:iam::{account}:role/consentry";
