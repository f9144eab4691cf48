//! `consentry registrations`: an operator's word about an application that registered itself.
//!
//! Comes in: its client ID, as a consent page or the audit shows it. Goes out: a change of the application, audited, that
//! ends or allows everything of it everywhere, by the way on which a publisher disables one. What publishers have
//! registered is theirs, and not touched.

use clap::{Args, Subcommand};

use super::super::{Failure, print};
use super::place::Place;
use crate::control::application_id;
use crate::model::account::{PrincipalKey, PrincipalKind};
use crate::model::application::Application;
use crate::model::time::Clock;
use crate::store::{Actor, Shared};

/// Disable an application that registered itself, and enable it again.
#[derive(Debug, Args)]
pub(in crate::cli) struct Registrations {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// End it in every account: its tokens, streams and log-ins are refused everywhere, until it is enabled
    Disable {
        /// Its client ID: a number, or the address of its description
        client_id: String,
    },
    /// Let it be used again where it is authorized
    Enable {
        /// Its client ID: a number, or the address of its description
        client_id: String,
    },
}

impl Registrations {
    /// Does it.
    ///
    /// # Errors
    /// The store is not there or does not answer; there is no such application that registered itself.
    pub(in crate::cli) fn run(self) -> Result<(), Failure> {
        super::super::on_runtime(self.ask())
    }

    async fn ask(self) -> Result<(), Failure> {
        let store = self.place.store().await?;
        let done = match &self.verb {
            Verb::Disable { client_id } => set(&store, client_id, false).await,
            Verb::Enable { client_id } => set(&store, client_id, true).await,
        };
        store.close().await;
        done
    }
}

async fn set(store: &Shared, client_id: &str, enabled: bool) -> Result<(), Failure> {
    let id = application_id(client_id).map_err(|why| Failure::Usage(format!("{client_id:?}: {why}")))?;
    let before = store.application(&id).await?.filter(Application::is_unverified).ok_or_else(|| {
        Failure::No(format!("no application of the client ID {client_id:?} has registered itself here"))
    })?;
    let word = if enabled { "enabled" } else { "disabled" };
    if before.enabled == enabled {
        print::narrate(&format!("consentry: {client_id} is {word} already"));
        return Ok(());
    }
    let after = Application { enabled, ..before.clone() };
    let nobody = before.publisher.as_str().parse();
    let nobody = nobody.map_err(|why| Failure::Unreachable(format!("its publisher: {why}")))?;
    let principal =
        PrincipalKey { account: before.publisher.clone(), kind: PrincipalKind::Account, id: nobody };
    let by = Actor { principal, login: "operator".to_owned() };
    store.replace_application(&before, &after, &by, Clock::system().now()).await?;
    print::narrate(&format!("consentry: {client_id} ({}) is {word}, in every account", before.display_name));
    Ok(())
}
