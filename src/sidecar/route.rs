//! Routes, compiled from the settings: which one takes a path, and the path's parameters.

use std::borrow::Cow;
use std::sync::Arc;

use crate::config::route::{self as settings, HostPattern, PathTemplate, Route as Settings, Segment};
use crate::model::scope::ScopeSet;
use crate::observe::line::Piece;
use crate::policy::reload::Current;

use super::adapter::{self, Adapter, Parameters};
use super::aws::Names;
use super::explicit::{Answering, Explicit, Manner};
use super::sts::Sts;
use super::trade::Trade;

/// One route, ready.
pub(super) struct Route {
    /// Its place in the table.
    pub(super) index: usize,
    /// Its template, as records say it.
    pub(super) recorded: Piece,
    segments: Vec<Segment>,
    host: Option<HostPattern>,
    /// Whether its calls may come in a tunnel.
    pub(super) intercept: bool,
    /// How its requests are read.
    pub(super) adapter: Box<dyn Adapter>,
    /// What applications that know nothing else ask for.
    pub(super) scopes: ScopeSet,
    /// Where its calls go.
    pub(super) upstream: Arc<str>,
    /// What the upstream receives.
    pub(super) assume: Assume,
    /// What answers calls of `sts`, where they are not forwarded.
    pub(super) answering: Option<Answering>,
    /// For whom assertions are meant.
    pub(super) audience: Arc<str>,
    /// Whether each call has an assertion of its own.
    pub(super) bind: bool,
    /// Whether WebSocket upgrades may pass.
    pub(super) websocket: bool,
    /// Whether GET, HEAD and DELETE may have a body.
    pub(super) body_on_any_method: bool,
    /// Whether dot segments and repeated slashes are resolved instead of refused.
    pub(super) normalise: bool,
}

/// What the upstream receives.
pub(super) enum Assume {
    /// An assertion.
    Assertion,
    /// No credential.
    None,
    /// The call is signed with a role's credentials.
    Sts(Arc<Sts>),
    /// A token service's token.
    Exchange(Arc<Trade>),
}

/// What routes are made with.
pub(super) struct Means {
    /// The policies in force.
    pub(super) policies: Arc<Current>,
    /// The security token services by name.
    pub(super) sts: Vec<(Arc<str>, Arc<Sts>)>,
    /// The token services by name.
    pub(super) exchange: Vec<(Arc<str>, Arc<Trade>)>,
    /// What answers are made with; none where nobody may ask for credentials.
    pub(super) answers: Option<Manner>,
    /// How AWS names accounts and this sidecar's clients its host.
    pub(super) names: Names,
}

/// All routes, in the order of the settings: the first that fits takes the call.
pub(super) struct Routes(Vec<Route>);

/// A parameter of a path is not text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a part of the path is not UTF-8 text once its escapes are resolved")]
pub(super) struct NotText;

