//! The place that a token is for, where it is not for all sidecars: one of them, or a path of it and what is below (RFC
//! 8707 §2, RFC 8693 §2.1).
//!
//! Comes in: the audience of a token that is being verified. Goes out: what is [`Meant`], read once and kept with what is
//! known of the token; later whether a call is there. Paths are compared by whole segments, each without its escapes: `/ecs`
//! is not a beginning of `/ecs2`, and `/%65cs` is no other place than `/ecs`.

use http::HeaderMap;
use url::Url;

use crate::net::canonical::{self, Canonical};

/// Where a sidecar is.
pub(super) struct Base {
    /// Its address, without a slash at its end.
    url: String,
    /// The host in it, as requests name it.
    host: Option<String>,
}

/// A place of a sidecar that is not all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sidecar) struct Place {
    /// As the token has it, without a slash at its end.
    path: Box<str>,
    segments: Box<[String]>,
}

/// What an audience is to a sidecar.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::sidecar) enum Meant {
    /// All sidecars, and whatever else takes the issuer's tokens.
    Everywhere,
    /// This sidecar, all of it, and nothing else.
    Here,
    /// A place of this sidecar.
    There(Place),
}

impl Base {
    /// The sidecar at this address.
    pub(super) fn new(url: &str) -> Self {
        let host = Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_ascii_lowercase));
        Self { url: url.trim_end_matches('/').to_owned(), host }
    }

    /// What `audience` is here: nothing, if it is no address of this sidecar, or one where no request can be.
    pub(super) fn meant(&self, audience: &str) -> Option<Meant> {
        let rest = audience.strip_prefix(self.url.as_str())?;
        let path = rest.strip_suffix('/').unwrap_or(rest);
        if path.is_empty() {
            return Some(Meant::Here);
        }
        let segments = canonical::segments(path)?.into_boxed_slice();
        // After two slashes at the end nothing can be.
        let is_one = !segments.last()?.is_empty();
        is_one.then(|| Meant::There(Place { path: path.into(), segments }))
    }

    /// Why a token that is `meant` so is refused for a call with these headers; nothing where it is good. `by_host` says
    /// that the call's route was found by the host too.
    pub(super) fn refuses(
        &self,
        meant: &Meant,
        (call, by_host): (&Canonical, bool),
        headers: &HeaderMap,
    ) -> Option<String> {
        // What is copied from may be anywhere, whatever reaches it.
        let copies = || headers.keys().any(|name| name.as_str().ends_with("-copy-source"));
        match meant {
            Meant::Everywhere => None,
            Meant::Here => copies().then(|| COPIES.to_owned()),
            Meant::There(place) if !self.has(place, call, by_host) || copies() => Some(place.not_here()),
            Meant::There(_) => None,
        }
    }

    /// Whether a call is at `place` or below it. `by_host` says that its route was found by the host too: then it is a
    /// place of that host, and of this sidecar's only if they are the same.
    fn has(&self, place: &Place, call: &Canonical, by_host: bool) -> bool {
        let elsewhere = by_host && self.host.as_deref() != Some(call.host());
        let mut segments = call.segments();
        !elsewhere
            && place.segments.iter().all(|own| segments.next().is_some_and(|part| part == own.as_str()))
    }
}

impl Place {
    /// Why a call elsewhere is refused.
    fn not_here(&self) -> String {
        format!("the token is for {} and what is below it alone; get one for this path", self.path)
    }
}

