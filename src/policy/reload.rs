//! The policies in force, followed while their files change.
//!
//! Comes in: a policy folder. Goes out: the newest set that was good as a whole, the problem of a newer one that was
//! not, and word of each change, upon which grants are to be compiled again. A set is swapped at once or not at all; a
//! folder that turns bad, or vanishes, changes nothing.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use notify::Watcher as _;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::load::problem::{Problem, Problems};
use super::load::{Files, Policies, PolicyVersion};

/// The policies in force. Cheap to read; share it by [`Arc`].
#[derive(Debug)]
pub struct Current {
    /// With how many sets were in force before.
    policies: ArcSwap<(u64, Arc<Policies>)>,
    /// The same number, for those who only ask whether anything has changed.
    generation: AtomicU64,
    problem: ArcSwapOption<Problems>,
    version: watch::Sender<PolicyVersion>,
    rereading: Mutex<()>,
}

/// What reading the folder again brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reread {
    /// It holds what is in force.
    Unchanged,
    /// Another good set, now in force.
    Replaced,
    /// A bad set; what was in force stays so.
    Refused(Arc<Problems>),
}

impl Current {
    /// Policies that never change, such as the built-in ones.
    #[must_use]
    pub fn fixed(policies: Policies) -> Arc<Self> {
        let version = watch::Sender::new(policies.version().clone());
        Arc::new(Self {
            policies: ArcSwap::from_pointee((0, Arc::new(policies))),
            generation: AtomicU64::new(0),
            problem: ArcSwapOption::empty(),
            version,
            rereading: Mutex::new(()),
        })
    }

    /// Reads `dir` and follows it until the [`Watcher`] is dropped.
    ///
    /// # Errors
    /// The folder is bad from the start, or cannot be watched: there is no last good set to stand on.
    pub fn follow(dir: &Path) -> Result<(Arc<Self>, Watcher), Problems> {
        let current = Self::fixed(Policies::load(dir)?);
        let watcher = Watcher::start(Arc::clone(&current), dir).map_err(|error| {
            let mend = "Check the folder, and the system's limit of watched files.";
            let message = format!("the folder cannot be watched: {error}");
            Problems(vec![Problem::without_text(&dir.display().to_string(), message, mend)])
        })?;
        Ok((current, watcher))
    }

    /// The policies in force.
    #[must_use]
    pub fn policies(&self) -> Arc<Policies> {
        Arc::clone(&self.policies.load().1)
    }

    /// The policies in force with their generation.
    #[must_use]
    pub fn load(&self) -> (u64, Arc<Policies>) {
        let current = self.policies.load();
        (current.0, Arc::clone(&current.1))
    }

    /// Rises with every change; two equal answers mean that the policies are the same. Takes no lock.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    /// Whether the policies in force are those of `version`.
    #[must_use]
    pub fn is(&self, version: &PolicyVersion) -> bool {
        self.policies.load().1.version() == version
    }

    /// Why the newest files are not in force; nothing when they are. For readiness and logs.
    #[must_use]
    pub fn problem(&self) -> Option<Arc<Problems>> {
        self.problem.load_full()
    }

    /// Tells the version of the policies in force, now and at each change.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<PolicyVersion> {
        self.version.subscribe()
    }

    /// Reads `dir` now. The watcher's thread does it by itself; two at once take turns.
    pub fn reread(&self, dir: &Path) -> Reread {
        let _turn = self.rereading.lock();
        self.put(Files::read(dir), &dir.display())
    }

    /// Takes files that came by another way than a folder: all of them, or none.
    pub fn take(&self, texts: Vec<(String, String)>) -> Reread {
        let _turn = self.rereading.lock();
        self.put(Files::of_texts(texts), &"the control plane")
    }

    fn put(&self, files: Result<Files, Problems>, from: &dyn std::fmt::Display) -> Reread {
        let files = match files {
            Ok(files) => files,
            Err(problems) => return self.refuse(problems),
        };
        if self.is(&files.version()) {
            self.problem.store(None);
            return Reread::Unchanged;
        }
        match Policies::of(&files) {
            Ok(policies) => {
                let version = policies.version().clone();
                tracing::info!(policies = %version, %from, "policies replaced");
                let generation = self.generation().saturating_add(1);
                self.policies.store(Arc::new((generation, Arc::new(policies))));
                // Before anyone is told: what rests on the set before ends here.
                self.generation.store(generation, Ordering::SeqCst);
                self.problem.store(None);
                self.version.send_replace(version);
                Reread::Replaced
            }
            Err(problems) => self.refuse(problems),
        }
    }

    fn refuse(&self, problems: Problems) -> Reread {
        let problems = Arc::new(problems);
        let known = self.problem.load().as_ref().is_some_and(|before| **before == *problems);
        if !known {
            tracing::error!(%problems, in_force = %self.policies.load().1.version(), "policies refused");
        }
        self.problem.store(Some(Arc::clone(&problems)));
        Reread::Refused(problems)
    }
}

/// The thread that follows a folder. Dropping it ends the thread and waits for it.
#[derive(Debug)]
pub struct Watcher {
    events: Option<notify::RecommendedWatcher>,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    fn start(current: Arc<Current>, dir: &Path) -> Result<Self, notify::Error> {
        let (told, changes) = sync_channel(1);
        let mut events = notify::recommended_watcher(move |event| tell(&told, event))?;
        events.watch(dir, notify::RecursiveMode::Recursive)?;
        let dir = dir.to_path_buf();
        let thread = std::thread::Builder::new()
            .name("policies".to_owned())
            .spawn(move || follow(&current, &dir, &changes))
            .map_err(notify::Error::io)?;
        Ok(Self { events: Some(events), thread: Some(thread) })
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        drop(self.events.take()); // closes the channel, upon which the thread ends
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One mark is enough: whoever finds it reads everything.
fn tell(told: &SyncSender<()>, event: notify::Result<notify::Event>) {
    let only_read = event.is_ok_and(|event| event.kind.is_access());
    if !only_read {
        let _ = told.try_send(());
    }
}

fn follow(current: &Current, dir: &Path, changes: &Receiver<()>) {
    current.reread(dir); // what changed between the first reading and the watch
    loop {
        match changes.recv_timeout(PERIOD) {
            Ok(()) if !settle(changes) => return,
            Ok(()) | Err(RecvTimeoutError::Timeout) => {
                current.reread(dir);
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Waits until the files have been left alone for a moment, but not for ever. False when the watcher was dropped.
fn settle(changes: &Receiver<()>) -> bool {
    for _ in 0..SETTLE_ROUNDS {
        match changes.recv_timeout(QUIET) {
            Ok(()) => {}
            Err(RecvTimeoutError::Timeout) => return true,
            Err(RecvTimeoutError::Disconnected) => return false,
        }
    }
    true
}

/// Files left alone for this long are taken as written.
const QUIET: Duration = Duration::from_millis(50);

/// After this many changes in a row the files are read all the same.
const SETTLE_ROUNDS: usize = 20;

/// Not every file system tells of every change.
const PERIOD: Duration = Duration::from_secs(10);
