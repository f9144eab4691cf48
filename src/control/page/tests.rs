//! Every page: headers, escaping, and what a person can read on it.

use super::*;

#[test]
fn a_name_can_neither_reorder_nor_hide_what_stands_around_it() {
    for c in ['\u{202e}', '\u{2066}', '\u{200b}', '\n', '\u{0}', '\u{feff}', '\u{2028}'] {
        assert_eq!(Label::new(&format!("a{c}b")).to_string(), "a\u{fffd}b");
    }
    assert_eq!(Label::new(&"x".repeat(5000)).to_string().chars().count(), 81);
}

#[test]
fn a_name_in_any_script_is_shown_as_it_is() {
    for name in ["Report Hub", "مركز التقارير", "报表中心", "Müller & Söhne"] {
        assert_eq!(Label::new(name).to_string(), name);
    }
}

#[test]
fn a_form_may_lead_to_the_redirect_uri_only() {
    let policy =
        |uri| content_security_policy(FormTarget::of(uri).as_ref(), false).to_str().unwrap().to_owned();
    assert!(
        policy("https://hub.example:8443/callback?x=;y")
            .contains("form-action 'self' https://hub.example:8443;")
    );
    assert!(policy("meeting://authorize/").contains("form-action 'self' meeting:;"));
    assert!(policy("http://[::1]:9/cb").contains("form-action 'self' http:;"));
    for no_target in ["not an address", "https://a.example;sandbox/cb", "https://a.example,b.example/cb"] {
        assert!(policy(no_target).contains("form-action 'self';"), "{no_target}");
    }
}

#[test]
fn a_hostile_application_name_is_text_and_nothing_else() {
    let page = stop::Stopped::not_assigned(
        Visitor { login: "alice@acme".into(), csrf: "\"><script>".into(), administrator: false },
        "<script>alert(1)</script>\u{202e}".into(),
        vec!["root@acme".into()],
    );
    let html = page.render().unwrap();
    assert!(!html.contains("<script"), "{html}");
    assert!(!html.contains('\u{202e}'));
}

#[test]
fn every_page_carries_the_headers_that_protect_it() {
    let response = respond(&stop::Stopped::throttled(30));
    assert_eq!(response.status(), 429);
    let header = |name: &str| response.headers().get(name).unwrap().to_str().unwrap().to_owned();
    assert_eq!(header("retry-after"), "30");
    assert_eq!(header("cache-control"), "no-store");
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert!(header("content-security-policy").starts_with("default-src 'none';"));
    assert!(header("content-security-policy").contains("frame-ancestors 'none'"));
}

#[test]
fn a_scope_is_marked_as_granted_by_itself_as_a_part_of_another_or_as_new() {
    let granted = "/acs/ecs /acs/oss:read".parse().unwrap();
    let mark = |scope: &str| consent::Mark::of(&granted, &scope.parse().unwrap());
    assert_eq!(mark("/acs/ecs"), consent::Mark::Granted);
    assert_eq!(mark("/acs/ecs:read"), consent::Mark::Included);
    assert_eq!(mark("/acs/oss"), consent::Mark::New);
}
