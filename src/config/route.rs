//! A route of a sidecar: which requests it takes, how they are read, and where they go.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use toml::Spanned;

use super::sts::Cloud;
use crate::model::scope::ScopeSet;

/// One `[[route]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Which paths: `/oss/{bucket}/{object…}`.
    pub path: Spanned<PathTemplate>,
    /// Which hosts, where not all: `sts.cn-hangzhou.aliyuncs.com`, or with stars for any characters, `*.aliyuncs.com`.
    /// For who uses the sidecar as a proxy, or has several names for it.
    #[serde(default)]
    pub host: Option<Spanned<HostPattern>>,
    /// Whether calls may come in a tunnel to such a host (`CONNECT`), which is then opened here, with a certificate of
    /// the `[interception]`.
    #[serde(default)]
    pub intercept: bool,
    /// Where permitted calls go: the name of an `[upstreams.*]`. Not needed where the sidecar itself answers.
    #[serde(default = "nowhere")]
    pub upstream: Spanned<String>,
    /// How a request is read: `rest`, `acs`, `aws` or `mcp`.
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
    /// For `rest`: the names of the parameters that the query of a call may have; any unless set. An object store that is
    /// asked for `?acl` does something else than the method says.
    #[serde(default)]
    pub query: Option<Vec<String>>,
    /// For `acs` and `mcp`: the service that the operations belong to: `ecs`.
    #[serde(default)]
    pub product: Option<String>,
    /// For `aws`: the only service that the route takes: `s3`; the request says which unless set.
    #[serde(default)]
    pub service: Option<Service>,
    /// The scopes that applications ask for which know nothing but this address (RFC 9728, `scopes_supported`). People
    /// read all of them on the consent page: the least that is of use.
    #[serde(default)]
    pub scopes: ScopeSet,
    /// What the upstream receives as the caller's identity.
    #[serde(default)]
    pub assume: Assume,
    /// For `assume = "sts"` and `answers = "sts"`: the name of an `[sts.*]`.
    #[serde(default)]
    pub sts: Option<Spanned<String>>,
    /// For `assume = "exchange"`: the name of an `[exchange.*]`.
    #[serde(default)]
    pub exchange: Option<Spanned<String>>,
    /// For `acs` and `aws`: that the sidecar itself answers `AssumeRole` and its kin of `sts`, and with what. Without an
    /// upstream for them it does.
    #[serde(default)]
    pub answers: Option<Answers>,
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
    /// The protocols of AWS.
    Aws,
    /// The Model Context Protocol over streamable HTTP: the message says it.
    Mcp,
}

/// The services of AWS that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// The security token service.
    Sts,
    /// Objects.
    S3,
    /// Servers.
    Ec2,
    /// Tables.
    DynamoDb,
    /// Queues.
    Sqs,
    /// Functions.
    Lambda,
}

