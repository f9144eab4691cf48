//! The circuit breaker before Redis: after a few commands in a row that failed or came too late, nobody asks any more
//! until a task of its own has found Redis answering again. No call ever waits for a connection to be made.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use redis::cmd;
use tokio::runtime::Handle;

use super::connection::{Commands, Reach};
use crate::observe::shared::SharedCounts;

/// A connection that is only there while it is of use.
pub(super) struct Breaker {
    reach: Arc<Reach>,
    commands: ArcSwapOption<Commands>,
    failures: AtomicU32,
    mending: AtomicBool,
    counts: SharedCounts,
    runtime: Handle,
}

impl Breaker {
    /// Open, and already being mended. Connections are kept by the runtime that this is called on.
    #[must_use]
    pub(super) fn new(reach: Arc<Reach>, counts: SharedCounts) -> Arc<Self> {
        let this = Arc::new(Self {
            reach,
            commands: ArcSwapOption::empty(),
            failures: AtomicU32::new(0),
            mending: AtomicBool::new(false),
            counts,
            runtime: Handle::current(),
        });
        this.open();
        this
    }

    /// The connection; none while the breaker is open.
    #[must_use]
    pub(super) fn commands(&self) -> Option<Commands> {
        self.commands.load().as_deref().cloned()
    }

    /// A command was answered in time.
    pub(super) fn went_well(&self) {
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
    }

    /// A command failed, or was not answered in time.
    pub(super) fn went_wrong(self: &Arc<Self>) {
        if self.failures.fetch_add(1, Ordering::Relaxed) + 1 >= IN_A_ROW {
            self.open();
        }
    }

    fn open(self: &Arc<Self>) {
        self.commands.store(None);
        if !self.mending.swap(true, Ordering::SeqCst) {
            self.counts.show_breaker(true);
            self.runtime.spawn(mend(Arc::downgrade(self)));
        }
    }

    /// Connects, and sees whether an answer comes; a half-open breaker with nobody's call at stake.
    async fn try_close(&self) -> bool {
        let attempt = async {
            let mut commands = self.reach.commands().await.ok()?;
            let probe = cmd("GETRANGE").arg(self.reach.names().log()).arg(0).arg(0).to_owned();
            match commands.query::<redis::Value>(&probe).await {
                Err(error) if error.code() != Some("WRONGTYPE") => None,
                Ok(_) | Err(_) => Some(commands),
            }
        };
        let Some(commands) = attempt.await else { return false };
        self.failures.store(0, Ordering::Relaxed);
        self.counts.show_breaker(false);
        // First this: who opens the breaker from here on begins a mending of its own.
        self.mending.store(false, Ordering::SeqCst);
        self.commands.store(Some(Arc::new(commands)));
        true
    }
}

/// Tries again and again, as long as there is a breaker to close.
async fn mend(breaker: Weak<Breaker>) {
    let mut pause = SHORTEST;
    while let Some(breaker) = breaker.upgrade() {
        if breaker.try_close().await {
            return;
        }
        drop(breaker);
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST);
    }
}

const IN_A_ROW: u32 = 3;
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(1);
