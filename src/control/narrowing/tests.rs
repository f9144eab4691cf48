//! How a request is read. What an exchange gives is told by `tests/narrowing.rs`, with clients that others wrote.

use super::*;

const SUBJECT: &str = "subject_token=t&subject_token_type=urn:ietf:params:oauth:token-type:access_token";

fn read(form: &str) -> Result<(Option<String>, &'static str), Code> {
    let form = Parameters::parse(form.as_bytes());
    let asked = Asked::read(&form).map_err(|error| error.code())?;
    Ok((asked.target.map(ToOwned::to_owned), asked.wanted))
}

#[test]
fn a_place_may_go_by_either_name_or_by_both() {
    let place = Some("https://api.example".to_owned());
    for more in ["resource=https://api.example", "audience=https://api.example"] {
        assert_eq!(read(&format!("{SUBJECT}&{more}")), Ok((place.clone(), ACCESS_TOKEN)));
    }
    let both = format!("{SUBJECT}&resource=https://api.example&audience=https://api.example");
    assert_eq!(read(&both), Ok((place, ACCESS_TOKEN)));
    let jwt = "urn:ietf:params:oauth:token-type:jwt";
    assert_eq!(read(&format!("{SUBJECT}&requested_token_type={jwt}")), Ok((None, jwt)));
}

#[test]
fn what_is_missing_unknown_or_said_twice_is_refused() {
    for (form, code) in [
        ("subject_token=t".to_owned(), Code::InvalidRequest),
        ("subject_token_type=urn:ietf:params:oauth:token-type:access_token".to_owned(), Code::InvalidRequest),
        (SUBJECT.replace("access_token", "id_token"), Code::InvalidRequest),
        (SUBJECT.replace("access_token", "refresh_token"), Code::InvalidRequest),
        (format!("{SUBJECT}&subject_token=u"), Code::InvalidRequest),
        (format!("{SUBJECT}&actor_token=u"), Code::InvalidRequest),
        (format!("{SUBJECT}&actor_token_type=u"), Code::InvalidRequest),
        (format!("{SUBJECT}&actor_token=u&actor_token=u"), Code::InvalidRequest),
        (
            format!("{SUBJECT}&requested_token_type=urn:ietf:params:oauth:token-type:saml2"),
            Code::InvalidRequest,
        ),
        (format!("{SUBJECT}&resource=https://a&resource=https://a"), Code::InvalidTarget),
        (format!("{SUBJECT}&resource=https://a&audience=https://b"), Code::InvalidTarget),
        (format!("{SUBJECT}&scope=a&scope=b"), Code::InvalidRequest),
    ] {
        assert_eq!(read(&form), Err(code), "{form}");
    }
}

#[test]
fn below_is_by_whole_segments() {
    assert!(is_at_or_below("https://api.example/mcp", "https://api.example"));
    assert!(is_at_or_below("https://api.example/mcp", "https://api.example/"));
    assert!(is_at_or_below("https://api.example/mcp", "https://api.example/mcp"));
    for (asked, had) in [
        ("https://api.example", "https://api.example/mcp"),
        ("https://api.example/mcpx", "https://api.example/mcp"),
        ("https://api.example.evil", "https://api.example"),
        ("https://other.example/mcp", "https://api.example"),
    ] {
        assert!(!is_at_or_below(asked, had), "{asked} is not below {had}");
    }
}
