//! The cloud's own protocol: the RPC style, one path for a product with the operation named in a header, the query or a
//! form body; and the ROA style, where method and path mean an operation by the product's description.
//!
//! Real clients name the operation in up to three places at once. All that are there must agree, since the upstream
//! reads whichever it prefers.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, header};

use super::{Adapter, Asked, Head, NotUnderstood, Reading, Shaped};
use crate::model::call::Action;
use crate::net::body::Inbound;
use crate::policy::calls::Calls;
use crate::policy::reload::Current;
use crate::sidecar::acs::parameters::Facts;
use crate::sidecar::acs::tell;
use crate::sidecar::refuse::Told;
use crate::sidecar::signed::Schemes;

/// A product's route.
pub(super) struct Acs {
    product: String,
    policies: Arc<Current>,
}

impl Acs {
    pub(super) fn new(product: &str, policies: &Arc<Current>) -> Self {
        Self { product: product.to_owned(), policies: Arc::clone(policies) }
    }

    fn asked(&self, head: &Head<'_>, form: Option<&[u8]>) -> Result<Asked, NotUnderstood> {
        let policies = self.policies.policies();
        let undescribed = Calls::default();
        let calls = policies.catalogue().calls(&self.product).unwrap_or(&undescribed);
        let (mut query, mut body) = (Facts::default(), Facts::default());
        query.take(head.query.unwrap_or_default().as_bytes(), calls)?;
        body.take(form.unwrap_or_default(), calls)?;
        let facts = query.with(body, calls)?;
        if facts.credential && is_proven_by_header(head.headers) {
            return Err(NotUnderstood::Ambiguous("the credential"));
        }
        let version =
            one(facts.version.as_deref(), text_header(head.headers, "x-acs-version")?, "the version")?;
        if version.is_some_and(|version| !calls.knows_version(version)) {
            return Err(NotUnderstood::Malformed { what: "the version", expected: "one of the product's" });
        }
        let named = text_header(head.headers, "x-acs-action")?;
        let named = one(facts.operation.as_deref(), named, "the operation")?;
        let (operation, place) = match head.parameters.get(ROA) {
            None => (named.ok_or(NotUnderstood::NoOperation)?, None),
            Some(path) => {
                let meant = calls.meant(head.method.as_str(), path).ok_or(NotUnderstood::NoOperation)?;
                (one(Some(meant.operation), named, "the operation")?.unwrap_or_default(), meant.resource)
            }
        };
        let plain = operation.bytes().all(|byte| byte.is_ascii_alphanumeric()) && operation.len() <= 100;
        if operation.is_empty() || !plain {
            return Err(NotUnderstood::Malformed { what: "the operation", expected: "letters and digits" });
        }
        let action = Action::new(format!("{}:{operation}", self.product));
        let mut resources = place.into_iter().chain(facts.resources);
        let resource = resources.next().unwrap_or_else(|| "*".to_owned());
        Ok(Asked {
            action,
            resource,
            also: resources.collect(),
            under: None,
            copied: None,
            region: facts.region,
            account: facts.account,
        })
    }
}

impl Adapter for Acs {
    fn read(&self, head: &Head<'_>) -> Result<Reading, NotUnderstood> {
        let in_path = head.parameters.get(ROA).is_some();
        if !in_path && head.method != Method::POST && head.method != Method::GET {
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

    fn signatures(&self) -> Option<Schemes> {
        Some(Schemes::Acs)
    }

    fn tell(&self, told: &Told<'_>, request: Option<&Request<Inbound>>) -> Option<Shaped> {
        tell::shaped(told, request)
    }
}

/// What is named once, or twice alike.
fn one<'a>(
    a: Option<&'a str>,
    b: Option<&'a str>,
    what: &'static str,
) -> Result<Option<&'a str>, NotUnderstood> {
    match (a, b) {
        (Some(a), Some(b)) if a != b => Err(NotUnderstood::Ambiguous(what)),
        (Some(one), _) | (None, Some(one)) => Ok(Some(one)),
        (None, None) => Ok(None),
    }
}

