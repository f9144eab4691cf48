//! What of a message is understood, what of headers is believed, and what of a list is shown.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::list::{MOST, narrow};
use super::message::{Message, Said, Target, Unfit};
use super::mirrored::{agree, once, plain_json};
use super::session::{Place, Session};
use super::sieve::Events;
use super::*;
use crate::net::sift::Sieve;
use crate::sidecar::adapter::NotUnderstood;
use crate::token::session::SessionKey;
use crate::token::session::tests::caller;

fn read(text: &str) -> Result<Message, Unfit> {
    Message::parse(text.as_bytes())
}

fn request(method: &str, params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#)
}

/// What is done, and to what.
fn meant(text: &str) -> (String, String) {
    let Said::Request(method, target) = read(text).unwrap().said else { panic!("no request: {text}") };
    let (action, about) = Naming::new("mcp-server", None).method(&method, target.as_ref());
    (action.to_string(), about)
}

#[test]
fn a_message_says_what_is_done_and_to_what() {
    for (method, params, action, about) in [
        ("tools/call", r#"{"name":"stop_it","arguments":{}}"#, "CallTool/stop_it", "tools/stop_it"),
        ("tools/call", r#"{"n\u0061me":"stop_it"}"#, "CallTool/stop_it", "tools/stop_it"),
        ("prompts/get", r#"{"name":"p"}"#, "GetPrompt", "prompts/p"),
        ("resources/read", r#"{"uri":"a://b/c%20d"}"#, "ReadResource", "resources/a://b/c%20d"),
        ("completion/complete", r#"{"ref":{"type":"ref/prompt","name":"p"}}"#, "Complete", "prompts/p"),
        ("tools/list", "{}", "ListTools", "*"),
        ("server/discover", "{}", "Discover", "*"),
        ("vendor/thing", "{}", "Method/vendor/thing", "*"),
    ] {
        let (found, to) = meant(&request(method, params));
        assert_eq!((found, to.as_str()), (format!("mcp-server:{action}"), about));
    }
    let server = Naming::new("mcp-server", Some("system/ecs".to_owned()));
    let (_, about) = server.method("tools/call", Some(&Target::Tool("t".to_owned())));
    assert_eq!(about, "system/ecs/tools/t");
    let told = read(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).unwrap();
    assert!(matches!(told.said, Said::Notification(_)) && told.id.is_none());
    assert_eq!(read(r#"{"jsonrpc":"2.0","id":7,"result":{}}"#).unwrap().said, Said::Response);
}

#[test]
fn a_resource_is_decided_on_by_every_name_that_servers_know_it_by() {
    let names = |uri: &str| {
        let message =
            read(&request("resources/read", &serde_json::json!({ "uri": uri }).to_string())).unwrap();
        let naming = Naming::new("x", None);
        let (_, first) = naming.method("resources/read", message.target());
        let (also, under) = naming.others(message.target());
        assert_eq!(under, None);
        [vec![first], also].concat()
    };
    for uri in [
        "FILE:///private/x!",
        "file:/private/x!",
        "file:private/x!",
        "file://localhost/private/x!",
        "file://LocalHost/private/x!",
        "file://elsewhere/private/x!",
        "file:///private/x%21",
        "file:///private/x!?y",
        "file:///private/x!#y",
    ] {
        let names = names(uri);
        assert!(names.iter().any(|name| name == "resources/file:///private/x!"), "{names:?}");
        assert_eq!(names.first(), Some(&format!("resources/{uri}")));
    }
    for uri in ["HTTPS://H.example:443/ü", "https://h.example/%c3%bc", "https://ｈ.example/ü#a"] {
        let names = names(uri);
        for wanted in ["resources/https://h.example/ü", "resources/https://h.example/%C3%BC"] {
            assert!(names.iter().any(|name| name == wanted), "{names:?}");
        }
    }
    assert_eq!(names("demo://guide"), ["resources/demo://guide"]);
    assert_eq!(names("users/me"), ["resources/users/me"]);
}

#[test]
fn each_resource_that_is_listened_to_is_subscribed_to() {
    let params = r#"{"notifications":{"toolsListChanged":true,"resourceSubscriptions":["A://b","a://c"]}}"#;
    let message = read(&request("subscriptions/listen", params)).unwrap();
    let naming = Naming::new("x", Some("s".to_owned()));
    let (action, about) = naming.method("subscriptions/listen", message.target());
    assert_eq!((action.as_str(), about.as_str()), ("x:Listen", "s"));
    let (also, under) = naming.others(message.target());
    assert_eq!(also, ["s/resources/A://b", "s/resources/a://b", "s/resources/a://c"]);
    assert_eq!(under.unwrap().as_str(), "x:Subscribe");
    for nothing in ["{}", r#"{"notifications":{}}"#] {
        assert_eq!(read(&request("subscriptions/listen", nothing)).unwrap().target(), None);
    }
}

#[test]
fn a_message_that_can_be_read_in_two_ways_is_refused() {
    for text in [
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","meth\u006fd":"tools/call"}"#,
        &request("tools/call", r#"{"name":"look","name":"stop"}"#),
        &request("tools/call", r#"{"name":"look","n\u0061me":"stop"}"#),
        &request("tools/call", r#"{"name":"look","Name":"stop"}"#),
        &request("tools/call", r#"{"name":"look","arguments":{"a":[{"b":1,"b":2}]}}"#),
        &request("completion/complete", r#"{"ref":{"type":"ref/prompt","name":"a","NAME":"b"}}"#),
        &request("resources/read", r#"{"uri":"a://b","Uri":"a://c"}"#),
        &request("subscriptions/listen", r#"{"notifications":{"ResourceSubscriptions":["a://b"]}}"#),
        &request("subscriptions/listen", r#"{"Notifications":{"resourceSubscriptions":["a://b"]}}"#),
    ] {
        assert_eq!(read(text), Err(Unfit::Twice), "{text}");
    }
}

#[test]
fn what_is_no_single_plain_message_is_refused() {
    for text in
        ["", "{", "{} x", "\u{feff}{}", r#"{"jsonrpc":"2.0","id":1,"method":"pi"#, "{\"a\":\"\\ud800\"}"]
    {
        assert_eq!(read(text), Err(Unfit::Syntax), "{text}");
    }
    assert_eq!(read(&format!("[{}]", request("ping", "{}"))), Err(Unfit::Batch));
    let deep = "[".repeat(500);
    assert_eq!(read(&deep), Err(Unfit::Syntax));
    for text in [
        "1",
        r#"{"id":1,"method":"ping"}"#,
        r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":1}"#,
        r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call"}"#,
        r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"a"}}"#,
        &request("tools call", "{}"),
        &request("tools/call", "{}"),
        &request("tools/call", "[]"),
        &request("tools/call", r#"{"name":""}"#),
        &request("tools/call", r#"{"name":7}"#),
        &request("tools/call", r#"{"name":"look\u0000"}"#),
        &request("prompts/get", r#"{"name":"a\nb"}"#),
        &request("tools/call", r#"{"name":"look","name\u0000":"stop"}"#),
        &request("resources/read", r#"{"uri":"a://b","ur\u0131":"a://c"}"#),
        &request("completion/complete", r#"{"ref":{"type":"ref/prompt","name":"a","n\u017fme":"b"}}"#),
        &request("resources/read", r#"{"uri":"a://b/../c"}"#),
        &request("resources/read", r#"{"uri":"a://b/%2e%2e/c"}"#),
        &request("resources/read", r#"{"uri":"a://b/%41"}"#),
        &request("resources/read", r#"{"uri":"a://b\\c"}"#),
        &request("resources/read", r#"{"uri":"a://b c"}"#),
        &request("resources/read", r#"{"uri":"a://b/%+5"}"#),
        &request("resources/read", r#"{"uri":"a://b/%0a"}"#),
        &request("resources/read", r#"{"uri":"a://b/%ff"}"#),
        &request("resources/read", r#"{"uri":"a://b/%7f"}"#),
        &request("resources/read", r#"{"uri":"file:///private//x"}"#),
        &request("resources/read", r#"{"uri":"FILE://a^b/private/x"}"#),
        &request("subscriptions/listen", r#"{"notifications":{"resourceSubscriptions":"a://b"}}"#),
        &request("subscriptions/listen", r#"{"notifications":{"resourceSubscriptions":["a://b",1]}}"#),
        &request("subscriptions/listen", r#"{"notifications":{"resourceSubscriptions":["a://b/../c"]}}"#),
        &request("subscriptions/listen", r#"{"notifications":[]}"#),
    ] {
        assert!(matches!(read(text), Err(Unfit::Part(..))), "{text}: {:?}", read(text));
    }
}

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs.iter().fold(HeaderMap::new(), |mut headers, (name, value)| {
        headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        headers
    })
}

#[test]
fn headers_that_say_what_the_body_says_are_taken() {
    let meta = r#"{"name":"ü","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}"#;
    let message = read(&request("tools/call", meta)).unwrap();
    for pairs in [
        &[][..],
        &[
            ("mcp-method", "tools/call"),
            ("mcp-name", "=?base64?w7w=?="),
            ("mcp-protocol-version", "2026-07-28"),
        ],
    ] {
        assert_eq!(agree(&headers(pairs), &message), Ok(()));
    }
    assert_eq!(plain_json(&headers(&[("content-type", "application/json; charset=UTF-8")])), Ok(()));
}

#[test]
fn headers_that_say_something_else_or_twice_are_refused() {
    let meta = r#"{"name":"look","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}"#;
    let message = read(&request("tools/call", meta)).unwrap();
    for pairs in [
        &[("mcp-method", "tools/list")][..],
        &[("mcp-method", "tools/call"), ("mcp-method", "tools/call")],
        &[("mcp-name", "stop")],
        &[("mcp-name", "Look")],
        &[("mcp-name", "look"), ("mcp-name", "look")],
        &[("mcp-name", "=?base64?!?=")],
        &[("mcp-protocol-version", "2025-11-25")],
    ] {
        assert!(matches!(agree(&headers(pairs), &message), Err(NotUnderstood::Ambiguous(_))), "{pairs:?}");
    }
    let list = read(&request("tools/list", "{}")).unwrap();
    assert!(agree(&headers(&[("mcp-name", "look")]), &list).is_err());
    assert!(once(&headers(&[("mcp-session-id", "a"), ("mcp-session-id", "a")])).is_err());
    assert!(once(&headers(&[("last-event-id", "a")])).is_err(), "whose it was is not known");
    assert_eq!(once(&headers(&[("last-event-id", "a"), ("mcp-session-id", "b")])), Ok(()));
    for kind in ["text/plain", "application/json; charset=utf-16", "multipart/form-data", ""] {
        assert!(plain_json(&headers(&[("content-type", kind)])).is_err(), "{kind}");
    }
    let encoded = headers(&[("content-type", "application/json"), ("content-encoding", "gzip")]);
    assert!(plain_json(&encoded).is_err());
}

#[test]
fn headers_that_mirror_arguments_say_what_an_argument_says() {
    let arguments = r#"{"name":"t","arguments":{"region":"ü","deep":{"n":42,"is":true},"big":9007199254740993,"list":["x"],"none":null}}"#;
    let call = read(&request("tools/call", arguments)).unwrap();
    for (name, value) in [
        ("mcp-param-region", "=?base64?w7w=?="),
        ("mcp-param-n", "42"),
        ("mcp-param-n", "42.0"),
        ("mcp-param-is", "true"),
        ("mcp-param-big", "9007199254740993"),
    ] {
        assert_eq!(agree(&headers(&[(name, value)]), &call), Ok(()), "{name}: {value}");
    }
    let prompt = read(&request("prompts/get", arguments)).unwrap();
    for (message, pairs) in [
        (&call, &[("mcp-param-region", "eu")][..]),
        (&call, &[("mcp-param-region", "=?base64?w7w?=")]),
        (&call, &[("mcp-param-n", "43")]),
        (&call, &[("mcp-param-n", "42"), ("mcp-param-n", "42")]),
        (&call, &[("mcp-param-big", "9007199254740992")]),
        (&call, &[("mcp-param-is", "false")]),
        (&call, &[("mcp-param-list", "x")]),
        (&call, &[("mcp-param-none", "null")]),
        (&prompt, &[("mcp-param-n", "42")]),
        (&read(&request("tools/call", r#"{"name":"t"}"#)).unwrap(), &[("mcp-param-n", "42")]),
    ] {
        assert!(matches!(agree(&headers(pairs), message), Err(NotUnderstood::Ambiguous(_))), "{pairs:?}");
    }
}

fn only(allowed: &'static str) -> impl FnMut(&Target) -> bool {
    move |target| target.name() == Some(allowed)
}

#[test]
fn a_list_keeps_what_may_be_called_to_the_letter() {
    let text = r#"{"jsonrpc":"2.0","id":1,"result":{"x":1.0,"tools":[ {"name":"look","n":1e2},{"name":"stop"} ],"cacheScope":"public","nextCursor":"c"}}"#;
    let wanted = r#"{"jsonrpc":"2.0","id":1,"result":{"x":1.0,"tools":[{"name":"look","n":1e2}],"cacheScope":"private","nextCursor":"c"}}"#;
    assert_eq!(narrow(text, &mut only("look")), Ok(Some(wanted.to_owned())));
    for text in [
        r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"look"}]}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{"tools":"none"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"tools"}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"tools":[{"name":"stop"}]}}"#,
    ] {
        assert_eq!(narrow(text, &mut only("look")), Ok(None), "{text}");
    }
}

#[test]
fn an_entry_that_may_not_be_called_is_shown_in_no_disguise() {
    for result in [
        r#"{"tools":[{"name":"stop"}]}"#,
        r#"{"t\u006fols":[{"name":"stop"}]}"#,
        r#"{"tools":[{"name":"look","name":"stop"}]}"#,
        r#"{"tools":[{"title":"stop"}]}"#,
        r#"{"tools":[],"tools":[{"name":"stop"}]}"#,
        r#"{"prompts":[{"name":"stop"}]}"#,
        r#"{"resources":[{"uri":"stop"}]}"#,
        r#"{"resources":[{"uri":"look/../stop"}]}"#,
        r#"{"resourceTemplates":[{"uriTemplate":"stop"}]}"#,
    ] {
        for text in [
            format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#),
            format!(r#"[{{"jsonrpc":"2.0","id":1,"res\u0075lt":{result}}}]"#),
        ] {
            let narrowed = narrow(&text, &mut only("look")).unwrap().unwrap();
            assert!(!narrowed.contains("stop"), "{narrowed}");
        }
    }
    for text in ["", "x", "1", r#"{"result":"#] {
        assert!(narrow(text, &mut only("look")).is_err(), "{text}");
    }
}

#[test]
fn what_is_nested_in_vain_or_lists_without_end_is_unreadable() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(narrow(&deep, &mut only("look")).is_err());
    assert!(narrow(r#"[[{"jsonrpc":"2.0","id":1,"result":{}}]]"#, &mut only("look")).is_err());
    let listed = |times: usize| {
        let entries = vec![r#"{"name":"look"}"#; times].join(",");
        format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"tools":[{entries}]}}}}"#)
    };
    assert_eq!(narrow(&listed(MOST), &mut only("look")), Ok(None));
    assert!(narrow(&listed(MOST + 1), &mut only("look")).is_err());
    let half = listed(MOST / 2 + 1);
    assert!(narrow(&format!("[{half},{half}]"), &mut only("look")).is_err());
}

/// What comes of a stream that arrives in pieces of so many bytes.
fn sifted(stream: &str, at_once: usize) -> Result<String, crate::net::sift::Spoiled> {
    let mut events = Events::new(Box::new(only("look")), Box::new(|id| Some(format!("own.{id}"))), 200);
    let mut out = Vec::new();
    for piece in stream.as_bytes().chunks(at_once) {
        out.extend_from_slice(&events.pass(Bytes::copy_from_slice(piece))?);
    }
    Ok(String::from_utf8(out).unwrap())
}

#[test]
fn events_pass_and_lists_in_them_are_narrowed_however_they_arrive() {
    let result = r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"look"},{"name":"stop"}]}}"#;
    let narrowed = r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"look"}]}}"#;
    let halves = result.split_at(34);
    for end in ["\n", "\r\n"] {
        let plain =
            format!(": ping{end}{end}event: x{end}data: {{\"a\":1}}{end}{end}id{end}retry: 1{end}{end}");
        let stream = format!(
            "{plain}event: message{end}id: 2{end}data: {result}{end}{end}data:{}{end}data:{}{end}{end}rest",
            halves.0, halves.1
        );
        let wanted = format!("{plain}event: message\nid: own.2\ndata: {narrowed}\n\ndata: {narrowed}\n\n");
        for at_once in [1, 7, 64, 4096] {
            assert_eq!(sifted(&stream, at_once).unwrap(), wanted, "{at_once} {end:?}");
        }
    }
}

#[test]
fn an_event_is_called_by_its_callers_own_name_for_it_or_none() {
    let stream = "id: 1\nretry: 9\ndata: {\"a\":1}\ndata:\n\nid:2\n\nid\n\nid:  3\nid: 4\r\n: x\n\n";
    let wanted =
        "id: own.1\nretry: 9\ndata: {\"a\":1}\ndata:\n\nid: own.2\n\nid\n\nid: own. 3\nid: own.4\n: x\n\n";
    assert_eq!(sifted(stream, 5).unwrap(), wanted);
    let mut none = Events::new(Box::new(only("look")), Box::new(|_| None), 200);
    let passed = none.pass(Bytes::from_static(b"id: 1\ndata: {}\n\n")).unwrap();
    assert_eq!(passed, Bytes::from_static(b"data: {}\n\n"));
}

/// What comes of these headers in a session of `who` at `server`.
fn entered(who: &str, server: &str, pairs: &[(&'static str, &str)]) -> Result<HeaderMap, NotUnderstood> {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.insert(*name, HeaderValue::from_str(value).unwrap());
    }
    let key = Some(Arc::new(SessionKey::new(&[7; 32])));
    Session::enter(&mut headers, key, &Arc::new(caller("1", "2", "user", who)), place(server))
        .map(|_| headers)
}

fn place(server: &str) -> Place {
    Place::new("up", &"2".parse().unwrap(), Some(server))
}

#[test]
fn sessions_and_events_are_their_callers_at_their_server_alone() {
    let given = |session: &'static str| {
        let key = Some(Arc::new(SessionKey::new(&[7; 32])));
        let begun =
            Session::enter(&mut HeaderMap::new(), key, &Arc::new(caller("1", "2", "user", "3")), place("a"))
                .unwrap();
        let mut headers = headers(&[("mcp-session-id", session)]);
        let events = begun.leave(&mut headers);
        (headers["mcp-session-id"].to_str().unwrap().to_owned(), events.name("stream_1").unwrap())
    };
    let ((one, event), (other, foreign)) = (given("one"), given("other"));
    let opened = entered("3", "a", &[("mcp-session-id", &one), ("last-event-id", &event)]).unwrap();
    assert_eq!(
        (&opened["mcp-session-id"], &opened["last-event-id"]),
        (&"one".parse().unwrap(), &"stream_1".parse().unwrap())
    );
    entered("3", "a", &[("mcp-session-id", &other), ("last-event-id", &foreign)]).unwrap();
    for (who, server, session, last) in [
        ("4", "a", &one, &event),
        ("3", "b", &one, &event),
        ("3", "a", &other, &event),
        ("3", "a", &one, &foreign),
        ("3", "a", &one, &"stream_1".to_owned()),
        ("3", "a", &one, &one),
        ("3", "a", &event, &event),
    ] {
        let entered = entered(who, server, &[("mcp-session-id", session), ("last-event-id", last)]);
        assert_eq!(entered, Err(NotUnderstood::NoSession), "{who} {server}");
    }
}

#[test]
fn a_stream_that_cannot_be_read_is_broken_off() {
    assert!(sifted("data: no message\n\n", 4).is_err());
    assert!(sifted("event: endpoint\ndata: /messages?session=1\n\n", 4).is_err());
    assert!(sifted(&format!("data: {}", "x".repeat(300)), 64).is_err());
}

#[test]
fn a_query_names_no_session_however_it_is_spelled_and_may_say_anything_else() {
    for query in [None, Some(""), Some("a=b&session=1"), Some("id=sessionId"), Some("sessionIdle=1")] {
        assert_eq!(no_session(query), Ok(()), "{query:?}");
    }
    for query in [
        "sessionId=1",
        "a=b&session_id=1",
        "SESSIONID",
        "a;sessionid=1",
        "s%65ssionId=1",
        "Mcp-Session-Id=1",
        "sessionId[]=1",
        "+sessionId=1",
    ] {
        assert!(no_session(Some(query)).is_err(), "{query}");
    }
}

#[test]
fn each_name_of_an_entry_costs_a_decision() {
    let listed = |uri: &str, times: usize| {
        let entries = vec![format!(r#"{{"uri":"{uri}"}}"#); times].join(",");
        format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"resources":[{entries}]}}}}"#)
    };
    let (plain, twice) = ("a://b/c", "a://b/c%20d");
    let decisions = |uri: &str| Target::Resource(resource::Uri::read(uri).unwrap()).decisions();
    assert!(decisions(twice) > decisions(plain));
    let most = MOST / decisions(twice);
    assert!(narrow(&listed(twice, most), &mut |_| true).is_ok());
    assert!(narrow(&listed(twice, most + 1), &mut |_| true).is_err());
}
