//! The way of decision records from a call to where they are kept.
//!
//! A call claims a place before anything is decided ([`Records::claim`]); without a place it is refused, so that
//! nothing passes unrecorded. The [`Line`] that it leaves at its end is counted and written by one thread of its own,
//! a few milliseconds later and in batches: a process that dies in between loses the records of those milliseconds,
//! never a record of a refused place. When writing fails, places are no longer given.

use std::io::{ErrorKind, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::line::{Line, Lines};
use super::metrics::{Counted, Metrics};

/// Where written records go, besides the metrics.
pub trait Keep: Send + 'static {
    /// Keeps a batch, all of it; after an error the batch is offered again.
    ///
    /// # Errors
    /// One sentence that says what could not be written and where.
    fn keep(&mut self, batch: Lines<'_>) -> Result<(), String>;
}

/// The way in, shared by all workers.
#[derive(Clone)]
pub struct Records(Arc<Waiting>);

struct Waiting {
    batch: Mutex<Batch>,
    arrived: Condvar,
    outstanding: AtomicUsize,
    failing: AtomicBool,
    closed: AtomicBool,
    most: usize,
}

/// Records as they wait: their lines one after the other, where each ends, and what is counted of it.
#[derive(Default)]
struct Batch {
    text: Vec<u8>,
    ends: Vec<usize>,
    counted: Vec<Counted>,
}

/// A place for one record. Leaving it is the only way to give it back.
pub struct Place<'a>(Option<&'a Waiting>);

/// No record can be kept now, so no call may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no decision record can be kept at the moment")]
pub struct NoPlace;

impl Records {
    /// Starts the writer. At most `most` records wait at any time.
    ///
    /// # Errors
    /// The operating system's, when it gives no thread.
    pub fn start(most: usize, metrics: Arc<Metrics>, keep: Box<dyn Keep>) -> std::io::Result<(Self, Writer)> {
        let waiting = Arc::new(Waiting {
            batch: Mutex::default(),
            arrived: Condvar::new(),
            outstanding: AtomicUsize::new(0),
            failing: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            most,
        });
        let records = Self(Arc::clone(&waiting));
        let close = Arc::clone(&waiting);
        let thread = std::thread::Builder::new()
            .name("consentry-records".to_owned())
            .spawn(move || write_until_closed(&waiting, &metrics, keep))?;
        Ok((records, Writer { waiting: close, thread: Some(thread) }))
    }

    /// Claims a place for one call's record.
    ///
    /// # Errors
    /// [`NoPlace`] when too many wait, or writing fails: refuse the call.
    pub fn claim(&self) -> Result<Place<'_>, NoPlace> {
        let waiting = &*self.0;
        if waiting.failing.load(Ordering::Relaxed) {
            return Err(NoPlace);
        }
        if waiting.outstanding.fetch_add(1, Ordering::Relaxed) >= waiting.most {
            waiting.outstanding.fetch_sub(1, Ordering::Relaxed);
            return Err(NoPlace);
        }
        Ok(Place(Some(waiting)))
    }

    /// Whether records are being written.
    #[must_use]
    pub fn healthy(&self) -> bool {
        !self.0.failing.load(Ordering::Relaxed)
    }
}