/// Whether a header carries a credential: then none among the parameters can be meant.
fn is_proven_by_header(headers: &HeaderMap) -> bool {
    headers.contains_key(header::AUTHORIZATION) || headers.contains_key("x-acs-bearer-token")
}

/// The part of a route's path that holds a path of the ROA style.
const ROA: &str = "path";

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

fn text_header<'h>(headers: &'h HeaderMap, name: &'static str) -> Result<Option<&'h str>, NotUnderstood> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(NotUnderstood::Ambiguous(if name == "x-acs-action" {
            "the operation"
        } else {
            "the version"
        }));
    }
    value.to_str().map(Some).map_err(|_| NotUnderstood::Malformed { what: name, expected: "plain text" })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::super::Parameters;
    use super::*;
    use crate::policy::Policies;
    use crate::policy::reload::Reread;

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
        let policies = Current::fixed(Policies::embedded().unwrap());
        let (acs, parameters) = (Acs::new("ecs", &policies), Parameters::default());
        let has_body = form.is_some();
        let head = Head {
            method: &Method::POST,
            host: "",
            path: "/",
            query,
            headers: &headers,
            has_body,
            parameters: &parameters,
        };
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
            (None, Some("Version=2014-05-26&Action=DescribeInstances"), None),
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
        assert_eq!(read(None, Some("Version=2014-05-26"), None), Err(NotUnderstood::NoOperation));
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

    fn asked(query: &str, form: &str) -> Result<Asked, NotUnderstood> {
        let (acs, parameters, headers) = (ecs(), Parameters::default(), HeaderMap::new());
        let query = Some(query);
        let head = Head {
            method: &Method::POST,
            host: "",
            path: "/",
            query,
            headers: &headers,
            has_body: true,
            parameters: &parameters,
        };
        acs.read_with_body(&head, &Bytes::from(form.to_owned()))
    }

    #[test]
    fn what_a_call_is_about_is_read_where_the_product_says() {
        let one = asked("Action=StopInstance&InstanceId=i-1&RegionId=cn-hangzhou&OwnerId=1001", "").unwrap();
        assert_eq!((one.resource.as_str(), one.region.as_deref()), ("instance/i-1", Some("cn-hangzhou")));
        assert_eq!((one.account.unwrap().as_str(), one.also.len()), ("1001", 0));
        let twice = asked("Action=StopInstance&RegionId=cn-hangzhou", "RegionId=cn-hangzhou").unwrap();
        assert_eq!(twice.region.as_deref(), Some("cn-hangzhou"));
        let two =
            asked("Action=AttachDisk&InstanceId=i-1&InstanceId.2=i-2", "DiskId=d-1&InstanceId=i-1").unwrap();
        let mut all = two.also;
        all.push(two.resource);
        all.sort();
        all.dedup();
        assert_eq!(all, ["disk/d-1", "instance/i-1", "instance/i-2"]);
        let list = asked("Action=DescribeInstances&InstanceIds=%5B%22i-1%22,%22i-2%22%5D", "").unwrap();
        assert_eq!(
            (list.resource.as_str(), list.also.as_slice()),
            ("instance/i-1", &["instance/i-2".to_owned()][..])
        );
        assert_eq!(asked("Action=DescribeInstances", "").unwrap().resource, "*");
    }

    #[test]
    fn each_of_a_list_is_asked_for_wherever_the_operation_has_it() {
        for (query, form, all) in [
            (
                "Action=TagResources&ResourceType=instance&ResourceId.1=i-1&ResourceId.2=i-2&Tag.1.Key=a",
                "",
                &["instance/i-1", "instance/i-2"][..],
            ),
            // Wherever the kind is said, and however it is written.
            ("Action=UntagResources&ResourceId.1=d-1", "ResourceType=Disk", &["disk/d-1"]),
            (
                "Action=StartInstances&InstanceId.1=i-1&InstanceId.2=i-2",
                "",
                &["instance/i-1", "instance/i-2"],
            ),
            (
                "Action=RunInstances&ImageId=m-1&NetworkInterface.1.SecurityGroupIds.1=sg-1&DataDisk.2.SnapshotId=s-1",
                "VSwitchId=vsw-1",
                &["image/m-1", "securitygroup/sg-1", "snapshot/s-1", "vswitch/vsw-1"],
            ),
            (
                "Action=AuthorizeSecurityGroup&SecurityGroupId=sg-1&Permissions.1.SourceGroupId=sg-2",
                "",
                &["securitygroup/sg-1", "securitygroup/sg-2"],
            ),
            (
                "Action=DescribeSecurityGroups&SecurityGroupIds=%5B%22sg-1%22,%22sg-2%22%5D",
                "",
                &["securitygroup/sg-1", "securitygroup/sg-2"],
            ),
            (
                "Action=ModifyInstanceAttribute&InstanceId=i-1&SecurityGroupIds.1=sg-1",
                "",
                &["instance/i-1", "securitygroup/sg-1"],
            ),
            (
                "Action=RunCommand&InstanceId.1=i-1&ResourceTag.1.Key=all&ResourceTag.1.Value=x",
                "",
                &["instance/i-1", "instance-by-tag/all"],
            ),
            ("Action=DescribeInstances&ResourceType=instance", "", &["*"]),
        ] {
            let asked = asked(query, form).unwrap();
            let found: Vec<String> = std::iter::once(asked.resource).chain(asked.also).collect();
            assert_eq!(found, all, "{query} {form}");
        }
        for (query, form) in [
            ("ResourceId.1=i-1", ""),
            ("ResourceType=instance&ResourceId.1=i-1", "ResourceType=disk"),
            ("ResourceType=instance&resourcetype=disk&ResourceId.1=i-1", ""),
            ("ResourceType.1=instance&ResourceId.1=i-1", ""),
            ("ResourceType=&ResourceId.1=i-1", ""),
            ("ResourceType=instance/x&ResourceId.1=i-1", ""),
            ("ResourceType=instance&ResourceId.1=i-1,i-2", ""),
            ("ResourceType=instance&ResourceId=%5B%22i-1%22%5D", ""),
            ("SecurityGroupId=sg-1,sg-2", ""),
            ("SecurityGroupIds.1=%5B%22sg-1%22", ""),
        ] {
            assert!(asked(&format!("Action=TagResources&{query}"), form).is_err(), "{query} {form}");
        }
    }

    #[test]
    fn what_could_be_about_two_things_is_refused() {
        for (query, form) in [
            ("InstanceId=i-1&InstanceId=i-2", ""),
            ("InstanceId=i-1", "InstanceId=i-2"),
            ("InstanceId=i-1&instanceid=i-2", ""),
            ("InstanceId=i-1;InstanceId=i-2", ""),
            ("x=1;InstanceId=i-2", ""),
            ("InstanceId.1=i-1", "InstanceId.1=i-2"),
            ("RegionId=cn-hangzhou&RegionId.1=cn-beijing", ""),
            ("RegionId.1=cn-beijing", ""),
            ("RegionId=cn-hangzhou&1.RegionId=cn-beijing", ""),
            ("RegionId=cn-hangzhou", "RegionId.1=cn-beijing"),
            ("RegionId=cn-hangzhou", "regionid=cn-beijing"),
            ("OwnerId=1&ResourceOwnerId=2", ""),
            ("OwnerId=1", "ResourceOwnerId=2"),
            ("Version=2014-05-26", "Version=2015-01-09"),
            ("Version=2015-01-09", ""),
            ("InstanceIds=i-1", ""),
            ("InstanceId=i-1%0a", ""),
            ("OwnerId=a/b", ""),
        ] {
            assert!(asked(&format!("Action=StopInstance&{query}"), form).is_err(), "{query} {form}");
        }
    }

    #[test]
    fn a_credential_among_the_parameters_is_none_beside_a_bearer_token() {
        let (acs, parameters) = (ecs(), Parameters::default());
        let of = |query: &'static str, name: &'static str| {
            let headers = HeaderMap::from_iter([(
                http::HeaderName::from_static(name),
                HeaderValue::from_static("Bearer t"),
            )]);
            let (method, query) = (&Method::POST, Some(query));
            acs.read(&Head {
                method,
                host: "",
                path: "/",
                query,
                headers: &headers,
                has_body: false,
                parameters: &parameters,
            })
            .is_ok()
        };
        for name in ["authorization", "x-acs-bearer-token"] {
            assert!(of("Action=StopInstance", name));
            for credential in ["SecurityToken=t", "Signature=s", "AccessKeyId=a", "BearerToken=t"] {
                assert!(!of(Box::leak(format!("Action=StopInstance&{credential}").into_boxed_str()), name));
            }
        }
    }

    #[test]
    fn in_the_roa_style_the_path_says_what_is_done_and_nothing_may_say_otherwise() {
        let embedded = Policies::embedded().unwrap();
        let mut files: Vec<_> =
            embedded.texts().map(|(path, text)| (path.to_owned(), text.to_owned())).collect();
        files.push(("scopes/cs.json".to_owned(), CLUSTERS.to_owned()));
        let policies = Current::fixed(embedded);
        assert_eq!(policies.take(files), Reread::Replaced);
        let acs = Acs::new("cs", &policies);
        let read = |method: Method,
                    path: &'static str,
                    action: Option<&'static str>,
                    query: Option<&'static str>| {
            let parameters = Parameters(vec![("path", path.into())]);
            let mut headers = HeaderMap::new();
            if let Some(action) = action {
                headers.insert("x-acs-action", HeaderValue::from_static(action));
            }
            let head = Head {
                method: &method,
                host: "",
                path,
                query,
                headers: &headers,
                has_body: false,
                parameters: &parameters,
            };
            match acs.read(&head)? {
                Reading::Asked(asked) => Ok(format!("{} {}", asked.action, asked.resource)),
                Reading::NeedsBody => Err(NotUnderstood::NoOperation),
            }
        };
        assert_eq!(
            read(Method::GET, "clusters/c-1", None, None).unwrap(),
            "cs:DescribeClusterDetail cluster/c-1"
        );
        let alike = read(Method::DELETE, "clusters/c-1", Some("DeleteCluster"), Some("Action=DeleteCluster"));
        assert_eq!(alike.unwrap(), "cs:DeleteCluster cluster/c-1");
        for (method, path, action, query) in [
            (Method::DELETE, "clusters/c-1", Some("DescribeClusterDetail"), None),
            (Method::DELETE, "clusters/c-1", None, Some("Action=DescribeClusterDetail")),
            (Method::PUT, "clusters/c-1", None, None),
            (Method::GET, "clusters/c-1/x", Some("DescribeClusterDetail"), None),
        ] {
            assert!(read(method.clone(), path, action, query).is_err(), "{method} {path}");
        }
    }

    fn ecs() -> Acs {
        Acs::new("ecs", &Current::fixed(Policies::embedded().unwrap()))
    }

    const CLUSTERS: &str = r#"{
        "service": "cs", "title": "Clusters",
        "scopes": [{ "scope": "/acs/cs", "title": "t", "consent": "c", "risk": { "level": "high", "why": "w" },
                     "actions": ["cs:DescribeClusterDetail", "cs:DeleteCluster"] }],
        "calls": { "paths": [
            { "method": "GET", "path": "/clusters/{Id}", "operation": "DescribeClusterDetail", "resource": "cluster/{Id}" },
            { "method": "DELETE", "path": "/clusters/{Id}", "operation": "DeleteCluster", "resource": "cluster/{Id}" }
        ] }
    }"#;
}
