//! The internal API: what sidecars in other processes ask the control plane. It has a listener of its own, which
//! nobody else is to reach.
//!
//! Comes in: requests with a sidecar's proof. Goes out: news, facts and keys; nothing here changes a grant. Who proves
//! nothing is refused in one place ([`prove`]); only enrolling, which makes the proof possible, stands before it.
//!
//! To add an endpoint: one function, and one line in [`proven`].

mod enrol;
mod exchange;
mod facts;
mod follow;
mod keys;
mod policies;
mod records;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRequest, Request, State};
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use tower_http::catch_panic::CatchPanicLayer;

use super::arrival::{self, Arrival};
use super::{Control, Problem, Reply, audit, on_panic};
use crate::grants::follow::messages::{REVOKED, UNKNOWN, UNPROVEN};
use crate::store::Enrolled;
use crate::token::jwk::PublicJwk;
use crate::token::proof::{self, Proven};
use crate::token::verify::TokenRefused;

impl Control {
    /// The internal API. Serve it on a listener of its own.
    pub fn internal(self: &Arc<Self>) -> Router {
        let asked = proven().into_iter().fold(Router::new(), |all, (path, method)| all.route(path, method));
        let asked = asked
            .fallback(async || Problem::not_found())
            .method_not_allowed_fallback(async || Problem::wrong_method())
            .layer(DefaultBodyLimit::max(MOST_TOLD))
            .layer(from_fn_with_state(Arrival { limit: MOST_TOLD, within: WHOLE_BODY }, arrival::whole))
            // Outermost: of who proves nothing not even the body is read.
            .layer(from_fn_with_state(Arc::clone(self), prove));
        Router::new()
            .route("/internal/v1/enrol", post(enrol::enrol))
            .layer(DefaultBodyLimit::max(MOST_ASKED))
            .layer(from_fn_with_state(Arrival { limit: MOST_ASKED, within: WHOLE_BODY }, arrival::whole))
            .merge(asked)
            .layer(from_fn_with_state(Arc::clone(self), audit::watch_heads))
            .layer(CatchPanicLayer::custom(on_panic))
            .with_state(Arc::clone(self))
    }
}

/// Everything that only an enrolled sidecar is answered.
fn proven() -> Vec<(&'static str, MethodRouter<Arc<Control>>)> {
    vec![
        ("/internal/v1/follow", post(follow::follow).delete(follow::leave)),
        ("/internal/v1/snapshot", get(follow::snapshot)),
        ("/internal/v1/grants/{account}/{application}", get(facts::grant)),
        ("/internal/v1/grants/{account}/{application}/members/{kind}/{id}", get(facts::member)),
        ("/internal/v1/keys", get(keys::get).post(keys::publish)),
        ("/internal/v1/exchange", post(exchange::exchange)),
        ("/internal/v1/roles", post(exchange::leaving)),
        ("/internal/v1/policies", get(policies::get)),
        ("/internal/v1/records", post(records::take)),
    ]
}

/// Lets nobody through but an enrolled sidecar, which the request then carries as a [`Proven`].
async fn prove(State(control): State<Arc<Control>>, mut request: Request, next: Next) -> Response {
    match proof_of(&control, request.headers()).await {
        Ok(proven) => {
            request.extensions_mut().insert(proven);
            next.run(request).await
        }
        Err(problem) => unproven(problem),
    }
}

async fn proof_of(control: &Control, headers: &HeaderMap) -> Reply<Proven> {
    let token = bearer(headers)?;
    let sidecar = proof::claimed(token).ok_or_else(|| no_proof("the credential is no proof of a sidecar"))?;
    let enrolled = control.store().enrolled(&sidecar).await?;
    let enrolled = enrolled.ok_or_else(|| unknown(&format!("No sidecar {sidecar} is enrolled.")))?;
    still(&enrolled)?;
    let key = PublicJwk::parse(&enrolled.public_jwk)
        .map_err(|why| Problem::internal("an enrolled sidecar's key", &why))?;
    proof::verify_proof(&key, &sidecar, token, control.clock().seconds()).map_err(|refused| match refused {
        TokenRefused::UnknownKey => {
            unknown(&format!("The sidecar {sidecar} is enrolled with another key than this one."))
        }
        TokenRefused::Expired | TokenRefused::Invalid(_) => no_proof(&refused.to_string()),
    })
}

/// Whether an enrolment has not been ended.
fn still(enrolled: &Enrolled) -> Reply<()> {
    match enrolled.revoked_at {
        None => Ok(()),
        Some(at) => {
            let detail = format!("The enrolment of the sidecar {} was revoked at {at}.", enrolled.sidecar);
            Err(Problem::new(StatusCode::UNAUTHORIZED, REVOKED, detail)
                .next("Invite it again with `consentry sidecars invite`, and start it with the new token."))
        }
    }
}

fn unknown(detail: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, UNKNOWN, detail)
        .next("Invite it with `consentry sidecars invite`, and give it the token.")
}

fn no_proof(why: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, UNPROVEN, format!("Nothing proves who asks: {why}."))
        .next("Compare the clocks of the sidecar and the control plane.")
}

fn unproven(problem: Problem) -> Response {
    let mut response = problem.into_response();
    if response.status() == StatusCode::UNAUTHORIZED {
        let challenge = HeaderValue::from_static("Bearer realm=\"consentry-internal\"");
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    response
}

/// The one bearer token (RFC 6750 §2.1).
fn bearer(headers: &HeaderMap) -> Reply<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        (Some(_), Some(_)) | (None, _) => None,
    };
    let token = value.and_then(|value| value.split_once(' ')).and_then(|(scheme, token)| {
        scheme
            .eq_ignore_ascii_case("bearer")
            .then(|| token.trim_matches(' '))
            .filter(|token| !token.is_empty())
    });
    token.ok_or_else(|| no_proof("there is no bearer token"))
}

/// A JSON body; what does not fit is a problem like any other.
struct Body<T>(T);

impl<T: serde::de::DeserializeOwned> FromRequest<Arc<Control>> for Body<T> {
    type Rejection = Problem;
    async fn from_request(request: Request, control: &Arc<Control>) -> Reply<Self> {
        match axum::Json::from_request(request, control).await {
            Ok(axum::Json(body)) => Ok(Self(body)),
            Err(rejection) => {
                let status = match rejection.status() {
                    StatusCode::UNPROCESSABLE_ENTITY => StatusCode::BAD_REQUEST,
                    status => status,
                };
                // Not repeated: a body may hold a token.
                let detail = "The body cannot be read as this endpoint's JSON.";
                Err(Problem::new(status, "invalid_request", detail))
            }
        }
    }
}

/// The largest body of who has proven nothing yet, and of a sidecar.
const MOST_ASKED: usize = 16 * 1024;
const MOST_TOLD: usize = 1024 * 1024;
const WHOLE_BODY: Duration = Duration::from_secs(10);
