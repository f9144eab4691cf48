//! The person's side: the page that says an administrator is needed, with the form to ask one and what became of it.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};

use crate::control::browser::ask::{alias, asker, line};
use crate::control::browser::session::{SignedIn, signed_in};
use crate::control::browser::{Shown, csrf, install};
use crate::control::form::Parameters;
use crate::control::oauth::authorize::enabled;
use crate::control::oauth::request;
use crate::control::page::stop::{AskState, Asking, NeedsAdministrator, Stopped};
use crate::control::page::{Label, moment, respond};
use crate::control::tenant::rules::sentence;
use crate::control::{Control, Problem};
use crate::model::application::{Application, Relation};
use crate::model::grant::GrantState;
use crate::model::id::GrantKey;
use crate::model::scope::ScopeSet;
use crate::store::{ASKING_WINDOW, Actor, ApprovalRequest, Ask, AskOutcome, RequestState, Unknown};

/// Where the form posts to.
pub(super) const PATH: &str = "/oauth2/v1/request-approval";

/// What was typed into the form, and why it was not taken.
#[derive(Default)]
struct Typed {
    reason: String,
    problem: Option<String>,
}

/// Shows the page.
pub(in crate::control) async fn needs_administrator(
    control: &Control,
    person: &SignedIn,
    redirect_uri: &str,
    application: &Application,
) -> Result<Response, Shown> {
    show(control, person, redirect_uri, application, Typed::default()).await
}

/// Takes the form.
pub(super) async fn ask(
    State(control): State<Arc<Control>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Shown> {
    let person = signed_in(&control, &headers).await?.ok_or_else(csrf::forged)?;
    let form = Parameters::from_body(&headers, &body).map_err(|_| csrf::forged())?;
    csrf::check(&control, &headers, &person, form.one(csrf::FIELD).ok().flatten())?;
    let application = enabled(&control, &request::client_id(&form)?).await?;
    let typed = form.one("reason").ok().flatten().unwrap_or_default();
    let reason = match sentence("reason", typed) {
        Ok(reason) if !reason.is_empty() => reason,
        Ok(_) => return again(&control, &person, &application, typed, "Say what you need it for.").await,
        Err(problem) => return again(&control, &person, &application, typed, problem.detail()).await,
    };
    let (key, now) = (grant_key(&person, &application), control.clock().now());
    match control.store().ask(&key, &Actor::from(&person.principal), &reason, now).await? {
        // The page that says so can be loaded again without asking twice.
        AskOutcome::Taken(_) | AskOutcome::Already(_) | AskOutcome::NotNeeded => {
            Ok(Redirect::to(&install::address(&control, &application)).into_response())
        }
        AskOutcome::Refused => Err(Problem::new(
            StatusCode::FORBIDDEN,
            "requests_refused",
            "Your account takes no requests for this application.",
        )
        .next("Open the application again to read why.")
        .into()),
        AskOutcome::TooOften { again_at } => {
            let seconds = again_at.as_second().saturating_sub(now.as_second()).max(1);
            let mut page = Stopped::refused(
                StatusCode::TOO_MANY_REQUESTS,
                "asked_too_often",
                "You have asked too often, or for this application not long ago. Nothing was sent.",
                format!("You can ask again from {} on, or talk to an administrator.", moment(&again_at)),
            );
            page.visitor = Some(person.visitor());
            page.retry_after = u32::try_from(seconds).ok();
            Ok(respond(&page))
        }
    }
}

async fn again(
    control: &Control,
    person: &SignedIn,
    application: &Application,
    typed: &str,
    problem: &str,
) -> Result<Response, Shown> {
    let reason: String = typed.chars().take(MOST_SHOWN).collect();
    let typed = Typed { reason, problem: Some(problem.to_owned()) };
    show(control, person, "", application, typed).await
}

async fn show(
    control: &Control,
    person: &SignedIn,
    redirect_uri: &str,
    application: &Application,
    typed: Typed,
) -> Result<Response, Shown> {
    let account = &person.principal.key.account;
    let (key, now) = (grant_key(person, application), control.clock().now());
    let administrators = control.store().administrators(account, ADMINISTRATORS_NAMED).await?;
    let terms = control.store().terms(&key).await?;
    let newly = newly_required(control, &key, application).await?;
    let refused = terms.blocked() || (newly.is_empty() && terms.manner.unknown == Unknown::Refuse);
    let own = control.store().own_ask(&key, &person.principal.key, now).await?;
    let again_at = own.as_ref().and_then(|(ask, _)| ask.at.checked_add(ASKING_WINDOW).ok());
    let (state, mut may_ask) = state(own);
    if let AskState::Denied { .. } = state {
        may_ask = again_at.is_none_or(|again| again <= now);
    }
    Ok(respond(&NeedsAdministrator {
        visitor: Some(person.visitor()),
        asker: asker(person, application, redirect_uri),
        login: Label::new(&person.principal.login),
        account: alias(control, person).await?,
        administrators: administrators.iter().map(|one| Label::new(&one.login)).collect(),
        scopes: application.offered().iter().map(|scope| line(control, scope)).collect(),
        newly: newly.iter().map(|scope| line(control, scope)).collect(),
        link: format!("{}{}", control.issuer().origin(), install::address(control, application)),
        asking: Asking {
            action: format!("{}{PATH}", control.issuer().path()),
            csrf: person.csrf(),
            state,
            may_ask: may_ask && !refused,
            refused,
            message: Label::long(&terms.manner.message),
            days: terms.manner.request_days,
            reason: typed.reason,
            problem: typed.problem,
        },
    }))
}

/// What became of the person's last request, and whether another one can be made.
fn state(own: Option<(Ask, ApprovalRequest)>) -> (AskState, bool) {
    let Some((ask, request)) = own else { return (AskState::Never, true) };
    match (request.state, request.decided) {
        (RequestState::Open, _) => {
            let others = request.askers.saturating_sub(1);
            (AskState::Open { at: ask.at, expires_at: request.expires_at, others }, false)
        }
        (RequestState::Expired, _) => {
            (AskState::Expired { at: ask.at, expired_at: request.expires_at }, true)
        }
        (RequestState::Denied, Some(decided)) => {
            let (by, word) = (Label::new(&decided.by), Label::long(&decided.word));
            (AskState::Denied { at: ask.at, decided_at: decided.at, by, word }, false)
        }
        // It was installed and deleted since, or blocked and unblocked.
        (RequestState::Approved | RequestState::Blocked | RequestState::Denied, _) => (AskState::Never, true),
    }
}

/// What the application has come to require, where it is installed.
async fn newly_required(
    control: &Control,
    key: &GrantKey,
    application: &Application,
) -> Result<ScopeSet, Shown> {
    let installed = control.store().installed(key).await?;
    let Some(grant) =
        installed.map(|installed| installed.grant).filter(|grant| grant.state == GrantState::Active)
    else {
        return Ok(ScopeSet::new());
    };
    Ok(match application.relation_to(&key.account) {
        Relation::FirstParty => grant.waiting_of_own(application).required,
        Relation::ThirdParty | Relation::Official => grant.waiting(application).required,
    })
}

fn grant_key(person: &SignedIn, application: &Application) -> GrantKey {
    GrantKey { account: person.principal.key.account.clone(), application: application.id.clone() }
}

const ADMINISTRATORS_NAMED: u32 = 5;
/// What is shown again of a reason that was too long.
const MOST_SHOWN: usize = 600;
