//! A client of the admin API for the command line: one request, one connection, http or https.
//!
//! Comes in: an address, a token, a method, a path, perhaps a JSON body. Goes out: the answer's JSON or text, or a
//! [`Failure`] that says what to do. Redirects are not followed: a token goes to the address that was named only.

use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use url::{Host, Url};

use super::Failure;
use super::app::{at, plain};
use crate::net::tls::client_config;
use crate::token::random::Secret;

/// The admin API of one control plane, as one administrator.
pub struct Api {
    server: Url,
    token: Secret,
}

impl Api {
    /// The API below `server` with an API token.
    ///
    /// # Errors
    /// [`Failure::Usage`] when the address is none, or the token would travel in the clear to another machine.
    pub fn new(server: &str, token: Secret) -> Result<Self, Failure> {
        let server = Url::parse(server)
            .map_err(|error| Failure::Usage(format!("{server:?} is not a server's address: {error}")))?;
        let loopback = match server.host() {
            Some(Host::Ipv4(ip)) => ip.is_loopback(),
            Some(Host::Ipv6(ip)) => ip.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        };
        match server.scheme() {
            "https" => Ok(Self { server, token }),
            "http" if loopback => Ok(Self { server, token }),
            "http" => Err(Failure::Usage(format!(
                "{server} is another machine: the token would travel in the clear; give an https address"
            ))),
            _ => Err(Failure::Usage(format!("{server} is neither an http nor an https address"))),
        }
    }

