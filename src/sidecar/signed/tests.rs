//! Signatures where clients put them, and what is wrong with those that are refused.

use http::{HeaderName, HeaderValue, Method};

use super::*;
use crate::net::canonical::{self, Rules};
use crate::sidecar::adapter::Parameters;
use crate::token::signature::{Parts, acs1, acs3 as third, parameters};

/// A request as a client sends it.
struct Sent {
    method: Method,
    target: String,
    headers: Vec<(&'static str, String)>,
    body: Option<Bytes>,
}

impl Sent {
    fn new(method: Method, target: &str, headers: &[(&'static str, &str)]) -> Self {
        let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Self { method, target: target.to_owned(), headers, body: None }
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    fn form(mut self, body: &str) -> Self {
        self.body = Some(Bytes::from(body.to_owned()));
        self.with("content-type", "application/x-www-form-urlencoded")
    }

    fn headers(&self) -> HeaderMap {
        let pair = |(name, value): &(&'static str, String)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        self.headers.iter().map(pair).collect()
    }

    fn uri(&self) -> Uri {
        self.target.parse().unwrap()
    }

    /// What is found of a signature, wherever it may be.
    fn found(&self) -> Result<Option<Signature>, NotProven> {
        self.found_on(&Parameters::default())
    }

    /// The same on a route whose path has parts that say something.
    fn found_on(&self, parameters: &Parameters<'_>) -> Result<Option<Signature>, NotProven> {
        let (headers, uri) = (self.headers(), self.uri());
        let head = Head {
            method: &self.method,
            host: "",
            path: uri.path(),
            query: uri.query(),
            headers: &headers,
            has_body: self.body.is_some(),
            parameters,
        };
        match find(Schemes::Acs, &head)? {
            Found::Here(signature) => Ok(Some(signature)),
            Found::Nowhere => Ok(None),
            Found::PerhapsInForm => find_in_form(Schemes::Acs, &head, self.body.as_ref().unwrap()),
        }
    }

    fn check(&self) -> Result<(), NotProven> {
        let signature = self.found()?.unwrap();
        let (headers, uri) = (self.headers(), self.uri());
        let received =
            Received { method: self.method.as_str(), uri: &uri, headers: &headers, body: self.body.as_ref() };
        signature.check(&signing(), &received)?;
        let body = self.body.as_ref().map_or(&b""[..], |body| body);
        if signature.payload().is_other_than(body) { Err(NotProven::OtherBody) } else { Ok(()) }
    }

    /// Whether the head fits by itself, while the body is still to come.
    fn check_head(&self) -> Result<(), NotProven> {
        let (headers, uri) = (self.headers(), self.uri());
        let received = Received { method: self.method.as_str(), uri: &uri, headers: &headers, body: None };
        self.found()?.unwrap().check(&signing(), &received)
    }
}

fn signing() -> Signing {
    let secret = Secret::new("secret".to_owned());
    Signing { access_key_id: "STS.key".into(), acs3: third::key(secret.expose()), secret }
}

fn rpc(method: &str, query: &str, form: &str) -> String {
    let signed = [parameters(query), parameters(form)].concat();
    let signature = acs1::rpc_signature("secret", method, &signed);
    url::form_urlencoded::Serializer::new(String::new()).append_pair("Signature", &signature).finish()
}

const RPC: &str = "AccessKeyId=STS.key&SecurityToken=t&SignatureMethod=HMAC-SHA1&SignatureVersion=1.0\
                   &SignatureNonce=n&Timestamp=2026-11-22T12:00:00Z&Version=2014-05-26";

#[test]
fn the_first_signature_is_found_among_the_parameters_of_query_and_form() {
    let query = format!("Action=StopInstance&{RPC}");
    let sent = Sent::new(Method::GET, &format!("/?{query}&{}", rpc("GET", &query, "")), &[]);
    assert_eq!(sent.check(), Ok(()));
    let named = sent.found().unwrap().unwrap();
    assert_eq!((named.named().access_key_id.as_str(), named.nonce()), ("STS.key", "n"));

    let form = format!("Action=StopInstance&{RPC}&InstanceId=i-1");
    let sent = Sent::new(Method::POST, "/", &[]).form(&format!("{form}&{}", rpc("POST", "", &form)));
    assert_eq!(sent.check(), Ok(()));
    let (query, form) = (format!("Action=StopInstance&{RPC}"), "InstanceId=i-1");
    let target = format!("/?{query}&{}", rpc("POST", &query, form));
    assert_eq!(Sent::new(Method::POST, &target, &[]).form(form).check(), Ok(()));
    assert_eq!(Sent::new(Method::POST, &target, &[]).form("InstanceId=i-2").check(), Err(NotProven::Wrong));
}

#[test]
fn the_first_signature_is_refused_where_it_does_not_say_what_is_done() {
    let incomplete = |query: &str, sent: fn(Sent) -> Sent| {
        let target = format!("/?{query}&{}", rpc("POST", query, ""));
        let refused = sent(Sent::new(Method::POST, &target, &[])).check();
        assert!(matches!(refused, Err(NotProven::Incomplete(_))), "{query}: {refused:?}");
    };
    let good = format!("Action=StopInstance&{RPC}");
    incomplete(RPC, |sent| sent);
    incomplete(&good.replace("&Version=2014-05-26", ""), |sent| sent);
    incomplete(&good.replace("&SignatureNonce=n", "&SignatureNonce="), |sent| sent);
    incomplete(&good.replace("HMAC-SHA1", "HMAC-MD5"), |sent| sent);
    incomplete(&good.replace("12:00:00Z", "12:00:00+08:00"), |sent| sent);
    incomplete(&format!("{good}&a=1&a=2"), |sent| sent);
    // A body that it does not cover.
    incomplete(&good, |mut sent| {
        sent.body = Some(Bytes::from_static(b"{}"));
        sent.with("content-type", "application/json")
    });
    // A path that means something is not covered by it either.
    let sent = Sent::new(Method::DELETE, &format!("/?{good}&{}", rpc("DELETE", &good, "")), &[]);
    let named = Parameters(vec![("path", "clusters/c-1".into())]);
    assert!(matches!(sent.found_on(&named), Err(NotProven::Incomplete(_))) && sent.found().is_ok());
    let unknown = good.replace("&SecurityToken=t", "");
    let target = format!("/?{unknown}&{}", rpc("POST", &unknown, ""));
    assert_eq!(Sent::new(Method::POST, &target, &[]).check(), Err(NotProven::UnknownKey));
}

fn roa(method: Method, target: &str, more: &[(&'static str, &str)], body: Option<&str>) -> Sent {
    let mut sent =
        Sent::new(method, target, &[("x-acs-security-token", "t"), ("x-acs-version", "2015-12-15")]);
    sent.headers.push(("accept", "application/json".to_owned()));
    sent.headers.push(("date", "Sun, 22 Nov 2026 12:00:00 GMT".to_owned()));
    sent.headers.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
    sent.body = body.map(|body| Bytes::from(body.to_owned()));
    let mut lines: Vec<(&str, &str)> =
        sent.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    lines.sort_unstable();
    let uri = sent.uri();
    let query = uri.query().unwrap_or_default();
    let parts = Parts { method: sent.method.as_str(), path: uri.path(), query, headers: &lines };
    let signature = acs1::roa_signature("secret", &parts);
    sent.with("authorization", &format!("acs STS.key:{signature}"))
}

#[test]
fn the_first_signature_of_headers_covers_path_query_headers_and_body() {
    let md5 = ("content-md5", "mZFLkyvTelC5g8XnyQrpOw==");
    assert_eq!(roa(Method::GET, "/clusters?b=2&a=1", &[], None).check(), Ok(()));
    assert_eq!(roa(Method::PUT, "/clusters", &[md5], Some("{}")).check(), Ok(()));
    assert_eq!(roa(Method::PUT, "/clusters", &[md5], Some("{ }")).check(), Err(NotProven::OtherBody));
    // What is wrong in the head is known without the body.
    assert_eq!(roa(Method::PUT, "/clusters", &[md5], Some("{ }")).check_head(), Ok(()));
    let other = roa(Method::PUT, "/clusters", &[md5], Some("{}")).with("x-acs-action", "DeleteCluster");
    assert_eq!(other.check_head(), Err(NotProven::Wrong));
    let without = roa(Method::PUT, "/clusters", &[], Some("{}")).check_head();
    assert!(matches!(without, Err(NotProven::Incomplete(_))), "{without:?}");
    for odd in ["", "x", "mZFLkyvTelC5g8XnyQrp", "mZFLkyvTelC5g8XnyQrpOw==mZFL"] {
        let refused = roa(Method::PUT, "/clusters", &[("content-md5", odd)], Some("{}")).check_head();
        assert!(matches!(refused, Err(NotProven::Incomplete(_))), "{odd}: {refused:?}");
    }
    let two = roa(Method::GET, "/clusters?a=1%26b=2", &[], None).check();
    assert!(matches!(two, Err(NotProven::Incomplete(_))), "{two:?}");
    for change in [("x-acs-action", "DeleteCluster"), ("content-type", "text/plain")] {
        let later = roa(Method::GET, "/clusters", &[], None).with(change.0, change.1);
        assert_eq!(later.check(), Err(NotProven::Wrong), "{change:?}");
    }
}

#[test]
fn without_a_nonce_a_mere_look_may_come_again_and_a_request_that_changes_something_may_not() {
    let marked = |sent: Sent, action: Option<&str>| {
        let signature = sent.found().unwrap().unwrap();
        let asked = action.map(asked);
        let mark = signature.mark(asked.as_ref(), signature.signed_at()).unwrap();
        mark.map(|mark| mark.nonce.to_owned())
    };
    let get = |target: &str| roa(Method::GET, target, &[], None);
    assert_eq!(marked(get("/clusters"), Some("cs:DescribeClusters")), None);
    // By whatever method, and however the name of the operation is spelled beside the path.
    for target in ["/clusters", "/clusters?Action=DeleteCluster", "/clusters?%41ction=DeleteCluster"] {
        let mark = marked(get(target), Some("cs:DeleteCluster"));
        assert!(mark.is_some_and(|mark| !mark.is_empty()), "{target}");
    }
    // It is not known yet; it will be.
    assert_eq!(marked(get("/clusters"), None), None);
    let deleted = roa(Method::DELETE, "/clusters", &[], None);
    assert!(marked(deleted, Some("cs:DescribeClusters")).is_some_and(|mark| !mark.is_empty()));
    let with_body = roa(Method::GET, "/clusters", &[("content-md5", "mZFLkyvTelC5g8XnyQrpOw==")], Some("{}"));
    assert!(marked(with_body, Some("cs:DescribeClusters")).is_some());
    let given = roa(Method::GET, "/clusters", &[("x-acs-signature-nonce", "n")], None);
    assert_eq!(marked(given, Some("cs:DescribeClusters")).as_deref(), Some("n"));
}

fn asked(action: &str) -> Asked {
    Asked {
        action: crate::model::call::Action::new(action),
        resource: "*".to_owned(),
        also: Vec::new(),
        under: None,
        copied: None,
        region: None,
        account: None,
    }
}

#[test]
fn a_look_that_was_signed_for_aws_may_come_again_and_a_change_may_not() {
    let headers = [
        ("host", "a.example"),
        ("x-amz-date", "20261122T120000Z"),
        ("x-amz-security-token", "t"),
        ("authorization", AWS),
    ];
    let sent = Sent::new(Method::POST, "/", &headers);
    let (headers, uri, parameters) = (sent.headers(), sent.uri(), Parameters::default());
    let head = Head {
        method: &sent.method,
        host: "",
        path: uri.path(),
        query: None,
        headers: &headers,
        has_body: false,
        parameters: &parameters,
    };
    let Found::Here(signature) = find(Schemes::Aws, &head).unwrap() else { panic!("it is there") };
    let marked = |action: &str, now| signature.mark(Some(&asked(action)), now).map(|mark| mark.is_some());
    let signed_at = signature.signed_at();
    assert_eq!(marked("dynamodb:GetItem", signed_at), Ok(false));
    assert_eq!(marked("dynamodb:PutItem", signed_at), Ok(true));
    // Either for as long as its time lets it pass.
    for action in ["dynamodb:GetItem", "dynamodb:PutItem"] {
        assert!(marked(action, signed_at + 299).is_ok() && marked(action, signed_at - 60).is_ok());
        assert_eq!(marked(action, signed_at + 300), Err(NotProven::Skewed));
        assert_eq!(marked(action, signed_at - 61), Err(NotProven::Skewed));
    }
}

const AWS: &str = "AWS4-HMAC-SHA256 Credential=STS.key/20261122/eu-central-1/dynamodb/aws4_request, \
                   SignedHeaders=host;x-amz-date;x-amz-security-token, \
                   Signature=0000000000000000000000000000000000000000000000000000000000000000";

#[test]
fn more_than_one_credential_is_none_and_no_signature_is_found_where_there_is_none() {
    let query = format!("/clusters?{RPC}&Signature=s");
    assert_eq!(roa(Method::GET, &query, &[], None).found().err(), Some(NotProven::TwoCredentials));
    let both = roa(Method::GET, "/clusters", &[], None).with("x-acs-bearer-token", "t");
    assert_eq!(both.found().err(), Some(NotProven::TwoCredentials));
    let other = roa(Method::GET, "/clusters", &[("x-acs-accesskey-id", "STS.other")], None);
    assert_eq!(other.found().err(), Some(NotProven::TwoCredentials));
    let twice = roa(Method::GET, "/clusters", &[], None).with("date", "x");
    assert!(matches!(twice.found(), Err(NotProven::Incomplete(_))));
    for sent in [
        Sent::new(Method::GET, "/?Action=StopInstance", &[]),
        Sent::new(Method::POST, "/", &[]).form("Action=StopInstance"),
        Sent::new(Method::GET, "/", &[("authorization", "Basic eDp5")]),
        Sent::new(
            Method::GET,
            "/",
            &[("authorization", "ACS3-HMAC-SM3 Credential=a,SignedHeaders=b,Signature=c")],
        ),
    ] {
        assert!(matches!(sent.found(), Ok(None)), "{}", sent.target);
    }
}

#[test]
fn what_belonged_to_a_signature_is_taken_out_and_the_rest_stays_as_it_was() {
    let (query, form) = (format!("Action=StopInstance&{RPC}&b=%2f+x"), "InstanceId=i-1&SecurityToken=u&c");
    let target = format!("http://a.example/?{query}&{}", rpc("POST", &query, form));
    let signature =
        Sent::new(Method::POST, target.trim_start_matches("http://a.example"), &[]).found().unwrap();
    let headers = [
        ("host", "a.example"),
        ("x-acs-accesskey-id", "STS.key"),
        ("x-acs-signature-nonce", "n"),
        ("x-acs-action", "a"),
    ];
    let mut request = Request::post(&target);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let mut request = request.body(Inbound::empty()).unwrap();
    let canonical = canonical::read(&request).unwrap().admit(Rules::default()).unwrap();
    let form = Bytes::from_static(form.as_bytes());
    let canonical = signature.unwrap().strip(&mut request, canonical, Some(&form)).unwrap();
    let left = "/?Action=StopInstance&Timestamp=2026-11-22T12:00:00Z&Version=2014-05-26&b=%2f+x";
    assert_eq!(canonical.target().as_str(), left);
    let names: Vec<&str> = request.headers().keys().map(HeaderName::as_str).collect();
    assert_eq!(names, ["host", "x-acs-action"]);
    let body = whole(std::mem::replace(request.body_mut(), Inbound::empty()));
    assert_eq!(body, "InstanceId=i-1&c");
}

/// A body that is here already.
fn whole(body: Inbound) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    String::from_utf8(runtime.block_on(body.read(1000)).unwrap().to_vec()).unwrap()
}
