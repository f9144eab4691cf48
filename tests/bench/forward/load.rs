//! The load: connections that each ask again as soon as they have their answer.
//!
//! Written on bare sockets, so that it takes as little as it can of the core that it shares with the upstream.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use consentry::model::time::Clock;
use consentry::token::signature::{Parts, acs3};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::LocalRuntime;
use tokio::task::JoinSet;

use super::Fallible;
use super::role::Running;

pub(crate) struct Load {
    runtime: LocalRuntime,
    request: Rc<Request>,
}

/// What each connection asks, again and again.
enum Request {
    /// The same bytes.
    Same(Vec<u8>),
    /// One after the other of these.
    Varied { all: Vec<Vec<u8>>, number: Cell<usize> },
    /// Signed anew each time.
    Signed(Box<Signing>),
}

struct Signing {
    id: String,
    token: String,
    key: hmac::Key,
    number: Cell<u64>,
}

/// What was seen of one round.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Microseconds of each answer, in order.
    pub(crate) latencies: Vec<u32>,
    pub(crate) length: Duration,
    /// The proxy's time on its core meanwhile.
    pub(crate) on_core: Duration,
}

/// What the connections of one round have in common.
#[derive(Default)]
struct Round {
    counting: Cell<bool>,
    over: Cell<bool>,
    latencies: RefCell<Vec<u32>>,
}

impl Load {
    pub(crate) fn new(token: &str) -> Fallible<Self> {
        Self::of(Request::Same(get("2026", token)))
    }

    /// For another object each time, until all have been asked for.
    pub(crate) fn varied(token: &str) -> Fallible<Self> {
        let all = (0..OBJECTS).map(|number| get(&format!("{number:04}"), token)).collect();
        Self::of(Request::Varied { all, number: Cell::default() })
    }

    /// A call of the cloud's protocol with a bearer token. `told` is what a signing sidecar said.
    pub(crate) fn bearer(told: &str) -> Fallible<Self> {
        let token = told.split(' ').next().unwrap_or_default();
        let request = format!("{RPC}authorization: Bearer {token}\r\n\r\n");
        Self::of(Request::Same(request.into_bytes()))
    }

    /// The same call, signed.
    pub(crate) fn signed(told: &str) -> Fallible<Self> {
        let told: Vec<&str> = told.split(' ').collect();
        let [_, id, secret, token] = told.as_slice() else { return Err("no access key was told".into()) };
        Self::of(Request::Signed(Box::new(Signing {
            id: (*id).to_owned(),
            token: (*token).to_owned(),
            key: acs3::key(secret),
            number: Cell::new(0),
        })))
    }

    fn of(request: Request) -> Fallible<Self> {
        Ok(Self { runtime: LocalRuntime::new()?, request: Rc::new(request) })
    }

    /// One round.
    pub(crate) fn run(&self, running: &Running, length: Duration) -> Fallible<Seen> {
        self.runtime.block_on(async {
            let round = Rc::new(Round::default());
            let mut connections = JoinSet::new();
            for _ in 0..CONNECTIONS {
                let (round, request) = (Rc::clone(&round), Rc::clone(&self.request));
                connections.spawn_local(ask(running.address(), request, round));
            }
            tokio::time::sleep(WARM_UP).await;
            let (began, before) = (Instant::now(), running.on_core()?);
            round.counting.set(true);
            tokio::time::sleep(length).await;
            round.counting.set(false);
            let (length, on_core) = (began.elapsed(), running.on_core()? - before);
            round.over.set(true);
            while let Some(ended) = connections.join_next().await {
                ended??;
            }
            let mut latencies = round.latencies.take();
            latencies.sort_unstable();
            Ok(Seen { latencies, length, on_core })
        })
    }
}

/// One connection.
async fn ask(address: SocketAddr, request: Rc<Request>, round: Rc<Round>) -> std::io::Result<()> {
    let mut tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    let mut buffer = vec![0; 16 * 1024];
    while !round.over.get() {
        let bytes = request.bytes();
        let asked = Instant::now();
        tcp.write_all(&bytes).await?;
        let mut filled = 0;
        loop {
            let read = tcp.read(buffer.get_mut(filled..).unwrap_or_default()).await?;
            filled += read;
            match whole(buffer.get(..filled).unwrap_or_default()) {
                Whole::Yes => break,
                Whole::NotYet if read > 0 => {}
                Whole::NotYet => return Err(unexpected("the connection ended")),
                Whole::Refused => {
                    let text = String::from_utf8_lossy(buffer.get(..filled).unwrap_or_default()).into_owned();
                    return Err(unexpected(&text));
                }
            }
        }
        if round.counting.get() {
            let took = u32::try_from(asked.elapsed().as_micros()).unwrap_or(u32::MAX);
            round.latencies.borrow_mut().push(took);
        }
    }
    Ok(())
}