impl Service {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Sts, Self::S3, Self::Ec2, Self::DynamoDb, Self::Sqs, Self::Lambda];

    /// Its name in actions and signatures.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sts => "sts",
            Self::S3 => "s3",
            Self::Ec2 => "ec2",
            Self::DynamoDb => "dynamodb",
            Self::Sqs => "sqs",
            Self::Lambda => "lambda",
        }
    }
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
        /// The names of the parameters that a query may have; any unless set.
        query: Option<&'a [String]>,
    },
    /// The cloud's RPC style.
    Acs {
        /// The service that the operations belong to.
        product: &'a str,
    },
    /// The protocols of AWS.
    Aws {
        /// The only service that is taken; what the request says unless set.
        service: Option<Service>,
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
        let Self { actions, resource, account, product, service, query, .. } = self;
        if query.is_some() && *self.adapter.get_ref() != Kind::Rest {
            return Err("only a rest route says which query its calls may have".to_owned());
        }
        if service.is_some() && *self.adapter.get_ref() != Kind::Aws {
            return Err("only an aws route has a service".to_owned());
        }
        match (self.adapter.get_ref(), resource, product) {
            (Kind::Rest, Some(resource), None) if !actions.is_empty() => {
                Ok(Adapter::Rest { actions, resource, account: account.as_deref(), query: query.as_deref() })
            }
            (Kind::Rest, _, _) => Err("a rest route has actions and a resource, and no product".to_owned()),
            (Kind::Acs, None, Some(product)) if actions.is_empty() && account.is_none() => {
                Ok(Adapter::Acs { product })
            }
            (Kind::Acs, _, _) => {
                Err("an acs route has a product, and neither actions nor resource nor account".to_owned())
            }
            // The tools of a server would be called in the frames of a socket, which nobody reads.
            (Kind::Mcp, _, _) if self.websocket || self.body_on_any_method => {
                Err("an mcp route has neither websocket nor body_on_any_method".to_owned())
            }
            (Kind::Mcp, resource, Some(product)) if actions.is_empty() => {
                Ok(Adapter::Mcp { product, resource: resource.as_deref(), account: account.as_deref() })
            }
            (Kind::Mcp, _, _) => Err("an mcp route has a product and no actions".to_owned()),
            (Kind::Aws, None, None) if actions.is_empty() && account.is_none() => {
                Ok(Adapter::Aws { service: *service })
            }
            (Kind::Aws, _, _) => {
                Err("an aws route has a service, or nothing: neither actions nor resource nor account nor product"
                    .to_owned())
            }
        }
    }
}

impl Route {
    /// In whose words the sidecar itself answers calls of `sts`, if it does.
    ///
    /// # Errors
    /// There is neither an upstream nor anything to answer, or answers to what is not taken.
    pub fn answering(&self) -> Result<Option<Dialect>, String> {
        let has_upstream = !self.upstream.get_ref().is_empty();
        let (dialect, alone) = match (self.adapter.get_ref(), self.product.as_deref(), self.service) {
            (Kind::Acs, Some("sts"), _) => (Some(Dialect::Acs), true),
            (Kind::Aws, _, Some(Service::Sts)) => (Some(Dialect::Aws), true),
            (Kind::Aws, _, None) => (Some(Dialect::Aws), false),
            (Kind::Rest | Kind::Acs | Kind::Aws | Kind::Mcp, _, _) => (None, false),
        };
        match (self.answers, dialect) {
            (Some(_), None) => Err("only a route that takes sts has answers".to_owned()),
            (None, _) if has_upstream => Ok(None),
            (_, dialect @ Some(_)) if has_upstream || alone => Ok(dialect),
            (None | Some(_), _) => Err("the route has no upstream".to_owned()),
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
    /// The call is signed with a role's credentials, got from a cloud's security token service.
    Sts,
    /// A token from a token service of the platform's own (RFC 8693).
    Exchange,
}

/// What the sidecar answers to those who ask a cloud's `sts` for credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answers {
    /// Credentials of our own, which work at a sidecar alone and die with the grant.
    #[default]
    Exchanged,
    /// A role's credentials of the cloud itself, held to the grant by a session policy. They work anywhere, and nothing
    /// ends them but their time.
    Sts,
}

/// Whose words are spoken with `sts`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Alibaba Cloud's.
    Acs,
    /// AWS's.
    Aws,
}

impl Dialect {
    /// Whose `sts` it is.
    #[must_use]
    pub fn cloud(self) -> Cloud {
        match self {
            Self::Acs => Cloud::Alibaba,
            Self::Aws => Cloud::Aws,
        }
    }
}

/// A host's name, with stars for any characters. The port does not count.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct HostPattern(Box<[String]>);

impl HostPattern {
    /// Whether a host, in lower case and without its port, fits.
    #[must_use]
    pub fn fits(&self, host: &str) -> bool {
        let Some((first, rest)) = self.0.split_first() else { return false };
        let Some((last, middle)) = rest.split_last() else { return host == first };
        let Some(mut left) = host.strip_prefix(first.as_str()) else { return false };
        for part in middle {
            let Some((_, behind)) = left.split_once(part.as_str()) else { return false };
            left = behind;
        }
        left.ends_with(last.as_str())
    }

