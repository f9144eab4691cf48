//! One open connection, as its worker sees it.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use super::{Limits, Watch};
use crate::net::canonical::Destination;
use crate::net::shares::Share;
use crate::net::wire::Findings;

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// Ours, that it connected to.
    pub local: SocketAddr,
    /// Whether the connection is encrypted.
    pub secure: bool,
}

/// One place among the connections that may be open; given back when dropped.
#[derive(Debug)]
pub(in crate::net) struct Admitted {
    counted: Arc<AtomicUsize>,
    /// The place of the connection that it is inside of.
    _outer: Option<Arc<Self>>,
    /// Its peer's share, where peers have one.
    _share: Option<Share>,
}

impl Admitted {
    /// A place that `counted` counts already.
    pub(in crate::net) fn new(counted: &Arc<AtomicUsize>) -> Self {
        Self { counted: Arc::clone(counted), _outer: None, _share: None }
    }

    /// A place that `counted` counts already, inside of another and of its peer's share.
    pub(in crate::net) fn inside(counted: &Arc<AtomicUsize>, outer: &Arc<Self>, share: Share) -> Self {
        Self { counted: Arc::clone(counted), _outer: Some(Arc::clone(outer)), _share: Some(share) }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.counted.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a connection is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::net) enum Order {
    /// Nothing.
    None,
    /// Finish what is under way, then end.
    Finish,
    /// End now.
    Close,
}

#[derive(Debug)]
pub(in crate::net) struct Link {
    pub(in crate::net) peer: Peer,
    pub(in crate::net) findings: Arc<Findings>,
    pub(in crate::net) http2: bool,
    /// Exchanges under way.
    busy: Cell<u32>,
    /// Requests begun.
    served: Cell<u32>,
    order: Cell<Order>,
    waker: RefCell<Option<Waker>>,
    /// A stream that was cut has ended by a status: what came before it may still have to be written.
    parting: Cell<bool>,
    age: Cell<Age>,
    /// The connection was upgraded: its tunnel has its own limits.
    tunnel: bool,
    /// It is inside another one, in the place of this host.
    within: Option<Box<Destination>>,
    pub(in crate::net) admitted: Arc<Admitted>,
}

/// How long nothing has changed.
#[derive(Clone, Copy, Debug, Default)]
struct Age {
    ticks: u32,
    progress: u32,
    head_open: bool,
}

impl Link {
    /// A connection that has just been accepted.
    pub(in crate::net) fn new(
        peer: Peer,
        findings: Arc<Findings>,
        http2: bool,
        admitted: Admitted,
    ) -> Rc<Self> {
        Rc::new(Self { http2, ..Self::with(peer, findings, Arc::new(admitted), false) })
    }

    /// A connection inside another one, in the place of the host that its client has asked to be connected with.
    pub(in crate::net) fn inside(
        outer: &Self,
        findings: Arc<Findings>,
        http2: bool,
        admitted: Admitted,
        destination: Destination,
    ) -> Rc<Self> {
        let (peer, within) = (Peer { secure: true, ..outer.peer }, Some(Box::new(destination)));
        Rc::new(Self { http2, within, ..Self::with(peer, findings, Arc::new(admitted), false) })
    }

    /// The same connection after an upgrade.
    pub(in crate::net) fn upgraded(&self) -> Rc<Self> {
        self.findings.switch_off();
        Rc::new(Self::with(self.peer, Arc::clone(&self.findings), Arc::clone(&self.admitted), true))
    }

    fn with(peer: Peer, findings: Arc<Findings>, admitted: Arc<Admitted>, tunnel: bool) -> Self {
        Self {
            peer,
            findings,
            http2: false,
            busy: Cell::new(0),
            served: Cell::new(0),
            order: Cell::new(Order::None),
            waker: RefCell::new(None),
            parting: Cell::new(false),
            age: Cell::default(),
            tunnel,
            within: None,
            admitted,
        }
    }

