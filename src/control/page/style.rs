//! The one style sheet, at an address that changes with its content, so that it can be cached for ever.

use std::sync::LazyLock;

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};

/// Its address: `/assets/<hash>.css`.
pub fn address() -> &'static str {
    &ADDRESS
}

/// Itself, for a page that is to need nothing from elsewhere.
pub fn text() -> &'static str {
    STYLE
}

/// Answers it.
pub async fn get() -> Response {
    let mut response = STYLE.into_response();
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

static ADDRESS: LazyLock<String> = LazyLock::new(|| {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, STYLE.as_bytes());
    let hex: String = hash.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("/assets/{hex}.css")
});

const STYLE: &str = include_str!("style.css");

const HEADERS: [(HeaderName, &str); 4] = [
    (header::CONTENT_TYPE, "text/css; charset=utf-8"),
    (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];
