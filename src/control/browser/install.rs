//! `GET /oauth2/v1/install?client_id=…`: an administrator authorizes an application that somebody else needs.
//!
//! The address that a person hands to an administrator. It leads to the consent page without an authorization request
//! behind it, so that nobody ends up with a code of another person's attempt.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};
use url::form_urlencoded;

use super::super::Control;
use super::super::form::Parameters;
use super::super::oauth::authorize::enabled;
use super::super::oauth::decision::Stop;
use super::super::oauth::request;
use super::super::page::respond;
use super::super::page::sign_in::Done;
use super::session::{SignedIn, signed_in};
use super::{LOGIN, Shown, ask, consent};
use crate::model::application::{Application, Relation};
use crate::model::grant::{Grant, GrantState};
use crate::model::id::GrantKey;
use crate::policy::ConsoleAction;

/// Where an administrator is led to.
pub(super) const PATH: &str = "/oauth2/v1/install";

/// Shows the consent page, or says why there is none.
pub(super) async fn show(
    State(control): State<Arc<Control>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Shown> {
    let parameters = Parameters::parse(query.unwrap_or_default().as_bytes());
    let application = enabled(&control, &request::client_id(&parameters)?).await?;
    let Some(person) = signed_in(&control, &headers).await? else {
        let back = address(&control, &application);
        let query = form_urlencoded::Serializer::new(String::new()).append_pair("continue", &back).finish();
        return Ok(Redirect::to(&format!("{}{LOGIN}?{query}", control.issuer().path())).into_response());
    };
    let account = &person.principal.key.account;
    let key = GrantKey { account: account.clone(), application: application.id.clone() };
    let own = application.relation_to(account) == Relation::FirstParty;
    if control.store().terms(&key).await?.blocked() {
        return ask::stopped(&control, &person, "", &application, Stop::Blocked).await;
    }
    let grant = control.store().installed(&key).await?.map(|installed| installed.grant);
    let now = control.clock().now();
    // Of the account's own application an administrator is only asked what one has ended or taken away.
    let goes_on = |grant: &Grant| {
        let waiting = if own { grant.waiting_of_own(&application) } else { grant.waiting(&application) };
        grant.honours(grant.revision, now) && waiting.required.is_empty()
    };
    if own && grant.as_ref().is_none_or(goes_on) {
        let name = &application.display_name;
        return Ok(done(
            &person,
            "Nothing to authorize",
            format!("{name} is your own account's application."),
        ));
    }
    if !control.policies().may(&person.principal, ConsoleAction::Authorize, account) {
        return match grant {
            Some(grant) if goes_on(&grant) => {
                let name = &application.display_name;
                let sentence = format!("An administrator has authorized {name}. Open it again to use it.");
                Ok(done(&person, "The application is installed", sentence))
            }
            Some(grant) if grant.state == GrantState::Suspended => {
                ask::stopped(&control, &person, "", &application, Stop::Suspended).await
            }
            Some(_) | None => ask::stopped(&control, &person, "", &application, Stop::NotInstalled).await,
        };
    }
    let seen = match &grant {
        Some(grant) => match grant.state {
            GrantState::Active => Some(grant.revision),
            GrantState::Suspended => {
                return ask::stopped(&control, &person, "", &application, Stop::Suspended).await;
            }
            GrantState::Revoked => None,
        },
        None => None,
    };
    consent::ask_administrator(&control, &person, None, &application, seen).await
}

/// The path of ours that leads here for this application.
pub(in crate::control) fn address(control: &Control, application: &Application) -> String {
    // An application's id needs no encoding.
    format!("{}{PATH}?client_id={}", control.issuer().path(), application.id)
}

/// The page after the decision.
pub(super) fn decided(person: &SignedIn, application: &Application, authorized: bool) -> Response {
    let name = &application.display_name;
    if authorized {
        let sentence = format!("Whoever asked you can open {name} again and use it.");
        done(person, "The application is installed", sentence)
    } else {
        done(person, "Nothing has been installed", format!("{name} has no access to your account by this."))
    }
}

fn done(person: &SignedIn, title: &str, sentence: String) -> Response {
    let console = ("/console".to_owned(), "Go to the console".to_owned());
    let onward = person.principal.is_administrator().then_some(console);
    respond(&Done { visitor: Some(person.visitor()), title: title.to_owned(), sentence, onward, also: None })
}
