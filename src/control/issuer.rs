//! The issuer: the one address that everything of the control plane hangs below.
//!
//! Clients compare it to the letter (OpenID Connect Discovery §4.3), so it is kept as text without a trailing slash.

use url::{Position, Url};

/// The issuer identifier (RFC 8414 §2), such as `https://login.example` or `https://example.org/auth`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    text: String,
    origin: String,
    path: String,
    secure: bool,
}

/// Why an address cannot be an issuer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAnIssuer {
    /// It has a part that an issuer must not have, or lacks one.
    #[error(
        "the issuer {0} must be an http or https address with a host and without user, query or fragment"
    )]
    Shape(Url),
    /// Plain http to another machine: cookies and codes would travel in the clear.
    #[error("the issuer {0} must use https; plain http is only for a loopback address")]
    Insecure(Url),
}

impl Issuer {
    /// Takes an address as issuer; a trailing slash is dropped.
    ///
    /// # Errors
    /// [`NotAnIssuer`] says what is wrong with it.
    pub fn new(url: &Url) -> Result<Self, NotAnIssuer> {
        let known = matches!(url.scheme(), "http" | "https");
        let plain = url.username().is_empty() && url.password().is_none();
        if !known || !plain || url.query().is_some() || url.fragment().is_some() {
            return Err(NotAnIssuer::Shape(url.clone()));
        }
        let secure = url.scheme() == "https";
        if !secure && !is_loopback(url) {
            return Err(NotAnIssuer::Insecure(url.clone()));
        }
        let origin = url[..Position::BeforePath].to_owned();
        let path = url.path().trim_end_matches('/').to_owned();
        Ok(Self { text: format!("{origin}{path}"), origin, path, secure })
    }

    /// The identifier, as it stands in `iss`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Scheme, host and port: what a browser sends as `Origin` from our own pages.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The path below which everything is, without a trailing slash; empty for most issuers.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether it is reached by https, so that cookies can be `Secure`.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// An address below the issuer; `path` begins with a slash.
    #[must_use]
    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.text)
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issuer(text: &str) -> Result<Issuer, NotAnIssuer> {
        Issuer::new(&text.parse().unwrap())
    }

    #[test]
    fn an_issuer_has_no_trailing_slash() {
        assert_eq!(issuer("http://127.0.0.1:8081/").unwrap().as_str(), "http://127.0.0.1:8081");
        let deep = issuer("https://example.org/auth/").unwrap();
        assert_eq!((deep.as_str(), deep.path()), ("https://example.org/auth", "/auth"));
        assert_eq!(
            (deep.origin(), deep.at("/v1/token").as_str()),
            ("https://example.org", "https://example.org/auth/v1/token")
        );
    }

    #[test]
    fn an_issuer_that_would_travel_in_the_clear_or_is_ambiguous_is_refused() {
        assert!(matches!(issuer("http://example.org"), Err(NotAnIssuer::Insecure(_))));
        for text in
            ["https://a@example.org", "https://example.org?x", "https://example.org#x", "ftp://example.org"]
        {
            assert!(matches!(issuer(text), Err(NotAnIssuer::Shape(_))), "{text} was taken");
        }
    }
}
