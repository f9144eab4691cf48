//! The cloud's RPC style: one path for a product, the operation named in a header, the query or a form body.
//!
//! Real clients name it in up to three places at once. All that are there must agree, since the upstream reads
//! whichever it prefers.

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
        Ok(Asked { action, resource: "*".to_owned(), account: None })
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
        if !head.has_body {
            return self.asked(head, None).map(Reading::Asked);
        }
        match form(head.headers)? {
            Form::No => self.asked(head, None).map(Reading::Asked),
            Form::Perhaps => Ok(Reading::NeedsBody),
        }
    }

    fn read_with_body(&self, head: &Head<'_>, body: &Bytes) -> Result<Asked, NotUnderstood> {
        self.asked(head, Some(body))
    }

    fn takes_acs_bearer(&self) -> bool {
        true
    }
}

/// Whether the upstream could find parameters in a body.
enum Form {
    /// It is said to be something else.
    No,
    /// It is a form, or nothing says what it is: then it is read.
    Perhaps,
}

/// What the body is, by its head. A body that an upstream could take for a form and that is not read here letter by
/// letter (parts, another alphabet, compressed) could name an operation that was not decided on: it is refused.
fn form(headers: &HeaderMap) -> Result<Form, NotUnderstood> {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let Some(named) = types.next() else { return unencoded(headers) };
    if types.next().is_some() {
        return Err(NotUnderstood::Ambiguous("the type of the body"));
    }
    let text = named.to_str().map_err(|_| BODY_TYPE)?.to_ascii_lowercase();
    if text.contains("multipart") {
        return Err(BODY_TYPE);
    }
    if !text.contains("form-urlencoded") {
        return Ok(Form::No);
    }
    let charsets = text.split(';').skip(1).map(str::trim).filter(|part| part.starts_with("charset"));
    let plain = |part: &str| part == "charset=utf-8" || part == "charset=\"utf-8\"";
    if charsets.into_iter().all(plain) { unencoded(headers) } else { Err(BODY_TYPE) }
}

fn unencoded(headers: &HeaderMap) -> Result<Form, NotUnderstood> {
    if headers.contains_key(header::CONTENT_ENCODING) { Err(BODY_TYPE) } else { Ok(Form::Perhaps) }
}

const BODY_TYPE: NotUnderstood = NotUnderstood::Malformed {
    what: "the body's type",
    expected: "JSON, bytes, or a plain urlencoded form in UTF-8",
};

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

/// The one `Action` parameter. Names are compared in any letter case and without blanks around them, and a
/// semicolon ends a parameter too, since some upstreams read so.
fn single_parameter(form: &[u8]) -> Result<Option<String>, NotUnderstood> {
    let mut values = url::form_urlencoded::parse(form).filter(|(name, _)| is_action(name));
    let value = values.next().map(|(_, value)| value.into_owned());
    let twice = values.next().is_some();
    let pieces = form.split(|byte| matches!(byte, b'&' | b';'));
    let names = pieces.filter_map(|piece| url::form_urlencoded::parse(piece).next());
    let named = names.filter(|(name, _)| is_action(name)).count();
    if twice || named > usize::from(value.is_some()) {
        return Err(NotUnderstood::Ambiguous("the operation"));
    }
    Ok(value)
}

fn is_action(name: &str) -> bool {
    name.trim_matches(|c: char| c.is_whitespace() || c.is_control()).eq_ignore_ascii_case("action")
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
        read_typed(header, query, form, &[("content-type", "application/x-www-form-urlencoded")])
    }

    /// As after cleaning: nothing in the headers says how the body is framed.
    fn read_typed(
        header: Option<&'static str>,
        query: Option<&str>,
        form: Option<&str>,
        about_body: &[(&'static str, &'static str)],
    ) -> Result<String, NotUnderstood> {
        let mut headers = HeaderMap::new();
        if let Some(header) = header {
            headers.insert("x-acs-action", HeaderValue::from_static(header));
        }
        for (name, value) in about_body.iter().filter(|_| form.is_some()) {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let (acs, parameters) = (Acs::new("ecs"), Parameters::default());
        let has_body = form.is_some();
        let head =
            Head { method: &Method::POST, query, headers: &headers, has_body, parameters: &parameters };
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
            (Some("DescribeInstances"), Some("x=1;Action=DeleteInstance"), None),
            (Some("DescribeInstances"), Some("+Action=DeleteInstance"), None),
            (None, Some("Action=DescribeInstances;Action=DeleteInstance"), None),
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

    #[test]
    fn a_body_that_is_no_form_is_left_alone() {
        for about in [
            &[("content-type", "application/json")][..],
            &[("content-type", "application/octet-stream"), ("content-encoding", "gzip")],
        ] {
            let body = Some("{\"Action\":\"x\"}");
            assert_eq!(
                read_typed(Some("DescribeInstances"), None, body, about).unwrap(),
                "ecs:DescribeInstances"
            );
        }
        let about = [("content-type", "application/x-www-form-urlencoded; charset=UTF-8")];
        let read = read_typed(None, None, Some("Action=DescribeInstances"), &about);
        assert_eq!(read.unwrap(), "ecs:DescribeInstances");
    }

    #[test]
    fn a_form_that_another_reader_could_read_otherwise_is_refused() {
        for about in [
            &[("content-type", "application/x-www-form-urlencoded; charset=ibm037")][..],
            &[("content-type", "application/x-www-form-urlencoded"), ("content-encoding", "gzip")],
            &[("content-encoding", "gzip")],
            &[("content-type", "multipart/form-data; boundary=x")],
            &[("content-type", "application/json"), ("content-type", "application/x-www-form-urlencoded")],
        ] {
            let read = read_typed(Some("DescribeInstances"), None, Some("whatever"), about);
            assert!(read.is_err(), "{about:?}");
        }
    }
}
