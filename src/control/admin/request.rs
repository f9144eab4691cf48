//! Who asks the admin API, and what with: authentication, the right to ask, parameters and bodies.
//!
//! Comes in: a request's head and body. Goes out: an [`Administrator`], typed parameters, or a problem.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use serde::de::DeserializeOwned;
use url::form_urlencoded;

use crate::control::browser::{csrf, session};
use crate::control::{Control, Problem, Reply};
use crate::model::account::Principal;
use crate::model::id::{AccountId, ApplicationId, GrantKey};
use crate::policy::ConsoleAction;
use crate::store::Actor;
use crate::token::random::sha256;

/// Somebody whom policy lets do what they ask for, in their own account.
pub(in crate::control) struct Administrator {
    /// Who.
    pub(in crate::control) principal: Principal,
}

impl Administrator {
    /// Whom policy lets do `action` in their own account.
    ///
    /// # Errors
    /// 403 `forbidden`.
    pub(in crate::control) fn check(
        control: &Control,
        principal: Principal,
        action: ConsoleAction,
    ) -> Reply<Self> {
        if control.policies().may(&principal, action, &principal.key.account) {
            return Ok(Self { principal });
        }
        let detail = format!("{} may not do this; it is for administrators of the account.", principal.login);
        Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", detail)
            .next("Ask the root identity, or a user with the policy AliyunRAMFullAccess."))
    }

    /// Their account.
    pub(in crate::control) fn account(&self) -> &AccountId {
        &self.principal.key.account
    }

    /// As the audit names them.
    pub(in crate::control) fn actor(&self) -> Actor {
        Actor::from(&self.principal)
    }

    /// Their account's grant of an application; a malformed id is no application.
    pub(in crate::control) fn grant_key(&self, client_id: &str) -> Reply<GrantKey> {
        let application: ApplicationId = client_id.parse().map_err(|_| not_installed(client_id))?;
        Ok(GrantKey { account: self.account().clone(), application })
    }
}

/// The answer for an application that the account does not have, whether or not others have it.
pub(in crate::control) fn not_installed(client_id: &str) -> Problem {
    let shown: String = client_id.chars().take(128).collect();
    Problem::new(
        StatusCode::NOT_FOUND,
        "not_installed",
        format!("This account has not installed an application {shown:?}."),
    )
    .next("GET /api/v1/applications lists what is installed.")
}

/// A request's head, as far as it counts here.
pub(in crate::control) struct Asked {
    headers: HeaderMap,
    method: Method,
    query: Vec<(String, String)>,
}

impl Asked {
    /// Who asks, if policy lets them do `action`.
    ///
    /// # Errors
    /// 401 `unauthenticated`, 403 `forbidden`, 403 for a console session without its CSRF header, the store's.
    pub(in crate::control) async fn may(
        &self,
        control: &Control,
        action: ConsoleAction,
    ) -> Reply<Administrator> {
        Administrator::check(control, self.anybody(control).await?.0, action)
    }

    /// Who asks, whoever it is: for what is their own. With a console session, its hash too.
    ///
    /// # Errors
    /// 401 `unauthenticated`, 403 for a console session without its CSRF header, the store's.
    pub(in crate::control) async fn anybody(
        &self,
        control: &Control,
    ) -> Reply<(Principal, Option<[u8; 32]>)> {
        if let Some(value) = self.headers.get(AUTHORIZATION) {
            let token = value.to_str().ok().and_then(bearer).ok_or_else(unauthenticated)?;
            let found = control.store().api_token(&sha256(token.as_bytes()), control.clock().now()).await?;
            return Ok((found.ok_or_else(unauthenticated)?, None));
        }
        let person = session::signed_in(control, &self.headers).await?.ok_or_else(unauthenticated)?;
        if !self.method.is_safe() {
            let field = self.headers.get("x-csrf-token").and_then(|value| value.to_str().ok());
            csrf::check(control, &self.headers, &person, field)?;
        }
        Ok((person.principal, Some(person.session.hash)))
    }

    /// The length of a page: the parameter `limit`, 100 unless given.
    ///
    /// # Errors
    /// 400 `invalid_request`.
    pub(in crate::control) fn limit(&self) -> Reply<u32> {
        let Some(text) = self.parameter("limit") else { return Ok(100) };
        let limit = text.parse().ok().filter(|limit| (1..=1000).contains(limit));
        limit.ok_or_else(|| invalid("`limit` is a number from 1 to 1000."))
    }

    /// A parameter of the query, if given.
    pub(in crate::control) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Refuses parameters other than these.
    pub(in crate::control) fn only(&self, known: &[&str]) -> Reply<()> {
        match self.query.iter().find(|(key, _)| !known.contains(&key.as_str())) {
            None => Ok(()),
            Some((key, _)) => Err(invalid(format!("There is no parameter {key:?} here."))
                .next(format!("Known parameters: {}.", known.join(", ")))),
        }
    }

