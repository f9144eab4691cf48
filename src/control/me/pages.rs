//! The page of the applications that act as a person, and its form.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use jiff::Timestamp;

use super::applications::{allowed, withdrawn};
use super::view::{Mine, Row};
use crate::control::Control;
use crate::control::admin::request::invalid;
use crate::control::browser::ask::line;
use crate::control::console::{Turned, anybody, form_of, onward};
use crate::control::form::Parameters;
use crate::control::page::nav::ME;
use crate::control::page::{Label, respond};
use crate::control::paging::next;
use crate::model::grant::GrantState;
use crate::store::Acting;

/// `GET /me`
pub(super) async fn list(
    State(control): State<Arc<Control>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Turned> {
    let person = anybody(&control, &headers, ME).await?;
    let query = Parameters::parse(query.unwrap_or_default().as_bytes());
    let after = query.one("after").ok().flatten().map(str::parse).transpose();
    let after = after.map_err(|_| invalid("The address names no application to go on after."))?;
    let now = control.clock().now();
    let mut found = control.store().acting_as(&person.principal.key, after.as_ref(), PAGE, now).await?;
    let next = next(&found, PAGE, |last| format!("{ME}?after={}", last.installed.application.id));
    found.sort_by_key(|acting| std::cmp::Reverse(acting.last_used));
    Ok(respond(&Mine {
        csrf: person.csrf(),
        visitor: Some(person.visitor()),
        login: Label::new(&person.principal.login),
        rows: found.iter().map(|acting| row(&control, acting, now)).collect(),
        next,
    }))
}

fn row(control: &Control, acting: &Acting, now: Timestamp) -> Row {
    let (grant, application) = (&acting.installed.grant, &acting.installed.application);
    let suspended = match grant.state {
        GrantState::Active => false,
        GrantState::Suspended | GrantState::Revoked => true,
    };
    Row {
        client_id: application.id.to_string(),
        display_name: Label::new(&application.display_name),
        description: Label::long(&application.description),
        publisher: Label::new(&application.publisher_name),
        relation: application.relation_to(&grant.key.account).as_str(),
        stopped: suspended || grant.has_ended(now) || !application.enabled,
        may: allowed(acting).iter().map(|scope| line(control, scope)).collect(),
        consented_at: acting.consented.as_ref().map(|(_, at)| *at),
        last_used: acting.last_used,
        signed_in: acting.signed_in,
    }
}

/// `POST /me/applications/{client_id}/withdraw`
pub(super) async fn withdraw(
    State(control): State<Arc<Control>>,
    Path(client_id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    let person = anybody(&control, &headers, ME).await?;
    form_of(&control, &headers, &body, &person)?;
    withdrawn(&control, &person.principal, &client_id, true).await?;
    Ok(onward(&control, ME))
}

/// So many applications stand on one page.
const PAGE: u32 = 50;
