//! The audit of an account, for its administrators: by pages, one by one, or all of it as lines.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use utoipa::ToSchema;

use super::export::{Scope, export};
use super::sentence::{application_of, sentence};
use crate::control::admin::openapi::Refusals;
use crate::control::admin::request::{Administrator, Asked, invalid};
use crate::control::{Control, Problem, Reply, pieces};
use crate::model::audit::AuditRecord;
use crate::model::id::AccountId;
use crate::policy::ConsoleAction;
use crate::store::{AuditFilter, Audited, Span, StoreError, Whom};
use crate::token::keys::Purpose;

/// A page of records, newest first.
#[derive(Serialize, ToSchema)]
pub(in crate::control) struct AuditRecords {
    /// The records.
    records: Vec<AuditEntry>,
    /// Give it as `before` to get the next page; null when this is the last.
    next: Option<u64>,
}

/// One record.
#[derive(Serialize, ToSchema)]
pub(in crate::control) struct AuditEntry {
    /// Its place in the audit: it rises with every record, of any account.
    id: u64,
    /// What happened, in a sentence.
    sentence: String,
    /// The application that it is about, if it is about one.
    application: Option<String>,
    /// `node`, `number`, `kind`, `at`, `account`, `actor`, `event`, `subject`, `detail`, `prev` and `hash`, as a line of
    /// an export has them: all that the record's hash covers.
    #[schema(value_type = Object)]
    record: Box<RawValue>,
}

impl AuditEntry {
    fn of(audited: &Audited, names: &Names) -> Self {
        let record = &audited.record;
        Self {
            id: audited.place,
            sentence: sentence(record, |id| names.get(id).cloned()),
            application: application_of(record).map(str::to_owned),
            record: RawValue::from_string(record.line()).unwrap_or_else(|_| RawValue::NULL.to_owned()),
        }
    }
}

/// How applications are called, by id.
pub(super) type Names = BTreeMap<String, String>;

/// How the applications that these records are about are called.
pub(super) async fn names<'r>(
    control: &Control,
    records: impl Iterator<Item = &'r AuditRecord>,
) -> Result<Names, StoreError> {
    let mut names = Names::new();
    for id in records.filter_map(application_of) {
        if names.contains_key(id) {
            continue;
        }
        if let Ok(parsed) = id.parse()
            && let Some(application) = control.store().application(&parsed).await?
        {
            names.insert(id.to_owned(), application.display_name);
        }
    }
    Ok(names)
}

/// List the audit
///
/// What was done and what was refused in this account, newest first. Records that vouch for decision records
/// (`calls.recorded`) are listed only when they are asked for by that name; the decision records themselves are at
/// `/api/v1/decisions`. With `format=ndjson`, or `Accept: application/x-ndjson`, everything that fits is answered as lines
/// of JSON, oldest first, with a line at the end that signs the others; `consentry audit verify` verifies it.
#[utoipa::path(get, path = "/api/v1/audit", tag = "audit", operation_id = "listAudit",
    params(("application" = Option<String>, Query, description = "Only about this client ID."),
        ("principal" = Option<String>, Query, description = "Only by or about this login."),
        ("event" = Option<String>, Query, description = "Only of this name; with a dot at its end, of every name that begins with it, as in `grant.`."),
        ("revision" = Option<u64>, Query, description = "Only about this revision of a grant."),
        ("since" = Option<String>, Query, description = "Only from this time, or from the beginning of this day (UTC), on."),
        ("until" = Option<String>, Query, description = "Only before this time, or to the end of this day (UTC)."),
        ("before" = Option<u64>, Query, description = "Only older than this record."),
        ("limit" = Option<u32>, Query, description = "At most so many, 1 to 1000; 100 unless given."),
        ("format" = Option<String>, Query, description = "`json` or `ndjson`.")),
    responses((status = 200, description = "A page of records, or all of them as lines.",
        content((AuditRecords = "application/json"), (Object = "application/x-ndjson"))), Refusals))]
pub(in crate::control) async fn list(State(control): State<Arc<Control>>, asked: Asked) -> Reply<Response> {
    let by = asked.may(&control, ConsoleAction::Audit).await?;
    let mut known = FILTERS.to_vec();
    known.extend(["before", "limit", "format"]);
    asked.only(&known)?;
    let mut filter = filter(&control, by.account(), |name| asked.parameter(name)).await?;
    let lines = match asked.parameter("format") {
        None => asked.takes(LINES_OF_JSON),
        Some("ndjson") => true,
        Some("json") => false,
        Some(_) => return Err(invalid("`format` is json or ndjson.")),
    };
    if lines {
        if ["before", "limit"].iter().any(|name| asked.parameter(name).is_some()) {
            return Err(invalid("An export has no pages: leave `before` and `limit` out."));
        }
        filter.calls = true;
        return as_lines(&control, filter);
    }
    if let Some(text) = asked.parameter("limit") {
        let limit = text.parse().ok().filter(|limit| (1..=1000).contains(limit));
        filter.limit = limit.ok_or_else(|| invalid("`limit` is a number from 1 to 1000."))?;
    }
    let (found, next) = page(&control, filter).await?;
    let names = names(&control, found.iter().map(|one| &one.record)).await?;
    let records = found.iter().map(|one| AuditEntry::of(one, &names)).collect();
    Ok(Json(AuditRecords { records, next }).into_response())
}

/// Show one record
#[utoipa::path(get, path = "/api/v1/audit/{id}", tag = "audit", operation_id = "showAudit",
    params(("id", description = "The record's id.")),
    responses((status = 200, description = "The record.", body = AuditEntry), Refusals))]
