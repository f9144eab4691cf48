//! Where an operation names what it touches: the table `places.txt`, made from the service models.
//!
//! Comes in: an action, and the path, query, form or body of its request. Goes out: everything that is named. An
//! operation that is not in the table is refused, and so is a parameter that it does not have, or that is spelled
//! otherwise: to the upstream it may name something that would be passed over here.

use std::collections::HashMap;

use super::json::Node;
use super::kinds::Kind;
use super::names::{Found, Names};
use super::requests::Parts;
use super::rest::decoded;
use super::xml;
use crate::config::route::Service;
use crate::sidecar::adapter::NotUnderstood;

/// The table, by actions.
pub(in crate::sidecar) struct Places(HashMap<&'static str, Operation>);

/// What is known of an operation.
pub(super) struct Operation {
    service: Service,
    /// The parameters that its form or body may have.
    parameters: Vec<&'static str>,
    places: Vec<Place>,
}

struct Place {
    at: At,
    kind: Kind,
    /// Whether no request can do without it.
    must: bool,
}

enum At {
    /// A part of the path.
    Part(&'static str),
    /// A parameter of the query.
    Query(&'static str),
    /// An element, wherever it stands in a body of XML.
    Element(&'static str),
    /// Steps into a body of JSON, or the parts of a parameter's name in a form.
    Within(Vec<Step>),
}

enum Step {
    Key(&'static str),
    /// Each of a list.
    Each,
    /// Each key of a map.
    Keys,
    /// The value of whatever key.
    Any,
    /// A text, and behind it another that is a name inside it.
    Inside(&'static str, &'static str),
}

/// What a request is read for: whose names, and in which bucket, where the path names one.
#[derive(Clone, Copy)]
pub(super) struct Reading<'a> {
    pub(super) names: &'a Names,
    pub(super) operation: &'a Operation,
    pub(super) bucket: Option<&'a str>,
}

impl Places {
    /// Reads the table.
    pub(in crate::sidecar) fn all() -> Self {
        Self(TABLE.lines().filter(|line| !line.starts_with('#')).filter_map(row).collect())
    }

    /// What is known of an action.
    pub(super) fn of(&self, action: &str) -> Result<&Operation, NotUnderstood> {
        self.0.get(action).ok_or(NotUnderstood::Unknown("the operation"))
    }
}

impl Operation {
    /// Whether only the body says all that it touches.
    pub(super) fn is_named_in_xml(&self) -> bool {
        self.places.iter().any(|place| matches!(place.at, At::Element(_)))
    }

    /// Whether its body is JSON of which every key is known.
    pub(super) fn has_json(&self) -> bool {
        !self.parameters.is_empty()
    }
}

impl Reading<'_> {
    /// What stands in the path and the query of a request.
    pub(super) fn head(
        &self,
        found: &mut Found,
        parts: &Parts<'_>,
        query: &Parts<'_>,
    ) -> Result<(), NotUnderstood> {
        for place in &self.operation.places {
            let (all, name) = match place.at {
                At::Part(name) => (parts, name),
                At::Query(name) => (query, name),
                At::Element(_) | At::Within(_) => continue,
            };
            match all.iter().find(|(known, _)| *known == name) {
                // In a query it may be a blank.
                Some((_, text)) if matches!(place.at, At::Query(_)) && text.contains('+') => {
                    return Err(PARAMETER);
                }
                Some((_, text)) => self.take(found, place, &decoded(text)?)?,
                None if place.must => return Err(MISSING),
                None => {}
            }
        }
        Ok(())
    }

    /// What stands in a body of JSON.
    pub(super) fn json(&self, found: &mut Found, body: &Node) -> Result<(), NotUnderstood> {
        let Node::Object(members) = body else { return Err(BODY) };
        if members.iter().any(|(name, _)| !self.operation.parameters.contains(&name.as_str())) {
            return Err(PARAMETER);
        }
        for place in &self.operation.places {
            let At::Within(steps) = &place.at else { continue };
            let mut is_there = false;
            walk(body, steps, &mut |text| {
                is_there = true;
                self.take(found, place, text)
            })?;
            if place.must && !is_there {
                return Err(MISSING);
            }
        }
        Ok(())
    }

    /// What stands in a form: parameters by their names without the numbers of lists.
    pub(super) fn form<'p>(
        &self,
        found: &mut Found,
        parameters: impl Iterator<Item = (&'p str, &'p str)> + Clone,
    ) -> Result<(), NotUnderstood> {
        for (name, _) in parameters.clone() {
            let (path, mut is_like_a_place) = (plain(name), false);
            if path.first().is_none_or(|first| !self.operation.parameters.contains(first)) {
                return Err(PARAMETER);
            }
            let fits = |place: &Place| {
                let fit = fit(&path, &place.at);
                is_like_a_place |= fit == Fit::Almost;
                fit == Fit::Exactly
            };
            // It may name something, by other rules than those that are known here.
            if !self.operation.places.iter().any(fits) && is_like_a_place {
                return Err(PARAMETER);
            }
        }
        // In the order of the table: what the operation is about comes first.
        for place in &self.operation.places {
            let mut values =
                parameters.clone().filter(|(name, _)| fit(&plain(name), &place.at) == Fit::Exactly);
            let first = values.next();
            if place.must && first.is_none() {
                return Err(MISSING);
            }
            first.into_iter().chain(values).try_for_each(|(_, value)| self.take(found, place, value))?;
        }
        Ok(())
    }

    /// What stands in a body of XML.
    pub(super) fn xml(&self, found: &mut Found, body: &[u8]) -> Result<(), NotUnderstood> {
        xml::elements(body, |name, text| {
            for place in &self.operation.places {
                match place.at {
                    At::Element(known) if known == name => self.take(found, place, text.ok_or(BODY)?)?,
                    At::Element(known) if known.eq_ignore_ascii_case(name) => return Err(PARAMETER),
                    At::Element(_) | At::Part(_) | At::Query(_) | At::Within(_) => {}
                }
            }
            Ok(())
        })
    }

    fn take(&self, found: &mut Found, place: &Place, text: &str) -> Result<(), NotUnderstood> {
        let named = place.kind.named(self.names, (self.operation.service, self.bucket), text)?;
        named.map_or(Ok(()), |named| found.add(named))
    }
}

/// Every text where the steps lead.
fn walk(
    node: &Node,
    steps: &[Step],
    take: &mut dyn FnMut(&str) -> Result<(), NotUnderstood>,
) -> Result<(), NotUnderstood> {
    let Some((step, rest)) = steps.split_first() else {
        return match node {
            Node::Text(text) => take(text),
            Node::Object(_) | Node::List(_) | Node::Other => Err(BODY),
        };
    };
    match (step, node) {
        // Nothing is there.
        (Step::Key(_) | Step::Each | Step::Keys | Step::Inside(..), Node::Other) => Ok(()),
        (Step::Key(key), Node::Object(_)) => match exactly(node, key)? {
            Some(value) => walk(value, rest, take),
            None => Ok(()),
        },
        (Step::Inside(key, inner), Node::Object(_)) => {
            exactly(node, key)?;
            exactly(node, inner)?;
            match (node.text(key)?, node.text(inner)?) {
                (Some(text), Some(inner)) => take(&format!("{text}/{inner}")),
                (Some(text), None) => take(text),
                (None, _) => Ok(()),
            }
        }
        (Step::Each, Node::List(all)) => all.iter().try_for_each(|one| walk(one, rest, take)),
        (Step::Keys, Node::Object(members)) => members.iter().try_for_each(|(key, _)| take(key)),
        (Step::Any, Node::Object(members)) => members.iter().try_for_each(|(_, value)| {
            let mut is_there = false;
            walk(value, rest, &mut |text| {
                is_there = true;
                take(text)
            })?;
            if is_there { Ok(()) } else { Err(MISSING) }
        }),
        (Step::Any, Node::Other) | (_, Node::Object(_) | Node::List(_) | Node::Text(_)) => Err(BODY),
    }
}

/// The value of a key; no other is spelled so in other letter cases.
fn exactly<'n>(node: &'n Node, key: &str) -> Result<Option<&'n Node>, NotUnderstood> {
    let Node::Object(members) = node else { return Err(BODY) };
    let other = |(name, _): &(String, Node)| name != key && name.eq_ignore_ascii_case(key);
    if members.iter().any(other) { Err(PARAMETER) } else { Ok(node.get(key)) }
}

