//! Follows the change log: strikes the slot clock, has streams cut, and only then renews the lease and reports how
//! far it has come, which is the acknowledgement.
//!
//! It hears on two paths: it asks the control plane ([`news::ChangeLog`]), one question at a time, each held until
//! there is news or a beat has passed; and others, such as the shared tier, tell it ([`Told`]). Whatever does not fit
//! to what is known, a gap, another life of the store, is not guessed at: everything cached is given up.

pub mod messages;
pub mod news;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::changed::ChangedAt;
use super::lease::Lease;
use super::origin::OriginError;
use super::slots::SlotClock;
use crate::model::change::Subject;
use crate::model::id::{Seq, SidecarId};
use crate::model::time::{boot_milliseconds, milliseconds};
use news::{ChangeLog, FollowError, News, Place, Report};

/// What a follower does with what it hears.
pub struct Follower {
    /// For which sidecar.
    pub sidecar: SidecarId,
    /// Where it asks.
    pub log: Arc<dyn ChangeLog>,
    /// What others tell it.
    pub told: mpsc::Receiver<Told>,
    /// Struck for every change.
    pub slots: Arc<SlotClock>,
    /// When what changed, kept for the shared tier if there is one.
    pub changed: Option<Arc<ChangedAt>>,
    /// Renewed by every answer.
    pub lease: Arc<Lease>,
    /// Reads the issuer's keys anew; a change of them counts as applied only when this has succeeded.
    pub refresh_keys: Refresh,
    /// Reads the policy authors' files anew, where they come from the control plane; likewise.
    pub refresh_policies: Refresh,
    /// Cuts every open stream whose standing no longer holds, and answers how many were cut in all so far.
    pub cut: CutStreams,
    /// The policy set in force, for reports.
    pub policies: Arc<dyn Fn() -> String + Send + Sync>,
    /// Where it tells how far it has come, and how it stands with the control plane.
    pub state: watch::Sender<Following>,
}

/// News by another path than the control plane's own answer.
#[derive(Debug)]
pub struct Told {
    /// What is new. Its entries must follow upon what was applied; otherwise it is as if nothing had been said.
    pub news: News,
    /// As of when it is known that there was nothing newer, in [`boot_milliseconds`]: the lease counts from here.
    pub as_of: u64,
    /// By which path: `redis`.
    pub path: &'static str,
}

/// How a follower stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Following {
    /// How far the log is applied.
    pub place: Option<Place>,
    /// Whether the lease has been renewed and runs.
    pub ready: bool,
    /// Why the control plane cannot be followed, when it cannot.
    pub trouble: Option<FollowError>,
    /// By which paths news came within the last lease: each with when, in [`boot_milliseconds`].
    pub paths: Vec<(&'static str, u64)>,
    /// Until when the control plane presumes that this sidecar holds a lease, in [`boot_milliseconds`]. No other path
    /// makes it last longer: nobody would wait for this sidecar. Nothing once it was refused.
    pub presumed_until: u64,
}

