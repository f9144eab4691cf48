//! The demo upstream: it plays the cloud, and shows what a real one receives.
//!
//! Comes in: any request. Goes out: the request as JSON, with the verified identity; 401 without a valid
//! assertion; an MCP server at every path that ends in `/mcp`; streams at `/oss-watch/…`, `/oss-socket/…` and `/oss/…/big?bytes=N`. `/_seen` tells what arrived,
//! refused requests included. It checks assertions as any upstream should: against the issuer's published keys,
//! for its own audience. It keeps no objects: what is written is not there when it is read.

mod issuer_keys;
mod mcp;
mod seen;
mod streams;

use std::sync::Arc;

use aws_lc_rs::digest;
use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequestParts, Request, State, WebSocketUpgrade};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{Method, StatusCode, header};
use http_body_util::BodyExt;
use tokio::net::TcpListener;

use self::issuer_keys::{Held, IssuerKeys};
use self::seen::{Seen, SeenRequest, length_text, texts};
use self::streams::{Download, Events, counted, talk};
use crate::demo::story::Walkthrough;
use crate::model::time::Clock;
use crate::token::assertion::{Assertion, verify_assertion};
use crate::token::random::sha256;
use crate::token::verify::TokenRefused;

/// What the upstream must know.
pub struct Settings {
    /// The issuer whose assertions it takes, and at whose `/v1/keys` the keys are.
    pub issuer: String,
    /// Its own audience: that of the routes that lead to it.
    pub audience: String,
    /// The time.
    pub clock: Clock,
    /// With it, `/callback` is the demo application's page, at which a person gets a token.
    pub walkthrough: Option<Walkthrough>,
}

struct Upstream {
    settings: Settings,
    keys: IssuerKeys,
    seen: Seen,
    tools: mcp::Server,
}

/// The upstream as a service, for any loop that serves HTTP/1.1 and HTTP/2.
pub fn router(settings: Settings) -> Router {
    let keys = IssuerKeys::new(&settings.issuer);
    Router::new().fallback(answer).with_state(Arc::new(Upstream {
        settings,
        keys,
        seen: Seen::default(),
        tools: mcp::Server::default(),
    }))
}

/// Serves the upstream until `stop` is ready. Open streams are cut then.
pub async fn serve(
    listener: TcpListener,
    settings: Settings,
    stop: impl Future<Output = ()> + Send,
) -> std::io::Result<()> {
    tokio::select! {
        ended = axum::serve(listener, router(settings)).into_future() => ended,
        () = stop => Ok(()),
    }
}

async fn answer(State(upstream): State<Arc<Upstream>>, request: Request) -> Response {
    let (mut head, body) = request.into_parts();
    if head.method == Method::GET && head.uri.path() == "/_seen" {
        return json(StatusCode::OK, "application/json", upstream.seen.to_json());
    }
    if let Some(page) = upstream.callback(&head) {
        return page;
    }
    let mut request = SeenRequest::new(&head);
    let number = upstream.seen.arrived(request.clone());
    let identity = match upstream.identify(&head).await {
        Ok(identity) => identity,
        Err(refusal) => return refusal.into_response(),
    };
    request.identity = Some(identity.clone());
    upstream.seen.complete(number, &request);
    if identity.allows_body(&sha256(b""))
        && let Some(stream) = stream(&mut head).await
    {
        return stream;
    }
    let Ok(received) = receive(body, &mut request).await else {
        return Refusal::BadBody.into_response();
    };
    upstream.seen.complete(number, &request);
    if !identity.allows_body(&received) {
        return Refusal::Token(TokenRefused::Invalid("it is bound to another body")).into_response();
    }
    if head.uri.path().ends_with("/mcp") {
        return upstream.tools.answer(&head, &request.body, &identity);
    }
    json(StatusCode::OK, "application/json", serde_json::to_string(&request).unwrap_or_default())
}

impl Upstream {
    /// The demo application's redirect page, where the browser brings the code.
    fn callback(&self, head: &Parts) -> Option<Response> {
        let walkthrough = self.settings.walkthrough.as_ref()?;
        if head.method != Method::GET || head.uri.path() != "/callback" {
            return None;
        }
        let page = walkthrough.page(head.uri.query().unwrap_or_default());
        let headers = [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'"),
            (header::CACHE_CONTROL, "no-store"),
            (header::REFERRER_POLICY, "no-referrer"),
        ];
        Some((headers, page).into_response())
    }

