//! The pages of a publisher, and the forms that they post. They do what they do by the API's functions.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::applications::{own, registered};
use super::fields::{Fields, state_of};
use super::secrets::{added, removed};
use super::view::{BehindRow, DeleteSecret, List, New, Published, Row, SecretRow, Told};
use super::{PUBLISHER, page_of};
use crate::control::console::{Turned, Visit, onward, posted};
use crate::control::page::{Label, respond};
use crate::control::rescope::publish::carry_out;
use crate::control::{Control, Problem};
use crate::model::application::Application;
use crate::policy::ConsoleAction;

/// `GET /publisher`
pub(super) async fn list(
    State(control): State<Arc<Control>>,
    headers: HeaderMap,
) -> Result<Response, Turned> {
    let visit = visit(&control, &headers, PUBLISHER).await?;
    let applications = control.store().published_by(visit.by.account()).await?;
    let rows = applications.iter().map(row).collect();
    Ok(respond(&List { visitor: Some(visit.person.visitor()), account: visit.account, rows }))
}

fn row(application: &Application) -> Row {
    Row {
        client_id: application.id.to_string(),
        display_name: Label::new(&application.display_name),
        name: Label::new(&application.name),
        kind: application.kind.as_str(),
        official: application.official,
        enabled: application.enabled,
        required: application.required.iter().map(ToString::to_string).collect(),
        optional: application.optional.iter().map(ToString::to_string).collect(),
    }
}

/// `GET /publisher/new`
pub(super) async fn blank(
    State(control): State<Arc<Control>>,
    headers: HeaderMap,
) -> Result<Response, Turned> {
    let visit = visit(&control, &headers, NEW).await?;
    let fields = Fields::blank(control.policies().catalogue());
    Ok(new_page(visit, fields, None))
}

fn new_page(visit: Visit, fields: Fields, problem: Option<String>) -> Response {
    respond(&New {
        csrf: visit.person.csrf(),
        visitor: Some(visit.person.visitor()),
        account: visit.account,
        fields,
        problem,
    })
}

/// `POST /publisher/new`
pub(super) async fn register(
    State(control): State<Arc<Control>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    let (visit, form) = posted(&control, &headers, &body, ConsoleAction::Publish, NEW).await?;
    let fields = Fields::posted(&form, control.policies().catalogue());
    let registration = match fields.registration() {
        Ok(registration) => registration,
        Err(complaint) => return Ok(new_page(visit, fields, Some(complaint))),
    };
    match registered(&control, &visit.by, registration).await {
        Ok((application, secret)) => {
            let secret = secret.map(|secret| secret.expose().to_owned());
            Ok(told(&visit, &application, true, secret))
        }
        Err(problem) => Ok(new_page(visit, fields, Some(of_the_form(problem)?))),
    }
}

