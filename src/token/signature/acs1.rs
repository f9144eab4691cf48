//! The cloud's first signature, `HMAC-SHA1`: of the parameters in the RPC style, of the headers in the ROA style. Old
//! SDKs know no other.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{Parameter, Parts, encode, parameters};
use crate::token::random::equal;

/// The method's name in `SignatureMethod`.
pub const METHOD: &str = "HMAC-SHA1";

/// The parameter that carries the signature, the only one that is not signed.
pub const SIGNATURE: &str = "Signature";

/// The signature of the RPC style, in base64: over the parameters of query and form together.
#[must_use]
pub fn rpc_signature(secret: &str, method: &str, parameters: &[Parameter<'_>]) -> String {
    sign(&[secret.as_bytes(), b"&"].concat(), &rpc_string_to_sign(method, parameters))
}

/// What is signed in the RPC style.
#[must_use]
pub fn rpc_string_to_sign(method: &str, parameters: &[Parameter<'_>]) -> String {
    let mut signed: Vec<_> = parameters.iter().filter(|(name, _)| name != SIGNATURE).collect();
    signed.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut canonical = String::with_capacity(512);
    for (at, (name, value)) in signed.into_iter().enumerate() {
        if at > 0 {
            canonical.push('&');
        }
        encode(name, &mut canonical);
        canonical.push('=');
        encode(value, &mut canonical);
    }
    let mut text = String::with_capacity(canonical.len() + canonical.len() / 2);
    text.push_str(method);
    text.push_str("&%2F&");
    encode(&canonical, &mut text);
    text
}

/// The signature of the ROA style, in base64. The headers have to be all that the style signs.
#[must_use]
pub fn roa_signature(secret: &str, parts: &Parts<'_>) -> String {
    sign(secret.as_bytes(), &roa_string_to_sign(parts))
}

/// Whether it is the signature of the ROA style. SDKs do not agree on how a parameter without a value is signed, `name=`
/// or `name`; either says the same of the query.
#[must_use]
pub fn roa_fits(secret: &str, parts: &Parts<'_>, signature: &str) -> bool {
    let fits = |text: &str| equal(sign(secret.as_bytes(), text).as_bytes(), signature.as_bytes());
    fits(&roa_string_to_sign(parts)) || {
        let has_empty = parameters(parts.query).iter().any(|(_, value)| value.is_empty());
        has_empty && fits(&roa_string(parts, ""))
    }
}

/// What is signed in the ROA style.
#[must_use]
pub fn roa_string_to_sign(parts: &Parts<'_>) -> String {
    roa_string(parts, "=")
}

/// The same with this behind the names of parameters that have no value.
fn roa_string(parts: &Parts<'_>, behind_empty: &str) -> String {
    let header =
        |name: &str| parts.headers.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value);
    let mut text = String::with_capacity(512);
    text.push_str(parts.method);
    text.push('\n');
    for name in ["accept", "content-md5", "content-type", "date"] {
        text.push_str(header(name));
        text.push('\n');
    }
    for (name, value) in parts.headers.iter().filter(|(name, _)| name.starts_with("x-acs-")) {
        text.push_str(name);
        text.push(':');
        text.push_str(value);
        text.push('\n');
    }
    text.push_str(parts.path);
    let mut query = parameters(parts.query);
    query.sort_by(|(a, _), (b, _)| a.cmp(b));
    for (at, (name, value)) in query.iter().enumerate() {
        text.push(if at == 0 { '?' } else { '&' });
        text.push_str(name);
        text.push_str(if value.is_empty() { behind_empty } else { "=" });
        text.push_str(value);
    }
    text
}

/// Whether the ROA style signs a query without doubt. It writes parameters as they are, so that one whose name or value
/// holds a sign that parts them could stand for two.
#[must_use]
pub fn is_plain_roa_query(query: &str) -> bool {
    let plain = |text: &str| !text.contains(['&', '\n']);
    parameters(query).iter().all(|(name, value)| plain(name) && !name.contains('=') && plain(value))
}

fn sign(key: &[u8], text: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key);
    STANDARD.encode(hmac::sign(&key, text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rpc_style_signs_all_parameters_in_one_order() {
        let of = |text: &'static str| rpc_signature("testSecret", "GET", &parameters(text));
        let text = "Action=DescribeRegions&Format=XML&AccessKeyId=testId&Version=2014-05-26";
        assert_eq!(of(text), of("Version=2014-05-26&AccessKeyId=testId&Format=XML&Action=DescribeRegions"));
        assert_eq!(
            of(text),
            rpc_signature("testSecret", "GET", &[parameters(text), parameters("Signature=x")].concat())
        );
        assert_ne!(of(text), of("Action=DescribeRegions&Format=JSON&AccessKeyId=testId&Version=2014-05-26"));
        assert_ne!(of(text), rpc_signature("other", "GET", &parameters(text)));
        assert_ne!(of(text), rpc_signature("testSecret", "POST", &parameters(text)));
    }

    #[test]
    fn the_example_of_the_cloud_is_signed_as_there() {
        // From the cloud's public description of its RPC signature.
        let text = "Timestamp=2016-02-23T12:46:24Z&Format=XML&AccessKeyId=testid&Action=DescribeRegions\
                    &SignatureMethod=HMAC-SHA1&SignatureNonce=3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf\
                    &Version=2014-05-26&SignatureVersion=1.0";
        assert_eq!(rpc_signature("testsecret", "GET", &parameters(text)), "OLeaidS1JvxuMvnyHOwuJ+uX5qY=");
    }

    #[test]
    fn the_roa_style_signs_headers_and_the_sorted_query() {
        let headers = [("accept", "application/json"), ("date", "d"), ("x-acs-version", "2015-12-15")];
        let parts = Parts { method: "GET", path: "/clusters", query: "b=2&a=%2F1", headers: &headers };
        assert_eq!(
            roa_string_to_sign(&parts),
            "GET\napplication/json\n\n\nd\nx-acs-version:2015-12-15\n/clusters?a=/1&b=2"
        );
        assert!(is_plain_roa_query(parts.query) && is_plain_roa_query(""));
        assert!(!is_plain_roa_query("a=1%26b=2") && !is_plain_roa_query("a%3Db=2"));
    }
    #[test]
    fn a_parameter_without_a_value_may_be_signed_with_or_without_the_sign_behind_it_and_no_other_so() {
        let parts = Parts { method: "GET", path: "/a", query: "b=&c=1&d", headers: &[] };
        for text in ["GET\n\n\n\n\n/a?b=&c=1&d=", "GET\n\n\n\n\n/a?b&c=1&d"] {
            assert!(roa_fits("secret", &parts, &sign(b"secret", text)), "{text}");
        }
        for text in [
            "GET\n\n\n\n\n/a?b=&c=1&d",
            "GET\n\n\n\n\n/a?b&c1&d",
            "GET\n\n\n\n\n/a?b&c=1",
            "GET\n\n\n\n\n/a?b&c=&d",
        ] {
            assert!(!roa_fits("secret", &parts, &sign(b"secret", text)), "{text}");
        }
    }
}
