//! An application at work: with one token it calls every sidecar without end and holds a stream of each kind open, and
//! notes of each call when it was sent and what came of it, and of each stream every byte. Afterwards it is judged: what
//! was still allowed after the moment at which a revocation was acknowledged?
//!
//! Three things bear witness to that: the answers, by when their calls were sent; the streams, by how much had been
//! delivered at that very moment; and the upstream, by when what arrived there and by the stamps on what it sent.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::task::JoinSet;

use super::eventually;
use super::line::{Flow, Kind, Line};
use super::witness::Witness;

pub(crate) struct Traffic {
    /// The bucket that it reads, which tells it from others at the upstream.
    bucket: String,
    log: Arc<Mutex<Log>>,
    doors: Doors,
    /// Ends with this.
    _at_work: JoinSet<()>,
}

/// Where each sidecar is: another place, once it was started again.
type Doors = Arc<Mutex<Vec<String>>>;

#[derive(Default)]
struct Log {
    calls: Vec<Called>,
    flows: Vec<Flowed>,
}

#[derive(Clone, Debug)]
struct Called {
    sidecar: usize,
    kind: Kind,
    target: String,
    sent: Instant,
    /// None when no answer came.
    status: Option<u16>,
    heard: Instant,
    /// What a refusal says.
    why: String,
}

#[derive(Clone)]
struct Flowed {
    sidecar: usize,
    kind: Kind,
    target: String,
    flow: Flow,
}

/// The moment of an acknowledgement, and how much each stream had delivered then.
pub(crate) struct Mark {
    pub(crate) at: Instant,
    delivered: Vec<usize>,
}

/// What was still allowed, and when.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// Calls sent after the acknowledgement and answered as allowed; must be empty.
    pub(crate) late_allowed: Vec<String>,
    /// Requests sent after it that reached the upstream; must be empty.
    pub(crate) late_arrivals: Vec<String>,
    /// Streams on which something came after it; must be empty.
    pub(crate) late_bytes: Vec<String>,
    /// How much later than it requests that were sent before it reached the upstream.
    pub(crate) overtaken: Vec<Duration>,
    /// From the asking to the last call that was sent and allowed.
    pub(crate) last_allowed: Duration,
    /// From the asking to the last byte of a stream.
    pub(crate) last_byte: Duration,
    /// Calls answered while all was well that were not allowed.
    pub(crate) wrongly_refused: Vec<String>,
    /// Calls sent after it that were answered with a refusal.
    pub(crate) refused: usize,
}

impl Traffic {
    /// Begins to work at these sidecars, such as `127.0.0.1:8080`.
    pub(crate) fn start(bucket: &str, sidecars: &[String], token: &str) -> Self {
        let log = Arc::new(Mutex::new(Log::default()));
        let numbers = Arc::new(AtomicU64::new(0));
        let mut at_work = JoinSet::new();
        let doors = Arc::new(Mutex::new(sidecars.to_vec()));
        for sidecar in 0..sidecars.len() {
            for kind in [Kind::Call, Kind::Events, Kind::Socket] {
                let worker = Worker {
                    bucket: bucket.to_owned(),
                    doors: Arc::clone(&doors),
                    token: token.to_owned(),
                    sidecar,
                    kind,
                    log: Arc::clone(&log),
                    numbers: Arc::clone(&numbers),
                };
                at_work.spawn(worker.work());
            }
        }
        Self { bucket: bucket.to_owned(), log, doors, _at_work: at_work }
    }

    /// Waits until from now on calls are allowed and both streams flow at each of these sidecars.
    pub(crate) async fn flows_at(&self, sidecars: &[usize]) {
        let since = Instant::now();
        eventually(&format!("calls and streams of {} are allowed at {sidecars:?}", self.bucket), || {
            let log = self.log.lock();
            let flows = |sidecar: usize, kind| {
                let mut flows = log.flows.iter().filter(|flow| flow.sidecar == sidecar && flow.kind == kind);
                flows.any(|flow| flow.flow.is_open() && flow.flow.came().1.is_some())
            };
            let allowed = |sidecar: usize| {
                let mut calls = log.calls.iter().filter(|call| call.sidecar == sidecar && call.sent >= since);
                calls.any(|call| call.kind == Kind::Call && call.status == Some(200))
            };
            let all = sidecars.iter().all(|&sidecar| {
                allowed(sidecar) && flows(sidecar, Kind::Events) && flows(sidecar, Kind::Socket)
            });
            std::future::ready(all.then_some(()))
        })
        .await;
    }

    /// From now on the sidecars are there.
    pub(crate) fn move_to(&self, sidecars: &[String]) {
        *self.doors.lock() = sidecars.to_vec();
    }

    pub(crate) fn bucket(&self) -> &str {
        &self.bucket
    }

