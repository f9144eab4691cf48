//! Copies of decision records on their way to the control plane, where administrators look at them.
//!
//! What is written beside the sidecar is what counts. A copy is sent when there is time for it, with whatever else
//! waits by then: a bounded number of bytes waits while the control plane does not answer, and what does not find room
//! is counted, never waited for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use http::Method;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Link;
use super::nodes::{Asked, Question};
use crate::observe::line::Lines;
use crate::observe::records::Keep;

/// Keeps records where they are kept anyway, and has them copied.
pub struct Copied {
    kept: Box<dyn Keep>,
    waiting: Arc<Waiting>,
}

/// What waits to be copied.
pub struct Copies {
    waiting: Arc<Waiting>,
    /// How many losses were said, and when last.
    said: (u64, Option<Instant>),
    /// Why the control plane took none last, in its words.
    refused: Option<String>,
}

#[derive(Default)]
struct Waiting {
    /// The records' lines.
    text: Mutex<Vec<u8>>,
    arrived: Notify,
    ended: AtomicBool,
    lost: AtomicU64,
}

/// Records that are kept by `kept`, and their copies.
#[must_use]
pub fn copied(kept: Box<dyn Keep>) -> (Copied, Copies) {
    let waiting = Arc::<Waiting>::default();
    (Copied { kept, waiting: Arc::clone(&waiting) }, Copies { waiting, said: (0, None), refused: None })
}

impl Keep for Copied {
    fn keep(&mut self, batch: Lines<'_>) -> Result<(), String> {
        self.kept.keep(batch)?;
        let mut text = self.waiting.text.lock();
        if text.len().saturating_add(batch.text().len()) <= ROOM {
            text.extend_from_slice(batch.text());
            drop(text);
            self.waiting.arrived.notify_one();
        } else {
            drop(text);
            self.waiting.lose(u64::try_from(lines(batch.text()).count()).unwrap_or(u64::MAX));
        }
        Ok(())
    }
}

impl Drop for Copied {
    fn drop(&mut self) {
        self.waiting.ended.store(true, Ordering::SeqCst);
        self.waiting.arrived.notify_one();
    }
}

impl Waiting {
    fn lose(&self, count: u64) {
        self.lost.fetch_add(count, Ordering::Relaxed);
    }
}

impl Copies {
    /// Sends copies until the records end. Run it as a task of its own.
    pub async fn send(mut self, link: Arc<Link>) {
        loop {
            self.waiting.arrived.notified().await;
            let ended = self.waiting.ended.load(Ordering::SeqCst);
            if !ended {
                // Each request is a commit over there: few calls a second become few requests a second.
                tokio::time::sleep(GATHER).await;
            }
            let text = std::mem::take(&mut *self.waiting.text.lock());
            for body in packed(&text) {
                self.send_one(&link, body).await;
            }
            self.say_losses(ended);
            if ended {
                return;
            }
        }
    }

    /// Again and again while no node answers: meanwhile others wait, as many as there is room for.
    async fn send_one(&mut self, link: &Link, (count, body): (u64, Vec<u8>)) {
        let path = "/internal/v1/records";
        let question = Question { method: Method::POST, path, body, within: Some(link.patience) };
        loop {
            let sent = match link.proof() {
                Ok(proof) => link.nodes.ask(&question, &proof).await.map(|_| ()),
                Err(error) => Err(error),
            };
            match sent {
                Ok(()) => return,
                Err(Asked::Refused { text, .. }) => {
                    self.refused = Some(text);
                    return self.waiting.lose(count);
                }
                Err(Asked::Unreachable(_)) => tokio::time::sleep(PAUSE).await,
            }
            self.say_losses(false);
        }
    }

    /// Says how many are lost, if that is news: once in a while, and `at_last`.
    fn say_losses(&mut self, at_last: bool) {
        let lost = self.waiting.lost.load(Ordering::Relaxed);
        let lately = self.said.1.is_some_and(|at| at.elapsed() < SAID_EVERY);
        if lost > self.said.0 && (at_last || !lately) {
            let why = self.refused.take().unwrap_or_else(|| "too many waited".to_owned());
            tracing::warn!(
                lost,
                why,
                "decision records were not copied to the control plane; they are kept here"
            );
            self.said = (lost, Some(Instant::now()));
        }
    }
}

/// The records as JSON arrays that a control node takes, each with how many stand in it.
fn packed(batch: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let mut all = Vec::new();
    let (mut count, mut body) = (0, vec![b'[']);
    for text in lines(batch) {
        if count == MOST || (count > 0 && body.len() + text.len() > LARGEST) {
            body.push(b']');
            all.push((count, std::mem::replace(&mut body, vec![b'['])));
            count = 0;
        }
        if count > 0 {
            body.push(b',');
        }
        body.extend_from_slice(text);
        count += 1;
    }
    if count > 0 {
        body.push(b']');
        all.push((count, body));
    }
    all
}

/// Each record's own line, which is JSON.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
}

/// Bytes of records that may wait: some ten thousand of them.
const ROOM: usize = 8 * 1024 * 1024;
/// So long a record waits for others to be sent with.
const GATHER: Duration = Duration::from_millis(100);
/// What a control node takes at once.
const MOST: u64 = 1000;
const LARGEST: usize = 512 * 1024;
const PAUSE: Duration = Duration::from_secs(1);
/// Losses are said once in so long.
const SAID_EVERY: Duration = Duration::from_secs(60);
