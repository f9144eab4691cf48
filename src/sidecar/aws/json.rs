//! The JSON protocol: the operation is in `x-amz-target`, what it touches in the body.

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, Method, header};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::names::{Found, Names};
use super::places::{Places, Reading};
use super::{is_operation, single};
use crate::config::route::Service;
use crate::model::call::Action;
use crate::sidecar::adapter::{Asked, Head, NotUnderstood};

/// The service and operation that `x-amz-target` names, if it is there.
pub(in crate::sidecar) fn target(headers: &HeaderMap) -> Result<Option<(Service, &str)>, NotUnderstood> {
    let Some(target) = single(headers, "x-amz-target")? else { return Ok(None) };
    let (prefix, operation) = target.split_once('.').ok_or(TARGET)?;
    let service = match prefix {
        "DynamoDB_20120810" => Service::DynamoDb,
        "AmazonSQS" => Service::Sqs,
        _ => return Err(NotUnderstood::Unknown("the service of x-amz-target")),
    };
    if is_operation(operation) { Ok(Some((service, operation))) } else { Err(TARGET) }
}

/// What a request with this target asks for.
pub(in crate::sidecar) fn in_json(
    (names, places): (&Names, &Places),
    (service, operation): (Service, &str),
    head: &Head<'_>,
    body: &Bytes,
) -> Result<Asked, NotUnderstood> {
    if *head.method != Method::POST {
        return Err(NotUnderstood::Method { method: head.method.to_string(), allowed: "POST".to_owned() });
    }
    // What else could name an operation, or another body than the one that is read.
    if head.path != "/" || head.query.is_some_and(|query| !query.is_empty()) {
        return Err(NotUnderstood::Ambiguous("the operation"));
    }
    if head.headers.contains_key(header::CONTENT_ENCODING) {
        return Err(BODY);
    }
    let kind = single(head.headers, "content-type")?.unwrap_or_default().to_ascii_lowercase();
    if !kind.starts_with("application/x-amz-json-1.") {
        return Err(NotUnderstood::Malformed {
            what: "the body's type",
            expected: "application/x-amz-json-1.0",
        });
    }
    let action = Action::new(format!("{}:{operation}", service.as_str()));
    let (operation, mut found) = (places.of(action.as_str())?, Found::default());
    Reading { names, operation, bucket: None }.json(&mut found, &Node::read(body)?)?;
    Ok(found.asked(action))
}

/// A JSON text, as far as names stand in it. An object whose keys are not all different is refused: which of two values
/// counts is for nobody to guess.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    Object(Vec<(String, Node)>),
    List(Vec<Node>),
    Text(String),
    /// Something that names nothing.
    Other,
}

impl Node {
    /// Reads a body.
    pub(super) fn read(body: &Bytes) -> Result<Self, NotUnderstood> {
        serde_json::from_slice(body).map_err(|_| BODY)
    }

    /// The value of a key.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            Self::List(_) | Self::Text(_) | Self::Other => None,
        }
    }

    /// The text of a key. A key that stands there must hold one.
    pub(super) fn text(&self, key: &str) -> Result<Option<&str>, NotUnderstood> {
        match self.get(key) {
            None => Ok(None),
            Some(Self::Text(text)) => Ok(Some(text)),
            Some(Self::Object(_) | Self::List(_) | Self::Other) => Err(BODY),
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let (mut members, mut keys) = (Vec::new(), std::collections::HashSet::new());
        while let Some((key, value)) = map.next_entry::<String, Node>()? {
            if !keys.insert(key.clone()) {
                return Err(A::Error::custom("a key stands twice"));
            }
            members.push((key, value));
        }
        Ok(Node::Object(members))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let mut all = Vec::new();
        while let Some(one) = seq.next_element()? {
            all.push(one);
        }
        Ok(Node::List(all))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Text(text.to_owned()))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Node, E> {
        Ok(Node::Other)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Node, E> {
        Ok(Node::Other)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Node, E> {
        Ok(Node::Other)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Other)
    }

    fn visit_unit<E: Error>(self) -> Result<Node, E> {
        Ok(Node::Other)
    }
}

const TARGET: NotUnderstood =
    NotUnderstood::Malformed { what: "x-amz-target", expected: "an operation of a service that speaks JSON" };
const BODY: NotUnderstood =
    NotUnderstood::Malformed { what: "the body", expected: "one JSON object whose keys all differ" };
