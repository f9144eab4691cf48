//! Copies of decision records on their way to the control plane, where administrators look at them.
//!
//! What is written beside the sidecar is what counts. A copy is sent when there is time for it: a bounded number
//! waits while the control plane does not answer, and what does not find room is counted, never waited for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::Method;
use tokio::sync::mpsc;

use super::Link;
use super::nodes::{Asked, Question};
use crate::observe::line::Lines;
use crate::observe::records::Keep;

/// Keeps records where they are kept anyway, and has them copied.
pub struct Copied {
    kept: Box<dyn Keep>,
    waiting: mpsc::Sender<Vec<u8>>,
    lost: Arc<AtomicU64>,
}

/// What waits to be copied.
pub struct Copies {
    waiting: mpsc::Receiver<Vec<u8>>,
    lost: Arc<AtomicU64>,
    said: u64,
}

/// Records that are kept by `kept`, and their copies.
#[must_use]
pub fn copied(kept: Box<dyn Keep>) -> (Copied, Copies) {
    let (sender, waiting) = mpsc::channel(WAITING);
    let lost = Arc::new(AtomicU64::new(0));
    let copied = Copied { kept, waiting: sender, lost: Arc::clone(&lost) };
    (copied, Copies { waiting, lost, said: 0 })
}

impl Keep for Copied {
    fn keep(&mut self, batch: Lines<'_>) -> Result<(), String> {
        self.kept.keep(batch)?;
        if self.waiting.capacity() == 0 || self.waiting.try_send(batch.text().to_vec()).is_err() {
            let lost = lines(batch.text()).count();
            self.lost.fetch_add(u64::try_from(lost).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
        Ok(())
    }
}

impl Copies {
    /// Sends copies until the records end. Run it as a task of its own.
    pub async fn send(mut self, link: Arc<Link>) {
        while let Some(batch) = self.waiting.recv().await {
            for body in packed(&batch) {
                self.send_one(&link, body).await;
            }
            let lost = self.lost.load(Ordering::Relaxed);
            if lost > self.said {
                tracing::warn!(
                    lost,
                    "decision records were not copied to the control plane; they are kept here"
                );
                self.said = lost;
            }
        }
    }

    /// Again and again while no node answers: meanwhile others wait, as many as there is room for.
    async fn send_one(&self, link: &Link, (count, body): (u64, Vec<u8>)) {
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
                    tracing::warn!(why = text, "the control plane takes no copies of decision records");
                    self.lost.fetch_add(count, Ordering::Relaxed);
                    return;
                }
                Err(Asked::Unreachable(_)) => tokio::time::sleep(PAUSE).await,
            }
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

/// Batches that may wait: some ten thousand records at most.
const WAITING: usize = 16;
/// What a control node takes at once.
const MOST: u64 = 1000;
const LARGEST: usize = 512 * 1024;
const PAUSE: Duration = Duration::from_secs(1);