/// See [`Follower::cut`].
pub type CutStreams = Arc<dyn Fn() -> Answering<u64> + Send + Sync>;
/// See [`Follower::refresh_keys`].
pub type Refresh = Arc<dyn Fn() -> Answering<Result<(), OriginError>> + Send + Sync>;
/// What such a function answers, later.
pub type Answering<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl Follower {
    /// Follows until `stop`. The sidecar has its lease once its state says that it is ready.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut streams_cut = 0;
        while !stop.is_cancelled() {
            let report = self.report(streams_cut);
            let log = Arc::clone(&self.log);
            let sent = boot_milliseconds();
            let asking = tokio::time::timeout(self.patience(), log.follow(&report));
            tokio::pin!(asking);
            let answer = loop {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => break None,
                    Some(told) = self.told.recv() => self.take(told, &mut streams_cut).await,
                    answer = &mut asking => break Some(answer),
                    () = tokio::time::sleep(self.lease.patience()) => self.look_at_lease(&mut streams_cut).await,
                }
            };
            let Some(answer) = answer else { break };
            let heard = match answer {
                Ok(Ok(news)) => self.hear(news, (sent, report.place.clone()), &mut streams_cut).await,
                Ok(Err(error)) => Err(error),
                Err(_) => Err(FollowError::Unreachable("it does not answer in time".to_owned())),
            };
            let failed = heard.map_err(|error| self.note_trouble(error)).is_err();
            self.look_at_lease(&mut streams_cut).await;
            if failed {
                self.pause(&stop, &mut streams_cut).await;
            }
        }
        self.log.leave(&self.sidecar).await;
    }

    /// Takes in an answer of the control plane to a question that was sent at `sent` from `place`.
    async fn hear(
        &mut self,
        news: News,
        (sent, asked_from): (u64, Option<Place>),
        streams_cut: &mut u64,
    ) -> Result<(), FollowError> {
        let news = self.without_what_is_applied(news, asked_from.as_ref());
        let within = self.lease.patience();
        let (newest, lease_ms) = (news.newest, news.lease_ms);
        let place = match tokio::time::timeout(within, self.apply(news)).await {
            Ok(applied) => applied?,
            Err(_) => {
                return Err(FollowError::Unreachable("what is new could not be read in time".to_owned()));
            }
        };
        let reached = place.applied;
        let cut = tokio::time::timeout(within, (self.cut)()).await;
        *streams_cut =
            cut.map_err(|_| FollowError::Unreachable("streams could not be cut in time".to_owned()))?;
        if reached >= newest {
            self.lease.renew_for(sent, Duration::from_millis(lease_ms));
        }
        let presumed_until = sent.saturating_add(lease_ms.saturating_mul(PRESUMED_LEASES));
        self.state.send_modify(|state| state.presumed_until = presumed_until);
        self.note_heard("control", place);
        Ok(())
    }

    /// Takes in what another path tells, if it fits.
    async fn take(&mut self, told: Told, streams_cut: &mut u64) {
        let Told { news, as_of, path } = told;
        if self.is_refused() {
            return;
        }
        let Some(place) = self.place().filter(|place| fits(place, &news)) else { return };
        let (newest, lease_ms) = (news.newest, news.lease_ms);
        let within = self.lease.patience();
        let Ok(Ok(place)) = tokio::time::timeout(within, self.apply_after(place, news)).await else { return };
        let Ok(cut) = tokio::time::timeout(within, (self.cut)()).await else { return };
        *streams_cut = cut;
        // Without a date there is nothing to count a lease from.
        if place.applied >= newest && lease_ms > 0 {
            let presumed_until = self.state.borrow().presumed_until;
            self.lease.renew_until(as_of, Duration::from_millis(lease_ms), presumed_until);
        }
        self.note_heard(path, place);
    }

    /// Another path may have told more while the answer was on its way: then nothing of it is new. What lies before the
    /// place that was asked from stays as it is: it tells of a log that was put back.
    fn without_what_is_applied(&self, news: News, asked_from: Option<&Place>) -> News {
        let Some(place) = self.place().filter(|place| place.epoch == news.epoch) else { return news };
        let overtaken = news.newest < place.applied
            && asked_from.is_some_and(|from| from.epoch == news.epoch && from.applied <= news.newest);
        if overtaken { News { newest: place.applied, changes: Vec::new(), ..news } } else { news }
    }

    /// Applies what is new; answers how far that reaches.
    async fn apply(&self, news: News) -> Result<Place, FollowError> {
        match self.place() {
            Some(place) if fits(&place, &news) => self.apply_after(place, news).await,
            Some(_) | None => self.start_over(news).await,
        }
    }

    async fn apply_after(&self, place: Place, news: News) -> Result<Place, FollowError> {
        let new: Vec<_> = news.changes.iter().filter(|change| change.seq > place.applied).collect();
        for change in &new {
            if let Some(changed) = &self.changed {
                changed.raise(&change.subject, change.seq);
            }
            self.slots.strike(&change.subject);
        }
        if new.iter().any(|change| change.subject == Subject::Keys) {
            (self.refresh_keys)().await?;
        }
        if new.iter().any(|change| change.subject == Subject::Policies) {
            (self.refresh_policies)().await?;
        }
        let applied = new.last().map_or(place.applied, |change| change.seq);
        Ok(Place { applied, ..place })
    }

    /// Nothing that is cached may be counted on: the place to go on from is where the log is now.
    async fn start_over(&self, news: News) -> Result<Place, FollowError> {
        let mut place = Place { epoch: news.epoch, applied: news.newest };
        if let Some(changed) = &self.changed {
            let snapshot = self.log.snapshot().await?;
            changed.replace(&snapshot);
            place = snapshot.place;
        }
        self.slots.strike_all();
        (self.refresh_keys)().await?;
        (self.refresh_policies)().await?;
        Ok(place)
    }

    fn report(&self, streams_cut: u64) -> Report {
        let since = boot_milliseconds().saturating_sub(milliseconds(self.lease.length()));
        let state = self.state.borrow();
        Report {
            sidecar: self.sidecar.clone(),
            place: state.place.clone(),
            streams_cut,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            policies: (self.policies)(),
            paths: state
                .paths
                .iter()
                .filter(|(_, at)| *at >= since)
                .map(|(path, _)| (*path).to_owned())
                .collect(),
            wait_ms: milliseconds(self.beat()),
        }
    }

    fn place(&self) -> Option<Place> {
        self.state.borrow().place.clone()
    }

    /// Whether the control plane has last said that it does not know this sidecar: no other path may say more.
    fn is_refused(&self) -> bool {
        matches!(self.state.borrow().trouble, Some(FollowError::Refused(_)))
    }

    fn note_heard(&self, path: &'static str, place: Place) {
        let ready = self.lease.holds();
        self.state.send_modify(|state| {
            state.place = Some(place);
            state.ready = ready;
            state.paths.retain(|(known, _)| *known != path);
            state.paths.push((path, boot_milliseconds()));
            if path == "control" {
                state.trouble = None;
            }
        });
    }

    fn note_trouble(&self, error: FollowError) {
        let told = self.state.borrow().trouble.as_ref() == Some(&error);
        match &error {
            FollowError::Unreachable(why) if !told => {
                tracing::warn!(%why, "the control plane cannot be followed; the lease is not renewed by it");
            }
            FollowError::Unreachable(_) => {}
            FollowError::Refused(why) => {
                if !told {
                    tracing::error!(%why, "the control plane refuses this sidecar; it serves nothing");
                }
                self.lease.give_up();
                self.slots.strike_all();
                // Only the control plane's own answer gives it a lease again, whatever else is heard.
                self.state.send_modify(|state| state.presumed_until = 0);
            }
        }
        self.state.send_modify(|state| state.trouble = Some(error));
    }

    /// When the lease has ended, what rests on it ends too.
    async fn look_at_lease(&self, streams_cut: &mut u64) {
        if !self.lease.holds() {
            if let Ok(cut) = tokio::time::timeout(self.beat(), (self.cut)()).await {
                *streams_cut = cut;
            }
            self.state.send_if_modified(|state| std::mem::replace(&mut state.ready, false));
        }
    }

    /// Waits a little before the next question, and hears meanwhile what others tell.
    async fn pause(&mut self, stop: &CancellationToken, streams_cut: &mut u64) {
        let over = tokio::time::sleep(self.beat() / 4);
        tokio::pin!(over);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = &mut over => return,
                Some(told) = self.told.recv() => self.take(told, streams_cut).await,
            }
        }
    }

    /// An answer may take a beat, as the control plane holds it, and as long again on its way.
    fn patience(&self) -> Duration {
        self.beat() * 2
    }

    fn beat(&self) -> Duration {
        (self.lease.length() / BEATS_A_LEASE).max(Duration::from_millis(1))
    }
}

impl From<OriginError> for FollowError {
    fn from(error: OriginError) -> Self {
        Self::Unreachable(error.to_string())
    }
}

/// Whether the entries reach from `place` to the newest without a gap.
fn fits(place: &Place, news: &News) -> bool {
    let next = Seq(place.applied.0.saturating_add(1));
    let whole = match (news.changes.first(), news.changes.last()) {
        (Some(first), Some(last)) => first.seq <= next && last.seq >= news.newest,
        _ => news.newest == place.applied,
    };
    let contiguous =
        news.changes.windows(2).all(|pair| matches!(pair, [a, b] if b.seq.0 == a.seq.0.saturating_add(1)));
    place.epoch == news.epoch && news.newest >= place.applied && whole && contiguous
}

/// A sidecar is presumed to hold a lease for at least so many leases after it has asked: by other paths it can.
pub(super) const PRESUMED_LEASES: u64 = 2;
/// So many questions fit into a lease.
pub(crate) const BEATS_A_LEASE: u32 = 5;