    /// Who calls, by the assertion of a sidecar.
    async fn identify(&self, head: &Parts) -> Result<Assertion, Refusal> {
        let token = bearer(head).ok_or(Refusal::NoToken)?;
        let check = |held: &Held| {
            let Settings { issuer, audience, clock, .. } = &self.settings;
            verify_assertion(&held.keys, token, issuer, audience, clock.seconds())
        };
        let held = self.keys.held();
        let identity = match check(&held) {
            Err(TokenRefused::UnknownKey) => {
                let newer =
                    self.keys.newer_than(&held).await.map_err(|why| Refusal::NoKeys(why.to_string()))?;
                check(&newer)
            }
            known => known,
        }
        .map_err(Refusal::Token)?;
        if !identity.allows_request(head.method.as_str(), head.uri.path()) {
            return Err(Refusal::Token(TokenRefused::Invalid("it is bound to another request")));
        }
        Ok(identity)
    }
}

/// The token of the one `Authorization: Bearer` header (RFC 6750 §2.1).
fn bearer(head: &Parts) -> Option<&str> {
    let mut values = head.headers.get_all(header::AUTHORIZATION).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The answer of the paths that stream.
async fn stream(head: &mut Parts) -> Option<Response> {
    let path = head.uri.path();
    if head.method != Method::GET {
        return None;
    }
    if path.starts_with("/oss-watch/") {
        let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
        return Some((headers, Body::new(Events::new(counted))).into_response());
    }
    if path.starts_with("/oss-socket/") {
        let socket = WebSocketUpgrade::from_request_parts(head, &()).await;
        return Some(socket.map_or_else(IntoResponse::into_response, |socket| socket.on_upgrade(talk)));
    }
    if path.contains("/oss/") && path.ends_with("/big") {
        let query = head.uri.query()?;
        let bytes = query.split('&').find_map(|pair| pair.strip_prefix("bytes="))?.parse().ok()?;
        let headers = [(header::CONTENT_TYPE, "application/octet-stream")];
        return Some((headers, Body::new(Download::new(bytes))).into_response());
    }
    None
}

/// Reads the body to its end: keeps it up to some size, counts it beyond. Answers its SHA-256.
async fn receive(mut body: Body, request: &mut SeenRequest) -> Result<[u8; 32], axum::Error> {
    let (mut kept, mut length) = (Vec::new(), 0_u64);
    let mut hash = digest::Context::new(&digest::SHA256);
    while let Some(frame) = body.frame().await {
        match frame?.into_data() {
            Ok(piece) => {
                length += piece.len() as u64;
                hash.update(&piece);
                if length <= LARGEST_KEPT {
                    kept.extend_from_slice(&piece);
                } else {
                    kept = Vec::new();
                }
            }
            Err(other) => {
                request.trailers = other.into_trailers().map(|map| texts(&map)).unwrap_or_default();
            }
        }
    }
    request.body = if length <= LARGEST_KEPT {
        String::from_utf8_lossy(&kept).into_owned()
    } else {
        length_text(length)
    };
    let mut sum = [0_u8; 32];
    sum.copy_from_slice(hash.finish().as_ref());
    Ok(sum)
}

enum Refusal {
    NoToken,
    Token(TokenRefused),
    NoKeys(String),
    BadBody,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, code, detail) = match self {
            Self::NoToken => (
                StatusCode::UNAUTHORIZED,
                "no_identity",
                "call through the sidecar: it adds who calls".to_owned(),
            ),
            Self::Token(why) => (StatusCode::UNAUTHORIZED, "invalid_identity", why.to_string()),
            Self::NoKeys(why) => (StatusCode::SERVICE_UNAVAILABLE, "keys_unavailable", why),
            Self::BadBody => {
                (StatusCode::BAD_REQUEST, "bad_body", "the body ended before its end".to_owned())
            }
        };
        let problem = serde_json::json!({
            "type": "about:blank",
            "title": status.canonical_reason(),
            "status": status.as_u16(),
            "code": code,
            "detail": detail,
        });
        let mut response = json(status, "application/problem+json", problem.to_string());
        if status == StatusCode::UNAUTHORIZED {
            let challenge = header::HeaderValue::from_static("Bearer realm=\"demo upstream\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

fn json(status: StatusCode, kind: &'static str, text: String) -> Response {
    (status, [(header::CONTENT_TYPE, kind)], text).into_response()
}

const LARGEST_KEPT: u64 = 4 * 1024 * 1024;

#[cfg(test)]
mod tests;
