//! What is waiting for an answer: a code, a new authenticator, a passkey. Kept in the store, bound to the browser that
//! it was shown to, and good for one answer, like a consent page.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::spent;
use crate::control::browser::session::later;
use crate::control::{Control, Problem};
use crate::model::account::{Principal, PrincipalKey};
use crate::store::PendingConsent;
use crate::token::factor::totp::{self, Authenticator};
use crate::token::random::{Secret, sha256};

/// What was asked.
#[derive(Serialize, Deserialize)]
#[serde(tag = "security_step", rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Step {
    /// The password was right; a code is missing. `proof` stands for the password.
    Code { whom: PrincipalKey, proof: [u8; 32] },
    /// The password was right; the account wants an authenticator first.
    SetUp { whom: PrincipalKey, proof: [u8; 32], sealed: Sealed },
    /// Somebody who is logged in sets an authenticator up.
    NewAuthenticator { whom: PrincipalKey, sealed: Sealed },
    /// Somebody who is logged in adds a passkey.
    NewPasskey { whom: PrincipalKey, state: String, name: String },
    /// Nobody is logged in; a passkey is asked for, of this login if one was named.
    Passkey { state: String, login: Option<String> },
}

/// A sealed secret, as text.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Sealed(String);

impl Sealed {
    /// A fresh secret for somebody's authenticator.
    pub(super) fn fresh(control: &Control, whom: &PrincipalKey) -> Result<Self, Problem> {
        let secret = totp::secret().map_err(|why| Problem::internal("an authenticator", &why))?;
        let sealed = control.sealer().seal(&seal_name(whom), &secret);
        let sealed = sealed.map_err(|why| Problem::internal("an authenticator", &why))?;
        Ok(Self(STANDARD.encode(sealed)))
    }

    /// The bytes, as they are kept in the end.
    pub(super) fn bytes(&self) -> Result<Vec<u8>, Problem> {
        STANDARD.decode(&self.0).map_err(|why| Problem::internal("an authenticator", &why))
    }

    /// The authenticator.
    pub(super) fn open(&self, control: &Control, whom: &Principal) -> Result<Authenticator, Problem> {
        open(control, whom, &self.bytes()?)
    }
}

/// Somebody's authenticator, of what is kept of it.
pub(super) fn open(control: &Control, whom: &Principal, sealed: &[u8]) -> Result<Authenticator, Problem> {
    let failed = |why: &dyn std::fmt::Display| Problem::internal("an authenticator", &why.to_string());
    let secret = control.sealer().open(&seal_name(&whom.key), sealed).map_err(|why| failed(&why))?;
    let site = url::Url::parse(control.issuer().as_str()).ok();
    let site = site.as_ref().and_then(url::Url::host_str).unwrap_or("Consentry");
    Authenticator::new(&secret, site, &whom.login).map_err(|why| failed(&why))
}

/// Keeps a step for the browser with this cookie; the answer stands in its form.
pub(super) async fn keep(control: &Control, cookie: &[u8; 32], step: &Step) -> Result<Secret, Problem> {
    let transaction = Secret::random().map_err(|why| Problem::internal("a page", &why))?;
    let pending = PendingConsent {
        hash: transaction.hash(),
        session: *cookie,
        request: serde_json::to_string(step).map_err(|why| Problem::internal("a page", &why))?,
        expires_at: later(control.clock().now(), SECONDS),
    };
    control.store().keep_pending(&pending).await?;
    Ok(transaction)
}

/// Takes it, once.
pub(super) async fn take(
    control: &Control,
    cookie: &[u8; 32],
    transaction: Option<&str>,
) -> Result<Step, Problem> {
    let hash = sha256(transaction.ok_or_else(spent)?.as_bytes());
    let kept = control.store().take_pending(&hash, cookie, control.clock().now()).await?;
    serde_json::from_str(&kept.ok_or_else(spent)?.request).map_err(|_| spent())
}

/// Whom a seal is for: moved to another's row it does not open.
fn seal_name(whom: &PrincipalKey) -> String {
    format!("totp {}/{}/{}", whom.account, whom.kind, whom.id)
}

/// As long as browsers wait for a passkey.
const SECONDS: i64 = 300;
