//! The report: a page of its own with pictures and tables, that can be kept and sent: it needs nothing from anywhere.

use std::sync::{Arc, LazyLock};

use askama::Template;
use axum::Json;
use axum::extract::State;
use axum::http::header::{
    CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::figures::Figures;
use super::survey;
use super::view::{Drawn, Standalone};
use crate::control::admin::openapi::Refusals;
use crate::control::admin::request::{Administrator, Asked, invalid, not_installed};
use crate::control::page::{Label, style};
use crate::control::{Control, Problem, Reply};
use crate::model::id::ApplicationId;
use crate::policy::ConsoleAction;
use crate::token::random::sha256;

/// Reads a report's figures, of the account or of one application that it has or had.
///
/// # Errors
/// 404 `not_installed`, the store's.
pub(super) async fn drawn(
    control: &Control,
    by: &Administrator,
    application: Option<&str>,
    days: i64,
) -> Reply<Drawn> {
    let alias = control.store().account(by.account()).await?.map(|account| account.alias);
    let mut name = None;
    let mut id: Option<ApplicationId> = None;
    if let Some(client_id) = application {
        let key = by.grant_key(client_id)?;
        let found = control.store().installed(&key).await?.ok_or_else(|| not_installed(client_id))?;
        name = Some(Label::new(&found.application.display_name));
        id = Some(key.application);
    }
    let figures = Figures::read(control, by.account(), id.as_ref(), days).await?;
    Ok(Drawn::of(figures, Label::new(&alias.unwrap_or_default()), name))
}

/// Get a report
///
/// Decisions over time, refusals by reason, and what calls took, of the account or of one application: a page that needs
/// nothing from anywhere, or its figures with `accept: application/json`.
#[utoipa::path(get, path = "/api/v1/report", tag = "use", operation_id = "getReport",
    params(("application" = Option<String>, Query, description = "Only of this client ID."),
        ("days" = Option<u32>, Query, description = "Of the last days, 1 to 365; 30 unless given.")),
    responses((status = 200, description = "The report.",
        content((String = "text/html"), (Figures = "application/json"))), Refusals))]
pub(in crate::control) async fn get(State(control): State<Arc<Control>>, asked: Asked) -> Reply<Response> {
    let by = asked.may(&control, ConsoleAction::List).await?;
    asked.only(&["application", "days"])?;
    let days = survey::days(asked.parameter("days"), 30)?;
    let application = asked.parameter("application");
    if application == Some("") {
        return Err(invalid("`application` is not a client ID."));
    }
    let drawn = drawn(&control, &by, application, days).await?;
    if asked.takes("application/json") {
        return Ok(Json(drawn.figures).into_response());
    }
    let name = format!("consentry-{}-{}.html", drawn.figures.account, drawn.figures.last);
    let page = Standalone { style: style::text(), drawn };
    let html = page.render().map_err(|why| Problem::internal("a report", &why))?;
    let mut response = html.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(HeaderName::from_static("x-frame-options"), HeaderValue::from_static("DENY"));
    for (header, value) in [
        (CONTENT_SECURITY_POLICY, POLICY.clone()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ] {
        let value = HeaderValue::from_str(&value).map_err(|why| Problem::internal("a report", &why))?;
        headers.insert(header, value);
    }
    Ok(response)
}

/// The report may use its own style sheet and nothing else.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = STANDARD.encode(sha256(style::text().as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
    )
});
