//! Which addresses may be registered as redirect URIs.

use url::{Host, Url};

use crate::control::page::is_name;
use crate::model::application::ApplicationType;

/// Checks an address that is to be registered.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub(super) fn check(text: &str, kind: ApplicationType) -> Result<(), String> {
    let no =
        |why: &str| Err(format!("the redirect URI {:?} {why}", text.chars().take(200).collect::<String>()));
    if text.len() > 1024 || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return no("must be at most 1024 printable ASCII characters without a space");
    }
    let Ok(url) = Url::parse(text) else { return no("is not an absolute address") };
    if url.fragment().is_some() {
        return no("must not have a fragment (RFC 6749 section 3.1.2)");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return no("must not hold a user or a password");
    }
    if text.contains(['*', '\\']) {
        return no("must not hold `*` or `\\`: it is compared to the letter");
    }
    if url.domain().is_some_and(|name| !is_name(name)) {
        return no("has a host with characters that no name has");
    }
    match url.scheme() {
        "https" if url.has_host() => Ok(()),
        "http" if is_loopback(&url) => Ok(()),
        "http" => no("must use https, unless it is a loopback address (RFC 9700 section 2.6)"),
        "https" => no("has no host"),
        scheme if NEVER.contains(&scheme) => no("has a scheme that browsers run or open themselves"),
        _ if kind == ApplicationType::NativeApp => Ok(()),
        _ => no("must use https; only a NativeApp may have a scheme of its own (RFC 8252 section 7.1)"),
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

const NEVER: [&str; 14] = [
    "javascript",
    "data",
    "vbscript",
    "blob",
    "file",
    "filesystem",
    "about",
    "view-source",
    "ws",
    "wss",
    "ftp",
    "mailto",
    "tel",
    "intent",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_only_its_owner_receives_is_taken() {
        for text in [
            "https://a.example/cb?x=1",
            "http://127.0.0.1/callback",
            "http://[::1]:8000/",
            "http://localhost:1/x",
        ] {
            assert_eq!(check(text, ApplicationType::WebApp), Ok(()), "{text}");
        }
        assert_eq!(check("com.example.app:/cb", ApplicationType::NativeApp), Ok(()));
        assert_eq!(check("meeting://authorize/", ApplicationType::NativeApp), Ok(()));
    }

    #[test]
    fn an_address_that_could_leak_a_code_is_refused() {
        for text in [
            "",
            "/relative",
            "http://a.example/cb",
            "https://a.example/cb#f",
            "https://u:p@a.example/",
            "https://*.a.example/",
            "https://a.example;sandbox/cb",
            "https://a.example,b.example/cb",
            "javascript:alert(1)",
            "data:text/html,x",
            "https://a.example/ b",
            "https://a.example\\@b.example/",
            "file:///etc/passwd",
            "http://127.0.0.1.evil.example/cb",
        ] {
            assert!(check(text, ApplicationType::NativeApp).is_err(), "{text} was taken");
        }
        assert!(check("meeting://authorize/", ApplicationType::WebApp).is_err());
        assert!(check(&format!("https://a.example/{}", "x".repeat(1024)), ApplicationType::WebApp).is_err());
    }
}
