//! What the demo upstream has received: how many requests, and the last hundred, as `/_seen` tells.

use std::collections::{BTreeMap, VecDeque};

use http::HeaderMap;
use http::request::Parts;
use parking_lot::Mutex;
use serde::Serialize;

use crate::token::assertion::Assertion;

/// One request as it arrived.
#[derive(Debug, Clone, Serialize)]
pub(super) struct SeenRequest {
    pub(super) method: String,
    /// The request target, to the byte.
    pub(super) target: String,
    /// By lower-case name; the values of a repeated one are joined with `, `.
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) trailers: BTreeMap<String, String>,
    /// The verified assertion's claims.
    pub(super) identity: Option<Assertion>,
}

impl SeenRequest {
    pub(super) fn new(head: &Parts) -> Self {
        // An HTTP/2 request has no target of its own: scheme and authority are fields beside the path.
        let path = head.uri.path_and_query().map_or("/", |target| target.as_str());
        let target = if head.version == http::Version::HTTP_2 || head.uri.scheme().is_none() {
            path.to_owned()
        } else {
            head.uri.to_string()
        };
        Self {
            method: head.method.to_string(),
            target,
            headers: texts(&head.headers),
            body: String::new(),
            trailers: BTreeMap::new(),
            identity: None,
        }
    }
}

/// The memory of the upstream.
#[derive(Default)]
pub(super) struct Seen(Mutex<Log>);

#[derive(Default)]
struct Log {
    count: u64,
    last: VecDeque<(u64, SeenRequest)>,
}

#[derive(Serialize)]
struct Told<'a> {
    count: u64,
    last: Vec<&'a SeenRequest>,
}

impl Seen {
    /// Counts a request when it arrives. The number is for [`Seen::complete`].
    pub(super) fn arrived(&self, request: SeenRequest) -> u64 {
        let mut log = self.0.lock();
        log.count += 1;
        let number = log.count;
        log.last.push_back((number, request));
        if log.last.len() > REMEMBERED {
            log.last.pop_front();
        }
        number
    }

    /// Adds what was learnt since: identity, body, trailers.
    pub(super) fn complete(&self, number: u64, request: &SeenRequest) {
        let mut log = self.0.lock();
        if let Some((_, kept)) = log.last.iter_mut().find(|(kept, _)| *kept == number) {
            kept.clone_from(request);
            if kept.body.len() > LONGEST_REMEMBERED {
                kept.body = length_text(request.body.len() as u64);
            }
        }
    }

    /// The answer of `/_seen`.
    pub(super) fn to_json(&self) -> String {
        let log = self.0.lock();
        let told = Told { count: log.count, last: log.last.iter().map(|(_, request)| request).collect() };
        serde_json::to_string(&told).unwrap_or_default()
    }
}

/// Headers or trailers as texts; what is no UTF-8 is shown as well as it can be.
pub(super) fn texts(map: &HeaderMap) -> BTreeMap<String, String> {
    let mut texts = BTreeMap::<String, String>::new();
    for (name, value) in map {
        let value = String::from_utf8_lossy(value.as_bytes());
        texts
            .entry(name.as_str().to_owned())
            .and_modify(|text| *text = format!("{text}, {value}"))
            .or_insert_with(|| value.clone().into_owned());
    }
    texts
}

/// What stands for a body that is too large to be kept.
pub(super) fn length_text(bytes: u64) -> String {
    format!("{bytes} bytes")
}

const REMEMBERED: usize = 100;
/// In `/_seen`; an answer repeats more.
const LONGEST_REMEMBERED: usize = 64 * 1024;