    /// Asks `path` below `/api/v1`, whose parts the caller has encoded, and answers the JSON; null when there is no
    /// body.
    ///
    /// # Errors
    /// [`Failure::Unreachable`] when nothing or nothing sensible answers or the server says that it cannot,
    /// [`Failure::Usage`] when the request did not fit, [`Failure::No`] when it was refused.
    pub async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let (status, bytes) = self.patiently(method, path, body, JSON).await?;
        self.judged(status, &bytes)
    }

    /// The same for what answers line by line: `each` gets every line but the last, which is the answer.
    ///
    /// # Errors
    /// As for [`Api::ask`].
    pub async fn lines(
        &self,
        method: Method,
        path: &str,
        mut each: impl FnMut(&Value) -> Result<(), Failure>,
    ) -> Result<Value, Failure> {
        let late = || Failure::Unreachable(format!("{} has not answered in time", self.server));
        let request = self.request(method, path, None, LINES)?;
        let answer = tokio::time::timeout(PATIENCE, self.open(request)).await.map_err(|_| late())??;
        let (head, mut body) = answer.into_parts();
        let (mut read, mut last) = (Vec::new(), None);
        while let Some(frame) = tokio::time::timeout(PATIENCE, body.frame()).await.map_err(|_| late())? {
            let frame = frame.map_err(|error| Failure::Unreachable(format!("{}: {error}", self.server)))?;
            read.extend_from_slice(&frame.into_data().unwrap_or_default());
            if read.len() > LARGEST {
                return Err(Failure::Unreachable(format!("{} answers without an end", self.server)));
            }
            while let Some(end) = read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = read.drain(..=end).collect();
                if let Some(before) = last.replace(line) {
                    each(&self.judged(head.status, &before)?)?;
                }
            }
        }
        self.judged(head.status, &last.unwrap_or(read))
    }

    fn judged(&self, status: StatusCode, bytes: &[u8]) -> Result<Value, Failure> {
        let value = if bytes.is_empty() { Ok(Value::Null) } else { serde_json::from_slice(bytes) };
        match value {
            Ok(value) if status.is_success() => Ok(value),
            Ok(problem) if at(&problem, "code").is_string() => Err(refused(status, &problem)),
            Ok(_) | Err(_) => Err(Failure::Unreachable(format!(
                "{} answered {status}, but not as an admin API does; is it the address of a control plane?",
                self.server
            ))),
        }
    }

    /// The same for what answers text.
    ///
    /// # Errors
    /// As for [`Api::ask`].
    pub async fn text(&self, path: &str) -> Result<String, Failure> {
        let (status, bytes) = self.patiently(Method::GET, path, None, TEXT).await?;
        match String::from_utf8(bytes.to_vec()) {
            Ok(text) if status.is_success() => Ok(text),
            Ok(text) => Err(refused(status, &serde_json::from_str(&text).unwrap_or_default())),
            Err(_) => {
                Err(Failure::Unreachable(format!("{} answered something that is no text", self.server)))
            }
        }
    }

    async fn patiently(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        accept: &str,
    ) -> Result<(StatusCode, Bytes), Failure> {
        match tokio::time::timeout(PATIENCE, self.exchange(method, path, body, accept)).await {
            Ok(answer) => answer,
            Err(_) => {
                let seconds = PATIENCE.as_secs();
                Err(Failure::Unreachable(format!("{} has not answered within {seconds} s", self.server)))
            }
        }
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        accept: &str,
    ) -> Result<(StatusCode, Bytes), Failure> {
        let answer = self.open(self.request(method, path, body, accept)?).await?;
        let (head, body) = answer.into_parts();
        let broken = |why: &dyn std::fmt::Display| Failure::Unreachable(format!("{}: {why}", self.server));
        let body = Limited::new(body, LARGEST).collect().await.map_err(|error| broken(&error))?;
        Ok((head.status, body.to_bytes()))
    }

    async fn open(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Failure> {
        let broken = |why: &dyn std::fmt::Display| Failure::Unreachable(format!("{}: {why}", self.server));
        let host = self.server.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let port = self.server.port_or_known_default().unwrap_or(443);
        let tcp = TcpStream::connect((host, port)).await.map_err(|error| {
            Failure::Unreachable(format!(
                "{} cannot be reached: {error}. Is it running? Give another address with --server or CONSENTRY_SERVER.",
                self.server
            ))
        })?;
        let response = if self.server.scheme() == "https" {
            let name = ServerName::try_from(host.to_owned()).map_err(|error| broken(&error))?;
            let tls = connector()?.connect(name, tcp).await.map_err(|error| broken(&error))?;
            send(tls, request).await
        } else {
            send(tcp, request).await
        };
        response.map_err(|error| broken(&error))
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        accept: &str,
    ) -> Result<Request<Full<Bytes>>, Failure> {
        let base = self.server.path().trim_end_matches('/');
        let authority = self.server.authority();
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{base}/api/v1{path}"))
            .header("host", authority)
            .header("accept", accept)
            .header("authorization", format!("Bearer {}", self.token.expose()));
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let wrong =
            |error| Failure::Usage(format!("the request cannot be sent (is the token one line?): {error}"));
        request.body(Full::new(body)).map_err(wrong)
    }
}

async fn send<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, hyper::Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the connection, which ends with the answer; an error in it is the answer's too.
    tokio::spawn(connection);
    sender.send_request(request).await
}

fn connector() -> Result<tokio_rustls::TlsConnector, Failure> {
    let config = client_config(None, false).map_err(|error| Failure::Unreachable(error.to_string()))?;
    Ok(tokio_rustls::TlsConnector::from(config))
}

/// A refusal in the server's own words, with the exit code that fits.
fn refused(status: StatusCode, problem: &Value) -> Failure {
    let text = |name: &str| plain(at(problem, name).as_str().unwrap_or_default());
    let next = match text("next") {
        next if next.is_empty() => String::new(),
        next => format!(" {next}"),
    };
    let told = format!("{}{next} ({status}, {})", text("detail"), text("code"));
    match status.as_u16() {
        400 | 415 => Failure::Usage(told),
        500.. => Failure::Unreachable(told),
        _ => Failure::No(told),
    }
}

/// Long enough for the lease of a sidecar that does not answer to run out.
const PATIENCE: Duration = Duration::from_secs(120);
const LINES: &str = "application/x-ndjson";
const JSON: &str = "application/json";
const TEXT: &str = "text/html, text/plain";
const LARGEST: usize = 16 * 1024 * 1024;
