//! The decision record of one call, written when the call's [`Ledger`] is dropped: so always, whatever its end.
//!
//! It is written piece by piece as the call goes on, in a buffer of its worker's [`Desk`], and left as a line of
//! JSON (`observe::records`): nothing of the call outlives it, and no other thread has to free it.

use std::cell::{Cell, RefCell};

use bytes::Bytes;
use http::uri::Port;
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use jiff::Timestamp;
use uuid::Uuid;

use super::forward;
use super::repeat::Said;
use crate::grants::{Standing, Tier};
use crate::model::call::Call;
use crate::model::caller::Caller;
use crate::model::decision::{Outcome, Took};
use crate::model::time::Moment;
use crate::net::body::Inbound;
use crate::observe::figures::{Hex, Second};
use crate::observe::line::{Line, Piece};
use crate::observe::metrics::Counted;
use crate::observe::records;
use crate::policy::{Denial, Permit};

/// One call's record while the call lives.
pub(super) struct Ledger<'w> {
    place: Option<records::Place<'w>>,
    desk: &'w Desk,
    line: Line,
    id: Id,
    trace: Trace,
    at: Timestamp,
    begun: Moment,
    last: Moment,
    /// Nothing has been done since `last`.
    rests: bool,
    waited: bool,
    took: Took,
    cache: Option<&'static str>,
    outcome: Outcome,
    code: &'static str,
    status: StatusCode,
}

/// The phases that a record times.
#[derive(Debug, Clone, Copy)]
pub(super) enum Phase {
    Read,
    Identify,
    Find,
    Decide,
    Assume,
    Forward,
}

