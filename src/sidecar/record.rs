//! The decision record of one call, written when the call's [`Ledger`] is dropped: so always, whatever its end.
//!
//! On the call's path only references are collected; the record itself is made off it (`observe::records`).

use std::cell::Cell;
use std::sync::Arc;
use std::time::Instant;

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use jiff::Timestamp;
use uuid::Uuid;

use super::forward;
use crate::grants::{Standing, Tier};
use crate::model::call::Call;
use crate::model::caller::Caller;
use crate::model::decision::{Decision, Outcome, Took};
use crate::model::id::DecisionId;
use crate::model::scope::ScopeSet;
use crate::observe::records;
use crate::policy::{Denial, Permit};

/// One call's record while the call lives.
pub(super) struct Ledger {
    place: Option<records::Place<Entry>>,
    entry: Option<Entry>,
    last: Instant,
    begun: Instant,
}

/// What a call leaves behind.
pub(super) struct Entry {
    id: Uuid,
    at: Timestamp,
    sidecar: Arc<str>,
    outcome: Outcome,
    code: &'static str,
    status: StatusCode,
    route: Option<Arc<str>>,
    method: Method,
    path: String,
    caller: Option<Arc<Caller>>,
    standing: Option<Arc<Standing>>,
    tier: Option<Tier>,
    call: Option<Call>,
    policies: Arc<[Arc<str>]>,
    remembered: bool,
    missing: ScopeSet,
    trace: Trace,
    took: Took,
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

impl Ledger {
    /// Opens the record of a call that arrives now.
    pub(super) fn open(
        place: records::Place<Entry>,
        ids: &Ids,
        at: Timestamp,
        sidecar: &Arc<str>,
        head: &http::request::Parts,
    ) -> Self {
        let now = Instant::now();
        let entry = Entry {
            id: ids.decision(at),
            at,
            sidecar: Arc::clone(sidecar),
            // What stands here if the call is never brought to an end: by a panic, or a client that went away.
            outcome: Outcome::Refused,
            code: "abandoned",
            status: StatusCode::INTERNAL_SERVER_ERROR,
            route: None,
            method: head.method.clone(),
            // A copy: a record outlives its call, and must not keep the connection's read buffer with it.
            path: head.uri.path_and_query().map_or("*", PathAndQuery::path).to_owned(),
            caller: None,
            standing: None,
            tier: None,
            call: None,
            policies: Arc::default(),
            remembered: false,
            missing: ScopeSet::new(),
            trace: Trace::of(&head.headers, ids),
            took: Took::default(),
        };
        Self { place: Some(place), entry: Some(entry), last: now, begun: now }
    }

    /// The decision's id, as the answer carries it.
    pub(super) fn id(&self) -> Uuid {
        self.entry.as_ref().map_or(Uuid::nil(), |entry| entry.id)
    }

    /// The `traceparent` to pass on (W3C Trace Context §3.2).
    pub(super) fn traceparent(&self) -> Option<HeaderValue> {
        self.entry.as_ref().map(|entry| entry.trace.onward())
    }

    pub(super) fn routed(&mut self, route: &Arc<str>) {
        self.with(|entry| entry.route = Some(Arc::clone(route)));
    }

    pub(super) fn called(&mut self, call: &Call) {
        self.with(|entry| entry.call = Some(call.clone()));
    }

    pub(super) fn identified(&mut self, caller: &Arc<Caller>) {
        self.with(|entry| entry.caller = Some(Arc::clone(caller)));
    }

    pub(super) fn found(&mut self, standing: &Arc<Standing>, tier: Tier) {
        self.with(|entry| {
            entry.standing = Some(Arc::clone(standing));
            entry.tier = Some(tier);
        });
    }

    pub(super) fn permitted(&mut self, permit: &Permit) {
        self.with(|entry| {
            entry.policies = permit.shared_policies();
            entry.remembered = permit.remembered();
        });
    }

    pub(super) fn denied(&mut self, denial: &Denial) {
        self.with(|entry| {
            entry.policies = denial.shared_policies();
            entry.missing = denial.missing().map(|missing| missing.needed.clone()).unwrap_or_default();
        });
    }

    /// Writes the decision's id into an answer or a forwarded request.
    pub(super) fn mark(&self, headers: &mut HeaderMap) {
        mark(self.id(), headers);
    }

    /// A phase ends now; the next begins.
    pub(super) fn lap(&mut self, phase: Phase) {
        let now = Instant::now();
        let took = microseconds(self.last, now);
        self.last = now;
        self.with(|entry| {
            let laps = &mut entry.took;
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
        });
    }

    /// How the call ends.
    pub(super) fn end(&mut self, outcome: Outcome, code: &'static str, status: StatusCode) {
        self.with(|entry| {
            entry.outcome = outcome;
            entry.code = code;
            entry.status = status;
        });
    }

