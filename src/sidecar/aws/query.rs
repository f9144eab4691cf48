//! The query protocol: `Action` and everything else are parameters, of a form or of the query.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, Method, header};
use url::form_urlencoded;

use super::names::{Named, Names};
use super::resources::{Keys, queue_in_path};
use super::{asked, is_operation, single};
use crate::config::route::Service;
use crate::model::call::Action;
use crate::sidecar::adapter::{Asked, Head, NotUnderstood};

/// The parameters of a request. No name stands twice.
struct Parameters<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

/// What a request asks for, once all its parameters are here. `service` is what else names it.
pub(in crate::sidecar) fn in_form(
    names: &Names,
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
    let named = match service {
        Service::Sts => role(names, &parameters)?,
        Service::Ec2 => Named { name: "*".to_owned(), account: None },
        Service::Sqs => queue(names, operation, head.path, &parameters)?,
        Service::S3 | Service::DynamoDb | Service::Lambda => {
            return Err(NotUnderstood::Unknown("an Action of this service"));
        }
    };
    if service != Service::Sqs && head.path != "/" {
        return Err(NotUnderstood::Ambiguous("the operation"));
    }
    let action = Action::new(format!("{}:{operation}", service.as_str()));
    asked(action, vec![named])
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
            all.push((name, value));
        }
        Ok(Self(all))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }
}

/// The role that is to be assumed: `role/consentry`; `*` for what is about none.
fn role(names: &Names, parameters: &Parameters<'_>) -> Result<Named, NotUnderstood> {
    let Some(arn) = parameters.get("RoleArn") else {
        return Ok(Named { name: "*".to_owned(), account: None });
    };
    let (account, rest) = names.arn("iam", arn)?;
    if !rest.starts_with("role/") || account.is_none() {
        return Err(NotUnderstood::Malformed { what: "RoleArn", expected: "the ARN of a role" });
    }
    Ok(Named { name: rest.to_owned(), account })
}

fn queue(
    names: &Names,
    operation: &str,
    path: &str,
    parameters: &Parameters<'_>,
) -> Result<Named, NotUnderstood> {
    let keys = Keys {
        url: parameters.get("QueueUrl"),
        name: parameters.get("QueueName"),
        owner: parameters.get("QueueOwnerAWSAccountId"),
    };
    let Some(path) = path.strip_prefix('/').filter(|path| !path.is_empty()) else {
        return keys.queue(names, operation);
    };
    let named = queue_in_path(names, path)?;
    let same = keys.name.is_none()
        && (keys.url.is_none() || keys.queue(names, operation)? == named)
        && keys.owner.is_none();
    if same { Ok(named) } else { Err(NotUnderstood::Ambiguous("the queue")) }
}

/// What is decided on: spelled so, and not otherwise.
const DECISIVE: [&str; 6] =
    ["Action", "Version", "RoleArn", "QueueUrl", "QueueName", "QueueOwnerAWSAccountId"];

const FORM: NotUnderstood =
    NotUnderstood::Malformed { what: "the body", expected: "a plain urlencoded form in UTF-8" };