    /// Whether all hosts that fit stand in one domain, of two names at least; or there is one host only.
    #[must_use]
    pub fn is_bounded(&self) -> bool {
        let Some((last, before)) = self.0.split_last() else { return false };
        before.is_empty() || last.strip_prefix('.').is_some_and(|domain| domain.contains('.'))
    }

    /// A host that fits.
    #[must_use]
    pub fn example(&self) -> String {
        self.0.join("a")
    }
}

/// The text is not a pattern for a host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a route's host is a name in lower case without a port, such as *.aliyuncs.com, but this is {0:?}")]
pub struct NotAHost(String);

impl TryFrom<String> for HostPattern {
    type Error = NotAHost;

    fn try_from(text: String) -> Result<Self, NotAHost> {
        let plain = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.' | b'_' | b'*')
        };
        if text.is_empty() || text.contains("**") || !text.bytes().all(plain) {
            return Err(NotAHost(text));
        }
        Ok(Self(text.split('*').map(str::to_owned).collect()))
    }
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

/// No upstream.
fn nowhere() -> Spanned<String> {
    Spanned::new(0..0, String::new())
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
    fn the_sidecar_answers_what_takes_sts_and_has_no_upstream_or_says_so() {
        let route =
            |more: &str| toml::from_str::<Route>(&format!("path = \"/\"\n{more}")).unwrap().answering();
        assert_eq!(route("adapter = \"acs\"\nproduct = \"sts\""), Ok(Some(Dialect::Acs)));
        assert_eq!(route("adapter = \"aws\"\nservice = \"sts\""), Ok(Some(Dialect::Aws)));
        let both = "adapter = \"aws\"\nupstream = \"cloud\"";
        assert_eq!(route(both), Ok(None));
        assert_eq!(route(&format!("{both}\nanswers = \"exchanged\"")), Ok(Some(Dialect::Aws)));
        for nothing in [
            "adapter = \"aws\"",
            "adapter = \"aws\"\nanswers = \"exchanged\"",
            "adapter = \"acs\"\nproduct = \"ecs\"",
            "adapter = \"acs\"\nproduct = \"ecs\"\nupstream = \"cloud\"\nanswers = \"exchanged\"",
            "adapter = \"rest\"\nactions = { GET = \"a:b\" }\nresource = \"x\"",
        ] {
            assert!(route(nothing).is_err(), "{nothing}");
        }
    }

    #[test]
    fn nothing_passes_an_mcp_route_that_is_no_message() {
        let route = |more: &str| {
            let text = format!("path = \"/\"\nadapter = \"mcp\"\nproduct = \"x\"\nupstream = \"y\"\n{more}");
            toml::from_str::<Route>(&text).unwrap().reading().map(|_| ())
        };
        assert_eq!(route(""), Ok(()));
        assert!(route("websocket = true").is_err() && route("body_on_any_method = true").is_err());
    }

    #[test]
    fn a_host_fits_a_pattern_by_its_whole_name() {
        let fits = |pattern: &str, host: &str| HostPattern::try_from(pattern.to_owned()).unwrap().fits(host);
        assert!(
            fits("*.aliyuncs.com", "sts.cn-hangzhou.aliyuncs.com")
                && fits("ecs*.aliyuncs.com", "ecs.aliyuncs.com")
        );
        assert!(fits("sts.example", "sts.example") && fits("*", "any") && fits("a*b*c", "a-b-b-c"));
        for (pattern, host) in [
            ("*.aliyuncs.com", "aliyuncs.com"),
            ("*.aliyuncs.com", "sts.aliyuncs.com.evil.example"),
            ("sts.example", "sts.example.evil"),
            ("sts.example", "x.sts.example"),
            ("a*ba", "aba-"),
            ("ab*ba", "aba"),
        ] {
            assert!(!fits(pattern, host), "{pattern} took {host}");
        }
        for wrong in ["", "a**b", "A.example", "a.example:80", "a/b"] {
            assert!(HostPattern::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
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
