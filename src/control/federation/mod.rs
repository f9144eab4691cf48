//! Logging in at an organization's own OpenID provider: control is a relying party (OpenID Connect Core, code flow with
//! PKCE).
//!
//! Comes in: a browser that chose a provider, and later comes back from it. Goes out: a session of the user whom the
//! provider's subject stands for, or a page that says why there is none; then nothing has been granted. Which accounts
//! a provider may speak for is the operator's word alone, asked again with every request of such a session. No token of
//! a provider is kept.
//!
//! How a subject becomes a user: it is linked to one, by its first log-in (where the operator lets users be made so)
//! or by an administrator ([`identities`]). A user who is there already is never taken over by a name or an address.

mod attempt;
mod callback;
mod claims;
mod exchange;
mod fault;
mod fetch;
mod id_token;
pub(in crate::control) mod identities;
mod logout;
mod provider;
mod start;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use url::form_urlencoded;

use super::directory::is_text;
use super::page::Label;
use super::page::sign_in::{Elsewhere, Way};
use super::{Control, StartError};
use crate::config::provider::Provider as Settings;
use crate::model::id::AccountId;
use crate::store::{StoreError, Vouched};
use crate::token::random::Secret;
use fetch::Fetch;
pub(in crate::control) use logout::farewell;
use provider::Provider;

pub(super) fn routes() -> Router<Arc<Control>> {
    Router::new()
        .route("/login/provider/{name}", get(start::start))
        .route("/login/provider/{name}/callback", get(callback::callback))
        .route("/login/provider/{name}/logout", post(logout::back_channel))
        .route(SIGNED_OUT, get(logout::signed_out))
}

/// The providers.
#[derive(Default)]
pub(super) struct Federation(Vec<Arc<Provider>>);

impl Federation {
    /// Makes them ready. Nothing is asked of them yet.
    ///
    /// # Errors
    /// A secret or an authority that cannot be read.
    pub(super) fn new(settings: Vec<Settings>) -> Result<Self, StartError> {
        let made = |settings: Settings| {
            let failed = |why: String| StartError::Provider { name: settings.name.clone(), why };
            let secret = secret(&settings).map_err(failed)?;
            let fetch = Fetch::new(&settings).map_err(|error| failed(error.to_string()))?;
            Ok(Arc::new(Provider::new(settings, secret, fetch)))
        };
        settings.into_iter().map(made).collect::<Result<_, _>>().map(Self)
    }

    fn named(&self, name: &str) -> Option<&Arc<Provider>> {
        self.0.iter().find(|provider| provider.settings.name == name)
    }
}

impl Control {
    /// Whether a session that a provider vouched for still may be one: the operator can take its word away.
    pub(in crate::control) async fn still_vouched(
        &self,
        vouched: &Vouched,
        account: &AccountId,
    ) -> Result<bool, StoreError> {
        let Some(provider) = self.federation.named(&vouched.provider) else { return Ok(false) };
        Ok(provider.settings.issuer == vouched.issuer && speaks_for(self, provider, account).await?)
    }

    /// What the sign-in page offers besides a password: every provider with a button, and those of the account that
    /// was named.
    pub(in crate::control) async fn elsewhere(
        &self,
        account: Option<&str>,
        onward: &str,
        fresh: bool,
    ) -> Result<Elsewhere, StoreError> {
        let account = account.filter(|name| is_text(name));
        let found = match account {
            Some(name) => self.store.account_named(name).await?,
            None => None,
        };
        let all = &self.federation.0;
        let mut shown = Vec::new();
        if let Some(account) = &found {
            for provider in all {
                if speaks_for(self, provider, &account.id).await? {
                    shown.push(provider);
                }
            }
        }
        let none = account.is_some() && shown.is_empty();
        if shown.is_empty() {
            shown = all.iter().filter(|provider| provider.settings.button).collect();
        }
        let way = |provider: &Arc<Provider>| Way {
            label: Label::new(provider.settings.label()),
            address: self.way(&provider.settings.name, onward, fresh),
        };
        Ok(Elsewhere {
            none,
            ways: shown.into_iter().map(way).collect(),
            asks: all.iter().any(|provider| !provider.settings.button),
            account: Label::new(account.unwrap_or_default()),
            fresh,
        })
    }

    fn way(&self, name: &str, onward: &str, fresh: bool) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("continue", onward);
        if fresh {
            query.append_pair("fresh", "1");
        }
        format!("{}/login/provider/{name}?{}", self.issuer.path(), query.finish())
    }

    /// The redirect URI that is registered at the provider.
    fn callback_of(&self, provider: &Provider) -> String {
        self.issuer.at(&format!("/login/provider/{}/callback", provider.settings.name))
    }
}

/// Whether the operator lets a provider speak for an account.
async fn speaks_for(control: &Control, provider: &Provider, account: &AccountId) -> Result<bool, StoreError> {
    for name in &provider.settings.accounts {
        if control.store.account_named(name).await?.is_some_and(|found| found.id == *account) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Our secret at a provider, if we have one there.
fn secret(settings: &Settings) -> Result<Option<Secret>, String> {
    let text = match (&settings.client_secret_file, &settings.client_secret_env) {
        (Some(file), _) => std::fs::read_to_string(file)
            .map_err(|error| format!("client_secret_file {} cannot be read: {error}", file.display()))?,
        (None, Some(name)) => std::env::var(name)
            .map_err(|_| format!("{name}, which client_secret_env names, is not in the environment"))?,
        (None, None) => return Ok(None),
    };
    let secret = Secret::new(text.trim_end_matches(['\r', '\n']).to_owned());
    if secret.expose().is_empty() { Err("the client secret is empty".to_owned()) } else { Ok(Some(secret)) }
}

/// Where a provider sends people who have logged out there.
const SIGNED_OUT: &str = "/login/signed-out";