impl Place<'_> {
    /// Leaves the record.
    pub fn leave(mut self, line: &mut Line, counted: Counted) {
        let Some(waiting) = self.0.take() else { return };
        let line = line.end();
        let mut batch = waiting.batch.lock();
        batch.text.extend_from_slice(line);
        let end = batch.text.len();
        batch.ends.push(end);
        batch.counted.push(counted);
        let first = batch.ends.len() == 1;
        drop(batch);
        // Only the first of a batch wakes the writer, which then lets more arrive.
        if first {
            waiting.arrived.notify_one();
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(waiting) = self.0.take() {
            waiting.outstanding.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// The writer's thread. Dropping it writes what waits and ends it.
pub struct Writer {
    waiting: Arc<Waiting>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.waiting.closed.store(true, Ordering::SeqCst);
        self.waiting.arrived.notify_one();
        if let Some(thread) = self.thread.take() {
            // A writer that panicked has said so itself.
            let _ = thread.join();
        }
    }
}

fn write_until_closed(waiting: &Waiting, metrics: &Metrics, mut keep: Box<dyn Keep>) {
    let mut taken = Batch::default();
    loop {
        let closed = gather(waiting, &mut taken);
        metrics.count(&taken.counted);
        let mut begin = 0;
        for part in taken.ends.chunks(BATCH) {
            let end = part.last().copied().unwrap_or(begin);
            let lines = Lines::new(taken.text.get(begin..end).unwrap_or_default());
            keep_at_last(waiting, keep.as_mut(), lines);
            begin = end;
        }
        waiting.outstanding.fetch_sub(taken.ends.len(), Ordering::Relaxed);
        taken.clear();
        if closed && waiting.batch.lock().ends.is_empty() {
            break;
        }
    }
}

impl Batch {
    /// Forgets what was kept, and gives back what only a rare rush has needed.
    fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
        self.counted.clear();
        self.text.shrink_to(ROOM);
        self.ends.shrink_to(BATCH);
        self.counted.shrink_to(BATCH);
    }
}

/// Waits for records, lets more come for a moment, takes them all. Answers whether the way in is closed.
fn gather(waiting: &Waiting, taken: &mut Batch) -> bool {
    let mut batch = waiting.batch.lock();
    while batch.ends.is_empty() && !waiting.closed.load(Ordering::SeqCst) {
        waiting.arrived.wait_for(&mut batch, IDLE);
    }
    if batch.ends.len() < BATCH && !waiting.closed.load(Ordering::SeqCst) {
        // Nobody notifies while records are there already, but a close.
        waiting.arrived.wait_for(&mut batch, GATHER);
    }
    std::mem::swap(&mut *batch, taken);
    waiting.closed.load(Ordering::SeqCst)
}

/// Writes a part, again and again while it fails; meanwhile no place is given.
fn keep_at_last(waiting: &Waiting, keep: &mut dyn Keep, part: Lines<'_>) {
    let mut said = false;
    while let Err(error) = keep.keep(part) {
        waiting.failing.store(true, Ordering::Relaxed);
        if !std::mem::replace(&mut said, true) {
            tracing::error!(%error, "decision records cannot be kept: calls are refused until they can");
        }
        if waiting.closed.load(Ordering::SeqCst) {
            return;
        }
        let mut batch = waiting.batch.lock();
        waiting.arrived.wait_for(&mut batch, RETRY);
    }
    if waiting.failing.swap(false, Ordering::Relaxed) {
        tracing::info!("decision records are kept again");
    }
}

/// Keeps records as JSON lines in a stream, such as a file or standard output.
pub struct JsonLines<W> {
    out: W,
    name: String,
    /// How much of the batch that is offered was written, when the rest could not be.
    written: usize,
}

impl<W: Write> JsonLines<W> {
    /// Writes to `out`, which messages call `name`.
    pub fn new(out: W, name: String) -> Self {
        Self { out, name, written: 0 }
    }
}

impl<W: Write + Send + 'static> Keep for JsonLines<W> {
    fn keep(&mut self, batch: Lines<'_>) -> Result<(), String> {
        let done = self.write_rest(batch.text()).and_then(|()| self.out.flush());
        done.map_err(|error| format!("{} cannot be written: {error}; free space or mend it", self.name))?;
        self.written = 0;
        Ok(())
    }
}

impl<W: Write> JsonLines<W> {
    /// Goes on where a full disk has stopped it, also within a line: what is offered again is the same batch.
    fn write_rest(&mut self, text: &[u8]) -> std::io::Result<()> {
        while let Some(rest) = text.get(self.written..).filter(|rest| !rest.is_empty()) {
            match self.out.write(rest) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

const BATCH: usize = 1024;
/// Bytes of lines that a batch holds without giving them back.
const ROOM: usize = 1 << 20;
const GATHER: Duration = Duration::from_millis(5);
const IDLE: Duration = Duration::from_secs(60);
const RETRY: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk that takes three bytes at a time and is full each second time.
    #[derive(Default)]
    struct Full {
        kept: Vec<u8>,
        full: bool,
    }

    impl Write for Full {
        fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
            self.full = !self.full;
            if !self.full {
                return Err(ErrorKind::StorageFull.into());
            }
            let count = text.len().min(3);
            self.kept.extend_from_slice(&text[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_batch_that_a_full_disk_has_cut_is_written_on_and_no_record_twice() {
        let mut lines = JsonLines::new(Full::default(), "disk".to_owned());
        for batch in [&b"{\"a\":1}\n{\"a\":2}\n"[..], b"{\"a\":3}\n"] {
            let failed = std::iter::repeat_with(|| lines.keep(Lines::new(batch))).take_while(Result::is_err);
            assert!(failed.count() > 0);
        }
        assert_eq!(lines.out.kept, b"{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n");
    }
}
