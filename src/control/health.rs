//! The operators' port of a control plane: `/livez` and `/readyz`, with reasons. For probes, not for the public.
//!
//! Comes in: a request of a probe. Goes out: 200 or 503. Live means that the process answers, whatever the store
//! does; ready means that the store answers and the keys are there to sign with. It never changes anything.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode, header};
use http_body_util::Full;
use hyper::service::service_fn;
use serde::Serialize;

use super::Control;
use crate::net::listener::{Bound, Shared};
use crate::token::keys::Purpose;

/// Whether a control plane is well.
pub struct Health {
    control: Arc<Control>,
    draining: AtomicBool,
}

/// `/readyz`: ready, or why not.
#[derive(Debug, Serialize)]
struct Readiness {
    ready: bool,
    /// Why it is not ready.
    reasons: Vec<&'static str>,
    /// What an operator should look at, though requests are served.
    notes: Vec<String>,
    policies: String,
}

impl Health {
    /// The health of `control`.
    #[must_use]
    pub fn new(control: &Arc<Control>) -> Arc<Self> {
        Arc::new(Self { control: Arc::clone(control), draining: AtomicBool::new(false) })
    }

    /// Answers on `bound` until what is returned is dropped.
    #[must_use]
    pub fn serve(self: &Arc<Self>, bound: Bound) -> Shared {
        let health = Arc::clone(self);
        bound.serve(service_fn(move |request: http::Request<hyper::body::Incoming>| {
            let health = Arc::clone(&health);
            async move { Ok::<_, Infallible>(health.answer(request.uri().path()).await) }
        }))
    }

    /// From now on `/readyz` says that the control plane is ending.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
    }

    async fn answer(&self, path: &str) -> Response<Full<Bytes>> {
        match path {
            "/livez" => text(StatusCode::OK, "text/plain", "alive\n".to_owned()),
            "/readyz" => {
                let readiness = self.readiness().await;
                let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
                text(status, "application/json", serde_json::to_string(&readiness).unwrap_or_default())
            }
            _ => text(StatusCode::NOT_FOUND, "text/plain", "/livez, /readyz\n".to_owned()),
        }
    }

    async fn readiness(&self) -> Readiness {
        let control = &self.control;
        // Why a store does not answer stands in the log of whoever needed it; a probe is told no addresses.
        let asked = tokio::time::timeout(PATIENCE, control.store.newest()).await;
        let signs = control.ring().keys.signer(Purpose::AccessToken, control.clock.now()).is_ok();
        let reasons: Vec<&'static str> = [
            (self.draining.load(Ordering::SeqCst), "draining: it is about to end"),
            (!matches!(asked, Ok(Ok(_))), "store_unavailable: the store does not answer"),
            (!signs, "no_keys: there is no key that signs access tokens now"),
        ]
        .into_iter()
        .filter_map(|(is, reason)| is.then_some(reason))
        .collect();
        let problem = control
            .policies
            .problem()
            .map(|problems| format!("policies_refused: the last good ones stay in force: {problems}"));
        Readiness {
            ready: reasons.is_empty(),
            reasons,
            notes: problem.into_iter().collect(),
            policies: control.policies().version().to_string(),
        }
    }
}

fn text(status: StatusCode, kind: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    response
}

/// For the store's answer; shorter than a probe's own.
const PATIENCE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use serde_json::Value;

    use super::*;
    use crate::control::tests::World;

    async fn ask(health: &Health, path: &str) -> (u16, String) {
        let answer = health.answer(path).await;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn reasons(health: &Health) -> (u16, String) {
        let (status, text) = ask(health, "/readyz").await;
        (status, serde_json::from_str::<Value>(&text).unwrap()["reasons"].to_string())
    }

    #[tokio::test]
    async fn a_control_plane_with_store_and_keys_is_live_and_ready() {
        let health = Health::new(&World::new().await.control);
        assert_eq!(ask(&health, "/livez").await.0, 200);
        assert_eq!(reasons(&health).await, (200, "[]".to_owned()));
        assert_eq!(ask(&health, "/metrics").await.0, 404);
    }

    #[tokio::test]
    async fn without_its_store_it_lives_but_is_not_ready_and_says_why() {
        let world = World::new().await;
        let health = Health::new(&world.control);
        world.control.store().close().await;
        let (status, reasons) = reasons(&health).await;
        assert!(status == 503 && reasons.contains("store_unavailable"), "{status} {reasons}");
        assert_eq!(ask(&health, "/livez").await.0, 200, "else it would be killed for what it cannot mend");
    }

    #[tokio::test]
    async fn one_that_is_ending_takes_no_more_traffic() {
        let health = Health::new(&World::new().await.control);
        health.drain();
        let (status, reasons) = reasons(&health).await;
        assert!(status == 503 && reasons.contains("draining"), "{status} {reasons}");
    }
}
