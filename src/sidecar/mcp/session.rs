//! Session ids: what an upstream gives a caller is good for that caller alone.
//!
//! The upstream's own id never reaches a caller, and what a caller gets is opened for it at any sidecar of the issuer
//! ([`crate::token::session`]): nothing is kept. One that is not the caller's is told apart from none by nobody. A
//! sidecar that has not heard yet how sessions are bound gives and takes none.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue};

use crate::model::caller::Caller;
use crate::sidecar::adapter::NotUnderstood;
use crate::token::session::SessionKey;

/// The header that carries a session's id.
pub(super) const HEADER: &str = "mcp-session-id";

/// A call's session, as its caller names it and as the upstream does.
#[derive(Debug)]
pub(super) struct Session {
    key: Option<Arc<SessionKey>>,
    known: Option<(HeaderValue, HeaderValue)>,
}

impl Session {
    /// Puts the upstream's own id in the place of the caller's.
    pub(super) fn enter(
        headers: &mut HeaderMap,
        key: Option<Arc<SessionKey>>,
        caller: &Caller,
        place: &str,
    ) -> Result<Self, NotUnderstood> {
        let Some(named) = headers.get(HEADER).cloned() else { return Ok(Self { key, known: None }) };
        let text = named.to_str().map_err(|_| NotUnderstood::NoSession)?;
        let open = key.as_ref().and_then(|key| key.unbind(caller, place, text));
        let id = open.and_then(|id| HeaderValue::try_from(id).ok()).ok_or(NotUnderstood::NoSession)?;
        headers.insert(HEADER, id.clone());
        Ok(Self { key, known: Some((named, id)) })
    }

    /// Puts a name for the caller in the place of the id that the upstream gave; none if it gave several.
    pub(super) fn leave(&self, headers: &mut HeaderMap, caller: &Caller, place: &str) {
        let mut given = headers.get_all(HEADER).iter();
        let Some(id) = given.next().cloned() else { return };
        let alone = given.next().is_none();
        let named = match &self.known {
            Some((named, known)) if *known == id => Some(named.clone()),
            Some(_) | None => self
                .key
                .as_ref()
                .zip(id.to_str().ok())
                .and_then(|(key, id)| HeaderValue::try_from(key.bind(caller, place, id)).ok()),
        };
        headers.remove(HEADER);
        if let Some(named) = named.filter(|_| alone) {
            headers.insert(HEADER, named);
        }
    }
}
