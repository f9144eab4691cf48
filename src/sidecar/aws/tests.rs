//! What is said once is understood; what is said twice, or not known, is refused.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::*;
use crate::config::route;
use crate::model::call::Action;
use crate::policy::reload::Current;
use crate::sidecar::adapter::{Adapter, Asked, Head, Parameters, Reading, for_route};
use crate::sidecar::route::Means;

/// Reading them takes a while.
static POLICIES: LazyLock<Arc<Current>> =
    LazyLock::new(|| Current::fixed(crate::policy::Policies::embedded().unwrap()));

const ACME: &str = "1000000000000001";

/// A request, for a route that takes any service.
#[derive(Clone)]
struct Asking {
    method: Method,
    host: &'static str,
    target: &'static str,
    headers: Vec<(&'static str, String)>,
    body: Option<&'static str>,
    only: Option<Service>,
}

impl Asking {
    fn new(method: Method, target: &'static str) -> Self {
        Self { method, host: "127.0.0.1", target, headers: Vec::new(), body: None, only: None }
    }

    fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// Signed for a service.
    fn signed(self, service: &str) -> Self {
        let value = format!(
            "AWS4-HMAC-SHA256 Credential=STS.x/20261122/eu-central-1/{service}/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature={}",
            "0".repeat(64)
        );
        self.header("authorization", &value)
    }

    fn body(mut self, kind: &str, body: &'static str) -> Self {
        self.body = Some(body);
        self.header("content-type", kind)
    }

    fn read(&self) -> Result<Asked, NotUnderstood> {
        let accounts = BTreeMap::from([(ACME.parse().unwrap(), "123456789012".parse().unwrap())]);
        let names = Names::new(Arc::new(accounts), "apps.example".to_owned());
        let adapter: Box<dyn Adapter> = {
            let mut means = Means::new(Arc::clone(&POLICIES));
            means.names = names;
            for_route(route::Adapter::Aws { service: self.only }, &means)
        };
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        let (path, query) = match self.target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (self.target, None),
        };
        let parameters = Parameters::default();
        let head = Head {
            method: &self.method,
            host: self.host,
            path,
            query,
            headers: &headers,
            has_body: self.body.is_some(),
            parameters: &parameters,
        };
        match adapter.read(&head)? {
            Reading::Asked(asked) => Ok(asked),
            Reading::NeedsBody => {
                adapter.read_with_body(&head, &Bytes::from_static(self.body.unwrap_or("").as_bytes()))
            }
        }
    }

    fn asked(&self) -> (String, String, Option<String>) {
        let Asked { action, resource, account, .. } = self.read().unwrap();
        (action.to_string(), resource, account.map(|account| account.to_string()))
    }
}

fn s3(method: Method, target: &'static str) -> Asking {
    Asking::new(method, target).signed("s3")
}

fn form(body: &'static str) -> Asking {
    Asking::new(Method::POST, "/").body("application/x-www-form-urlencoded; charset=utf-8", body)
}

fn json(target: &str, body: &'static str) -> Asking {
    let asking = Asking::new(Method::POST, "/").header("x-amz-target", target);
    asking.body("application/x-amz-json-1.0", body)
}

fn plain(action: &str, resource: &str) -> (String, String, Option<String>) {
    (action.to_owned(), resource.to_owned(), None)
}

fn own(action: &str, resource: &str) -> (String, String, Option<String>) {
    (action.to_owned(), resource.to_owned(), Some(ACME.to_owned()))
}

