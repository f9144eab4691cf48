//! The verifier agrees with the SDKs' own signers: what they send of random requests passes a sidecar to the letter, and
//! nothing of it in which a signed byte is another. The SDKs ship their requests to a server of their script; the test
//! sends those bytes on.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::policy_files::copied;
use crate::signed::{exchange, first_party};
use crate::support::fleet::{Fleet, Lone};
use crate::support::raw::{Raw, RawAnswer};
use crate::support::script::{Script, seed};

// The upstream is in this process, and waiting for a script blocks a thread.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_clouds_python_clients_sign_is_taken_and_nothing_of_it_that_was_changed() {
    let (fleet, sidecar, key, _policies) = alibaba().await;
    agrees(&fleet, &sidecar, "sdk_acs.py", &key, &["third", "first", "core"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_clouds_node_clients_sign_is_taken_and_nothing_of_it_that_was_changed() {
    let (fleet, sidecar, key, _policies) = alibaba().await;
    agrees(&fleet, &sidecar, "sdk_acs.mjs", &key, &["third", "rpc", "roa"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_botocore_signs_is_taken_and_nothing_of_it_that_was_changed() {
    let mut fleet = Fleet::start().await;
    let scopes =
        ["/aws/s3:read", "/aws/s3:write", "/aws/dynamodb:read", "/aws/dynamodb:write", "/aws/ec2:read"];
    let (_, tokens) = fleet.world.published("signers", &scopes).await;
    let key = exchange(&fleet.world.issuer, &tokens.access).await;
    let invited = fleet.invite("signers", &[]);
    let route =
        |path: &str| format!("[[route]]\npath = \"{path}\"\nupstream = \"cloud\"\nadapter = \"aws\"\n");
    let sidecar = fleet.lone("signers", &invited, &[route("/"), route("/{path…}")].concat()).await;
    sidecar.until_ready().await;
    agrees(&fleet, &sidecar, "sdk_aws.py", &key, &["s3", "dynamodb", "ec2"]).await;
}

/// A sidecar before ECS, of the RPC style, and a product of the ROA style, and a key for all of both.
async fn alibaba() -> (Fleet, Lone, Value, TempDir) {
    let folder = copied();
    std::fs::write(folder.path().join("scopes/things.json"), THINGS).unwrap();
    let mut fleet = Fleet::asleep_with(&format!("policies = \"{}\"", folder.path().display()), "").await;
    fleet.wake().await;
    let tokens = first_party(&fleet.world, &["openid", "/acs/things", "/acs/ecs:read"]).await;
    let key = exchange(&fleet.world.issuer, &tokens.access).await;
    let invited = fleet.invite("signers", &[]);
    let route =
        "[[route]]\npath = \"/{path…}\"\nupstream = \"cloud\"\nadapter = \"acs\"\nproduct = \"things\"\n";
    let sidecar = fleet.lone("signers", &invited, route).await;
    sidecar.until_ready().await;
    (fleet, sidecar, key, folder)
}

async fn agrees(fleet: &Fleet, sidecar: &Lone, script: &str, key: &Value, clients: &[&str]) {
    let (seed, count) = (seed(), 150);
    let mut script = Script::start(script, &json!({ "seed": seed, "count": count, "key": key }));
    let mut numbers = Numbers(seed.into());
    let mut told = vec![0_usize; clients.len()];
    let (mut wrong, mut once) = (0, 0);
    for _ in 0..count {
        let said = script.hear();
        let sent = Sent::read(&said);
        // The changed one first: a request that is refused uses up nothing.
        let (changed, what) = sent.changed(&mut numbers);
        let before = fleet.cloud.seen();
        let refused = changed.send(sidecar).await;
        assert!(refused.status >= 400, "{what} was changed, and it passed: {said}\nas {}", changed.head);
        wrong +=
            usize::from(refused.body.contains("does not fit") || refused.body.contains("is not the one"));
        let of = clients.iter().position(|client| *client == said["client"]).unwrap();
        told[of] += 1;
        assert_eq!(fleet.cloud.seen(), before, "{what} was changed, and it was forwarded: {said}");
        let padded = sent.padded(&mut numbers);
        let passed = padded.send(sidecar).await;
        assert_eq!(passed.status, 200, "{said}\n{passed:?}");
        assert_eq!(fleet.cloud.seen(), before + 1, "{said}");
        if sent.counts_once() {
            let again = padded.send(sidecar).await;
            assert!(is_a_replay(&again), "it counted twice: {said}\n{again:?}");
            assert_eq!(fleet.cloud.seen(), before + 1, "it was forwarded twice: {said}");
            once += 1;
        }
    }
    script.finish();
    assert!(told.iter().all(|count| *count >= 10), "each client signs some: {told:?}");
    assert!(once * 4 > count, "many are good once: {once} of {count}");
    assert!(wrong * 3 > count, "many are refused for their signature: {wrong} of {count}");
}

/// Whether that is why it was refused; the answer to HEAD has no more than its status to say it by.
fn is_a_replay(answer: &RawAnswer) -> bool {
    let said = answer.body.contains("signature_replayed") && [400, 503].contains(&answer.status);
    said || (answer.body.is_empty() && answer.status == 503)
}

/// A request, byte by byte.
#[derive(Clone)]
struct Sent {
    head: String,
    body: Vec<u8>,
    /// The body as it came, in one piece: its sender had cut it into chunks.
    chunked: bool,
}

impl Sent {
    fn read(said: &Value) -> Self {
        let body = STANDARD.decode(said["body"].as_str().unwrap()).unwrap();
        let chunked = said["chunked"] == json!(true);
        Self { head: said["head"].as_str().unwrap().to_owned(), body, chunked }
    }

    /// Whether it is good once. AWS's signatures, and that of headers of the cloud's first ones, need have nothing in them
    /// that tells a request from the same one made again: what only looks may come twice with them.
    fn counts_once(&self) -> bool {
        let lower = self.head.to_ascii_lowercase();
        if lower.contains("aws4-hmac-sha256") {
            return ["put ", "delete "].iter().any(|method| lower.starts_with(method))
                || lower.contains(".putitem");
        }
        let only_looks = lower.starts_with("get ") && lower.contains("\r\nauthorization: acs ");
        !only_looks || lower.contains("\r\nx-acs-signature-nonce:")
    }

    async fn send(&self, sidecar: &Lone) -> RawAnswer {
        let mut raw = Raw::connect(&sidecar.url).await;
        let mut bytes = format!("{}\r\n", self.head).into_bytes();
        if self.chunked {
            bytes.extend(format!("{:x}\r\n", self.body.len()).bytes());
            bytes.extend(&self.body);
            bytes.extend(b"\r\n0\r\n\r\n");
        } else {
            bytes.extend(&self.body);
        }
        raw.write(bytes).await;
        if self.head.starts_with("HEAD ") { raw.answer_to_head().await } else { raw.answer().await }
    }

    /// The same with blanks around the values of headers, which belong to none (RFC 9110 §5.5).
    fn padded(&self, numbers: &mut Numbers) -> Self {
        let pad = ["", " ", "\t ", "  "];
        let mut lines = self.head.split_inclusive("\r\n");
        let mut head = lines.next().unwrap().to_owned();
        for line in lines {
            let (name, value) = line.trim_end_matches("\r\n").split_once(':').unwrap();
            let (before, after) = (pad[numbers.below(pad.len())], pad[numbers.below(pad.len())]);
            head.push_str(&format!("{name}:{before}{value}{after}\r\n"));
        }
        Self { head, ..self.clone() }
    }

    /// The same with one signed byte another; and where.
    fn changed(&self, numbers: &mut Numbers) -> (Self, String) {
        let mut changed = self.clone();
        loop {
            let what = match numbers.below(4) {
                0 => {
                    // Of the target, which is signed whole, but for the slash that it begins with.
                    let end = self.head.find(" HTTP/1.1").unwrap();
                    let begin = self.head.find(' ').unwrap() + 1;
                    change(&mut changed.head, begin, end, numbers).then(|| "the target".to_owned())
                }
                1 => {
                    let (name, begin, end) = self.signed_header(numbers);
                    change(&mut changed.head, begin, end, numbers).then_some(name)
                }
                // One whose length nobody knows before it ends goes on as it comes, but for its end.
                2 if !self.body.is_empty() && !self.chunked => {
                    let at = numbers.below(self.body.len());
                    changed.body[at] = other(self.body[at], numbers);
                    (changed.body != self.body).then(|| "the body".to_owned())
                }
                _ => {
                    let (_, rest) = self.head.split_once(' ').unwrap();
                    let method = ["GET", "POST", "PUT", "DELETE"][numbers.below(4)];
                    changed.head = format!("{method} {rest}");
                    (changed.head != self.head).then(|| "the method".to_owned())
                }
            };
            if let Some(what) = what {
                return (changed, what);
            }
            changed = self.clone();
        }
    }

    /// One of the headers that the signature covers, or that holds it: its name, and where its value is.
    fn signed_header(&self, numbers: &mut Numbers) -> (String, usize, usize) {
        let lower = self.head.to_ascii_lowercase();
        let listed =
            lower.split_once("signedheaders=").map(|(_, rest)| rest.split([',', '\r']).next().unwrap());
        let first = ["accept", "content-md5", "content-type", "date"];
        let in_headers = lower.contains("\r\nauthorization:");
        let is_signed = |name: &str| match listed {
            Some(listed) => name == "authorization" || listed.split(';').any(|one| one == name),
            // Of the first signature that of headers covers these, that of parameters the two that must agree with it.
            None if in_headers => {
                name == "authorization" || first.contains(&name) || name.starts_with("x-acs-")
            }
            None => matches!(name, "x-acs-action" | "x-acs-version"),
        };
        let mut places = Vec::new();
        let mut at = 0;
        for line in self.head.split_inclusive("\r\n") {
            if let Some((name, _)) = line.split_once(':').filter(|_| at > 0)
                && is_signed(&name.to_ascii_lowercase())
            {
                places.push((name.to_owned(), at + name.len() + 1, at + line.len() - 2));
            }
            at += line.len();
        }
        match places.len() {
            // Nothing but parameters is signed: then one of them.
            0 => (
                "the target".to_owned(),
                self.head.find(' ').unwrap() + 1,
                self.head.find(" HTTP/1.1").unwrap(),
            ),
            count => places.swap_remove(numbers.below(count)),
        }
    }
}

/// Makes one letter or digit between two places another. Answers whether there was any.
fn change(text: &mut String, begin: usize, end: usize, numbers: &mut Numbers) -> bool {
    let mut bytes = std::mem::take(text).into_bytes();
    let places: Vec<usize> = (begin..end).filter(|at| bytes[*at].is_ascii_alphanumeric()).collect();
    if !places.is_empty() {
        let at = places[numbers.below(places.len())];
        bytes[at] = other(bytes[at], numbers);
    }
    *text = String::from_utf8(bytes).unwrap();
    !places.is_empty()
}

/// Another byte of the same kind, and not merely in the other case: digits of escapes may stand in either.
fn other(byte: u8, numbers: &mut Numbers) -> u8 {
    let of: &[u8] = match byte {
        b'0'..=b'9' => b"0123456789",
        b'a'..=b'z' => b"abcdefghijklmnopqrstuvwxyz",
        b'A'..=b'Z' => b"ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        _ => return byte ^ 1,
    };
    let others: Vec<u8> = of.iter().copied().filter(|other| *other != byte).collect();
    others[numbers.below(others.len())]
}

/// Numbers that a seed gives again (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % u64::try_from(count).unwrap()).unwrap()
    }
}

/// A product of the ROA style, all of whose operations a scope gives.
const THINGS: &str = r#"{
    "service": "things", "title": "Things",
    "scopes": [
        { "scope": "/acs/things", "title": "Things", "consent": "Everything.", "risk": { "level": "high", "why": "All." } },
        { "scope": "/acs/things:read", "title": "Things: look", "consent": "See them.",
          "risk": { "level": "low", "why": "Little." }, "actions": ["things:GetThing"] },
        { "scope": "/acs/things:write", "title": "Things: change", "consent": "Change them.",
          "risk": { "level": "high", "why": "Much." }, "actions": ["things:AskThing", "things:PutThing", "things:DeleteThing"] }
    ],
    "calls": {
        "versions": ["2020-01-01"],
        "paths": [
            { "method": "GET", "path": "/things/{Id}", "operation": "GetThing" },
            { "method": "POST", "path": "/things/{Id}", "operation": "AskThing" },
            { "method": "PUT", "path": "/things/{Id}", "operation": "PutThing" },
            { "method": "DELETE", "path": "/things/{Id}", "operation": "DeleteThing" },
            { "method": "GET", "path": "/things/{Id}/{Part}", "operation": "GetThing" },
            { "method": "POST", "path": "/things/{Id}/{Part}", "operation": "AskThing" },
            { "method": "PUT", "path": "/things/{Id}/{Part}", "operation": "PutThing" },
            { "method": "DELETE", "path": "/things/{Id}/{Part}", "operation": "DeleteThing" }
        ]
    }
}"#;