    fn with(&mut self, note: impl FnOnce(&mut Entry)) {
        if let Some(entry) = &mut self.entry {
            note(entry);
        }
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        if let (Some(place), Some(mut entry)) = (self.place.take(), self.entry.take()) {
            entry.took.total = microseconds(self.begun, Instant::now());
            place.leave(entry);
        }
    }
}

impl records::Entry for Entry {
    fn into_decision(self) -> Decision {
        let caller = self.caller.as_deref();
        let standing = self.standing.as_deref();
        let named = standing.map(Standing::named);
        let principal = |caller: &Caller| format!("{}/{}", caller.principal.kind, caller.principal.id).into();
        let call = self.call;
        let cache = |tier: Tier| if self.remembered { "memo" } else { tier.as_str() };
        Decision {
            id: DecisionId::of(&self.id),
            at: self.at,
            sidecar: self.sidecar,
            outcome: self.outcome,
            code: self.code.into(),
            status: self.status.as_u16(),
            route: self.route,
            method: self.method.to_string(),
            path: self.path,
            account: caller.map(|caller| caller.principal.account.clone().into()),
            application: caller.map(|caller| caller.application.clone().into()),
            principal: named.map(|named| Arc::clone(&named.principal)).or_else(|| caller.map(principal)),
            resource: call.as_ref().map(Call::resource_name),
            action: call.map(|call| call.action.into()),
            grant: named.map(|named| Arc::clone(&named.grant)),
            grant_revision: standing.map(|standing| standing.installed().grant.revision.0),
            scopes: named.map(|named| Arc::clone(&named.scopes)),
            policy: self.policies.to_vec(),
            missing: self.missing.iter().map(ToString::to_string).collect(),
            cache: self.tier.map(|tier| cache(tier).into()),
            trace: self.trace.id(),
            took: self.took,
        }
    }
}

/// Writes a decision's id into headers.
pub(super) fn mark(id: Uuid, headers: &mut HeaderMap) {
    headers.insert(forward::DECISION, forward::decision(id));
}

fn microseconds(from: Instant, to: Instant) -> u32 {
    u32::try_from(to.saturating_duration_since(from).as_micros()).unwrap_or(u32::MAX)
}

/// A worker's source of decision and span ids: unique, ordered by time, not secret.
pub(super) struct Ids(Cell<u64>);

impl Ids {
    /// Begins at random bits, so that no two workers give the same ids.
    pub(super) fn new(seed: u64) -> Self {
        Self(Cell::new(seed))
    }

    /// The next 64 bits of a Weyl sequence, mixed (the finalizer of SplitMix64).
    fn next(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn decision(&self, at: Timestamp) -> Uuid {
        let mut random = [0; 10];
        let (high, low) = random.split_at_mut(2);
        high.copy_from_slice(&(self.next() as u16).to_be_bytes());
        low.copy_from_slice(&self.next().to_be_bytes());
        let milliseconds = u64::try_from(at.as_millisecond()).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(milliseconds, &random).into_uuid()
    }
}

/// W3C trace context: the trace that the call belongs to, ours if it came without one.
struct Trace {
    id: u128,
    span: u64,
    flags: u8,
}

impl Trace {
    fn of(headers: &HeaderMap, ids: &Ids) -> Self {
        let (id, flags) = headers
            .get("traceparent")
            .and_then(|value| value.to_str().ok())
            .and_then(parse_traceparent)
            .unwrap_or_else(|| ((u128::from(ids.next()) << 64) | u128::from(ids.next()), 0));
        Self { id, span: ids.next() | 1, flags }
    }

    fn id(&self) -> String {
        let mut text = [0; 32];
        write_hex(&mut text, &self.id.to_be_bytes());
        String::from_utf8_lossy(&text).into_owned()
    }

    fn onward(&self) -> HeaderValue {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        let parts = [(3, &self.id.to_be_bytes()[..]), (36, &self.span.to_be_bytes()), (53, &[self.flags])];
        for (at, bytes) in parts {
            write_hex(text.get_mut(at..).unwrap_or_default(), bytes);
        }
        // Hex digits and dashes are a header value; were they ever not, an empty one is no trace.
        HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static(""))
    }
}

/// Writes `bytes` in lower-case hexadecimal digits to the beginning of `text`.
fn write_hex(text: &mut [u8], bytes: &[u8]) {
    let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_that_comes_in_is_carried_on_with_a_span_of_our_own() {
        let mut headers = HeaderMap::new();
        let came = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        headers.insert("traceparent", HeaderValue::from_static(came));
        let onward = Trace::of(&headers, &Ids::new(7)).onward();
        let onward = onward.to_str().unwrap();
        assert!(onward.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && onward.ends_with("-01"));
        assert_ne!(onward, came);
        assert_eq!(Trace::of(&headers, &Ids::new(7)).id(), "4bf92f3577b34da6a3ce929d0e0e4736");
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
        let ids = Ids::new(1);
        let first = ids.decision(Timestamp::from_millisecond(1_000).unwrap());
        let later = ids.decision(Timestamp::from_millisecond(1_001).unwrap());
        assert!(first < later && first.get_version_num() == 7);
    }
}