    /// How many streams are open.
    pub(crate) fn open_streams(&self) -> usize {
        self.log.lock().flows.iter().filter(|flow| flow.flow.is_open()).count()
    }

    pub(crate) async fn flows(&self) {
        let all: Vec<_> = (0..self.doors.lock().len()).collect();
        self.flows_at(&all).await;
    }

    /// Waits until each of these sidecars has answered calls that were sent from now on.
    pub(crate) async fn is_answered_at(&self, sidecars: &[usize]) {
        let since = Instant::now();
        eventually(&format!("{sidecars:?} answer {}", self.bucket), || {
            let log = self.log.lock();
            let answered = |sidecar: usize| {
                let calls = log.calls.iter().filter(|call| call.sidecar == sidecar && call.sent >= since);
                calls.filter(|call| call.kind == Kind::Call && call.status.is_some()).count() >= 3
            };
            let all = sidecars.iter().all(|&sidecar| answered(sidecar));
            std::future::ready(all.then_some(()))
        })
        .await;
    }

    /// Waits until each of these sidecars has refused a call that was sent from now on.
    pub(crate) async fn is_refused_at(&self, sidecars: &[usize]) {
        let since = Instant::now();
        eventually(&format!("{sidecars:?} refuse {}", self.bucket), || {
            let refused = |sidecar: usize| self.refusals(since).iter().any(|(at, _)| *at == sidecar);
            let all = sidecars.iter().all(|&sidecar| refused(sidecar));
            std::future::ready(all.then_some(()))
        })
        .await;
    }

    /// This very moment.
    pub(crate) fn mark(&self) -> Mark {
        let at = Instant::now();
        let flows: Vec<_> = self.log.lock().flows.iter().map(|flow| flow.flow.clone()).collect();
        Mark { at, delivered: flows.iter().map(Flow::delivered).collect() }
    }

    /// Answered refusals of calls that were sent since then, each with the sidecar.
    pub(crate) fn refusals(&self, since: Instant) -> Vec<(usize, String)> {
        let log = self.log.lock();
        let refused = log.calls.iter().filter(|call| call.sent >= since && call.is_refused());
        refused.map(|call| (call.sidecar, call.tell(since))).collect()
    }

    /// Judges what happened up to now, with a revocation asked for and acknowledged at these moments.
    /// Before `struck` all was well.
    pub(crate) fn judge(
        &self,
        witness: &Witness,
        struck: Instant,
        asked: Instant,
        acknowledged: &Mark,
    ) -> Verdict {
        let mut verdict = Verdict::default();
        let log = self.log.lock();
        for call in &log.calls {
            if call.heard < struck && call.is_refused() {
                verdict.wrongly_refused.push(call.tell(struck));
            }
            verdict.take_call(call, asked, acknowledged.at);
        }
        let sent: HashMap<_, _> = log.calls.iter().map(|call| (call.target.as_str(), call.sent)).collect();
        for arrival in witness.arrivals(&self.bucket) {
            let Some(late) = arrival.at.checked_duration_since(acknowledged.at) else { continue };
            match sent.get(arrival.target.as_str()) {
                Some(sent) if *sent <= acknowledged.at => verdict.overtaken.push(late),
                Some(_) | None => verdict.late_arrivals.push(format!("{} after {late:?}", arrival.target)),
            }
        }
        for (number, flowed) in log.flows.iter().enumerate() {
            let delivered = acknowledged.delivered.get(number).copied();
            verdict.take_flow(flowed, delivered, witness, asked, acknowledged.at);
        }
        verdict
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let log = self.log.lock();
        for sidecar in 0..self.doors.lock().len() {
            for kind in [Kind::Call, Kind::Events, Kind::Socket] {
                let mut own = log.calls.iter().filter(|call| call.sidecar == sidecar && call.kind == kind);
                let open = log.flows.iter().filter(|flow| flow.sidecar == sidecar && flow.kind == kind);
                let open = open.filter(|flow| flow.flow.is_open()).map(|flow| flow.flow.came().1);
                let open: Vec<_> = open.map(|last| last.map(|last| last.elapsed())).collect();
                let now = Instant::now();
                let last =
                    own.next_back().map(|call| format!("{:?} ago {}", now - call.sent, call.tell(call.sent)));
                eprintln!("{}: {open:?} open; last {}", self.bucket, last.unwrap_or_default());
            }
        }
    }
}

impl Called {
    fn is_allowed(&self) -> bool {
        matches!(self.status, Some(101 | 200..=299))
    }

    fn is_refused(&self) -> bool {
        self.status.is_some() && !self.is_allowed()
    }

    fn tell(&self, since: Instant) -> String {
        let after = self.sent.saturating_duration_since(since);
        let Self { sidecar, kind, target, status, why, .. } = self;
        let took = self.heard.saturating_duration_since(self.sent);
        format!("{kind:?} {target} at sidecar {sidecar} after {after:?}: {status:?} in {took:?} {why}")
    }
}

