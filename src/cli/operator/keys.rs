//! `consentry keys`: the issuer's signing keys, in a control plane's store on this machine or within reach.

use clap::{Args, Subcommand};
use jiff::Timestamp;

use super::super::{Failure, print};
use super::place::Place;
use crate::control::{self, Settings};
use crate::model::time::Clock;
use crate::store::{SealedKey, Shared};

/// List, rotate and withdraw the issuer's signing keys.
#[derive(Debug, Args)]
pub(in crate::cli) struct Keys {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the keys: which signs now, which is announced, which only verifies
    List,
    /// Make new keys; a running control plane announces them within seconds, and signs with them after the notice
    Rotate {
        /// Seconds between announcing a new key and signing with it; verifiers must look again within this time
        #[arg(long, value_name = "SECONDS", default_value_t = Settings::default().key_notice_seconds)]
        notice: i64,
    },
    /// End a key at once, because somebody else may hold it: what it has signed is refused everywhere within the lease
    Withdraw {
        /// Its id, as `list` prints it
        // It is a hash in base64url: one id of sixty-four begins with a hyphen, and is no option.
        #[arg(allow_hyphen_values = true)]
        kid: String,
    },
}

impl Keys {
    /// Does it.
    ///
    /// # Errors
    /// The store or the sealing secret is not there, or does not open.
    pub(in crate::cli) fn run(self) -> Result<(), Failure> {
        super::super::on_runtime(self.ask())
    }

    async fn ask(self) -> Result<(), Failure> {
        let (store, clock) = (self.place.store().await?, Clock::system());
        let told = self.tell(&store, &clock).await;
        store.close().await;
        told
    }

    async fn tell(&self, store: &Shared, clock: &Clock) -> Result<(), Failure> {
        match &self.verb {
            Verb::List => {}
            Verb::Rotate { notice } => {
                let sealer = self.place.sealer()?;
                control::rotate_keys(store, &sealer, *notice, clock.now())
                    .await
                    .map_err(|error| Failure::Unreachable(error.to_string()))?;
            }
            Verb::Withdraw { kid } => withdraw(store, kid, clock.now()).await?,
        }
        let now = clock.now();
        for key in store.signing_keys(now).await? {
            let state = if key.active_from > now {
                format!("signs from {}", key.active_from)
            } else if key.retired_at.is_none_or(|end| now < end) {
                "signs".to_owned()
            } else {
                "only verifies".to_owned()
            };
            let until = key.published_until.map(|end| format!(", published until {end}")).unwrap_or_default();
            print::data(&format!("{}  {}  {state}{until}\n", key.kid, key.purpose.as_str()))?;
        }
        Ok(())
    }
}

/// Not the only one of its purpose that signs: then nothing could be signed, and nobody could log in or be let through.
async fn withdraw(store: &Shared, kid: &str, now: Timestamp) -> Result<(), Failure> {
    let keys = store.signing_keys(now).await?;
    let signs = |key: &&SealedKey| key.active_from <= now && key.retired_at.is_none_or(|end| now < end);
    if let Some(key) = keys.iter().find(|key| key.kid == kid).filter(signs)
        && !keys.iter().filter(signs).any(|other| other.kid != kid && other.purpose == key.purpose)
    {
        return Err(Failure::No(format!(
            "{kid} is the only key that signs for {}; first make another: consentry keys rotate --notice 0",
            key.purpose.as_str()
        )));
    }
    store.withdraw_key(kid, now).await?;
    print::narrate(&format!("consentry: {kid} is withdrawn; whoever holds what it has signed must ask anew"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::{Keys, Verb};

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        keys: Keys,
    }

    #[test]
    fn a_key_is_withdrawn_by_its_id_whatever_that_begins_with() {
        for id in ["kPrK_qmxVWaYVA9w", "-hPrK_qmxVWaYVA9w", "-Vd", "--data_qmxVWaYVA9w"] {
            let line = Line::try_parse_from(["keys", "withdraw", id]).unwrap();
            assert!(matches!(line.keys.verb, Verb::Withdraw { kid } if kid == id), "{id}");
        }
    }

    #[test]
    fn a_key_is_not_withdrawn_without_an_id() {
        assert!(Line::try_parse_from(["keys", "withdraw"]).is_err());
        assert!(Line::try_parse_from(["keys", "withdraw", "one", "two"]).is_err());
    }
}
