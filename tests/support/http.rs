//! An HTTP client that does what it is told and nothing more: no redirects, no cookies, no retries, one
//! connection a request. HTTP/1.1, or HTTP/2 by prior knowledge.

use base64::Engine as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::{HeaderMap, Method, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use url::Url;

use super::eventually::in_time;

/// A request that is being put together.
#[derive(Clone)]
pub(crate) struct Call {
    method: Method,
    url: Url,
    headers: Vec<(String, String)>,
    body: Bytes,
}

/// A whole response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    asked: String,
}

pub(crate) fn get(url: impl AsRef<str>) -> Call {
    Call::new("GET", url)
}

pub(crate) fn post(url: impl AsRef<str>) -> Call {
    Call::new("POST", url)
}

impl Call {
    pub(crate) fn new(method: &str, url: impl AsRef<str>) -> Self {
        let url = Url::parse(url.as_ref()).unwrap();
        Self { method: method.parse().unwrap(), url, headers: Vec::new(), body: Bytes::new() }
    }

    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    pub(crate) fn basic(self, id: &str, secret: &str) -> Self {
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("{id}:{secret}"));
        self.header("authorization", format!("Basic {pair}"))
    }

    pub(crate) fn form(mut self, fields: &[(&str, &str)]) -> Self {
        self.body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish()
            .into_bytes()
            .into();
        self.header("content-type", "application/x-www-form-urlencoded")
    }

    pub(crate) fn json(mut self, body: &Value) -> Self {
        self.body = body.to_string().into();
        self.header("content-type", "application/json")
    }

    pub(crate) fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends it over HTTP/1.1 and waits for the whole response.
    pub(crate) async fn send(self) -> Answer {
        let asked = format!("{} {}", self.method, self.url);
        in_time(&asked.clone(), async { Answer::read(asked, self.open().await).await }).await
    }

    /// Sends it over HTTP/2 by prior knowledge and waits for the whole response.
    pub(crate) async fn send_h2(self) -> Answer {
        let asked = format!("{} {} (h2c)", self.method, self.url);
        in_time(&asked.clone(), async {
            let io = TokioIo::new(self.connect().await);
            let (mut sender, connection) =
                hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
            tokio::spawn(connection);
            let request = self.request(self.url.as_str());
            Answer::read(asked, sender.send_request(request).await.unwrap()).await
        })
        .await
    }

    /// Sends it over HTTP/1.1 and returns as soon as the head is here; the body can be read as it comes.
    pub(crate) async fn open(self) -> Response<Incoming> {
        let io = TokioIo::new(self.connect().await);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        let mut request = self.request(&self.url[url::Position::BeforePath..url::Position::AfterQuery]);
        let host = self.url[url::Position::BeforeHost..url::Position::AfterPort].parse().unwrap();
        request.headers_mut().entry("host").or_insert(host);
        match sender.send_request(request).await {
            Ok(response) => response,
            Err(error) => panic!("{} {}: no answer: {error}", self.method, self.url),
        }
    }

    async fn connect(&self) -> TcpStream {
        let address = &self.url[url::Position::BeforeHost..url::Position::AfterPort];
        match TcpStream::connect(address).await {
            Ok(stream) => stream,
            Err(error) => panic!("{}: cannot connect: {error}", self.url),
        }
    }

    fn request(&self, target: &str) -> Request<Full<Bytes>> {
        let mut request = Request::builder().method(self.method.clone()).uri(target);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.body(Full::new(self.body.clone())).unwrap()
    }
}

impl Answer {
    async fn read(asked: String, response: Response<Incoming>) -> Self {
        let (head, body) = response.into_parts();
        let body = match body.collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) => panic!("{asked}: the body of the {} broke off: {error}", head.status),
        };
        Self { status: head.status.as_u16(), headers: head.headers, body, asked }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON, null when it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// A header's value, empty when it is absent.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Fails the test unless the status is `wanted`; gives the body as JSON.
    #[track_caller]
    pub(crate) fn expect(&self, wanted: u16) -> Value {
        assert_eq!(self.status, wanted, "{}: {:?} {}", self.asked, self.headers, self.text());
        self.json()
    }

    /// Fails the test unless this is the problem `code` with the status, as RFC 9457 or the cloud has it; gives the problem.
    #[track_caller]
    pub(crate) fn expect_problem(&self, status: u16, code: &str) -> Value {
        let body = self.expect(status);
        let told = &body["AccessDeniedDetail"];
        let problem = if told.is_null() {
            assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.asked);
            body
        } else {
            // The same in the shape that the cloud's SDKs parse.
            json!({
                "code": told["Reason"], "status": status, "detail": body["Message"], "next": told["NextStep"],
                "page": told["Page"], "decision": told["Decision"],
            })
        };
        assert_eq!(problem["code"], code, "{}: {problem}", self.asked);
        assert_eq!(problem["status"].as_u64().unwrap_or(status.into()), u64::from(status), "{problem}");
        let sentence = problem["detail"].as_str().or(problem["title"].as_str()).unwrap_or_default();
        assert!(!sentence.is_empty(), "a problem says in a sentence what is wrong: {problem}");
        problem
    }

    /// Fails the test unless this is the OAuth error `error` (RFC 6749 §5.2) with the status.
    #[track_caller]
    pub(crate) fn expect_oauth_error(&self, status: u16, error: &str) {
        let body = self.expect(status);
        assert_eq!(body["error"], error, "{}: {body}", self.asked);
        assert_eq!(self.header("cache-control"), "no-store", "{}", self.asked);
    }
}
