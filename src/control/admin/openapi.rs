//! The description of the admin API (OpenAPI 3.1), made from the functions that answer it.

use std::collections::BTreeMap;

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::IntoResponse;
use serde::Serialize;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, ObjectBuilder, Ref, RefOr, ResponseBuilder, Type};
use utoipa::{IntoResponses, Modify, OpenApi, ToSchema};

use crate::control::requests::api as requests;
use crate::control::rescope::{api as scopes, publish};
use crate::control::tenant::api as tenant;
use crate::control::directory::{groups, people, roles, rules};

use super::{applications, assignments, consents, decisions, official, publisher, secrets, sidecars, state};

/// The description, as it stands in `schemas/control.openapi.json`.
#[must_use]
pub fn document() -> String {
    Api::openapi().to_pretty_json().unwrap_or_default()
}

/// Describe this API
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "description", operation_id = "describe", security(),
    responses((status = 200, description = "This description.", body = Object)))]
pub(super) async fn get() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "public, max-age=300")], document())
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Consentry admin API",
        version = "1",
        description = "What an account's administrators can see and do: the applications that the account has \
                       authorized, who may use them, their calls, and the account's own applications. Everything \
                       is about the account of the one who asks; what belongs to another is answered like what \
                       does not exist. Times are RFC 3339, ids are strings.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    paths(
        applications::list,
        applications::show,
        applications::policies,
        scopes::show,
        scopes::replace,
        scopes::change,
        state::revoke,
        state::suspend,
        state::resume,
        assignments::show,
        assignments::replace,
        assignments::patch,
        assignments::list,
        consents::list,
        consents::withdraw,
        official::list,
        official::provision,
        publisher::list,
        publisher::register,
        publish::show,
        publish::patch,
        secrets::list,
        secrets::add,
        secrets::remove,
        requests::list,
        requests::show,
        requests::deny,
        requests::block,
        tenant::show,
        tenant::replace,
        tenant::set_rule,
        tenant::take_back,
        decisions::list,
        decisions::show,
        sidecars::list,
        people::list,
        people::add,
        people::show,
        people::change,
        people::link,
        people::reset,
        groups::list,
        groups::add,
        groups::show,
        groups::change,
        groups::remove,
        groups::join,
        groups::leave,
        roles::list,
        roles::add,
        roles::show,
        roles::change,
        rules::show,
        rules::replace,
        get,
    ),
    components(schemas(ProblemDetails)),
    modifiers(&Security, &Texts),
    security(("token" = []), ("session" = [], "csrf" = [])),
    tags(
        (name = "applications", description = "What is installed."),
        (name = "assignments", description = "Who may use what is installed, and who has agreed in person."),
        (name = "official applications", description = "What can be provisioned."),
        (name = "approval requests", description = "What users who may not authorize have asked for."),
        (name = "application policy",
            description = "What is said beforehand: about unknown, blocked and pre-approved applications."),
        (name = "publisher", description = "What this account has registered for others."),
        (name = "decisions", description = "What applications have called, and why it was allowed or not."),
        (name = "sidecars", description = "Where decisions are made, and how fresh what they rest on is."),
        (name = "directory", description = "The account's people, groups and roles, and what they log in with."),
        (name = "description", description = "This document."),
    )
)]
struct Api;

/// A refusal (RFC 9457). Programs go by `code`.
#[derive(Serialize, ToSchema)]
struct ProblemDetails {
    /// `urn:consentry:problem:` and the code.
    #[serde(rename = "type")]
    kind: String,
    /// The status in words.
    title: String,
    /// The status.
    status: u16,
    /// Stable: `unauthenticated`, `forbidden`, `not_found`, `not_installed`, `conflict`, `exists`,
    /// `invalid_request`, `scope_not_offered`, `scope_beyond`, `store_unavailable`, …
    code: String,
    /// What happened, in a sentence.
    detail: String,
    /// What to do next, where there is something to do.
    next: Option<String>,
}

/// The refusals that every operation may answer with.
pub(in crate::control) struct Refusals;

impl IntoResponses for Refusals {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let problem = || RefOr::Ref(Ref::from_schema_name("ProblemDetails"));
        let refusal = |description: &str| {
            let content = ContentBuilder::new().schema(Some(problem())).build();
            RefOr::T(
                ResponseBuilder::new()
                    .description(description)
                    .content("application/problem+json", content)
                    .build(),
            )
        };
        REFUSALS.iter().map(|(status, description)| ((*status).to_owned(), refusal(description))).collect()
    }
}

struct Security;

impl Modify for Security {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let Some(components) = api.components.as_mut() else { return };
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("An API token of an administrator."))
            .build();
        let cookie = ApiKeyValue::with_description(
            "consentry_session",
            "A session of the console; `__Host-consentry` over https.",
        );
        let csrf =
            ApiKeyValue::with_description("x-csrf-token", "The session's CSRF field, for all but reading.");
        components.add_security_scheme("token", SecurityScheme::Http(bearer));
        components.add_security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
        components.add_security_scheme("csrf", SecurityScheme::ApiKey(ApiKey::Header(csrf)));
    }
}

/// What stands in a path is text, where its function does not say more.
struct Texts;

impl Modify for Texts {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let operations = api.paths.paths.values_mut().flat_map(|path| {
            [&mut path.get, &mut path.put, &mut path.post, &mut path.delete, &mut path.patch]
                .into_iter()
                .flatten()
        });
        for parameter in operations.filter_map(|operation| operation.parameters.as_mut()).flatten() {
            if let RefOr::T(parameter) = parameter
                && parameter.schema.is_none()
            {
                let text = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).build();
                parameter.schema = Some(RefOr::T(text.into()));
            }
        }
    }
}

const REFUSALS: [(&str, &str); 9] = [
    (
        "400",
        "Something in the request does not fit: `invalid_request`, `scope_not_offered`, `scope_required`, \
         `scope_beyond`.",
    ),
    ("401", "No valid token and no session: `unauthenticated`."),
    ("403", "Not for who asks: `forbidden`, `not_an_administrator`, `form_not_yours`."),
    ("404", "Not there, or not this account's: `not_installed`, `not_found`."),
    ("409", "Something stands against it: `exists`, `conflict`, `application_blocked`."),
    ("413", "The body is too large: `invalid_request`."),
    ("415", "The body is not JSON: `invalid_request`."),
    ("503", "The store cannot answer; nothing was changed: `store_unavailable`."),
    ("507", "The store cannot be written; nothing was changed: `store_unwritable`."),
];

#[cfg(test)]
mod tests {
    use std::path::Path;

    /// With `BLESS=1` in the environment the file is rewritten, and the change is read in the diff.
    #[test]
    fn the_published_description_stays_as_it_is() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/control.openapi.json");
        let found = format!("{}\n", super::document());
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&path, &found).unwrap();
        }
        let wanted = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            wanted == found,
            "schemas/control.openapi.json is not what the code says; rewrite it with BLESS=1"
        );
    }

    #[test]
    fn every_operation_names_its_refusals_and_its_way_in() {
        let api: serde_json::Value = serde_json::from_str(&super::document()).unwrap();
        assert_eq!(api["openapi"], "3.1.0");
        for (path, operations) in api["paths"].as_object().unwrap() {
            for (method, operation) in operations.as_object().unwrap() {
                let open = path.ends_with("openapi.json");
                assert!(operation["operationId"].is_string(), "{method} {path}");
                assert_eq!(operation["responses"]["401"].is_object(), !open, "{method} {path}");
            }
        }
    }
}
