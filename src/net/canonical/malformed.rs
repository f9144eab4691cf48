//! Why a request is refused before anyone looks at what it asks for.

use http::StatusCode;

use super::super::wire::Fault;
use super::path::Odd;

/// A request that no one may act on. The caller made it; nothing about it is forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The framing is ambiguous or broken.
    #[error("{0}")]
    Framing(Fault),
    /// The method is not one of the listed ones.
    #[error("the method is none of GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS")]
    Method,
    /// It asks for a tunnel, in which nothing could be seen.
    #[error(
        "CONNECT would hide the calls from this sidecar: have the client speak plain HTTP to it (SDKs: protocol HTTP), \
         give the client this sidecar as its endpoint, or have the platform team intercept the host ([interception] in \
         its settings)"
    )]
    Connect,
    /// It asks for a tunnel, and not in the way that RFC 9110 section 9.3.6 and RFC 9112 section 3.2.3 say.
    #[error("a tunnel is asked for by host and port alone, over HTTP/1, without a body: CONNECT host:443")]
    TunnelForm,
    /// It names another host, port or scheme than the tunnel that it came in.
    #[error("the request is for another host than the tunnel that it came in")]
    OtherHost,
    /// The target is neither a path nor an absolute URL with one.
    #[error("the request target is not a path")]
    TargetForm,
    /// The target is too long.
    #[error("the request target is longer than 8 KiB")]
    TargetTooLong,
    /// The target contains a character that must be percent-encoded.
    #[error("the request target contains a character that must be percent-encoded")]
    TargetCharacter,
    /// A percent sign is not followed by two hexadecimal digits.
    #[error("the request target contains a percent sign without two hexadecimal digits")]
    BadEscape,
    /// The target contains an escape that can be read in two ways.
    #[error(
        "the request target contains an encoded slash, backslash, dot, control character or invalid UTF-8 \
         that can be read in two ways"
    )]
    AmbiguousEscape,
    /// The path contains a raw semicolon.
    #[error(
        "the path contains a semicolon, which some servers take for the end of a name: send it as %3B if it \
         belongs to the name"
    )]
    PathParameter,
    /// The path contains a `.` or `..` segment.
    #[error("the path contains a dot segment")]
    DotSegment,
    /// The path contains an empty segment.
    #[error("the path contains an empty segment")]
    EmptySegment,
    /// No host was named.
    #[error("the request names no host")]
    NoHost,
    /// More than one host was named, or two that differ.
    #[error("the request names more than one host")]
    TwoHosts,
    /// The host is not a name or address with an optional port.
    #[error("the host is not a name or an address with an optional port")]
    BadHost,
    /// There are too many headers.
    #[error("the request has more than 100 headers")]
    TooManyHeaders,
    /// An upgrade that is not a WebSocket handshake on a route that lets it through.
    #[error("the request asks for an upgrade that is not offered here")]
    Upgrade,
    /// A GET, HEAD or DELETE with a body.
    #[error("the request has a body that its method does not have")]
    UnexpectedBody,
    /// `Connection` names a header that must not be removed.
    #[error("the Connection header names a header that cannot be connection-specific")]
    ConnectionOption,
}

impl Malformed {
    /// The stable code that the answer carries.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Framing(Fault::HeadersTooLarge) | Self::TooManyHeaders => "headers_too_large",
            Self::Framing(Fault::LineTooLong) | Self::TargetTooLong => "target_too_long",
            Self::Framing(Fault::Fragment) => "target_fragment",
            Self::Framing(_) => "malformed_framing",
            Self::Method => "method_not_supported",
            Self::Connect => "tunnel_not_supported",
            Self::TunnelForm => "tunnel_form",
            Self::OtherHost => "tunnel_other_host",
            Self::TargetForm => "target_form",
            Self::TargetCharacter => "target_character",
            Self::BadEscape => "target_escape",
            Self::AmbiguousEscape => "target_ambiguous",
            Self::PathParameter => "target_parameter",
            Self::DotSegment => "target_dot_segment",
            Self::EmptySegment => "target_empty_segment",
            Self::NoHost => "host_missing",
            Self::TwoHosts => "host_ambiguous",
            Self::BadHost => "host_malformed",
            Self::Upgrade => "upgrade_not_supported",
            Self::UnexpectedBody => "body_not_supported",
            Self::ConnectionOption => "connection_option",
        }
    }

    /// The status that says it best (RFC 9110 section 15.5, RFC 6585): 400, 414, 421 or 431.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::Framing(Fault::HeadersTooLarge) | Self::TooManyHeaders => {
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            Self::Framing(Fault::LineTooLong) | Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::OtherHost => StatusCode::MISDIRECTED_REQUEST,
            Self::Framing(_)
            | Self::Method
            | Self::Connect
            | Self::TunnelForm
            | Self::TargetForm
            | Self::TargetCharacter
            | Self::BadEscape
            | Self::AmbiguousEscape
            | Self::PathParameter
            | Self::DotSegment
            | Self::EmptySegment
            | Self::NoHost
            | Self::TwoHosts
            | Self::BadHost
            | Self::Upgrade
            | Self::UnexpectedBody
            | Self::ConnectionOption => StatusCode::BAD_REQUEST,
        }
    }
}

impl From<Odd> for Malformed {
    fn from(odd: Odd) -> Self {
        match odd {
            Odd::Dots => Self::DotSegment,
            Odd::Empty => Self::EmptySegment,
        }
    }
}
