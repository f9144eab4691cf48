//! The spelling of a path and a query (RFC 3986 sections 2.1, 3.3, 3.4 and 5.2.4).
//!
//! One table look-up per byte for the usual path; only a path with an escape, a semicolon, a dot at the
//! beginning of a segment or two slashes in a row is looked at again.

use std::borrow::Cow;

use http::uri::PathAndQuery;

use super::Malformed;

/// What had to be resolved to bring a path into its one spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Odd {
    /// A dot segment.
    Dots,
    /// An empty segment.
    Empty,
}

/// Checks a target, and resolves its dot segments and empty segments.
pub(super) fn read(target: &PathAndQuery) -> Result<(PathAndQuery, Option<Odd>), Malformed> {
    let (path, query) = (target.path(), target.query());
    if target.as_str().len() > LONGEST_TARGET {
        return Err(Malformed::TargetTooLong);
    }
    // `*` and an empty path have no leading slash in what would be forwarded.
    if !target.as_str().starts_with('/') {
        return Err(Malformed::TargetForm);
    }
    if let Some(query) = query {
        check_query(query.as_bytes())?;
    }
    if is_plain(path.as_bytes())? {
        return Ok((target.clone(), None));
    }
    let Some(odd) = check_segments(path)? else {
        return Ok((target.clone(), None));
    };
    let resolved = resolve(path, query)?;
    let resolved = PathAndQuery::try_from(resolved).map_err(|_| Malformed::TargetCharacter)?;
    Ok((resolved, Some(odd)))
}

/// A segment without its escapes. Whoever calls has checked that they are well-formed.
pub(super) fn decoded(segment: &str) -> Cow<'_, str> {
    if !segment.contains('%') {
        return Cow::Borrowed(segment);
    }
    match decode(segment.as_bytes()).map(String::from_utf8) {
        Ok(Ok(text)) => Cow::Owned(text),
        Ok(Err(_)) | Err(_) => Cow::Borrowed(segment),
    }
}

/// Whether there is nothing in the path that needs a second look. No branch per byte: the classes of all bytes
/// are gathered, and those of the bytes after a slash.
fn is_plain(path: &[u8]) -> Result<bool, Malformed> {
    let (mut all, mut after_slash, mut previous) = (0_u8, 0_u8, 0_u8);
    for byte in path {
        let class = PATH.get(usize::from(*byte)).copied().unwrap_or(REFUSED);
        all |= class;
        // All ones after a slash, and nothing otherwise.
        after_slash |= class & 0_u8.wrapping_sub(previous & SLASH);
        previous = class;
    }
    if all & REFUSED != 0 {
        return Err(Malformed::TargetCharacter);
    }
    Ok(all & (PERCENT | SEMICOLON) == 0 && after_slash & (SLASH | DOT) == 0)
}

fn check_segments(path: &str) -> Result<Option<Odd>, Malformed> {
    let mut odd = None;
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        if segment.is_empty() {
            if segments.peek().is_some() {
                odd = odd.or(Some(Odd::Empty));
            }
            continue;
        }
        let bytes = decode(segment.as_bytes())?;
        if bytes.iter().any(|byte| matches!(byte, b'/' | b'\\' | 0..0x20 | 0x7f)) || reads_twice(&bytes) {
            return Err(Malformed::AmbiguousEscape);
        }
        let text = std::str::from_utf8(&bytes).map_err(|_| Malformed::AmbiguousEscape)?;
        let (name, parameters) = text.split_once(';').map_or((text, None), |(n, p)| (n, Some(p)));
        if name == "." || name == ".." {
            // `..;x` is a dot segment to some servers and a name to others.
            if parameters.is_some() {
                return Err(Malformed::AmbiguousEscape);
            }
            odd = Some(Odd::Dots);
        }
        // `b;x` is one bucket to policy and another to a server that drops such parameters (RFC 3986 section 3.3).
        if segment.contains(';') {
            return Err(Malformed::PathParameter);
        }
    }
    Ok(odd)
}

/// Whether a second decoding would find a dot, a slash, a backslash, a control character or a percent sign.
fn reads_twice(decoded: &[u8]) -> bool {
    decoded.windows(3).any(|window| match window {
        [b'%', high, low] => matches!(byte(*high, *low), Some(b'.' | b'/' | b'\\' | b'%' | 0..0x20 | 0x7f)),
        _ => false,
    })
}

fn resolve(path: &str, query: Option<&str>) -> Result<String, Malformed> {
    let mut kept: Vec<&str> = Vec::new();
    let mut ends_in_slash = false;
    for segment in path.split('/').skip(1) {
        let name = decoded(segment);
        ends_in_slash = matches!(&*name, "" | "." | "..");
        match &*name {
            "" | "." => {}
            ".." => {
                kept.pop().ok_or(Malformed::DotSegment)?;
            }
            _ => kept.push(segment),
        }
    }
    let mut resolved = String::with_capacity(path.len() + query.map_or(0, |query| query.len() + 1));
    for segment in &kept {
        resolved.push('/');
        resolved.push_str(segment);
    }
    if ends_in_slash || kept.is_empty() {
        resolved.push('/');
    }
    if let Some(query) = query {
        resolved.push('?');
        resolved.push_str(query);
    }
    Ok(resolved)
}

fn check_query(query: &[u8]) -> Result<(), Malformed> {
    let mut rest = query.iter();
    while let Some(character) = rest.next() {
        match character {
            b'%' => match (rest.next(), rest.next()) {
                (Some(high), Some(low)) => match byte(*high, *low) {
                    Some(0) => return Err(Malformed::AmbiguousEscape),
                    Some(_) => {}
                    None => return Err(Malformed::BadEscape),
                },
                (Some(_) | None, _) => return Err(Malformed::BadEscape),
            },
            b'\\' | b'#' | 0..=0x20 | 0x7f..=0xff => return Err(Malformed::TargetCharacter),
            _ => {}
        }
    }
    Ok(())
}

fn decode(text: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(character) = rest.next() {
        if *character != b'%' {
            out.push(*character);
            continue;
        }
        match (rest.next(), rest.next()) {
            (Some(high), Some(low)) => out.push(byte(*high, *low).ok_or(Malformed::BadEscape)?),
            (Some(_) | None, _) => return Err(Malformed::BadEscape),
        }
    }
    Ok(out)
}

fn byte(high: u8, low: u8) -> Option<u8> {
    let digit = |character: u8| char::from(character).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(high)? * 16 + digit(low)?)
}

const SLASH: u8 = 1;
const DOT: u8 = 2;
const PERCENT: u8 = 4;
const REFUSED: u8 = 8;
const SEMICOLON: u8 = 16;

/// RFC 3986 section 3.3: `pchar` and the slash. Everything else must be percent-encoded.
static PATH: [u8; 256] = {
    let mut classes = [REFUSED; 256];
    let mut byte = 0_u8;
    loop {
        #[expect(clippy::indexing_slicing, reason = "the index is a byte and the table has 256 entries")]
        {
            classes[byte as usize] = match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'~' => 0,
                b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b'=' => 0,
                b';' => SEMICOLON,
                b':' | b'@' => 0,
                b'/' => SLASH,
                b'.' => DOT,
                b'%' => PERCENT,
                _ => REFUSED,
            };
        }
        if byte == u8::MAX {
            break;
        }
        byte += 1;
    }
    classes
};

const LONGEST_TARGET: usize = 8 * 1024;
