//! What an application that registers itself may say, and what becomes of it.

use jiff::Timestamp;

use super::*;
use crate::policy::Policies;

fn registered(json: &str, settings: &Registration) -> Result<Application, Unfit> {
    let described: Described = serde_json::from_str(json).unwrap();
    let policies = Policies::embedded().unwrap();
    let known_as = ("4001".parse().unwrap(), "self-4001".to_owned(), "nobody");
    described.application(known_as, settings, policies.catalogue(), Timestamp::UNIX_EPOCH)
}

const URI: &str = r#""redirect_uris":["http://127.0.0.1:3000/callback"]"#;

#[test]
fn what_it_asks_for_is_required_and_the_rest_of_the_same_product_optional() {
    let asked = format!(r#"{{{URI},"scope":"/acs/mcp-server:read offline_access nonsense"}}"#);
    let application = registered(&asked, &Registration::default()).unwrap();
    assert_eq!(application.required, "openid /acs/mcp-server:read".parse().unwrap());
    let optional = "profile aliuid /acs/mcp-server /acs/mcp-server:write".parse().unwrap();
    assert_eq!(application.optional, optional);
    assert!(application.is_unverified() && !application.kind.is_confidential());
}

#[test]
fn it_gets_no_more_than_the_operator_allows() {
    let settings =
        Registration { scopes: "/acs/mcp-server:read".parse().unwrap(), ..Registration::default() };
    let asked = format!(r#"{{{URI},"scope":"/acs/mcp-server /acs/ecs"}}"#);
    let application = registered(&asked, &settings).unwrap();
    assert_eq!(application.offered(), "openid profile aliuid /acs/mcp-server:read".parse().unwrap());
    let nothing = registered(&format!("{{{URI}}}"), &settings).unwrap();
    assert_eq!(nothing.required, "openid".parse().unwrap());
    assert_eq!(nothing.offered(), application.offered());
}

#[test]
fn a_name_is_shown_as_far_as_it_can_be_seen() {
    for (name, wanted) in [
        ("Assistant", "Assistant"),
        ("  A \n b\u{202e}c\u{200b} ", "A bc"),
        ("\u{200b}", "Unnamed application"),
        ("An assistant with a very long name", "An assistant with a very"),
    ] {
        let said = serde_json::json!({ "redirect_uris": ["https://a.example/"], "client_name": name });
        let application = registered(&said.to_string(), &Registration::default()).unwrap();
        assert_eq!(application.display_name, wanted);
    }
}

#[test]
fn addresses_that_could_leak_a_code_and_other_grants_are_refused() {
    for (json, redirect) in [
        ("{}".to_owned(), true),
        (r#"{"redirect_uris":["http://a.example/cb"]}"#.to_owned(), true),
        (r#"{"redirect_uris":["javascript:alert(1)"]}"#.to_owned(), true),
        (format!(r#"{{{URI},"grant_types":["client_credentials"]}}"#), false),
        (format!(r#"{{{URI},"response_types":["token"]}}"#), false),
        (format!(r#"{{{URI},"scope":"a\"b"}}"#), false),
    ] {
        let unfit = registered(&json, &Registration::default()).unwrap_err();
        assert_eq!(matches!(unfit, Unfit::RedirectUri(_)), redirect, "{json}: {unfit}");
    }
}

#[test]
fn a_page_is_named_by_an_address_of_its_own_and_by_no_words() {
    let contact = |uri: &str| {
        let said = serde_json::json!({ "redirect_uris": ["https://a.example/"], "client_uri": uri });
        registered(&said.to_string(), &Registration::default()).unwrap().contact
    };
    assert_eq!(contact("https://app.example/help"), "https://app.example/help");
    assert_eq!(contact("https://App.example"), "https://app.example/");
    assert_eq!(
        contact("https://\u{430}pp.example/"),
        "https://xn--pp-6kc.example/",
        "what looks like another"
    );
    for uri in [
        "your bank's help desk, +1 555 0100",
        "help@bank.example",
        "http://app.example/",
        "javascript:alert(1)",
        "https://bank.example@evil.example/",
        "https://:secret@evil.example/",
        "https://",
        "",
        &format!("https://app.example/{}", "x".repeat(200)),
    ] {
        assert_eq!(contact(uri), "", "{uri}");
    }
}

#[test]
fn narrower_settings_bind_who_registered_before_and_nobody_else() {
    let registrar = |scopes: &str, dynamic| {
        let scopes = scopes.parse().unwrap();
        Registrar::new(Registration { scopes, dynamic, ..Registration::default() }).unwrap()
    };
    let asked = format!(r#"{{{URI},"scope":"/acs/mcp-server:read"}}"#);
    let own = registered(&asked, &Registration::default()).unwrap();
    let whole = "openid profile aliuid /acs/mcp-server /acs/mcp-server:read /acs/mcp-server:write";
    assert_eq!(own.offered(), whole.parse().unwrap());
    assert_eq!(registrar("", true).bounded(own.clone()), Some(own.clone()));
    let bounded = registrar("/acs/mcp-server:read", true).bounded(own.clone()).unwrap();
    assert_eq!(bounded.offered(), "openid profile aliuid /acs/mcp-server:read".parse().unwrap());
    assert_eq!(registrar("/acs/ecs", true).bounded(own.clone()), None, "it requires more");
    let more = "/acs/mcp-server:write".parse().unwrap();
    assert!(!registrar("/acs/mcp-server:read", true).gives(&own, &more));

    let published = Application { publisher: "1001".parse().unwrap(), ..own.clone() };
    let narrow = registrar("/acs/ecs", false);
    assert_eq!(narrow.bounded(published.clone()), Some(published.clone()));
    assert!(narrow.gives(&published, &more) && narrow.admits(&published));
    assert!(registrar("", true).admits(&own) && !narrow.admits(&own));
}