/// How the name of a parameter and a place go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fit {
    Exactly,
    /// It begins and ends alike, or goes on, or is the same in other letter cases.
    Almost,
    Not,
}

/// The parts of a parameter's name that are no numbers of lists.
fn plain(name: &str) -> Vec<&str> {
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    name.split('.').filter(|part| !is_number(part) && *part != "member").collect()
}

fn fit(path: &[&str], at: &At) -> Fit {
    let At::Within(steps) = at else { return Fit::Not };
    let keys = || {
        steps.iter().filter_map(|step| match step {
            Step::Key(key) => Some(*key),
            Step::Each | Step::Keys | Step::Any | Step::Inside(..) => None,
        })
    };
    let alike = |part: Option<&&str>, key: Option<&str>| {
        part.zip(key).is_some_and(|(part, key)| part.eq_ignore_ascii_case(key))
    };
    if keys().eq(path.iter().copied()) {
        return Fit::Exactly;
    }
    let goes_on = keys().enumerate().all(|(at, key)| alike(path.get(at), Some(key)));
    let ends_alike = alike(path.first(), keys().next()) && alike(path.last(), keys().next_back());
    if goes_on || ends_alike { Fit::Almost } else { Fit::Not }
}

fn row(line: &'static str) -> Option<(&'static str, Operation)> {
    let mut columns = line.split(' ');
    let (action, parameters, places) = (columns.next()?, columns.next()?, columns.next()?);
    let service = Service::ALL
        .into_iter()
        .find(|service| action.split_once(':').map(|(of, _)| of) == Some(service.as_str()))?;
    let all = |text: &'static str| text.split(',').filter(|one| *one != "-");
    let parameters = all(parameters).collect();
    let places = all(places).map(Place::read).collect::<Option<_>>()?;
    Some((action, Operation { service, parameters, places }))
}

