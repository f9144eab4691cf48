//! Control's end of the shared tier: puts the change log, a dated watermark and facts into Redis, all signed.
//!
//! Comes in: the store, whose log is followed; and the facts that were read for somebody ([`Publisher::fill`]). Goes
//! out: nothing that anybody waits for. A revocation is final without Redis: this only makes it known sooner, and
//! spares the store reads. Several control nodes may do this at once: an entry's id in the stream is its place in the
//! log, which Redis never lets go back, and of two facts' records the later one stays.
//!
//! Whatever Redis has lost or been given by others is mended: entries that are missing, foreign or forged make the
//! stream be deleted and its tail written anew. A revoked grant's record is a tombstone, never a deletion.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::streams::{StreamId, StreamRangeReply};
use redis::{FromRedisValue, PushInfo, RedisError, cmd, pipe};
use serde::Serialize;
use tokio::sync::mpsc;

use super::connection::{Commands, Primary, Reach, Unreached};
use super::record;
use super::watch::{FIELD, Watermark, entry_id};
use crate::model::change::{Change, Epoch, Subject};
use crate::model::grant::Installed;
use crate::model::id::{GrantKey, Seq};
use crate::model::member::Member;
use crate::model::time::milliseconds;
use crate::store::{Shared, StoreError};
use crate::token::keys::{KeyError, Signer};
use crate::token::verify::KeySet;

/// Publishes.
pub struct Publisher {
    reach: Arc<Reach>,
    store: Shared,
    signing: Signing,
    epoch: Epoch,
    lease: Duration,
    fills: mpsc::Sender<Fill>,
    queue: Mutex<Option<mpsc::Receiver<Fill>>>,
}

/// A fact, as it stands in the store.
#[derive(Debug, Clone)]
pub enum Fact {
    /// A grant with its application, or its tombstone.
    Grant(Box<Installed>),
    /// What a principal is to a grant.
    Member(GrantKey, Box<Member>),
}

/// The keys for records, as they are now.
#[derive(Clone)]
pub struct RecordKeys {
    /// The one that signs.
    pub signer: Arc<Signer>,
    /// All that sidecars know.
    pub known: Arc<KeySet>,
}

/// Answers the keys for records, as they are now; none while they cannot be had: then nothing is published.
pub type Signing = Arc<dyn Fn() -> Option<RecordKeys> + Send + Sync>;

struct Fill {
    as_of: Seq,
    fact: Fact,
}

