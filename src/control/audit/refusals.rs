//! What the control plane refuses, on its way to the audit: one place that sees every answer.
//!
//! Comes in: each request and what became of it. Goes out: a record for each refusal, and for many alike within a moment
//! one that counts them. Nobody is waited for, so that neither a flood of refusals nor the disk's time slows an answer or
//! tells who exists; what finds no room is counted. A record names an account only when the session or token of the
//! request has proven it. Of the request it holds the route, never the query, a body, a header or a password.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{MatchedPath, OriginalUri, Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use jiff::Timestamp;
use serde_json::json;
use tokio::sync::{Mutex, mpsc};

use crate::control::browser::session;
use crate::control::form::Parameters;
use crate::control::peer::Address;
use crate::control::{Control, oauth};
use crate::model::account::Principal;
use crate::model::id::ApplicationId;
use crate::net::watch::Peer;
use crate::store::{NewRecord, StoreError};
use crate::token::random::sha256;

/// The code of a refusal, as its answer carries it to [`watch`].
#[derive(Debug, Clone, Copy)]
pub(in crate::control) struct Because(pub(in crate::control) &'static str);

/// A refusal, as far as it is known when it happens.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Refused {
    /// When.
    at: Timestamp,
    /// What: `refused.` and the code.
    event: String,
    /// The answer's status.
    status: u16,
    /// The request's method.
    method: String,
    /// The route that it was for, as its template.
    route: String,
    /// The application that it named, if any.
    application: Option<ApplicationId>,
    /// Where it came from.
    address: Option<IpAddr>,
    /// What would prove who asked.
    proof: Proof,
}

/// What would prove who asked, looked up when the refusal is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Proof {
    /// Nothing.
    None,
    /// A session, by the hash of its cookie.
    Session([u8; 32]),
    /// An API token, by its hash.
    Token([u8; 32]),
}

/// Refusals that wait to be recorded.
pub(in crate::control) struct Refusals {
    sender: mpsc::Sender<Refused>,
    waiting: Mutex<Waiting>,
    lost: AtomicU64,
}

struct Waiting {
    receiver: mpsc::Receiver<Refused>,
    /// What the store did not take yet.
    kept: Vec<NewRecord>,
}

impl Refusals {
    pub(in crate::control) fn new() -> Self {
        let (sender, receiver) = mpsc::channel(ROOM);
        let waiting = Mutex::new(Waiting { receiver, kept: Vec::new() });
        Self { sender, waiting, lost: AtomicU64::new(0) }
    }

