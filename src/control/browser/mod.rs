//! The person at the browser: who they are, that a form is theirs, and what they decide.
//!
//! Plain forms and one cookie; nothing here needs JavaScript. What a form says is believed only with the session's
//! CSRF field and from our own origin ([`csrf`]).

pub(crate) mod ask;
pub(crate) mod consent;
pub mod csrf;
pub(in crate::control) mod install;
pub(in crate::control) mod login;
pub mod session;
pub(crate) mod throttle;

use std::sync::Arc;

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use super::page::stop::Stopped;
use super::{Control, Problem, page};
use crate::store::{InstallRefused, StoreError};

/// Where people log in.
pub(crate) const LOGIN: &str = "/login";

pub(super) fn routes() -> Router<Arc<Control>> {
    Router::new()
        .route(LOGIN, get(login::show).post(login::answer))
        .route("/logout", post(login::leave))
        .route(install::PATH, get(install::show))
        .route(consent::PATH, post(consent::answer))
}

/// A refusal that a person reads: the same facts as a [`Problem`], as a page.
#[derive(Debug)]
pub(crate) struct Shown(Problem);

impl From<Problem> for Shown {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl From<StoreError> for Shown {
    fn from(error: StoreError) -> Self {
        Self(error.into())
    }
}

impl From<InstallRefused> for Shown {
    fn from(refused: InstallRefused) -> Self {
        Self(refused.into())
    }
}

impl IntoResponse for Shown {
    fn into_response(self) -> Response {
        let Self(problem) = self;
        let next = match problem.next_step() {
            "" => "Go back to where you came from and start again.",
            // That is said to programs. People have pages with lists.
            step if step.contains("GET ") => "Go back, and open it from the list that it stands in.",
            step => step,
        };
        let mut page = Stopped::refused(problem.status(), problem.code(), problem.detail(), next);
        page.retry_after = problem.status().is_server_error().then_some(5);
        page::respond(&page)
    }
}