/// Why publishing has to begin anew.
#[derive(Debug, thiserror::Error)]
enum Stopped {
    #[error(transparent)]
    Unreached(#[from] Unreached),
    #[error("Redis refuses: {0}")]
    Redis(#[from] RedisError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("there is no key for records")]
    NoKey,
}

impl Publisher {
    /// A publisher of what `store` holds; it begins with [`Publisher::run`]. `lease` is for how long a sidecar may
    /// count on an answer.
    ///
    /// # Errors
    /// The store's own.
    pub async fn new(
        reach: Arc<Reach>,
        store: Shared,
        signing: Signing,
        lease: Duration,
    ) -> Result<Arc<Self>, StoreError> {
        let epoch = store.epoch().await?;
        let (fills, queue) = mpsc::channel(MOST_FILLS);
        Ok(Arc::new(Self { reach, store, signing, epoch, lease, fills, queue: Mutex::new(Some(queue)) }))
    }

    /// Leaves a fact in Redis, some time, if there is room. The log had come to `as_of` *before* the fact was read.
    pub fn fill(&self, as_of: Seq, fact: Fact) {
        // When Redis is slow or away: whoever needs the fact reads it from its origin.
        let _ = self.fills.try_send(Fill { as_of, fact });
    }

    /// Publishes. Never ends: run it as a task of its own, once, and drop it at shutdown.
    pub async fn run(self: Arc<Self>) {
        let queue = self.queue.lock().take();
        tokio::join!(self.keep_publishing(), async {
            if let Some(queue) = queue {
                self.write_facts(queue).await;
            }
        });
    }

    async fn keep_publishing(&self) {
        let mut pause = SHORTEST;
        loop {
            let (mut published, began) = (false, tokio::time::Instant::now());
            if let Err(error) = self.publish(&mut published).await
                && (published || pause >= LONGEST)
            {
                tracing::warn!(%error, "changes are not published in Redis; sidecars hear of them from here alone");
            }
            if began.elapsed() > LONGEST * 2 {
                pause = SHORTEST;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST);
        }
    }

    /// Publishes over one connection, until that ends.
    async fn publish(&self, has: &mut bool) -> Result<(), Stopped> {
        let Primary { mut connection, run_id } = self.reach.primary(Arc::new(ignore)).await?;
        let mut woken = self.store.woken();
        let mut log = Log { publisher: self, connection: connection.clone(), known: None };
        loop {
            woken.borrow_and_update();
            // In this order: the time, then how far the store has come.
            let (seconds, micros): (u64, u64) = cmd("TIME").query_async(&mut connection).await?;
            let newest = self.store.newest().await?;
            let changed = log.bring_to(newest).await?;
            let asked_at = seconds.saturating_mul(1000).saturating_add(micros / 1000);
            let lease_ms = milliseconds(self.lease);
            let watermark = Watermark { asked_at, run_id: run_id.clone(), lease_ms };
            let name = self.reach.names().watermark();
            let record = self.signed(name, newest, &watermark)?;
            cmd("SET")
                .arg(name)
                .arg(record)
                .arg("PX")
                .arg(KEPT_MS)
                .query_async::<()>(&mut connection)
                .await?;
            *has = true;
            self.leave(&changed).await?;
            // A closed channel only makes the wait longer.
            let _ = tokio::time::timeout(EVERY, woken.changed()).await;
        }
    }

    /// Leaves the changed grants as they are now, so that nobody has to ask for them.
    async fn leave(&self, changed: &[Change]) -> Result<(), Stopped> {
        if changed.is_empty() {
            return Ok(());
        }
        // Read before any of the facts: each is at least as new.
        let as_of = self.store.newest().await?;
        for change in changed {
            if let Subject::Grant(key) = &change.subject
                && let Some(installed) = self.store.installed(key).await?
            {
                self.fill(as_of, Fact::Grant(Box::new(installed)));
            }
        }
        Ok(())
    }

    async fn write_facts(&self, mut queue: mpsc::Receiver<Fill>) {
        let mut connected: Option<Commands> = None;
        while let Some(fill) = queue.recv().await {
            // Twice, since the connection may have ended since the last one.
            for _ in 0..2 {
                let commands = match connected.take() {
                    Some(commands) => Ok(commands),
                    None => self.reach.commands().await,
                };
                let Ok(mut commands) = commands else {
                    // What waits meanwhile is old by then.
                    while queue.try_recv().is_ok() {}
                    tokio::time::sleep(SHORTEST).await;
                    break;
                };
                match self.write_fact(&mut commands, &fill).await {
                    Ok(()) => {
                        connected = Some(commands);
                        break;
                    }
                    Err(error) => tracing::debug!(%error, "a fact could not be left in Redis"),
                }
            }
        }
    }

    async fn write_fact(&self, commands: &mut Commands, fill: &Fill) -> Result<(), Stopped> {
        let names = self.reach.names();
        let (name, record) = match &fill.fact {
            Fact::Grant(installed) => {
                let name = names.grant(&installed.grant.key);
                let record = self.signed(&name, fill.as_of, &**installed)?;
                (name, record)
            }
            Fact::Member(grant, member) => {
                let name = names.member(grant, &member.principal.key);
                let record = self.signed(&name, fill.as_of, &**member)?;
                (name, record)
            }
        };
        let stamped = record::stamp(fill.as_of, &record);
        let mut put = cmd("EVAL");
        put.arg(LATER_WINS).arg(1).arg(&name).arg(fill.as_of.0).arg(&stamped).arg(KEPT_MS);
        put.arg(record::LONGEST + LONGEST_STAMP);
        let there: Option<Vec<u8>> = commands.query(&put).await?;
        let Some(there) = there else { return Ok(()) };
        // Said to be as new or newer; if that is a lie, it must not stay there.
        let keys = (self.signing)().ok_or(Stopped::NoKey)?.known;
        let honest = record::read::<serde_json::Value>(&keys, &name, record::stamped(&there))
            .is_ok_and(|found| found.epoch == self.epoch && found.as_of >= fill.as_of);
        if !honest {
            commands.query::<()>(cmd("SET").arg(&name).arg(&stamped).arg("PX").arg(KEPT_MS)).await?;
        }
        Ok(())
    }

    fn signed<T: Serialize>(&self, name: &str, as_of: Seq, body: &T) -> Result<String, Stopped> {
        let keys = (self.signing)().ok_or(Stopped::NoKey)?;
        Ok(record::write(&keys.signer, name, &self.epoch, as_of, body)?)
    }
}

/// The log's stream, over one connection.
struct Log<'p> {
    publisher: &'p Publisher,
    connection: MultiplexedConnection,
    /// Up to where the stream is known to hold what it should; none when that has to be seen first.
    known: Option<Seq>,
}

impl Log<'_> {
    /// Makes the stream reach to `newest`; answers what had to be added.
    async fn bring_to(&mut self, newest: Seq) -> Result<Vec<Change>, Stopped> {
        let (mut added, mut refused) = (Vec::new(), 0);
        for _ in 0..TRIES {
            // Refused twice though nothing is wrong with the entries: the stream's own last id was set too high.
            let whole = if refused < 2 { self.see_tail(newest).await? } else { None };
            let from = match whole {
                Some(seq) => seq,
                None => self.clear(newest).await?,
            };
            if from >= newest {
                return Ok(added);
            }
            let changes = self.publisher.store.changes_after(from, MOST_CHANGES).await?;
            match self.add(&changes).await {
                Ok(()) => {
                    self.known = changes.last().map(|last| last.seq).filter(|_| {
                        // What a key has signed that is gone has to be signed anew: all of it is to be seen.
                        !changes.iter().any(|change| change.subject == Subject::Keys)
                    });
                    added.extend(changes);
                }
                // Another node was first, or the stream is not what it should be: the next look tells.
                Err(error) if is_refusal(&error) => (self.known, refused) = (None, refused + 1),
                Err(error) => return Err(error.into()),
            }
        }
        // It grows faster than it is written. The watermark says how far it should reach: nobody's lease is renewed.
        Ok(added)
    }

