//! The operators' port: `/livez`, `/readyz` with reasons, `/metrics`. Nothing here passes the sidecar's own policy,
//! so that a sidecar which refuses every call can still say why.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use serde::Serialize;
use tokio::sync::watch;

use super::Sidecar;
use crate::grants::follow::Following;
use crate::grants::follow::news::FollowError;
use crate::grants::lease::Lease;
use crate::grants::shared::Link;
use crate::net::listener::{Bound, Shared};
use crate::policy::reload::Current;

/// What the operators' port can tell.
pub struct Status {
    pub(super) sidecar: Arc<Sidecar>,
    pub(super) lease: Arc<Lease>,
    pub(super) policies: Arc<Current>,
    pub(super) following: watch::Receiver<Following>,
    pub(super) shared: Option<watch::Receiver<Link>>,
    pub(super) draining: AtomicBool,
    pub(super) streams_cut: Arc<AtomicU64>,
}

/// `/readyz`: ready, or why not.
#[derive(Debug, Serialize)]
struct Readiness {
    ready: bool,
    /// Why it is not ready.
    reasons: Vec<String>,
    /// What an operator should look at, though calls are served.
    notes: Vec<String>,
    policies: String,
}

/// Serves the operators' port.
#[must_use]
pub fn serve(bound: Bound, status: Arc<Status>) -> Shared {
    bound.serve(service_fn(move |request| {
        let answer = status.answer(&request);
        async move { Ok::<_, Infallible>(answer) }
    }))
}

impl Status {
    /// Answers one request of the operators' port.
    #[must_use]
    pub fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        match request.uri().path() {
            "/livez" => text(StatusCode::OK, "text/plain", "alive\n".to_owned()),
            "/readyz" => {
                let readiness = self.readiness();
                let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
                text(status, "application/json", serde_json::to_string(&readiness).unwrap_or_default())
            }
            "/metrics" => {
                let readiness = self.readiness();
                let cut = self.streams_cut.load(Ordering::Relaxed);
                let metrics = &self.sidecar.metrics;
                metrics.show(cut, readiness.ready, self.policies.problem().is_some());
                text(StatusCode::OK, OPEN_METRICS, metrics.text())
            }
            _ => text(StatusCode::NOT_FOUND, "text/plain", "/livez, /readyz, /metrics\n".to_owned()),
        }
    }

    /// Whether decision records are being kept.
    #[must_use]
    pub fn records_healthy(&self) -> bool {
        self.sidecar.records.healthy()
    }

    /// From now on `/readyz` says that the sidecar is ending.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
    }

    fn readiness(&self) -> Readiness {
        let following = self.following.borrow().clone();
        let no_lease = if self.lease.holds() { None } else { Some(why_no_lease(&following)) };
        let said = |is: bool, reason: &str| is.then(|| reason.to_owned());
        let reasons: Vec<String> = [
            said(self.draining.load(Ordering::SeqCst), "draining: it is about to end"),
            no_lease,
            said(!self.sidecar.tokens.has_keys(), "no_keys: the issuer's keys have not been read yet"),
            said(!self.records_healthy(), "records_failing: decision records cannot be kept"),
        ]
        .into_iter()
        .flatten()
        .collect();
        let policies_refused = self
            .policies
            .problem()
            .map(|problems| format!("policies_refused: the last good ones stay in force: {problems}"));
        let one_way = following
            .trouble
            .filter(|_| self.lease.holds())
            .map(|trouble| format!("control_unreachable: the lease comes by another way: {trouble}"));
        Readiness {
            ready: reasons.is_empty(),
            reasons,
            notes: policies_refused.into_iter().chain(one_way).chain(self.redis()).collect(),
            policies: self.policies.policies().version().to_string(),
        }
    }

    /// What an operator should know of Redis: calls are served without it.
    fn redis(&self) -> Option<String> {
        match &*self.shared.as_ref()?.borrow() {
            Link::Lost(why) => Some(format!("redis: {why}; the control plane alone is followed")),
            Link::Syncing(why) => Some(format!("redis: it does not renew the lease at present: {why}")),
            Link::Synced => None,
        }
    }
}

fn why_no_lease(following: &Following) -> String {
    match (&following.trouble, &following.place) {
        (Some(FollowError::Refused(why)), _) => format!("refused: {why}"),
        (Some(FollowError::Unreachable(why)), None) => {
            format!("no_lease: the control plane has not been heard from yet: {why}")
        }
        (Some(FollowError::Unreachable(why)), Some(_)) => {
            format!("no_lease: the control plane has not been heard from for too long: {why}")
        }
        (None, _) => "no_lease: the control plane has not been heard from for too long".to_owned(),
    }
}

fn text(status: StatusCode, kind: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    response
}

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
