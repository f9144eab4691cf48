//! Parameters of a query or a form, as OAuth reads them.
//!
//! Comes in: `application/x-www-form-urlencoded` text. Goes out: single values, or the complaint that one was given
//! twice (RFC 6749 §3.1: parameters must not be repeated, and an empty one counts as absent).

use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use url::form_urlencoded;

/// The parameters, in the order sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Parameters(Vec<(String, String)>);

/// A parameter that may stand once stood twice.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the parameter {0} is given more than once")]
pub(crate) struct Repeated(pub(crate) String);

/// The body is not a form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the body must be application/x-www-form-urlencoded")]
pub(crate) struct NotAForm;

impl Parameters {
    /// Reads the encoded text. What has no value is dropped.
    pub(crate) fn parse(encoded: &[u8]) -> Self {
        let pairs = form_urlencoded::parse(encoded);
        Self(
            pairs
                .filter(|(_, value)| !value.is_empty())
                .map(|(n, v)| (n.into_owned(), v.into_owned()))
                .collect(),
        )
    }

    /// Reads a request's body, if its content type says that it is a form.
    pub(crate) fn from_body(headers: &HeaderMap, body: &Bytes) -> Result<Self, NotAForm> {
        let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let essence = kind.split(';').next().unwrap_or_default().trim();
        if essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            Ok(Self::parse(body))
        } else {
            Err(NotAForm)
        }
    }

    /// The value of `name`, if it was given, and given once.
    pub(crate) fn one(&self, name: &str) -> Result<Option<&str>, Repeated> {
        let mut values = self.0.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let first = values.next();
        if values.next().is_some() { Err(Repeated(name.to_owned())) } else { Ok(first) }
    }

    /// Every value of `name`.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_read_once_and_decoded() {
        let form = Parameters::parse(b"a=1&b=x%20y+z&c=");
        assert_eq!(form.one("a"), Ok(Some("1")));
        assert_eq!(form.one("b"), Ok(Some("x y z")));
        assert_eq!(form.one("c"), Ok(None));
    }

    #[test]
    fn a_repeated_parameter_is_refused_even_with_the_same_value() {
        assert_eq!(Parameters::parse(b"a=1&a=1").one("a"), Err(Repeated("a".to_owned())));
    }

    #[test]
    fn a_body_of_another_type_is_no_form() {
        let mut headers = HeaderMap::new();
        assert_eq!(Parameters::from_body(&headers, &Bytes::from_static(b"a=1")), Err(NotAForm));
        headers.insert(CONTENT_TYPE, "application/x-www-form-urlencoded; charset=utf-8".parse().unwrap());
        assert!(Parameters::from_body(&headers, &Bytes::from_static(b"a=1")).is_ok());
    }
}
