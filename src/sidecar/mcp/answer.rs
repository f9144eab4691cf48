//! What is looked after between a permitted message and its answer: the session's name, and what lists may show.
//!
//! Comes in: a permitted request, before it is sent, and then the upstream's answer. Goes out: the request with the
//! upstream's own session id, and the answer with the caller's; in lists only the entries that this caller may call, each
//! decided as the call itself would be. An answer that cannot be read whole is not shown.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Body as _;
use serde_json::{Value, json};

use super::list::narrow;
use super::message::{Message, Target};
use super::session::{Place, Session};
use super::sieve::Events;
use super::{Naming, lists, opens};
use crate::grants::Standing;
use crate::model::id::AccountId;
use crate::model::time::Clock;
use crate::net::body::{Answer, Inbound};
use crate::policy::{self, Surroundings};
use crate::sidecar::adapter::{NotUnderstood, Permitted};

/// A message under way.
pub(in crate::sidecar) struct Tended {
    session: Session,
    shown: Shown,
}

/// An answer, as it was made ready for its caller.
pub(in crate::sidecar) struct Attended {
    /// The answer.
    pub(in crate::sidecar) response: Response<Answer>,
    /// Why it is a refusal, if it is one.
    pub(in crate::sidecar) refused: Option<&'static str>,
}

/// What its answer may hold, and for whom.
struct Shown {
    judge: Rc<Judge>,
    id: Option<Value>,
    /// Whether an answer with content is one that can be looked through, or none.
    is_asked: bool,
    /// Whether it was asked for what depends on the caller.
    lists: bool,
    /// So many bytes of it are held to be looked through.
    limit: usize,
}

/// Says which entries stay.
struct Judge {
    standing: Arc<Standing>,
    naming: Naming,
    account: AccountId,
    ip: IpAddr,
    /// A stream may go on for long.
    clock: Clock,
    host: String,
    path: String,
}

impl Tended {
    /// Makes a permitted request to the server of this name ready to be sent.
    pub(in crate::sidecar) fn begin(
        permitted: &mut Permitted<'_>,
        naming: Naming,
    ) -> Result<Self, NotUnderstood> {
        let Permitted { request, call, caller, standing, around, sessions, route, clock, limit } = permitted;
        let account = &call.resource.account;
        let place = Place::new(&route.upstream, account, naming.server());
        let session = Session::enter(request.headers_mut(), sessions.load_full(), caller, place)?;
        // What is compressed could not be read.
        request.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let (opens, lists) = (opens(call), lists(call));
        let id = id(request);
        // What was not asked for as a list may be as long as contents are.
        let limit = if lists { *limit } else { LONGEST.max(*limit) };
        let judge = Rc::new(Judge::new((standing, clock), naming, account, around));
        let shown = Shown { judge, is_asked: opens || id.is_some(), id, lists: lists || opens, limit };
        Ok(Self { session, shown })
    }

    /// Makes the answer ready for its caller. Any can hold a list: a server finds whom to answer by the id of the
    /// message alone, and two of one session can have the same.
    pub(in crate::sidecar) async fn answer(self, mut response: Response<Answer>) -> Attended {
        let Self { session, shown } = self;
        let events = session.leave(response.headers_mut());
        // What has failed lists nothing, and neither does what has no body.
        if !response.status().is_success() || response.body().is_end_stream() {
            return Attended { response, refused: None };
        }
        match (kind(response.headers()), is_encoded(response.headers())) {
            (Kind::Events, false) => {
                shown.prepare(response.headers_mut());
                let Shown { judge, limit, .. } = shown;
                let stays = Box::new(move |target: &Target| judge.stays(target));
                let events = Events::new(stays, Box::new(move |id| events.name(id)), limit);
                Attended { response: response.map(|body| body.sifted(Box::new(events))), refused: None }
            }
            (Kind::Json, false) => {
                shown.prepare(response.headers_mut());
                let (head, body) = response.into_parts();
                let Ok(read) = body.read(shown.limit).await else {
                    return shown.refuse("it is too long, or broke off");
                };
                let Ok(text) = std::str::from_utf8(&read) else { return shown.refuse("it is no text") };
                match narrow(text, &mut |target| shown.judge.stays(target)) {
                    Ok(Some(narrowed)) => whole(head, Bytes::from(narrowed)),
                    Ok(None) => whole(head, read),
                    // Some servers say that they have heard, where nothing was asked.
                    Err(_) if !shown.is_asked && is_plain(text) => whole(head, read),
                    Err(_) => shown.refuse("it is no message"),
                }
            }
            (Kind::Other, _) if !shown.is_asked => Attended { response, refused: None },
            (Kind::Events | Kind::Json, true) => {
                shown.refuse("it is compressed, though that was not asked for")
            }
            (Kind::Other, _) => shown.refuse("it is neither JSON nor a stream of events"),
        }
    }
}

