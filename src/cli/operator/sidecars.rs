//! `consentry sidecars`: which sidecars a control plane knows, in its store on this machine or within reach.

use clap::{Args, Subcommand};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::super::Failure;
use super::super::app::{at, table, word};
use super::super::print::{self, Format};
use super::place::Place;
use crate::model::id::SidecarId;
use crate::model::time::Clock;
use crate::store::{Enrolled, Instance, Invitation, Shared, StoreError};
use crate::token::proof;
use crate::token::random::Secret;

/// Invite, list and revoke the sidecars of a control plane.
#[derive(Debug, Args)]
pub(in crate::cli) struct Sidecars {
    #[command(flatten)]
    place: Place,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Human, global = true)]
    format: Format,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a one-time token that enrols a sidecar under a name, and print it
    Invite {
        /// The sidecar's name, as its settings have it
        name: SidecarId,
        /// For how many seconds the token can be used
        #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
        life: u32,
    },
    /// List the enrolled sidecars, and the processes that follow
    List,
    /// End a sidecar's enrolment: it is refused at once, and its keys are published no more
    Revoke {
        /// The sidecar's name
        name: SidecarId,
    },
}

impl Sidecars {
    /// Does it.
    ///
    /// # Errors
    /// The store is not there or does not answer; there is no such sidecar.
    pub(in crate::cli) fn run(self) -> Result<(), Failure> {
        super::super::on_runtime(self.ask())
    }

    async fn ask(self) -> Result<(), Failure> {
        let (store, now) = (self.place.store().await?, Clock::system().now());
        let done = match &self.verb {
            Verb::Invite { name, life } => self.invite(&store, name, *life, now).await,
            Verb::List => self.list(&store, now).await,
            Verb::Revoke { name } => self.revoke(&store, name, now).await,
        };
        store.close().await;
        done
    }

    async fn invite(
        &self,
        store: &Shared,
        name: &SidecarId,
        life: u32,
        now: Timestamp,
    ) -> Result<(), Failure> {
        if !proof::fits(name) {
            return Err(Failure::Usage(format!(
                "{name} cannot be a sidecar's name: it is too long, or ends like the name of a process"
            )));
        }
        let token = Secret::random().map_err(|error| Failure::Unreachable(error.to_string()))?;
        let expires_at = now + SignedDuration::from_secs(i64::from(life));
        let invitation = Invitation { sidecar: name.clone(), token_hash: token.hash(), expires_at };
        store.invite(&invitation, now).await?;
        print::narrate(&format!(
            "consentry: this token enrols {name} once, until {expires_at}. Give it to the sidecar as \
             CONSENTRY_ENROLMENT_TOKEN or in its token_file."
        ));
        match self.format {
            Format::Human => print::data(&format!("{}\n", token.expose())),
            Format::Json => {
                let told = json!({ "name": name, "token": token.expose(), "expires_at": expires_at });
                print::data(&format!("{told:#}\n"))
            }
        }
    }

    async fn list(&self, store: &Shared, now: Timestamp) -> Result<(), Failure> {
        let (enrolled, processes) = (store.all_enrolled().await?, store.instances().await?);
        let told = told(&enrolled, &processes, now);
        match self.format {
            Format::Json => print::data(&format!("{told:#}\n")),
            Format::Human => {
                let rows: Vec<_> = lines(&told);
                let heading =
                    ["name", "enrolled", "process", "lease", "hears by", "applied", "version", "policies"];
                print::data(&table(&heading, &rows, "No sidecar is enrolled."))
            }
        }
    }

    async fn revoke(&self, store: &Shared, name: &SidecarId, now: Timestamp) -> Result<(), Failure> {
        match store.revoke_sidecar(name, now).await {
            Ok(()) => {
                print::narrate(&format!("consentry: {name} is refused from now on, and serves nothing more"));
                Ok(())
            }
            Err(StoreError::Missing(_)) => Err(Failure::No(format!(
                "there is no sidecar {name} that is enrolled; `consentry sidecars list` lists them"
            ))),
            Err(error) => Err(error.into()),
        }
    }
}

/// What is known, as JSON.
fn told(enrolled: &[Enrolled], processes: &[Instance], now: Timestamp) -> Value {
    let process = |one: &Instance| {
        json!({
            "id": one.instance,
            "lease": if one.presumed_until > now { "presumed" } else { "ended" },
            "presumed_until": one.presumed_until,
            "paths": one.status.paths,
            "applied": one.status.applied,
            "version": one.status.version,
            "policies": one.status.policies,
            "at": one.status.at,
        })
    };
    let sidecar = |one: &Enrolled| {
        let own = processes.iter().filter(|process| process.sidecar == one.sidecar);
        json!({
            "name": one.sidecar,
            "kid": one.kid,
            "enrolled_at": one.enrolled_at,
            "revoked_at": one.revoked_at,
            "processes": own.map(process).collect::<Vec<_>>(),
        })
    };
    json!({ "sidecars": enrolled.iter().map(sidecar).collect::<Vec<_>>() })
}

/// A line for each process; one for a sidecar without any.
fn lines(told: &Value) -> Vec<Vec<String>> {
    let mut lines = Vec::new();
    for sidecar in at(told, "sidecars").as_array().into_iter().flatten() {
        let revoked = at(sidecar, "revoked_at");
        let enrolled = if revoked.is_null() {
            word(at(sidecar, "enrolled_at"))
        } else {
            format!("revoked {}", word(revoked))
        };
        let processes = at(sidecar, "processes").as_array().map_or(&[][..], Vec::as_slice);
        // One without a process has nothing to say.
        let nobody = [Value::Null];
        for process in if processes.is_empty() { &nobody } else { processes } {
            let said = ["id", "lease", "paths", "applied", "version", "policies"];
            let said = said.map(|name| word(at(process, name)));
            lines.push([word(at(sidecar, "name")), enrolled.clone()].into_iter().chain(said).collect());
        }
    }
    lines
}
