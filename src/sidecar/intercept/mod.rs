//! Tunnels: a client that asks to be connected with a host (CONNECT) is connected with this sidecar instead, where a
//! route says so, and what it sends there is a call like any other.
//!
//! In: a CONNECT. Out: a tunnel that is opened here, with a certificate of the platform team's own authority for that one
//! host, or a refusal. No tunnel is passed on unread, no name is resolved and no upstream is connected with: who asks
//! needs no credential for that, since all it gets is a certificate; each call in the tunnel brings its own.

mod authority;
mod leaves;
#[cfg(test)]
mod tests;

use std::rc::Rc;

use http::{Request, Response, StatusCode};

pub use authority::{Authority, AuthorityError};
use leaves::{Leaves, NoLeaf};

use super::Worker;
use super::forward::TRACEPARENT;
use super::record::Ledger;
use super::refuse::Refusal;
use super::stage::Seen;
use crate::config::sidecar::Sidecar as SidecarSettings;
use crate::model::decision::Outcome;
use crate::model::time::Clock;
use crate::net::body::{Answer, Inbound};
use crate::net::canonical::{Destination, Malformed};
use crate::net::listener::{NotOpened, NotServed, Tunnel};

/// What a sidecar opens tunnels with.
pub(super) struct Interception {
    leaves: Leaves,
    ports: Box<[u16]>,
}

/// Why there is no tunnel.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoTunnel {
    /// It would be inside another one.
    #[error("a tunnel inside a tunnel would lead to nobody knows where")]
    Nested,
    /// No certificate is given to an address.
    #[error("the tunnel leads to an address instead of a name")]
    Address,
    /// Its port is not among those that are allowed.
    #[error("tunnels to port {0} are not allowed here")]
    Port(u16),
    /// No route that is intercepted takes its host.
    #[error("no route of this sidecar is intercepted for this host")]
    Host,
    /// The authority cannot or may not give a certificate for its host. Why is told to operators alone.
    #[error("no certificate can be given for this host")]
    Certificate,
    /// Certificates for too many new hosts are asked for at once.
    #[error("too many hosts are asked for at once that no certificate is kept for")]
    Certificates,
    /// It cannot be opened at present.
    #[error("{0}")]
    NotOpened(#[from] NotOpened),
}

/// Loads the authority, if one is set, and tries it on the routes that need it: what `check` does.
///
/// # Errors
/// [`AuthorityError`].
pub fn try_authority(settings: &SidecarSettings, clock: &Clock) -> Result<(), AuthorityError> {
    Interception::new(settings, clock).map(|_| ())
}

impl Interception {
    /// Nothing, where nothing is set.
    pub(super) fn new(settings: &SidecarSettings, clock: &Clock) -> Result<Option<Self>, AuthorityError> {
        let Some(own) = &settings.interception else { return Ok(None) };
        let authority = Authority::load(own)?;
        for route in settings.routes.iter().filter(|route| route.intercept) {
            if let Some(host) = &route.host {
                authority.issue(&host.get_ref().example(), clock.now())?;
            }
        }
        Ok(Some(Self { leaves: Leaves::new(authority), ports: own.ports.clone().into() }))
    }

    fn allows(&self, destination: &Destination) -> Result<(), NoTunnel> {
        if destination.is_address() {
            return Err(NoTunnel::Address);
        }
        let port = destination.port();
        if self.ports.contains(&port) { Ok(()) } else { Err(NoTunnel::Port(port)) }
    }
}

impl NoTunnel {
    /// The status, the stable code, and what to do next.
    pub(super) fn says(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Nested => {
                (StatusCode::BAD_REQUEST, "tunnel_nested", "Ask for the host outside of the tunnel.")
            }
            Self::Address => (StatusCode::FORBIDDEN, "tunnel_to_address", "Ask for the host by its name."),
            Self::Port(_) => (
                StatusCode::FORBIDDEN,
                "tunnel_to_port",
                "Ask for port 443, or ask the platform team to allow the port ([interception] ports).",
            ),
            Self::Host => (
                StatusCode::FORBIDDEN,
                "tunnel_to_host",
                "Reach the host without this proxy, or ask the platform team for a route with intercept = true.",
            ),
            Self::Certificate => (
                StatusCode::BAD_GATEWAY,
                "tunnel_certificate",
                "Give the decision's id to the platform team.",
            ),
            Self::Certificates => {
                (StatusCode::SERVICE_UNAVAILABLE, "tunnel_certificates", "Try again in a moment.")
            }
            Self::NotOpened(NotOpened::Full | NotOpened::Ending) => {
                (StatusCode::SERVICE_UNAVAILABLE, "tunnel_unavailable", "Try again in a moment.")
            }
            Self::NotOpened(NotOpened::NoUpgrade) => {
                (StatusCode::BAD_REQUEST, "tunnel_form", "Ask for the tunnel over HTTP/1.1.")
            }
        }
    }
}

