//! `POST /internal/v1/enrol`: a sidecar becomes known by its key.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use super::{Body, bearer, unproven};
use crate::control::{Control, Problem, Reply};
use crate::grants::follow::messages::{Enrol, Enrolment, REFUSED};
use crate::net::tls::PeerCertificate;
use crate::store::{Enrolled, StoreError};
use crate::token::jwk::PublicJwk;
use crate::token::keys::Purpose;
use crate::token::proof;
use crate::token::random::sha256;

/// Enrols by an invitation's token, or by a certificate for the name. Asking again with the key that is enrolled
/// already, since the answer was lost, uses up nothing.
pub(super) async fn enrol(
    State(control): State<Arc<Control>>,
    certificate: Option<Extension<PeerCertificate>>,
    headers: HeaderMap,
    Body(asked): Body<Enrol>,
) -> Response {
    let certificate = certificate.map(|Extension(certificate)| certificate);
    match answer(&control, certificate.as_ref(), &headers, &asked).await {
        Ok(enrolment) => (StatusCode::CREATED, Json(enrolment)).into_response(),
        Err(problem) => unproven(problem),
    }
}

async fn answer(
    control: &Control,
    certificate: Option<&PeerCertificate>,
    headers: &HeaderMap,
    asked: &Enrol,
) -> Reply<Enrolment> {
    let (key, now) = (proven_key(control, headers, asked)?, control.clock().now());
    let known = control.store().enrolled(&asked.name).await?;
    let same = |known: &Enrolled| known.kid == key.kid() && known.revoked_at.is_none();
    if !known.as_ref().is_some_and(same) {
        let hash = asked.token.as_deref().map(|token| sha256(token.trim().as_bytes()));
        if hash.is_none() && !certificate.is_some_and(|shown| shown.is_for(asked.name.as_str())) {
            return Err(refused(asked, "it has neither a token nor a certificate for that name"));
        }
        let sidecar = Enrolled {
            sidecar: asked.name.clone(),
            public_jwk: key.to_json(),
            kid: key.kid().to_owned(),
            enrolled_at: now,
            revoked_at: None,
            presumed_until: None,
            status: None,
        };
        match control.store().enrol(&sidecar, hash.as_ref(), now).await {
            Ok(true) => {
                tracing::info!(sidecar = %asked.name, version = %asked.version, "a sidecar was enrolled")
            }
            Ok(false) if hash.is_some() => {
                return Err(refused(asked, "the token is wrong, for another name, expired, or used already"));
            }
            Ok(false) => {
                return Err(refused(asked, "its enrolment was revoked; a certificate does not undo that"));
            }
            Err(StoreError::Conflict(why)) => return Err(refused(asked, &why)),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Enrolment { sidecar: asked.name.clone(), issuer: control.issuer().as_str().to_owned() })
}

/// The key, whose private half the sidecar has shown to hold.
fn proven_key(control: &Control, headers: &HeaderMap, asked: &Enrol) -> Reply<PublicJwk> {
    if !proof::fits(&asked.name) {
        return Err(refused(asked, "the name is too long, or ends like the name of a process"));
    }
    let key = PublicJwk::parse(&asked.public_jwk.to_string()).ok();
    let key = key.filter(|key| key.purpose() == Purpose::Sidecar);
    let key = key.ok_or_else(|| refused(asked, "its key is none for proofs"))?;
    proof::verify_proof(&key, &asked.name, bearer(headers)?, control.clock().seconds())
        .map_err(|why| refused(asked, &why.to_string()))?;
    Ok(key)
}

fn refused(asked: &Enrol, why: &str) -> Problem {
    tracing::warn!(sidecar = %asked.name, why, "an enrolment was refused");
    let detail = format!("The sidecar {} is not enrolled: {why}.", asked.name);
    Problem::new(StatusCode::FORBIDDEN, REFUSED, detail)
        .next("Make a new token with `consentry sidecars invite`, and give it to the sidecar.")
}
