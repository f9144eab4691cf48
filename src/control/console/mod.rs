//! The console: an administrator's pages about the applications of the account.
//!
//! Comes in: a browser with a session. Goes out: pages. What is done here is done by the admin API's functions, so
//! that both always agree; what belongs to another account is answered like what does not exist. Forms that change
//! something are checked to be ours before anything else, and lead to a page that can be loaded again without doing it
//! twice, except the receipt, which is shown once.

pub mod assignments;
pub mod consents;
pub mod delete;
pub mod details;
pub mod installed;
pub mod official;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use url::form_urlencoded;

use super::admin::request::Administrator;
use super::browser::ask::line;
use super::browser::session::{SignedIn, signed_in};
use super::browser::{LOGIN, Shown, csrf};
use super::form::Parameters;
use super::page::nav::{self, APPLICATIONS, OFFICIAL};
use super::page::stop::Stopped;
use super::page::{Label, ScopeLine, respond};
use super::{Control, Problem};
use crate::model::scope::ScopeSet;
use crate::policy::ConsoleAction;
use crate::store::StoreError;

/// The routes of the console.
pub(in crate::control) fn routes() -> Router<Arc<Control>> {
    Router::new()
        .route("/", get(home))
        .route(APPLICATIONS, get(installed::show))
        .route("/console/applications/{client_id}", get(details::show))
        .route("/console/applications/{client_id}/suspend", post(details::suspend))
        .route("/console/applications/{client_id}/resume", post(details::resume))
        .route("/console/applications/{client_id}/delete", get(delete::ask).post(delete::delete))
        .route(
            "/console/applications/{client_id}/assignments",
            get(assignments::show).post(assignments::change),
        )
        .route("/console/applications/{client_id}/consents", get(consents::show).post(consents::withdraw))
        .route(OFFICIAL, get(official::list))
        .route("/console/official/{client_id}", get(official::show).post(official::provision))
}

/// An administrator at the console.
pub(in crate::control) struct Visit {
    pub(in crate::control) person: SignedIn,
    pub(in crate::control) by: Administrator,
    pub(in crate::control) account: Label,
}

/// Why a page of the console is not shown.
pub(in crate::control) enum Turned {
    /// Nobody is logged in: to the login form, and back here afterwards.
    ToLogin(String),
    /// Another page instead: this one is not for this person, or not now.
    Elsewhere(Box<Stopped>),
    /// Anything else.
    Refused(Shown),
}

impl Visit {
    /// Who is at the browser, if policy lets them do `action`. `back` is where a login leads to.
    pub(in crate::control) async fn of(
        control: &Control,
        headers: &HeaderMap,
        action: ConsoleAction,
        back: &str,
    ) -> Result<Self, Turned> {
        let person = anybody(control, headers, back).await?;
        let account = control.store().account(&person.principal.key.account).await?;
        let account = Label::new(&account.map(|account| account.alias).unwrap_or_default());
        match Administrator::check(control, person.principal.clone(), action) {
            Ok(by) => Ok(Self { person, by, account }),
            Err(_) => {
                let ask = control.store().administrators(&person.principal.key.account, MOST_NAMED).await?;
                let ask = ask.iter().map(|one| Label::new(&one.login)).collect();
                Err(Turned::Elsewhere(Box::new(Stopped::administrators_only(person.visitor(), ask))))
            }
        }
    }
}

/// The same for a form of ours.
pub(in crate::control) async fn posted(
    control: &Control,
    headers: &HeaderMap,
    body: &Bytes,
    action: ConsoleAction,
    back: &str,
) -> Result<(Visit, Parameters), Turned> {
    let visit = Visit::of(control, headers, action, back).await?;
    let form = form_of(control, headers, body, &visit.person)?;
    Ok((visit, form))
}

/// A form of ours, as a page of this person's has sent it.
pub(in crate::control) fn form_of(
    control: &Control,
    headers: &HeaderMap,
    body: &Bytes,
    person: &SignedIn,
) -> Result<Parameters, Problem> {
    let form = Parameters::from_body(headers, body).map_err(|fault| {
        Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "invalid_request", fault.to_string())
    })?;
    csrf::check(control, headers, person, form.one(csrf::FIELD).ok().flatten())?;
    Ok(form)
}

/// Who is logged in at the browser, whatever they may do. `back` is where a login leads to.
pub(in crate::control) async fn anybody(
    control: &Control,
    headers: &HeaderMap,
    back: &str,
) -> Result<SignedIn, Turned> {
    if let Some(person) = signed_in(control, headers).await? {
        return Ok(person);
    }
    let path = control.issuer().path();
    let back = format!("{path}{back}");
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("continue", &back).finish();
    Err(Turned::ToLogin(format!("{path}{LOGIN}?{query}")))
}

impl IntoResponse for Turned {
    fn into_response(self) -> Response {
        match self {
            Self::ToLogin(address) => Redirect::to(&address).into_response(),
            Self::Elsewhere(page) => respond(&*page),
            Self::Refused(shown) => shown.into_response(),
        }
    }
}

impl From<Problem> for Turned {
    fn from(problem: Problem) -> Self {
        Self::Refused(problem.into())
    }
}

impl From<Shown> for Turned {
    fn from(shown: Shown) -> Self {
        Self::Refused(shown)
    }
}

impl From<StoreError> for Turned {
    fn from(error: StoreError) -> Self {
        Self::Refused(error.into())
    }
}

/// The ways from one page of a list to others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pager {
    /// The first page, when this is not it.
    pub first: Option<String>,
    /// The next page, when there is one.
    pub next: Option<String>,
}

impl Pager {
    /// `path` with `kept` is the first page; `next` is the place after which the next one begins.
    pub(in crate::control) fn of(
        path: &str,
        kept: &[(&str, &str)],
        after: Option<&str>,
        next: Option<String>,
    ) -> Self {
        let onward = |next: String| address(path, &[kept, &[("after", &next)]].concat());
        Self { first: after.map(|_| address(path, kept)), next: next.map(onward) }
    }
}

/// An address of ours with what is not empty of a query.
pub(in crate::control) fn address(path: &str, query: &[(&str, &str)]) -> String {
    let given: Vec<_> = query.iter().filter(|(_, value)| !value.is_empty()).collect();
    if given.is_empty() {
        return path.to_owned();
    }
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(given).finish();
    format!("{path}?{query}")
}

/// To the person's first page.
async fn home(State(control): State<Arc<Control>>, headers: HeaderMap) -> Result<Redirect, Turned> {
    let person = signed_in(&control, &headers).await?;
    let page = person.map_or(APPLICATIONS, |person| nav::home(&person.visitor()));
    Ok(Redirect::to(&format!("{}{page}", control.issuer().path())))
}

pub(in crate::control) fn application_page(client_id: &str) -> String {
    format!("{APPLICATIONS}/applications/{client_id}")
}

/// To a page of ours, after something has been done.
pub(in crate::control) fn onward(control: &Control, path: &str) -> Response {
    Redirect::to(&format!("{}{path}", control.issuer().path())).into_response()
}

pub(in crate::control) fn lines(control: &Control, scopes: &ScopeSet) -> Vec<ScopeLine> {
    scopes.iter().map(|scope| line(control, scope)).collect()
}

/// How many administrators are named to somebody who is none.
const MOST_NAMED: u32 = 5;

/// How many stand on a page unless chosen otherwise.
const USUAL: &str = "50";

/// How many can stand on a page.
const MOST: u32 = 200;

#[cfg(test)]
mod examples;
#[cfg(test)]
pub(in crate::control) mod samples;
