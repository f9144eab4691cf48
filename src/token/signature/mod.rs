//! Request signatures: what a client signs of a request, and the signature itself, made from its parts.
//!
//! Comes in: a request's parts exactly as they go over the wire, and a secret. Goes out: the string that is signed, and
//! its signature. Who verifies makes the signature anew and compares; who signs again for an upstream sends it. It knows
//! no HTTP library, no time and no caller: where a signature stands in a request, and whether it is fresh, is asked
//! elsewhere.
//!
//! To add a scheme: a file here with the string to sign and the signature, and an arm in the sidecar's `signed`.

pub mod acs1;
pub mod acs3;
pub mod chunks;
pub mod sigv4;

use std::borrow::Cow;

use url::form_urlencoded;

/// What can be signed of a request, as it is on the wire.
#[derive(Clone, Copy)]
pub struct Parts<'a> {
    /// The method, in upper case.
    pub method: &'a str,
    /// The path, still percent-encoded; it begins with a slash.
    pub path: &'a str,
    /// The query without its question mark, still percent-encoded; empty when there is none.
    pub query: &'a str,
    /// The headers that are signed: each name once, in lower case and in order; values without blanks around them.
    pub headers: &'a [(&'a str, &'a str)],
}

/// A parameter, decoded.
pub type Parameter<'a> = (Cow<'a, str>, Cow<'a, str>);

/// The parameters of a query or of a form, decoded, in their order.
#[must_use]
pub fn parameters(encoded: &str) -> Vec<Parameter<'_>> {
    form_urlencoded::parse(encoded.as_bytes()).collect()
}

/// Percent-encodes all but the unreserved characters (RFC 3986 §2.3), in upper case, onto `out`.
pub fn encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if is_unreserved(byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(digit(byte >> 4));
            out.push(digit(byte & 0x0f));
        }
    }
}

/// The bytes in hexadecimal, in lower case.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        text.push(digit(byte >> 4).to_ascii_lowercase());
        text.push(digit(byte & 0x0f).to_ascii_lowercase());
        text
    })
}

/// The 32 bytes that a text of 64 hexadecimal digits in lower case stands for.
#[must_use]
pub fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0_u8; 32];
    if text.len() != 64 {
        return None;
    }
    for (place, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let &[high, low] = pair else { return None };
        *place = (value(high)? << 4) | value(low)?;
    }
    Some(bytes)
}

pub(super) fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~')
}

fn digit(nibble: u8) -> char {
    char::from(match nibble {
        0..=9 => b'0' + nibble,
        _ => b'A' + (nibble & 0x0f) - 10,
    })
}

fn value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_but_the_unreserved_characters_is_encoded() {
        let mut out = String::new();
        encode("a-_.~ +*/=&ü", &mut out);
        assert_eq!(out, "a-_.~%20%2B%2A%2F%3D%26%C3%BC");
    }

    #[test]
    fn hexadecimal_is_read_as_it_is_written_and_nothing_else_is() {
        let bytes = [0xa7; 32];
        assert_eq!(unhex(&hex(&bytes)), Some(bytes));
        for wrong in ["", "a7", &"A7".repeat(32), &"g7".repeat(32), &"a7".repeat(33)] {
            assert_eq!(unhex(wrong), None, "{wrong}");
        }
    }
}
