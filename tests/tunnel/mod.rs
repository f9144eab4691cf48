//! Clients that reach HTTPS through a proxy ask it for a tunnel (CONNECT). Where a route says so, the sidecar opens it
//! with a certificate of the platform team's authority, and what comes through is a call like any other. The clients are
//! the clouds' own SDKs and curl, unmodified; the attacks are ours.

mod clients;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper::{Request, Response};
use rustix::process::Signal;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::signed::exchange;
use crate::support::eventually::in_time;
use crate::support::fleet::{Fleet, Lone};
use crate::support::world::run;
use crate::support::{Tokens, eventually};

/// A sidecar that opens tunnels to some hosts, and an application that an account has authorized.
struct Opened {
    fleet: Fleet,
    sidecar: Lone,
    tokens: Tokens,
    /// The file with the authority's certificate.
    authority: String,
}

impl Opened {
    async fn start(more: &str) -> Self {
        let fleet = Fleet::start().await;
        let tokens = fleet.world.install("report-hub", "admin@acme", &["/acs/ecs:read"]).await;
        Self::with(fleet, tokens, &format!("{more}{ROUTES}")).await
    }

    /// `settings` stand behind those of the interception.
    async fn with(mut fleet: Fleet, tokens: Tokens, settings: &str) -> Self {
        let folder = fleet.world.data();
        let interception = interception(&folder);
        let token = fleet.invite("opener", &[]);
        let sidecar = fleet.lone("opener", &token, &format!("{interception}{settings}")).await;
        sidecar.until_ready().await;
        let authority = folder.join("ca.crt").display().to_string();
        Self { fleet, sidecar, tokens, authority }
    }

    async fn exchange(&self) -> Value {
        exchange(&self.fleet.world.issuer, &self.tokens.access).await
    }

    /// Asks for a tunnel in these words, and gives the connection with the answer's head.
    async fn ask(&self, words: &str) -> (TcpStream, String) {
        let mut tcp = TcpStream::connect(self.sidecar.url.trim_start_matches("http://")).await.unwrap();
        tcp.write_all(words.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        in_time("an answer", async {
            // A byte at a time: what follows the head of a success is not ours to read.
            let mut byte = [0; 1];
            while !head.ends_with(b"\r\n\r\n") && tcp.read(&mut byte).await.unwrap() > 0 {
                head.extend_from_slice(&byte);
            }
        })
        .await;
        (tcp, String::from_utf8(head).unwrap())
    }

    async fn enter(&self, host: &str, protocol: &str) -> TlsStream<TcpStream> {
        let (tcp, head) = self.ask(&connect(&format!("{host}:443"))).await;
        assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("x-consentry-decision: "), "{head}");
        assert!(!head.contains("content-length") && !head.contains("transfer-encoding"), "{head}");
        let trusted = std::fs::read(&self.authority).unwrap();
        greet(tcp, host, &trusted, protocol).await.unwrap()
    }

    /// The whole answer to one request in a tunnel to `host`.
    async fn through(&self, host: &str, request: &str) -> String {
        let mut stream = self.enter(host, "http/1.1").await;
        stream.write_all(request.replace('\n', "\r\n").as_bytes()).await.unwrap();
        String::from_utf8(rest("an answer", &mut stream).await).unwrap()
    }

    /// The next record with this code, which is not looked at again.
    async fn recorded(&self, code: &str, seen: &mut usize) -> Value {
        let what = format!("{code} is recorded");
        let record = eventually(&what, || {
            let records = self.sidecar.records();
            let found = records.iter().skip(*seen).position(|record| record["code"] == code);
            std::future::ready(found.map(|at| (*seen + at, records[*seen + at].clone())))
        });
        let (at, record) = record.await;
        *seen = at + 1;
        record
    }
}

