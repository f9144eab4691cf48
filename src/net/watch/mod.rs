//! What waits on one worker thread: streams with a deadline, streams that can be cut, open connections.
//!
//! In: a stream that returned `Pending`. Out: a wake-up with a verdict, when its time is over or its [`Cut`]
//! was fired. One sweep per tick and thread replaces a timer per request, and a stream that never waits costs
//! nothing. It ends no stream itself, except one that cannot be woken because its peer does not read: then
//! its connection is closed.

mod link;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::{Rc, Weak};
use std::task::{Context, Waker};
use std::time::Duration;

use super::listener::Entrance;
pub(super) use link::{Admitted, Drive, Graceful, Link, Order};
pub use link::{Exchange, Peer};

/// What ends a stream abnormally: no terminating chunk, no end of stream.
///
/// It is asked right before a request is written, at every tick, and whenever
/// [`Workers::sever`](super::listener::Workers::sever) is called; so it must be cheap, and must never answer
/// `false` again after `true`.
#[derive(Clone)]
pub struct Cut(Rc<dyn Fn() -> bool>);

impl Cut {
    /// Cuts as soon as `fired` answers true.
    pub fn when(fired: impl Fn() -> bool + 'static) -> Self {
        Self(Rc::new(fired))
    }

    /// Whether the stream must end.
    #[must_use]
    pub fn is_fired(&self) -> bool {
        (self.0)()
    }
}

impl fmt::Debug for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cut")
    }
}

/// Why a waiting stream was woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It was not: it goes on waiting.
    Wait,
    /// Nothing happened for as long as it may wait.
    Late,
    /// It was cut.
    Cut,
}

/// Why everything that waits is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sweep {
    /// A tick has passed.
    Tick,
    /// What was cut is to be told.
    Tell,
    /// What was told and is still there waits for a peer that does not read: its connection is closed.
    Close,
}

/// Everything that waits on this thread.
#[derive(Debug)]
pub(super) struct Watch {
    /// Ticks since the thread began; not a clock, only a way to count.
    now: Cell<u32>,
    tick: Duration,
    waiting: RefCell<Table<Waiting>>,
    pub(super) links: RefCell<Table<Rc<Link>>>,
    /// The sweep sleeps because nothing waits.
    parked: Cell<bool>,
    draining: Cell<bool>,
    /// The last connection has left.
    left: tokio::sync::Notify,
    bell: tokio::sync::Notify,
    /// Streams that were cut since the last [`Watch::sever`].
    cut: Cell<usize>,
    pub(super) limits: Limits,
    /// Who serves what comes inside of the worker's connections.
    entrance: RefCell<Option<Weak<dyn Entrance>>>,
}

/// How long a connection may keep a worker waiting, in ticks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) head: u32,
    pub(super) idle: u32,
}

#[derive(Debug)]
struct Waiting {
    waker: Waker,
    deadline: u32,
    cut: Option<Cut>,
    link: Option<Rc<Link>>,
    verdict: Verdict,
    /// The tick in which it was told that it is cut.
    cut_at: u32,
    /// Counted as an open stream: one entry per exchange is.
    counted: bool,
}

/// The place of one stream among those that wait; it leaves when dropped.
#[derive(Debug)]
pub(super) struct Slot {
    watch: Rc<Watch>,
    key: Option<usize>,
}

/// How a stream waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience<'a> {
    pub(super) ticks: u32,
    pub(super) cut: Option<&'a Cut>,
    /// The connection to close when the stream cannot be woken.
    pub(super) link: Option<&'a Rc<Link>>,
    pub(super) counted: bool,
}

/// Rows with stable keys.
#[derive(Debug)]
pub(super) struct Table<T> {
    rows: Vec<Option<T>>,
    free: Vec<usize>,
}

impl Watch {
    pub(super) fn new(tick: Duration, head: Duration, idle: Duration) -> Rc<Self> {
        let limits = Limits { head: ticks(head, tick), idle: ticks(idle, tick) };
        Rc::new(Self {
            now: Cell::new(0),
            tick,
            waiting: RefCell::default(),
            links: RefCell::default(),
            parked: Cell::new(false),
            draining: Cell::new(false),
            left: tokio::sync::Notify::new(),
            bell: tokio::sync::Notify::new(),
            cut: Cell::new(0),
            limits,
            entrance: RefCell::default(),
        })
    }