impl Worker {
    /// Answers a CONNECT.
    pub(super) fn tunnel(
        self: &Rc<Self>,
        request: &mut Request<Inbound>,
        seen: &Seen<'_>,
        ledger: &Ledger<'_>,
    ) -> Result<Response<Answer>, Refusal> {
        let sidecar = &*self.sidecar;
        let Some(interception) = &sidecar.interception else {
            return Err(Refusal::Malformed(Malformed::Connect));
        };
        let exchange = seen.exchange.ok_or(Refusal::Internal)?;
        if exchange.within().is_some() {
            return Err(NoTunnel::Nested.into());
        }
        let destination = Destination::read(request).map_err(Refusal::Malformed)?;
        interception.allows(&destination)?;
        if !sidecar.routes.intercept(destination.host()) {
            return Err(NoTunnel::Host.into());
        }
        // Who asks has proven nothing: nothing is made for whom there is no room, and not for as many as like.
        let room = exchange.room(request).map_err(NoTunnel::from)?;
        let tls = interception.leaves.of(destination.host(), sidecar.clock.now());
        let tls = tls.map_err(|why| why.told(destination.host()))?;
        let mut again = Request::new(Inbound::empty());
        again.method_mut().clone_from(request.method());
        again.uri_mut().clone_from(request.uri());
        again.headers_mut().insert(TRACEPARENT, ledger.traceparent());
        let worker = Rc::clone(self);
        let failed = Box::new(move |why| worker.not_served(&again, &why));
        room.open(request, Tunnel { destination, tls, failed }).map_err(NoTunnel::from)?;
        Ok(Response::new(Answer::empty()))
    }

    /// Records that a tunnel was opened and came to nothing. Its client can be told no status any more: what is recorded
    /// is the one that says it best.
    fn not_served(&self, request: &Request<Inbound>, why: &NotServed) {
        let sidecar = &*self.sidecar;
        let (code, status) = match why {
            NotServed::NotTls => ("tunnel_not_tls", StatusCode::BAD_REQUEST),
            NotServed::OtherName => ("tunnel_other_name", StatusCode::MISDIRECTED_REQUEST),
            NotServed::NotTrusted => ("tunnel_not_trusted", StatusCode::BAD_GATEWAY),
            NotServed::Broken(_) => ("tunnel_broken", StatusCode::BAD_REQUEST),
            NotServed::Late => ("tunnel_timeout", StatusCode::REQUEST_TIMEOUT),
        };
        let host = request.uri().host().unwrap_or_default();
        tracing::debug!(host, %why, "a tunnel came to nothing");
        let Ok(place) = sidecar.records.claim() else { return sidecar.metrics.count_unrecorded() };
        let mut ledger = Ledger::open(place, &self.desk, sidecar.clock.now(), Some(request));
        ledger.end(Outcome::Refused, code, status);
    }
}

impl NoLeaf {
    /// What whoever asks is refused with, and operators are told what is new of it.
    fn told(self, host: &str) -> NoTunnel {
        match self {
            Self::Failed(why) => {
                tracing::warn!(%why, "a tunnel was refused, and those to this host are for a minute");
                NoTunnel::Certificate
            }
            Self::JustFailed => NoTunnel::Certificate,
            Self::TooMany { again } => {
                if !again {
                    tracing::warn!(
                        host,
                        "tunnels are refused: certificates for too many hosts are asked for at once"
                    );
                }
                NoTunnel::Certificates
            }
        }
    }
}

impl From<NoTunnel> for Refusal {
    fn from(why: NoTunnel) -> Self {
        Self::Tunnel(why)
    }
}
