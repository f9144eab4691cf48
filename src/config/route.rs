//! A route of a sidecar: which requests it takes, how they are read, and where they go.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use toml::Spanned;

use crate::model::scope::ScopeSet;

/// One `[[route]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Which paths: `/oss/{bucket}/{object…}`.
    pub path: Spanned<PathTemplate>,
    /// Where permitted calls go: the name of an `[upstreams.*]`.
    pub upstream: Spanned<String>,
    /// How a request is read: `rest`, `acs` or `mcp`.
    pub adapter: Spanned<Kind>,
    /// For `rest`: the action of each method.
    #[serde(default)]
    pub actions: BTreeMap<String, String>,
    /// For `rest`: the resource's name, with the path's parameters in it: `{bucket}/{object}`. For `mcp`: the name of the
    /// server, where the path tells several apart; what is inside it is named by the messages.
    #[serde(default)]
    pub resource: Option<String>,
    /// For `rest` and `mcp`: the account that owns the resource, from the path: `{account}`; the caller's unless set.
    #[serde(default)]
    pub account: Option<String>,
    /// For `acs` and `mcp`: the service that the operations belong to: `ecs`.
    #[serde(default)]
    pub product: Option<String>,
    /// The scopes that applications ask for which know nothing but this address (RFC 9728, `scopes_supported`). People
    /// read all of them on the consent page: the least that is of use.
    #[serde(default)]
    pub scopes: ScopeSet,
    /// What the upstream receives as the caller's identity.
    #[serde(default)]
    pub assume: Assume,
    /// For whom an assertion is meant (`aud`); the upstream's name unless set.
    #[serde(default)]
    pub audience: Option<String>,
    /// An assertion of its own for each call, bound to method and path.
    #[serde(default)]
    pub bind: bool,
    /// Whether WebSocket upgrades may pass.
    #[serde(default)]
    pub websocket: bool,
    /// Whether GET, HEAD and DELETE may have a body.
    #[serde(default)]
    pub body_on_any_method: bool,
    /// Dot segments and repeated slashes are resolved instead of refused.
    #[serde(default)]
    pub normalise: bool,
}

/// The words for `adapter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Method and path say it.
    Rest,
    /// The cloud's RPC style: the operation is named in `x-acs-action` or `Action`.
    Acs,
    /// The Model Context Protocol over streamable HTTP: the message says it.
    Mcp,
}

/// How a request is read into a call.
#[derive(Debug, Clone, Copy)]
pub enum Adapter<'a> {
    /// Method and path say it.
    Rest {
        /// The action of each method.
        actions: &'a BTreeMap<String, String>,
        /// The resource's name, with the path's parameters in it.
        resource: &'a str,
        /// The account that owns the resource, with the path's parameters in it; the caller's unless set.
        account: Option<&'a str>,
    },
    /// The cloud's RPC style.
    Acs {
        /// The service that the operations belong to.
        product: &'a str,
    },
    /// The Model Context Protocol.
    Mcp {
        /// The service that the methods and tools belong to.
        product: &'a str,
        /// The server's name, with the path's parameters in it.
        resource: Option<&'a str>,
        /// The account that owns it, with the path's parameters in it; the caller's unless set.
        account: Option<&'a str>,
    },
}

impl Route {
    /// How its requests are read.
    ///
    /// # Errors
    /// What the adapter needs is missing, or something stands there that it has no use for.
    pub fn reading(&self) -> Result<Adapter<'_>, String> {
        let Self { actions, resource, account, product, .. } = self;
        match (self.adapter.get_ref(), resource, product) {
            (Kind::Rest, Some(resource), None) if !actions.is_empty() => {
                Ok(Adapter::Rest { actions, resource, account: account.as_deref() })
            }
            (Kind::Rest, _, _) => Err("a rest route has actions and a resource, and no product".to_owned()),
            (Kind::Acs, None, Some(product)) if actions.is_empty() && account.is_none() => {
                Ok(Adapter::Acs { product })
            }
            (Kind::Acs, _, _) => {
                Err("an acs route has a product, and neither actions nor resource nor account".to_owned())
            }
            (Kind::Mcp, resource, Some(product)) if actions.is_empty() => {
                Ok(Adapter::Mcp { product, resource: resource.as_deref(), account: account.as_deref() })
            }
            (Kind::Mcp, _, _) => Err("an mcp route has a product and no actions".to_owned()),
        }
    }
}

