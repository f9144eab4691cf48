//! The sidecars: who is enrolled, which processes follow, by which paths, and how fresh they are.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::openapi::Refusals;
use super::request::Asked;
use crate::control::{Control, Reply};
use crate::grants::source::Heard;
use crate::model::time::{boot_milliseconds, milliseconds};
use crate::policy::ConsoleAction;
use crate::store::{Enrolled, Instance, StoreError};

/// All sidecars.
#[derive(Serialize, ToSchema)]
pub(super) struct Sidecars {
    /// The newest place in the change log: a process that has applied it knows everything.
    newest: u64,
    /// Which life of the store the log belongs to.
    epoch: String,
    /// The policy set in force at this control node.
    policies: String,
    /// The sidecars, by name.
    sidecars: Vec<Sidecar>,
}

/// A sidecar.
#[derive(Serialize, ToSchema)]
struct Sidecar {
    /// Its name.
    name: String,
    /// Since when it is enrolled; null for one inside the control plane's own process.
    enrolled_at: Option<String>,
    /// From then on it is refused.
    revoked_at: Option<String>,
    /// Its processes that have not left.
    processes: Vec<Process>,
}

/// One process of a sidecar.
#[derive(Serialize, ToSchema)]
struct Process {
    /// As receipts and decision records name it.
    id: String,
    /// Milliseconds since it was heard of: here, or as another control node has last written down.
    heard_ms: u64,
    /// `held`: it counts on what it knows; `ended`: its lease has run out, and it serves nothing.
    lease: &'static str,
    /// How far it has applied the change log.
    applied: u64,
    /// By which paths it hears of changes: `control`, `redis`.
    paths: Vec<String>,
    /// Its program's version.
    version: String,
    /// The policy set in force at it.
    policies: String,
    /// How many open streams it has cut in all its life; null when only another control node knows.
    streams_cut: Option<u64>,
}

/// List the sidecars
///
/// Who is enrolled, which of their processes follow the change log, by which paths, and how fresh each is.
#[utoipa::path(get, path = "/api/v1/sidecars", tag = "sidecars", operation_id = "listSidecars",
    responses((status = 200, description = "The sidecars.", body = Sidecars), Refusals))]
pub(super) async fn list(State(control): State<Arc<Control>>, asked: Asked) -> Reply<Json<Sidecars>> {
    asked.may(&control, ConsoleAction::List).await?;
    asked.only(&[])?;
    Ok(Json(gather(&control).await?))
}

async fn gather(control: &Control) -> Result<Sidecars, StoreError> {
    let store = control.store();
    let mut all: BTreeMap<String, Sidecar> = BTreeMap::new();
    for one in store.all_enrolled().await? {
        all.insert(one.sidecar.to_string(), enrolled(&one));
    }
    let mut processes: BTreeMap<String, Process> = BTreeMap::new();
    let now = control.clock().now();
    for one in store.instances().await? {
        processes.insert(one.instance.to_string(), written(&one, now));
    }
    // What was said here is newer than what was written down of it.
    for one in control.source().heard() {
        processes.insert(one.report.sidecar.to_string(), heard(&one, control));
    }
    for (id, process) in processes {
        let name = id.parse().map_or(id.clone(), |id: crate::model::id::SidecarId| id.enrolment().to_owned());
        let unknown =
            || Sidecar { name: name.clone(), enrolled_at: None, revoked_at: None, processes: Vec::new() };
        all.entry(name.clone()).or_insert_with(unknown).processes.push(process);
    }
    Ok(Sidecars {
        newest: store.newest().await?.0,
        epoch: control.source().epoch().0.clone(),
        policies: control.policies().version().to_string(),
        sidecars: all.into_values().collect(),
    })
}

fn enrolled(one: &Enrolled) -> Sidecar {
    Sidecar {
        name: one.sidecar.to_string(),
        enrolled_at: Some(one.enrolled_at.to_string()),
        revoked_at: one.revoked_at.map(|at| at.to_string()),
        processes: Vec::new(),
    }
}

fn written(one: &Instance, now: jiff::Timestamp) -> Process {
    let since = now.duration_since(one.status.at).as_millis();
    Process {
        id: one.instance.to_string(),
        heard_ms: u64::try_from(since).unwrap_or(0),
        lease: if one.presumed_until > now { "held" } else { "ended" },
        applied: one.status.applied.0,
        paths: one.status.paths.clone(),
        version: one.status.version.clone(),
        policies: one.status.policies.clone(),
        streams_cut: None,
    }
}

fn heard(one: &Heard, control: &Control) -> Process {
    let heard_ms = boot_milliseconds().saturating_sub(one.at);
    let lease = milliseconds(control.source().lease());
    // It is answered a beat after it asked at the latest, and the answer is good for a lease from then.
    let held = heard_ms < lease.saturating_add(lease / 5);
    Process {
        id: one.report.sidecar.to_string(),
        heard_ms,
        lease: if held { "held" } else { "ended" },
        applied: one.report.place.as_ref().map_or(0, |place| place.applied.0),
        paths: one.report.paths.clone(),
        version: one.report.version.clone(),
        policies: one.report.policies.clone(),
        streams_cut: Some(one.report.streams_cut),
    }
}
