//! The two ways in: reading one state, and writing one change to it.
//!
//! A reading sees one state from its first to its last question. A writing is one change, and the only one at its
//! time in every process: what it has checked still holds when it is committed. Changes that wait for each other
//! share one commit, each within a savepoint of its own: the disk is waited for once for all of them. Whatever
//! [`Writing::end`] answers, a refusal too, rests on what is durable by then.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

use crate::model::audit::AuditKind;
use crate::model::id::{AccountId, Seq};
use crate::store::audit::{NewRecord, Tip};
use crate::store::backend::{Backend, Query, Row, Session, sql};
use crate::store::{AuditEvent, StoreError, Subject};

/// What can be asked: one state, a change's own view, or, for one question, the store as it is.
#[async_trait]
pub(in crate::store) trait Asks: Send {
    /// Every row of the answer.
    async fn rows(&mut self, query: Query) -> Result<Vec<Row>, StoreError>;

    /// The first row of the answer.
    async fn row(&mut self, query: Query) -> Result<Option<Row>, StoreError> {
        Ok(self.rows(query).await?.into_iter().next())
    }

    /// The newest place in the change log.
    async fn newest(&mut self) -> Result<Seq, StoreError> {
        let row = self.row(sql("SELECT seq FROM log_state")).await?;
        seq_of(row)
    }
}

/// Several questions to one state.
pub(in crate::store) struct Reading(pub(super) Box<dyn Session>);

#[async_trait]
impl Asks for Reading {
    async fn rows(&mut self, query: Query) -> Result<Vec<Row>, StoreError> {
        self.0.rows(query).await
    }
}

/// Where changes of this process wait for each other.
pub(in crate::store) struct Line {
    backend: Arc<dyn Backend>,
    /// First come, first served.
    turn: Arc<Semaphore>,
    /// A transaction that holds changes and is not committed yet. Each of them has a task that stands in line to
    /// commit it, so that it never stays.
    open: Mutex<Option<Batch>>,
    /// Under which name this process adds to the audit.
    node: Mutex<Arc<str>>,
    /// How far this process has brought its chain.
    chained: watch::Sender<u64>,
    /// Whose records that are not kept for ever have become more.
    grown: Mutex<BTreeSet<Option<AccountId>>>,
}

struct Batch {
    session: Box<dyn Session>,
    logged: Option<Seq>,
    /// The newest record of the chain, as soon as one of the changes has added to it.
    tip: Option<Tip>,
    waiting: Vec<oneshot::Sender<Result<(), StoreError>>>,
}

impl Line {
    pub(in crate::store) fn new(backend: Arc<dyn Backend>) -> Arc<Self> {
        Arc::new(Self {
            backend,
            turn: Arc::new(Semaphore::new(1)),
            open: Mutex::new(None),
            node: Mutex::new(machine().into()),
            chained: watch::Sender::new(0),
            grown: Mutex::default(),
        })
    }

    /// Under which name this process adds to the audit.
    pub(in crate::store) fn node(&self) -> Arc<str> {
        Arc::clone(&self.node.lock())
    }

    /// Gives it another name.
    pub(in crate::store) fn name_node(&self, name: &str) {
        *self.node.lock() = name.into();
    }

    /// How far this process has brought its chain.
    pub(in crate::store) fn chained(&self) -> watch::Receiver<u64> {
        self.chained.subscribe()
    }

    /// Whose records that are not kept for ever have become more.
    pub(in crate::store) fn grown(&self) -> BTreeSet<Option<AccountId>> {
        self.grown.lock().clone()
    }

    /// This one has no more than it may have.
    pub(in crate::store) fn fits(&self, account: Option<&AccountId>) {
        self.grown.lock().remove(&account.cloned());
    }

    /// Begins a change, when its turn has come.
    pub(in crate::store) async fn writing(self: &Arc<Self>) -> Result<Writing, StoreError> {
        // In a task of its own, so that a caller who goes away cannot take the batch of others along.
        let asked = Instant::now();
        let begun = tokio::spawn(Arc::clone(self).begin()).await;
        let begun = begun.unwrap_or_else(|_| Err(cut_short()));
        begun.map(|mut writing| {
            writing.waited = asked.elapsed();
            writing
        })
    }

