//! `GET|POST /oauth2/v1/auth`: an application sends a person to be asked (RFC 6749 §4.1.1, OpenID Connect Core
//! §3.1.2).
//!
//! The request becomes an [`AuthorizeRequest`]; [`decide`] says what happens; a code needs its [`Agreed`].

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use url::form_urlencoded;

use super::super::browser::session::{SignedIn, later, signed_in};
use super::super::browser::{LOGIN, Shown, consent};
use super::super::form::Parameters;
use super::super::peer::Address;
use super::super::registration::document;
use super::super::{Control, Problem, page, tenant};
use super::decision::{Agreed, Answer, Facts, Stop, decide};
use super::request::{self, AuthorizeRequest, PageFault, RedirectFault};
use crate::model::account::PrincipalKind;
use crate::model::application::Application;
use crate::model::id::{GrantKey, Revision};
use crate::model::scope::{Scope, ScopeSet};
use crate::policy::ConsoleAction;
use crate::store::{Actor, Authorization, Code, Install, InstallRefused, Lasting, StoreError};
use crate::token::random::{Secret, identifier};

/// The usual way in.
pub(super) async fn get(
    State(control): State<Arc<Control>>,
    address: Address,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Shown> {
    let parameters = Parameters::parse(query.unwrap_or_default().as_bytes());
    answer(&control, address, &headers, &parameters).await
}

/// The same by form (OpenID Connect Core §3.1.2.1). From another site the session's cookie does not come along, so
/// that the person passes the login page.
pub(super) async fn post(
    State(control): State<Arc<Control>>,
    address: Address,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Shown> {
    let parameters = Parameters::from_body(&headers, &body)
        .map_err(|fault| Problem::new(StatusCode::BAD_REQUEST, "invalid_request", fault.to_string()))?;
    answer(&control, address, &headers, &parameters).await
}

async fn answer(
    control: &Control,
    Address(address): Address,
    headers: &HeaderMap,
    parameters: &Parameters,
) -> Result<Response, Shown> {
    let id = request::client_id(parameters)?;
    if let Some(text) = parameters.one("client_id").map_err(PageFault::from)? {
        document::look_up(control, text, address).await?;
    }
    let application = enabled(control, &id).await?;
    let redirect_uri = request::redirect_uri(parameters, &application)?;
    let request =
        match AuthorizeRequest::read(parameters, &application, redirect_uri.clone(), control.resources()) {
            Ok(request) => request,
            Err(fault) => {
                let state = parameters.one("state").ok().flatten();
                return Ok(request::fail(control.issuer(), &redirect_uri, state, &fault));
            }
        };
    match signed_in(control, headers).await? {
        Some(person) if !must_log_in(control, &request, &person) => {
            proceed(control, &person, request, application).await
        }
        Some(_) | None if request.prompt.none => {
            Ok(request.fail(control.issuer(), &RedirectFault::new("login_required", "nobody is logged in")))
        }
        Some(_) | None => Ok(to_login(control, &request)),
    }
}

/// The application behind an authorization request, if it may ask at all.
pub(crate) async fn enabled(
    control: &Control,
    id: &crate::model::id::ApplicationId,
) -> Result<Application, Shown> {
    let found = control.store().application(id).await?.filter(|_| control.registrar.admits(id));
    Ok(found.filter(|application| application.enabled).ok_or(PageFault::Client)?)
}

fn must_log_in(control: &Control, request: &AuthorizeRequest, person: &SignedIn) -> bool {
    let age = control.clock().seconds().saturating_sub(person.session.authenticated_at.as_second());
    request.prompt.login || request.max_age.is_some_and(|most| age >= most.max(1) || most == 0)
}

fn to_login(control: &Control, request: &AuthorizeRequest) -> Response {
    let back = format!("{}{}", control.issuer().path(), request.after_login());
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("continue", &back);
    // A password is asked for in any case. A provider is told, for it may know the person from before.
    if request.prompt.login || request.max_age == Some(0) {
        query.append_pair("fresh", "1");
    }
    Redirect::to(&format!("{}{LOGIN}?{}", control.issuer().path(), query.finish())).into_response()
}

/// Takes a request of somebody who is logged in to its end: a code, a question, or a page that says why not.
pub(crate) async fn proceed(
    control: &Control,
    person: &SignedIn,
    request: AuthorizeRequest,
    application: Application,
) -> Result<Response, Shown> {
    let mut beforehand = true;
    for _ in 0..TRIES {
        return match look(control, person, &request, &application, beforehand).await? {
            Answer::InstallSilently(seen) => {
                install_silently(control, person, &application, seen).await?;
                continue;
            }
            Answer::InstallPreApproved => {
                // The store has the last word. When it says no, the request goes the ordinary way.
                beforehand = tenant::install_pre_approved(control, person, &application).await?;
                continue;
            }
            Answer::AskAdministrator(_) | Answer::AskPerson(_) if request.prompt.none => {
                let fault = RedirectFault::new("consent_required", "somebody has to be asked first");
                Ok(request.fail(control.issuer(), &fault))
            }
            Answer::AskAdministrator(seen) => {
                consent::ask_administrator(control, person, Some(request), &application, seen).await
            }
            Answer::AskPerson(installed) => consent::ask_person(control, person, request, &installed).await,
            Answer::Code(agreed) => give_code(control, person, &request, *agreed).await,
            Answer::Stop(stop) if request.prompt.none => Ok(request.fail(control.issuer(), &silent(stop))),
            Answer::Stop(stop) => consent::stopped(control, person, &request, &application, stop).await,
        };
    }
    Err(Problem::from(StoreError::Conflict(application.display_name)).into())
}

async fn look(
    control: &Control,
    person: &SignedIn,
    request: &AuthorizeRequest,
    application: &Application,
    beforehand: bool,
) -> Result<Answer, Shown> {
    let now = control.clock().now();
    let account = &person.principal.key.account;
    let key = GrantKey { account: account.clone(), application: application.id.clone() };
    let installed = control.store().installed(&key).await?;
    let member = control.store().member(&key, &person.principal.key, now).await?;
    let member = member.ok_or_else(|| Problem::from(StoreError::Missing(person.principal.login.clone())))?;
    let terms = control.store().terms(&key).await?;
    let pre_approved = beforehand && tenant::holds(control, application, &terms).await?;
    Ok(decide(Facts {
        request,
        application,
        relation: application.relation_to(account),
        installed,
        member: &member,
        may_authorize: control.policies().may(&person.principal, ConsoleAction::Authorize, account),
        blocked: terms.blocked(),
        pre_approved,
        now,
    }))
}

/// Somebody else's change at the same moment is no error: the caller looks again.
async fn install_silently(
    control: &Control,
    person: &SignedIn,
    application: &Application,
    seen: Option<Revision>,
) -> Result<(), Problem> {
    let key = GrantKey { account: person.principal.key.account.clone(), application: application.id.clone() };
    let before = match seen {
        Some(_) => control.store().installed(&key).await?.map(|installed| installed.grant),
        None => None,
    };
    // What an administrator has taken from it is not given back by anybody's visit.
    let lost = |scope: &&Scope| before.as_ref().is_some_and(|grant| grant.has_lost(scope));
    let scopes: ScopeSet = application.offered().iter().filter(|scope| !lost(scope)).cloned().collect();
    let install = Install {
        key,
        at_most: Some(scopes.union(&application.required)),
        scopes,
        declined: ScopeSet::default(),
        by: Actor::from(&person.principal),
        seen,
        lasting: Lasting::AsItWas,
    };
    match control.store().install(&install, control.clock().now()).await {
        Ok(_) | Err(InstallRefused::Store(StoreError::Conflict(_)) | InstallRefused::Beyond(_)) => Ok(()),
        Err(refused) => Err(refused.into()),
    }
}

/// Gives a code for what was agreed (RFC 6749 §4.1.2).
async fn give_code(
    control: &Control,
    person: &SignedIn,
    request: &AuthorizeRequest,
    agreed: Agreed,
) -> Result<Response, Shown> {
    let random = |why| Problem::internal("an authorization code", &why);
    let secret = Secret::random().map_err(random)?;
    let family = identifier().map_err(random)?.parse();
    let grant = &agreed.installed().grant;
    let code = Code {
        hash: secret.hash(),
        authorization: Authorization {
            family: family.map_err(|why| Problem::internal("a family", &why))?,
            grant: grant.key.clone(),
            principal: person.principal.key.clone(),
            scopes: agreed.scopes().clone(),
            revision: grant.revision,
            resource: request.resource.clone(),
            nonce: request.nonce.clone(),
            authenticated_at: person.session.authenticated_at,
            // Who comes in as a role does so on somebody's word, and for an hour.
            offline: request.offline && person.principal.key.kind != PrincipalKind::Role,
        },
        redirect_uri: request.redirect_uri.clone(),
        challenge: request.challenge.clone(),
        expires_at: later(control.clock().now(), control.settings().code_seconds),
    };
    control.store().keep_code(&code).await?;
    Ok(request.answer(control.issuer(), secret.expose()))
}

/// What an application is told that asked for silence.
fn silent(stop: Stop) -> RedirectFault {
    match stop {
        Stop::NotInstalled => RedirectFault::new("consent_required", "an administrator must authorize first"),
        Stop::OnlyAdministrators => {
            RedirectFault::new("access_denied", "only an administrator can be asked for admin_consent")
        }
        Stop::Suspended => {
            RedirectFault::new("access_denied", "an administrator has suspended the application")
        }
        Stop::NotAssigned => {
            RedirectFault::new("access_denied", "the application is not assigned to this user")
        }
        Stop::Blocked => RedirectFault::new("access_denied", "the account has blocked the application"),
        Stop::NewlyRequired => RedirectFault::new(
            "consent_required",
            "the application requires more than was authorized; an administrator must accept it first",
        ),
    }
}

impl From<PageFault> for Shown {
    fn from(fault: PageFault) -> Self {
        let code = match &fault {
            PageFault::Client => "unknown_client",
            PageFault::Document(_) => "client_document",
            PageFault::RedirectUri(_) => "redirect_uri_mismatch",
            PageFault::Repeated(_) => "invalid_request",
        };
        Problem::new(StatusCode::BAD_REQUEST, code, page::Label::long(&fault.to_string()).to_string())
            .next("Go back to the application. If it goes on, tell its provider what this page says.")
            .into()
    }
}

/// How often a first-party application is looked at again after it was installed or changed meanwhile.
const TRIES: usize = 3;
