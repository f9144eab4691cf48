//! A resource's URI and what else it may be called.
//!
//! Comes in: a URI as a client or a list says it. Goes out: that, and the other spellings in which servers read the same
//! resource: each is decided on, and all must be permitted. A rule that names the decoded spelling of the normal form
//! meets every one. A URI that servers take apart in different ways is none here.

use url::{ParseError, Url};

/// A resource's URI, or the template of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sidecar) struct Uri {
    sent: String,
    others: Vec<String>,
}

impl Uri {
    /// Reads a URI; none if it has no plain form.
    pub(super) fn read(sent: &str) -> Option<Self> {
        if !is_plain(sent) {
            return None;
        }
        let mut uri = Self { sent: sent.to_owned(), others: Vec::new() };
        uri.add(decoded(sent)?);
        let normal = match Url::parse(sent) {
            Ok(normal) => normal,
            // It has no scheme: a name of the server's own, which nothing normalises.
            Err(ParseError::RelativeUrlWithoutBase) => return Some(uri),
            Err(_) => return None,
        };
        // A path that is looked up in a file system has no empty parts.
        if normal.scheme() == "file" && normal.path().contains("//") {
            return None;
        }
        uri.add_decoded(&normal)?;
        uri.add_decoded(&bare(normal))?;
        Some(uri)
    }

    /// As it was sent.
    pub(super) fn as_str(&self) -> &str {
        &self.sent
    }

    /// What else it is.
    pub(super) fn others(&self) -> &[String] {
        &self.others
    }

    fn add_decoded(&mut self, url: &Url) -> Option<()> {
        self.add(decoded(url.as_str())?);
        self.add(upper_escapes(url.as_str()));
        Some(())
    }

    fn add(&mut self, other: String) {
        if other != self.sent && !self.others.contains(&other) {
            self.others.push(other);
        }
    }
}

/// Without what servers pass over: a fragment; and a query or a host, where a file is meant.
fn bare(mut url: Url) -> Url {
    url.set_fragment(None);
    if url.scheme() == "file" {
        url.set_query(None);
        // One without a host is left as it is.
        let _ = url.set_host(None);
    }
    url
}

/// Whether a URI can be taken apart in one way only.
fn is_plain(text: &str) -> bool {
    let dots = |part: &str| matches!(part, "." | "..");
    let path = text.split(['?', '#']).next().unwrap_or_default();
    !text.is_empty()
        && text.len() <= LONGEST
        && !text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\')
        && !path.split(['/', ':']).any(dots)
        && text.split('%').skip(1).all(is_needed_escape)
}

/// Whether an escape stands for what may not be written plainly (RFC 3986 §2.3), and neither for what divides a path nor
/// for what cuts a text off.
fn is_needed_escape(rest: &str) -> bool {
    escaped(rest).is_some_and(|byte| {
        let needless = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        !(needless || byte.is_ascii_control() || matches!(byte, b'/' | b'\\' | b'%'))
    })
}

/// The byte that the two digits behind a percent sign say.
fn escaped(rest: &str) -> Option<u8> {
    let digits = rest.get(..2).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
    u8::from_str_radix(digits, 16).ok()
}

/// The text without its escapes; none if they are no text, or more than the escapes of a text.
fn decoded(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        bytes.push(escaped(part)?);
        bytes.extend_from_slice(part.get(2..)?.as_bytes());
    }
    let text = String::from_utf8(bytes).ok()?;
    (!text.chars().any(char::is_control)).then_some(text)
}

/// With the digits of escapes in the case that they should have (RFC 3986 §6.2.2.1).
fn upper_escapes(text: &str) -> String {
    let mut digits = 0;
    let upper = |c: char| {
        let within = digits > 0;
        digits = if c == '%' { 2 } else { i32::max(digits - 1, 0) };
        if within { c.to_ascii_uppercase() } else { c }
    };
    text.chars().map(upper).collect()
}

const LONGEST: usize = 2048;