/// `GET /publisher/applications/{client_id}`
pub(super) async fn show(
    State(control): State<Arc<Control>>,
    Path(client_id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Turned> {
    let visit = visit(&control, &headers, &page_of(&client_id)).await?;
    let application = own(&control, &visit.by, &client_id).await?;
    let fields = Fields::of(&application, control.policies().catalogue());
    application_page(&control, &visit, &application, fields, None).await
}

/// `POST /publisher/applications/{client_id}`
pub(super) async fn change(
    State(control): State<Arc<Control>>,
    Path(client_id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    let back = page_of(&client_id);
    let (visit, form) = posted(&control, &headers, &body, ConsoleAction::Publish, &back).await?;
    let before = own(&control, &visit.by, &client_id).await?;
    if form.one("seen").ok().flatten() != Some(&*state_of(&before)) {
        return Err(changed_meanwhile().into());
    }
    let fields = Fields::posted(&form, control.policies().catalogue());
    let problem = match fields.change() {
        Ok(change) => match carry_out(&control, &visit.by, &client_id, change).await {
            Ok(_) => return Ok(onward(&control, &back)),
            Err(problem) => of_the_form(problem)?,
        },
        Err(complaint) => complaint,
    };
    application_page(&control, &visit, &before, fields, Some(problem)).await
}

async fn application_page(
    control: &Control,
    visit: &Visit,
    application: &Application,
    fields: Fields,
    problem: Option<String>,
) -> Result<Response, Turned> {
    let secrets = control.store().secrets(&application.id).await?;
    let behind = control.store().behind(application, None, MOST_BEHIND).await?;
    let row = |one: crate::store::Behind| BehindRow {
        alias: Label::new(&one.account.alias),
        id: one.account.id.into(),
        since: one.since,
    };
    Ok(respond(&Published {
        visitor: Some(visit.person.visitor()),
        csrf: visit.person.csrf(),
        seen: state_of(application),
        client_id: application.id.to_string(),
        display_name: Label::new(&application.display_name),
        enabled: application.enabled,
        created_at: application.created_at,
        fields,
        problem,
        confidential: application.kind.is_confidential(),
        secrets: secrets
            .into_iter()
            .map(|one| SecretRow { id: one.id, created_at: one.created_at })
            .collect(),
        more_behind: behind.next.is_some(),
        behind: behind.accounts.into_iter().map(row).collect(),
    }))
}

/// `POST /publisher/applications/{client_id}/secrets`: shows the secret, this once.
pub(super) async fn add_secret(
    State(control): State<Arc<Control>>,
    Path(client_id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    let (visit, _) = posted(&control, &headers, &body, ConsoleAction::Publish, &page_of(&client_id)).await?;
    let application = own(&control, &visit.by, &client_id).await?;
    let (_, secret) = added(&control, &visit.by, &client_id).await?;
    Ok(told(&visit, &application, false, Some(secret.expose().to_owned())))
}

fn told(visit: &Visit, application: &Application, registered: bool, secret: Option<String>) -> Response {
    respond(&Told {
        visitor: Some(visit.person.visitor()),
        display_name: Label::new(&application.display_name),
        client_id: application.id.to_string(),
        registered,
        secret,
    })
}

/// `GET …/secrets/{secret_id}/delete`
pub(super) async fn ask_delete_secret(
    State(control): State<Arc<Control>>,
    Path((client_id, secret_id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Turned> {
    let visit = visit(&control, &headers, &page_of(&client_id)).await?;
    let application = own(&control, &visit.by, &client_id).await?;
    let secrets = control.store().secrets(&application.id).await?;
    let last = secrets.len() < 2;
    let found = secrets.into_iter().find(|one| one.id == secret_id).ok_or_else(no_secret)?;
    Ok(respond(&DeleteSecret {
        csrf: visit.person.csrf(),
        visitor: Some(visit.person.visitor()),
        display_name: Label::new(&application.display_name),
        client_id: application.id.to_string(),
        secret: SecretRow { id: found.id, created_at: found.created_at },
        last,
    }))
}

/// `POST …/secrets/{secret_id}/delete`
pub(super) async fn delete_secret(
    State(control): State<Arc<Control>>,
    Path((client_id, secret_id)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    let back = page_of(&client_id);
    let (visit, _) = posted(&control, &headers, &body, ConsoleAction::Publish, &back).await?;
    removed(&control, &visit.by, &client_id, &secret_id).await?;
    Ok(onward(&control, &back))
}

async fn visit(control: &Control, headers: &HeaderMap, back: &str) -> Result<Visit, Turned> {
    Visit::of(control, headers, ConsoleAction::Publish, back).await
}

/// What the person can mend in the form; anything else is a page of its own.
fn of_the_form(problem: Problem) -> Result<String, Turned> {
    let mendable = problem.status() == StatusCode::BAD_REQUEST || problem.code() == "exists";
    if mendable { Ok(problem.detail().to_owned()) } else { Err(problem.into()) }
}

fn changed_meanwhile() -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "conflict",
        "The application was changed by someone else while you filled in the form; nothing was changed by yours.",
    )
    .next("Open its page again, and see what stands there now.")
}

fn no_secret() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not_found", "The application has no such secret.")
        .next("Open its page again; it lists the secrets that there are.")
}

const NEW: &str = "/publisher/new";
/// So many accounts are named on the page; the API lists them all.
const MOST_BEHIND: usize = 50;
