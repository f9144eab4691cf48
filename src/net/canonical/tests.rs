//! The canonicaliser: what it takes stays as it is, and what can be read in two ways is refused.

use http::Request;
use http::request::Builder;
use proptest::prelude::*;

use super::*;

fn get(target: &str) -> Builder {
    Request::get(target).header("host", "api.test")
}

fn admitted(builder: Builder, rules: Rules) -> Result<Canonical, Malformed> {
    admitted_with(builder, Inbound::empty(), rules)
}

fn admitted_with(builder: Builder, body: Inbound, rules: Rules) -> Result<Canonical, Malformed> {
    // What the HTTP library itself refuses is not our case.
    let request = builder.body(body).map_err(|_| Malformed::TargetCharacter)?;
    read(&request)?.admit(rules)
}

fn strict(target: &str) -> Result<String, Malformed> {
    admitted(get(target), Rules::default()).map(|canonical| canonical.target().to_string())
}

fn normalised(target: &str) -> Result<String, Malformed> {
    let rules = Rules { normalise: true, ..Rules::default() };
    admitted(get(target), rules).map(|canonical| canonical.target().to_string())
}

#[test]
fn usual_targets_pass_unchanged() {
    let usual = [
        "/",
        "/a/b.c/d",
        "/a/",
        "/.well-known/x",
        "/...",
        "/a%20b/%C3%BC.txt",
        "/a%3Bv=1/b",
        "/a:b@c!$&'()*+,=~_-",
        "/100%25",
        "/a?x=1&y=%2F%2e%2e/..//&z={a}|[b]",
        "/a?",
        "/?a?b",
    ];
    for target in usual {
        assert_eq!(strict(target).as_deref(), Ok(target));
        assert_eq!(normalised(target).as_deref(), Ok(target));
    }
}

#[test]
fn targets_that_can_be_read_in_two_ways_are_refused_even_where_a_route_normalises() {
    let refused = [
        ("/a%2fb", Malformed::AmbiguousEscape),
        ("/a%2Fb", Malformed::AmbiguousEscape),
        ("/a%5cb", Malformed::AmbiguousEscape),
        ("/a%00", Malformed::AmbiguousEscape),
        ("/a%0d%0aX", Malformed::AmbiguousEscape),
        ("/a%7f", Malformed::AmbiguousEscape),
        ("/a?x=%00", Malformed::AmbiguousEscape),
        ("/..;/x", Malformed::AmbiguousEscape),
        ("/..;a=b/x", Malformed::AmbiguousEscape),
        ("/..%3b/x", Malformed::AmbiguousEscape),
        ("/%2e%2e;/x", Malformed::AmbiguousEscape),
        ("/.;/x", Malformed::AmbiguousEscape),
        ("/%252e%252e/x", Malformed::AmbiguousEscape),
        ("/%25%32%65/x", Malformed::AmbiguousEscape),
        ("/a%252fb", Malformed::AmbiguousEscape),
        ("/a%255cb", Malformed::AmbiguousEscape),
        ("/a%2500b", Malformed::AmbiguousEscape),
        ("/a%250ab", Malformed::AmbiguousEscape),
        ("/a%257f", Malformed::AmbiguousEscape),
        ("/a%25252e", Malformed::AmbiguousEscape),
        ("/%c0%af", Malformed::AmbiguousEscape),
        ("/%ff", Malformed::AmbiguousEscape),
        ("/%zz", Malformed::BadEscape),
        ("/%2", Malformed::BadEscape),
        ("/%", Malformed::BadEscape),
        ("/a?x=%g0", Malformed::BadEscape),
        ("/a?x=%2", Malformed::BadEscape),
        ("/a\\b", Malformed::TargetCharacter),
        ("/a?x=\\", Malformed::TargetCharacter),
        ("/\u{fc}", Malformed::TargetCharacter),
        ("/a?x=\u{fc}", Malformed::TargetCharacter),
        ("/a{b}", Malformed::TargetCharacter),
        ("/a^b", Malformed::TargetCharacter),
        ("/b;a=1/x", Malformed::PathParameter),
        ("*", Malformed::TargetForm),
    ];
    for (target, reason) in refused {
        assert_eq!(strict(target), Err(reason), "{target}");
        assert_eq!(normalised(target), Err(reason), "{target} normalised");
    }
    let long = format!("/{}", "a".repeat(8 * 1024));
    assert_eq!(strict(&long), Err(Malformed::TargetTooLong));
}

#[test]
fn dot_segments_and_empty_segments_are_refused_unless_the_route_resolves_them() {
    let odd = [
        ("/a/../b", Malformed::DotSegment, "/b"),
        ("/a/./b", Malformed::DotSegment, "/a/b"),
        ("/a/%2e%2E/b", Malformed::DotSegment, "/b"),
        ("/a/.%2e/b?c=../d", Malformed::DotSegment, "/b?c=../d"),
        ("/a/b/..", Malformed::DotSegment, "/a/"),
        ("/.", Malformed::DotSegment, "/"),
        ("//a", Malformed::EmptySegment, "/a"),
        ("/a//b/", Malformed::EmptySegment, "/a/b/"),
        ("/a//", Malformed::EmptySegment, "/a/"),
        ("/a//../b", Malformed::DotSegment, "/b"),
    ];
    for (target, reason, resolved) in odd {
        assert_eq!(strict(target), Err(reason), "{target}");
        assert_eq!(normalised(target).as_deref(), Ok(resolved), "{target}");
    }
    for above_root in ["/..", "/../a", "/a/../../b", "/%2e%2e/a"] {
        assert_eq!(normalised(above_root), Err(Malformed::DotSegment), "{above_root}");
    }
}