    async fn begin(self: Arc<Self>) -> Result<Writing, StoreError> {
        let turn = tokio::time::timeout(PATIENCE, Arc::clone(&self.turn).acquire_owned()).await;
        let turn = turn.ok().and_then(Result::ok).ok_or_else(|| {
            StoreError::Unavailable(format!("{} has been busy for too long; try again", self.backend.place()))
        })?;
        let open = self.open.lock().take();
        let mut batch = match open {
            Some(batch) => batch,
            None => {
                let session = self.backend.writing().await?;
                Batch { session, logged: None, tip: None, waiting: Vec::new() }
            }
        };
        if let Err(error) = batch.session.steer("SAVEPOINT one_change").await {
            batch.answer(&Err(error.clone()));
            return Err(error);
        }
        let tip = batch.tip.clone();
        let under_way = UnderWay { turn, batch, logged: None, tip, fault: None };
        Ok(Writing { line: self, under_way: Some(under_way), waited: Duration::ZERO })
    }

    /// Ends a change, and answers when what it rests on is durable.
    async fn settle(self: Arc<Self>, under_way: UnderWay, keep: bool) -> Result<(), StoreError> {
        let UnderWay { turn, mut batch, logged, tip, fault } = under_way;
        if let Err(error) = batch.session.steer(if keep { KEEP } else { UNDO }).await {
            // The whole transaction is gone; whoever shared it is told the cause.
            batch.answer(&Err(fault.unwrap_or_else(|| error.clone())));
            return Err(error);
        }
        if keep {
            batch.logged = logged.max(batch.logged);
            batch.tip = tip;
        }
        let (sender, mut outcome) = oneshot::channel();
        batch.waiting.push(sender);
        *self.open.lock() = Some(batch);
        drop(turn);
        // Those who wait by now come first, and what they change is committed along.
        tokio::select! {
            biased;
            outcome = &mut outcome => return outcome.unwrap_or_else(|_| Err(cut_short())),
            turn = self.turn.acquire() => {
                let batch = self.open.lock().take();
                if let Some(batch) = batch {
                    self.commit(batch).await;
                }
                drop(turn);
            }
        }
        outcome.await.unwrap_or_else(|_| Err(cut_short()))
    }

    async fn commit(&self, batch: Batch) {
        let Batch { session, logged, tip, waiting } = batch;
        let outcome = session.commit(logged).await;
        if let (Ok(()), Some(tip)) = (&outcome, tip) {
            self.chained.send_if_modified(|newest| std::mem::replace(newest, tip.number) != tip.number);
        }
        if let (Ok(()), Some(seq)) = (&outcome, logged) {
            self.backend.woken().send_if_modified(|newest| {
                let risen = seq > *newest;
                *newest = seq.max(*newest);
                risen
            });
        }
        answer(waiting, &outcome);
    }
}

impl Batch {
    fn answer(self, outcome: &Result<(), StoreError>) {
        answer(self.waiting, outcome);
    }
}

fn answer(waiting: Vec<oneshot::Sender<Result<(), StoreError>>>, outcome: &Result<(), StoreError>) {
    for waiter in waiting {
        let _ = waiter.send(outcome.clone()); // Who has gone away asks nobody.
    }
}

/// A change being made. Dropped without [`Writing::end`] it leaves no trace.
pub(in crate::store) struct Writing {
    line: Arc<Line>,
    /// Taken when it ends.
    under_way: Option<UnderWay>,
    /// For how long it stood in line.
    waited: Duration,
}

struct UnderWay {
    turn: OwnedSemaphorePermit,
    batch: Batch,
    logged: Option<Seq>,
    tip: Option<Tip>,
    /// The last complaint of the database.
    fault: Option<StoreError>,
}

impl Writing {
    /// Runs a statement and says how many rows it touched.
    pub(in crate::store) async fn run(&mut self, query: Query) -> Result<u64, StoreError> {
        let under_way = self.under_way.as_mut().ok_or_else(cut_short)?;
        let touched = under_way.batch.session.run(query).await;
        touched.inspect_err(|error| under_way.fault = Some(error.clone()))
    }

    /// What time it is at this change's turn, when it was `now` as it stepped into the line.
    pub(in crate::store) fn turn(&self, now: Timestamp) -> Timestamp {
        let waited = SignedDuration::try_from(self.waited).unwrap_or(SignedDuration::MAX);
        now.saturating_add(waited).unwrap_or(Timestamp::MAX)
    }

