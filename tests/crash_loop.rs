//! Control planes and their store are killed again and again while they write: what was acknowledged is there, what was
//! not is there whole or not at all, and a revision only rises.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::faults::report::keep;
use crate::faults::stage::{Cast, Stage};
use crate::support::world::run;
use crate::support::{Application, Call, Person, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_control_plane_on_sqlite_that_is_killed_loses_nothing_and_leaves_nothing_half_made() {
    let cast = Cast { sidecars: 0, ..Cast::SMALL };
    let mut crashes = Crashes::begin(cast).await;
    for kill in 0..kills() {
        crashes.work(kill).await;
        crashes.stage.controls[0].kill();
        crashes.rest().await;
        crashes.stage.start_control(0).await;
        crashes.check().await;
    }
    crashes.tell("SQLite");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgresql_neither_a_killed_control_plane_nor_a_killed_server_loses_anything() {
    let cast = Cast { sidecars: 0, ..Cast::TWO };
    let mut crashes = Crashes::begin(cast).await;
    for kill in 0..kills() {
        let number = kill % 2;
        crashes.stage.lead_to_control(number);
        crashes.work(kill).await;
        if kill % 4 == 3 {
            crashes.stage.store.as_mut().unwrap().crash("SELECT 1", "1").await;
            crashes.rest().await;
        } else {
            crashes.stage.controls[number].kill();
            crashes.rest().await;
            crashes.stage.start_control(number).await;
        }
        crashes.check().await;
    }
    crashes.tell("PostgreSQL");
}

struct Crashes {
    stage: Stage,
    writers: Vec<Writer>,
    at_work: JoinSet<()>,
    over: Arc<AtomicBool>,
    /// The revision of each grant at the last look.
    revisions: BTreeMap<String, usize>,
    kills: usize,
    acknowledged: usize,
    in_doubt: [usize; 2],
}

/// Who changes one grant, and nobody else does.
#[derive(Clone)]
struct Writer {
    application: Application,
    known: Arc<Mutex<Known>>,
}

/// What must be true of the grant.
#[derive(Clone, Debug)]
struct Known {
    state: &'static str,
    /// A change that was asked for and not acknowledged: to which state.
    doubt: Option<&'static str>,
    acknowledged: usize,
}

impl Crashes {
    async fn begin(cast: Cast) -> Self {
        let stage = Stage::set(cast).await;
        let mut writers = Vec::new();
        for number in 0..WRITERS {
            let scopes = ["openid", "/acs/oss:read"];
            let application = stage.world.register("globex", &format!("writer-{number}"), &scopes).await;
            let known = Known { state: "revoked", doubt: None, acknowledged: 0 };
            writers.push(Writer { application, known: Arc::new(Mutex::new(known)) });
        }
        let (at_work, over, revisions) = (JoinSet::new(), Arc::default(), BTreeMap::new());
        Self { stage, writers, at_work, over, revisions, kills: 0, acknowledged: 0, in_doubt: [0; 2] }
    }

    /// Everybody writes; returns at a moment that is another one each time.
    async fn work(&mut self, kill: usize) {
        self.over = Arc::default();
        for writer in &self.writers {
            let person = Person::new(&self.stage.world, "admin@acme");
            let token = self.stage.world.account("acme").api_token.clone();
            self.at_work.spawn(writer.clone().write(person, token, Arc::clone(&self.over)));
        }
        let begun: usize = self.writers.iter().map(|writer| writer.known.lock().acknowledged).sum();
        eventually("something is acknowledged", || {
            let now: usize = self.writers.iter().map(|writer| writer.known.lock().acknowledged).sum();
            std::future::ready((now > begun + kill % 7).then_some(()))
        })
        .await;
        tokio::time::sleep(Duration::from_micros(kill as u64 * 1_700 % 23_000)).await;
    }

    /// Waits until nobody writes any more. Who lost the connection has ended by a panic of his own.
    async fn rest(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        while self.at_work.join_next().await.is_some() {}
        self.kills += 1;
    }

    /// Every grant is as was acknowledged, or as was asked for last; its audit and its part of the change log agree.
    async fn check(&mut self) {
        let rows = self.rows().await;
        let audit = self.audit().await;
        for writer in &self.writers {
            let mut known = writer.known.lock();
            let id = &writer.application.client_id;
            let (revision, state, changes) = rows.get(id).cloned().unwrap_or((0, "revoked".to_owned(), 0));
            let doubt = known.doubt.take();
            let done = doubt.is_some_and(|doubt| doubt == state);
            assert!(state == known.state || done, "{id} is {state}; {known:?}, in doubt {doubt:?}");
            if doubt.is_some() {
                self.in_doubt[usize::from(done)] += 1;
            }
            let told: Vec<_> = (1..=revision).collect();
            let audited = audit.get(id).cloned().unwrap_or_default();
            let last = audited.last().map_or("revoked", |(_, state)| state.as_str());
            assert_eq!(
                audited.iter().map(|(revision, _)| *revision).collect::<Vec<_>>(),
                told,
                "the audit of {id}"
            );
            assert_eq!(
                (last, changes),
                (state.as_str(), revision),
                "{id}: audit and change log agree with the grant"
            );
            let before = self.revisions.insert(id.clone(), revision).unwrap_or(0);
            assert!(revision >= before + known.acknowledged, "{id}: {before} + {known:?} is not {revision}");
            self.acknowledged += std::mem::take(&mut known.acknowledged);
            known.state = STATES.into_iter().find(|known| *known == state).unwrap();
        }
        let seq = "SELECT count(*) || ' ' || (max(seq) - min(seq) + 1) || ' ' ||
            (max(seq) - (SELECT seq FROM log_state)) FROM change_log";
        let seq = self.stage.query(seq).await;
        let [count, span, behind] = seq[0].split(' ').collect::<Vec<_>>()[..] else { panic!("{seq:?}") };
        assert_eq!((count, behind), (span, "0"), "the change log has no gap");
        self.verify();
    }

    /// The audit's chains are whole: each record is the one that was written, after the one that it was written after.
    fn verify(&self) {
        let settings = self.stage.controls[0].settings();
        let verified =
            run(&["audit", "verify", "--format", "json", "--config", &settings.display().to_string()]);
        let told = String::from_utf8_lossy(&verified.stdout).into_owned()
            + &String::from_utf8_lossy(&verified.stderr);
        assert!(verified.status.success(), "{told}");
        let told: Value = serde_json::from_slice(&verified.stdout).unwrap();
        let nodes = told["report"]["chains"].as_array().unwrap().iter();
        let nodes: Vec<_> = nodes.map(|chain| chain["node"].as_str().unwrap().to_owned()).collect();
        for number in 0..self.stage.controls.len().min(self.kills) {
            assert!(
                nodes.contains(&format!("control-{number}")),
                "each node has a chain of its own: {nodes:?}"
            );
        }
    }

    /// Of each grant: revision, state, entries in the change log.
    async fn rows(&self) -> BTreeMap<String, (usize, String, usize)> {
        let text = "SELECT g.application || ' ' || g.revision || ' ' || g.state || ' ' ||
            (SELECT count(*) FROM change_log c WHERE c.subject = 'grant' AND c.account = g.account
             AND c.application = g.application) FROM grants g";
        let rows = self.stage.query(text).await;
        let rows = rows.iter().map(|row| {
            let [id, revision, state, changes] = row.split(' ').collect::<Vec<_>>()[..] else {
                panic!("{row}")
            };
            (id.to_owned(), (revision.parse().unwrap(), state.to_owned(), changes.parse().unwrap()))
        });
        rows.collect()
    }

    /// Of each grant: revision and state by the audit, in order.
    async fn audit(&self) -> BTreeMap<String, Vec<(usize, String)>> {
        let text = "SELECT subject || ' ' || detail FROM audit WHERE event LIKE 'grant.%' ORDER BY place";
        let mut all = BTreeMap::<_, Vec<_>>::new();
        for row in self.stage.query(text).await {
            let (subject, detail) = row.split_once(' ').unwrap();
            let detail: Value = serde_json::from_str(detail).unwrap();
            let id = subject.rsplit('/').next().unwrap().to_owned();
            let revision = usize::try_from(detail["revision"].as_u64().unwrap()).unwrap();
            all.entry(id).or_default().push((revision, detail["state"].as_str().unwrap().to_owned()));
        }
        all
    }

    fn tell(&self, store: &str) {
        let Self { kills, acknowledged, in_doubt: [absent, present], .. } = self;
        let sentence = format!(
            "{store}: {kills} kills, {acknowledged} acknowledged changes all there; of those that were not acknowledged \
             {present} were there whole and {absent} not at all"
        );
        keep(&format!("crash-loop-{store}"), &sentence);
    }
}

impl Writer {
    /// Installs, suspends, resumes, deletes, until something fails or it is over.
    async fn write(self, mut person: Person, token: String, over: Arc<AtomicBool>) {
        let mut turn = 0;
        while !over.load(Ordering::SeqCst) {
            turn += 1;
            let state = self.known.lock().state;
            let next = match state {
                "revoked" => "active",
                "active" if turn % 3 == 0 => "suspended",
                "suspended" if turn % 2 == 0 => "active",
                _ => "revoked",
            };
            self.known.lock().doubt = Some(next);
            if state == "revoked" {
                let page = person.visit(&self.application.ask().url).await;
                person.authorize(&page, &[]).await.left();
            } else {
                let path =
                    format!("{}/api/v1/applications/{}", self.application.issuer, self.application.client_id);
                let call = match next {
                    "suspended" => Call::new("POST", format!("{path}/suspend")),
                    "active" => Call::new("POST", format!("{path}/resume")),
                    _ => Call::new("DELETE", path),
                };
                if call.bearer(&token).send().await.status != 200 {
                    return;
                }
            }
            let mut known = self.known.lock();
            known.state = next;
            known.doubt = None;
            known.acknowledged += 1;
        }
    }
}

/// 200 in the long form.
fn kills() -> usize {
    if std::env::var_os("CONSENTRY_FAULTS").is_some() { 200 } else { 8 }
}

const WRITERS: usize = 4;
const STATES: [&str; 3] = ["active", "suspended", "revoked"];