#[test]
fn a_route_is_found_by_the_path_that_is_forwarded() {
    let request = get("/public/../secret").body(Inbound::empty()).unwrap();
    let candidate = read(&request).unwrap();
    assert_eq!(candidate.path(), "/secret");
    let canonical = candidate.admit(Rules { normalise: true, ..Rules::default() }).unwrap();
    assert_eq!(canonical.path(), "/secret");
}

#[test]
fn segments_are_decoded() {
    let canonical = admitted(get("/oss/b/a%20b/%C3%BC.txt"), Rules::default()).unwrap();
    assert_eq!(canonical.segments().collect::<Vec<_>>(), ["oss", "b", "a b", "ü.txt"]);
}

#[test]
fn a_path_from_elsewhere_has_the_segments_that_a_requests_path_would_have() {
    let of = |path: &str| segments(path).map(|parts| parts.join("|"));
    assert_eq!(of("/oss/a%20b/%C3%BC").as_deref(), Some("oss|a b|ü"));
    assert_eq!((of("/").as_deref(), of("/ecs/").as_deref()), (Some(""), Some("ecs|")));
    let refused =
        ["", "ecs", "/a/../b", "/a//b", "/a?x", "/a?", "/a#x", "/a%2fb", "/a%zz", "/%2e%2e/b", "*", "/a b"];
    for path in refused {
        assert_eq!(of(path), None, "{path}");
    }
}

#[test]
fn the_one_host_is_lower_case_and_its_port_is_read() {
    for (host, name, port) in [
        ("api.test", "api.test", None),
        ("API.Test:8080", "api.test", Some(8080)),
        ("127.0.0.1:1", "127.0.0.1", Some(1)),
        ("[::1]:65535", "[::1]", Some(65535)),
        ("[2001:DB8::1]", "[2001:db8::1]", None),
        ("my_host", "my_host", None),
    ] {
        let canonical = admitted(Request::get("/").header("host", host), Rules::default()).unwrap();
        assert_eq!((canonical.host(), canonical.port()), (name, port));
        assert_eq!(canonical.authority(), host.to_ascii_lowercase());
    }
}

#[test]
fn hosts_that_are_no_hosts_are_refused() {
    let bad = [
        "", "a b", "a/b", "u@a", "a:", "a:0", "a:080", "a:+80", "a:65536", "a:b", ".a", "a.", "[::1",
        "[::g]", "::1", "a,b", "a\\b", "a#b", "a?b", "[::1]x",
    ];
    for host in bad {
        let refused = admitted(Request::get("/").header("host", host), Rules::default());
        assert_eq!(refused.err(), Some(Malformed::BadHost), "{host:?}");
    }
    assert_eq!(admitted(Request::get("/"), Rules::default()).err(), Some(Malformed::NoHost));
    let twice = get("/").header("host", "api.test");
    assert_eq!(admitted(twice, Rules::default()).err(), Some(Malformed::TwoHosts));
}

#[test]
fn an_absolute_target_passes_when_it_names_the_same_host() {
    let canonical = admitted(get("http://API.test/a?b"), Rules::default()).unwrap();
    assert_eq!((canonical.target().as_str(), canonical.host()), ("/a?b", "api.test"));
    let other = admitted(get("http://other.test/a"), Rules::default());
    assert_eq!(other.err(), Some(Malformed::TwoHosts));
    let alone = admitted(Request::get("http://api.test/a"), Rules::default());
    assert_eq!(alone.err(), Some(Malformed::NoHost), "HTTP/1.1 wants a Host");
    let http2 = Request::get("http://api.test/a").version(Version::HTTP_2);
    assert_eq!(admitted(http2, Rules::default()).unwrap().host(), "api.test");
}

#[test]
fn methods_are_the_listed_ones_in_upper_case() {
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        assert!(admitted(get("/").method(method), Rules::default()).is_ok(), "{method}");
    }
    for method in ["get", "TRACE", "PROPFIND", "Get", "X"] {
        assert_eq!(
            admitted(get("/").method(method), Rules::default()).err(),
            Some(Malformed::Method),
            "{method}"
        );
    }
    let tunnel = admitted(get("/").method("CONNECT"), Rules::default()).err().unwrap();
    assert_eq!((tunnel, tunnel.status().as_u16()), (Malformed::Connect, 400));
}

