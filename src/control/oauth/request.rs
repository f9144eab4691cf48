//! The authorization request: what an application asks for, checked, and the ways to answer it.
//!
//! Comes in: the parameters of `GET|POST /oauth2/v1/auth`. Goes out: an [`AuthorizeRequest`], a [`PageFault`] when
//! there is no address that may be answered to, or a [`RedirectFault`] for the application itself. Nothing here
//! asks the store.

use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, REFERRER_POLICY};
use axum::response::{IntoResponse, Redirect, Response};
use serde::{Deserialize, Serialize};
use url::form_urlencoded;

use super::super::audit::Because;
use super::super::form::{Parameters, Repeated};
use super::super::issuer::Issuer;
use super::super::registration::document::application_id;
use super::super::resources::{NotAResource, Resources};
use crate::model::application::{Application, ApplicationType};
use crate::model::id::ApplicationId;
use crate::model::scope::{Scope, ScopeSet};

/// A request that may be answered: its client is known, its redirect URI is the client's own, and all else is
/// well-formed. It travels through the consent page as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AuthorizeRequest {
    /// Who asks.
    pub(crate) application: ApplicationId,
    /// Where the answer goes, as asked for (RFC 6749 §4.1.3 wants it repeated to the letter).
    pub(crate) redirect_uri: String,
    /// The application's own value, given back as it came.
    pub(crate) state: Option<String>,
    /// What it asks for; all that it offers when it named nothing.
    pub(crate) scopes: ScopeSet,
    /// The S256 challenge (RFC 7636 §4.2).
    pub(crate) challenge: String,
    /// For the ID token (OpenID Connect Core §3.1.2.1).
    pub(crate) nonce: Option<String>,
    /// The audience (RFC 8707 §2).
    pub(crate) resource: Option<String>,
    /// Whether a refresh token is wanted.
    pub(crate) offline: bool,
    /// What the person is to be asked.
    pub(crate) prompt: Prompt,
    /// How old a login may be, in seconds.
    pub(crate) max_age: Option<i64>,
}

/// The `prompt` parameter. Values we do not know are passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Prompt {
    /// Show nothing.
    pub(crate) none: bool,
    /// Log in again.
    pub(crate) login: bool,
    /// Ask the person again.
    pub(crate) consent: bool,
    /// Ask the administrator again.
    pub(crate) admin_consent: bool,
}

/// A request that cannot be answered to its sender: the person sees why (RFC 6749 §4.1.2.1).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PageFault {
    /// No such client, or a disabled one.
    #[error("the application that sent you here is not registered, or is disabled (client_id)")]
    Client,
    /// Not one of the client's addresses.
    #[error(
        "the application {0} asked for an answer to an address that it has not registered (redirect_uri)"
    )]
    RedirectUri(String),
    /// The client ID is an address, and what stands there cannot be used.
    #[error("the application that sent you here cannot be known by its own description (client_id): {0}")]
    Document(String),
    /// It registered itself, and requires what the operator gives no such application.
    #[error(
        "the application that sent you here has registered itself, and requires more than such applications are given"
    )]
    TooMuch,
    /// Given twice.
    #[error(transparent)]
    Repeated(#[from] Repeated),
}

/// An error that the application is told by redirect (RFC 6749 §4.1.2.1, OpenID Connect Core §3.1.2.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RedirectFault {
    /// The registered error code.
    pub(crate) error: &'static str,
    /// For the application's developer.
    pub(crate) description: String,
}

impl RedirectFault {
    /// An error with its description.
    pub(crate) fn new(error: &'static str, description: impl Into<String>) -> Self {
        Self { error, description: description.into() }
    }
}

impl From<Repeated> for RedirectFault {
    fn from(repeated: Repeated) -> Self {
        Self::new("invalid_request", repeated.to_string())
    }
}

/// Which client the request names.
pub(crate) fn client_id(parameters: &Parameters) -> Result<ApplicationId, PageFault> {
    let text = parameters.one("client_id")?.ok_or(PageFault::Client)?;
    application_id(text).map_err(|_| PageFault::Client)
}

