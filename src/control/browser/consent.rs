//! The consent pages, an administrator's and a person's own, and what their form decides.
//!
//! A page that is shown is kept as a pending transaction, bound to session and person and good for one answer. The
//! form says only which transaction, which scopes and yes or no: all else is what was checked before, and what could
//! have changed is checked again, the right to authorize inside the store's commit.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::super::form::Parameters;
use super::super::oauth::authorize::{enabled, proceed};
use super::super::oauth::decision::{Stop, joins_by_installing};
use super::super::oauth::request::{AuthorizeRequest, Prompt, RedirectFault, is_registered};
use super::super::page::consent::LASTS_DAYS;
use super::super::{Control, Problem};
use super::session::{SignedIn, later, signed_in};
use super::{Shown, ask, csrf, install};
use crate::model::account::{PrincipalKey, PrincipalKind};
use crate::model::application::Application;
use crate::model::grant::{AssignmentMode, Grant, Installed};
use crate::model::id::{ApplicationId, GrantKey, Revision};
use crate::model::scope::ScopeSet;
use crate::store::{Actor, AuditEvent, Install, InstallRefused, Lasting, PendingConsent, StoreError};
use crate::token::random::{Secret, sha256};

/// Where the form posts to.
pub(crate) const PATH: &str = "/oauth2/v1/consent";

/// What is kept while a person decides.
#[derive(Serialize, Deserialize)]
struct Pending {
    application: ApplicationId,
    /// What is answered afterwards; nothing when an administrator was led here without one.
    request: Option<AuthorizeRequest>,
    principal: PrincipalKey,
    question: Question,
}

/// What was asked.
#[derive(Serialize, Deserialize)]
enum Question {
    /// Of an administrator, for the account, with the revision and the required scopes that the page showed, and
    /// whether that is a grant which goes on.
    Account { seen: Option<Revision>, goes_on: bool, required: ScopeSet, optional: ScopeSet },
    /// Of a person, for themselves, with the scopes that the page showed.
    Person { scopes: ScopeSet },
}

/// Shows the administrator's page.
pub(crate) async fn ask_administrator(
    control: &Control,
    person: &SignedIn,
    request: Option<AuthorizeRequest>,
    application: &Application,
    seen: Option<Revision>,
) -> Result<Response, Shown> {
    let key = grant_key(person, application);
    let live = match seen {
        Some(_) => control.store().installed(&key).await?,
        None => None,
    };
    let granted = live.map(|installed| installed.grant);
    let goes_on = granted.as_ref().is_some_and(|grant| !grant.has_ended(control.clock().now()));
    let optional = application.optional.without(&application.required);
    let question = Question::Account { seen, goes_on, required: application.required.clone(), optional };
    let transaction = keep(control, person, application, request.as_ref(), question).await?;
    ask::administrator(control, person, request.as_ref(), application, granted.as_ref(), &transaction).await
}

/// Shows the person's own page.
pub(crate) async fn ask_person(
    control: &Control,
    person: &SignedIn,
    request: AuthorizeRequest,
    installed: &Installed,
) -> Result<Response, Shown> {
    let scopes = installed.grant.scopes.clone();
    let question = Question::Person { scopes: scopes.clone() };
    let transaction = keep(control, person, &installed.application, Some(&request), question).await?;
    ask::person(control, person, &request, &installed.application, &scopes, &transaction).await
}

/// Shows the page at which a request ends.
pub(crate) async fn stopped(
    control: &Control,
    person: &SignedIn,
    request: &AuthorizeRequest,
    application: &Application,
    stop: Stop,
) -> Result<Response, Shown> {
    ask::stopped(control, person, &request.redirect_uri, application, stop).await
}

