//! `POST /internal/v1/exchange`: a sidecar exchanges the token of a caller whom it has proved. `POST /internal/v1/roles`:
//! it tells that such a caller is about to be given a role's credentials of a cloud, and gives none unless that is taken
//! down.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, HeaderName, HeaderValue};

use super::Body;
use crate::control::exchange::By;
use crate::control::{Control, Problem, Reply};
use crate::grants::exchange::{Exchange, Leaving, NotExchanged};
use crate::grants::follow::messages::{EXCHANGE_SCOPE, EXCHANGE_TOKEN, EXCHANGE_TOO_OFTEN};
use crate::token::exchange::Wire;
use crate::token::proof::Proven;

/// Exchanges it.
pub(super) async fn exchange(
    State(control): State<Arc<Control>>,
    Extension(proven): Extension<Proven>,
    Body(asked): Body<Exchange>,
) -> Reply<([(HeaderName, HeaderValue); 1], Json<Wire>)> {
    let by = By::Sidecar(proven.sidecar.as_str());
    let exchanged = control.exchange(&asked, by).await.map_err(refused)?;
    Ok(([(CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(Wire::from(&exchanged))))
}

/// Takes it down.
pub(super) async fn leaving(
    State(control): State<Arc<Control>>,
    Extension(proven): Extension<Proven>,
    Body(told): Body<Leaving>,
) -> Reply<StatusCode> {
    control.leaving(&told, proven.sidecar.as_str()).await.map_err(refused)?;
    Ok(StatusCode::NO_CONTENT)
}

fn refused(why: NotExchanged) -> Problem {
    let (status, code) = match &why {
        NotExchanged::Token => (StatusCode::FORBIDDEN, EXCHANGE_TOKEN),
        NotExchanged::Scope(_) => (StatusCode::BAD_REQUEST, EXCHANGE_SCOPE),
        // Of a sidecar nothing is asked that could be denied here.
        NotExchanged::Denied { code, .. } => (StatusCode::FORBIDDEN, *code),
        NotExchanged::TooOften(_) => (StatusCode::TOO_MANY_REQUESTS, EXCHANGE_TOO_OFTEN),
        NotExchanged::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "store_unavailable"),
    };
    Problem::new(status, code, why.to_string())
}
