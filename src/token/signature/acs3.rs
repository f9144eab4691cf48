//! The cloud's third signature, `ACS3-HMAC-SHA256`, the same for both of its styles: method, path, query, the signed
//! headers and the body's hash in one string.

use aws_lc_rs::hmac;

use super::{Parts, encode, hex, parameters};
use crate::token::random::sha256;

/// The scheme's name in `Authorization`.
pub const SCHEME: &str = "ACS3-HMAC-SHA256";

/// The hash of no body.
pub const OF_NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// The key of an access key's secret, made once for any number of signatures.
#[must_use]
pub fn key(secret: &str) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes())
}

/// The signature, in hexadecimal. `body` is the body's SHA-256 in hexadecimal, as `x-acs-content-sha256` has it.
#[must_use]
pub fn signature(key: &hmac::Key, parts: &Parts<'_>, body: &str) -> String {
    hex(hmac::sign(key, string_to_sign(parts, body).as_bytes()).as_ref())
}

/// The value of `Authorization`.
#[must_use]
pub fn authorization(access_key_id: &str, parts: &Parts<'_>, signature: &str) -> String {
    let mut value = format!("{SCHEME} Credential={access_key_id},SignedHeaders=");
    names(parts, &mut value);
    value.push_str(",Signature=");
    value.push_str(signature);
    value
}

/// What is signed.
#[must_use]
pub fn string_to_sign(parts: &Parts<'_>, body: &str) -> String {
    let mut canonical = String::with_capacity(512);
    canonical.push_str(parts.method);
    canonical.push('\n');
    path(parts.path, &mut canonical);
    canonical.push('\n');
    query(parts.query, &mut canonical);
    canonical.push('\n');
    for (name, value) in parts.headers {
        canonical.push_str(name);
        canonical.push(':');
        canonical.push_str(value);
        canonical.push('\n');
    }
    canonical.push('\n');
    names(parts, &mut canonical);
    canonical.push('\n');
    canonical.push_str(body);
    let mut text = String::with_capacity(SCHEME.len() + 65);
    text.push_str(SCHEME);
    text.push('\n');
    text.push_str(&hex(&sha256(canonical.as_bytes())));
    text
}

fn names(parts: &Parts<'_>, out: &mut String) {
    for (at, (name, _)) in parts.headers.iter().enumerate() {
        if at > 0 {
            out.push(';');
        }
        out.push_str(name);
    }
}

/// The path as it is on the wire, but for three characters that some SDKs send otherwise than they sign them.
fn path(path: &str, out: &mut String) {
    if path.contains(['+', '*']) || path.contains("%7E") {
        out.push_str(&path.replace('+', "%20").replace('*', "%2A").replace("%7E", "~"));
    } else {
        out.push_str(path);
    }
}

/// The parameters in the order of their names. SDKs write names as they are; a name that could then be taken for more
/// than a name is encoded, so that no two queries give the same string.
fn query(query: &str, out: &mut String) {
    if query.is_empty() {
        return;
    }
    let mut pairs = parameters(query);
    pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
    for (at, (name, value)) in pairs.iter().enumerate() {
        if at > 0 {
            out.push('&');
        }
        if name.bytes().any(|byte| matches!(byte, b'&' | b'=' | b'%' | 0..=0x20 | 0x7f)) {
            encode(name, out);
        } else {
            out.push_str(name);
        }
        out.push('=');
        encode(value, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical_query(text: &str) -> String {
        let mut out = String::new();
        query(text, &mut out);
        out
    }

    #[test]
    fn parameters_are_ordered_by_name_and_encoded_in_one_way() {
        assert_eq!(canonical_query("b=%7e+%2a&a=%c3%bc&c"), "a=%C3%BC&b=~%20%2A&c=");
        assert_eq!(canonical_query("Tag.1.Key=x&Action=y"), "Action=y&Tag.1.Key=x");
    }

    #[test]
    fn no_two_queries_are_signed_as_one() {
        let texts = ["a=b&c=d", "a%3Db%26c=d", "a=b%26c%3Dd", "a%3Db=&c=d", "a%253Db%2526c=d"];
        for (at, one) in texts.iter().enumerate() {
            for other in texts.iter().skip(at + 1) {
                assert_ne!(canonical_query(one), canonical_query(other), "{one} {other}");
            }
        }
    }

    #[test]
    fn each_part_counts() {
        let headers = [("host", "a.example"), ("x-acs-action", "Describe")];
        let parts = Parts { method: "POST", path: "/", query: "a=b", headers: &headers };
        let key = key("secret");
        let signed = signature(&key, &parts, OF_NOTHING);
        let other_headers = [("host", "b.example"), ("x-acs-action", "Describe")];
        for (other, body) in [
            (Parts { method: "GET", ..parts }, OF_NOTHING),
            (Parts { path: "/x", ..parts }, OF_NOTHING),
            (Parts { query: "a=c", ..parts }, OF_NOTHING),
            (Parts { headers: &other_headers, ..parts }, OF_NOTHING),
            (Parts { headers: &headers[..1], ..parts }, OF_NOTHING),
            (parts, "00"),
        ] {
            assert_ne!(signature(&key, &other, body), signed);
        }
        assert_eq!(signature(&key, &parts, OF_NOTHING), signed);
    }
}
