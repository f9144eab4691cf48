//! What a token can be asked for (RFC 8707): this issuer, and the sidecars that take its tokens.

use url::Url;

use super::issuer::Issuer;

/// The addresses that may be named as `resource`, each with everything below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resources(Vec<String>);

/// A `resource` that no token is given for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAResource {
    /// It is no absolute URI, or has a fragment (§2).
    #[error("resource must be an absolute URI without a fragment")]
    Malformed,
    /// Nobody there takes our tokens, so that one would only be given away.
    #[error("resource is not an address that takes tokens of this issuer")]
    Unknown,
    /// More than one: a token is for one place.
    #[error("name one resource at a time")]
    Several,
}

impl Resources {
    /// The issuer itself and these addresses.
    pub(super) fn new(issuer: &Issuer, others: &[Url]) -> Self {
        let others = others.iter().map(|url| url.as_str().trim_end_matches('/').to_owned());
        Self(std::iter::once(issuer.as_str().to_owned()).chain(others).collect())
    }

    /// Whether a token may be for `text`.
    pub(crate) fn check(&self, text: &str) -> Result<(), NotAResource> {
        let url = Url::parse(text).map_err(|_| NotAResource::Malformed)?;
        if url.fragment().is_some() || text.len() > 2048 {
            return Err(NotAResource::Malformed);
        }
        let below = |base: &String| {
            let rest = text.strip_prefix(base.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if self.0.iter().any(below) { Ok(()) } else { Err(NotAResource::Unknown) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resources() -> Resources {
        let issuer = Issuer::new(&"https://login.example".parse().unwrap()).unwrap();
        Resources::new(&issuer, &["https://api.example/".parse().unwrap()])
    }

    #[test]
    fn a_token_may_be_for_the_issuer_and_for_a_sidecar_and_what_is_below_it() {
        for text in [
            "https://login.example",
            "https://api.example",
            "https://api.example/",
            "https://api.example/mcp",
        ] {
            assert_eq!(resources().check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn a_token_is_not_for_a_stranger() {
        for (text, why) in [
            ("https://evil.example/", NotAResource::Unknown),
            ("https://api.example.evil/", NotAResource::Unknown),
            ("https://api.example:444/", NotAResource::Unknown),
            ("http://api.example/", NotAResource::Unknown),
            ("https://api.example/#x", NotAResource::Malformed),
            ("/mcp", NotAResource::Malformed),
        ] {
            assert_eq!(resources().check(text), Err(why), "{text}");
        }
    }
}
