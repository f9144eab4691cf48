//! Credentials that sign requests: an access key id, its secret, and perhaps a session token. They print as nothing but
//! the id, and are wiped from memory when they go.

use std::fmt;
use std::path::Path;

use serde::Deserialize;

use super::NoCredentials;
use crate::config::sts::Cloud;
use crate::token::random::Secret;

/// What signs requests.
pub(in crate::sidecar) struct Credentials {
    /// Names the key.
    pub(in crate::sidecar) key_id: String,
    /// Signs.
    pub(in crate::sidecar) secret: Secret,
    /// Goes with each request, where they are of a session.
    pub(in crate::sidecar) token: Option<Secret>,
    /// When they end, in seconds since 1970.
    pub(in crate::sidecar) expires_at: i64,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Credentials");
        shown.field("key_id", &self.key_id).field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// What a credentials file says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    access_key_id: String,
    secret_access_key: String,
    #[serde(default)]
    session_token: Option<String>,
}

/// Those that may assume the role: of the file, or of the environment.
pub(super) async fn source(cloud: Cloud, file: Option<&Path>) -> Result<Credentials, NoCredentials> {
    let written = match file {
        Some(path) => {
            let unreadable =
                |why: &dyn fmt::Display| NoCredentials::Source(format!("{}: {why}", path.display()));
            let text = zeroize::Zeroizing::new(
                tokio::fs::read_to_string(path).await.map_err(|error| unreadable(&error))?,
            );
            // What stands in the file is not repeated in what is said of it.
            serde_json::from_str(&text).map_err(|error| {
                unreadable(&format!(
                    "line {}: expected an object of access_key_id, secret_access_key and session_token",
                    error.line()
                ))
            })?
        }
        None => environment(cloud)?,
    };
    let Written { access_key_id: key_id, secret_access_key: secret, session_token: token } = written;
    let token = token.filter(|token| !token.is_empty()).map(Secret::new);
    Ok(Credentials { key_id, secret: Secret::new(secret), token, expires_at: i64::MAX })
}

fn environment(cloud: Cloud) -> Result<Written, NoCredentials> {
    let [key_id, secret, token] = match cloud {
        Cloud::Aws => ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"],
        Cloud::Alibaba => {
            ["ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET", "ALIBABA_CLOUD_SECURITY_TOKEN"]
        }
    };
    let read = |name: &str| {
        let missing = || {
            NoCredentials::Source(format!(
                "{name} is not in the environment, and there is no credentials_file"
            ))
        };
        std::env::var(name).ok().filter(|value| !value.is_empty()).ok_or_else(missing)
    };
    Ok(Written {
        access_key_id: read(key_id)?,
        secret_access_key: read(secret)?,
        session_token: std::env::var(token).ok(),
    })
}
