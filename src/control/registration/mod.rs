//! Applications that register themselves: by a request (RFC 7591), or by a document at the address that is their client
//! ID (draft-ietf-oauth-client-id-metadata-document).
//!
//! Comes in: what an application says of itself. Goes out: a third-party application of no publisher, public, with no
//! secret, that nobody can use before somebody who may has authorized it. What an account has said about unknown
//! applications, and about this one, counts as for any other. Nothing that it says of itself is believed but where it
//! wants to be answered, and that is shown to whoever decides.

mod budget;
pub(in crate::control) mod document;
mod dynamic;
mod fetch;
mod turns;

use std::sync::Arc;

use axum::Router;
use axum::routing::post;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use url::Url;

use super::page::is_plain;
use super::{Control, redirect_uri};
use crate::config::registration::Registration;
use crate::model::application::{Application, ApplicationType, UNVERIFIED};
use crate::model::id::ApplicationId;
use crate::model::scope::{Scope, ScopeSet};
use crate::net::tls::TlsError;
use crate::policy::catalogue::Catalogue;
use budget::Budget;
use fetch::Fetch;
use turns::Turns;

/// Where applications register themselves.
pub(in crate::control) const PATH: &str = "/v1/register";

pub(in crate::control) fn routes() -> Router<Arc<Control>> {
    Router::new().route(PATH, post(dynamic::post))
}

/// Who lets applications register themselves, and how often.
pub(in crate::control) struct Registrar {
    settings: Registration,
    /// Registrations by a request. What one kind uses up the other still has.
    asked: Budget,
    /// Descriptions that are read for the first time.
    described: Budget,
    /// Descriptions that are read at all, by their address too.
    reads: Budget,
    fetch: Option<Fetch>,
    turns: Turns,
}

/// What an application says of itself (RFC 7591 §2). What is not listed is passed over.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Described {
    redirect_uris: Vec<String>,
    client_name: Option<String>,
    client_uri: Option<String>,
    scope: Option<String>,
    grant_types: Option<Vec<String>>,
    response_types: Option<Vec<String>>,
}

/// Why it cannot be registered so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Unfit {
    /// An address that a code may not be sent to.
    #[error("{0}")]
    RedirectUri(String),
    /// Anything else.
    #[error("{0}")]
    Metadata(String),
}

impl Registrar {
    pub(in crate::control) fn new(settings: Registration) -> Result<Self, TlsError> {
        Ok(Self {
            asked: Budget::new(settings.per_hour, 3600),
            described: Budget::new(settings.per_hour, 3600),
            reads: Budget::new(settings.per_hour, READS_SECONDS),
            fetch: if settings.documents { Some(Fetch::new(&settings)?) } else { None },
            turns: Turns::default(),
            settings,
        })
    }

    /// Whether a request is enough.
    pub(in crate::control) fn is_dynamic(&self) -> bool {
        self.settings.dynamic
    }

    /// Whether an address can be a client ID.
    pub(in crate::control) fn reads_documents(&self) -> bool {
        self.fetch.is_some()
    }

    /// Whether an application may have a code or a token now: one that registered itself only while such are let in, by a
    /// request or by a description as it came.
    pub(in crate::control) fn admits(&self, application: &Application) -> bool {
        if !application.is_unverified() {
            true
        } else if document::is_described(&application.id) {
            self.reads_documents()
        } else {
            self.is_dynamic()
        }
    }

    /// The application as it may be authorized now: the settings bind what registered itself before they were made, too.
    /// Nothing when it requires more than they give.
    pub(in crate::control) fn bounded(&self, application: Application) -> Option<Application> {
        if !self.gives(&application, &application.required) {
            return None;
        }
        if !application.is_unverified() {
            return Some(application);
        }
        let optional = application.optional.iter().filter(|scope| gives(&self.settings, scope));
        Some(Application { optional: optional.cloned().collect(), ..application })
    }

    /// Whether the application may be granted all of these, as far as it is the operator who says so.
    pub(in crate::control) fn gives(&self, application: &Application, scopes: &ScopeSet) -> bool {
        !application.is_unverified() || scopes.iter().all(|scope| gives(&self.settings, scope))
    }

