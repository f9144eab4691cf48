//! Asking a service of the platform's by HTTP: one request, one answer, bounded in time and size.
//!
//! Comes in: how it is reached, from the settings, and requests. Goes out: the answer's status and bytes, or why there
//! is none, in words that hold nothing of what was sent. It follows no redirect, and where the address is a name it
//! connects to no address of this machine or of its metadata unless that is allowed: a name can be turned elsewhere.
//!
//! HTTP/1.1 on purpose: an answer that does not come ends its connection, and the next question begins on a new one,
//! whereas on a shared HTTP/2 connection it would wait behind the one that hangs.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::Semaphore;
use url::Url;

use super::tls::{self, TlsError};
use super::upstream::is_local;

/// One address that is asked, by so many at once and no more.
pub struct Ask {
    client: Asking,
    uri: Uri,
    within: Duration,
    at_once: Semaphore,
}

/// Sends requests to the addresses that they name. How long it waits is its user's.
pub struct Asking {
    client: Client<HttpsConnector<HttpConnector<Resolver>>, Full<Bytes>>,
    largest: usize,
}

/// How services are reached.
#[derive(Debug, Clone, Copy)]
pub struct Way<'s> {
    /// Whether any of them speaks TLS.
    pub secure: bool,
    /// A certificate authority to trust instead of the system's, PEM.
    pub authority: Option<&'s Path>,
    /// The certificate to show, and its key.
    pub own: Option<(&'s Path, &'s Path)>,
    /// Whether a name may lead to this machine or a link-local address.
    pub allow_local: bool,
    /// How long connecting may take.
    pub connect: Duration,
    /// How long a connection is kept for the next request; none is kept unless set.
    pub idle: Option<Duration>,
    /// How long an answer may be, in bytes.
    pub largest: usize,
}

/// Why there is no way to ask.
#[derive(Debug, thiserror::Error)]
pub enum NoWay {
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The address cannot be used.
    #[error("{0} is no address that can be asked")]
    Address(Url),
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// No connection, or it broke off.
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    /// It took too long.
    #[error("it has not answered within {} ms", .0.as_millis())]
    Late(Duration),
    /// Too much is asked of it already.
    #[error("{AT_ONCE} requests to it are waiting for an answer already")]
    Busy,
    /// The answer is too long.
    #[error("its answer is longer than {0} bytes")]
    TooLarge(usize),
}

impl Ask {
    /// A service at `url`. `authority` is a certificate authority to trust instead of the system's; `within` is for a
    /// whole answer.
    ///
    /// # Errors
    /// [`NoWay`]; nothing has been asked yet.
    pub fn new(
        url: &Url,
        authority: Option<&Path>,
        allow_local: bool,
        within: Duration,
    ) -> Result<Self, NoWay> {
        let uri = url.as_str().parse().map_err(|_| NoWay::Address(url.clone()))?;
        let client = Asking::new(&Way {
            secure: url.scheme() == "https",
            authority,
            own: None,
            allow_local,
            connect: within,
            // Workers have runtimes of their own, and a connection lives on that of the worker that opened it: none is
            // kept for the others.
            idle: None,
            largest: LARGEST,
        })?;
        Ok(Self { client, uri, within, at_once: Semaphore::new(AT_ONCE) })
    }

    /// POSTs a form.
    ///
    /// # Errors
    /// [`Unanswered`].
    pub async fn post(
        &self,
        form: String,
        authorization: Option<HeaderValue>,
    ) -> Result<(StatusCode, Bytes), Unanswered> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        if let Some(mut authorization) = authorization {
            authorization.set_sensitive(true);
            headers.insert(AUTHORIZATION, authorization);
        }
        self.post_with(headers, Bytes::from(form)).await
    }

    /// POSTs a body with these headers.
    ///
    /// # Errors
    /// [`Unanswered`].
    pub async fn post_with(
        &self,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), Unanswered> {
        let _place = self.at_once.try_acquire().map_err(|_| Unanswered::Busy)?;
        let mut request = Request::post(self.uri.clone())
            .body(Full::new(body))
            .map_err(|error| Unanswered::Unreachable(error.to_string()))?;
        *request.headers_mut() = headers;
        let late = Err(Unanswered::Late(self.within));
        tokio::time::timeout(self.within, self.client.send(request)).await.unwrap_or(late)
    }
}

impl Asking {
    /// Sends in this way.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new(way: &Way<'_>) -> Result<Self, TlsError> {
        let config =
            if way.secure { tls::client_with(way.authority, way.own)? } else { tls::client_in_the_clear()? };
        let mut tcp = HttpConnector::new_with_resolver(Resolver { allow_local: way.allow_local });
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(way.connect));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let mut client = Client::builder(TokioExecutor::new());
        match way.idle {
            None => client.pool_max_idle_per_host(0),
            Some(idle) => client.pool_timer(TokioTimer::new()).pool_idle_timeout(idle),
        };
        Ok(Self { client: client.build(connector), largest: way.largest })
    }

    /// Sends one request, and reads the answer whole.
    ///
    /// # Errors
    /// [`Unanswered`].
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), Unanswered> {
        let answer = self.client.request(request).await;
        let (head, body) = answer.map_err(|error| Unanswered::Unreachable(cause(&error)))?.into_parts();
        let body = Limited::new(body, self.largest).collect().await.map_err(|error| {
            if error.is::<http_body_util::LengthLimitError>() {
                Unanswered::TooLarge(self.largest)
            } else {
                Unanswered::Unreachable("the answer broke off".to_owned())
            }
        })?;
        Ok((head.status, body.to_bytes()))
    }
}

/// Addresses of names.
#[derive(Clone)]
struct Resolver {
    allow_local: bool,
}

impl tower::Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, io::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let any = self.allow_local || name.as_str() == "localhost";
        let name: Arc<str> = Arc::from(name.as_str());
        Box::pin(async move {
            let found = tokio::net::lookup_host((&*name, 0)).await?;
            let found: Vec<_> = found.filter(|address| any || !is_local(address.ip())).collect();
            if found.is_empty() {
                let why =
                    "the name has no address that may be asked; allow_local takes those of this machine";
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
            }
            Ok(found.into_iter())
        })
    }
}

/// The innermost reason.
fn cause(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(inner) = error.source() {
        error = inner;
    }
    error.to_string()
}

/// Requests that wait for their answers.
const AT_ONCE: usize = 64;
/// Of an answer, in bytes.
const LARGEST: usize = 64 * 1024;