    /// Says who serves what comes inside of the worker's connections.
    pub(super) fn enter_by(&self, entrance: &Rc<dyn Entrance>) {
        *self.entrance.borrow_mut() = Some(Rc::downgrade(entrance));
    }

    pub(super) fn entrance(&self) -> Option<Rc<dyn Entrance>> {
        self.entrance.borrow().as_ref().and_then(Weak::upgrade)
    }

    /// A duration in ticks, never shorter.
    pub(super) fn ticks(&self, duration: Duration) -> u32 {
        ticks(duration, self.tick)
    }

    pub(super) fn now(&self) -> u32 {
        self.now.get()
    }

    /// Adds a connection; the key removes it.
    pub(super) fn join(&self, link: Rc<Link>) -> usize {
        self.rouse();
        // A tunnel may be opened while the worker drains.
        if self.draining.get() {
            link.order(Order::Finish);
        }
        self.links.borrow_mut().insert(link)
    }

    pub(super) fn leave(&self, key: usize) {
        self.links.borrow_mut().remove(key);
        if self.draining.get() && self.links.borrow().is_empty() {
            self.left.notify_one();
        }
    }

    fn rouse(&self) {
        if self.parked.replace(false) {
            self.bell.notify_one();
        }
    }

    /// Ticks for as long as the worker lives; sleeps while nothing waits.
    pub(super) async fn sweep(&self) {
        loop {
            tokio::time::sleep(self.tick).await;
            self.now.set(self.now.get().wrapping_add(1));
            self.sweep_waiting(Sweep::Tick);
            self.sweep_links();
            if self.waiting.borrow().is_empty() && self.links.borrow().is_empty() {
                self.parked.set(true);
                self.bell.notified().await;
            }
        }
    }

    /// Wakes what was cut and waits until it is gone. Returns how many streams that were.
    pub(super) async fn sever(&self) -> usize {
        self.sweep_waiting(Sweep::Tell);
        // Each stream ends when its task runs next. All are on this thread, where a yield lets a few dozen run.
        let rounds = self.waiting.borrow().rows.len() / A_FEW_DOZEN + ROUNDS;
        for round in 1..=ROUNDS * rounds {
            if !self.is_cutting() {
                break;
            }
            tokio::task::yield_now().await;
            if round % rounds == 0 {
                // What is still there waits for a peer that does not read: close its connection.
                self.sweep_waiting(Sweep::Close);
                self.links.borrow_mut().iter_mut().for_each(|link| link.parted());
            }
        }
        self.cut.take()
    }

    fn is_cutting(&self) -> bool {
        self.waiting.borrow_mut().iter_mut().any(|waiting| waiting.verdict == Verdict::Cut)
            || self.links.borrow_mut().iter_mut().any(|link| link.is_parting())
    }

    /// Judges everything that waits, and counts what is newly cut.
    fn sweep_waiting(&self, sweep: Sweep) {
        let now = self.now.get();
        for waiting in self.waiting.borrow_mut().iter_mut() {
            let fired = waiting.cut.as_ref().is_some_and(Cut::is_fired);
            let late = sweep == Sweep::Tick && is_past(now, waiting.deadline);
            let overdue = match sweep {
                // One tick may follow the cut at once: a whole one has to pass.
                Sweep::Tick => now.wrapping_sub(waiting.cut_at) >= 2,
                Sweep::Tell => false,
                Sweep::Close => true,
            };
            match (waiting.verdict, fired) {
                (Verdict::Wait | Verdict::Late, true) => {
                    (waiting.verdict, waiting.cut_at) = (Verdict::Cut, now);
                    self.cut.set(self.cut.get() + usize::from(waiting.counted));
                }
                (Verdict::Wait, false) if late => waiting.verdict = Verdict::Late,
                (Verdict::Wait, false) => continue,
                (Verdict::Late, false) if sweep != Sweep::Tick => continue,
                (Verdict::Cut, true | false) if !overdue => {}
                (Verdict::Late, false) | (Verdict::Cut, true | false) => {
                    if let Some(link) = &waiting.link {
                        link.order(Order::Close);
                    }
                }
            }
            waiting.waker.wake_by_ref();
        }
    }

    fn sweep_links(&self) {
        for link in self.links.borrow_mut().iter_mut() {
            link.parted();
            link.age(self.limits);
        }
    }