#[tokio::test]
async fn a_tunnel_leads_nowhere_but_to_an_intercepted_host_by_its_name_and_port() {
    let (quiet, settings) = quiet();
    let opened = Opened::start(&settings).await;
    let mut seen = 0;
    for (words, status, code) in [
        (connect("rds.aliyuncs.com:443"), 403, "tunnel_to_host"),
        (connect("ecs.aliyuncs.com.evil.example:443"), 403, "tunnel_to_host"),
        (connect("ecs.aliyuncs.com:8443"), 403, "tunnel_to_port"),
        (connect("ecs.aliyuncs.com:80"), 403, "tunnel_to_port"),
        (connect("127.0.0.1:443"), 403, "tunnel_to_address"),
        (connect("[::1]:443"), 403, "tunnel_to_address"),
        (connect("169.254.169.254:80"), 403, "tunnel_to_address"),
        (connect("0x7f000001:443"), 403, "tunnel_to_address"),
        (connect("ecs.aliyuncs.com"), 400, "tunnel_form"),
        (connect("https://ecs.aliyuncs.com:443/"), 400, "tunnel_form"),
        (connect("me:secret@ecs.aliyuncs.com:443"), 400, "host_malformed"),
        ("CONNECT ecs.aliyuncs.com:443 HTTP/1.1\r\n\r\n".to_owned(), 400, "host_missing"),
        (
            "CONNECT ecs.aliyuncs.com:443 HTTP/1.1\r\nhost: oss.example.com:443\r\n\r\n".to_owned(),
            400,
            "host_ambiguous",
        ),
        (
            "CONNECT ecs.aliyuncs.com:443 HTTP/1.1\r\nhost: ecs.aliyuncs.com:443\r\ncontent-length: 2\r\n\r\nhi".to_owned(),
            400,
            "tunnel_form",
        ),
    ] {
        let (mut tcp, head) = opened.ask(&words).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{words}{head}");
        assert!(head.contains("x-consentry-decision: ") && head.contains("connection: close"), "{words}{head}");
        let mut body = String::new();
        in_time("the end", tcp.read_to_string(&mut body)).await.unwrap();
        assert!(body.contains(&format!("\"code\":\"{code}\"")) && body.contains("\"next\":"), "{words}{body}");
        let record = opened.recorded(code, &mut seen).await;
        assert_eq!((&record["outcome"], &record["method"]), (&json!("refused"), &json!("CONNECT")), "{record}");
        assert!(!record.to_string().contains("secret"), "{record}");
    }
    // It is the tunnel that is answered: who asks learns nothing of what is behind, and nothing is asked there.
    for _ in 0..2 {
        drop(opened.enter("quiet.example.com", "http/1.1").await);
    }
    assert_eq!(quiet.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    assert_eq!(opened.fleet.cloud.seen(), 0);
}

#[tokio::test]
async fn what_comes_through_a_tunnel_is_for_its_host_and_is_asked_in_tls() {
    let opened = Opened::start("").await;
    let mut seen = 0;
    let bearer = format!("authorization: Bearer {}\nconnection: close\n\n", opened.tokens.access);
    let good = format!("GET /oss/reports/q1.csv HTTP/1.1\nhost: oss.example.com\n{bearer}");
    let answer = opened.through("oss.example.com", &good).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let absolute = good.replace("GET /", "GET https://oss.example.com/");
    assert!(opened.through("oss.example.com", &absolute).await.starts_with("HTTP/1.1 200 "));
    assert_eq!(opened.fleet.cloud.seen(), 2);
    for (request, status, code) in [
        (good.replace("oss.example.com", "oss2.example.com"), 421, "tunnel_other_host"),
        (good.replace("host: oss.example.com", "host: ecs.aliyuncs.com"), 421, "tunnel_other_host"),
        (good.replace("host: oss.example.com", "host: oss.example.com:80"), 421, "tunnel_other_host"),
        (absolute.replace("https:", "http:"), 421, "tunnel_other_host"),
        (absolute.replace("host: oss", "host: ecs"), 400, "host_ambiguous"),
        (good.replace("GET /oss/reports/q1.csv", "CONNECT oss.example.com:443"), 400, "tunnel_nested"),
        (good.replace("/oss/reports/q1.csv", "/closed/reports"), 404, "no_route"),
        (good.replace("authorization", "x-nothing"), 401, "unauthenticated"),
        (good.replace("GET", "PUT"), 403, "insufficient_scope"),
    ] {
        let answer = opened.through("oss.example.com", &request).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(code),
            "{request}{answer}"
        );
        opened.recorded(code, &mut seen).await;
    }
    // In the clear to the sidecar itself, the same route is what it was.
    let clear = opened
        .sidecar
        .call("/closed/reports")
        .header("host", "oss.example.com")
        .bearer(&opened.tokens.access);
    clear.send().await.expect(200);
    assert_eq!(opened.fleet.cloud.seen(), 3);

    // Bytes that are no TLS, and TLS for somebody else.
    let (mut tcp, _) = opened.ask(&connect("oss.example.com:443")).await;
    tcp.write_all(good.replace('\n', "\r\n").as_bytes()).await.unwrap();
    let answer = rest("the end", &mut tcp).await;
    assert!(!String::from_utf8_lossy(&answer).contains("HTTP"), "{answer:?}");
    assert_eq!(opened.recorded("tunnel_not_tls", &mut seen).await["path"], "oss.example.com:443");
    // Also when they come with the request itself, before it is answered.
    let early = format!("{}{}", connect("oss.example.com:443"), good.replace('\n', "\r\n"));
    let (_tcp, head) = opened.ask(&early).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    opened.recorded("tunnel_not_tls", &mut seen).await;
    let trusted = std::fs::read(&opened.authority).unwrap();
    let (tcp, head) = opened.ask(&connect("oss.example.com:443")).await;
    let decision = head.lines().find_map(|line| line.strip_prefix("x-consentry-decision: ")).unwrap();
    assert!(greet(tcp, "ecs.aliyuncs.com", &trusted, "http/1.1").await.is_err());
    let record = opened.recorded("tunnel_other_name", &mut seen).await;
    let asked = opened.sidecar.records().into_iter().find(|record| record["id"] == decision).unwrap();
    assert_eq!((&asked["outcome"], &asked["trace"]), (&json!("answered"), &record["trace"]), "{record}");
    assert_eq!(opened.fleet.cloud.seen(), 3, "nothing of it has reached the upstream");
}

