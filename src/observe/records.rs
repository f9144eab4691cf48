//! The way of decision records from a call to where they are kept.
//!
//! A call claims a place before anything is decided ([`Records::claim`]); without a place it is refused, so that
//! nothing passes unrecorded. What it leaves at its end is turned into a [`Decision`], counted and written by one
//! thread of its own, a few milliseconds later and in batches: a process that dies in between loses the records of
//! those milliseconds, never a record of a refused place. When writing fails, places are no longer given.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::metrics::Metrics;
use crate::model::decision::Decision;

/// Where written records go, besides the metrics.
pub trait Keep: Send + 'static {
    /// Keeps a batch, all of it; after an error the batch is offered again.
    ///
    /// # Errors
    /// One sentence that says what could not be written and where.
    fn keep(&mut self, batch: &[Decision]) -> Result<(), String>;
}

/// What a call leaves behind at its end: cheap to make on the call's path, turned into the record off it.
pub trait Entry: Send + 'static {
    /// The record.
    fn into_decision(self) -> Decision;
}

/// The way in, shared by all workers.
pub struct Records<E> {
    shared: Arc<Waiting<E>>,
}

struct Waiting<E> {
    entries: Mutex<Vec<E>>,
    arrived: Condvar,
    outstanding: AtomicUsize,
    failing: AtomicBool,
    closed: AtomicBool,
    most: usize,
}

impl<E> Clone for Records<E> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

/// A place for one record. Leaving it is the only way to give it back.
pub struct Place<E: Entry> {
    records: Option<Records<E>>,
}

/// No record can be kept now, so no call may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no decision record can be kept at the moment")]
pub struct NoPlace;

impl<E: Entry> Records<E> {
    /// Starts the writer. At most `most` records wait at any time.
    ///
    /// # Errors
    /// The operating system's, when it gives no thread.
    pub fn start(most: usize, metrics: Arc<Metrics>, keep: Box<dyn Keep>) -> std::io::Result<(Self, Writer)> {
        let shared = Arc::new(Waiting {
            entries: Mutex::new(Vec::with_capacity(BATCH)),
            arrived: Condvar::new(),
            outstanding: AtomicUsize::new(0),
            failing: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            most,
        });
        let records = Self { shared: Arc::clone(&shared) };
        let thread = std::thread::Builder::new()
            .name("consentry-records".to_owned())
            .spawn(move || write_until_closed(&shared, &metrics, keep))?;
        let close = {
            let records = records.clone();
            Box::new(move || records.close())
        };
        Ok((records, Writer { close, thread: Some(thread) }))
    }

    /// Claims a place for one call's record.
    ///
    /// # Errors
    /// [`NoPlace`] when too many wait, or writing fails: refuse the call.
    pub fn claim(&self) -> Result<Place<E>, NoPlace> {
        if self.shared.failing.load(Ordering::Relaxed) {
            return Err(NoPlace);
        }
        if self.shared.outstanding.fetch_add(1, Ordering::Relaxed) >= self.shared.most {
            self.shared.outstanding.fetch_sub(1, Ordering::Relaxed);
            return Err(NoPlace);
        }
        Ok(Place { records: Some(self.clone()) })
    }

    /// Whether records are being written.
    #[must_use]
    pub fn healthy(&self) -> bool {
        !self.shared.failing.load(Ordering::Relaxed)
    }

    fn close(&self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        self.shared.arrived.notify_one();
    }
}

impl<E: Entry> Place<E> {
    /// Leaves the record.
    pub fn leave(mut self, entry: E) {
        if let Some(records) = self.records.take() {
            let mut entries = records.shared.entries.lock();
            entries.push(entry);
            let first = entries.len() == 1;
            drop(entries);
            // Only the first of a batch wakes the writer, which then lets more arrive.
            if first {
                records.shared.arrived.notify_one();
            }
        }
    }
}

impl<E: Entry> Drop for Place<E> {
    fn drop(&mut self) {
        if let Some(records) = self.records.take() {
            records.shared.outstanding.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// The writer's thread. Dropping it writes what waits and ends it.
pub struct Writer {
    close: Box<dyn Fn() + Send>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Writer {
    fn drop(&mut self) {
        (self.close)();
        if let Some(thread) = self.thread.take() {
            // A writer that panicked has said so itself.
            let _ = thread.join();
        }
    }
}

fn write_until_closed<E: Entry>(waiting: &Waiting<E>, metrics: &Metrics, mut keep: Box<dyn Keep>) {
    let mut taken: Vec<E> = Vec::with_capacity(BATCH);
    loop {
        let closed = gather(waiting, &mut taken);
        let count = taken.len();
        let batch: Vec<Decision> = taken.drain(..).map(Entry::into_decision).collect();
        metrics.count(&batch);
        for part in batch.chunks(BATCH) {
            keep_at_last(waiting, keep.as_mut(), part);
        }
        waiting.outstanding.fetch_sub(count, Ordering::Relaxed);
        if closed && waiting.entries.lock().is_empty() {
            break;
        }
    }
}

/// Waits for entries, lets more come for a moment, takes them all. Answers whether the way in is closed.
fn gather<E>(waiting: &Waiting<E>, taken: &mut Vec<E>) -> bool {
    let mut entries = waiting.entries.lock();
    while entries.is_empty() && !waiting.closed.load(Ordering::SeqCst) {
        waiting.arrived.wait_for(&mut entries, IDLE);
    }
    if entries.len() < BATCH && !waiting.closed.load(Ordering::SeqCst) {
        // Nobody notifies while entries are there already, but a close.
        waiting.arrived.wait_for(&mut entries, GATHER);
    }
    std::mem::swap(&mut *entries, taken);
    waiting.closed.load(Ordering::SeqCst)
}

/// Writes a part, again and again while it fails; meanwhile no place is given.
fn keep_at_last<E>(waiting: &Waiting<E>, keep: &mut dyn Keep, part: &[Decision]) {
    let mut said = false;
    while let Err(error) = keep.keep(part) {
        waiting.failing.store(true, Ordering::Relaxed);
        if !std::mem::replace(&mut said, true) {
            tracing::error!(%error, "decision records cannot be kept: calls are refused until they can");
        }
        if waiting.closed.load(Ordering::SeqCst) {
            return;
        }
        let mut entries = waiting.entries.lock();
        waiting.arrived.wait_for(&mut entries, RETRY);
    }
    if waiting.failing.swap(false, Ordering::Relaxed) {
        tracing::info!("decision records are kept again");
    }
}

/// Keeps records as JSON lines in a stream, such as a file or standard output.
pub struct JsonLines<W> {
    out: W,
    name: String,
    buffer: Vec<u8>,
}

impl<W: Write> JsonLines<W> {
    /// Writes to `out`, which messages call `name`.
    pub fn new(out: W, name: String) -> Self {
        Self { out, name, buffer: Vec::new() }
    }
}

impl<W: Write + Send + 'static> Keep for JsonLines<W> {
    fn keep(&mut self, batch: &[Decision]) -> Result<(), String> {
        self.buffer.clear();
        for decision in batch {
            serde_json::to_writer(&mut self.buffer, decision)
                .map_err(|error| format!("a decision record could not be written as JSON: {error}"))?;
            self.buffer.push(b'\n');
        }
        let written = self.out.write_all(&self.buffer).and_then(|()| self.out.flush());
        written.map_err(|error| format!("{} cannot be written: {error}; free space or mend it", self.name))
    }
}

const BATCH: usize = 1024;
const GATHER: Duration = Duration::from_millis(5);
const IDLE: Duration = Duration::from_secs(60);
const RETRY: Duration = Duration::from_millis(200);