pub(in crate::control) async fn show(
    State(control): State<Arc<Control>>,
    Path(id): Path<String>,
    asked: Asked,
) -> Reply<Json<AuditEntry>> {
    let by = asked.may(&control, ConsoleAction::Audit).await?;
    asked.only(&[])?;
    let found = find(&control, &by, &id).await?;
    let names = names(&control, std::iter::once(&found.record)).await?;
    Ok(Json(AuditEntry::of(&found, &names)))
}

/// A record of the account.
///
/// # Errors
/// 404 for another's as for none.
pub(super) async fn find(control: &Control, by: &Administrator, id: &str) -> Reply<Audited> {
    let unknown = || {
        Problem::new(StatusCode::NOT_FOUND, "not_found", "This account has no audit record with that id.")
            .next("GET /api/v1/audit lists them.")
    };
    let place: u64 = id.parse().map_err(|_| unknown())?;
    control.store().audit_record(Some(by.account()), place).await?.ok_or_else(unknown)
}

/// A page, and where the next one begins.
pub(super) async fn page(
    control: &Control,
    filter: AuditFilter,
) -> Result<(Vec<Audited>, Option<u64>), StoreError> {
    let limit = usize::try_from(filter.limit).unwrap_or(usize::MAX);
    // One more than is shown tells whether there is another page.
    let mut found = control
        .store()
        .audit_records(&AuditFilter { limit: filter.limit.saturating_add(1).min(1000), ..filter })
        .await?;
    let more = found.len() > limit || (limit >= 1000 && found.len() >= 1000);
    found.truncate(limit);
    let next = found.last().map(|last| last.place).filter(|_| more);
    Ok((found, next))
}

/// What is asked for by name, of an account.
///
/// # Errors
/// 400 for what cannot be read.
pub(super) async fn filter<'a>(
    control: &Control,
    account: &AccountId,
    get: impl Fn(&str) -> Option<&'a str>,
) -> Reply<AuditFilter> {
    let mut filter = AuditFilter { account: Some(account.clone()), limit: 100, ..AuditFilter::default() };
    if let Some(text) = get("application") {
        filter.application = Some(text.parse().map_err(|_| invalid("`application` is not a client ID."))?);
    }
    if let Some(login) = get("principal") {
        filter.principal = Some(whom(control, account, login).await?);
    }
    if let Some(event) = get("event") {
        let plain = |c: char| c.is_ascii_lowercase() || matches!(c, '.' | '_' | '-');
        if event.len() > 100 || !event.chars().all(plain) {
            return Err(invalid("`event` is the name of an event, as in `grant.install`."));
        }
        (filter.event, filter.calls) = (Some(event.to_owned()), event.starts_with("calls."));
    }
    if let Some(text) = get("revision") {
        filter.revision = Some(text.parse().map_err(|_| invalid("`revision` is a number."))?);
    }
    if let Some(text) = get("before") {
        filter.page = Span::Before(text.parse().map_err(|_| invalid("`before` is a record's id."))?);
    }
    filter.since = get("since").map(|text| time("since", text, false)).transpose()?;
    filter.until = get("until").map(|text| time("until", text, true)).transpose()?;
    Ok(filter)
}

/// A principal by login. One of another account is as unknown as one of none.
async fn whom(control: &Control, account: &AccountId, login: &str) -> Reply<Whom> {
    if login.len() > 256 || login.chars().any(char::is_control) {
        return Err(invalid("`principal` is a login, as in alice@acme."));
    }
    let found = control.store().credential(login).await?.map(|found| found.principal);
    Ok(match found.filter(|found| found.key.account == *account) {
        Some(found) => Whom { key: Some(format!("{}/{}", found.key.kind, found.key.id)), login: found.login },
        None => Whom { login: login.to_owned(), key: None },
    })
}

/// A time, or a day: from its beginning, or to its end.
fn time(name: &str, text: &str, end: bool) -> Reply<Timestamp> {
    let day = || {
        let day: Date = text.parse().ok()?;
        let day = if end { day.tomorrow().ok()? } else { day };
        day.to_zoned(TimeZone::UTC).ok().map(|begins| begins.timestamp())
    };
    let wrong = || invalid(format!("`{name}` is a time or a day, as in 2026-11-22T03:24:00Z or 2026-11-22."));
    text.parse().ok().or_else(day).ok_or_else(wrong)
}

/// Everything that fits, as lines that are read while they are asked for.
fn as_lines(control: &Arc<Control>, filter: AuditFilter) -> Reply<Response> {
    let (lines, read) = mpsc::channel(LINES);
    let now = control.clock().now();
    let ring = control.ring();
    let signer = ring.keys.signer(Purpose::Audit, now).map_err(|why| Problem::internal("an export", &why))?;
    let (store, signer) = (Arc::clone(control.store()), Arc::clone(signer));
    tokio::spawn(async move {
        let scope = Scope::Part(Box::new(filter));
        if let Err(error) = export(&store, &signer, &scope, now, lines).await {
            tracing::warn!(%error, "an export of the audit was cut off");
        }
    });
    let headers = [
        (CONTENT_TYPE, LINES_OF_JSON),
        (CONTENT_DISPOSITION, "attachment; filename=\"audit.jsonl\""),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    Ok((headers, pieces::body(read)).into_response())
}

/// What records can be chosen by.
pub(super) const FILTERS: &[&str] = &["application", "principal", "event", "revision", "since", "until"];
const LINES_OF_JSON: &str = "application/x-ndjson";
/// So many may wait to be read.
const LINES: usize = 256;