    /// Whether the answer may be of this media type: it is named, without parameters.
    pub(in crate::control) fn takes(&self, kind: &str) -> bool {
        let named = self.headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        named.flat_map(|value| value.split(',')).any(|one| one.trim().eq_ignore_ascii_case(kind))
    }

    /// Whether the answer is to wait until the change is true everywhere: `wait`, 1 unless given.
    pub(in crate::control) fn waits(&self) -> Reply<bool> {
        self.only(&["wait"])?;
        match self.parameter("wait") {
            None | Some("1") => Ok(true),
            Some("0") => Ok(false),
            Some(other) => Err(invalid(format!("`wait` is 0 or 1, not {other:?}."))),
        }
    }
}

impl FromRequestParts<Arc<Control>> for Asked {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &Arc<Control>) -> Result<Self, Problem> {
        let query = form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
        let query: Vec<_> = query.map(|(key, value)| (key.into_owned(), value.into_owned())).collect();
        for (index, (key, _)) in query.iter().enumerate() {
            if query.iter().take(index).any(|(earlier, _)| earlier == key) {
                return Err(invalid(format!("The parameter {key:?} is given twice.")));
            }
        }
        Ok(Self { headers: parts.headers.clone(), method: parts.method.clone(), query })
    }
}

/// A request's JSON body, not read yet, so that who asks can be checked first.
pub(in crate::control) struct Body {
    json: bool,
    bytes: Bytes,
}

impl Body {
    /// The body as a value; fields that are not known are refused by name.
    ///
    /// # Errors
    /// 400 `invalid_request`, or 415 for another content type.
    pub(in crate::control) fn read<T: DeserializeOwned>(&self) -> Reply<T> {
        if !self.json {
            let detail = "The body must be JSON.";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "invalid_request", detail)
                .next("Send it with content-type: application/json."));
        }
        serde_json::from_slice(&self.bytes).map_err(|error| {
            invalid(format!("The body does not fit: {error}."))
                .next("GET /api/v1/openapi.json describes each body.")
        })
    }

    /// The same, where no body at all means the default.
    pub(in crate::control) fn read_or_default<T: DeserializeOwned + Default>(&self) -> Reply<T> {
        if self.bytes.is_empty() { Ok(T::default()) } else { self.read() }
    }
}

impl FromRequest<Arc<Control>> for Body {
    type Rejection = Problem;
    async fn from_request(request: Request, control: &Arc<Control>) -> Result<Self, Problem> {
        let kind =
            request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let essence = kind.split(';').next().unwrap_or_default().trim();
        let json = essence.eq_ignore_ascii_case("application/json");
        let bytes = Bytes::from_request(request, control).await.map_err(|rejection| {
            Problem::new(
                rejection.status(),
                "invalid_request",
                "The body could not be read, or is too large.",
            )
        })?;
        Ok(Self { json, bytes })
    }
}

/// A change of the application that the path names, by a JSON body: nothing of it is looked at before
/// [`ChangeAsked::read`] has checked who asks.
pub(in crate::control) struct ChangeAsked {
    client_id: String,
    asked: Asked,
    body: Body,
}

/// What is wanted of an application, by whom.
pub(in crate::control) struct ChangeWanted<T> {
    /// Who may want it.
    pub(in crate::control) by: Administrator,
    /// The application, as the path names it.
    pub(in crate::control) client_id: String,
    /// Whether the answer is to wait until it is true everywhere.
    pub(in crate::control) wait: bool,
    /// The body.
    pub(in crate::control) body: T,
}

impl ChangeAsked {
    /// Checks who asks, and then reads what is wanted.
    ///
    /// # Errors
    /// Those of [`Asked::may`], [`Asked::waits`] and [`Body::read`], in this order.
    pub(in crate::control) async fn read<T: DeserializeOwned>(
        self,
        control: &Control,
        action: ConsoleAction,
    ) -> Reply<ChangeWanted<T>> {
        let by = self.asked.may(control, action).await?;
        let wait = self.asked.waits()?;
        Ok(ChangeWanted { by, client_id: self.client_id, wait, body: self.body.read()? })
    }
}

impl FromRequest<Arc<Control>> for ChangeAsked {
    type Rejection = Problem;
    async fn from_request(request: Request, control: &Arc<Control>) -> Result<Self, Problem> {
        let (mut head, body) = request.into_parts();
        let path = Path::<String>::from_request_parts(&mut head, control).await;
        let Path(client_id) = path.map_err(|_| invalid("The path names no application."))?;
        let asked = Asked::from_request_parts(&mut head, control).await?;
        let body = Body::from_request(Request::from_parts(head, body), control).await?;
        Ok(Self { client_id, asked, body })
    }
}

/// 400 `invalid_request`.
pub(in crate::control) fn invalid(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "invalid_request", detail)
}

fn unauthenticated() -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "unauthenticated",
        "The admin API needs a valid API token, or a session of the console.",
    )
    .next("Send `Authorization: Bearer <API token>`. An application's access token is none.")
}

/// The token of `Bearer <token>` (RFC 6750 section 2.1).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim_matches(' ');
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && !token.contains(' ')).then_some(token)
}