impl Routes {
    /// The table. The settings were checked when they were read; what is wrong still is said by the caller.
    pub(super) fn new(settings: &[Settings], means: &Means) -> Result<Self, String> {
        settings
            .iter()
            .enumerate()
            .map(|(index, settings)| Route::new(index, settings, means))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The route that takes this path of this host, in lower case and without its port.
    pub(super) fn find(&self, path: &str, host: &str) -> Option<&Route> {
        self.0
            .iter()
            .find(|route| route.fits(path) && route.host.as_ref().is_none_or(|known| known.fits(host)))
    }

    /// The route with this place in the table.
    pub(super) fn at(&self, index: usize) -> Option<&Route> {
        self.0.get(index)
    }

    /// Whether calls for this host, in lower case, may come in a tunnel.
    pub(super) fn intercept(&self, host: &str) -> bool {
        self.0
            .iter()
            .any(|route| route.intercept && route.host.as_ref().is_some_and(|known| known.fits(host)))
    }
}

impl Route {
    fn new(index: usize, settings: &Settings, means: &Means) -> Result<Self, String> {
        let template: &PathTemplate = settings.path.get_ref();
        let upstream: Arc<str> = Arc::from(settings.upstream.get_ref().as_str());
        Ok(Self {
            index,
            recorded: Piece::of(|line| line.text(r#""route":"#, &template.to_string())),
            segments: template.segments().to_vec(),
            host: settings.host.as_ref().map(|host| host.get_ref().clone()),
            intercept: settings.intercept,
            adapter: means.adapter(settings)?,
            scopes: settings.scopes.clone(),
            assume: means.assume(settings)?,
            answering: means.answering(settings)?,
            audience: settings.audience.as_deref().map_or_else(|| Arc::clone(&upstream), Arc::from),
            upstream,
            bind: settings.bind,
            websocket: settings.websocket,
            body_on_any_method: settings.body_on_any_method,
            normalise: settings.normalise,
        })
    }

    fn fits(&self, path: &str) -> bool {
        let mut rest = path.strip_prefix('/');
        for segment in &self.segments {
            let Some(parts) = rest else { return false };
            let (part, behind) = first_part(parts);
            match segment {
                Segment::Literal(text) if !reads(part, text) => return false,
                Segment::One(_) if part.is_empty() => return false,
                Segment::Rest(_) => return !part.is_empty() || behind.is_some(),
                Segment::Literal(_) | Segment::One(_) => {}
            }
            rest = behind;
        }
        rest.is_none()
    }

    /// Whether it takes the calls of certain hosts alone.
    pub(super) fn goes_by_host(&self) -> bool {
        self.host.is_some()
    }

    /// The path's parameters, decoded.
    pub(super) fn parameters<'a>(&'a self, path: &'a str) -> Result<Parameters<'a>, NotText> {
        let mut rest = path.strip_prefix('/').unwrap_or(path);
        let mut parameters = Vec::with_capacity(self.segments.len());
        for segment in &self.segments {
            let (part, behind) = match segment {
                Segment::Rest(_) => (rest, ""),
                Segment::Literal(_) | Segment::One(_) => {
                    let (part, behind) = first_part(rest);
                    (part, behind.unwrap_or(""))
                }
            };
            match segment {
                Segment::Literal(_) => {}
                Segment::One(name) | Segment::Rest(name) => parameters.push((name.as_str(), decode(part)?)),
            }
            rest = behind;
        }
        Ok(Parameters(parameters))
    }
}

impl Means {
    /// Nothing but the policies.
    #[cfg(test)]
    pub(super) fn new(policies: Arc<Current>) -> Self {
        Self { policies, sts: Vec::new(), exchange: Vec::new(), answers: None, names: Names::default() }
    }

    fn adapter(&self, settings: &Settings) -> Result<Box<dyn Adapter>, String> {
        let own = adapter::for_route(settings.reading()?, self);
        Ok(match settings.answering()? {
            None => own,
            Some(dialect) => {
                let answers = settings.answers.unwrap_or_default();
                Box::new(Explicit::new(own, (dialect, answers), self.names.clone()))
            }
        })
    }

    fn answering(&self, settings: &Settings) -> Result<Option<Answering>, String> {
        let Some(dialect) = settings.answering()? else { return Ok(None) };
        let manner = self.answers.clone().ok_or("nobody exchanges tokens here")?;
        let sts = match settings.answers.unwrap_or_default() {
            settings::Answers::Exchanged => None,
            settings::Answers::Sts => Some(self.sts(settings)?),
        };
        Ok(Some(Answering::new(dialect, manner, self.names.clone(), sts)))
    }

    fn sts(&self, settings: &Settings) -> Result<Arc<Sts>, String> {
        let named = settings.sts.as_ref().map_or("", |name| name.get_ref());
        let found = self.sts.iter().find(|(name, _)| **name == *named);
        found.map(|(_, sts)| Arc::clone(sts)).ok_or_else(|| format!("there is no [sts.{named}]"))
    }

    fn assume(&self, settings: &Settings) -> Result<Assume, String> {
        let traded = || settings.exchange.as_ref().map_or("", |name| name.get_ref());
        match settings.assume {
            settings::Assume::Assertion => Ok(Assume::Assertion),
            settings::Assume::None => Ok(Assume::None),
            settings::Assume::Sts => self.sts(settings).map(Assume::Sts),
            settings::Assume::Exchange => {
                let found = self.exchange.iter().find(|(name, _)| **name == *traded());
                let (_, trade) = found.ok_or_else(|| format!("there is no [exchange.{}]", traded()))?;
                Ok(Assume::Exchange(Arc::clone(trade)))
            }
        }
    }
}

/// What stands before the first slash, and what stands behind it. (Parts are short: looking at each byte is quicker
/// than calling a search.)
fn first_part(path: &str) -> (&str, Option<&str>) {
    let slash = path.bytes().position(|byte| byte == b'/').unwrap_or(path.len());
    let (part, rest) = path.split_at_checked(slash).unwrap_or((path, ""));
    (part, rest.strip_prefix('/'))
}

/// Whether a part of a path reads as `text`: escapes do not lead to another route than what they stand for.
fn reads(part: &str, text: &str) -> bool {
    part == text || (part.contains('%') && decode(part).is_ok_and(|decoded| decoded == text))
}

/// Resolves the escapes, once. The canonicaliser has refused escapes of slashes, NUL and the escape sign itself,
/// so what policy reads here is what an upstream can read there.
fn decode(part: &str) -> Result<Cow<'_, str>, NotText> {
    if !part.contains('%') {
        return Ok(Cow::Borrowed(part));
    }
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digit = |byte: Option<u8>| {
                byte.and_then(|b| char::from(b).to_digit(16)).and_then(|d| u8::try_from(d).ok())
            };
            let (Some(high), Some(low)) = (digit(rest.next()), digit(rest.next())) else {
                return Err(NotText);
            };
            bytes.push(high * 16 + low);
        } else {
            bytes.push(byte);
        }
    }
    let text = String::from_utf8(bytes).map_err(|_| NotText)?;
    if text.chars().any(char::is_control) { Err(NotText) } else { Ok(Cow::Owned(text)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Policies;

    fn segments(text: &str) -> Route {
        let toml = format!(
            "path = \"{text}\"\nupstream = \"u\"\nadapter = \"rest\"\nactions = {{ GET = \"a:b\" }}\nresource = \"x\""
        );
        let policies = Current::fixed(Policies::embedded().unwrap());
        Route::new(0, &toml::from_str(&toml).unwrap(), &Means::new(policies)).unwrap()
    }

    #[test]
    fn a_path_that_fits_gives_its_parameters_decoded() {
        let route = segments("/oss/{bucket}/{object…}");
        assert!(route.fits("/oss/b/a/c%20d"));
        let parameters = route.parameters("/oss/b/a/c%20d%C3%BC").unwrap();
        assert_eq!((parameters.get("bucket"), parameters.get("object")), (Some("b"), Some("a/c dü")));
        assert!(segments("/ecs/").fits("/ecs/"));
        assert!(segments("/oss/{bucket}").fits("/oss/b"));
    }

    #[test]
    fn escapes_lead_to_the_route_of_what_they_stand_for() {
        assert!(segments("/oss/{bucket}").fits("/%6fss/b") && !segments("/oss/{bucket}").fits("/%6fsx/b"));
    }

    #[test]
    fn a_path_that_does_not_fit_is_not_taken() {
        for (template, path) in [
            ("/oss/{bucket}", "/oss/b/c"),
            ("/oss/{bucket}", "/oss/"),
            ("/oss/{bucket}/{object…}", "/oss/b"),
            ("/oss/{bucket}/{object…}", "/oss/b/"),
            ("/ecs/", "/ecs"),
            ("/ecs/", "/ecs/x"),
            ("/oss/{bucket}", "oss/b"),
        ] {
            assert!(!segments(template).fits(path), "{template} took {path}");
        }
    }

    #[test]
    fn a_part_that_is_no_text_is_refused() {
        assert_eq!(segments("/{a}").parameters("/%ff"), Err(NotText));
        assert_eq!(segments("/{a}").parameters("/%0a"), Err(NotText));
    }
}
