//! The cloud's RPC style: one path for a product, the operation named in a header, the query or a form body.
//!
//! Real clients name it in up to three places at once. All that are there must agree, since the upstream reads
//! whichever it prefers.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, header};

use super::{Adapter, Asked, Head, NotUnderstood, Reading};
use crate::model::call::Action;

/// A product's route.
pub(super) struct Acs {
    product: String,
}

impl Acs {
    pub(super) fn new(product: &str) -> Self {
        Self { product: product.to_owned() }
    }

    fn asked(&self, head: &Head<'_>, form: Option<&[u8]>) -> Result<Asked, NotUnderstood> {
        let in_header = single_header(head.headers)?;
        let in_query = single_parameter(head.query.unwrap_or_default().as_bytes())?;
        let in_form = form.map_or(Ok(None), single_parameter)?;
        let mut named = [in_header, in_query, in_form].into_iter().flatten();
        let operation = named.next().ok_or(NotUnderstood::NoOperation)?;
        if named.any(|other| other != operation) {
            return Err(NotUnderstood::Ambiguous("the operation"));
        }
        let plain = operation.bytes().all(|byte| byte.is_ascii_alphanumeric()) && operation.len() <= 100;
        if operation.is_empty() || !plain {
            return Err(NotUnderstood::Malformed { what: "the operation", expected: "letters and digits" });
        }
        let action = Action::new(format!("{}:{operation}", self.product));
        Ok(Asked { action, resource: Arc::from("*"), account: None })
    }
}

impl Adapter for Acs {
    fn read(&self, head: &Head<'_>) -> Result<Reading, NotUnderstood> {
        if head.method != Method::POST && head.method != Method::GET {
            return Err(NotUnderstood::Method {
                method: head.method.to_string(),
                allowed: "GET, POST".to_owned(),
            });
        }
        if is_form(head.headers) {
            return Ok(Reading::NeedsBody);
        }
        self.asked(head, None).map(Reading::Asked)
    }

    fn read_with_body(&self, head: &Head<'_>, body: &Bytes) -> Result<Asked, NotUnderstood> {
        self.asked(head, Some(body))
    }

    fn takes_acs_bearer(&self) -> bool {
        true
    }
}

/// Whether the upstream could take the body for a form. In doubt, yes: then it is read.
fn is_form(headers: &HeaderMap) -> bool {
    let has_body = headers.contains_key(header::TRANSFER_ENCODING)
        || headers.get(header::CONTENT_LENGTH).is_some_and(|length| length != "0");
    let other = headers
        .get_all(header::CONTENT_TYPE)
        .iter()
        .all(|value| value.to_str().is_ok_and(|text| !text.to_ascii_lowercase().contains("form-urlencoded")));
    let named = headers.contains_key(header::CONTENT_TYPE);
    has_body && !(named && other)
}

fn single_header(headers: &HeaderMap) -> Result<Option<String>, NotUnderstood> {
    let mut values = headers.get_all("x-acs-action").iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(NotUnderstood::Ambiguous("the operation"));
    }
    let text = value
        .to_str()
        .map_err(|_| NotUnderstood::Malformed { what: "x-acs-action", expected: "letters and digits" })?;
    Ok(Some(text.to_owned()))
}

/// The one `Action` parameter. Names are compared in any letter case, since some upstreams do.
fn single_parameter(form: &[u8]) -> Result<Option<String>, NotUnderstood> {
    let mut values =
        url::form_urlencoded::parse(form).filter(|(name, _)| name.eq_ignore_ascii_case("action"));
    let Some((_, value)) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(NotUnderstood::Ambiguous("the operation"));
    }
    Ok(Some(value.into_owned()))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::super::Parameters;
    use super::*;

    fn read(
        header: Option<&'static str>,
        query: Option<&str>,
        form: Option<&str>,
    ) -> Result<String, NotUnderstood> {
        let mut headers = HeaderMap::new();
        if let Some(header) = header {
            headers.insert("x-acs-action", HeaderValue::from_static(header));
        }
        if let Some(form) = form {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(form.len()));
            headers
                .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        }
        let (acs, parameters) = (Acs::new("ecs"), Parameters::default());
        let head = Head { method: &Method::POST, query, headers: &headers, parameters: &parameters };
        let asked = match acs.read(&head)? {
            Reading::Asked(asked) => asked,
            Reading::NeedsBody => acs.read_with_body(&head, &Bytes::from(form.unwrap_or("").to_owned()))?,
        };
        Ok(asked.action.to_string())
    }

    #[test]
    fn the_operation_is_found_wherever_it_is_named_once_or_alike() {
        for (header, query, form) in [
            (Some("DescribeInstances"), None, None),
            (None, Some("Version=1&Action=DescribeInstances"), None),
            (None, None, Some("Action=DescribeInstances&x=y")),
            (Some("DescribeInstances"), Some("Action=DescribeInstances"), Some("Action=DescribeInstances")),
        ] {
            assert_eq!(read(header, query, form).unwrap(), "ecs:DescribeInstances");
        }
    }

    #[test]
    fn two_operations_are_refused_wherever_they_hide() {
        for (header, query, form) in [
            (Some("DescribeInstances"), Some("Action=DeleteInstance"), None),
            (Some("DescribeInstances"), None, Some("Action=DeleteInstance")),
            (Some("DescribeInstances"), Some("action=DeleteInstance"), None),
            (None, Some("Action=DescribeInstances&Action=DeleteInstance"), None),
            (Some("DescribeInstances"), Some("%41ction=DeleteInstance"), None),
        ] {
            assert_eq!(read(header, query, form), Err(NotUnderstood::Ambiguous("the operation")));
        }
    }

    #[test]
    fn no_operation_and_a_strange_one_are_refused() {
        assert_eq!(read(None, Some("Version=1"), None), Err(NotUnderstood::NoOperation));
        assert!(matches!(read(Some("Describe Instances"), None, None), Err(NotUnderstood::Malformed { .. })));
        assert!(matches!(read(Some(""), None, None), Err(NotUnderstood::Malformed { .. })));
    }
}