/// The address to answer to: named, and one of the application's.
pub(crate) fn redirect_uri(parameters: &Parameters, application: &Application) -> Result<String, PageFault> {
    let fault = || PageFault::RedirectUri(application.display_name.clone());
    let asked = parameters.one("redirect_uri")?.ok_or_else(fault)?;
    if is_registered(application, asked) { Ok(asked.to_owned()) } else { Err(fault()) }
}

/// Whether the application has registered this address.
pub(crate) fn is_registered(application: &Application, asked: &str) -> bool {
    application.redirect_uris.iter().any(|registered| matches_registered(registered, asked))
}

/// To the letter; only a loopback address registered without a port matches any port (RFC 8252 §7.3).
fn matches_registered(registered: &str, asked: &str) -> bool {
    if registered == asked {
        return true;
    }
    ["http://127.0.0.1", "http://[::1]"].into_iter().any(|host| {
        let (Some(rest), Some(asked)) = (registered.strip_prefix(host), asked.strip_prefix(host)) else {
            return false;
        };
        let Some(asked) = asked.strip_prefix(':') else { return false };
        let end = asked.find(|c: char| !c.is_ascii_digit()).unwrap_or(asked.len());
        let Some((port, asked_rest)) = asked.split_at_checked(end) else { return false };
        let portless = rest.is_empty() || rest.starts_with(['/', '?']);
        portless && rest == asked_rest && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

impl AuthorizeRequest {
    /// Checks all the rest, once the sender may be answered.
    pub(crate) fn read(
        parameters: &Parameters,
        application: &Application,
        redirect_uri: String,
        resources: &Resources,
    ) -> Result<Self, RedirectFault> {
        let text = |name: &str| parameters.one(name).map(|value| value.map(str::to_owned));
        check_kind(parameters, application)?;
        let (scopes, offline_scope) = scopes(parameters.one("scope")?, application)?;
        let prompt = prompt(parameters.one("prompt")?)?;
        let max_age = match parameters.one("max_age")? {
            None => None,
            Some(text) => Some(
                text.parse::<u32>()
                    .map(i64::from)
                    .map_err(|_| RedirectFault::new("invalid_request", "max_age is a number of seconds"))?,
            ),
        };
        let offline = match application.kind {
            // One that nobody vouches for asks for a refresh token in so many words.
            ApplicationType::NativeApp if !application.is_unverified() => true,
            ApplicationType::NativeApp | ApplicationType::WebApp | ApplicationType::ServerApp => {
                offline_scope || parameters.one("access_type")? == Some("offline")
            }
        };
        Ok(Self {
            application: application.id.clone(),
            redirect_uri,
            state: text("state")?,
            scopes,
            challenge: challenge(parameters)?,
            nonce: text("nonce")?,
            resource: resource(parameters, resources)?,
            offline,
            prompt,
            max_age,
        })
    }

    /// The request as a path of ours with what a fresh login has settled taken out, so that the person can be sent
    /// through the login page and back.
    pub(crate) fn after_login(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("client_id", self.application.as_str());
        query.append_pair("redirect_uri", &self.redirect_uri);
        query.append_pair("response_type", "code");
        query.append_pair("scope", &self.scopes.to_string());
        query.append_pair("code_challenge", &self.challenge);
        query.append_pair("code_challenge_method", "S256");
        for (name, value) in [("state", &self.state), ("nonce", &self.nonce), ("resource", &self.resource)] {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
        if self.offline {
            query.append_pair("access_type", "offline");
        }
        // A log-in at a provider can be old: it is looked at again. None is younger than nothing at all.
        if let Some(age) = self.max_age.filter(|age| *age > 0) {
            query.append_pair("max_age", &age.to_string());
        }
        let words = [(self.prompt.consent, "consent"), (self.prompt.admin_consent, "admin_consent")];
        let prompt: Vec<_> = words.into_iter().filter_map(|(set, word)| set.then_some(word)).collect();
        if !prompt.is_empty() {
            query.append_pair("prompt", &prompt.join(" "));
        }
        format!("{PATH}?{}", query.finish())
    }

    /// Sends the person back with a code.
    pub(crate) fn answer(&self, issuer: &Issuer, code: &str) -> Response {
        self.send_back(issuer, &[("code", code)])
    }

    /// Sends the person back with an error.
    pub(crate) fn fail(&self, issuer: &Issuer, fault: &RedirectFault) -> Response {
        fail(issuer, &self.redirect_uri, self.state.as_deref(), fault)
    }

    fn send_back(&self, issuer: &Issuer, pairs: &[(&str, &str)]) -> Response {
        send_back(issuer, &self.redirect_uri, self.state.as_deref(), pairs)
    }
}

/// Sends the person back to a checked redirect URI with an error.
pub(crate) fn fail(
    issuer: &Issuer,
    redirect_uri: &str,
    state: Option<&str>,
    fault: &RedirectFault,
) -> Response {
    let description = printable(&fault.description);
    let pairs = [("error", fault.error), ("error_description", &*description)];
    let mut response = send_back(issuer, redirect_uri, state, &pairs);
    response.extensions_mut().insert(Because(fault.error));
    response
}

/// Every answer names its issuer (RFC 9207), so that a client of several cannot be led to mix them up.
fn send_back(issuer: &Issuer, redirect_uri: &str, state: Option<&str>, pairs: &[(&str, &str)]) -> Response {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(pairs);
    if let Some(state) = state {
        query.append_pair("state", state);
    }
    query.append_pair("iss", issuer.as_str());
    let join = if redirect_uri.contains('?') { '&' } else { '?' };
    let mut response = Redirect::to(&format!("{redirect_uri}{join}{}", query.finish())).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// The characters that an `error_description` may have (RFC 6749 §4.1.2.1).
pub(crate) fn printable(text: &str) -> String {
    let allowed = |c: char| matches!(c, ' '..='!' | '#'..='[' | ']'..='~');
    text.chars().map(|c| if allowed(c) { c } else { '?' }).collect()
}

fn check_kind(parameters: &Parameters, application: &Application) -> Result<(), RedirectFault> {
    match parameters.one("response_type")? {
        Some("code") => {}
        Some(_) => return Err(RedirectFault::new("unsupported_response_type", "response_type must be code")),
        None => return Err(RedirectFault::new("invalid_request", "response_type is missing")),
    }
    if parameters.one("response_mode")?.is_some_and(|mode| mode != "query") {
        return Err(RedirectFault::new("invalid_request", "response_mode must be query, or left out"));
    }
    if parameters.one("request")?.is_some() {
        return Err(RedirectFault::new("request_not_supported", "send plain parameters"));
    }
    if parameters.one("request_uri")?.is_some() {
        return Err(RedirectFault::new("request_uri_not_supported", "send plain parameters"));
    }
    match application.kind {
        ApplicationType::WebApp | ApplicationType::NativeApp => Ok(()),
        ApplicationType::ServerApp => {
            Err(RedirectFault::new("unauthorized_client", "a ServerApp acts for nobody and gets no code"))
        }
    }
}

/// What is asked for, and whether `offline_access` (OpenID Connect Core §11) was among it: it asks for a refresh
/// token and grants nothing, so it is not kept as a scope.
fn scopes(text: Option<&str>, application: &Application) -> Result<(ScopeSet, bool), RedirectFault> {
    let offered = application.offered();
    let Some(text) = text else { return Ok((offered, false)) };
    let asked: ScopeSet = text
        .parse()
        .map_err(|_| RedirectFault::new("invalid_scope", "scope has characters that no scope has"))?;
    let is_offline = |scope: &Scope| scope.as_str() == "offline_access";
    let offline = asked.iter().any(is_offline);
    let asked: ScopeSet = asked.iter().filter(|scope| !is_offline(scope)).cloned().collect();
    if asked.is_empty() {
        return Ok((offered, offline));
    }
    if let Some(scope) = asked.iter().find(|scope| scope.as_str() != "openid" && !offered.covers(scope)) {
        let description = format!("this application does not offer the scope {scope}");
        return Err(RedirectFault::new("invalid_scope", description));
    }
    Ok((asked, offline))
}

fn prompt(text: Option<&str>) -> Result<Prompt, RedirectFault> {
    let words: Vec<_> = text.unwrap_or_default().split(' ').filter(|word| !word.is_empty()).collect();
    let has = |word: &str| words.contains(&word);
    if has("none") && words.len() > 1 {
        return Err(RedirectFault::new("invalid_request", "prompt=none stands alone"));
    }
    Ok(Prompt {
        none: has("none"),
        login: has("login"),
        consent: has("consent"),
        admin_consent: has("admin_consent"),
    })
}

/// PKCE is for every client, and S256 is the only method (RFC 9700 §2.1.1).
fn challenge(parameters: &Parameters) -> Result<String, RedirectFault> {
    let method = parameters.one("code_challenge_method")?;
    let Some(challenge) = parameters.one("code_challenge")? else {
        return Err(RedirectFault::new(
            "invalid_request",
            "code_challenge is missing: PKCE with S256 is required",
        ));
    };
    if method != Some("S256") {
        return Err(RedirectFault::new("invalid_request", "code_challenge_method must be S256"));
    }
    let well_formed = challenge.len() == 43
        && challenge.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if !well_formed {
        return Err(RedirectFault::new(
            "invalid_request",
            "code_challenge is not the base64url of a SHA-256",
        ));
    }
    Ok(challenge.to_owned())
}

fn resource(parameters: &Parameters, resources: &Resources) -> Result<Option<String>, RedirectFault> {
    let target = |why: NotAResource| RedirectFault::new("invalid_target", why.to_string());
    let Some(asked) = parameters.one("resource").map_err(|_| target(NotAResource::Several))? else {
        return Ok(None);
    };
    resources.check(asked).map_err(target)?;
    Ok(Some(asked.to_owned()))
}

/// Where authorization requests come in.
pub(crate) const PATH: &str = "/oauth2/v1/auth";

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    fn application(kind: ApplicationType) -> Application {
        Application {
            id: "4611686018427387904".parse().unwrap(),
            name: "report-hub".into(),
            display_name: "Report Hub".into(),
            description: String::new(),
            publisher: "9".parse().unwrap(),
            publisher_name: "Reports".into(),
            contact: String::new(),
            official: false,
            kind,
            redirect_uris: vec!["http://127.0.0.1/callback".into(), "https://app.example/cb?x=1".into()],
            required: "openid profile /acs/oss:read".parse().unwrap(),
            optional: "/acs/ecs".parse().unwrap(),
            access_token_seconds: 3600,
            refresh_token_seconds: 7200,
            enabled: true,
            created_at: Timestamp::UNIX_EPOCH,
        }
    }

    const GOOD: &str = "response_type=code&code_challenge_method=S256&\
        code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    fn read(query: &str, kind: ApplicationType) -> Result<AuthorizeRequest, RedirectFault> {
        let issuer = Issuer::new(&"https://login.example".parse().unwrap()).unwrap();
        let resources = Resources::new(&issuer, &[]);
        let parameters = Parameters::parse(query.as_bytes());
        AuthorizeRequest::read(&parameters, &application(kind), "https://a.example".into(), &resources)
    }

    #[test]
    fn a_redirect_uri_matches_to_the_letter_or_by_loopback_port() {
        for (registered, asked) in [
            ("https://app.example/cb", "https://app.example/cb"),
            ("http://127.0.0.1/callback", "http://127.0.0.1:12345/callback"),
            ("http://127.0.0.1", "http://127.0.0.1:1"),
            ("http://[::1]/cb?x=1", "http://[::1]:80/cb?x=1"),
            ("http://localhost:9/cb", "http://localhost:9/cb"),
            ("meeting://authorize/", "meeting://authorize/"),
        ] {
            assert!(matches_registered(registered, asked), "{asked} did not match {registered}");
        }
    }

    #[test]
    fn a_redirect_uri_that_differs_otherwise_is_refused() {
        for (registered, asked) in [
            ("https://app.example/cb", "https://app.example/cb/"),
            ("https://app.example/cb", "https://app.example:444/cb"),
            ("https://app.example/cb", "https://app.example/cb?x"),
            ("http://127.0.0.1/callback", "http://127.0.0.1:12345/callback/../x"),
            ("http://127.0.0.1/callback", "http://127.0.0.1:1@evil.example/callback"),
            ("http://127.0.0.1/callback", "http://127.0.0.1:/callback"),
            ("http://127.0.0.1/callback", "http://127.0.0.1:0/callback"),
            ("http://127.0.0.1/callback", "http://127.0.0.1:99999/callback"),
            ("http://127.0.0.1/callback", "http://127.0.0.2:1/callback"),
            ("http://127.0.0.1:9100/callback", "http://127.0.0.1:9101/callback"),
            ("http://127.0.0.1.evil.example/", "http://127.0.0.1:1.evil.example/"),
            ("http://localhost/cb", "http://localhost:1/cb"),
        ] {
            assert!(!matches_registered(registered, asked), "{asked} matched {registered}");
        }
    }

    #[test]
    fn a_request_without_scope_asks_for_all_that_is_offered() {
        let request = read(GOOD, ApplicationType::WebApp).unwrap();
        assert_eq!(request.scopes, "openid profile /acs/oss:read /acs/ecs".parse().unwrap());
        assert!(!request.offline);
        assert!(read(GOOD, ApplicationType::NativeApp).unwrap().offline);
        assert!(read(&format!("{GOOD}&access_type=offline"), ApplicationType::WebApp).unwrap().offline);
        assert!(
            read(&format!("{GOOD}&scope=openid+offline_access"), ApplicationType::WebApp).unwrap().offline
        );
    }

    #[test]
    fn a_part_of_an_offered_scope_may_be_asked_for_and_the_whole_of_an_offered_part_may_not() {
        let ask = |scope: &str| read(&format!("{GOOD}&scope={scope}"), ApplicationType::WebApp);
        assert!(ask("/acs/ecs:read").is_ok());
        for scope in ["/acs/oss", "/acs/alidns", "nonsense", "a%22b"] {
            assert_eq!(ask(scope).unwrap_err().error, "invalid_scope", "{scope}");
        }
    }

    #[test]
    fn a_malformed_request_is_told_why() {
        let plain = GOOD.replace("S256", "plain");
        for (query, error) in [
            (GOOD.replace("=code&", "=token&"), "unsupported_response_type"),
            (plain, "invalid_request"),
            ("response_type=code".to_owned(), "invalid_request"),
            (format!("{GOOD}&state=1&state=2"), "invalid_request"),
            (format!("{GOOD}&prompt=none+login"), "invalid_request"),
            (format!("{GOOD}&resource=https://a.example/%23x"), "invalid_target"),
            (format!("{GOOD}&resource=/relative"), "invalid_target"),
            (format!("{GOOD}&resource=https://evil.example/"), "invalid_target"),
            (
                format!("{GOOD}&resource=https://login.example&resource=https://login.example"),
                "invalid_target",
            ),
            (format!("{GOOD}&request=eyJ"), "request_not_supported"),
            (format!("{GOOD}&response_mode=fragment"), "invalid_request"),
        ] {
            assert_eq!(read(&query, ApplicationType::WebApp).unwrap_err().error, error, "{query}");
        }
        assert_eq!(read(GOOD, ApplicationType::ServerApp).unwrap_err().error, "unauthorized_client");
    }

    #[test]
    fn a_request_survives_the_login_page_without_asking_for_login_again() {
        let query =
            format!("{GOOD}&state=a%26b&nonce=n&prompt=login+admin_consent&max_age=0&access_type=offline");
        let request = read(&query, ApplicationType::WebApp).unwrap();
        let path = request.after_login();
        let again = read(path.split_once('?').unwrap().1, ApplicationType::WebApp).unwrap();
        let prompt = Prompt { login: false, ..request.prompt };
        assert_eq!(again, AuthorizeRequest { prompt, max_age: None, ..request });
    }
}
