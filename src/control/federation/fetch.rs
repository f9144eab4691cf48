//! Asking a provider: one request, one answer, bounded in time and size.
//!
//! Comes in: an address of its discovery document. Goes out: the bytes of a 200, or why there are none, in words that
//! hold no token. A redirect is not followed, and nothing travels in the clear but on this machine.

use std::time::Duration;

use axum::body::Bytes;
use axum::http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use url::Url;

use crate::config::provider::{Provider, fit};
use crate::net::tls::{TlsError, client_in_the_clear, client_with};
use crate::token::random::Secret;

/// A client for one provider.
pub(super) struct Fetch {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    /// Whether it is on this machine, and may be asked in the clear.
    loopback: bool,
}

/// Why a provider gave no answer that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unanswered {
    /// Its discovery document names an address that is not asked.
    #[error("it names {0:?}, which is not asked: https is required")]
    Unfit(String),
    /// No connection, or it broke off.
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    /// It took too long.
    #[error("it has not answered in time")]
    Late,
    /// Another status than 200.
    #[error("it answered {0}{1}")]
    Status(u16, String),
    /// The answer is too long.
    #[error("its answer is longer than {LARGEST} bytes")]
    TooLarge,
    /// The answer cannot be read.
    #[error("its answer cannot be read: {0}")]
    Unreadable(&'static str),
}

/// What is sent along.
pub(super) enum Credential<'a> {
    /// Nothing.
    None,
    /// Our id and secret there (RFC 6749 section 2.3.1).
    Basic(&'a str, &'a Secret),
    /// An access token (RFC 6750 section 2.1).
    Bearer(&'a Secret),
}

impl Fetch {
    /// A client that trusts whom the settings say.
    pub(super) fn new(settings: &Provider) -> Result<Self, TlsError> {
        let loopback = settings.issuer.starts_with("http://");
        let config =
            if loopback { client_in_the_clear()? } else { client_with(settings.ca.as_deref(), None)? };
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_http1().build();
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        Ok(Self { client, loopback })
    }

    /// An address that may be asked.
    pub(super) fn address(&self, text: &str) -> Result<Url, Unanswered> {
        let unfit = || Unanswered::Unfit(text.chars().take(200).collect());
        let url = Url::parse(text).map_err(|_| unfit())?;
        if fit(&url, self.loopback) { Ok(url) } else { Err(unfit()) }
    }

    /// GETs an answer of JSON.
    pub(super) async fn get(&self, url: &Url, with: Credential<'_>) -> Result<Bytes, Unanswered> {
        let request = Request::get(url.as_str()).header(ACCEPT, "application/json");
        let mut request = request.body(Full::default()).map_err(|_| Unanswered::Unfit(url.to_string()))?;
        add(&mut request, &with)?;
        self.send(request).await
    }

    /// POSTs a form, and GETs JSON back.
    pub(super) async fn post(
        &self,
        url: &Url,
        form: String,
        with: Credential<'_>,
    ) -> Result<Bytes, Unanswered> {
        let request = Request::post(url.as_str())
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Full::new(Bytes::from(form)));
        let mut request = request.map_err(|_| Unanswered::Unfit(url.to_string()))?;
        add(&mut request, &with)?;
        self.send(request).await
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Bytes, Unanswered> {
        tokio::time::timeout(PATIENCE, self.exchange(request)).await.unwrap_or(Err(Unanswered::Late))
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Bytes, Unanswered> {
        let answer = self.client.request(request).await;
        let (head, body) = answer.map_err(|error| Unanswered::Unreachable(cause(&error)))?.into_parts();
        let announced = head.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        if announced.and_then(|text| text.parse().ok()).is_some_and(|length: usize| length > LARGEST) {
            return Err(Unanswered::TooLarge);
        }
        let body = Limited::new(body, LARGEST).collect().await.map_err(|error| {
            if error.is::<http_body_util::LengthLimitError>() {
                Unanswered::TooLarge
            } else {
                Unanswered::Unreachable("the answer broke off".to_owned())
            }
        })?;
        let bytes = body.to_bytes();
        if head.status != StatusCode::OK {
            return Err(Unanswered::Status(head.status.as_u16(), error_code(&bytes)));
        }
        let kind = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        // RFC 7517 section 8.5 has a media type of its own for key sets.
        if !matches!(essence.as_str(), "application/json" | "application/jwk-set+json") {
            return Err(Unanswered::Unreadable("it is not JSON"));
        }
        Ok(bytes)
    }
}

fn add(request: &mut Request<Full<Bytes>>, with: &Credential<'_>) -> Result<(), Unanswered> {
    use base64::Engine;
    let text = match with {
        Credential::None => return Ok(()),
        Credential::Basic(id, secret) => {
            // Both are form-encoded first (RFC 6749 section 2.3.1).
            let encoded =
                |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            let pair = Secret::new(format!("{}:{}", encoded(id), encoded(secret.expose())));
            format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair.expose()))
        }
        Credential::Bearer(token) => format!("Bearer {}", token.expose()),
    };
    let mut value = HeaderValue::from_str(&text).map_err(|_| Unanswered::Unreadable("its token is none"))?;
    value.set_sensitive(true);
    request.headers_mut().insert(AUTHORIZATION, value);
    Ok(())
}

/// The `error` of RFC 6749 section 5.2, if the answer is one: the only part of a refusal that is fit to be logged.
fn error_code(bytes: &[u8]) -> String {
    let value: serde_json::Value = serde_json::from_slice(bytes).unwrap_or_default();
    let code = value.get("error").and_then(serde_json::Value::as_str).unwrap_or_default();
    let plain =
        code.len() <= 64 && code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if plain && !code.is_empty() { format!(" {code}") } else { String::new() }
}

/// The innermost reason.
fn cause(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(inner) = error.source() {
        error = inner;
    }
    error.to_string()
}

/// For each request, from connecting to the last byte.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// Of an answer, in bytes.
const LARGEST: usize = 256 * 1024;