/// What the upstream receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Assume {
    /// A short-lived assertion, signed by this sidecar.
    #[default]
    Assertion,
    /// No credential: the upstream trusts the network.
    None,
}

/// A path with parameters: `/oss/{bucket}/{object…}`. The last one may take the rest of the path (`…` or `...`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct PathTemplate {
    text: String,
    segments: Vec<Segment>,
}

/// One part of a [`PathTemplate`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// Exactly this.
    Literal(String),
    /// One whole segment, not empty.
    One(String),
    /// All that follows, at least one segment.
    Rest(String),
}

impl PathTemplate {
    /// The parts, in order.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Whether the template has a parameter of this name.
    #[must_use]
    pub fn has(&self, parameter: &str) -> bool {
        self.segments.iter().any(|segment| match segment {
            Segment::Literal(_) => false,
            Segment::One(name) | Segment::Rest(name) => name == parameter,
        })
    }
}

impl fmt::Display for PathTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The text is not a path template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotATemplate {
    /// It has to begin with a slash.
    #[error("a route's path begins with /, but this is {0:?}")]
    NoSlash(String),
    /// Only the last parameter may take the rest.
    #[error("only the last part of a route's path may take the rest, but in {0:?} something follows")]
    RestNotLast(String),
    /// A brace in the wrong place.
    #[error(
        "a parameter is a whole part of the path, such as {{bucket}} or {{object…}}, but {0:?} has {1:?}"
    )]
    BadPart(String, String),
    /// Twice the same name.
    #[error("the parameter {1:?} stands twice in {0:?}")]
    Twice(String, String),
}

impl TryFrom<String> for PathTemplate {
    type Error = NotATemplate;

    fn try_from(text: String) -> Result<Self, NotATemplate> {
        let Some(path) = text.strip_prefix('/') else { return Err(NotATemplate::NoSlash(text)) };
        let mut segments = Vec::new();
        for part in path.split('/') {
            if matches!(segments.last(), Some(Segment::Rest(_))) {
                return Err(NotATemplate::RestNotLast(text));
            }
            let Some(segment) = segment(part) else {
                return Err(NotATemplate::BadPart(text.clone(), part.to_owned()));
            };
            segments.push(segment);
        }
        let template = Self { text: text.clone(), segments };
        let mut names = std::collections::HashSet::new();
        for segment in &template.segments {
            match segment {
                Segment::One(name) | Segment::Rest(name) if !names.insert(name.as_str()) => {
                    return Err(NotATemplate::Twice(text, name.clone()));
                }
                Segment::One(_) | Segment::Rest(_) | Segment::Literal(_) => {}
            }
        }
        Ok(template)
    }
}

fn segment(part: &str) -> Option<Segment> {
    let Some(inner) = part.strip_prefix('{') else {
        return (!part.contains(['{', '}'])).then(|| Segment::Literal(part.to_owned()));
    };
    let inner = inner.strip_suffix('}')?;
    let rest = inner.strip_suffix('…').or_else(|| inner.strip_suffix("..."));
    let name = rest.unwrap_or(inner);
    let good = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    good.then(|| if rest.is_some() { Segment::Rest(name.to_owned()) } else { Segment::One(name.to_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(text: &str) -> Result<PathTemplate, NotATemplate> {
        PathTemplate::try_from(text.to_owned())
    }

    #[test]
    fn a_template_is_read_into_its_parts() {
        let path = template("/oss/{bucket}/{object…}").unwrap();
        let parts = [
            Segment::Literal("oss".to_owned()),
            Segment::One("bucket".to_owned()),
            Segment::Rest("object".to_owned()),
        ];
        assert_eq!(path.segments(), parts);
        assert_eq!(template("/a/{b...}").unwrap().segments(), template("/a/{b…}").unwrap().segments());
    }

    #[test]
    fn a_template_that_could_be_misread_is_refused() {
        for text in ["oss", "/{rest…}/x", "/a{b}", "/{b}c", "/{}", "/{a}/{a}", "/{A}"] {
            assert!(template(text).is_err(), "{text} was taken");
        }
    }
}