    /// What was registered before this moment and never authorized is to be forgotten.
    pub(in crate::control) fn forget_before(&self, now: Timestamp) -> Timestamp {
        let kept = SignedDuration::from_hours(i64::from(self.settings.keep_hours));
        now.checked_sub(kept).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

impl Described {
    /// The application that it describes.
    fn application(
        self,
        (id, name, publisher_name): (ApplicationId, String, &str),
        settings: &Registration,
        catalogue: &Catalogue,
        now: Timestamp,
    ) -> Result<Application, Unfit> {
        self.check()?;
        let (required, optional) = self.scopes(settings, catalogue)?;
        let contact = self.client_uri.as_deref().and_then(page);
        let nobody = UNVERIFIED.parse().map_err(|_| Unfit::Metadata("nobody can publish it".to_owned()))?;
        Ok(Application {
            id,
            name,
            display_name: shown(self.client_name.as_deref().unwrap_or_default()),
            description: String::new(),
            publisher: nobody,
            publisher_name: publisher_name.to_owned(),
            contact: contact.unwrap_or_default(),
            official: false,
            // The one kind that has no secret to keep.
            kind: ApplicationType::NativeApp,
            redirect_uris: self.redirect_uris,
            required,
            optional,
            access_token_seconds: 3600,
            refresh_token_seconds: 30 * 86_400,
            enabled: true,
            created_at: now,
        })
    }

    fn check(&self) -> Result<(), Unfit> {
        if self.redirect_uris.is_empty() || self.redirect_uris.len() > MOST_URIS {
            return Err(Unfit::RedirectUri(format!("redirect_uris holds 1 to {MOST_URIS} addresses")));
        }
        for uri in &self.redirect_uris {
            redirect_uri::check(uri, ApplicationType::NativeApp).map_err(Unfit::RedirectUri)?;
        }
        let lacks = |list: &Option<Vec<String>>, word: &str| {
            list.as_ref().is_some_and(|list| !list.iter().any(|one| one == word))
        };
        if lacks(&self.grant_types, "authorization_code") {
            return Err(Unfit::Metadata("grant_types must hold authorization_code".to_owned()));
        }
        if lacks(&self.response_types, "code") {
            return Err(Unfit::Metadata("response_types must hold code".to_owned()));
        }
        Ok(())
    }

    /// What an authorization always includes: what it asks for, as far as it may. And what it may come to ask for: the
    /// other parts of the same products, or, where it asks for nothing, all that such an application may have.
    fn scopes(&self, settings: &Registration, catalogue: &Catalogue) -> Result<(ScopeSet, ScopeSet), Unfit> {
        let asked: ScopeSet = match self.scope.as_deref() {
            None => ScopeSet::new(),
            Some(text) => text
                .parse()
                .map_err(|_| Unfit::Metadata("scope has characters that no scope has".to_owned()))?,
        };
        let may = |scope: &Scope| catalogue.knows(scope) && gives(settings, scope);
        let mut required: ScopeSet = asked.iter().filter(|scope| may(scope)).cloned().collect();
        let whole = |scope: &Scope| scope.whole().unwrap_or_else(|| scope.clone());
        let products: ScopeSet = required.iter().filter(|scope| !identity(scope)).map(whole).collect();
        let near = |scope: &Scope| products.is_empty() || identity(scope) || products.contains(&whole(scope));
        let optional: ScopeSet = catalogue
            .scopes()
            .map(|entry| &entry.scope)
            .filter(|scope| may(scope) && near(scope))
            .cloned()
            .collect();
        if let Ok(openid) = "openid".parse() {
            required.insert(openid);
        }
        let optional = optional.without(&required);
        Ok((required, optional))
    }
}

/// Whether the operator lets such applications have this scope.
fn gives(settings: &Registration, scope: &Scope) -> bool {
    settings.scopes.is_empty() || identity(scope) || settings.scopes.covers(scope)
}

/// Whether it is about who somebody is.
fn identity(scope: &Scope) -> bool {
    !scope.as_str().starts_with('/')
}

/// The name that it gives itself, as far as it can be seen and fits.
fn shown(name: &str) -> String {
    let plain: String = name.chars().filter(|c| is_plain(c.encode_utf8(&mut [0; 4]))).collect();
    let words: Vec<&str> = plain.split_whitespace().collect();
    let short: String = words.join(" ").chars().take(24).collect();
    if short.is_empty() { "Unnamed application".to_owned() } else { short.trim().to_owned() }
}

/// The page that it names for questions: an address in its one spelling, and no words that only look like one.
fn page(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    let plain = url.scheme() == "https"
        && url.host_str().is_some_and(|host| !host.is_empty())
        && url.username().is_empty()
        && url.password().is_none();
    let spelled = url.to_string();
    (plain && spelled.chars().count() <= 200 && is_plain(&spelled)).then_some(spelled)
}

const MOST_URIS: usize = 10;
/// Descriptions are read again more often than they are registered: so often in five minutes.
const READS_SECONDS: i64 = 300;

#[cfg(test)]
mod tests;
