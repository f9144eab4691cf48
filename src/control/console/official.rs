//! `/console/official`: the official applications, a page at a time, and provisioning one with a choice of its scopes.

use std::sync::Arc;

use askama::Template;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};

use super::{MOST, Pager, Turned, USUAL, Visit, application_page, lines, onward, posted};
use crate::control::admin::applications::is_live;
use crate::control::admin::official::{self as offered, Provision};
use crate::control::admin::request::invalid;
use crate::control::form::Parameters;
use crate::control::page::consent::Asker;
use crate::control::page::nav::{self, Here};
use crate::control::page::{Label, Page, ScopeLine, Visitor, respond};
use crate::control::{Control, paging};
use crate::model::grant::GrantState;
use crate::model::id::GrantKey;
use crate::model::scope::Scope;
use crate::policy::ConsoleAction;
use crate::store::Offered;

/// The official applications, installed or to be provisioned.
#[derive(Template)]
#[template(path = "console/official.html", config = ".askama.toml")]
pub struct Official {
    /// The administrator.
    pub visitor: Option<Visitor>,
    /// The account's alias.
    pub account: Label,
    /// What is searched for.
    pub search: String,
    /// The applications of this page.
    pub rows: Vec<Row>,
    /// The ways to other pages.
    pub pager: Pager,
}

impl Page for Official {
    fn here(&self) -> Here {
        Here::At(nav::OFFICIAL)
    }
}

/// One official application in the list.
pub struct Row {
    /// What people see.
    pub display_name: Label,
    /// Its name.
    pub name: Label,
    /// Its `client_id`.
    pub client_id: String,
    /// Its publisher's name.
    pub publisher: Label,
    /// Its publisher's sentence about it.
    pub description: Label,
    /// The state of the account's grant, if there is one.
    pub installed: Option<GrantState>,
}

impl From<&Offered> for Row {
    fn from(one: &Offered) -> Self {
        Self {
            display_name: Label::new(&one.application.display_name),
            name: Label::new(&one.application.name),
            client_id: one.application.id.to_string(),
            publisher: Label::new(&one.application.publisher_name),
            description: Label::long(&one.application.description),
            installed: one.installed,
        }
    }
}

/// One official application, before it is provisioned.
#[derive(Template)]
#[template(path = "console/offer.html", config = ".askama.toml")]
pub struct Offer {
    /// The administrator.
    pub visitor: Option<Visitor>,
    /// The session's CSRF field.
    pub csrf: String,
    /// The account's alias.
    pub account: Label,
    /// The application.
    pub asker: Asker,
    /// What provisioning includes.
    pub required: Vec<ScopeLine>,
    /// What can be added.
    pub optional: Vec<ScopeLine>,
}

impl Page for Offer {
    fn here(&self) -> Here {
        Here::At(nav::OFFICIAL)
    }
}

/// Shows a page of them.
pub(super) async fn list(
    State(control): State<Arc<Control>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Turned> {
    let visit = Visit::of(&control, &headers, ConsoleAction::Provision, nav::OFFICIAL).await?;
    let query = Parameters::parse(query.unwrap_or_default().as_bytes());
    let given = |name: &str| query.one(name).ok().flatten();
    let wanted = paging::page(|name| given(name).or((name == "limit").then_some(USUAL)), MOST)?;
    let page = offered::offers(&control, &visit.by, &wanted).await?;
    let next = page.items.last().filter(|_| page.more).map(|last| offered::place(&last.application));
    let kept = ["search", "limit"].map(|name| (name, given(name).unwrap_or_default()));
    Ok(respond(&Official {
        visitor: Some(visit.person.visitor()),
        account: visit.account,
        search: given("search").unwrap_or_default().to_owned(),
        rows: page.items.iter().map(Row::from).collect(),
        pager: Pager::of(nav::OFFICIAL, &kept, given("after"), next),
    }))
}

/// Shows one, with what it would be granted; the application's own page when it is installed.
pub(super) async fn show(
    State(control): State<Arc<Control>>,
    Path(client_id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Turned> {
    let back = format!("{}/{client_id}", nav::OFFICIAL);
    let visit = Visit::of(&control, &headers, ConsoleAction::Provision, &back).await?;
    let application = offered::offered(&control, &client_id).await?;
    let key = GrantKey { account: visit.by.account().clone(), application: application.id.clone() };
    if control.store().installed(&key).await?.as_ref().is_some_and(is_live) {
        let page = format!("{}{}", control.issuer().path(), application_page(application.id.as_str()));
        return Ok(Redirect::to(&page).into_response());
    }
    Ok(respond(&Offer {
        csrf: visit.person.csrf(),
        visitor: Some(visit.person.visitor()),
        account: visit.account,
        asker: Asker::of(&application, visit.by.account(), ""),
        required: lines(&control, &application.required),
        optional: lines(&control, &application.optional.without(&application.required)),
    }))
}

/// Provisions it, and goes on to who may use it.
pub(super) async fn provision(
    State(control): State<Arc<Control>>,
    Path(client_id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    let back = format!("{}/{client_id}", nav::OFFICIAL);
    let (visit, form) = posted(&control, &headers, &body, ConsoleAction::Provision, &back).await?;
    let chosen: Result<Vec<Scope>, _> = form.all("scope").map(str::parse).collect();
    let shown: Result<Vec<Scope>, _> = form.all("shown").map(str::parse).collect();
    let (chosen, shown) =
        chosen.and_then(|chosen| Ok((chosen, shown?))).map_err(|error| invalid(error.to_string()))?;
    // What is granted is what the page has shown, also when the publisher has changed it meanwhile.
    let at_most = shown.into_iter().chain(chosen.iter().cloned()).collect();
    let wanted = Provision { scopes: chosen, at_most: Some(at_most), replace: None };
    offered::install(&control, &visit.by, &client_id, wanted).await?;
    Ok(onward(&control, &format!("{}/assignments", application_page(&client_id))))
}
