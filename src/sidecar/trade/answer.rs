//! What a token service answered (RFC 8693 §2.2), and whether it can be used.
//!
//! Comes in: a status and bytes that anybody may have written. Goes out: a token that can stand in a header, with its
//! life; or why not, in words that hold nothing of a token.

use http::StatusCode;
use serde::Deserialize;

use crate::model::scope::ScopeSet;
use crate::token::random::Secret;

/// A token that was given.
#[derive(Debug)]
pub(super) struct Given {
    /// The token.
    pub(super) token: Secret,
    /// For how long it is good, in seconds, from now on.
    pub(super) seconds: i64,
}

/// Why there is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotGiven {
    /// It refused, with an error of RFC 6749 §5.2 if it is one.
    #[error("it refused with {0}{1}")]
    Refused(u16, String),
    /// The answer is not one.
    #[error("its answer cannot be used: {0}")]
    Unusable(&'static str),
}

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    #[serde(default)]
    issued_token_type: Option<String>,
    token_type: String,
    #[serde(default)]
    expires_in: Option<u32>,
    #[serde(default)]
    scope: Option<String>,
}

impl Given {
    /// Reads an answer. `asked` are the scopes that were asked for: no token of more is used.
    pub(super) fn read(status: StatusCode, body: &[u8], asked: Option<&ScopeSet>) -> Result<Self, NotGiven> {
        if status != StatusCode::OK {
            return Err(NotGiven::Refused(status.as_u16(), error_code(body)));
        }
        let answer: Answer =
            serde_json::from_slice(body).map_err(|_| NotGiven::Unusable("it is no token response"))?;
        let token = Secret::new(answer.access_token);
        if !answer.token_type.eq_ignore_ascii_case("bearer") {
            return Err(NotGiven::Unusable("its token is no bearer token"));
        }
        // Any other type, such as a refresh token, would be of more use than the upstream has for it.
        if !answer.issued_token_type.as_deref().is_none_or(|kind| TYPES.contains(&kind)) {
            return Err(NotGiven::Unusable("its token is not of the type that was asked for"));
        }
        if !is_credential(token.expose()) {
            return Err(NotGiven::Unusable(
                "its token has characters that no bearer token has, or is too long",
            ));
        }
        if let (Some(asked), Some(scope)) = (asked, answer.scope) {
            let given: ScopeSet = scope
                .parse()
                .map_err(|_| NotGiven::Unusable("its scope has characters that no scope has"))?;
            if !given.without(asked).is_empty() {
                return Err(NotGiven::Unusable("its token is good for more than was asked for"));
            }
        }
        match answer.expires_in.map_or(UNSAID_SECONDS, i64::from) {
            0 => Err(NotGiven::Unusable("its token has ended already")),
            seconds => Ok(Self { token, seconds }),
        }
    }
}

/// The characters of a bearer token (RFC 6750 §2.1).
fn is_credential(token: &str) -> bool {
    let shaped = |byte: u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'=')
    };
    (1..=LONGEST_TOKEN).contains(&token.len()) && token.bytes().all(shaped)
}

/// The `error` of RFC 6749 §5.2, if the answer is one: the only part of a refusal that is fit to be told.
fn error_code(body: &[u8]) -> String {
    let value: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let code = value.get("error").and_then(serde_json::Value::as_str).unwrap_or_default();
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let is_code = (1..=64).contains(&code.len()) && code.bytes().all(plain);
    if is_code { format!(" {code}") } else { String::new() }
}

const TYPES: [&str; 2] =
    ["urn:ietf:params:oauth:token-type:access_token", "urn:ietf:params:oauth:token-type:jwt"];
/// The life of a token that says nothing of it.
const UNSAID_SECONDS: i64 = 60;
/// What upstreams take in a header.
const LONGEST_TOKEN: usize = 12 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str, asked: Option<&str>) -> Result<(String, i64), NotGiven> {
        let asked = asked.map(|text| text.parse().unwrap());
        let given = Given::read(StatusCode::OK, body.as_bytes(), asked.as_ref())?;
        Ok((given.token.expose().to_owned(), given.seconds))
    }

    #[test]
    fn a_token_is_taken_with_its_life() {
        let full = r#"{"access_token":"a.b","issued_token_type":"urn:ietf:params:oauth:token-type:access_token",
            "token_type":"Bearer","expires_in":120,"scope":"files.read"}"#;
        assert_eq!(read(full, Some("files.read files.list")), Ok(("a.b".to_owned(), 120)));
        let least = r#"{"access_token":"a","token_type":"bearer"}"#;
        assert_eq!(read(least, Some("files.read")), Ok(("a".to_owned(), 60)));
    }

    #[test]
    fn what_is_no_token_or_more_than_was_asked_for_is_not_used() {
        for body in [
            "",
            "[]",
            r#"{"access_token":"a"}"#,
            r#"{"token_type":"Bearer"}"#,
            r#"{"access_token":"","token_type":"Bearer"}"#,
            r#"{"access_token":"a b","token_type":"Bearer"}"#,
            r#"{"access_token":"a\r\nx: y","token_type":"Bearer"}"#,
            r#"{"access_token":"a","token_type":"N_A"}"#,
            r#"{"access_token":"a","token_type":"DPoP"}"#,
            r#"{"access_token":"a","token_type":"Bearer","expires_in":0}"#,
            r#"{"access_token":"a","token_type":"Bearer","expires_in":-5}"#,
            r#"{"access_token":"a","token_type":"Bearer","scope":"files.read files.write"}"#,
            r#"{"access_token":"a","access_token":"b","token_type":"Bearer"}"#,
            r#"{"access_token":"a","token_type":"Bearer",
                "issued_token_type":"urn:ietf:params:oauth:token-type:refresh_token"}"#,
        ] {
            assert!(matches!(read(body, Some("files.read")), Err(NotGiven::Unusable(_))), "{body}");
        }
        let long = format!(r#"{{"access_token":"{}","token_type":"Bearer"}}"#, "a".repeat(LONGEST_TOKEN + 1));
        assert!(read(&long, None).is_err());
    }

    #[test]
    fn a_refusal_is_told_by_its_code_alone() {
        let refused = |body: &str| Given::read(StatusCode::BAD_REQUEST, body.as_bytes(), None).unwrap_err();
        assert_eq!(refused(r#"{"error":"invalid_grant"}"#).to_string(), "it refused with 400 invalid_grant");
        for body in ["", "<html>", r#"{"error":"a b"}"#, r#"{"error":7}"#] {
            assert_eq!(refused(body).to_string(), "it refused with 400", "{body}");
        }
    }
}
