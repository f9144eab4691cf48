//! `/console/applications/{client_id}/delete`: the question before deleting, and the receipt, which is shown while it
//! comes: the page's head is sent when the deletion is stored, then each sidecar's word as a row, and at last what
//! says that it is true everywhere. No script has a part in it; a browser shows what it has.

use std::sync::Arc;

use askama::Template;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use jiff::Timestamp;

use super::{Turned, Visit, application_page, posted};
use crate::control::Control;
use crate::control::admin::{applications, state};
use crate::control::page::nav::{self, Here};
use crate::control::page::{Label, Page, Visitor, respond, respond_live};
use crate::grants::acknowledge::{Confirmation, Receipt};
use crate::model::grant::GrantState;
use crate::model::id::Revision;
use crate::policy::ConsoleAction;

/// The question before deleting.
#[derive(Template)]
#[template(path = "console/delete.html", config = ".askama.toml")]
pub struct Delete {
    /// The administrator.
    pub visitor: Option<Visitor>,
    /// The session's CSRF field.
    pub csrf: String,
    /// The account's alias.
    pub account: Label,
    /// The application, as people see it.
    pub display_name: Label,
    /// Its `client_id`.
    pub client_id: String,
}

impl Page for Delete {
    fn here(&self) -> Here {
        Here::At(nav::APPLICATIONS)
    }
}

/// What the deletion comes to, up to where the sidecars' words stand.
#[derive(Template)]
#[template(path = "console/receipt.html", config = ".askama.toml")]
pub struct Deleted {
    /// The administrator.
    pub visitor: Option<Visitor>,
    /// The account's alias.
    pub account: Label,
    /// The application, as people saw it.
    pub display_name: Label,
    /// Its `client_id`.
    pub client_id: String,
    /// The revision by which it is deleted.
    pub revision: Revision,
    /// When it was stored.
    pub at: Timestamp,
}

impl Page for Deleted {
    fn here(&self) -> Here {
        Here::At(nav::APPLICATIONS)
    }
}

/// One sidecar's word.
#[derive(Template)]
#[template(path = "console/receipt_row.html", config = ".askama.toml")]
pub struct Word<'a> {
    /// What it says.
    pub word: &'a Confirmation,
}

/// That it is true everywhere.
#[derive(Template)]
#[template(path = "console/receipt_end.html", config = ".askama.toml")]
pub struct Everywhere<'a> {
    /// The application, as people saw it.
    pub display_name: &'a Label,
    /// The whole receipt.
    pub receipt: &'a Receipt,
}

/// Asks.
pub(super) async fn ask(
    State(control): State<Arc<Control>>,
    Path(client_id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Turned> {
    let visit = Visit::of(&control, &headers, ConsoleAction::Revoke, &application_page(&client_id)).await?;
    let installed = applications::find(&control, &visit.by, &client_id).await?;
    Ok(respond(&Delete {
        csrf: visit.person.csrf(),
        visitor: Some(visit.person.visitor()),
        account: visit.account,
        display_name: Label::new(&installed.application.display_name),
        client_id: installed.application.id.into(),
    }))
}

/// Deletes, and answers the receipt as it comes.
pub(super) async fn delete(
    State(control): State<Arc<Control>>,
    Path(client_id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    let back = application_page(&client_id);
    let (visit, _) = posted(&control, &headers, &body, ConsoleAction::Revoke, &back).await?;
    let installed = applications::find(&control, &visit.by, &client_id).await?;
    let at = control.clock().now();
    let change = state::Change::begin(&control, true).of(&installed.grant.key);
    let (grant, seq) = state::put(&control, &visit.by, &client_id, GrantState::Revoked).await?;
    let display_name = Label::new(&installed.application.display_name);
    let page = Deleted {
        visitor: Some(visit.person.visitor()),
        account: visit.account,
        display_name: display_name.clone(),
        client_id: installed.application.id.into(),
        revision: grant.revision,
        at,
    };
    Ok(respond_live(&page, |before, after| {
        let after = after.to_owned();
        let each = |word: &Confirmation| rendered(&Word { word });
        let last = move |receipt: Receipt| {
            let mut end =
                Everywhere { display_name: &display_name, receipt: &receipt }.render().unwrap_or_default();
            end.push_str(&after);
            Bytes::from(end)
        };
        change.tell(Arc::clone(&control), seq, Bytes::from(before.to_owned()), each, last)
    }))
}

/// A piece that cannot be rendered is left out; the others do not rest on it.
fn rendered(piece: &impl Template) -> Bytes {
    Bytes::from(piece.render().unwrap_or_default())
}
