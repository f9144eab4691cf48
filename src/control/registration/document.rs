//! A client ID that is an `https` address: what stands there describes the client
//! (draft-ietf-oauth-client-id-metadata-document).
//!
//! Whoever opens the authorization endpoint makes this machine read that address. So it is read seldom, a few at once,
//! at public addresses only, without following a redirect, and what comes is small and soon there. Whoever has the
//! address is the client: its name and its redirect URIs are its own to change, its scopes and whether it is enabled
//! are not.

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::Deserialize;
use url::{Host, Url};

use super::Described;
use super::turns::Turn;
use crate::control::browser::Shown;
use crate::control::oauth::request::PageFault;
use crate::control::{Control, Problem};
use crate::model::id::{ApplicationId, NotAnId};
use crate::store::{OwnDocument, OwnRegistration, StoreError};
use crate::token::random::sha256;

/// The application of a `client_id`, which may be an address.
pub(crate) fn application_id(client_id: &str) -> Result<ApplicationId, NotAnId> {
    if is_address(client_id) {
        format!("{DESCRIBED}{}", URL_SAFE_NO_PAD.encode(sha256(client_id.as_bytes()))).parse()
    } else {
        client_id.parse()
    }
}

/// Whether a `client_id` is an address.
fn is_address(client_id: &str) -> bool {
    client_id.starts_with("https://")
}

/// Whether an application is known by its description: no other has such an id.
pub(super) fn is_described(id: &ApplicationId) -> bool {
    id.as_str().starts_with(DESCRIBED)
}

/// Reads what stands at the address that is the `client_id`, or that an id of ours stands for, if it was not read of
/// late.
pub(in crate::control) async fn look_up(
    control: &Control,
    client_id: &str,
    address: Option<IpAddr>,
) -> Result<(), Shown> {
    let registrar = &control.registrar;
    let id = application_id(client_id).map_err(|_| PageFault::Client)?;
    if !is_described(&id) || !registrar.reads_documents() {
        return Ok(());
    }
    let mut known = control.store().document_of(&id).await?;
    let Some(client_id) = known.as_ref().map(|known| known.address.clone()).or_else(|| {
        // An id that stands for an address which nobody has ever named.
        is_address(client_id).then(|| client_id.to_owned())
    }) else {
        return Ok(());
    };
    if age(control, known.as_ref()).is_some_and(|age| age < FRESH_SECONDS) {
        return Ok(());
    }
    let (read, _turn) = match turn(control, &client_id, known.as_ref(), address).await {
        Ok((url, turn)) => {
            // Somebody else may have read it while this one waited.
            known = control.store().document_of(&id).await?;
            if age(control, known.as_ref()).is_some_and(|age| age < FRESH_SECONDS) {
                return Ok(());
            }
            // Who waits for the turn finds what was taken in.
            (read(control, &client_id, &url).await, Some(turn))
        }
        Err(why) => (Err(why), None),
    };
    match read {
        Ok(described) => Ok(take(control, &client_id, id, described, control.clock().now()).await?),
        // It was right not long ago.
        Err(_) if age(control, known.as_ref()).is_some_and(|age| age < STALE_SECONDS) => Ok(()),
        Err(why) => Err(PageFault::Document(why).into()),
    }
}

/// For how many seconds it has been known what it says.
fn age(control: &Control, known: Option<&OwnDocument>) -> Option<i64> {
    known.map(|known| control.clock().seconds().saturating_sub(known.read_at.as_second()))
}

/// The right to read it now. What nobody has registered yet has the smaller budget.
async fn turn<'c>(
    control: &'c Control,
    client_id: &str,
    known: Option<&OwnDocument>,
    address: Option<IpAddr>,
) -> Result<(Url, Turn<'c>), String> {
    let (registrar, now) = (&control.registrar, control.clock().seconds());
    let url = fit(client_id, registrar.settings.allow_private)?;
    let may = known.is_some() || registrar.described.take(None, address, now);
    if !may || !registrar.reads.take(Some(client_id), address, now) {
        return Err("it was asked for too often; try again later".to_owned());
    }
    let authorized = known.is_some_and(|known| known.authorized);
    let turn = registrar.turns.take(client_id, url.host_str().unwrap_or_default(), authorized).await;
    Ok((url, turn.ok_or("too many are being read just now; try again in a moment")?))
}

/// What stands at the address, if it describes that client.
async fn read(control: &Control, client_id: &str, url: &Url) -> Result<Described, String> {
    let fetch = control.registrar.fetch.as_ref().ok_or("descriptions are not read here")?;
    let bytes = fetch.get(url).await.map_err(|why| why.to_string())?;
    let document: Document =
        serde_json::from_slice(&bytes).map_err(|_| "it is not the metadata of a client in JSON")?;
    document.check(client_id)?;
    Ok(document.described)
}

