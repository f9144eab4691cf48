//! The console: an administrator's pages about the applications of the account.
//!
//! Comes in: a browser with a session. Goes out: pages. What is done here is done by the admin API's functions, so
//! that both always agree; what belongs to another account is answered like what does not exist.

mod read;
pub mod view;
mod write;

use std::sync::Arc;

use axum::Router;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use url::form_urlencoded;

use super::admin::request::Administrator;
use super::browser::session::{SignedIn, signed_in};
use super::browser::{LOGIN, Shown};
use super::page::stop::Stopped;
use super::page::{Label, respond};
use super::{Control, Problem};
use crate::policy::ConsoleAction;
use crate::store::StoreError;
pub(in crate::control) use write::{onward, posted};

/// The routes of the console.
pub(in crate::control) fn routes() -> Router<Arc<Control>> {
    Router::new()
        .route("/", get(home))
        .route(HOME, get(read::list))
        .route("/console/applications/{client_id}", get(read::details))
        .route("/console/applications/{client_id}/suspend", post(write::suspend))
        .route("/console/applications/{client_id}/resume", post(write::resume))
        .route("/console/applications/{client_id}/delete", get(read::delete).post(write::delete))
        .route("/console/applications/{client_id}/assignments", get(read::assignments).post(write::assign))
        .route("/console/official", get(read::official))
        .route("/console/official/{client_id}", post(write::provision))
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
    /// Not for this person.
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

impl From<StoreError> for Turned {
    fn from(error: StoreError) -> Self {
        Self::Refused(error.into())
    }
}

async fn home(axum::extract::State(control): axum::extract::State<Arc<Control>>) -> Redirect {
    Redirect::to(&format!("{}{HOME}", control.issuer().path()))
}

pub(in crate::control) fn application_page(client_id: &str) -> String {
    format!("{HOME}/applications/{client_id}")
}

const HOME: &str = "/console";

/// How many administrators are named to somebody who is none.
const MOST_NAMED: u32 = 5;

#[cfg(test)]
mod samples;
