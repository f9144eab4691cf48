//! The issuer's key set as an upstream keeps it: fetched over HTTP, remembered, and fetched again when a token
//! names an unknown key, at most once a second. Keys are never fetched from where a token says.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until, timeout};
use url::Url;

use crate::token::verify::KeySet;

/// Keys, with the number of the fetch that brought them.
pub(super) struct IssuerKeys {
    url: String,
    held: ArcSwap<Held>,
    /// The last fetch. Who holds it fetches; the others wait for what that brings, good or bad.
    fetching: Mutex<LastFetch>,
}

#[derive(Default)]
struct LastFetch {
    began: Option<Instant>,
    failed: Option<NoKeys>,
}

pub(super) struct Held {
    pub(super) keys: KeySet,
    fetch: u64,
}

/// The key set could not be had.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the issuer's keys could not be fetched from {url}: {why}")]
pub(super) struct NoKeys {
    url: String,
    why: String,
}

impl IssuerKeys {
    pub(super) fn new(issuer: &str) -> Self {
        Self {
            url: format!("{issuer}/v1/keys"),
            held: ArcSwap::from_pointee(Held { keys: KeySet::default(), fetch: 0 }),
            fetching: Mutex::default(),
        }
    }

    /// What is held now; nothing before the first fetch.
    pub(super) fn held(&self) -> Arc<Held> {
        self.held.load_full()
    }

    /// Keys that are newer than `old`: those that another request has fetched meanwhile, or fetched now.
    pub(super) async fn newer_than(&self, old: &Held) -> Result<Arc<Held>, NoKeys> {
        let came = Instant::now();
        let mut last = self.fetching.lock().await;
        let held = self.held();
        if held.fetch > old.fetch {
            return Ok(held);
        }
        if let Some(began) = last.began {
            if let (true, Some(failed)) = (began >= came, &last.failed) {
                return Err(failed.clone());
            }
            sleep_until(began + PAUSE).await;
        }
        last.began = Some(Instant::now());
        let fetched = self.fetch(held.fetch + 1).await;
        last.failed = fetched.as_ref().err().cloned();
        fetched
    }

    async fn fetch(&self, fetch: u64) -> Result<Arc<Held>, NoKeys> {
        let no = |why: String| NoKeys { url: self.url.clone(), why };
        let text = timeout(PATIENCE, get(&self.url))
            .await
            .map_err(|_| no("no answer in time".to_owned()))?
            .map_err(|why| no(why.to_string()))?;
        let keys = KeySet::parse(&text).map_err(|why| no(why.to_string()))?;
        let held = Arc::new(Held { keys, fetch });
        self.held.store(Arc::clone(&held));
        Ok(held)
    }
}

async fn get(url: &str) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    let url = Url::parse(url)?;
    let host = url.host_str().ok_or("its address has no host")?;
    if url.scheme() != "http" {
        return Err("the demo upstream speaks plain http only".into());
    }
    let stream = TcpStream::connect((host, url.port_or_known_default().unwrap_or(80))).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let authority = url.authority().to_owned();
    let request = Request::get(url.path()).header(header::HOST, authority).body(Empty::<Bytes>::new())?;
    let exchange = async move {
        let answer = sender.send_request(request).await?;
        if answer.status() != http::StatusCode::OK {
            return Err(format!("it answered {}", answer.status()).into());
        }
        let body = Limited::new(answer.into_body(), LARGEST).collect().await?.to_bytes();
        Ok(String::from_utf8(body.into())?)
    };
    let mut exchange = pin!(exchange);
    // The connection is driven here and ends with the exchange: nothing is left running. It may end first, with
    // the whole answer handed over.
    tokio::select! {
        text = &mut exchange => text,
        _ = connection => exchange.await,
    }
}

const PAUSE: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(2);
const LARGEST: usize = 1024 * 1024;
