//! A connection inside a connection: who asks for a tunnel (CONNECT) is answered here, in the place of the host that it
//! leads to, and what comes through it is served like everything else.
//!
//! In: the connection once it was upgraded, and the certificate of that host. Out: requests, each with the tunnel that it
//! came in. No byte of a tunnel is ever passed on unread, and nothing is connected with.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use http::{Request, Response};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use rustls::server::Acceptor;
use rustls::{AlertDescription, ServerConfig};
use tokio::io::AsyncWriteExt as _;
use tokio_rustls::{LazyConfigAcceptor, StartHandshake};

use super::Abandoned;
use super::accept::{Door, Joined};
use crate::net::body::{Answer, Inbound};
use crate::net::canonical::Destination;
use crate::net::stream::{Sniffed, Stream};
use crate::net::watch::{Admitted, Exchange, Link, Order};

/// A tunnel that is to be opened here.
pub struct Tunnel {
    /// Where its client believes it to lead.
    pub destination: Destination,
    /// With a certificate for that host alone.
    pub tls: Arc<ServerConfig>,
    /// Is told if nothing could be served in it.
    pub failed: Box<dyn FnOnce(NotServed)>,
}

/// Why a tunnel cannot be opened. The client can still be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotOpened {
    /// There are too many, or too many of one peer.
    #[error("too many tunnels are open")]
    Full,
    /// The worker ends.
    #[error("this sidecar is about to end")]
    Ending,
    /// The connection has no other protocol to change to.
    #[error("the connection cannot carry a tunnel")]
    NoUpgrade,
}

/// Why nothing could be served in a tunnel. All that its client was told is in TLS, if anything.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotServed {
    /// It does not begin as TLS does.
    #[error("what came through the tunnel is no TLS")]
    NotTls,
    /// The handshake is for another host than the tunnel, or for none.
    #[error("the TLS handshake names another host than the tunnel, or none")]
    OtherName,
    /// The client does not trust the authority.
    #[error("the client does not trust the certificate of this sidecar's authority")]
    NotTrusted,
    /// The handshake failed otherwise.
    #[error("the TLS handshake failed: {0}")]
    Broken(String),
    /// It was not done in time.
    #[error("the TLS handshake was not done in time")]
    Late,
}

/// A place for a tunnel that may be opened: to be had before anything is made for it, and given back if it is dropped.
#[must_use]
pub struct Room {
    entrance: Rc<dyn Entrance>,
    outer: Rc<Link>,
    place: Admitted,
}

/// Serves what comes inside of a worker's connections.
pub(in crate::net) trait Entrance {
    /// A place for one more, inside of `outer`.
    fn admit(&self, outer: &Link) -> Result<Admitted, NotOpened>;
    /// Takes a connection that is about to be upgraded.
    fn enter(&self, outer: &Rc<Link>, upgrade: OnUpgrade, tunnel: Tunnel, place: Admitted);
}

impl Exchange {
    /// Whether a tunnel can be opened here, on the connection of `request`: then its place is taken.
    ///
    /// # Errors
    /// [`NotOpened`].
    pub fn room(&self, request: &Request<Inbound>) -> Result<Room, NotOpened> {
        if request.extensions().get::<OnUpgrade>().is_none() {
            return Err(NotOpened::NoUpgrade);
        }
        let entrance = self.watch.entrance().ok_or(NotOpened::Ending)?;
        let place = entrance.admit(&self.link)?;
        Ok(Room { entrance, outer: Rc::clone(&self.link), place })
    }
}

impl Room {
    /// Opens the tunnel, on the connection of `request`, once that was answered by a 2xx status (RFC 9110 section 9.3.6).
    ///
    /// # Errors
    /// [`NotOpened::NoUpgrade`], if it is another request than there was room for.
    pub fn open(self, request: &mut Request<Inbound>, tunnel: Tunnel) -> Result<(), NotOpened> {
        let upgrade = request.extensions_mut().remove::<OnUpgrade>().ok_or(NotOpened::NoUpgrade)?;
        self.entrance.enter(&self.outer, upgrade, tunnel, self.place);
        Ok(())
    }
}

