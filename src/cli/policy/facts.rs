//! Where `show` and `explain` get their facts: the store of a control plane on this machine.

use std::path::PathBuf;

use clap::Args;

use super::super::Failure;
use crate::model::decision::Decision;
use crate::model::grant::Installed;
use crate::model::id::{AccountId, ApplicationId, GrantKey};
use crate::store::{self, Shared};

/// The store to read.
#[derive(Debug, Args)]
pub(super) struct Facts {
    /// The data folder of `consentry dev`, or the store's file
    #[arg(long, value_name = "DIR", default_value = ".consentry", env = "CONSENTRY_DATA")]
    data: PathBuf,
}

impl Facts {
    /// Asks the store.
    pub(super) fn ask<T>(
        &self,
        question: impl AsyncFnOnce(Shared) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let file = if self.data.is_dir() { self.data.join(STORE_FILE) } else { self.data.clone() };
        if !file.is_file() {
            let place = self.data.display();
            return Err(Failure::Unreachable(format!(
                "there is no store at {place}; give the folder with --data"
            )));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::Unreachable(error.to_string()))?;
        runtime.block_on(async {
            let store = store::open(&format!("sqlite:{}", file.display())).await?;
            question(store).await
        })
    }
}

/// The grant of `application` in the account with this id or alias.
pub(super) async fn installed(
    store: &Shared,
    account: &str,
    application: &ApplicationId,
) -> Result<Option<Installed>, Failure> {
    let accounts = store.accounts().await?;
    let found = accounts.into_iter().find(|known| known.id.as_str() == account || known.alias == account);
    let Some(found) = found else {
        return Err(Failure::No(format!("there is no account {account}")));
    };
    Ok(store.installed(&GrantKey { account: found.id, application: application.clone() }).await?)
}

/// The grant that a decision was about, as it is now.
pub(super) async fn grant_of(store: &Shared, record: &Decision) -> Result<Option<Installed>, Failure> {
    let ids = (record.account.as_deref(), record.application.as_deref());
    let (Some(account), Some(application)) = ids else { return Ok(None) };
    let parsed = (account.parse::<AccountId>(), application.parse::<ApplicationId>());
    let (Ok(account), Ok(application)) = parsed else { return Ok(None) };
    Ok(store.installed(&GrantKey { account, application }).await?)
}

/// What `consentry dev` calls its store.
const STORE_FILE: &str = "consentry.db";