impl Verdict {
    fn take_call(&mut self, call: &Called, asked: Instant, acknowledged: Instant) {
        if call.sent > acknowledged && call.is_allowed() {
            self.late_allowed.push(call.tell(acknowledged));
        }
        if call.sent > acknowledged && call.is_refused() {
            self.refused += 1;
        }
        if call.is_allowed() {
            self.last_allowed = self.last_allowed.max(call.sent.saturating_duration_since(asked));
        }
    }

    fn take_flow(
        &mut self,
        flowed: &Flowed,
        delivered: Option<usize>,
        witness: &Witness,
        asked: Instant,
        acknowledged: Instant,
    ) {
        let (came, last) = flowed.flow.came();
        // One that opened while the acknowledgement came is judged by the stamps alone.
        let rest = delivered.and_then(|delivered| came.get(delivered..)).unwrap_or_default();
        let goodbye = flowed.kind == Kind::Socket && rest.first() == Some(&CLOSE);
        if !rest.is_empty() && !goodbye {
            let text = String::from_utf8_lossy(rest).into_owned();
            self.late_bytes.push(format!("{} at sidecar {}: {text:?}", flowed.target, flowed.sidecar));
        }
        for stamp in witness.stamps(&came).into_iter().filter(|stamp| *stamp > acknowledged) {
            let late = stamp - acknowledged;
            self.late_bytes
                .push(format!("{} at sidecar {}: sent {late:?} after", flowed.target, flowed.sidecar));
        }
        if let Some(last) = last {
            self.last_byte = self.last_byte.max(last.saturating_duration_since(asked));
        }
    }
}

/// One that calls, or holds one stream open and opens it again when it ends.
struct Worker {
    bucket: String,
    doors: Doors,
    token: String,
    sidecar: usize,
    kind: Kind,
    log: Arc<Mutex<Log>>,
    numbers: Arc<AtomicU64>,
}

impl Worker {
    async fn work(self) {
        let mut beat = tokio::time::interval(PACE);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut line = None;
        loop {
            beat.tick().await;
            let number = self.numbers.fetch_add(1, Ordering::Relaxed);
            let (sidecar, bucket) = (self.sidecar, &self.bucket);
            let target = match self.kind {
                Kind::Call | Kind::Deletion => format!("/oss/{bucket}/{sidecar}-{number}"),
                Kind::Events => format!("/oss-watch/{bucket}?n={number}"),
                Kind::Socket => format!("/oss-socket/{bucket}?n={number}"),
            };
            if line.is_none() {
                let door = self.doors.lock()[self.sidecar].clone();
                let connected = tokio::time::timeout(PATIENCE, Line::connect(&door)).await;
                line = connected.ok().and_then(io::Result::ok);
            }
            let Some(connected) = &mut line else { continue };
            let place = self.note(&target);
            let asking = async {
                match self.kind {
                    Kind::Events | Kind::Socket => {
                        let (status, _) = connected.ask(self.kind, &target, &self.token).await?;
                        Ok((status, Vec::new()))
                    }
                    kind @ (Kind::Call | Kind::Deletion) => connected.whole(kind, &target, &self.token).await,
                }
            };
            let answer = tokio::time::timeout(PATIENCE, asking).await.ok().and_then(io::Result::ok);
            let answered = answer.is_some();
            let flows = self.note_answer(place, answer) && self.kind != Kind::Call;
            match line.take() {
                Some(open) if flows => {
                    let flow = open.flow();
                    let flowed = Flowed { sidecar, kind: self.kind, target, flow: flow.clone() };
                    self.log.lock().flows.push(flowed);
                    flow.run().await;
                }
                open => line = open.filter(|_| self.kind == Kind::Call && answered),
            }
        }
    }

    /// Notes a call that is sent now; gives its place in the log.
    fn note(&self, target: &str) -> usize {
        let mut log = self.log.lock();
        let call = Called {
            sidecar: self.sidecar,
            kind: self.kind,
            target: target.to_owned(),
            sent: Instant::now(),
            status: None,
            heard: Instant::now(),
            why: String::new(),
        };
        log.calls.push(call);
        log.calls.len() - 1
    }

    /// Notes what came of it; answers whether it was allowed.
    fn note_answer(&self, place: usize, answer: Option<(u16, Vec<u8>)>) -> bool {
        let mut log = self.log.lock();
        let call = &mut log.calls[place];
        call.heard = Instant::now();
        if let Some((status, body)) = answer {
            call.status = Some(status);
            if !call.is_allowed() {
                call.why = String::from_utf8_lossy(&body).into_owned();
            }
        }
        call.is_allowed()
    }
}

const PACE: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(3);
/// The first byte of a WebSocket's close frame (RFC 6455 §5.2).
const CLOSE: u8 = 0x88;