impl Shown {
    /// What is said of a body that may change is not said.
    fn prepare(&self, headers: &mut HeaderMap) {
        for name in [CONTENT_LENGTH, ETAG, DIGEST, REPRESENTATION] {
            headers.remove(name);
        }
        if self.lists {
            // It was made for this caller alone.
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
    }

    /// The protocol's own error in the place of the answer.
    fn refuse(&self, why: &str) -> Attended {
        let error = json!({
            "code": INTERNAL,
            "message": format!("The server's answer cannot be passed on: {why}."),
            "data": { "code": UNREADABLE, "next": "Look at the MCP server; the sidecar passes on only answers that it can read." },
        });
        let body = json!({ "jsonrpc": "2.0", "id": self.id, "error": error }).to_string();
        let mut response = Response::new(Answer::from(body));
        let status = if self.id.is_some() { StatusCode::OK } else { StatusCode::BAD_GATEWAY };
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Attended { response, refused: Some(UNREADABLE) }
    }
}

impl Judge {
    fn new(
        (standing, clock): (&Arc<Standing>, &Clock),
        naming: Naming,
        account: &AccountId,
        around: &Surroundings<'_>,
    ) -> Self {
        Self {
            standing: Arc::clone(standing),
            naming,
            account: account.clone(),
            ip: around.ip,
            clock: clock.clone(),
            host: around.host.to_owned(),
            path: around.path.to_owned(),
        }
    }

    /// Whether the caller may call what the entry stands for: it is asked as the call itself would be.
    fn stays(&self, target: &Target) -> bool {
        let around = Surroundings {
            ip: self.ip,
            time: self.clock.now(),
            method: Method::POST.as_str(),
            host: &self.host,
            path: &self.path,
        };
        let calls = self.naming.listed(target, &self.account);
        calls.iter().all(|call| policy::decide(self.standing.session(), call, &around).is_ok())
    }
}

fn whole(mut head: http::response::Parts, body: Bytes) -> Attended {
    head.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    Attended { response: Response::from_parts(head, Answer::from(body)), refused: None }
}

/// Whether it is a word or a number, or nothing: no list.
fn is_plain(text: &str) -> bool {
    !text.trim_start_matches('\u{feff}').trim_start().starts_with(['{', '['])
}

/// The id of the message that the body holds.
fn id(request: &Request<Inbound>) -> Option<Value> {
    Message::parse(request.body().whole()?).ok()?.id
}

enum Kind {
    Json,
    Events,
    Other,
}

fn kind(headers: &HeaderMap) -> Kind {
    let named = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = named.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        "application/json" => Kind::Json,
        "text/event-stream" => Kind::Events,
        _ => Kind::Other,
    }
}

fn is_encoded(headers: &HeaderMap) -> bool {
    headers.get_all(CONTENT_ENCODING).iter().any(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// What an upstream says of bytes that may change.
const DIGEST: HeaderName = HeaderName::from_static("content-digest");
const REPRESENTATION: HeaderName = HeaderName::from_static("repr-digest");
/// JSON-RPC's "internal error".
const INTERNAL: i32 = -32603;
const UNREADABLE: &str = "unreadable_answer";
/// So many bytes of an answer that was not asked for as a list are held at once.
const LONGEST: usize = 16 << 20;
