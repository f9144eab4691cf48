//! Hearing of changes by Redis: a connection of its own to the server that holds the log, supervised, with `CLIENT
//! TRACKING` in broadcast mode on the log's keys, so that each write there is pushed at once.
//!
//! A push only says "look"; what counts is read then, and each L/5 anyway, since a server that hangs pushes nothing:
//! the server's time, the watermark, the entries after what is applied. Entries are passed on if signed, of this life of
//! the store and without a gap. The lease is renewed from when control *asked* its store, if everything up to there
//! has been passed on. So whatever becomes of Redis can make a sidecar lose time, never gain any. Tracking, and so a
//! connection of this kind, is needed at the log's primary only: records elsewhere are judged by the log, not by pushes.
//!
//! The run id tells that the watermark is dated by the very clock that is compared with it; against a clock that is set
//! back there is [`super::drift`]. Not defended against: a Redis *server* that lies about its time consistently from the
//! first connection on; one cannot be made of a server by writing to it.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::streams::StreamRangeReply;
use redis::{FromRedisValue, PushInfo, PushKind, cmd, pipe};
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::connection::{Primary, Unreached};
use super::drift::{Sample, ServerClock};
use super::record::{self, Bad};
use super::tier::{Link, Tier};
use crate::grants::follow::news::{News, Place};
use crate::grants::follow::{BEATS_A_LEASE, Following, Told};
use crate::model::change::{Change, Subject};
use crate::model::id::Seq;
use crate::model::time::{boot_milliseconds, milliseconds};

/// How far the log reaches. Its record's `as_of` is the newest place that control's store had when asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watermark {
    /// What the log's server showed as its time before the store was asked, in milliseconds since 1970.
    pub asked_at: u64,
    /// Which run of which server that was.
    pub run_id: String,
    /// For how long control lets a sidecar count on an answer, in milliseconds.
    pub lease_ms: u64,
}

/// Hears of changes by Redis.
pub struct Watch {
    tier: Arc<Tier>,
    following: watch::Receiver<Following>,
    told: mpsc::Sender<Told>,
    lease: Duration,
    clock: ServerClock,
}

/// What a look at the log brought.
struct Look {
    at: Sample,
    watermark: Vec<u8>,
    entries: StreamRangeReply,
}

/// Why what was seen renews no lease; the word in metrics.
type Doubt = &'static str;

impl Watch {
    /// For the sidecar whose follower's state is `following`; what is heard goes to `told`. `lease` is its length.
    #[must_use]
    pub fn new(
        tier: Arc<Tier>,
        following: watch::Receiver<Following>,
        told: mpsc::Sender<Told>,
        lease: Duration,
    ) -> Self {
        Self { tier, following, told, lease, clock: ServerClock::default() }
    }