#[tokio::test]
async fn a_deletion_cuts_streams_in_tunnels_and_the_end_of_the_sidecar_ends_tunnels() {
    let opened = Opened::start("").await;
    let host = "oss.example.com";
    let head = format!("host: {host}\r\nauthorization: Bearer {}\r\n", opened.tokens.access);
    let mut events = opened.enter(host, "http/1.1").await;
    events.write_all(format!("GET /oss-watch/reports HTTP/1.1\r\n{head}\r\n").as_bytes()).await.unwrap();
    read_to(&mut events, "data: x").await;
    let mut socket = opened.enter(host, "http/1.1").await;
    let upgrade = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                   sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    socket
        .write_all(format!("GET /oss-socket/reports HTTP/1.1\r\n{head}{upgrade}\r\n").as_bytes())
        .await
        .unwrap();
    read_to(&mut socket, "\u{2}hi").await;
    let modern = opened.enter(host, "h2").await;
    let mut modern = over_http2(modern, &opened.tokens.access).await;
    assert_eq!(modern.status(), 200);

    let receipt = opened.fleet.world.delete_application("acme", "report-hub").await.expect(200);
    assert_eq!((&receipt["effective"], &receipt["streams_closed"]), (&json!(true), &json!(3)), "{receipt}");
    let told = rest("the events end", &mut events).await;
    assert!(!String::from_utf8_lossy(&told).contains("\r\n0\r\n"), "broken off, not ended");
    assert_eq!(rest("the socket ends", &mut socket).await, [0x88, 2, 0x03, 0xf0], "closed by policy");
    let last = in_time("the stream ends", async {
        loop {
            match http_body_util::BodyExt::frame(modern.body_mut()).await {
                Some(Ok(_)) => {}
                last => return last,
            }
        }
    });
    assert!(last.await.is_some_and(|last| last.is_err()), "reset, not ended");

    // Tunnels in which nothing is asked for, or nothing has begun, do not keep it.
    let mut idle = opened.enter(host, "http/1.1").await;
    let (mut begun, _) = opened.ask(&connect("oss.example.com:443")).await;
    opened.sidecar.signal(Signal::TERM);
    rest("the idle tunnel ends with the sidecar", &mut idle).await;
    rest("so does the one that has only begun", &mut begun).await;
    opened.sidecar.terminate().await;
}