const COPIES: &str = "the token is for this sidecar alone, and what is copied may be from anywhere; get one that names no resource";

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Request};

    use super::*;
    use crate::net::body::Inbound;
    use crate::net::canonical::Rules;

    fn base() -> Base {
        Base::new("https://a.example/")
    }

    fn place(audience: &str) -> Place {
        match base().meant(audience) {
            Some(Meant::There(place)) => place,
            other => panic!("{audience}: {other:?}"),
        }
    }

    fn call(host: &str, target: &str) -> Canonical {
        let request = Request::get(target).header("host", host).body(Inbound::empty()).unwrap();
        canonical::read(&request).unwrap().admit(Rules { normalise: true, ..Rules::default() }).unwrap()
    }

    fn has(audience: &str, target: &str) -> bool {
        base().has(&place(audience), &call("10.0.0.1:8080", target), false)
    }

    #[test]
    fn an_audience_is_this_sidecar_only_by_whole_path_segments() {
        for all in ["https://a.example", "https://a.example/"] {
            assert_eq!(base().meant(all), Some(Meant::Here), "{all}");
        }
        assert_eq!(place("https://a.example/mcp"), place("https://a.example/mcp/"));
        for other in [
            "https://a.example.evil",
            "https://b.example",
            "https://a.example:444/x",
            "http://a.example/",
            "https://a.example@b",
        ] {
            assert_eq!(base().meant(other), None, "{other}");
        }
    }

    #[test]
    fn a_token_for_all_of_this_sidecar_is_good_for_any_call_here() {
        let here = base().meant("https://a.example/").unwrap();
        for (target, by_host) in [("/", false), ("/ecs/", false), ("/oss/b/c?x=1", true)] {
            let call = call("10.0.0.1:8080", target);
            assert_eq!(base().refuses(&here, (&call, by_host), &HeaderMap::new()), None, "{target}");
        }
    }

    #[test]
    fn what_copies_from_who_knows_where_takes_a_token_that_is_good_everywhere() {
        let call = call("10.0.0.1:8080", "/oss/b/c");
        let there = base().meant("https://a.example/oss").unwrap();
        for name in ["x-amz-copy-source", "x-oss-copy-source"] {
            let headers = HeaderMap::from_iter([(name.parse().unwrap(), HeaderValue::from_static("/b/d"))]);
            let refuses = |meant: &Meant| base().refuses(meant, (&call, false), &headers);
            assert_eq!(refuses(&Meant::Everywhere), None);
            assert!(refuses(&Meant::Here).is_some_and(|why| why.contains("names no resource")), "{name}");
            assert!(refuses(&there).is_some(), "{name}");
        }
    }

    #[test]
    fn a_place_where_no_request_can_be_is_none() {
        for odd in
            ["//", "//ecs", "/ecs//", "/a/../b", "/ecs?x=1", "?x", "/?x", "/ecs#x", "/a%2fb", "/%2e%2e/x"]
        {
            assert_eq!(base().meant(&format!("https://a.example{odd}")), None, "{odd}");
        }
    }

    #[test]
    fn a_call_at_the_place_or_below_it_is_there() {
        for (place, target) in [
            ("/ecs", "/ecs"),
            ("/ecs", "/ecs/?Action=DescribeInstances"),
            ("/ecs/", "/ecs/"),
            ("/ecs", "/ecs/a/b"),
            ("/ecs", "/%65cs/"),
            ("/%65cs", "/ecs/"),
            ("/oss/a%20b", "/oss/a%20b/c"),
            ("/ecs", "/oss/../ecs/x"),
        ] {
            assert!(has(&format!("https://a.example{place}"), target), "{place} {target}");
        }
    }

    #[test]
    fn a_call_anywhere_else_is_not() {
        for (place, target) in [
            ("/ecs", "/"),
            ("/ecs", "/ecs2"),
            ("/ecs", "/ecs2/x"),
            ("/ecs", "/ec"),
            ("/ecs", "/ECS/"),
            ("/ecs", "/oss/ecs"),
            ("/ecs", "/ecs/../oss/b"),
            ("/oss/b", "/oss"),
            ("/oss/b", "/oss/"),
            ("/oss/b", "/oss/b2/x"),
            ("/oss/b", "/?x=/oss/b"),
        ] {
            assert!(!has(&format!("https://a.example{place}"), target), "{place} {target}");
        }
    }

    #[test]
    fn a_route_that_goes_by_the_host_is_a_place_of_that_host() {
        let there = place("https://a.example/ecs");
        let has = |host: &str, by_host: bool| base().has(&there, &call(host, "/ecs/"), by_host);
        assert!(has("A.example", true) && has("10.0.0.1", false));
        assert!(!has("ecs.aliyuncs.example", true) && !has("10.0.0.1", true));
    }
}
