//! Roles: the list, adding one, disabling and enabling.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;

use super::view::{RoleRow, Roles};
use super::{ROLES, address, mendable, names, onward, posted, visit};
use crate::control::Control;
use crate::control::console::{Turned, Visit};
use crate::control::directory::people::page;
use crate::control::directory::roles::{NewRole, create, find};
use crate::control::directory::{PAGE, apply, is_text};
use crate::control::form::Parameters;
use crate::control::page::{Label, respond};
use crate::store::{PeopleFilter, Person, PersonChange};

/// `GET /console/people/roles`
pub(super) async fn list(
    State(control): State<Arc<Control>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Turned> {
    let visit = visit(&control, &headers, ROLES).await?;
    let query = Parameters::parse(query.unwrap_or_default().as_bytes());
    let after = query.one("after").ok().flatten().filter(|text| is_text(text)).map(str::to_owned);
    list_page(&control, visit, after, None).await
}

/// `POST /console/people/roles`
pub(super) async fn add(
    State(control): State<Arc<Control>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    let (visit, form) = posted(&control, &headers, &body, ROLES).await?;
    let one = |name: &str| form.one(name).ok().flatten();
    let new = NewRole {
        name: one("name").unwrap_or_default().trim().to_owned(),
        display_name: one("display_name").map(str::to_owned),
        groups: names(one("groups").unwrap_or_default()),
    };
    match create(&control, &visit.by, new).await {
        Ok(_) => Ok(onward(&control, ROLES)),
        Err(problem) => {
            let why = mendable(problem)?;
            list_page(&control, visit, None, Some(why)).await
        }
    }
}

/// `POST /console/people/roles/{role}`: enables or disables it.
pub(super) async fn change(
    State(control): State<Arc<Control>>,
    Path(role): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    let (visit, form) = posted(&control, &headers, &body, ROLES).await?;
    let key = find(&control, &visit.by, &role).await?.principal.key;
    let enabled = form.one("do").ok().flatten() == Some("enable");
    let change = PersonChange { enabled: Some(enabled), ..PersonChange::default() };
    apply(&control, &visit.by, &key, &change, true).await?;
    Ok(onward(&control, ROLES))
}

async fn list_page(
    control: &Control,
    visit: Visit,
    after: Option<String>,
    problem: Option<String>,
) -> Result<Response, Turned> {
    let filter = PeopleFilter { roles: true, after: after.clone(), ..PeopleFilter::users(PAGE + 1) };
    let (found, next) = page(control.store().people(visit.by.account(), &filter).await?, PAGE);
    let row = |Person { principal, .. }: Person| RoleRow {
        id: principal.key.id.into(),
        name: Label::new(&principal.display_name),
        enabled: principal.enabled,
        groups: principal.groups.into_iter().map(String::from).collect(),
    };
    Ok(respond(&Roles {
        visitor: Some(visit.person.visitor()),
        csrf: visit.person.csrf(),
        account: visit.account,
        rows: found.into_iter().map(row).collect(),
        first: after.map(|_| ROLES.to_owned()),
        next: next.map(|next| address(ROLES, &[("after", &next)])),
        problem,
    }))
}
