//! Client authentication (RFC 6749 §2.3): which application is asking, and whether it has proved it.
//!
//! Basic or form, not both; a public application proves nothing but must not offer a secret that it does not have.
//! Unknown, disabled and wrongly authenticated clients are told the same.

use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use url::form_urlencoded;

use super::super::Control;
use super::super::form::Parameters;
use super::super::registration::document::application_id;
use super::{Code, OAuthError};
use crate::model::application::Application;
use crate::token::random::{Secret, equal};

/// An application that may use the token endpoint.
pub(in crate::control) struct Client {
    /// Which one.
    pub(in crate::control) application: Application,
}

/// Who asks about a token, or gives one back, and which (RFC 7009 §2.1, RFC 7662 §2.1).
///
/// # Errors
/// No form, an unproven client, or no token.
pub(super) async fn about_token(
    control: &Control,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<(Client, String), OAuthError> {
    let form = Parameters::from_body(headers, body)?;
    let client = authenticate(control, headers, &form).await?;
    let token =
        form.one("token")?.ok_or_else(|| OAuthError::new(Code::InvalidRequest, "token is missing"))?;
    Ok((client, token.to_owned()))
}

struct Presented {
    id: String,
    secret: Option<Secret>,
    basic: bool,
}

/// Finds the client and checks its proof.
pub(super) async fn authenticate(
    control: &Control,
    headers: &HeaderMap,
    form: &Parameters,
) -> Result<Client, OAuthError> {
    let presented = presented(headers, form)?;
    let wrong =
        || OAuthError::client("the client is unknown, disabled, or its secret is wrong", presented.basic);
    let id = application_id(&presented.id).map_err(|_| wrong())?;
    let application = control.store().application(&id).await?.ok_or_else(wrong)?;
    let kept = control.store().secrets(&id).await?;
    let must = application.kind.is_confidential() || !kept.is_empty();
    match &presented.secret {
        Some(secret) => {
            let hash = secret.hash();
            // Every kept secret is looked at, so that the time does not tell which one it was.
            if kept.iter().filter(|secret| equal(&secret.hash, &hash)).count() == 0 {
                return Err(wrong());
            }
        }
        None if must => return Err(wrong()),
        None => {}
    }
    if !application.enabled || !control.registrar.admits(&id) {
        return Err(wrong());
    }
    Ok(Client { application })
}

/// Which client a request says that it is from by Basic, proven or not.
pub(in crate::control) fn claimed(headers: &HeaderMap) -> Option<String> {
    basic(headers.get(AUTHORIZATION)?.to_str().ok()?).map(|(id, _)| id)
}

fn presented(headers: &HeaderMap, form: &Parameters) -> Result<Presented, OAuthError> {
    let form_id = form.one("client_id")?;
    let form_secret = form.one("client_secret")?;
    let mut lines = headers.get_all(AUTHORIZATION).iter();
    let Some(line) = lines.next() else {
        let id = form_id.ok_or_else(|| OAuthError::client("client_id is missing", false))?.to_owned();
        let secret = form_secret.map(|text| Secret::new(text.to_owned()));
        return Ok(Presented { id, secret, basic: false });
    };
    let malformed = || OAuthError::client("the Authorization header is not well-formed Basic", true);
    let line = line.to_str().map_err(|_| malformed())?;
    let (id, secret) = basic(line).filter(|_| lines.next().is_none()).ok_or_else(malformed)?;
    if form_secret.is_some() {
        let description = "the client authenticates twice: use Basic or the form, not both";
        return Err(OAuthError::new(Code::InvalidRequest, description));
    }
    if form_id.is_some_and(|other| other != id) {
        return Err(OAuthError::new(Code::InvalidRequest, "client_id is not the one that authenticates"));
    }
    Ok(Presented { id, secret, basic: true })
}

/// Both halves are form-encoded before they are joined (RFC 6749 §2.3.1). Clients that forget it are understood as
/// well, since our ids and secrets have no character that it changes. An empty secret is none.
fn basic(line: &str) -> Option<(String, Option<Secret>)> {
    let (scheme, encoded) = line.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    let secret = if secret.is_empty() { None } else { Some(Secret::new(decoded(secret)?)) };
    Some((decoded(id)?, secret))
}

fn decoded(text: &str) -> Option<String> {
    if text.is_empty() || text.contains(['&', '=']) {
        return None;
    }
    let (name, _) = form_urlencoded::parse(text.as_bytes()).next()?;
    Some(name.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(authorization: Option<&str>, form: &str) -> Result<Presented, OAuthError> {
        let mut headers = HeaderMap::new();
        if let Some(text) = authorization {
            headers.insert(AUTHORIZATION, format!("Basic {}", STANDARD.encode(text)).parse().unwrap());
        }
        presented(&headers, &Parameters::parse(form.as_bytes()))
    }

    #[test]
    fn a_client_is_read_from_basic_decoded_or_from_the_form() {
        let both = ask(Some("my%3Aid:s%2Bt%20u"), "client_id=my:id").unwrap();
        assert_eq!((both.id.as_str(), both.secret.unwrap().expose()), ("my:id", "s+t u"));
        let form = ask(None, "client_id=a&client_secret=b").unwrap();
        assert_eq!((form.id.as_str(), form.secret.unwrap().expose(), form.basic), ("a", "b", false));
        assert!(ask(None, "client_id=a").unwrap().secret.is_none());
    }

    #[test]
    fn a_client_that_authenticates_twice_or_as_two_is_refused() {
        let code = |authorization, form| ask(authorization, form).err().unwrap().code();
        assert_eq!(code(Some("a:b"), "client_secret=b"), Code::InvalidRequest);
        assert_eq!(code(Some("a:b"), "client_id=c"), Code::InvalidRequest);
        assert_eq!(code(None, "client_secret=b"), Code::InvalidClient);
        assert_eq!(code(Some("no colon"), ""), Code::InvalidClient);
        assert_eq!(code(Some(":b"), ""), Code::InvalidClient);
    }
}