impl<'w> Ledger<'w> {
    /// Opens the record of a call that arrives now.
    pub(super) fn open(
        place: records::Place<'w>,
        desk: &'w Desk,
        at: Timestamp,
        request: Option<&Request<Inbound>>,
    ) -> Self {
        let now = Moment::now();
        let id = Id::digits(desk, at);
        // Headers are few: looking through them is quicker than working out where one that is mostly absent would be.
        let came = request.and_then(|request| {
            let mut headers = request.headers().iter();
            headers.find_map(|(name, value)| (*name == forward::TRACEPARENT).then_some(value))
        });
        let trace = Trace::of(came, desk);
        let mut line = Line::begin(desk.spare.borrow_mut().pop().unwrap_or_default());
        line.hex(r#""id":"#, &id, 0..36);
        line.moment(r#""at":"#, at, &mut desk.second.borrow_mut());
        line.piece(&desk.sidecar);
        line.text(r#""method":"#, request.map_or("", |request| request.method().as_str()));
        let target = request.and_then(|request| request.uri().path_and_query());
        match target {
            Some(target) => line.text(r#""path":"#, target.path()),
            None => tell_authority(&mut line, request),
        }
        line.hex(r#""trace":"#, &trace.0, 3..35);
        Self {
            place: Some(place),
            desk,
            line,
            id: Id::of(id),
            trace,
            at,
            begun: now,
            last: now,
            rests: false,
            waited: false,
            took: Took::default(),
            cache: None,
            // What stands here if the call is never brought to an end: by a panic, or a client that went away.
            outcome: Outcome::Refused,
            code: "abandoned",
            status: StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// When the call arrived.
    pub(super) fn at(&self) -> Timestamp {
        self.at
    }

    /// When the clock was read last.
    pub(super) fn last(&self) -> Moment {
        self.last
    }

    /// It has waited for something: what is read of the time of day must be read anew.
    pub(super) fn waited(&mut self) {
        self.waited = true;
    }

    pub(super) fn has_waited(&self) -> bool {
        self.waited
    }

    /// The decision's id, as the answer carries it.
    pub(super) fn id(&self) -> &Id {
        &self.id
    }

    /// The `traceparent` to pass on (W3C Trace Context §3.2).
    pub(super) fn traceparent(&self) -> HeaderValue {
        self.trace.onward()
    }

    /// Which route takes it. This and what follows is told once a call.
    pub(super) fn routed(&mut self, route: &Piece) {
        self.line.piece(route);
    }

    /// Who calls, as [`caller`] has written it; and whether that was at hand. What is, as all that is answered from
    /// memory, takes no time of its own: it counts with what follows.
    pub(super) fn identified(&mut self, caller: &Piece, at_hand: bool) {
        self.line.piece(caller);
        if !at_hand {
            self.lap(Phase::Identify);
        }
    }

    pub(super) fn called(&mut self, call: &Call) {
        write_call(&mut self.line, call);
    }

    pub(super) fn found(&mut self, standing: &Standing, tier: Tier) {
        self.line.piece(standing.recorded());
        self.cache = Some(tier.as_str());
        match tier {
            Tier::Held => {}
            Tier::Near | Tier::Shared | Tier::Origin => {
                self.lap(Phase::Find);
                self.waited();
            }
        }
    }

    pub(super) fn permitted(&mut self, permit: &Permit<'_>, said: &Said) {
        match said {
            Said::Now(..) => self.line.texts(r#""policy":"#, permit.policies()),
            Said::Before(repeat) => repeat.tell_policies(permit, &mut self.line),
        }
        if permit.remembered() {
            self.cache = Some("memo");
        } else {
            self.lap(Phase::Decide);
        }
    }

    pub(super) fn denied(&mut self, denial: &Denial) {
        if !denial.policies().is_empty() {
            self.line.texts(r#""policy":"#, denial.policies());
        }
        if let Some(missing) = denial.missing().filter(|missing| !missing.needed.is_empty()) {
            self.line.texts(r#""missing":"#, missing.needed.iter().map(ToString::to_string));
        }
    }

    /// Writes the decision's id into an answer or a forwarded request.
    pub(super) fn mark(&self, headers: &mut HeaderMap) {
        self.id.mark(headers);
    }

    /// A phase ends now; the next begins.
    pub(super) fn lap(&mut self, phase: Phase) {
        let now = Moment::now();
        let took = now.microseconds_since(self.last);
        self.last = now;
        let laps = &mut self.took;
        let lap = match phase {
            Phase::Read => &mut laps.read,
            Phase::Identify => &mut laps.identify,
            Phase::Find => &mut laps.find,
            Phase::Decide => &mut laps.decide,
            Phase::Assume => &mut laps.assume,
            Phase::Forward => &mut laps.forward,
        };
        // A phase can come back: a body is read once its caller is known.
        *lap = lap.saturating_add(took);
        self.rests = matches!(phase, Phase::Forward);
    }

    /// How the call ends.
    pub(super) fn end(&mut self, outcome: Outcome, code: &'static str, status: StatusCode) {
        self.outcome = outcome;
        self.code = code;
        self.status = status;
    }

    /// The rest of the line.
    fn finish(&mut self) -> Counted {
        let now = if self.rests { self.last } else { Moment::now() };
        self.took.total = now.microseconds_since(self.begun);
        let Took { read, identify, find, decide, assume, forward, total } = self.took;
        let line = &mut self.line;
        // What most records say is written in one piece.
        if self.outcome == Outcome::Forwarded && self.code == "ok" {
            line.members(r#""outcome":"forwarded","code":"ok","#);
        } else {
            line.word(r#""outcome":"#, self.outcome.as_str());
            line.word(r#""code":"#, self.code);
        }
        line.number(r#""status":"#, u64::from(self.status.as_u16()));
        if let Some(cache) = self.cache {
            line.word(r#""cache":"#, cache);
        }
        line.object(r#""took":"#, |line| {
            if read | identify | find | decide == 0 {
                line.members(r#""read":0,"identify":0,"find":0,"decide":0,"#);
            } else {
                line.number(r#""read":"#, u64::from(read));
                line.number(r#""identify":"#, u64::from(identify));
                line.number(r#""find":"#, u64::from(find));
                line.number(r#""decide":"#, u64::from(decide));
            }
            line.number(r#""assume":"#, u64::from(assume));
            line.number(r#""forward":"#, u64::from(forward));
            line.number(r#""total":"#, u64::from(total));
        });
        let own = [read, identify, find, decide, assume].into_iter().fold(0, u32::saturating_add);
        Counted { outcome: self.outcome, code: self.code, cache: self.cache, own, took: total }
    }
}

impl Drop for Ledger<'_> {
    fn drop(&mut self) {
        let Some(place) = self.place.take() else { return };
        let counted = self.finish();
        place.leave(&mut self.line, counted);
        self.desk.take_back(std::mem::take(&mut self.line));
    }
}

/// What a tunnel is to lead to, in the place of the path that it has not; no user and no password before it.
#[cold]
fn tell_authority(line: &mut Line, request: Option<&Request<Inbound>>) {
    match request.and_then(|request| request.uri().authority()) {
        Some(to) => line.parts(r#""path":"#, [to.host(), ":", to.port().as_ref().map_or("", Port::as_str)]),
        None => line.word(r#""path":"#, "*"),
    }
}

/// Who calls, as all records of a token say it.
pub(super) fn caller(caller: &Caller) -> Piece {
    Piece::of(|line| {
        let principal = &caller.principal;
        line.text(r#""account":"#, principal.account.as_str());
        line.text(r#""application":"#, caller.application.as_str());
        line.parts(r#""principal":"#, [principal.kind.as_str(), "/", principal.id.as_str()]);
    })
}

/// The same, and what is asked for, as all records of one request say it that comes again.
pub(super) fn caller_and_call(caller: &Piece, call: &Call) -> Piece {
    Piece::of(|line| {
        line.piece(caller);
        write_call(line, call);
    })
}

fn write_call(line: &mut Line, call: &Call) {
    line.text(r#""action":"#, call.action.as_str());
    line.parts(r#""resource":"#, call.resource_parts());
}

/// What a worker writes records with.
pub(super) struct Desk {
    sidecar: Piece,
    /// Buffers of lines that were left.
    spare: RefCell<Vec<Vec<u8>>>,
    /// The last second that was written.
    second: RefCell<Second>,
    /// The state of the worker's source of decision and span ids: unique, not secret.
    ids: Cell<u64>,
}

impl Desk {
    /// A desk of the sidecar of this name. Ids begin at random bits, so that no two workers give the same.
    pub(super) fn new(sidecar: &str, seed: u64) -> Self {
        Self {
            sidecar: Piece::of(|line| line.text(r#""sidecar":"#, sidecar)),
            spare: RefCell::default(),
            second: RefCell::default(),
            ids: Cell::new(seed),
        }
    }

    /// The next 64 bits of a Weyl sequence, mixed (the finalizer of SplitMix64).
    fn next(&self) -> u64 {
        let state = self.ids.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.ids.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn take_back(&self, line: Line) {
        let buffer = line.into_buffer();
        let mut spare = self.spare.borrow_mut();
        if spare.len() < SPARE && buffer.capacity() <= LARGE {
            spare.push(buffer);
        }
    }
}

/// A decision's id: unique, and ordered by time. It is kept as the header value that request and answer share.
pub(super) struct Id(HeaderValue);

impl Id {
    pub(super) fn new(desk: &Desk, at: Timestamp) -> Self {
        Self::of(Self::digits(desk, at))
    }

    fn digits(desk: &Desk, at: Timestamp) -> Hex<36> {
        let mut random = [0; 10];
        let (high, low) = random.split_at_mut(2);
        high.copy_from_slice(&(desk.next() as u16).to_be_bytes());
        low.copy_from_slice(&desk.next().to_be_bytes());
        let milliseconds = u64::try_from(at.as_millisecond()).unwrap_or(0);
        let id: Uuid = uuid::Builder::from_unix_timestamp_millis(milliseconds, &random).into_uuid();
        Hex::uuid(id.as_u128())
    }

    fn of(digits: Hex<36>) -> Self {
        // Hex digits and dashes are a header value.
        let value = HeaderValue::from_maybe_shared(Bytes::from_owner(digits));
        Self(value.unwrap_or(HeaderValue::from_static("unknown")))
    }

    pub(super) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// Writes it into headers.
    pub(super) fn mark(&self, headers: &mut HeaderMap) {
        headers.insert(forward::DECISION, self.0.clone());
    }
}

/// W3C trace context: the trace that the call belongs to, ours if it came without one, as it is passed on.
struct Trace(Hex<55>);

impl Trace {
    fn of(came: Option<&HeaderValue>, desk: &Desk) -> Self {
        let (id, flags) = came
            .and_then(|value| value.to_str().ok())
            .and_then(parse_traceparent)
            .unwrap_or_else(|| ((u128::from(desk.next()) << 64) | u128::from(desk.next()), 0));
        Self(Hex::traceparent(id, desk.next() | 1, flags))
    }

    fn onward(&self) -> HeaderValue {
        // Hex digits and dashes are a header value; were they ever not, an empty one is no trace.
        HeaderValue::from_bytes(self.0.as_bytes()).unwrap_or(HeaderValue::from_static(""))
    }
}

/// Trace id and flags of a version 00 `traceparent`; anything else counts as none (W3C Trace Context §4.3).
fn parse_traceparent(text: &str) -> Option<(u128, u8)> {
    let mut parts = text.split('-');
    let (version, id, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex = |part: &str| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let shaped = id.len() == 32 && span.len() == 16 && flags.len() == 2 && parts.next().is_none();
    if version != "00" || !shaped || ![id, span, flags].into_iter().all(hex) {
        return None;
    }
    let (id, span) = (u128::from_str_radix(id, 16).ok()?, u64::from_str_radix(span, 16).ok()?);
    (id != 0 && span != 0).then_some((id, u8::from_str_radix(flags, 16).ok()?))
}

/// Buffers that a worker keeps, and the largest of them: enough for calls under way, and no more.
const SPARE: usize = 64;
const LARGE: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_that_comes_in_is_carried_on_with_a_span_of_our_own() {
        let came = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let value = HeaderValue::from_static(came);
        let onward = Trace::of(Some(&value), &Desk::new("", 7)).onward();
        let onward = onward.to_str().unwrap();
        assert!(onward.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && onward.ends_with("-01"));
        assert_ne!(onward, came);
    }

    #[test]
    fn a_trace_that_makes_no_sense_is_replaced() {
        for text in ["", "00-0-0-0", "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "00-x"] {
            assert_eq!(parse_traceparent(text), None, "{text}");
        }
        let zeros = format!("00-{:032}-{:016}-00", 0, 0);
        assert_eq!(parse_traceparent(&zeros), None);
    }

    #[test]
    fn decision_ids_are_unique_and_ordered_by_time() {
        let desk = Desk::new("", 1);
        let id = |at| Id::new(&desk, Timestamp::from_millisecond(at).unwrap()).as_str().to_owned();
        let (first, later) = (id(1_000), id(1_001));
        assert!(first < later && first.parse::<Uuid>().unwrap().get_version_num() == 7);
    }
}
