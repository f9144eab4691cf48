//! The pages about use, and the forms that they post. They do what they do by the API's functions.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::narrow::narrowed;
use super::view::{Expiry, Overview, Report, Row};
use super::{expiry as ends, report as reports, survey};
use crate::control::admin::applications;
use crate::control::admin::request::invalid;
use crate::control::console::{Turned, Visit, application_page, onward, posted};
use crate::control::form::Parameters;
use crate::control::page::nav::{REPORT, USE};
use crate::control::page::{Label, respond};
use crate::control::{Control, Problem};
use crate::model::grant::Installed;
use crate::model::id::Revision;
use crate::model::scope::{Scope, ScopeSet};
use crate::policy::ConsoleAction;

/// `GET /console/use`
pub(super) async fn overview(
    State(control): State<Arc<Control>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Turned> {
    let visit = Visit::of(&control, &headers, ConsoleAction::List, USE).await?;
    let query = Parameters::parse(query.unwrap_or_default().as_bytes());
    let one = |name: &str| query.one(name).ok().flatten();
    let days = survey::days(one("days"), 90)?;
    let after = one("after").map(str::parse).transpose();
    let after = after.map_err(|_| invalid("The address names no application to go on after."))?;
    let found = survey::survey(&control, visit.by.account(), days, after.as_ref(), PAGE).await?;
    Ok(respond(&Overview {
        csrf: visit.person.csrf(),
        visitor: Some(visit.person.visitor()),
        account: visit.account,
        days,
        choices: choices(days),
        rows: found.applications.iter().map(Row::from).collect(),
        next: found.next.map(|next| format!("{USE}?days={days}&after={next}")),
    }))
}

/// `POST /console/use/{client_id}/narrow`: one click, on what the page showed.
pub(super) async fn narrow(
    State(control): State<Arc<Control>>,
    Path(client_id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    let (visit, form) = posted(&control, &headers, &body, ConsoleAction::Authorize, USE).await?;
    let seen = revision(&form)?;
    let without: Result<ScopeSet, _> = form.all("scope").map(str::parse::<Scope>).collect();
    let without = without.map_err(|error| invalid(error.to_string()))?;
    narrowed(&control, &visit.by, &client_id, &without, seen, true).await?;
    let days = survey::days(form.one("days").ok().flatten(), 90)?;
    Ok(onward(&control, &format!("{USE}?days={days}")))
}

/// `GET /console/applications/{client_id}/expiry`
pub(super) async fn expiry(
    State(control): State<Arc<Control>>,
    Path(client_id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Turned> {
    let back = format!("{}/expiry", application_page(&client_id));
    let visit = Visit::of(&control, &headers, ConsoleAction::Authorize, &back).await?;
    let installed = applications::find(&control, &visit.by, &client_id).await?;
    Ok(expiry_page(&control, &visit, &installed, None))
}

/// `POST /console/applications/{client_id}/expiry`
pub(super) async fn set_expiry(
    State(control): State<Arc<Control>>,
    Path(client_id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    let back = application_page(&client_id);
    let (visit, form) = posted(&control, &headers, &body, ConsoleAction::Authorize, &back).await?;
    let seen = revision(&form)?;
    let installed = applications::find(&control, &visit.by, &client_id).await?;
    let again = |complaint| Ok(expiry_page(&control, &visit, &installed, Some((&form, complaint))));
    let end = match chosen_end(&form, control.clock().now()) {
        Ok(end) => end,
        Err(complaint) => return again(complaint),
    };
    match ends::set_end(&control, &visit.by, &client_id, end, Some(seen), true).await {
        Ok(_) => Ok(onward(&control, &back)),
        Err(problem) if problem.status() == StatusCode::BAD_REQUEST => again(problem.detail().to_owned()),
        Err(problem) => Err(problem.into()),
    }
}

/// The form, as the grant is or as it was posted.
fn expiry_page(
    control: &Control,
    visit: &Visit,
    installed: &Installed,
    posted: Option<(&Parameters, String)>,
) -> Response {
    let (grant, now) = (&installed.grant, control.clock().now());
    let typed = |name: &str| {
        let typed = posted.as_ref().and_then(|(form, _)| form.one(name).ok().flatten());
        typed.unwrap_or_default().to_owned()
    };
    let (mut days, mut date) = (typed("days"), typed("date"));
    let chosen = match typed("lasts").as_str() {
        "days" => "days",
        "date" => "date",
        "never" => "never",
        _ if grant.expires_at.is_some() => "date",
        _ => "never",
    };
    if posted.is_none() {
        days = "90".to_owned();
        date = grant.expires_at.map(last_day).unwrap_or_default();
    }
    respond(&Expiry {
        csrf: visit.person.csrf(),
        visitor: Some(visit.person.visitor()),
        display_name: Label::new(&installed.application.display_name),
        client_id: installed.application.id.to_string(),
        revision: grant.revision.0,
        expires_at: grant.expires_at,
        over: grant.has_ended(now),
        chosen,
        days,
        date,
        problem: posted.map(|(_, complaint)| complaint),
    })
}

/// The end that a form chooses: none, so many days from now, or the end of a day.
///
/// # Errors
/// A sentence for the person.
pub(in crate::control) fn chosen_end(form: &Parameters, now: Timestamp) -> Result<Option<Timestamp>, String> {
    let one = |name: &str| form.one(name).ok().flatten();
    match one("lasts") {
        Some("never") => Ok(None),
        Some("days") => {
            let days = one("days").and_then(|text| text.trim().parse::<i64>().ok());
            let days = days.filter(|days| (1..=3650).contains(days));
            let days = days.ok_or("Give the days as a number from 1 to 3650.")?;
            let end = now.saturating_add(SignedDuration::from_hours(days.saturating_mul(24)));
            end.map(Some).map_err(|_| "That is too far off.".to_owned())
        }
        Some("date") => {
            let date = one("date").and_then(|text| text.trim().parse::<Date>().ok());
            let date = date.ok_or("Give the date as year, month and day: 2027-01-31.")?;
            let next = date.tomorrow().and_then(|next| next.to_zoned(TimeZone::UTC));
            next.map(|end| Some(end.timestamp())).map_err(|_| "There is no such date.".to_owned())
        }
        Some(_) | None => Err("Choose when it ends.".to_owned()),
    }
}

/// The last day that lies before an end.
fn last_day(end: Timestamp) -> String {
    let before = end.saturating_sub(SignedDuration::from_secs(1)).unwrap_or(end);
    before.strftime("%Y-%m-%d").to_string()
}

/// `GET /console/report`
pub(super) async fn report(
    State(control): State<Arc<Control>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Turned> {
    let visit = Visit::of(&control, &headers, ConsoleAction::List, REPORT).await?;
    let query = Parameters::parse(query.unwrap_or_default().as_bytes());
    let one = |name: &str| query.one(name).ok().flatten();
    let days = survey::days(one("days"), 30)?;
    let client_id = one("application").map(str::to_owned);
    let drawn = reports::drawn(&control, &visit.by, client_id.as_deref(), days).await?;
    Ok(respond(&Report {
        visitor: Some(visit.person.visitor()),
        over: days,
        choices: choices(days),
        client_id,
        drawn,
    }))
}

fn revision(form: &Parameters) -> Result<Revision, Problem> {
    let text = form.one("revision").ok().flatten();
    let revision = text.and_then(|text| text.parse().ok()).map(Revision);
    revision.ok_or_else(|| {
        invalid("The form does not say on which revision it was decided; open the page again.")
    })
}

/// The usual times, and the one that is looked at.
fn choices(days: i64) -> Vec<i64> {
    let mut choices = vec![7, 30, 90, 180, 365];
    if !choices.contains(&days) {
        choices.push(days);
        choices.sort_unstable();
    }
    choices
}

/// So many applications stand on one page.
const PAGE: usize = 50;