impl Request {
    fn bytes(&self) -> Cow<'_, [u8]> {
        match self {
            Self::Same(bytes) => Cow::Borrowed(bytes),
            Self::Varied { all, number } => {
                number.set((number.get() + 1) % OBJECTS);
                Cow::Borrowed(all.get(number.get()).map_or(&[], Vec::as_slice))
            }
            Self::Signed(signing) => Cow::Owned(signing.sign().into_bytes()),
        }
    }
}

fn get(object: &str, token: &str) -> Vec<u8> {
    let head = format!("GET /oss/reports/{object}.csv HTTP/1.1\r\nhost: cloud.example\r\nuser-agent: bench");
    format!("{head}\r\naccept: */*\r\nauthorization: Bearer {token}\r\n\r\n").into_bytes()
}

impl Signing {
    fn sign(&self) -> String {
        self.number.set(self.number.get() + 1);
        let nonce = format!("nonce-{}-{}", std::process::id(), self.number.get());
        let date = jiff::Timestamp::from_second(Clock::system().seconds()).unwrap_or_default().to_string();
        let headers = [
            ("accept", "*/*"),
            ("host", "cloud.example"),
            ("user-agent", "bench"),
            ("x-acs-action", "DescribeInstances"),
            ("x-acs-content-sha256", acs3::OF_NOTHING),
            ("x-acs-date", &date),
            ("x-acs-security-token", &self.token),
            ("x-acs-signature-nonce", &nonce),
            ("x-acs-version", "2014-05-26"),
        ];
        let parts = Parts { method: "POST", path: "/ecs/", query: "RegionId=cn-hangzhou", headers: &headers };
        let signature = acs3::signature(&self.key, &parts, acs3::OF_NOTHING);
        let authorization = acs3::authorization(&self.id, &parts, &signature);
        let token = &self.token;
        format!(
            "{RPC}x-acs-content-sha256: {}\r\nx-acs-date: {date}\r\nx-acs-security-token: {token}\r\n\
             x-acs-signature-nonce: {nonce}\r\nauthorization: {authorization}\r\n\r\n",
            acs3::OF_NOTHING
        )
    }
}

enum Whole {
    Yes,
    NotYet,
    Refused,
}

fn whole(bytes: &[u8]) -> Whole {
    if bytes.len() >= OK.len() && !bytes.starts_with(OK) {
        return Whole::Refused;
    }
    let head = memchr::memmem::find(bytes, b"\r\n\r\n").map(|end| end + 4);
    if head.is_some_and(|head| bytes.len() >= head + 1024) { Whole::Yes } else { Whole::NotYet }
}

fn unexpected(what: &str) -> std::io::Error {
    std::io::Error::other(format!("not the answer that was expected: {what}"))
}

impl Seen {
    pub(crate) fn answers(&self) -> usize {
        self.latencies.len()
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.answers() as f64 / self.length.as_secs_f64()
    }

    /// Microseconds of the proxy's core for one answer.
    pub(crate) fn cost(&self) -> f64 {
        self.on_core.as_secs_f64() * 1e6 / self.answers() as f64
    }

    /// The latency in microseconds that so many thousandths of all answers had at most.
    pub(crate) fn latency(&self, thousandths: usize) -> f64 {
        self.latencies.get(self.answers() * thousandths / 1000).map_or(f64::NAN, |took| f64::from(*took))
    }
}

const RPC: &str = "POST /ecs/?RegionId=cn-hangzhou HTTP/1.1\r\nhost: cloud.example\r\nuser-agent: bench\r\n\
                   accept: */*\r\nx-acs-action: DescribeInstances\r\nx-acs-version: 2014-05-26\r\ncontent-length: 0\r\n";
/// Objects that a varied load asks for: more than a caller's repeated requests that are kept, fewer than its decisions.
const OBJECTS: usize = 500;
const CONNECTIONS: usize = 32;
const WARM_UP: Duration = Duration::from_millis(200);
const OK: &[u8] = b"HTTP/1.1 200 OK\r\n";
