//! `GET /internal/v1/policies`: the policy authors' files in force here, for sidecars that have none of their own.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::control::Control;
use crate::grants::follow::messages::PolicyFiles;

/// The whole set, by path.
pub(super) async fn get(State(control): State<Arc<Control>>) -> Json<PolicyFiles> {
    let policies = control.policies();
    let file = |(path, text): (&str, &str)| (path.to_owned(), text.to_owned());
    Json(PolicyFiles { version: policies.version().to_string(), files: policies.texts().map(file).collect() })
}