    /// How far the stream reaches if everything in its tail is right; none if not.
    async fn see_tail(&mut self, newest: Seq) -> Result<Option<Seq>, Stopped> {
        let log = self.publisher.reach.names().log();
        let from = self.known.unwrap_or(Seq(newest.0.saturating_sub(TAIL)));
        // The last known entry too: it is not there any more after a loss.
        let mut look = cmd("XRANGE");
        look.arg(log).arg(entry_id(from)).arg("+").arg("COUNT").arg(TAIL * 2);
        let found = look.query_async::<StreamRangeReply>(&mut self.connection).await;
        let entries = match found {
            Ok(found) => found.ids,
            // Something else than a stream.
            Err(error) if error.code() == Some("WRONGTYPE") => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let keys = (self.publisher.signing)().ok_or(Stopped::NoKey)?.known;
        let mut last: Option<Seq> = None;
        for entry in &entries {
            let seq = self.genuine(&keys, entry);
            let follows = |seq: &Seq| last.is_none_or(|last| seq.0 == last.0.saturating_add(1));
            match seq.filter(follows) {
                Some(seq) => last = Some(seq),
                None => return Ok(None),
            }
        }
        self.known = match (self.known, last) {
            // Nothing was ever there to be lost.
            (None, None) if newest.0 == 0 => Some(newest),
            // An entry beyond what the store has: from before it was put back.
            (_, Some(last)) if last > newest && last > self.publisher.store.newest().await? => None,
            (Some(known), Some(last)) if entries.first().is_some_and(|first| first.id == entry_id(known)) => {
                Some(last)
            }
            (None, Some(last)) => Some(last),
            (Some(Seq(0)), None) => Some(Seq(0)),
            (Some(_) | None, _) => None,
        };
        Ok(self.known)
    }

    /// The entry's place, if control has signed it for that place.
    fn genuine(&self, keys: &KeySet, entry: &StreamId) -> Option<Seq> {
        let found: Vec<u8> = Vec::from_redis_value_ref(entry.map.get(FIELD)?).ok()?;
        let log = self.publisher.reach.names().log();
        let record = record::read::<Subject>(keys, log, &found).ok()?;
        (record.epoch == self.publisher.epoch && entry.id == entry_id(record.as_of)).then_some(record.as_of)
    }

    /// Begins the stream anew, with room for its tail; answers from where on it has to be written.
    async fn clear(&mut self, newest: Seq) -> Result<Seq, Stopped> {
        let log = self.publisher.reach.names().log();
        cmd("DEL").arg(log).query_async::<()>(&mut self.connection).await?;
        let from = Seq(newest.0.saturating_sub(TAIL));
        Ok(from)
    }

    async fn add(&mut self, changes: &[Change]) -> Result<(), RedisError> {
        let log = self.publisher.reach.names().log();
        let mut add = pipe();
        for change in changes {
            // A key that has gone meanwhile is found by the next round.
            let Ok(record) = self.publisher.signed(log, change.seq, &change.subject) else { break };
            add.cmd("XADD").arg(log).arg("MAXLEN").arg("~").arg(TAIL * 2);
            add.arg(entry_id(change.seq)).arg(FIELD).arg(record).ignore();
        }
        add.query_async::<()>(&mut self.connection).await
    }
}

/// Pushes are for sidecars.
#[expect(clippy::unnecessary_wraps, reason = "the library's signature")]
fn ignore(_: PushInfo) -> Result<(), ()> {
    Ok(())
}

/// Whether the server refused the entry itself: an id that is not above the last one's, or a key of another type.
fn is_refusal(error: &RedisError) -> bool {
    matches!(error.code(), Some("ERR" | "WRONGTYPE"))
}

/// Keeps what is there when it says to be as new or newer, and answers it: no more of it than a record may have, since
/// anybody may have put it there.
const LATER_WINS: &str = "
local there = redis.pcall('GETRANGE', KEYS[1], 0, ARGV[4])
if type(there) == 'string' then
  local as_of = tonumber(string.match(there, '^(%d+) '))
  if as_of and as_of >= tonumber(ARGV[1]) then return there end
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return false";

/// So many of the last entries are kept at least; who is further behind asks control.
const TAIL: u64 = 512;
const MOST_CHANGES: u32 = 512;
const TRIES: usize = 4;
/// The watermark is dated anew so often.
const EVERY: Duration = Duration::from_millis(500);
/// What nobody renews is forgotten after a day. Nothing depends on when.
const KEPT_MS: u64 = 86_400_000;
/// A place in the log and the space after it.
const LONGEST_STAMP: usize = 21;
const MOST_FILLS: usize = 1024;
const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(1);