impl Place {
    fn read(text: &'static str) -> Option<Self> {
        let (at, kind) = text.split_once('=')?;
        let must = kind.ends_with('!');
        let kind = Kind::read(kind.trim_end_matches('!'))?;
        let bare = |begin, end| at.strip_prefix(begin).and_then(|rest| rest.strip_suffix(end));
        let at = match (bare("{", "}"), bare("<", ">"), at.strip_prefix('?')) {
            (Some(part), _, _) => At::Part(part),
            (_, Some(element), _) => At::Element(element),
            (_, _, Some(query)) => At::Query(query),
            (None, None, None) => At::Within(at.split('.').map(Step::read).collect()),
        };
        Some(Self { at, kind, must })
    }
}

impl Step {
    fn read(text: &'static str) -> Self {
        match (text, text.split_once('+')) {
            ("[]", _) => Self::Each,
            ("{}", _) => Self::Keys,
            ("*", _) => Self::Any,
            (_, Some((outer, inner))) => Self::Inside(outer, inner),
            (key, None) => Self::Key(key),
        }
    }
}

const TABLE: &str = include_str!("places.txt");
const MISSING: NotUnderstood =
    NotUnderstood::Malformed { what: "what the operation is about", expected: "named where it has to be" };
const PARAMETER: NotUnderstood = NotUnderstood::Malformed {
    what: "a parameter",
    expected: "one of the operation's, spelled as it has it",
};
const BODY: NotUnderstood =
    NotUnderstood::Malformed { what: "the body", expected: "in the form that the operation has" };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_read() {
        let lines = TABLE.lines().filter(|line| !line.starts_with('#'));
        let unread: Vec<_> = lines.filter(|line| row(line).is_none()).collect();
        assert!(unread.is_empty(), "{unread:?}");
    }

    #[test]
    fn the_name_of_a_parameter_fits_whatever_its_numbers() {
        let at = At::Within(vec![Step::Key("NetworkInterface"), Step::Key("SubnetId")]);
        for (name, expected) in [
            ("NetworkInterface.1.SubnetId", Fit::Exactly),
            ("NetworkInterface.SubnetId", Fit::Exactly),
            ("NetworkInterface.1.SubnetId.2", Fit::Exactly),
            ("NetworkInterface.1.SubnetID", Fit::Almost),
            ("NetworkInterface.a.SubnetId", Fit::Almost),
            ("NetworkInterface.1.SubnetId.a", Fit::Almost),
            ("NetworkInterface.1.Description", Fit::Not),
            ("NetworkInterface.1.SubnetIds", Fit::Not),
            ("SubnetId", Fit::Not),
        ] {
            assert_eq!(fit(&plain(name), &at), expected, "{name}");
        }
    }
}
