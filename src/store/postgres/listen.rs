//! What the nodes tell each other through the database: that the change log has grown, and what sidecars have
//! acknowledged.
//!
//! A supervised connection of its own. Notifications are lost with it, so that after every new connection whoever
//! follows the change log is woken once, whether or not there is something new.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sqlx::{Executor, PgPool, Row as _};
use tokio::sync::{broadcast, watch};

use super::session::within;
use crate::model::id::Seq;
use crate::store::{Acknowledged, StoreError};

/// Where the places of the change log are told.
pub(super) const CHANGES: &str = "consentry_changes";
/// Where sidecars' words are told: `[node, word]`.
pub(super) const WORDS: &str = "consentry_words";

/// Who listens.
pub(super) struct Listener {
    pub(super) options: PgConnectOptions,
    pub(super) place: Arc<str>,
    pub(super) node: Arc<str>,
}

impl Listener {
    /// Listens for ever; ended by dropping it.
    pub(super) async fn run(self, woken: watch::Sender<Seq>, words: broadcast::Sender<Acknowledged>) {
        let mut pause = SHORTEST;
        let mut lost = false;
        loop {
            match self.connect().await {
                Ok((listener, pool)) => {
                    let newest = self.newest(&pool).await;
                    woken.send_if_modified(|known| {
                        let risen = newest > *known;
                        *known = newest.max(*known);
                        risen || lost
                    });
                    pause = SHORTEST;
                    let why = self.hear(listener, &woken, &words).await;
                    tracing::warn!(error = %why, "the store's notifications stopped; connecting again");
                    pool.close().await;
                }
                Err(error) => {
                    tracing::warn!(error = %error, "the store's notifications cannot be heard; trying again");
                }
            }
            lost = true;
            tokio::time::sleep(pause).await;
            pause = LONGEST.min(pause * 2);
        }
    }

    async fn connect(&self) -> Result<(PgListener, PgPool), StoreError> {
        let pool = PgPoolOptions::new().max_connections(2).connect_lazy_with(self.options.clone());
        let connected = async {
            let mut listener = PgListener::connect_with(&pool).await?;
            listener.eager_reconnect(false);
            listener.listen_all([CHANGES, WORDS]).await?;
            Ok(listener)
        };
        Ok((within(&self.place, connected).await?, pool))
    }

    /// The newest place, or the first one when that cannot be told: then only waking counts.
    async fn newest(&self, pool: &PgPool) -> Seq {
        let asked = sqlx::query("SELECT seq FROM log_state").fetch_one(pool);
        let seq: i64 = within(&self.place, asked).await.map_or(0, |row| row.try_get(0).unwrap_or(0));
        Seq(u64::try_from(seq).unwrap_or(0))
    }

    async fn hear(
        &self,
        mut listener: PgListener,
        woken: &watch::Sender<Seq>,
        words: &broadcast::Sender<Acknowledged>,
    ) -> StoreError {
        loop {
            let Ok(heard) = tokio::time::timeout(HEARTBEAT, listener.try_recv()).await else {
                // A database that hangs or a network that swallows everything is found by asking only.
                match within(&self.place, listener.execute("SELECT 1")).await {
                    Ok(_) => continue,
                    Err(error) => return error,
                }
            };
            let told = match heard {
                Ok(Some(told)) => told,
                Ok(None) => return StoreError::Unavailable("the connection was lost".to_owned()),
                Err(error) => return super::fault::fault(&self.place, &error),
            };
            if told.channel() == CHANGES {
                let seq = Seq(told.payload().parse().unwrap_or_default());
                woken.send_if_modified(|newest| {
                    let risen = seq > *newest;
                    *newest = seq.max(*newest);
                    risen
                });
            } else if let Ok((node, word)) = serde_json::from_str::<(String, Acknowledged)>(told.payload())
                && *node != *self.node
            {
                let _ = words.send(word); // Nobody may be waiting for one.
            }
        }
    }
}

/// After so much silence the connection is tried.
const HEARTBEAT: Duration = Duration::from_secs(3);
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);
