//! `/internal/v1/keys`: the keys that a sidecar has to know, and the one that it signs assumed identities with.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::Body;
use crate::control::browser::session::later;
use crate::control::{Control, Problem, Reply};
use crate::grants::follow::messages::{ExchangeKey, Keys, OwnKeyPublished};
use crate::model::id::SidecarId;
use crate::store::{KeyPurpose, SidecarKey};
use crate::token::jwk::PublicJwk;
use crate::token::keys::Purpose;
use crate::token::proof::Proven;

/// The issuer's keys with the sidecar's own published ones, and the keys of the shared tier's records.
pub(super) async fn get(
    State(control): State<Arc<Control>>,
    Extension(proven): Extension<Proven>,
) -> Reply<Json<Keys>> {
    let now = control.clock().now();
    // From the store, and not as this node last read them: another may have made a new one.
    let (mut jwks, mut record_keys) = (Vec::new(), Vec::new());
    for key in control.store().signing_keys(now).await? {
        let set = match key.purpose {
            KeyPurpose::AccessToken | KeyPurpose::IdToken | KeyPurpose::IdTokenEc | KeyPurpose::Exchange => {
                &mut jwks
            }
            KeyPurpose::Record => &mut record_keys,
            // No sidecar has to verify the audit.
            KeyPurpose::Audit => continue,
        };
        set.push(value(&key.public_jwk)?);
    }
    for key in own(&control, &proven.sidecar).await? {
        jwks.push(value(&key.public_jwk)?);
    }
    let secrets =
        control.exchange_secrets().await.map_err(|why| Problem::internal("a key for exchanges", &why))?;
    let secrets = secrets.iter();
    let exchange = secrets.map(|(kid, secret)| ExchangeKey {
        kid: kid.to_owned(),
        secret: secret.to_wire().expose().to_owned(),
    });
    let sessions =
        control.session_secret().map_err(|why| Problem::internal("the secret of sessions", &why))?;
    Ok(Json(Keys {
        jwks: json!({ "keys": jwks }),
        record_keys: json!({ "keys": record_keys }),
        exchange: exchange.collect(),
        sessions: Some(sessions),
    }))
}

fn value(jwk: &str) -> Reply<Value> {
    serde_json::from_str(jwk).map_err(|why| Problem::internal("a public key", &why))
}

/// Publishes the asking sidecar's key for assumed identities for a day.
pub(super) async fn publish(
    State(control): State<Arc<Control>>,
    Extension(proven): Extension<Proven>,
    Body(asked): Body<OwnKeyPublished>,
) -> Reply<StatusCode> {
    let now = control.clock().now();
    let key = PublicJwk::parse(&asked.public_jwk.to_string()).ok();
    let Some(key) = key.filter(|key| key.purpose() == Purpose::Assertion) else {
        let detail = "This is no public key for assumed identities.";
        return Err(Problem::new(StatusCode::BAD_REQUEST, "invalid_request", detail));
    };
    let lasting =
        |own: &SidecarKey| own.kid == key.kid() && own.published_until > later(now, PROLONGED_BEFORE);
    if !own(&control, &proven.sidecar).await?.iter().any(lasting) {
        let key = SidecarKey {
            kid: key.kid().to_owned(),
            sidecar: proven.sidecar,
            public_jwk: key.to_json(),
            published_until: later(now, PUBLISHED),
        };
        control.store().publish_sidecar_key(&key, now).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn own(control: &Control, sidecar: &SidecarId) -> Reply<Vec<SidecarKey>> {
    let mut keys = control.store().sidecar_keys(control.clock().now()).await?;
    keys.retain(|key| key.sidecar == *sidecar);
    Ok(keys)
}

/// In seconds: a key is published for a day, and prolonged when half of it is over.
const PUBLISHED: i64 = 24 * 3600;
const PROLONGED_BEFORE: i64 = 12 * 3600;
