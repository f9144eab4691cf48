//! The one script, at an address that changes with its content: browsers give passkeys to scripts only. Pages without
//! passkeys carry none, and their policy allows none.

use std::sync::LazyLock;

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};

/// Its address: `/assets/<hash>.js`.
pub fn address() -> &'static str {
    &ADDRESS
}

/// Answers it.
pub async fn get() -> Response {
    let mut response = SCRIPT.into_response();
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

static ADDRESS: LazyLock<String> = LazyLock::new(|| {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, SCRIPT.as_bytes());
    let hex: String = hash.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("/assets/{hex}.js")
});

const SCRIPT: &str = include_str!("passkey.js");

const HEADERS: [(HeaderName, &str); 4] = [
    (header::CONTENT_TYPE, "text/javascript; charset=utf-8"),
    (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];