    pub(in crate::net) fn order(&self, order: Order) {
        if self.order.get() != Order::Close {
            self.order.set(order);
        }
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    /// Whether a stream can end by a status after its last byte: only if nothing waits to be written, since that
    /// would reach the caller after the cut.
    pub(in crate::net) fn part(&self) -> bool {
        let can = self.http2 && !self.findings.is_stuck();
        self.parting.set(self.parting.get() || can);
        can
    }

    pub(super) fn is_parting(&self) -> bool {
        self.parting.get()
    }

    /// The connection has had its time to write what streams parted with. If it could not, it is closed.
    pub(super) fn parted(&self) {
        if self.parting.replace(false) && self.findings.is_stuck() {
            self.order(Order::Close);
        }
    }

    /// Takes the order. One to close stays.
    pub(in crate::net) fn take_order(&self, cx: &Context<'_>) -> Order {
        // A task's waker stays the same for its life, so the first one is enough.
        if self.waker.borrow().is_none() {
            *self.waker.borrow_mut() = Some(cx.waker().clone());
        }
        match self.order.get() {
            Order::Finish => self.order.replace(Order::None),
            order @ (Order::None | Order::Close) => order,
        }
    }

    /// One tick has passed. A connection that is silent is ended: at once where a head was begun, after the
    /// idle time where none was.
    pub(super) fn age(&self, limits: Limits) {
        if self.tunnel {
            return;
        }
        let head_open = self.findings.head_open();
        let progress = self.served.get().wrapping_add(self.findings.heads());
        let before = self.age.get();
        if self.busy.get() > 0 || before.progress != progress || before.head_open != head_open {
            return self.age.set(Age { ticks: 0, progress, head_open });
        }
        let ticks = before.ticks.saturating_add(1);
        self.age.set(Age { ticks, ..before });
        let first = self.served.get() == 0;
        if (head_open || first) && ticks > limits.head || ticks / 2 > limits.idle {
            self.order(Order::Close);
        } else if ticks > limits.idle {
            self.order(Order::Finish);
        }
    }
}

/// One request and its response on a connection, for as long as either is under way.
#[derive(Debug)]
pub struct Exchange {
    pub(in crate::net) link: Rc<Link>,
    pub(in crate::net) watch: Rc<Watch>,
    /// Which request of the connection this is, counted from one.
    pub(in crate::net) number: u32,
}

impl Exchange {
    pub(in crate::net) fn begin(link: &Rc<Link>, watch: &Rc<Watch>) -> Self {
        let number = link.served.get().wrapping_add(1);
        link.served.set(number);
        if link.findings.fault(number).is_some() {
            // Nobody knows where the next request would begin: the refusal is the last answer here.
            link.order(Order::Finish);
        }
        Self::under_way(link, watch, number)
    }

    fn under_way(link: &Rc<Link>, watch: &Rc<Watch>, number: u32) -> Self {
        link.busy.set(link.busy.get() + 1);
        Self { link: Rc::clone(link), watch: Rc::clone(watch), number }
    }

    /// Who sent the request.
    #[must_use]
    pub fn peer(&self) -> Peer {
        self.link.peer
    }

    /// Where the tunnel leads that the request came in, if it came in one.
    #[must_use]
    pub fn within(&self) -> Option<&Destination> {
        self.link.within.as_deref()
    }
}

impl Clone for Exchange {
    fn clone(&self) -> Self {
        Self::under_way(&self.link, &self.watch, self.number)
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.link.busy.set(self.link.busy.get().saturating_sub(1));
    }
}

/// A connection of the HTTP library that can be told to finish.
pub(in crate::net) trait Graceful: Future {
    fn finish(self: Pin<&mut Self>);
}

/// Drives a connection until it ends or is told to.
pub(in crate::net) struct Drive<C> {
    pub(in crate::net) connection: Pin<Box<C>>,
    pub(in crate::net) link: Rc<Link>,
}

impl<C: Graceful> Future for Drive<C> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match self.link.take_order(cx) {
            Order::None => {}
            Order::Finish => self.connection.as_mut().finish(),
            Order::Close => return Poll::Ready(()),
        }
        self.connection.as_mut().poll(cx).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(http2: bool) -> Rc<Link> {
        let address = ([127, 0, 0, 1], 1).into();
        let peer = Peer { address, local: address, secure: false };
        Link::new(peer, Findings::new(), http2, Admitted::new(&Arc::new(AtomicUsize::new(1))))
    }

    #[test]
    fn a_stream_parts_by_a_status_only_where_nothing_waits_to_be_written() {
        let (modern, old, slow) = (link(true), link(false), link(true));
        slow.findings.wrote(true);
        assert!(modern.part());
        assert!(!old.part() && !slow.part());
    }

    #[test]
    fn a_connection_that_cannot_write_what_streams_parted_with_is_closed_and_another_is_not() {
        for stuck in [true, false] {
            let link = link(true);
            assert!(link.part());
            link.findings.wrote(stuck);
            link.parted();
            assert_eq!(link.order.get() == Order::Close, stuck);
            assert!(!link.is_parting());
        }
    }
}