#[tokio::test]
async fn there_are_only_so_many_tunnels() {
    let opened = Opened::start("").await;
    let mut held = Vec::new();
    for _ in 0..TUNNELS {
        held.push(opened.enter("oss.example.com", "http/1.1").await);
    }
    let (_, head) = opened.ask(&connect("oss.example.com:443")).await;
    assert!(head.starts_with("HTTP/1.1 503 ") && head.contains("retry-after: 1"), "{head}");
    opened.recorded("tunnel_unavailable", &mut 0).await;
    // Others are served meanwhile, and a place that is given back is taken.
    opened.sidecar.read_object(&opened.tokens.access).await.expect(200);
    held.pop();
    eventually("there is room again", || async {
        let (_, head) = opened.ask(&connect("oss.example.com:443")).await;
        head.starts_with("HTTP/1.1 200 ").then_some(())
    })
    .await;
}

#[tokio::test]
async fn where_there_is_no_room_no_certificate_is_tried_and_one_that_cannot_be_is_tried_once() {
    let mut opened = Opened::start("").await;
    let folder = opened.sidecar.terminate().await;
    // Who trusts this authority does not believe what it says of the hosts that are closed.
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
    params.distinguished_name.push(rcgen::DnType::OrganizationName, "Acme's limited team");
    let closed = ["oss-closed.example.com", "oss-shut.example.com"];
    let excluded_subtrees = closed.map(|host| rcgen::GeneralSubtree::DnsName(host.to_owned())).to_vec();
    params.name_constraints =
        Some(rcgen::NameConstraints { permitted_subtrees: Vec::new(), excluded_subtrees });
    let key = rcgen::KeyPair::generate().unwrap();
    let data = opened.fleet.world.data();
    std::fs::write(data.join("ca.crt"), params.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(data.join("ca.key"), key.serialize_pem()).unwrap();
    let settings = std::fs::read_to_string(folder.join("sidecar.toml")).unwrap();
    let settings = settings.replace(&format!("tunnels = {}", 8 * TUNNELS), "tunnels = 1");
    std::fs::write(folder.join("sidecar.toml"), settings).unwrap();
    opened.sidecar = Lone::start(folder).await;
    opened.sidecar.until_ready().await;

    let tried = || opened.sidecar.told().matches("a tunnel was refused").count();
    let mut seen = 0;
    for _ in 0..3 {
        let (_, head) = opened.ask(&connect("oss-closed.example.com:443")).await;
        assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
        opened.recorded("tunnel_certificate", &mut seen).await;
        assert_eq!(tried(), 1, "{}", opened.sidecar.told());
    }
    // None of them has kept its place.
    let held = opened.enter("oss.example.com", "http/1.1").await;
    let (_, head) = opened.ask(&connect("oss-shut.example.com:443")).await;
    assert!(head.starts_with("HTTP/1.1 503 ") && head.contains("retry-after: 1"), "{head}");
    opened.recorded("tunnel_unavailable", &mut seen).await;
    assert_eq!(tried(), 1, "nothing is made for whom there is no room");
    drop(held);
    eventually("there is room again", || async {
        let (_, head) = opened.ask(&connect("oss-shut.example.com:443")).await;
        head.starts_with("HTTP/1.1 502 ").then_some(())
    })
    .await;
    assert_eq!(tried(), 2, "{}", opened.sidecar.told());
}

#[test]
fn check_says_what_is_wrong_with_an_authority_and_a_sidecar_does_not_start_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let (config, key) = (folder.path().join("sidecar.toml"), folder.path().join("ca.key"));
    let settings = format!(
        "listen = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\nissuer = \"http://127.0.0.1:1\"\n[control]\n\
         urls = [\"http://127.0.0.1:1\"]\nname = \"alone\"\nstate = \"{}\"\n{}{ROUTES}[upstreams.cloud]\n\
         url = \"http://127.0.0.1:1\"\n",
        folder.path().join("state").display(),
        interception(folder.path()),
    );
    std::fs::write(&config, settings).unwrap();
    let check = || run(&["check", "--config", config.to_str().unwrap()]);
    assert_eq!(check().status.code(), Some(0), "{}", String::from_utf8_lossy(&check().stderr));
    std::fs::write(&key, rcgen::KeyPair::generate().unwrap().serialize_pem()).unwrap();
    for command in ["check", "sidecar"] {
        let output = run(&[command, "--config", config.to_str().unwrap()]);
        let told = String::from_utf8_lossy(&output.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(output.status.code(), Some(3), "{command}: {told}");
        assert!(told.contains("ca.key") && told.contains("does not belong to the certificate"), "{told}");
    }
}

fn connect(to: &str) -> String {
    format!("CONNECT {to} HTTP/1.1\r\nhost: {to}\r\n\r\n")
}

/// TLS on a connection, with who shows a certificate of `trusted` for `host`.
async fn greet(
    tcp: TcpStream,
    host: &str,
    trusted: &[u8],
    protocol: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trusted).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    let host = ServerName::try_from(host.to_owned()).unwrap();
    in_time("a handshake", TlsConnector::from(Arc::new(config)).connect(host, tcp)).await
}