#[test]
fn objects_are_named_by_method_path_and_query() {
    for (asking, action, resource) in [
        (s3(Method::GET, "/"), "s3:ListBuckets", "*"),
        (s3(Method::GET, "/reports"), "s3:ListObjects", "reports"),
        (s3(Method::GET, "/reports/?list-type=2&prefix=a%2Fb"), "s3:ListObjectsV2", "reports"),
        (s3(Method::GET, "/reports?acl"), "s3:GetBucketAcl", "reports"),
        (s3(Method::GET, "/reports?inventory&id=1"), "s3:GetBucketInventoryConfiguration", "reports"),
        (s3(Method::GET, "/reports?inventory"), "s3:ListBucketInventoryConfigurations", "reports"),
        (s3(Method::PUT, "/reports/a%20b/%C3%BC.txt"), "s3:PutObject", "reports/a b/ü.txt"),
        (s3(Method::PUT, "/reports/k?partNumber=1&uploadId=x"), "s3:UploadPart", "reports/k"),
        (s3(Method::GET, "/reports/k?uploadId=x"), "s3:ListParts", "reports/k"),
        (s3(Method::POST, "/reports/k?uploads="), "s3:CreateMultipartUpload", "reports/k"),
        (s3(Method::HEAD, "/reports/folder/"), "s3:HeadObject", "reports/folder/"),
        (s3(Method::POST, "/reports?delete"), "s3:DeleteObjects", "reports"),
        (s3(Method::GET, "/reports/k?x-id=GetObject"), "s3:GetObject", "reports/k"),
        (s3(Method::PUT, "/reports/k").header("x-amz-copy-source", "abc/b"), "s3:CopyObject", "reports/k"),
        (s3(Method::PUT, "/reports/k").header("x-amz-acl", "private"), "s3:PutObject", "reports/k"),
    ] {
        assert_eq!(asking.asked(), plain(action, resource), "{}", asking.target);
    }
    let expected = s3(Method::GET, "/reports").header("x-amz-expected-bucket-owner", "123456789012");
    assert_eq!(expected.asked(), own("s3:ListObjects", "reports"));
}

