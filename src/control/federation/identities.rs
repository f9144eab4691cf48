//! Links from providers' subjects to users, in the admin API: seen, made and taken away by administrators.
//!
//! Making one is the only way in which a user who is there already becomes somebody's of a provider. From then on the
//! provider's claims decide about groups and rights, where the operator lets them.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::speaks_for;
use crate::control::admin::openapi::Refusals;
use crate::control::admin::request::{Asked, Body, invalid};
use crate::control::directory::is_text;
use crate::control::paging::next;
use crate::control::{Control, Problem, Reply};
use crate::policy::ConsoleAction;
use crate::store::{self, NewIdentity};
use crate::token::random::identifier;

/// A page of links.
#[derive(Serialize, ToSchema)]
pub(in crate::control) struct Identities {
    identities: Vec<Identity>,
    /// Give it as `after` to get the next page; null when this is the last.
    next: Option<String>,
}

/// A link from a provider's subject to a user.
#[derive(Serialize, ToSchema)]
pub(in crate::control) struct Identity {
    /// Its id.
    id: String,
    /// The provider's name.
    provider: String,
    /// The provider's issuer.
    issuer: String,
    /// The provider's word for the person (`sub`).
    subject: String,
    /// The user's login.
    login: String,
    /// When they were linked.
    #[schema(value_type = String, format = DateTime)]
    linked_at: Timestamp,
    /// By whom; the provider for a user made at first log-in.
    linked_by: String,
    /// When they last logged in by it.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_login_at: Option<Timestamp>,
}

impl From<store::Identity> for Identity {
    fn from(link: store::Identity) -> Self {
        let store::Identity { id, issuer, subject, provider, login, linked_at, linked_by, last_login_at } =
            link;
        Self { id, provider, issuer, subject, login, linked_at, linked_by, last_login_at }
    }
}

/// A link to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::control) struct Link {
    /// The provider's name.
    provider: String,
    /// Its word for the person (`sub`): an identifier of its own, not an e-mail address.
    subject: String,
    /// The user's login.
    login: String,
}

/// List linked identities
///
/// Whom the subjects of the account's own providers stand for.
#[utoipa::path(get, path = "/api/v1/identities", tag = "sessions", operation_id = "listIdentities",
    params(("after" = Option<String>, Query, description = "Only after this id."),
        ("limit" = Option<u32>, Query, description = "At most so many, 1 to 1000; 100 unless given.")),
    responses((status = 200, description = "A page of links.", body = Identities), Refusals))]
pub(in crate::control) async fn list(
    State(control): State<Arc<Control>>,
    asked: Asked,
) -> Reply<Json<Identities>> {
    let by = asked.may(&control, ConsoleAction::Sessions).await?;
    asked.only(&["after", "limit"])?;
    let limit = asked.limit()?;
    let after = asked.parameter("after").unwrap_or_default();
    if !after.is_empty() && !is_text(after) {
        return Err(invalid("`after` is not what a list of identities gives as `next`."));
    }
    let found = control.store().identities(by.account(), after, limit).await?;
    let next = next(&found, limit, |last| last.id.clone());
    Ok(Json(Identities { identities: found.into_iter().map(Identity::from).collect(), next }))
}

/// Link an identity to a user
///
/// The user is theirs from the next log-in on; a password stays good beside it. Groups and full access then follow the
/// provider's claims where the operator lets them.
#[utoipa::path(post, path = "/api/v1/identities", tag = "sessions", operation_id = "linkIdentity",
    request_body = Link,
    responses((status = 201, description = "Linked.", body = Identity), Refusals))]
pub(in crate::control) async fn link(
    State(control): State<Arc<Control>>,
    asked: Asked,
    body: Body,
) -> Reply<(StatusCode, Json<Identity>)> {
    let by = asked.may(&control, ConsoleAction::Sessions).await?;
    asked.only(&[])?;
    let Link { provider, subject, login } = body.read()?;
    let unknown = || {
        Problem::new(StatusCode::NOT_FOUND, "not_found", "This account has no provider of that name.")
            .next("The operator configures which providers may speak for an account.")
    };
    let known = control.federation.named(&provider).ok_or_else(unknown)?;
    if !speaks_for(&control, known, by.account()).await? {
        return Err(unknown());
    }
    let printable = subject.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if !printable || !(1..=255).contains(&subject.len()) || !is_text(&login) {
        return Err(invalid("`subject` is 1 to 255 ASCII characters, `login` a user's login."));
    }
    let new = NewIdentity {
        id: identifier().map_err(|why| Problem::internal("an identity's id", &why))?,
        account: by.account().clone(),
        issuer: known.settings.issuer.clone(),
        subject,
        provider,
        login,
    };
    let link = control.store().link_identity(&new, &by.actor(), control.clock().now()).await?;
    Ok((StatusCode::CREATED, Json(link.into())))
}

/// Unlink an identity
///
/// The user stays; sessions that came in by it end.
#[utoipa::path(delete, path = "/api/v1/identities/{identity_id}", tag = "sessions",
    operation_id = "unlinkIdentity", params(("identity_id", description = "The link's id.")),
    responses((status = 204, description = "Gone."), Refusals))]
pub(in crate::control) async fn unlink(
    State(control): State<Arc<Control>>,
    Path(id): Path<String>,
    asked: Asked,
) -> Reply<StatusCode> {
    let by = asked.may(&control, ConsoleAction::Sessions).await?;
    asked.only(&[])?;
    if !is_text(&id) {
        return Err(Problem::new(StatusCode::NOT_FOUND, "not_found", "There is no such identity."));
    }
    control.store().unlink_identity(by.account(), &id, &by.actor(), control.clock().now()).await?;
    Ok(StatusCode::NO_CONTENT)
}