async fn read_to(stream: &mut TlsStream<TcpStream>, mark: &str) {
    let mut read = Vec::new();
    in_time(mark, async {
        while !String::from_utf8_lossy(&read).contains(mark) {
            let count = stream.read_buf(&mut read).await.unwrap();
            assert_ne!(count, 0, "it ended before {mark}: {}", String::from_utf8_lossy(&read));
        }
    })
    .await;
}

/// All that still comes, until there is no more or the connection breaks.
async fn rest(what: &str, stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut read = Vec::new();
    in_time(what, async { while matches!(stream.read_buf(&mut read).await, Ok(1..)) {} }).await;
    read
}

/// An endless stream over HTTP/2.
async fn over_http2(stream: TlsStream<TcpStream>, token: &str) -> Response<hyper::body::Incoming> {
    use hyper_util::rt::{TokioExecutor, TokioIo};
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("https://oss.example.com/oss-watch/reports");
    let request = request.header("authorization", format!("Bearer {token}"));
    let body = http_body_util::Empty::<bytes::Bytes>::new();
    let response = in_time("an answer", sender.send_request(request.body(body).unwrap())).await.unwrap();
    // The connection lives as long as someone could ask again.
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        drop(sender);
    });
    response
}

/// An upstream that is only listened for, and the routes that lead to it.
fn quiet() -> (std::net::TcpListener, String) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let settings = format!(
        "[upstreams.quiet]\nurl = \"http://{}\"\n[[route]]\npath = \"/{{path…}}\"\nhost = \"quiet.example.com\"\n\
         intercept = true\nupstream = \"quiet\"\nadapter = \"rest\"\nactions = {{ GET = \"oss:GetObject\" }}\n\
         resource = \"{{path}}\"\n",
        listener.local_addr().unwrap()
    );
    (listener, settings)
}

/// An authority of the platform team, and another one, as files of `folder`; the settings that name the first.
fn interception(folder: &Path) -> String {
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
    params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    params.distinguished_name.push(rcgen::DnType::OrganizationName, "Acme's platform team");
    for name in ["other", "ca"] {
        let key = rcgen::KeyPair::generate().unwrap();
        std::fs::write(folder.join(format!("{name}.crt")), params.self_signed(&key).unwrap().pem()).unwrap();
        std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
    let at = |name: &str| folder.join(name).display().to_string();
    format!(
        "[interception]\ncertificate = \"{}\"\nkey = \"{}\"\ntunnels = {}\n",
        at("ca.crt"),
        at("ca.key"),
        8 * TUNNELS
    )
}

/// That one peer may have.
const TUNNELS: usize = 24;

const ROUTES: &str = r#"
[[route]]
path = "/"
host = "ecs*.aliyuncs.com"
intercept = true
upstream = "cloud"
adapter = "acs"
product = "ecs"

[[route]]
path = "/oss/{bucket}/{object…}"
host = "oss*.example.com"
intercept = true
upstream = "cloud"
adapter = "rest"
actions = { GET = "oss:GetObject", PUT = "oss:PutObject" }
resource = "{bucket}/{object}"

[[route]]
path = "/oss-watch/{bucket}"
host = "oss.example.com"
intercept = true
upstream = "cloud"
adapter = "rest"
actions = { GET = "oss:WatchObjects" }
resource = "{bucket}"

[[route]]
path = "/oss-socket/{bucket}"
host = "oss.example.com"
intercept = true
upstream = "cloud"
adapter = "rest"
actions = { GET = "oss:WatchObjects" }
resource = "{bucket}"
websocket = true

[[route]]
path = "/closed/{bucket}"
host = "oss.example.com"
upstream = "cloud"
adapter = "rest"
actions = { GET = "oss:ListObjects" }
resource = "{bucket}"
"#;
