//! The console's pages about requests: the list, one with who has asked, and the answers.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use url::form_urlencoded::Serializer;

use super::view::{AskerRow, RequestPage, RequestRow, Requests};
use super::{HOME, api};
use crate::control::Control;
use crate::control::admin::applications::is_live;
use crate::control::admin::request::invalid;
use crate::control::browser::ask::line;
use crate::control::browser::install;
use crate::control::console::{Turned, Visit, onward, posted};
use crate::control::form::Parameters;
use crate::control::page::consent::Asker;
use crate::control::page::{Label, respond};
use crate::control::tenant::rules;
use crate::model::application::Application;
use crate::policy::ConsoleAction;
use crate::store::{ApprovalRequest, Ask, RequestState, Standing};

/// `GET /console/requests`; the open ones unless another `state` is named.
pub(super) async fn list(
    State(control): State<Arc<Control>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Turned> {
    let visit = Visit::of(&control, &headers, ConsoleAction::List, HOME).await?;
    let query = Parameters::parse(query.unwrap_or_default().as_bytes());
    let one = |name: &str| query.one(name).ok().flatten();
    let state = one("state").map_or(Ok(RequestState::Open), str::parse);
    let state = state.map_err(|_| invalid("There are no such requests."))?;
    let (found, next) = api::page(&control, &visit.by, Some(state), one("after"), api::AT_ONCE).await?;
    let next = next.map(|next| {
        let pairs = [("state", state.as_str()), ("after", &next)];
        format!("{HOME}?{}", Serializer::new(String::new()).extend_pairs(pairs).finish())
    });
    Ok(respond(&Requests {
        visitor: Some(visit.person.visitor()),
        account: visit.account,
        states: RequestState::ALL.map(|one| (one.as_str(), one == state)).to_vec(),
        rows: found.iter().map(|(application, request)| row(application, request)).collect(),
        next,
    }))
}

/// `GET /console/requests/{client_id}`
pub(super) async fn details(
    State(control): State<Arc<Control>>,
    Path(client_id): Path<String>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Turned> {
    let visit = Visit::of(&control, &headers, ConsoleAction::List, &page_of(&client_id)).await?;
    let query = Parameters::parse(query.unwrap_or_default().as_bytes());
    show(&control, visit, &client_id, query.one("after").ok().flatten(), None).await
}

/// `POST /console/requests/{client_id}/deny`
pub(super) async fn deny(
    State(control): State<Arc<Control>>,
    Path(client_id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    let back = page_of(&client_id);
    let (visit, form) = posted(&control, &headers, &body, ConsoleAction::Deny, &back).await?;
    let one = |name: &str| form.one(name).ok().flatten();
    let round = one("round").and_then(|text| text.parse().ok());
    let round: u64 = round.ok_or_else(|| invalid("The form is not whole."))?;
    let word = one("word").unwrap_or_default();
    let (application, _) = api::find(&control, &visit.by, &client_id).await?;
    match api::say_no(&control, &visit.by, &application, round, word).await {
        Ok(_) => Ok(onward(&control, HOME)),
        Err(problem) if problem.status() == StatusCode::BAD_REQUEST => {
            let typed = (word.to_owned(), "Say why, in at most 400 characters.".to_owned());
            show(&control, visit, &client_id, None, Some(typed)).await
        }
        Err(problem) => Err(problem.into()),
    }
}

/// `POST /console/requests/{client_id}/block`: the same as in the policy, where it leads to.
pub(super) async fn block(
    State(control): State<Arc<Control>>,
    Path(client_id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    let back = page_of(&client_id);
    let (visit, form) = posted(&control, &headers, &body, ConsoleAction::SetPolicy, &back).await?;
    let (application, _) = api::find(&control, &visit.by, &client_id).await?;
    let word = rules::sentence("word", form.one("word").ok().flatten().unwrap_or_default())?;
    let standing = Standing::Blocked { word };
    rules::set(&control, &visit.by, application.id.as_str(), Some(&standing), true).await?;
    Ok(onward(&control, &format!("{}/{}", crate::control::tenant::HOME, application.id)))
}

async fn show(
    control: &Control,
    visit: Visit,
    client_id: &str,
    after: Option<&str>,
    typed: Option<(String, String)>,
) -> Result<Response, Turned> {
    let (application, request) = api::find(control, &visit.by, client_id).await?;
    let (askers, next) = api::askers(control, &request, after, api::AT_ONCE).await?;
    let live = control.store().installed(&request.key).await?.is_some_and(|found| is_live(&found));
    let next = next.map(|next| {
        let query = Serializer::new(String::new()).append_pair("after", &next).finish();
        format!("{}?{query}", page_of(application.id.as_str()))
    });
    let optional = application.optional.without(&application.required);
    let (typed, problem) = typed.map_or((String::new(), None), |(typed, problem)| (typed, Some(problem)));
    Ok(respond(&RequestPage {
        csrf: visit.person.csrf(),
        asker: Asker::of(&application, visit.by.account(), ""),
        row: row(&application, &request),
        round: request.round,
        open: request.state == RequestState::Open,
        word: request.decided.as_ref().map(|decided| Label::long(&decided.word)).unwrap_or_default(),
        consent: install::address(control, &application),
        installed: live,
        required: application.required.iter().map(|scope| line(control, scope)).collect(),
        optional: optional.iter().map(|scope| line(control, scope)).collect(),
        askers: askers.iter().map(AskerRow::from).collect(),
        next,
        typed,
        problem,
        visitor: Some(visit.person.visitor()),
        account: visit.account,
    }))
}

impl From<&Ask> for AskerRow {
    fn from(ask: &Ask) -> Self {
        Self { login: Label::new(&ask.login), reason: Label::long(&ask.reason), at: ask.at }
    }
}

fn row(application: &Application, request: &ApprovalRequest) -> RequestRow {
    RequestRow {
        display_name: Label::new(&application.display_name),
        name: Label::new(&application.name),
        client_id: application.id.to_string(),
        publisher: Label::new(&application.publisher_name),
        askers: request.askers,
        last_asked_at: request.last_asked_at,
        state: request.state.as_str(),
        expires_at: request.expires_at,
        decided: request.decided.as_ref().map(|decided| (Label::new(&decided.by), decided.at)),
    }
}

fn page_of(client_id: &str) -> String {
    format!("{HOME}/{client_id}")
}