    /// Takes a refusal. It is recorded a moment later.
    fn tell(&self, refused: Refused) {
        if self.sender.try_send(refused).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Control {
    /// Records refusals as they come. Never ends.
    pub(super) async fn tend_refusals(&self) {
        loop {
            tokio::time::sleep(GATHER).await;
            if let Err(error) = self.record_refusals().await {
                tracing::error!(%error, "refusals could not be recorded in the audit; it will be tried again");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Records what has been refused so far.
    ///
    /// # Errors
    /// The store's; what it did not take is kept for the next time, as far as there is room.
    pub async fn record_refusals(&self) -> Result<(), StoreError> {
        let mut waiting = self.refusals.waiting.lock().await;
        let mut alike: Vec<(Refused, u64)> = Vec::new();
        let mut known = HashMap::new();
        while waiting.kept.len() + alike.len() < ROOM {
            let Ok(mut next) = waiting.receiver.try_recv() else { break };
            match self.known(&mut known, next.application.take()).await {
                Ok(application) => next.application = application,
                Err(error) => {
                    let lost = alike.iter().map(|(_, times)| times).sum::<u64>().saturating_add(1);
                    self.refusals.lost.fetch_add(lost, Ordering::Relaxed);
                    return Err(error);
                }
            }
            let same = |(one, _): &&mut (Refused, u64)| one.is_like(&next);
            match alike.iter_mut().rev().take(DISTINCT).find(same) {
                Some((_, times)) => *times += 1,
                None => alike.push((next, 1)),
            }
        }
        let mut alike = alike.into_iter();
        while let Some((refused, times)) = alike.next() {
            match self.refusal(refused, times).await {
                Ok(record) => waiting.kept.push(record),
                Err(error) => {
                    let rest: u64 = alike.map(|(_, times)| times).sum();
                    self.refusals.lost.fetch_add(rest.saturating_add(times), Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
        let lost = self.refusals.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            waiting.kept.push(self.unrecorded(lost));
        }
        if waiting.kept.is_empty() {
            return Ok(());
        }
        self.store.note(&waiting.kept).await?;
        waiting.kept.clear();
        Ok(())
    }

    /// What is no application is not repeated: a secret may have been put in the wrong field; and made-up ones are
    /// alike.
    async fn known(
        &self,
        known: &mut HashMap<ApplicationId, bool>,
        id: Option<ApplicationId>,
    ) -> Result<Option<ApplicationId>, StoreError> {
        let Some(id) = id else { return Ok(None) };
        let there = match known.get(&id) {
            Some(there) => *there,
            None => {
                let there = self.store.application(&id).await?.is_some();
                known.insert(id.clone(), there);
                there
            }
        };
        Ok(there.then_some(id))
    }

    async fn refusal(&self, refused: Refused, times: u64) -> Result<NewRecord, StoreError> {
        let who = self.proven(&refused.proof).await?;
        let Refused { at, event, status, method, route, application, address, .. } = refused;
        let (actor, subject) = match &who {
            Some(principal) => {
                let account = &principal.key.account;
                let subject = application.as_ref().map(|id| format!("{account}/{id}")).unwrap_or_default();
                (principal.login.clone(), subject)
            }
            None => (
                address.map_or_else(|| "unknown".to_owned(), |address| address.to_string()),
                application.map(|id| id.to_string()).unwrap_or_default(),
            ),
        };
        let mut detail = json!({ "method": method, "route": route, "status": status, "address": address });
        if let Some(members) = detail.as_object_mut().filter(|_| times > 1) {
            members.insert("times".to_owned(), times.into());
        }
        let account = who.map(|principal| principal.key.account);
        Ok(NewRecord { at, account, actor, event, subject, detail: detail.to_string() })
    }

    async fn proven(&self, proof: &Proof) -> Result<Option<Principal>, StoreError> {
        let now = self.clock.now();
        Ok(match proof {
            Proof::None => None,
            Proof::Session(hash) => self.store.session(hash, now).await?.map(|(_, principal)| principal),
            Proof::Token(hash) => self.store.api_token(hash, now).await?,
        })
    }

    fn unrecorded(&self, lost: u64) -> NewRecord {
        NewRecord {
            at: self.clock.now(),
            account: None,
            actor: "consentry".to_owned(),
            event: "refused.unrecorded".to_owned(),
            subject: String::new(),
            detail: json!({ "times": lost }).to_string(),
        }
    }
}

impl Refused {
    fn is_like(&self, other: &Self) -> bool {
        Self { at: other.at, ..self.clone() } == *other
    }
}

/// Lets every request pass, and tells what was refused. Bodies must be in memory by then.
pub(in crate::control) async fn watch(
    State(control): State<Arc<Control>>,
    request: Request,
    next: Next,
) -> Response {
    let Some(asked) = Asked::of(&request) else { return next.run(request).await };
    let (request, form) = with_form(request).await;
    tell(&control, &asked, form.as_ref(), next.run(request).await)
}

/// The same where bodies have not arrived yet and are not to be waited for: the internal API's.
pub(in crate::control) async fn watch_heads(
    State(control): State<Arc<Control>>,
    request: Request,
    next: Next,
) -> Response {
    let Some(asked) = Asked::of(&request) else { return next.run(request).await };
    tell(&control, &asked, None, next.run(request).await)
}

fn tell(control: &Control, asked: &Asked, form: Option<&Parameters>, response: Response) -> Response {
    if let Some((code, status)) = refused(&response) {
        control.refusals.tell(asked.refused(control, code, status, form));
    }
    response
}

/// What of a request may be recorded, or is needed to find out.
struct Asked {
    method: String,
    route: String,
    path: String,
    query: String,
    address: Option<IpAddr>,
    headers: HeaderMap,
}

impl Asked {
    /// Nothing for an address that is nobody's: that nothing is there is no refusal.
    fn of(request: &Request) -> Option<Self> {
        let extensions = request.extensions();
        let route = extensions.get::<MatchedPath>()?.as_str().to_owned();
        let Address(address) = Address::of(extensions);
        let address = address.or_else(|| extensions.get::<Peer>().map(|peer| peer.address.ip()));
        let uri = extensions.get::<OriginalUri>().map_or(request.uri(), |original| &original.0);
        Some(Self {
            method: request.method().to_string(),
            route,
            path: uri.path().to_owned(),
            query: uri.query().unwrap_or_default().to_owned(),
            address,
            headers: request.headers().clone(),
        })
    }

    fn refused(
        &self,
        control: &Control,
        code: &str,
        status: StatusCode,
        form: Option<&Parameters>,
    ) -> Refused {
        Refused {
            at: control.clock.now(),
            event: format!("refused.{code}"),
            status: status.as_u16(),
            method: self.method.clone(),
            route: self.route.clone(),
            application: self.application(form),
            address: self.address,
            proof: self.proof(control),
        }
    }

    /// The application that the path, the query, the form or the client's credentials name.
    fn application(&self, form: Option<&Parameters>) -> Option<ApplicationId> {
        let parts = self.route.rsplit('/').zip(self.path.rsplit('/'));
        let in_path = parts.into_iter().find(|(name, _)| *name == "{client_id}").map(|(_, id)| id.to_owned());
        let query = Parameters::parse(self.query.as_bytes());
        let named = |parameters: &Parameters| parameters.one("client_id").ok().flatten().map(str::to_owned);
        let named = in_path.or_else(|| named(&query)).or_else(|| form.and_then(named));
        named.or_else(|| oauth::claimed_client(&self.headers))?.parse().ok()
    }

    fn proof(&self, control: &Control) -> Proof {
        if let Some(value) = self.headers.get(AUTHORIZATION) {
            let token = value.to_str().ok().and_then(|value| value.split_once(' '));
            let token = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
            return token.map_or(Proof::None, |(_, token)| Proof::Token(sha256(token.trim().as_bytes())));
        }
        session::cookie_hash(control, &self.headers).map_or(Proof::None, Proof::Session)
    }
}

/// The request as it was, and its form, which is in memory by now.
async fn with_form(request: Request) -> (Request, Option<Parameters>) {
    let is_form = request.headers().get(CONTENT_TYPE).is_some_and(|kind| {
        kind.as_bytes().to_ascii_lowercase().starts_with(b"application/x-www-form-urlencoded")
    });
    if !is_form {
        return (request, None);
    }
    let (head, body) = request.into_parts();
    // Nothing beyond what has arrived already is waited for, and no more than that is there.
    let Ok(bytes) = axum::body::to_bytes(body, usize::MAX).await else {
        return (Request::from_parts(head, Body::from(Bytes::new())), None);
    };
    let form = Parameters::parse(bytes.get(..bytes.len().min(LONGEST_FORM)).unwrap_or_default());
    (Request::from_parts(head, Body::from(bytes)), Some(form))
}

/// Which refusal an answer is, if it is one.
fn refused(response: &Response) -> Option<(&'static str, StatusCode)> {
    let (extensions, status) = (response.extensions(), response.status());
    match extensions.get::<Because>() {
        // Somebody said no, which is recorded as what they did.
        Some(Because("access_denied")) if status.is_redirection() => None,
        Some(Because(code)) => Some((code, status)),
        None if status.is_server_error() => Some(("failed", status)),
        None if status.is_client_error() => Some(("not_understood", status)),
        None => None,
    }
}

/// So many refusals wait at most.
const ROOM: usize = 1024;
/// Among so many last ones another one like it is looked for.
const DISTINCT: usize = 64;
const LONGEST_FORM: usize = 64 * 1024;
const GATHER: Duration = Duration::from_millis(100);
const PAUSE: Duration = Duration::from_secs(2);
