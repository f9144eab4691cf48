//! Session ids, and the ids of events in a session's streams: what an upstream gives a caller is good for that caller
//! alone, at that server, in that account; and an event's id in that session.
//!
//! The upstream's own ids never reach a caller, and what a caller gets is opened for it at any sidecar of the issuer
//! ([`crate::token::session`]): nothing is kept. One that is not the caller's is told apart from none by nobody. A
//! sidecar that has not heard yet how sessions are bound gives and takes none.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue};

use crate::model::caller::Caller;
use crate::model::id::AccountId;
use crate::sidecar::adapter::NotUnderstood;
use crate::token::session::SessionKey;

/// The header that carries a session's id.
pub(super) const HEADER: &str = "mcp-session-id";
/// The header that names the event after which a stream is resumed.
pub(super) const LAST_EVENT: &str = "last-event-id";

/// Where a session is good. Not by the upstream alone: several servers, and those of several accounts, can stand there.
#[derive(Debug)]
pub(super) struct Place(String);

impl Place {
    pub(super) fn new(upstream: &str, account: &AccountId, server: Option<&str>) -> Self {
        let server = server.map_or_else(String::new, |server| format!("/{server}"));
        Self(format!("{account}|{}|{upstream}|{server}", upstream.len()))
    }

    fn of_session(&self) -> String {
        format!("session|{}", self.0)
    }

    /// `session` is the upstream's own id; events that are of none are good for nothing.
    fn of_event(&self, session: Option<&str>) -> String {
        let session = session.unwrap_or_default();
        format!("event|{}|{session}|{}", session.len(), self.0)
    }
}

/// A call's session, as its caller names it and as the upstream does.
#[derive(Debug)]
pub(super) struct Session {
    key: Option<Arc<SessionKey>>,
    caller: Arc<Caller>,
    place: Place,
    known: Option<(HeaderValue, HeaderValue)>,
}

impl Session {
    /// Puts the upstream's own ids in the place of the caller's.
    pub(super) fn enter(
        headers: &mut HeaderMap,
        key: Option<Arc<SessionKey>>,
        caller: &Arc<Caller>,
        place: Place,
    ) -> Result<Self, NotUnderstood> {
        let mut session = Self { key, caller: Arc::clone(caller), place, known: None };
        if let Some(named) = headers.get(HEADER).cloned() {
            let id = session.open(&session.place.of_session(), &named)?;
            headers.insert(HEADER, id.clone());
            session.known = Some((named, id));
        }
        if let Some(last) = headers.get(LAST_EVENT) {
            let id = session.open(&session.place.of_event(session.id()), last)?;
            headers.insert(LAST_EVENT, id);
        }
        Ok(session)
    }

    /// Puts a name for the caller in the place of the id that the upstream gave; none if it gave several. Gives what
    /// names the events of the answer.
    pub(super) fn leave(self, headers: &mut HeaderMap) -> Events {
        let mut given = headers.get_all(HEADER).iter();
        let first = given.next().cloned();
        let given = first.filter(|_| given.next().is_none());
        headers.remove(HEADER);
        let Self { key, caller, place, known } = self;
        let id = given.as_ref().or(known.as_ref().map(|(_, id)| id)).and_then(|id| id.to_str().ok());
        let events = place.of_event(id);
        let named = given.and_then(|id| match known {
            Some((named, known)) if known == id => Some(named),
            Some(_) | None => {
                let bound = key.as_ref()?.bind(&caller, &place.of_session(), id.to_str().ok()?);
                HeaderValue::try_from(bound).ok()
            }
        });
        if let Some(named) = named {
            headers.insert(HEADER, named);
        }
        Events { key, caller, place: events }
    }

    /// The upstream's own id.
    fn id(&self) -> Option<&str> {
        self.known.as_ref().and_then(|(_, id)| id.to_str().ok())
    }

    fn open(&self, place: &str, named: &HeaderValue) -> Result<HeaderValue, NotUnderstood> {
        let open = |named: &str| self.key.as_ref()?.unbind(&self.caller, place, named);
        let id = named.to_str().ok().and_then(open).and_then(|id| HeaderValue::try_from(id).ok());
        id.ok_or(NotUnderstood::NoSession)
    }
}

/// Names the events of a stream for its caller.
#[derive(Debug)]
pub(super) struct Events {
    key: Option<Arc<SessionKey>>,
    caller: Arc<Caller>,
    place: String,
}

impl Events {
    pub(super) fn name(&self, id: &str) -> Option<String> {
        Some(self.key.as_ref()?.bind(&self.caller, &self.place, id))
    }
}