impl<S, R> Entrance for Door<S>
where
    S: Fn(Request<Inbound>, Exchange) -> R + 'static,
    R: Future<Output = Result<Response<Answer>, Abandoned>> + 'static,
{
    fn admit(&self, outer: &Link) -> Result<Admitted, NotOpened> {
        if self.watch.is_draining() {
            return Err(NotOpened::Ending);
        }
        let peer = outer.peer.address.ip();
        self.tally.admit_tunnel(self.settings.tunnels, peer, &outer.admitted).ok_or(NotOpened::Full)
    }

    fn enter(&self, outer: &Rc<Link>, upgrade: OnUpgrade, tunnel: Tunnel, place: Admitted) {
        // Among the connections of the worker from here on, whatever becomes of the one that it is inside of.
        let outer = outer.upgraded();
        let joined = Joined::new(&self.watch, &outer);
        let door = self.clone();
        drop(tokio::task::spawn_local(async move {
            door.serve_inside(&outer, upgrade, tunnel, place).await;
            drop(joined);
        }));
    }
}

impl<S, R> Door<S>
where
    S: Fn(Request<Inbound>, Exchange) -> R + 'static,
    R: Future<Output = Result<Response<Answer>, Abandoned>> + 'static,
{
    async fn serve_inside(self, outer: &Link, upgrade: OnUpgrade, tunnel: Tunnel, place: Admitted) {
        let Tunnel { destination, tls, failed } = tunnel;
        let greeting = tokio::time::timeout(
            self.settings.head_timeout,
            // Boxed: it is large, and gone once the connection is served.
            Box::pin(greet(upgrade, destination.host(), tls)),
        );
        let greeted = tokio::select! {
            biased;
            () = told_to_end(outer) => return,
            greeted = greeting => greeted.unwrap_or(Err(NotServed::Late)),
        };
        let stream = match greeted {
            Ok(stream) => stream,
            Err(why) => return failed(why),
        };
        // A drain that has begun meanwhile is told when it joins.
        let http2 = stream.agreed_on_http2();
        let link = |findings| Link::inside(outer, findings, http2, place, destination);
        self.carry(stream, Sniffed::default(), link).await;
    }
}

/// Waits until the worker ends.
async fn told_to_end(link: &Link) {
    poll_fn(|cx| match link.take_order(cx) {
        Order::None => Poll::Pending,
        Order::Finish | Order::Close => Poll::Ready(()),
    })
    .await;
}

/// TLS with who believes that this is `host`.
async fn greet(upgrade: OnUpgrade, host: &str, tls: Arc<ServerConfig>) -> Result<Stream, NotServed> {
    let upgraded = upgrade.await.map_err(|error| NotServed::Broken(error.to_string()))?;
    let hello = LazyConfigAcceptor::new(Acceptor::default(), TokioIo::new(upgraded)).await;
    let hello = hello.map_err(|error| NotServed::of(&error))?;
    let named = hello.client_hello().server_name().is_some_and(|name| name.eq_ignore_ascii_case(host));
    if !named {
        let StartHandshake { mut io, .. } = hello;
        // It is refused either way; this only helps who looks for the reason.
        let _ = io.write_all(&UNRECOGNIZED_NAME).await;
        let _ = io.shutdown().await;
        return Err(NotServed::OtherName);
    }
    let stream = hello.into_stream(tls).await.map_err(|error| NotServed::of(&error))?;
    Ok(Stream::Inside(Box::new(stream)))
}

impl NotServed {
    fn of(error: &io::Error) -> Self {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match inner {
            Some(rustls::Error::InvalidMessage(_)) => Self::NotTls,
            Some(rustls::Error::AlertReceived(alert)) if DISTRUST.contains(alert) => Self::NotTrusted,
            Some(_) | None => Self::Broken(error.to_string()),
        }
    }
}

/// A fatal alert in a record of its own (RFC 8446 sections 5.1 and 6, RFC 6066 section 3).
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// What clients say of a certificate that they do not believe; the last one where they know another authority by the same
/// name, such as the one before it was renewed.
const DISTRUST: [AlertDescription; 6] = [
    AlertDescription::UnknownCA,
    AlertDescription::BadCertificate,
    AlertDescription::UnsupportedCertificate,
    AlertDescription::CertificateUnknown,
    AlertDescription::CertificateExpired,
    AlertDescription::DecryptError,
];
