//! The query protocol: `Action` and everything else are parameters, of a form or of the query.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, Method, header};
use url::form_urlencoded;

use super::kinds::{Kind, queue_in_path};
use super::names::{Found, Names};
use super::places::{Places, Reading};
use super::{is_operation, single};
use crate::config::route::Service;
use crate::model::call::Action;
use crate::sidecar::adapter::{Asked, Head, NotUnderstood};

/// The parameters of a request. No name stands twice.
struct Parameters<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

/// What a request asks for, once all its parameters are here. `service` is what else names it.
pub(in crate::sidecar) fn in_form(
    (names, places): (&Names, &Places),
    service: Option<Service>,
    head: &Head<'_>,
    form: Option<&Bytes>,
) -> Result<Asked, NotUnderstood> {
    if *head.method != Method::POST && *head.method != Method::GET {
        let allowed = "GET, POST".to_owned();
        return Err(NotUnderstood::Method { method: head.method.to_string(), allowed });
    }
    let parameters = Parameters::read(head.query.unwrap_or_default(), form)?;
    let operation =
        parameters.get("Action").ok_or(NotUnderstood::Unknown("a request without an operation"))?;
    if !is_operation(operation) {
        return Err(NotUnderstood::Malformed { what: "Action", expected: "letters and digits" });
    }
    let by_version = match parameters.get("Version") {
        Some("2011-06-15") => Some(Service::Sts),
        Some("2016-11-15") => Some(Service::Ec2),
        Some("2012-11-05") => Some(Service::Sqs),
        Some(_) | None => None,
    };
    let service = super::agreed([service, by_version])?.ok_or(NotUnderstood::Unknown("the service"))?;
    let action = Action::new(format!("{}:{operation}", service.as_str()));
    let parameters = match service {
        Service::Sqs => parameters.of_queues(names, head.path)?,
        _ if head.path != "/" => return Err(NotUnderstood::Ambiguous("the operation")),
        Service::Sts | Service::Ec2 => parameters,
        Service::S3 | Service::DynamoDb | Service::Lambda => {
            return Err(NotUnderstood::Unknown("an Action of this service"));
        }
    };
    let (operation, mut found) = (places.of(action.as_str())?, Found::default());
    Reading { names, operation, bucket: None }.form(&mut found, parameters.beside_the_operation())?;
    Ok(found.asked(action))
}

/// Whether the body, if there is one, is a form. A body that is said to be something else, or that another server could
/// read otherwise, is refused.
pub(in crate::sidecar) fn check_form(headers: &HeaderMap) -> Result<(), NotUnderstood> {
    let kind = single(headers, "content-type")?.unwrap_or_default().to_ascii_lowercase();
    let mut parts = kind.split(';').map(str::trim);
    let is_form = matches!(parts.next(), Some("application/x-www-form-urlencoded"));
    let plain = parts.all(|part| matches!(part, "" | "charset=utf-8" | "charset=\"utf-8\""));
    if is_form && plain && !headers.contains_key(header::CONTENT_ENCODING) { Ok(()) } else { Err(FORM) }
}

impl<'a> Parameters<'a> {
    fn read(query: &'a str, form: Option<&'a Bytes>) -> Result<Self, NotUnderstood> {
        let form = form.map_or(&[][..], |form| form);
        // Some servers end a parameter there too; clients encode it.
        if query.contains(';') || form.contains(&b';') || std::str::from_utf8(form).is_err() {
            return Err(FORM);
        }
        let mut all = Vec::new();
        let mut seen = std::collections::HashSet::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()).chain(form_urlencoded::parse(form)) {
            // Names are told apart by their case; nobody sends two that differ in nothing else.
            let folded =
                name.trim_matches(|c: char| c.is_whitespace() || c.is_control()).to_ascii_lowercase();
            if folded.starts_with("x-amz-") {
                return Err(NotUnderstood::Malformed {
                    what: "the query",
                    expected: "without a signature: presigned addresses are not taken here; sign in the Authorization header",
                });
            }
            let is_decisive = DECISIVE.iter().any(|known| known.eq_ignore_ascii_case(&folded));
            if !seen.insert(folded) || (is_decisive && !DECISIVE.contains(&&*name)) {
                return Err(NotUnderstood::Ambiguous("a parameter"));
            }
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
            if !name.bytes().all(plain) {
                return Err(NAME);
            }
            all.push((name, value));
        }
        Ok(Self(all))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }

    /// All that is not about the operation itself.
    fn beside_the_operation(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        let all = self.0.iter().map(|(name, value)| (&**name, &**value));
        all.filter(|(name, _)| !matches!(*name, "Action" | "Version"))
    }

    /// The same as the JSON protocol has it: a queue that is named by the path, and attributes by their names.
    fn of_queues(mut self, names: &Names, path: &str) -> Result<Self, NotUnderstood> {
        if let Some(path) = path.strip_prefix('/').filter(|path| !path.is_empty()) {
            let address = format!("http://sqs/{path}");
            let there = queue_in_path(names, path)?;
            match self.get("QueueUrl") {
                None => self.0.push(("QueueUrl".into(), address.into())),
                Some(url) => {
                    let named = Kind::QueueUrl.named(names, (Service::Sqs, None), url)?;
                    if named != Some(there) {
                        return Err(NotUnderstood::Ambiguous("the queue"));
                    }
                }
            }
        }
        let (attributes, mut others): (Vec<_>, Vec<_>) = self.0.into_iter().partition(|(name, _)| {
            let first = name.split('.').next().unwrap_or_default();
            first.eq_ignore_ascii_case("Attribute") || first.eq_ignore_ascii_case("Attributes")
        });
        // A queue has some twenty.
        if attributes.len() > 100 {
            return Err(NAME);
        }
        for (name, value) in &attributes {
            let (number, part) = name
                .strip_prefix("Attribute.")
                .and_then(|rest| rest.split_once('.'))
                .filter(|(number, _)| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
                .ok_or(NAME)?;
            let other = match part {
                "Name" => format!("Attribute.{number}.Value"),
                "Value" => format!("Attribute.{number}.Name"),
                _ => return Err(NAME),
            };
            let (_, other) = attributes.iter().find(|(name, _)| *name == other).ok_or(NAME)?;
            if part == "Name" {
                others.push((format!("Attributes.{value}").into(), other.clone()));
            }
        }
        Ok(Self(others))
    }
}

/// What is decided on: spelled so, and not otherwise.
const DECISIVE: [&str; 2] = ["Action", "Version"];

const NAME: NotUnderstood =
    NotUnderstood::Malformed { what: "the name of a parameter", expected: "one of the operation's" };
const FORM: NotUnderstood =
    NotUnderstood::Malformed { what: "the body", expected: "a plain urlencoded form in UTF-8" };