/// Takes the answer.
pub(super) async fn answer(
    State(control): State<Arc<Control>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Shown> {
    let person = signed_in(&control, &headers).await?.ok_or_else(csrf::forged)?;
    let form = Parameters::from_body(&headers, &body).map_err(|_| csrf::forged())?;
    let one = |name: &str| form.one(name).ok().flatten();
    csrf::check(&control, &headers, &person, one(csrf::FIELD))?;
    let authorize = match one("decision") {
        Some("authorize") => true,
        Some("reject") => false,
        Some(_) | None => return Err(bad_form("decision must be authorize or reject").into()),
    };
    let chosen = form.all("scope").map(str::parse).collect::<Result<ScopeSet, _>>();
    let chosen = chosen.map_err(|_| bad_form("a scope of the form is none"))?;
    let lasting = lasting(one("lasts"), control.clock().now())?;
    let transaction = one("transaction").ok_or_else(spent)?;
    let pending = take(&control, &person, transaction).await?;
    let application = enabled(&control, &pending.application).await?;
    let uri = pending.request.as_ref().map(|request| request.redirect_uri.as_str());
    if uri.is_some_and(|uri| !is_registered(&application, uri)) {
        return Err(spent().into());
    }
    if !authorize {
        return reject(&control, &person, &pending, &application).await;
    }
    let uses_it = pending.request.is_some();
    carry_out(&control, &person, &application, pending.question, &chosen, (uses_it, lasting)).await?;
    control.heard_everywhere().await?;
    match pending.request {
        None => Ok(install::decided(&person, &application, true)),
        Some(mut request) => {
            request.prompt = Prompt::default();
            proceed(&control, &person, request, application).await
        }
    }
}

/// Makes the yes true in the store.
async fn carry_out(
    control: &Control,
    person: &SignedIn,
    application: &Application,
    question: Question,
    chosen: &ScopeSet,
    (uses_it, lasting): (bool, Option<Lasting>),
) -> Result<(), Shown> {
    match question {
        Question::Account { seen, goes_on, required, optional } => {
            check_chosen(chosen, &required.union(&optional))?;
            // Who says nothing of it leaves a grant its end, and gives a new one none.
            let untold = if goes_on { Lasting::AsItWas } else { Lasting::Until(None) };
            let lasting = lasting.unwrap_or(untold);
            let scopes = required.union(chosen);
            let declined = optional.beyond(&scopes);
            grant(control, person, application, Choice { scopes, declined, seen, uses_it, lasting }).await
        }
        Question::Person { scopes } => {
            check_chosen(chosen, &scopes)?;
            let (key, now) = (grant_key(person, application), control.clock().now());
            control.store().consent_in_person(&key, &person.principal.key, &scopes, now).await?;
            Ok(())
        }
    }
}

struct Choice {
    scopes: ScopeSet,
    declined: ScopeSet,
    seen: Option<Revision>,
    /// Whether the administrator was on the way to the application.
    uses_it: bool,
    /// How long it is to last.
    lasting: Lasting,
}

/// Turns the administrator's yes into a grant. For an official application it is their own consent as well: they have
/// just read the same list.
async fn grant(
    control: &Control,
    person: &SignedIn,
    application: &Application,
    choice: Choice,
) -> Result<(), Shown> {
    let (key, now) = (grant_key(person, application), control.clock().now());
    // The operator's settings may be others than when the page was shown.
    if !control.registrar.gives(application, &choice.scopes) {
        return Err(spent().into());
    }
    let fresh = choice.seen.is_none();
    let install = Install {
        key,
        // The store adds what is required now: nobody may have read less than they authorize.
        at_most: Some(choice.scopes.clone()),
        scopes: choice.scopes,
        declined: choice.declined,
        by: Actor::from(&person.principal),
        seen: choice.seen,
        lasting: choice.lasting,
    };
    let installed = control.store().install(&install, now).await;
    if matches!(installed, Err(InstallRefused::Beyond(_))) {
        return Err(spent().into());
    }
    let (grant, _) = installed?;
    if !application.official || !choice.uses_it {
        return Ok(());
    }
    let member = control.store().member(&grant.key, &person.principal.key, now).await?;
    let mut assigned = member.is_some_and(|member| member.assigned);
    if fresh && joins_by_installing(application, person.principal.key.kind, assigned) {
        join(control, person, &grant).await?;
        assigned = true;
    }
    if assigned {
        control.store().consent_in_person(&grant.key, &person.principal.key, &grant.scopes, now).await?;
    }
    Ok(())
}

/// Assigns a fresh installation to whoever made it.
async fn join(control: &Control, person: &SignedIn, grant: &Grant) -> Result<(), StoreError> {
    let mut assignment = control.store().assignment(&grant.key).await?;
    assignment.mode = AssignmentMode::Assigned;
    match person.principal.key.kind {
        PrincipalKind::User => assignment.users.push(person.principal.key.id.clone()),
        PrincipalKind::Role => assignment.roles.push(person.principal.key.id.clone()),
        PrincipalKind::Account => return Ok(()),
    }
    let by = Actor::from(&person.principal);
    control.store().assign(&grant.key, &assignment, &by, control.clock().now()).await?;
    Ok(())
}

async fn reject(
    control: &Control,
    person: &SignedIn,
    pending: &Pending,
    application: &Application,
) -> Result<Response, Shown> {
    let event = AuditEvent {
        at: control.clock().now(),
        account: person.principal.key.account.clone(),
        actor: person.principal.login.clone(),
        event: "consent.rejected".to_owned(),
        subject: grant_key(person, application).to_string(),
        detail: serde_json::json!({ "scopes": pending.request.as_ref().map(|request| &request.scopes) })
            .to_string(),
    };
    control.store().keep_audit(&event).await?;
    let Some(request) = &pending.request else { return Ok(install::decided(person, application, false)) };
    let whom =
        if application.contact.is_empty() { &application.publisher_name } else { &application.contact };
    let description = format!(
        "the request was rejected; if that prevents use, contact the provider of {}: {whom}",
        application.display_name
    );
    Ok(request.fail(control.issuer(), &RedirectFault::new("access_denied", description)))
}

async fn keep(
    control: &Control,
    person: &SignedIn,
    application: &Application,
    request: Option<&AuthorizeRequest>,
    question: Question,
) -> Result<Secret, Problem> {
    let transaction = Secret::random().map_err(|why| Problem::internal("a consent page", &why))?;
    let pending = Pending {
        application: application.id.clone(),
        request: request.cloned(),
        principal: person.principal.key.clone(),
        question,
    };
    let text = serde_json::to_string(&pending).map_err(|why| Problem::internal("a consent page", &why))?;
    let pending = PendingConsent {
        hash: transaction.hash(),
        session: person.session.hash,
        request: text,
        expires_at: later(control.clock().now(), control.settings().consent_seconds),
    };
    control.store().keep_pending(&pending).await?;
    Ok(transaction)
}

async fn take(control: &Control, person: &SignedIn, transaction: &str) -> Result<Pending, Problem> {
    let (hash, now) = (sha256(transaction.as_bytes()), control.clock().now());
    let kept = control.store().take_pending(&hash, &person.session.hash, now).await?.ok_or_else(spent)?;
    // What else waits for an answer in the same place is no consent.
    let pending: Pending = serde_json::from_str(&kept.request).map_err(|_| spent())?;
    if pending.principal == person.principal.key { Ok(pending) } else { Err(spent()) }
}

/// For how long: so many days, until it is deleted, or as it was; none where the form does not say.
fn lasting(chosen: Option<&str>, now: Timestamp) -> Result<Option<Lasting>, Problem> {
    Ok(match chosen {
        None => None,
        Some("as-it-was") => Some(Lasting::AsItWas),
        Some("never-ends") => Some(Lasting::Until(None)),
        Some(days) => {
            let days = days.parse().ok().filter(|days| LASTS_DAYS.contains(days));
            let days = days.ok_or_else(|| bad_form("it does not say for how long"))?;
            Some(Lasting::Until(Some(later(now, days * 86_400))))
        }
    })
}

/// A form can only choose among what its page showed.
fn check_chosen(chosen: &ScopeSet, shown: &ScopeSet) -> Result<(), Problem> {
    match chosen.iter().find(|scope| !shown.contains(scope)) {
        None => Ok(()),
        Some(scope) => Err(bad_form(&format!("the scope {scope} was not offered"))),
    }
}

fn grant_key(person: &SignedIn, application: &Application) -> GrantKey {
    GrantKey { account: person.principal.key.account.clone(), application: application.id.clone() }
}

fn bad_form(why: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "invalid_form", format!("The form cannot be taken: {why}."))
        .next("Open the application again, and answer the page that it shows.")
}

fn spent() -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "already_answered",
        "This page has been answered already, is too old, or was shown to somebody else.",
    )
    .next("Open the application again; you are asked only what is still open.")
}