#[test]
fn parameters_are_taken_out_of_a_query_and_nothing_else_is() {
    let of = |target: &str| {
        let canonical = admitted(get(target), Rules::default()).unwrap();
        canonical.without_parameters(|piece| piece.starts_with("x=")).unwrap().target().to_string()
    };
    assert_eq!(of("/a?b=%2F&x=1&c&x=2"), "/a?b=%2F&c");
    assert_eq!(
        (of("/a?x=1"), of("/a?b=x"), of("/a")),
        ("/a".to_owned(), "/a?b=x".to_owned(), "/a".to_owned())
    );
}

#[test]
fn only_a_websocket_handshake_may_upgrade_and_only_where_the_route_says_so() {
    let handshake = || get("/").header("connection", "keep-alive, Upgrade").header("upgrade", "WebSocket");
    let rules = Rules { websocket: true, ..Rules::default() };
    assert!(admitted(handshake(), rules).unwrap().is_websocket());
    assert_eq!(admitted(handshake(), Rules::default()).err(), Some(Malformed::Upgrade));
    let others = [
        get("/").header("connection", "Upgrade, HTTP2-Settings").header("upgrade", "h2c"),
        get("/").header("upgrade", "websocket"),
        get("/").header("connection", "upgrade").header("upgrade", "websocket, h2c"),
        handshake().header("upgrade", "websocket"),
        handshake().method("POST"),
        handshake().version(Version::HTTP_10),
    ];
    for other in others {
        assert_eq!(admitted(other, rules).err(), Some(Malformed::Upgrade));
    }
}

#[test]
fn a_body_stands_only_where_the_method_or_the_route_has_one() {
    let body = || Inbound::from(bytes::Bytes::from_static(b"x"));
    let any = Rules { body_on_any_method: true, ..Rules::default() };
    for method in ["GET", "HEAD", "DELETE"] {
        let refused = admitted_with(get("/").method(method), body(), Rules::default());
        assert_eq!(refused.err(), Some(Malformed::UnexpectedBody));
        assert!(admitted_with(get("/").method(method), body(), any).is_ok());
    }
    assert!(admitted_with(get("/").method("POST"), body(), Rules::default()).is_ok());
}

#[test]
fn more_than_a_hundred_headers_are_refused() {
    let with = |count| (1..count).fold(get("/"), |builder, n| builder.header(format!("x-{n}"), "1"));
    assert!(admitted(with(100), Rules::default()).is_ok());
    assert_eq!(admitted(with(101), Rules::default()).err(), Some(Malformed::TooManyHeaders));
}

/// Pieces that targets are made of when they mean harm, and some that do not.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        3 => prop::sample::select(vec![
            "/", "//", ".", "..", "%2e", "%2E", "%2f", "%5c", "%00", "%25", "2e", "%252e", ";", "..;", "%3b", "\\", "?",
            "%c0%ae", "%zz", "%", "a", "b.c", "%20", "%C3%BC", "\u{e9}", "~", "{", "%0a", "=", "&",
        ]).prop_map(str::to_owned),
        // A fragment is the follower's to refuse: the library has cut it off by now.
        1 => "[ -\"$-~]{0,3}",
    ];
    prop::collection::vec(piece, 0..10).prop_map(|pieces| format!("/{}", pieces.concat()))
}

/// Decodes as often as there is something to decode: what the laxest server could make of it.
fn laxest(path: &str) -> String {
    let mut text = path.to_owned();
    loop {
        let next = decoded_once(&text);
        if next == text {
            return text;
        }
        text = next;
    }
}

fn decoded_once(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let digits = bytes.get(at + 1..at + 3).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) if bytes[at] == b'%' => {
                out.push(byte);
                at += 3;
            }
            _ => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn what_is_accepted_has_no_second_reading(target in pieces(), normalise in any::<bool>()) {
        let rules = Rules { normalise, ..Rules::default() };
        let Ok(canonical) = admitted(get(&target), rules) else { return Ok(()) };
        let path = canonical.path();
        let lax = laxest(path);
        prop_assert!(path.is_ascii() && path.starts_with('/'));
        prop_assert!(!path.contains("//") && !path.contains('\\') && !path.contains('#'), "{}", path);
        prop_assert_eq!(lax.matches('/').count(), path.matches('/').count(), "a slash hides in {}", path);
        prop_assert!(!lax.contains('\\') && !lax.chars().any(char::is_control), "{}", path);
        for segment in lax.split('/') {
            let name = segment.split(';').next().unwrap_or_default();
            prop_assert!(name != "." && name != "..", "a dot segment hides in {}", path);
        }
        prop_assert_eq!(
            canonical.segments().map(|s| s.into_owned()).collect::<Vec<_>>(),
            path.split('/').skip(1).map(decoded_once).collect::<Vec<_>>()
        );
    }

    #[test]
    fn it_is_idempotent_and_changes_nothing_without_a_route_that_normalises(target in pieces()) {
        if let Ok(once) = strict(&target) {
            prop_assert_eq!(&once, &target);
            prop_assert_eq!(strict(&once), Ok(once.clone()));
            prop_assert_eq!(normalised(&once), Ok(once));
        }
        if let Ok(once) = normalised(&target) {
            prop_assert_eq!(strict(&once), Ok(once.clone()));
        }
    }
}