    /// Tells every connection to end.
    pub(super) fn order_all(&self, order: Order) {
        for link in self.links.borrow_mut().iter_mut() {
            link.order(order);
        }
    }

    /// Tells every connection to finish, now and when it joins.
    pub(super) fn begin_drain(&self) {
        self.draining.set(true);
        self.order_all(Order::Finish);
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// Waits until no connection is left.
    pub(super) async fn quiet(&self) {
        while !self.links.borrow().is_empty() {
            self.left.notified().await;
        }
    }
}

impl Slot {
    pub(super) fn new(watch: &Rc<Watch>) -> Self {
        Self { watch: Rc::clone(watch), key: None }
    }

    pub(super) fn is_armed(&self) -> bool {
        self.key.is_some()
    }

    /// Waits (again): the deadline begins anew.
    pub(super) fn arm(&mut self, cx: &Context<'_>, patience: Patience<'_>) {
        // One more tick, because the current one has begun already.
        let deadline = self.watch.now.get().wrapping_add(patience.ticks).wrapping_add(1);
        let mut table = self.watch.waiting.borrow_mut();
        if let Some(waiting) = self.key.and_then(|key| table.get_mut(key)) {
            waiting.deadline = deadline;
            if waiting.link.is_none() {
                waiting.link = patience.link.cloned();
            }
            if waiting.verdict == Verdict::Late {
                waiting.verdict = Verdict::Wait;
            }
            if !waiting.waker.will_wake(cx.waker()) {
                waiting.waker = cx.waker().clone();
            }
            return;
        }
        let waiting = Waiting {
            waker: cx.waker().clone(),
            deadline,
            cut: patience.cut.cloned(),
            link: patience.link.cloned(),
            verdict: Verdict::Wait,
            cut_at: 0,
            counted: patience.counted,
        };
        self.key = Some(table.insert(waiting));
        drop(table);
        self.watch.rouse();
    }

    /// Why the stream was woken, if the sweep did it.
    pub(super) fn verdict(&self) -> Verdict {
        let table = self.watch.waiting.borrow();
        self.key.and_then(|key| table.get(key)).map_or(Verdict::Wait, |waiting| waiting.verdict)
    }

    /// It has seen for itself that it is cut: counted as if the sweep had told it.
    pub(super) fn notice_cut(&self) {
        let mut table = self.watch.waiting.borrow_mut();
        let waiting = self.key.and_then(|key| table.get_mut(key));
        if let Some(waiting) = waiting.filter(|waiting| waiting.verdict != Verdict::Cut) {
            (waiting.verdict, waiting.cut_at) = (Verdict::Cut, self.watch.now());
            self.watch.cut.set(self.watch.cut.get() + usize::from(waiting.counted));
        }
    }

    /// Waits no more.
    pub(super) fn disarm(&mut self) {
        if let Some(key) = self.key.take() {
            self.watch.waiting.borrow_mut().remove(key);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.disarm();
    }
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { rows: Vec::new(), free: Vec::new() }
    }
}

impl<T> Table<T> {
    pub(super) fn insert(&mut self, row: T) -> usize {
        if let Some(key) = self.free.pop()
            && let Some(place) = self.rows.get_mut(key)
        {
            *place = Some(row);
            return key;
        }
        self.rows.push(Some(row));
        self.rows.len() - 1
    }

    pub(super) fn remove(&mut self, key: usize) {
        if let Some(place) = self.rows.get_mut(key)
            && place.take().is_some()
        {
            self.free.push(key);
        }
    }

    fn get(&self, key: usize) -> Option<&T> {
        self.rows.get(key).and_then(Option::as_ref)
    }

    fn get_mut(&mut self, key: usize) -> Option<&mut T> {
        self.rows.get_mut(key).and_then(Option::as_mut)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.rows.iter_mut().filter_map(Option::as_mut)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.len() == self.free.len()
    }
}

fn ticks(duration: Duration, tick: Duration) -> u32 {
    let ticks = duration.as_nanos().div_ceil(tick.as_nanos().max(1));
    u32::try_from(ticks).unwrap_or(u32::MAX / 2).min(u32::MAX / 2)
}

/// Whether `now` has reached `deadline`, over the end of the number range.
fn is_past(now: u32, deadline: u32) -> bool {
    now.wrapping_sub(deadline) < u32::MAX / 2
}

/// How often everything that was woken is given the time to run.
const ROUNDS: usize = 8;
const A_FEW_DOZEN: usize = 32;
