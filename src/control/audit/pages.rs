//! The audit's pages of the console: the list, one record with what it led to, and a call with the event behind it.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::Value;
use url::form_urlencoded;

use super::api::{self, FILTERS, Names, names};
use super::sentence::{application_of, sentence};
use super::view::{AskedFor, AuditCall, AuditEvent, AuditList, AuditRow, CallLine};
use crate::control::console::details::logins;
use crate::control::console::{Turned, Visit};
use crate::control::form::Parameters;
use crate::control::page::nav::AUDIT;
use crate::control::page::{Label, respond};
use crate::control::{Control, Problem};
use crate::model::audit::AuditKind;
use crate::model::decision::Decision;
use crate::model::id::{ApplicationId, DecisionId, GrantKey};
use crate::policy::ConsoleAction;
use crate::policy::explain::explain;
use crate::store::{AuditFilter, Audited, DecisionFilter};

/// `GET /console/audit`
pub(super) async fn list(
    State(control): State<Arc<Control>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Turned> {
    let visit = Visit::of(&control, &headers, ConsoleAction::Audit, AUDIT).await?;
    let query = query.unwrap_or_default();
    let asked = Parameters::parse(query.as_bytes());
    let get = |name: &str| asked.one(name).ok().flatten().map(str::trim).filter(|text| !text.is_empty());
    let (filter, problem) = match api::filter(&control, visit.by.account(), get).await {
        Ok(filter) => (filter, String::new()),
        Err(problem) if problem.status() == StatusCode::BAD_REQUEST => {
            (AuditFilter::default(), problem.detail().to_owned())
        }
        Err(problem) => return Err(problem.into()),
    };
    let (found, next) = if problem.is_empty() {
        api::page(&control, AuditFilter { limit: ROWS, ..filter }).await?
    } else {
        (Vec::new(), None)
    };
    let names = names(&control, found.iter().map(|one| &one.record)).await?;
    let chosen = get("event").unwrap_or_default();
    let field = |name: &str| Label::new(get(name).unwrap_or_default());
    let link = |path: &str, more: Option<(&str, String)>| {
        let mut link = form_urlencoded::Serializer::new(String::new());
        link.extend_pairs(FILTERS.iter().filter_map(|name| Some((*name, get(name)?))));
        link.extend_pairs(more);
        format!("{path}?{}", link.finish())
    };
    Ok(respond(&AuditList {
        visitor: Some(visit.person.visitor()),
        account: visit.account,
        asked: AskedFor {
            application: field("application"),
            principal: field("principal"),
            since: field("since"),
            until: field("until"),
            revision: field("revision"),
            any: FILTERS.iter().any(|name| get(name).is_some()),
        },
        problem,
        rows: found.iter().map(|one| row(one, &names)).collect(),
        older: next.map(|next| link(AUDIT, Some(("before", next.to_string())))),
        export: link("/api/v1/audit", Some(("format", "ndjson".to_owned()))),
        kinds: KINDS.iter().map(|(event, words)| (*event, *words, *event == chosen)).collect(),
    }))
}

/// `GET /console/audit/{id}`
pub(super) async fn event(
    State(control): State<Arc<Control>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Turned> {
    let visit = Visit::of(&control, &headers, ConsoleAction::Audit, AUDIT).await?;
    let found = api::find(&control, &visit.by, &id).await?;
    let names = names(&control, std::iter::once(&found.record)).await?;
    let record = &found.record;
    let application: Option<ApplicationId> = application_of(record).and_then(|id| id.parse().ok());
    let detail: Value = serde_json::from_str(record.detail.get()).unwrap_or_default();
    let revision =
        detail.get("revision").and_then(Value::as_u64).filter(|_| record.event.starts_with("grant."));
    let (calls, installed) = match &application {
        Some(id) => {
            let key = GrantKey { account: visit.by.account().clone(), application: id.clone() };
            let installed = control.store().installed(&key).await?;
            let calls = match revision {
                Some(revision) => calls(&control, &key, revision).await?,
                None => Vec::new(),
            };
            (calls, installed.is_some_and(|installed| installed.grant.state.as_str() != "revoked"))
        }
        None => (Vec::new(), false),
    };
    let logins = logins(&control, visit.by.account(), &calls).await?;
    let called = |id: &ApplicationId| Label::new(names.get(id.as_str()).map_or(id.as_str(), String::as_str));
    Ok(respond(&AuditEvent {
        visitor: Some(visit.person.visitor()),
        account: visit.account,
        row: row(&found, &names),
        subject: Label::long(&record.subject),
        application: application.as_ref().map(|id| (id.to_string(), called(id))),
        installed,
        detail: members(&detail),
        revision,
        calls: calls.iter().map(|one| CallLine::of(one, &logins)).collect(),
        node: Label::new(&record.node),
        number: record.number,
        hash: record.hash.to_string(),
        prev: record.prev.to_string(),
    }))
}

/// `GET /console/audit/calls/{id}`
pub(super) async fn call(
    State(control): State<Arc<Control>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Turned> {
    let visit = Visit::of(&control, &headers, ConsoleAction::Audit, AUDIT).await?;
    let account = visit.by.account().clone();
    let unknown = || {
        let detail = "This account has no decision record with that id.";
        Problem::new(StatusCode::NOT_FOUND, "not_found", detail)
            .next("Records are written shortly after the call.")
    };
    let id: DecisionId = id.parse().map_err(|_| unknown())?;
    let decision = control.store().decision(&account, &id).await?.ok_or_else(unknown)?;
    let application: Option<ApplicationId> = decision.application.as_ref().and_then(|id| id.parse().ok());
    let (mut installed, mut event) = (None, None);
    if let Some(application) = application.clone() {
        let key = GrantKey { account: account.clone(), application: application.clone() };
        installed = control.store().installed(&key).await?;
        if let Some(revision) = decision.grant_revision {
            event = made(&control, &key, revision).await?;
        }
    }
    let names = names(&control, event.iter().map(|one: &Audited| &one.record)).await?;
    let logins = logins(&control, &account, std::slice::from_ref(&decision)).await?;
    let live = installed.as_ref().is_some_and(|installed| installed.grant.state.as_str() != "revoked");
    let explained = explain(&decision, installed.as_ref(), &control.policies());
    let because = explained.because.iter().map(|one| (Label::new(&one.id), Label::long(&one.says)));
    Ok(respond(&AuditCall {
        visitor: Some(visit.person.visitor()),
        account: visit.account,
        call: CallLine::of(&decision, &logins),
        headline: Label::long(&explained.headline),
        because: because.collect(),
        next: Label::long(&explained.next),
        changed_since: explained.changed_since,
        application: application.map(String::from),
        installed: live,
        sidecar: Label::new(&decision.sidecar),
        revision: decision.grant_revision,
        event: event.map(|event| row(&event, &names)),
    }))
}

/// The event that made a revision of a grant.
async fn made(control: &Control, key: &GrantKey, revision: u64) -> Result<Option<Audited>, Turned> {
    let filter = AuditFilter {
        account: Some(key.account.clone()),
        application: Some(key.application.clone()),
        event: Some("grant.".to_owned()),
        revision: Some(revision),
        limit: 1,
        ..AuditFilter::default()
    };
    Ok(control.store().audit_records(&filter).await?.into_iter().next())
}

/// The latest calls that a revision of a grant has decided.
async fn calls(control: &Control, key: &GrantKey, revision: u64) -> Result<Vec<Decision>, Turned> {
    let filter = DecisionFilter {
        application: Some(key.application.clone()),
        limit: LOOKED_AT,
        ..DecisionFilter::default()
    };
    let mut found = control.store().decisions(&key.account, &filter).await?;
    found.retain(|decision| decision.grant_revision == Some(revision));
    found.truncate(SHOWN);
    Ok(found)
}

fn row(audited: &Audited, names: &Names) -> AuditRow {
    let record = &audited.record;
    AuditRow {
        id: audited.place,
        at: record.at,
        sentence: Label::long(&sentence(record, |id| names.get(id).cloned())),
        event: Label::new(&record.event),
        actor: Label::new(&record.actor),
        refused: record.kind == AuditKind::Refusal,
    }
}

/// The members of a detail, in words. What a link leads to, or the chain is for, is not repeated.
fn members(detail: &Value) -> Vec<(Label, Label)> {
    let Some(members) = detail.as_object() else { return Vec::new() };
    let shown = members.iter().filter(|(name, value)| !value.is_null() && *name != "leaves");
    shown.map(|(name, value)| (Label::new(&heading(name)), Label::long(&words(value)))).collect()
}

fn heading(name: &str) -> String {
    let mut letters = name.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).map(|c| if c == '_' { ' ' } else { c }).collect()
}

fn words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(parts) if parts.is_empty() => "none".to_owned(),
        Value::Array(parts) => parts.iter().map(words).collect::<Vec<_>>().join(", "),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

/// What can be chosen on the page: the parameter, and its words.
const KINDS: &[(&str, &str)] = &[
    ("", "Everything"),
    ("grant.", "Authorizations and their changes"),
    ("consent.", "Consents"),
    ("login.", "Signing in"),
    ("application.", "Published applications"),
    ("refused.", "Refusals"),
];
const ROWS: u32 = 50;
/// Among so many of the latest calls those of a revision are looked for.
const LOOKED_AT: u32 = 500;
const SHOWN: usize = 20;