#[test]
fn an_object_that_could_be_another_or_another_operation_is_refused() {
    for asking in [
        s3(Method::GET, "/reports?acl&policy"),
        s3(Method::GET, "/reports/k?acl&uploadId=x"),
        s3(Method::GET, "/reports?unheard-of"),
        s3(Method::GET, "/reports?ACL"),
        s3(Method::GET, "/reports?%61cl"),
        s3(Method::GET, "/reports?acl&acl"),
        s3(Method::GET, "/reports?prefix=a;acl"),
        s3(Method::GET, "/reports/k?x-id=DeleteObject"),
        s3(Method::GET, "/reports?list-type=3"),
        s3(Method::GET, "/reports/k?X-Amz-Signature=1"),
        s3(Method::GET, "/reports/k?AWSAccessKeyId=1&Signature=1"),
        s3(Method::POST, "/reports"),
        s3(Method::PUT, "/reports/a+b"),
        s3(Method::PATCH, "/reports/k"),
        s3(Method::GET, "/a"),
        s3(Method::GET, "/arn%3Aaws%3As3%3A%3A%3Ab/k"),
        s3(Method::GET, "/reports/k").header("x-amz-copy-source", "a/b"),
        s3(Method::PUT, "/reports/k").header("x-amz-acl", "public-read"),
        s3(Method::PUT, "/reports/k").header("x-amz-grant-read", "uri=all"),
        s3(Method::GET, "/reports").header("x-amz-expected-bucket-owner", "999999999999"),
        s3(Method::GET, "/reports").header("x-amz-target", "DynamoDB_20120810.GetItem"),
        Asking { host: "reports.s3.eu-central-1.amazonaws.com", ..s3(Method::GET, "/k") },
        Asking { host: "reports.apps.example", ..s3(Method::GET, "/kkk") },
        Asking { only: Some(Service::S3), ..Asking::new(Method::PUT, "/reports/k") }
            .header("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
    ] {
        assert!(asking.read().is_err(), "{} {:?}", asking.target, asking.headers);
    }
}

#[test]
fn tables_are_named_in_the_body() {
    for (operation, body, resource) in [
        ("GetItem", r#"{"TableName":"orders","Key":{"id":{"S":"1"}}}"#, plain("", "table/orders")),
        (
            "GetItem",
            r#"{"TableName":"arn:aws:dynamodb:r:123456789012:table/orders"}"#,
            own("", "table/orders"),
        ),
        (
            "DescribeBackup",
            r#"{"BackupArn":"arn:aws:dynamodb:r:123456789012:table/o/backup/1"}"#,
            own("", "table/o"),
        ),
        ("BatchGetItem", r#"{"RequestItems":{"orders":{"Keys":[]}}}"#, plain("", "table/orders")),
        (
            "TransactWriteItems",
            r#"{"TransactItems":[{"Put":{"TableName":"a"}},{"Delete":{"TableName":"a"}}]}"#,
            plain("", "table/a"),
        ),
        ("ListTables", "{}", plain("", "*")),
    ] {
        let (_, name, account) = resource;
        let asked = json(&format!("DynamoDB_20120810.{operation}"), body).asked();
        assert_eq!(asked, (format!("dynamodb:{operation}"), name, account), "{body}");
    }
}

#[test]
fn what_is_done_to_several_is_asked_for_each() {
    let batch = json("DynamoDB_20120810.BatchGetItem", r#"{"RequestItems":{"orders":{},"secrets":{}}}"#);
    let asked = batch.read().unwrap();
    assert_eq!((asked.resource.as_str(), asked.also), ("table/orders", vec!["table/secrets".to_owned()]));
    // What is named without an account is the caller's: another one's beside it is decided on, and denied, for both.
    let mixed = r#"{"RequestItems":{"orders":{},"arn:aws:dynamodb:r:123456789012:table/secrets":{}}}"#;
    let mixed = json("DynamoDB_20120810.BatchGetItem", mixed).read().unwrap();
    assert_eq!((mixed.also.len(), mixed.account.unwrap().as_str()), (1, ACME));
    let copied = |source: &str| s3(Method::PUT, "/reports/k").header("x-amz-copy-source", source).read();
    for source in ["/other/a%20b?versionId=1", "other/a%20b"] {
        let asked = copied(source).unwrap();
        assert_eq!(asked.also, ["other/a b"], "{source}");
        // Whoever copies reads: what no one may read is copied by no one.
        assert_eq!(asked.copied, Some((Action::new("s3:GetObject"), "other/a b".to_owned())), "{source}");
    }
    for source in ["other", "arn:aws:s3:::x/y", "other/../x", "other/a?b", "/"] {
        assert!(copied(source).is_err(), "{source}");
    }
}

#[test]
fn a_table_that_could_be_another_is_refused() {
    for (operation, body) in [
        ("GetItem", r#"{"TableName":"orders","TableName":"secrets"}"#),
        ("GetItem", r#"{"Key":{}}"#),
        ("GetItem", r#"{"TableName":["orders"]}"#),
        ("GetItem", r#"{"TableName":"orders"} {"TableName":"secrets"}"#),
        ("GetItem", r#"{"TableName":"or*"}"#),
        ("GetItem", "TableName=orders"),
        ("GetItem", r#"{"TableName":"arn:aws:s3:::orders"}"#),
        ("GetItem", r#"{"TableName":"arn:aws:dynamodb:r:999999999999:table/orders"}"#),
        ("TransactGetItems", r#"{"TransactItems":[{"Get":{}}]}"#),
    ] {
        assert!(json(&format!("DynamoDB_20120810.{operation}"), body).read().is_err(), "{body}");
    }
    let good = json("DynamoDB_20120810.GetItem", r#"{"TableName":"orders"}"#);
    assert!(good.read().is_ok());
    for bad in [
        good.clone().header("x-amz-target", "DynamoDB_20120810.PutItem"),
        good.clone().header("content-encoding", "gzip"),
        good.clone().signed("sqs"),
        Asking { target: "/?Action=PutItem", ..good.clone() },
        Asking { only: Some(Service::S3), ..good.clone() },
        Asking { method: Method::GET, ..good.clone() },
        json("DynamoDB_20120810.Get/Item", r#"{"TableName":"orders"}"#),
        json("DynamoDB_20991231.GetItem", r#"{"TableName":"orders"}"#),
        json("GetItem", r#"{"TableName":"orders"}"#),
    ] {
        assert!(bad.read().is_err(), "{:?}", bad.headers);
    }
}

#[test]
fn queues_are_named_by_address_or_name_in_both_protocols() {
    let address = "https://sqs.eu-central-1.amazonaws.com/123456789012/jobs";
    let in_json = json("AmazonSQS.SendMessage", r#"{"QueueUrl":"http://127.0.0.1:1/123456789012/jobs"}"#);
    assert_eq!(in_json.asked(), own("sqs:SendMessage", "jobs"));
    let named = json("AmazonSQS.CreateQueue", r#"{"QueueName":"jobs"}"#);
    assert_eq!(named.asked(), plain("sqs:CreateQueue", "jobs"));
    assert_eq!(json("AmazonSQS.ListQueues", "{}").asked(), plain("sqs:ListQueues", "*"));
    let in_form = form(
        "Action=SendMessage&Version=2012-11-05&QueueUrl=https%3A%2F%2Fsqs.eu-central-1.amazonaws.com%2F123456789012%2Fjobs",
    );
    assert_eq!(in_form.asked(), own("sqs:SendMessage", "jobs"));
    let by_path = Asking { target: "/123456789012/jobs", ..form("Action=SendMessage&Version=2012-11-05") };
    assert_eq!(by_path.asked(), own("sqs:SendMessage", "jobs"));
    for bad in [
        json("AmazonSQS.SendMessage", "{}"),
        json("AmazonSQS.SendMessage", r#"{"QueueUrl":"http://a/999999999999/jobs"}"#),
        json("AmazonSQS.SendMessage", r#"{"QueueUrl":"http://a/123456789012/jobs","QueueName":"other"}"#),
        json("AmazonSQS.SendMessage", r#"{"QueueUrl":"http://a/123456789012/jobs/x"}"#),
        Asking { target: "/123456789012/other", ..in_form.clone() },
        Asking { target: "/123456789012/other", ..in_json.clone() },
    ] {
        assert!(bad.read().is_err(), "{} {address}", bad.target);
    }
}

#[test]
fn the_query_protocol_names_its_operation_once() {
    assert_eq!(
        form("Action=GetCallerIdentity&Version=2011-06-15").asked(),
        plain("sts:GetCallerIdentity", "*")
    );
    let assume =
        "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Freports";
    assert_eq!(form(assume).asked(), own("sts:AssumeRole", "role/reports"));
    let servers = form("Action=StopInstances&Version=2016-11-15&InstanceId.1=i-1");
    assert_eq!(servers.asked(), plain("ec2:StopInstances", "instance/i-1"));
    let get = Asking::new(Method::GET, "/?Action=DescribeInstances&Version=2016-11-15").signed("ec2");
    assert_eq!(get.asked(), plain("ec2:DescribeInstances", "*"));
    for bad in [
        form("Version=2011-06-15"),
        form("Action=GetCallerIdentity"),
        form("Action=GetCallerIdentity&Version=2011-06-15").signed("ec2"),
        form("Action=GetCallerIdentity&Action=AssumeRole&Version=2011-06-15"),
        form("Action=GetCallerIdentity&action=AssumeRole&Version=2011-06-15"),
        form("Action=GetCallerIdentity;Action=AssumeRole&Version=2011-06-15"),
        form("Action=GetCallerIdentity&%20Action=AssumeRole&Version=2011-06-15"),
        form("Action=Get+Caller&Version=2011-06-15"),
        Asking { target: "/?Action=AssumeRole", ..form("Action=GetCallerIdentity&Version=2011-06-15") },
        Asking { target: "/elsewhere", ..form("Action=GetCallerIdentity&Version=2011-06-15") },
        form("Action=GetCallerIdentity&Version=2011-06-15").header("content-encoding", "gzip"),
        form("Action=GetCallerIdentity&Version=2011-06-15").header("content-type", "multipart/form-data"),
        Asking::new(Method::POST, "/").signed("sts").body("text/plain", "Action=GetCallerIdentity"),
        Asking::new(Method::GET, "/?Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Signature=1"),
        form("Action=ListUsers&Version=2010-05-08").signed("iam"),
        form("Action=PutObject&Version=2006-03-01").signed("dynamodb"),
    ] {
        assert!(bad.read().is_err(), "{} {:?} {:?}", bad.target, bad.body, bad.headers);
    }
}

#[test]
fn functions_are_named_by_the_path() {
    let lambda = |method, target| Asking::new(method, target).signed("lambda");
    for (asking, asked) in [
        (lambda(Method::GET, "/2015-03-31/functions/"), plain("lambda:ListFunctions", "*")),
        (lambda(Method::GET, "/2015-03-31/functions/report"), plain("lambda:GetFunction", "function/report")),
        (
            lambda(Method::POST, "/2015-03-31/functions/report:live/invocations")
                .body("application/json", "{}"),
            plain("lambda:Invoke", "function/report"),
        ),
        (
            lambda(
                Method::GET,
                "/2015-03-31/functions/arn%3Aaws%3Alambda%3Ar%3A123456789012%3Afunction%3Areport%3A1",
            ),
            own("lambda:GetFunction", "function/report"),
        ),
        (
            lambda(Method::POST, "/2015-03-31/functions").body(
                "application/json",
                r#"{"FunctionName":"new","Role":"arn:aws:iam::123456789012:role/r"}"#,
            ),
            own("lambda:CreateFunction", "function/new"),
        ),
    ] {
        assert_eq!(asking.asked(), asked, "{}", asking.target);
    }
    for bad in [
        lambda(Method::GET, "/2015-03-31/functions/a:b:c:d"),
        lambda(Method::GET, "/2015-03-31/functions/report?unheard-of=1"),
        lambda(Method::GET, "/2099-01-01/functions/report"),
        lambda(Method::POST, "/2015-03-31/functions").body("application/json", "{}"),
        lambda(
            Method::GET,
            "/2015-03-31/functions/arn%3Aaws%3Alambda%3Ar%3A999999999999%3Afunction%3Areport",
        ),
    ] {
        assert!(bad.read().is_err(), "{}", bad.target);
    }
}

#[test]
fn all_that_a_request_names_must_be_allowed_and_what_cannot_be_read_is_refused() {
    let mut wrong = Vec::new();
    for case in CASES.lines().filter(|line| !line.starts_with('#')) {
        let columns: Vec<&'static str> = case.split(" | ").collect();
        let [service, method, target, header, body, expected] = columns.as_slice() else {
            panic!("{case}");
        };
        let asking = match *service {
            "s3" | "lambda" => {
                let kind = if *service == "s3" { "application/xml" } else { "application/json" };
                let asking = Asking::new(method.parse().unwrap(), target).signed(service);
                if *body == "-" { asking } else { asking.body(kind, body) }
            }
            "dynamodb" => json(&format!("DynamoDB_20120810.{method}"), body),
            "sqs" => json(&format!("AmazonSQS.{method}"), body),
            _ => {
                let path = if *target == "-" { "/" } else { target };
                let body = Box::leak(format!("{method}&{body}").into_boxed_str());
                Asking { target: path, ..form(body) }
            }
        };
        let asking = match header.split_once(": ") {
            Some((name, value)) => asking.header(name, value),
            None => asking,
        };
        let (found, why) = match asking.read() {
            Ok(Asked { resource, also, .. }) => ([vec![resource], also].concat().join(" "), None),
            Err(why) => ("refused".to_owned(), Some(why)),
        };
        if found != *expected {
            wrong.push(format!("{case}\n  is: {found} {why:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const CASES: &str = include_str!("cases.txt");

#[test]
fn every_action_of_a_scope_of_aws_has_its_places() {
    let (places, policies) = (Places::all(), crate::policy::Policies::embedded().unwrap());
    let files = policies.texts().filter(|(path, _)| path.starts_with("scopes/"));
    let mut count = 0;
    for (path, text) in files {
        let file: serde_json::Value = serde_json::from_str(text).unwrap();
        let scopes = file["scopes"].as_array().unwrap().iter();
        let aws = scopes.filter(|scope| scope["scope"].as_str().unwrap().starts_with("/aws/"));
        for action in aws.flat_map(|scope| scope["actions"].as_array().cloned().unwrap_or_default()) {
            assert!(places.of(action.as_str().unwrap()).is_ok(), "{path}: {action} has no places");
            count += 1;
        }
    }
    assert!(count > 300, "{count}");
}

#[test]
fn every_request_of_the_tables_is_an_action_of_a_scope() {
    let policies = crate::policy::Policies::embedded().unwrap();
    let catalogue = policies.catalogue();
    for service in [Service::S3, Service::Lambda] {
        for action in Requests::of(service).actions() {
            assert!(catalogue.knows_action(action), "{action} is in no scope");
        }
    }
}