    /// Hears until `stop`. Run it as a task of its own.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut pause = SHORTEST;
        loop {
            let began = boot_milliseconds();
            let ended = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                ended = self.connect_and_watch() => ended,
            };
            if self.tier.link().borrow().eq(&Link::Synced) {
                tracing::warn!(why = %ended, "changes are no longer heard of by Redis; the control plane is followed alone");
            }
            self.tier.note(Link::Lost(ended.to_string()));
            if boot_milliseconds().saturating_sub(began) > LONG_MS {
                pause = SHORTEST;
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST),
            }
        }
    }

    /// Answers why it came to an end.
    async fn connect_and_watch(&mut self) -> Unreached {
        match self.watch().await {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }

    async fn watch(&mut self) -> Result<std::convert::Infallible, Unreached> {
        let pushed = Arc::new(Notify::new());
        let notify = Arc::clone(&pushed);
        let reach = Arc::clone(self.tier.reach());
        let connected = reach.primary(Arc::new(move |push: PushInfo| {
            // The end of the connection too: the next look fails at once then.
            if matches!(push.kind, PushKind::Invalidate | PushKind::Disconnection) {
                notify.notify_one();
            }
            Ok::<_, ()>(())
        }));
        let Primary { mut connection, run_id } = connected.await?;
        self.tier.note(Link::Syncing("nothing has been read yet".to_owned()));
        let mut track = cmd("CLIENT");
        track.arg("TRACKING").arg("ON").arg("BCAST").arg("PREFIX").arg(reach.names().log());
        track.query_async::<()>(&mut connection).await?;
        loop {
            let next = tokio::time::Instant::now() + APART.min(self.beat());
            let more = self.look_and_tell(&mut connection, &run_id).await?;
            if !more {
                tokio::select! {
                    () = pushed.notified() => {}
                    () = tokio::time::sleep(self.beat()) => {}
                }
                // Whoever may write to Redis could push without end.
                tokio::time::sleep_until(next).await;
            }
        }
    }

    /// One look. Answers whether there is more to be read at once.
    async fn look_and_tell(
        &mut self,
        connection: &mut MultiplexedConnection,
        run_id: &str,
    ) -> Result<bool, Unreached> {
        let place = self.following.borrow().place.clone();
        let applied = place.as_ref().map(|place| place.applied).unwrap_or_default();
        let patience = self.beat().min(PATIENCE);
        let look = match tokio::time::timeout(patience, self.look(connection, applied)).await {
            Ok(look) => look?,
            Err(_) => return Err(Unreached(format!("no answer within {} ms", patience.as_millis()))),
        };
        // Looked at each time, also when nothing else can be made of it.
        let floor = self.clock.look(run_id, look.at);
        let Some(place) = place else {
            self.tier.note(Link::Syncing("the control plane has not been heard from yet".to_owned()));
            return Ok(false);
        };
        let full = look.entries.ids.len() >= MOST_ENTRIES;
        let (changes, mut doubt) = self.sift(&place, &look.entries);
        let reached = changes.last().map_or(place.applied, |last| last.seq);
        let dated = self.date(&place, reached, &look, run_id, floor);
        let dated = match (doubt, dated) {
            (None, Ok(dated)) => Some(dated),
            (Some(_), _) => None,
            // Not a doubt: there is more to come.
            (None, Err(_)) if full => None,
            (None, Err(why)) => {
                doubt = Some(why);
                None
            }
        };
        if let Some(doubt) = doubt {
            self.tier.counts().doubt(doubt);
        }
        self.tier.note(doubt.map_or(Link::Synced, |doubt| Link::Syncing(doubt.to_owned())));
        if !changes.is_empty() || dated.is_some() {
            let (as_of, lease_ms) = dated.unwrap_or((0, 0));
            let news = News { epoch: place.epoch, newest: reached, changes, lease_ms };
            // The follower has ended when nobody takes it; so will this.
            let _ = self.told.send(Told { news, as_of, path: "redis" }).await;
        }
        // After a doubt there is nothing more to be had before control has mended it.
        Ok(full && doubt.is_none())
    }

    async fn look(&self, connection: &mut MultiplexedConnection, applied: Seq) -> Result<Look, Unreached> {
        let names = self.tier.reach().names();
        let mut question = pipe();
        question.cmd("TIME");
        question.cmd("GETRANGE").arg(names.watermark()).arg(0).arg(record::LONGEST);
        question.cmd("XRANGE").arg(names.log()).arg(entry_id(Seq(applied.0.saturating_add(1)))).arg("+");
        question.arg("COUNT").arg(MOST_ENTRIES);
        let sent = boot_milliseconds();
        let (time, watermark, entries): ((u64, u64), Vec<u8>, StreamRangeReply) =
            question.query_async(connection).await?;
        let received = boot_milliseconds();
        let time = time.0.saturating_mul(1000).saturating_add(time.1 / 1000);
        Ok(Look { at: Sample { sent, time, received }, watermark, entries })
    }

    /// The entries that may be believed, in order and without a gap, and why no more of them may.
    fn sift(&self, place: &Place, entries: &StreamRangeReply) -> (Vec<Change>, Option<Doubt>) {
        let (keys, log) = (self.tier.keys(), self.tier.reach().names().log());
        let mut changes = Vec::new();
        let mut next = Seq(place.applied.0.saturating_add(1));
        for entry in &entries.ids {
            if entry.id != entry_id(next) {
                return (changes, Some("gap"));
            }
            let found: Option<Vec<u8>> =
                entry.map.get(FIELD).and_then(|value| Vec::from_redis_value_ref(value).ok());
            let record = match record::read::<Subject>(&keys, log, &found.unwrap_or_default()) {
                Ok(record) => record,
                Err(bad) => return (changes, Some(bad.as_str())),
            };
            if record.epoch != place.epoch {
                return (changes, Some("other_epoch"));
            }
            if record.as_of != next {
                return (changes, Some(Bad::OtherPlace.as_str()));
            }
            changes.push(Change { seq: next, subject: record.body });
            next = Seq(next.0.saturating_add(1));
        }
        (changes, None)
    }

    /// Since when, by the own clock, it is known that there was nothing after `reached`; and for how long that may be
    /// counted on, in milliseconds.
    fn date(
        &mut self,
        place: &Place,
        reached: Seq,
        look: &Look,
        run_id: &str,
        floor: u64,
    ) -> Result<(u64, u64), Doubt> {
        if look.watermark.is_empty() {
            return Err("no_watermark");
        }
        let name = self.tier.reach().names().watermark();
        let record =
            record::read::<Watermark>(&self.tier.keys(), name, &look.watermark).map_err(Bad::as_str)?;
        let Sample { sent, time, received } = look.at;
        let Watermark { asked_at, run_id: dated_by, lease_ms } = record.body;
        if record.epoch != place.epoch {
            return Err("other_epoch");
        }
        if dated_by != run_id {
            return Err("other_run");
        }
        if record.as_of > reached {
            return Err("gap");
        }
        // The watermark is read after the time, and may be that much younger.
        if asked_at <= floor
            || asked_at > time.saturating_add(received.saturating_sub(sent)).saturating_add(1)
        {
            return Err("clock");
        }
        let age = time.saturating_sub(asked_at);
        let margin = milliseconds(self.lease) / MARGIN;
        if age.saturating_add(margin) >= lease_ms.min(milliseconds(self.lease)) {
            return Err("old_watermark");
        }
        // Of what its clock says and what was seen of it, the earlier: a server may stand still, and its clock too.
        let since = self.clock.since(asked_at, look.at).ok_or("clock")?;
        Ok((since.min(sent.saturating_sub(age).saturating_sub(margin)), lease_ms))
    }

    fn beat(&self) -> Duration {
        (self.lease / BEATS_A_LEASE).max(Duration::from_millis(1))
    }
}

/// An entry's id in the stream: its place in the log, so that Redis itself keeps the order.
pub(super) fn entry_id(seq: Seq) -> String {
    format!("{}-0", seq.0)
}

/// Under which name an entry of the stream holds its record.
pub(super) const FIELD: &str = "r";
const MOST_ENTRIES: usize = 256;
/// The server's clock may run a little slower than one's own: the fiftieth part of a lease is given away for it.
const MARGIN: u64 = 50;
/// Looks begin at least so far from each other; the first one after a pause begins at once.
const APART: Duration = Duration::from_millis(5);
/// A server that takes longer for one look is not there.
const PATIENCE: Duration = Duration::from_millis(500);
const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(1);
/// A connection that lasted so long was a good one.
const LONG_MS: u64 = 2000;