    /// Adds to the change log. Its places follow each other in the order of the commits: this is the only change
    /// at its time.
    pub(in crate::store) async fn log(
        &mut self,
        subject: &Subject,
        now: Timestamp,
    ) -> Result<Seq, StoreError> {
        let (word, grant, application, principal) = match subject {
            Subject::Grant(key) => ("grant", Some(key), None, None),
            Subject::Principal(key) => ("principal", None, None, Some(key)),
            Subject::Member(grant, key) => ("member", Some(grant), None, Some(key)),
            Subject::Application(id) => ("application", None, Some(id), None),
            Subject::Keys => ("keys", None, None, None),
            Subject::Policies => ("policies", None, None, None),
        };
        let account = grant.map(|key| &key.account).or(principal.map(|key| &key.account));
        let application = application.or(grant.map(|key| &key.application));
        let seq = seq_of(self.row(sql("UPDATE log_state SET seq = seq + 1 RETURNING seq")).await?)?;
        self.run(
            sql("INSERT INTO change_log (seq, at, subject, account, application, principal_kind, principal_id)
                 VALUES ($1, $2, $3, $4, $5, $6, $7)")
            .bind(i64::try_from(seq.0).unwrap_or(i64::MAX))
            .bind(now.as_microsecond())
            .bind(word)
            .bind(account.map(|id| id.as_str()))
            .bind(application.map(|id| id.as_str()))
            .bind(principal.map(|key| key.kind.as_str()))
            .bind(principal.map(|key| key.id.as_str())),
        )
        .await?;
        if let Some(under_way) = &mut self.under_way {
            under_way.logged = Some(seq);
        }
        Ok(seq)
    }

    /// Adds to the audit.
    pub(in crate::store) async fn audit(&mut self, event: &AuditEvent) -> Result<(), StoreError> {
        self.chain(&[NewRecord::from(event)]).await
    }

    /// Under which name this process adds to the audit.
    pub(in crate::store) fn node(&self) -> Arc<str> {
        self.line.node()
    }

    /// The newest record of the chain, if this transaction knows it already.
    pub(in crate::store) fn known_tip(&self) -> Option<&Tip> {
        self.under_way.as_ref().and_then(|under_way| under_way.tip.as_ref())
    }

    /// What the newest record of the chain is from now on, unless this change is undone.
    pub(in crate::store) fn set_tip(&mut self, tip: Tip) {
        if let Some(under_way) = &mut self.under_way {
            under_way.tip = Some(tip);
        }
    }

    /// Remembers that an account has more of what is not kept for ever.
    pub(in crate::store) fn grown(&self, kind: AuditKind, account: Option<&AccountId>) {
        match kind {
            AuditKind::Event => {}
            AuditKind::Refusal | AuditKind::Calls => {
                self.line.grown.lock().insert(account.cloned());
            }
        }
    }

    /// Makes what was done durable, or undoes it when it was refused. Either answer comes when all that it rests on
    /// is durable, and both go on in a task of their own: a caller that goes away meanwhile cannot leave a commit
    /// that nobody hears of.
    pub(in crate::store) async fn end<T, E: From<StoreError>>(mut self, done: Result<T, E>) -> Result<T, E> {
        let Some(under_way) = self.under_way.take() else { return done };
        let at_fault = under_way.fault.is_some();
        let settled = tokio::spawn(Arc::clone(&self.line).settle(under_way, done.is_ok())).await;
        match settled.unwrap_or_else(|_| Err(cut_short())) {
            Err(error) if done.is_ok() || !at_fault => Err(error.into()),
            Ok(()) | Err(_) => done,
        }
    }
}

#[async_trait]
impl Asks for Writing {
    async fn rows(&mut self, query: Query) -> Result<Vec<Row>, StoreError> {
        let under_way = self.under_way.as_mut().ok_or_else(cut_short)?;
        let rows = under_way.batch.session.rows(query).await;
        rows.inspect_err(|error| under_way.fault = Some(error.clone()))
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        // Without a runtime the whole transaction is dropped, and whoever shares it is told so.
        if let (Some(under_way), Ok(runtime)) = (self.under_way.take(), Handle::try_current()) {
            runtime.spawn(Arc::clone(&self.line).settle(under_way, false));
        }
    }
}

/// The machine's name, as far as a node's name may have its characters.
fn machine() -> String {
    let name = rustix::system::uname();
    let name = name.nodename().to_string_lossy();
    let fits = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let name: String = name.chars().filter(fits).take(64).collect();
    if name.is_empty() { "node".to_owned() } else { name }
}

fn seq_of(row: Option<Row>) -> Result<Seq, StoreError> {
    let missing = || StoreError::Corrupt { what: "log_state".to_owned(), why: "it has no row".to_owned() };
    Ok(Seq(row.ok_or_else(missing)?.number("seq")?))
}

fn cut_short() -> StoreError {
    StoreError::Unavailable("a change was cut short; read again what became of it".to_owned())
}

const KEEP: &str = "RELEASE SAVEPOINT one_change";
const UNDO: &str = "ROLLBACK TO SAVEPOINT one_change; RELEASE SAVEPOINT one_change";

/// For how long a change waits for its turn.
const PATIENCE: Duration = Duration::from_secs(10);
