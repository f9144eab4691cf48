//! The control nodes as one: asks the node that answered last, and the next one when it does not answer.
//!
//! Comes in: a question and the sidecar's proof. Goes out: the answer's bytes, or that no node gave one.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::Full;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::LinkError;
use crate::config::sidecar::ControlPlane;
use crate::net::ask::{Asking, Way};
use crate::token::random::{self, Secret};

/// The control nodes.
pub(super) struct Nodes {
    client: Asking,
    /// Each one's address, without a slash at its end.
    urls: Vec<String>,
    at: AtomicUsize,
}

/// What is asked.
pub(super) struct Question<'q> {
    pub(super) method: Method,
    pub(super) path: &'q str,
    pub(super) body: Vec<u8>,
    /// For each node; without it, whoever asks has a deadline of their own.
    pub(super) within: Option<Duration>,
}

/// Why there is no good answer.
#[derive(Debug)]
pub(super) enum Asked {
    /// No node answered, or none in a way that can be understood.
    Unreachable(String),
    /// A node refused, in a problem's words.
    Refused { code: String, text: String },
}

impl Nodes {
    pub(super) fn new(settings: &ControlPlane) -> Result<Self, LinkError> {
        let own = settings.certificate.as_deref().zip(settings.key.as_deref());
        let secure = settings.urls.iter().any(|url| url.scheme() == "https");
        let client = Asking::new(&Way {
            secure,
            authority: settings.ca.as_deref(),
            own,
            allow_local: true,
            connect: CONNECT,
            idle: Some(IDLE),
            largest: LARGEST,
        })?;
        // Sidecars that start together do not all begin with the same node.
        let mut seed = [0; 2];
        random::fill(&mut seed)?;
        let at = usize::from(u16::from_be_bytes(seed)).checked_rem(settings.urls.len()).unwrap_or(0);
        let urls = settings.urls.iter().map(address).collect::<Result<_, _>>()?;
        Ok(Self { client, urls, at: AtomicUsize::new(at) })
    }

    /// Asks until a node answers, each at most once, one alone twice.
    pub(super) async fn ask(&self, question: &Question<'_>, proof: &Secret) -> Result<Bytes, Asked> {
        let mut last = Asked::Unreachable("there is no control node".to_owned());
        for turn in 0..self.urls.len().max(2) {
            if turn > 0 {
                jitter().await;
            }
            match self.ask_one(question, proof).await {
                Err(Asked::Unreachable(why)) => last = Asked::Unreachable(why),
                answer => return answer,
            }
        }
        Err(last)
    }

    async fn ask_one(&self, question: &Question<'_>, proof: &Secret) -> Result<Bytes, Asked> {
        let at = self.at.load(Ordering::Relaxed);
        let url = self.urls.get(at).map_or("", String::as_str);
        let mut turn = Turn { nodes: self, at, answered: false };
        let exchange = self.exchange(url, question, proof);
        let answer = match question.within {
            None => exchange.await,
            Some(within) => tokio::time::timeout(within, exchange).await.unwrap_or_else(|_| {
                Err(Asked::Unreachable(format!("{url} did not answer within {} ms", within.as_millis())))
            }),
        };
        turn.answered = !matches!(answer, Err(Asked::Unreachable(_)));
        answer
    }

    async fn exchange(&self, url: &str, question: &Question<'_>, proof: &Secret) -> Result<Bytes, Asked> {
        let unreachable = |why: &dyn std::fmt::Display| Asked::Unreachable(format!("{url}: {why}"));
        let mut credential =
            HeaderValue::from_str(&format!("Bearer {}", proof.expose())).map_err(|why| unreachable(&why))?;
        credential.set_sensitive(true);
        let request = Request::builder()
            .method(question.method.clone())
            .uri(format!("{url}{}", question.path))
            .header(AUTHORIZATION, credential)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::copy_from_slice(&question.body)))
            .map_err(|why| unreachable(&why))?;
        let (status, body) = self.client.send(request).await.map_err(|why| unreachable(&why))?;
        judge(url, status, body)
    }

    #[cfg(test)]
    pub(super) fn begin_with(&self, at: usize) {
        self.at.store(at, Ordering::Relaxed);
    }

    fn go_on_from(&self, at: usize) {
        let next = at.saturating_add(1).checked_rem(self.urls.len()).unwrap_or(0);
        // Unless another question has gone on already.
        let _ = self.at.compare_exchange(at, next, Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// One question to one node. When it ends without an answer, also by being given up, the next node is asked next.
struct Turn<'n> {
    nodes: &'n Nodes,
    at: usize,
    answered: bool,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.nodes.go_on_from(self.at);
        }
    }
}

/// An answer's JSON.
pub(super) fn read<T: DeserializeOwned>(answer: &[u8]) -> Result<T, Asked> {
    serde_json::from_slice(answer)
        .map_err(|why| Asked::Unreachable(format!("the control plane's answer cannot be read: {why}")))
}

fn judge(url: &str, status: StatusCode, body: Bytes) -> Result<Bytes, Asked> {
    #[derive(Deserialize)]
    struct Problem {
        code: String,
        detail: String,
        #[serde(default)]
        next: String,
    }
    if status.is_success() {
        return Ok(body);
    }
    match serde_json::from_slice::<Problem>(&body) {
        Ok(Problem { code, detail, next }) => {
            let text = format!("{detail} {next}").trim_end().to_owned();
            // What a node itself cannot do now, another may.
            if status.is_server_error() {
                Err(Asked::Unreachable(format!("{url}: {text}")))
            } else {
                Err(Asked::Refused { code, text })
            }
        }
        Err(_) => Err(Asked::Unreachable(format!(
            "{url} answered {status}, but not as a control plane's internal API does; look at [control] urls"
        ))),
    }
}

fn address(url: &Url) -> Result<String, LinkError> {
    let text = url.as_str().trim_end_matches('/').to_owned();
    match text.parse::<Uri>() {
        Ok(_) => Ok(text),
        Err(_) => Err(LinkError::Address(text)),
    }
}

/// Sidecars that lost the same node do not all come at once.
async fn jitter() {
    let mut bytes = [0; 1];
    let pause = if random::fill(&mut bytes).is_ok() { u64::from(u8::from_be_bytes(bytes)) / 10 } else { 10 };
    tokio::time::sleep(Duration::from_millis(pause)).await;
}

const CONNECT: Duration = Duration::from_secs(1);
/// Less than a control node keeps a connection that nobody uses.
const IDLE: Duration = Duration::from_secs(5);
const LARGEST: usize = 16 * 1024 * 1024;
