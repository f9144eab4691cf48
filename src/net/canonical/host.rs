//! The one host of a request (RFC 9110 section 7.2, RFC 9112 section 3.2, RFC 9113 section 8.3.1).

use http::uri::Authority;
use http::{HeaderValue, Request};

use super::Malformed;
use crate::net::body::Inbound;

/// Host and port, checked and in lower case.
#[derive(Debug)]
pub(super) struct Host {
    spelled: Spelled,
    /// Where the name ends.
    name: usize,
    port: Option<u16>,
}

/// Whichever form the request brought it in, so that nothing is copied.
#[derive(Debug)]
enum Spelled {
    Header(HeaderValue),
    Authority(Authority),
    Lowered(Box<str>),
}

impl Host {
    /// The host of a request: exactly one, and the same in every place that names it.
    ///
    /// `header` is the first `Host` header, and `headers` how many there are.
    pub(super) fn read(
        request: &Request<Inbound>,
        header: Option<&HeaderValue>,
        headers: usize,
    ) -> Result<Self, Malformed> {
        if headers > 1 {
            return Err(Malformed::TwoHosts);
        }
        let authority = request.uri().authority();
        let spelled = match (header, authority) {
            (None, None) => return Err(Malformed::NoHost),
            (Some(header), None) => Spelled::Header(header.clone()),
            (Some(header), Some(authority))
                if header.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes()) =>
            {
                Spelled::Header(header.clone())
            }
            (Some(_), Some(_)) => return Err(Malformed::TwoHosts),
            // Only HTTP/2 may name the host in `:authority` alone.
            (None, Some(_)) if request.version() < http::Version::HTTP_2 => return Err(Malformed::NoHost),
            (None, Some(authority)) => Spelled::Authority(authority.clone()),
        };
        Self::check(spelled)
    }

    fn check(spelled: Spelled) -> Result<Self, Malformed> {
        let text = spelled.as_str();
        let (name, port) = split(text).ok_or(Malformed::BadHost)?;
        // No branch for each byte: names are short, and upper case is rare.
        let lowered = text.bytes().fold(false, |upper, byte| upper | byte.is_ascii_uppercase());
        let spelled = if lowered { Spelled::Lowered(text.to_ascii_lowercase().into()) } else { spelled };
        Ok(Self { spelled, name, port })
    }

    pub(super) fn as_str(&self) -> &str {
        self.spelled.as_str()
    }

    pub(super) fn name(&self) -> &str {
        self.as_str().get(..self.name).unwrap_or_default()
    }

    pub(super) fn port(&self) -> Option<u16> {
        self.port
    }
}

impl Spelled {
    fn as_str(&self) -> &str {
        match self {
            // Whatever has been checked consists of visible ASCII characters, and what does not is no host.
            Self::Header(value) => value.to_str().unwrap_or_default(),
            Self::Authority(authority) => authority.as_str(),
            Self::Lowered(text) => text,
        }
    }
}

/// The length of the name, and the port. No user information, no empty port, no trailing dot.
pub(super) fn split(text: &str) -> Option<(usize, Option<u16>)> {
    let name = match text.strip_prefix('[') {
        Some(rest) => {
            let end = rest.find(']')?;
            rest.get(..end)?.parse::<std::net::Ipv6Addr>().ok()?;
            end + 2
        }
        None => {
            let bytes = text.as_bytes();
            let plain = |byte: &u8| NAME.get(usize::from(*byte)).is_some_and(|plain| *plain);
            let end = bytes.iter().position(|byte| !plain(byte)).unwrap_or(bytes.len());
            let bytes = bytes.get(..end)?;
            let dotted = matches!(bytes.first(), None | Some(b'.')) || bytes.last() == Some(&b'.');
            if dotted || bytes.len() > 253 {
                return None;
            }
            end
        }
    };
    let port = match text.get(name..)? {
        "" => None,
        port => {
            let digits = port.strip_prefix(':')?;
            let plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
            Some(digits.parse().ok().filter(|_| plain)?)
        }
    };
    Some((name, port))
}

/// What a name consists of: letters, digits, `-`, `.` and `_`.
static NAME: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0_u8;
    loop {
        #[expect(clippy::indexing_slicing, reason = "the index is a byte and the table has 256 entries")]
        {
            plain[byte as usize] = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        }
        if byte == u8::MAX {
            break;
        }
        byte += 1;
    }
    plain
};