async fn take(
    control: &Control,
    client_id: &str,
    id: ApplicationId,
    described: Described,
    now: Timestamp,
) -> Result<(), Shown> {
    let (registrar, policies) = (&control.registrar, control.policies());
    let host =
        Url::parse(client_id).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
    let mark: String = id.as_str().chars().skip(DESCRIBED.len()).take(8).collect();
    let name: String =
        host.chars().filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c)).take(50).collect();
    let known_as = (id.clone(), format!("{name}-{mark}"), host.as_str());
    let said = described.application(known_as, &registrar.settings, policies.catalogue(), now);
    let said = said.map_err(|why| PageFault::Document(why.to_string()))?;
    if control.store().application(&id).await?.is_some() {
        return Ok(control.store().reread(&said, now).await?);
    }
    let most = registrar.settings.most;
    let registration = OwnRegistration { application: &said, document: Some(client_id), most };
    match control.store().register_itself(registration, now).await {
        // Two came at once.
        Ok(true) | Err(StoreError::Exists(_)) => Ok(()),
        Ok(false) => Err(Problem::new(
            axum::http::StatusCode::SERVICE_UNAVAILABLE,
            "too_many_applications",
            "No more applications can be registered now.",
        )
        .next("Try again later, or ask the operator.")
        .into()),
        Err(error) => Err(error.into()),
    }
}

/// A description: with what it must say beside what any registration says.
#[derive(Deserialize)]
struct Document {
    client_id: String,
    #[serde(default)]
    client_secret: Option<serde_json::Value>,
    #[serde(default)]
    token_endpoint_auth_method: Option<String>,
    #[serde(flatten)]
    described: Described,
}

impl Document {
    fn check(&self, client_id: &str) -> Result<(), String> {
        if self.client_id != client_id {
            return Err("it describes another client: its client_id is not its address".to_owned());
        }
        if self.client_secret.is_some() {
            return Err("it holds a secret, which everybody can read".to_owned());
        }
        if self.token_endpoint_auth_method.as_deref().is_some_and(|method| method != "none") {
            return Err("its token_endpoint_auth_method must be none".to_owned());
        }
        Ok(())
    }
}

/// Whether the address may be a client ID: in its one spelling, with a path, and not of this network.
fn fit(client_id: &str, allow_private: bool) -> Result<Url, String> {
    let url = Url::parse(client_id).map_err(|_| "its address is none".to_owned())?;
    let plain = url.as_str() == client_id
        && client_id.len() <= LONGEST
        && url.scheme() == "https"
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
        && url.path().len() > 1;
    let named = matches!(url.host(), Some(Host::Domain(_)));
    if !plain {
        return Err("its address must be https with a path, in its plain form and nothing else".to_owned());
    }
    if !allow_private && (!named || url.port().is_some()) {
        return Err("its address must have a host's name and no port".to_owned());
    }
    Ok(url)
}

/// How the ids of applications begin that are known by their description.
const DESCRIBED: &str = "cimd-";
const LONGEST: usize = 512;
/// What was read is believed for so long.
const FRESH_SECONDS: i64 = 3600;
/// And for so long while it cannot be read again.
const STALE_SECONDS: i64 = 24 * 3600;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_spelling_and_a_path() {
        assert!(fit("https://app.example/client.json", false).is_ok());
        for text in [
            "http://app.example/c",
            "https://app.example/",
            "https://app.example",
            "https://app.example/a/../c",
            "https://App.example/c",
            "https://u:p@app.example/c",
            "https://app.example/c?x",
            "https://app.example/c#x",
            "https://app.example:8443/c",
            "https://192.0.2.1/c",
            "https://[::1]/c",
            "https://2130706433/c",
        ] {
            assert!(fit(text, false).is_err(), "{text} was taken");
        }
        assert!(fit("https://127.0.0.1:8443/c", true).is_ok());
    }

    #[test]
    fn an_address_becomes_an_id_that_is_its_own() {
        let id = application_id("https://app.example/c").unwrap();
        assert!(id.as_str().starts_with("cimd-") && id.as_str().len() == 48);
        assert_ne!(id, application_id("https://app.example/d").unwrap());
        assert_eq!(application_id("4001").unwrap().as_str(), "4001");
    }

    #[test]
    fn a_description_of_another_client_or_with_a_secret_is_refused() {
        let check = |text: &str| {
            let document: Document = serde_json::from_str(text).unwrap();
            document.check("https://app.example/c")
        };
        assert!(
            check(r#"{"client_id":"https://app.example/c","redirect_uris":["https://a.example/"]}"#).is_ok()
        );
        for text in [
            r#"{"client_id":"https://app.example/d"}"#,
            r#"{"client_id":"https://app.example/c","client_secret":"s"}"#,
            r#"{"client_id":"https://app.example/c","token_endpoint_auth_method":"client_secret_post"}"#,
        ] {
            assert!(check(text).is_err(), "{text}");
        }
    }
}
