//! Tunnels that are opened here: what comes through them, and what ends them.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response, StatusCode};
use parking_lot::Mutex;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::world::Client;
use crate::net::body::{Answer, Inbound};
use crate::net::canonical::Destination;
use crate::net::listener::{Abandoned, ListenerSettings, NotServed, Tunnel, Worker, Workers};
use crate::net::tls;
use crate::net::watch::Exchange;

/// What opens every tunnel here, and knows what became of it.
struct Opener {
    workers: Workers,
    told: Arc<Mutex<Vec<NotServed>>>,
    trusted: RootCertStore,
}

impl Opener {
    async fn start(change: impl FnOnce(&mut ListenerSettings)) -> Self {
        let made = rcgen::generate_simple_self_signed(["ecs.example".to_owned()]).unwrap();
        let certificate = made.cert.der().clone();
        let server = tls::server_with(vec![certificate.clone()], made.signing_key.into()).unwrap();
        let mut trusted = RootCertStore::empty();
        trusted.add(certificate).unwrap();
        let mut settings = ListenerSettings::new(([127, 0, 0, 1], 0).into());
        settings.tick = Duration::from_millis(5);
        change(&mut settings);
        let told = Arc::new(Mutex::new(Vec::new()));
        let tell = Arc::clone(&told);
        let factory = move |_: &Worker| {
            let (server, tell) = (Arc::clone(&server), Arc::clone(&tell));
            Ok::<_, Infallible>(move |request, exchange| {
                answer(Arc::clone(&server), Arc::clone(&tell), request, exchange)
            })
        };
        Self { workers: Workers::start(settings, factory).await.unwrap(), told, trusted }
    }

    /// A connection on which a tunnel was asked for, and the answer's status.
    async fn ask(&self) -> (TcpStream, u16) {
        let tcp = TcpStream::connect(self.workers.address()).await.unwrap();
        let mut client = Client::over(tcp);
        client.send("CONNECT ecs.example:443 HTTP/1.1\r\nHost: ecs.example:443\r\n\r\n").await;
        let head = client.until("\r\n\r\n").await;
        (client.tcp, head.get(9..12).and_then(|status| status.parse().ok()).unwrap())
    }

    async fn greet(
        &self,
        name: &str,
        change: impl FnOnce(&mut ClientConfig),
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let (tcp, status) = self.ask().await;
        assert_eq!(status, 200);
        let mut config = self.client();
        change(&mut config);
        TlsConnector::from(Arc::new(config))
            .connect(ServerName::try_from(name.to_owned()).unwrap(), tcp)
            .await
    }

    /// The client side of TLS that believes the tunnels' certificate.
    fn client(&self) -> ClientConfig {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider);
        let config = config.with_safe_default_protocol_versions().unwrap();
        config.with_root_certificates(self.trusted.clone()).with_no_client_auth()
    }

    /// What the one tunnel came to.
    async fn failure(&self) -> NotServed {
        loop {
            if let Some(told) = self.told.lock().pop() {
                return told;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn answer(
    tls: Arc<rustls::ServerConfig>,
    told: Arc<Mutex<Vec<NotServed>>>,
    mut request: Request<Inbound>,
    exchange: Exchange,
) -> Result<Response<Answer>, Abandoned> {
    if request.method() == Method::CONNECT {
        let destination = Destination::read(&request).unwrap();
        let failed = Box::new(move |why| told.lock().push(why));
        let mut response = Response::new(Answer::empty());
        // One that is given back is nobody's.
        drop(exchange.room(&request));
        match exchange.room(&request) {
            Ok(room) => room.open(&mut request, Tunnel { destination, tls, failed }).unwrap(),
            Err(_) => *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE,
        }
        return Ok(response);
    }
    let within = exchange.within().map_or("nothing", Destination::host);
    Ok(Response::new(Answer::from(format!("{:?} in {within} {}", request.version(), exchange.peer().secure))))
}

#[tokio::test]
async fn what_comes_through_a_tunnel_is_served_by_the_protocol_that_was_agreed_upon() {
    let opener = Opener::start(|_| {}).await;
    let mut stream = opener.greet("ecs.example", |_| {}).await.unwrap();
    for _ in 0..2 {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: ecs.example\r\n\r\n").await.unwrap();
        let mut read = Vec::new();
        while !read.ends_with(b"HTTP/1.1 in ecs.example true") {
            assert_ne!(stream.read_buf(&mut read).await.unwrap(), 0, "{}", String::from_utf8_lossy(&read));
        }
    }
    assert_eq!((opener.workers.tally().tunnels(), opener.workers.tally().open()), (1, 1));

    let stream =
        opener.greet("ecs.example", |config| config.alpn_protocols = vec![b"h2".to_vec()]).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(
        hyper_util::rt::TokioExecutor::new(),
        hyper_util::rt::TokioIo::new(stream),
    )
    .await
    .unwrap();
    drop(tokio::spawn(connection));
    let request =
        Request::get("https://ecs.example/").body(http_body_util::Empty::<bytes::Bytes>::new()).unwrap();
    let response = sender.send_request(request).await.unwrap();
    let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
    assert_eq!(body, "HTTP/2.0 in ecs.example true");

    // What is not in a tunnel is not said to be.
    let mut outside = Client::over(TcpStream::connect(opener.workers.address()).await.unwrap());
    assert_eq!(outside.get("/").await.1, "HTTP/1.1 in nothing false");
    assert!(opener.told.lock().is_empty());
}

#[tokio::test]
async fn a_tunnel_may_be_asked_for_in_tls_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(path("tls.crt"), made.cert.pem()).unwrap();
    std::fs::write(path("tls.key"), made.signing_key.serialize_pem()).unwrap();
    let own = tls::ServerTls::load(&path("tls.crt"), &path("tls.key")).unwrap();
    let opener = Opener::start(|settings| settings.tls = Some(own)).await;

    let outer = tls::client_config(Some(&path("tls.crt")), false).unwrap();
    let tcp = TcpStream::connect(opener.workers.address()).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut outer = TlsConnector::from(outer).connect(name, tcp).await.unwrap();
    outer.write_all(b"CONNECT ecs.example:443 HTTP/1.1\r\nHost: ecs.example:443\r\n\r\n").await.unwrap();
    let (mut head, mut byte) = (Vec::new(), [0; 1]);
    while !head.ends_with(b"\r\n\r\n") {
        assert_eq!(outer.read(&mut byte).await.unwrap(), 1);
        head.extend_from_slice(&byte);
    }
    let inner = TlsConnector::from(Arc::new(opener.client()));
    let mut inner = inner.connect(ServerName::try_from("ecs.example").unwrap(), outer).await.unwrap();
    inner.write_all(b"GET / HTTP/1.1\r\nHost: ecs.example\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut read = String::new();
    let _ = inner.read_to_string(&mut read).await;
    assert!(read.ends_with("HTTP/1.1 in ecs.example true"), "{read}");
}

#[tokio::test]
async fn what_is_no_tls_for_the_host_is_served_nothing_and_told() {
    let opener = Opener::start(|settings| settings.head_timeout = Duration::from_millis(300)).await;
    let (mut tcp, _) = opener.ask().await;
    tcp.write_all(b"GET / HTTP/1.1\r\nHost: ecs.example\r\n\r\n").await.unwrap();
    let mut read = Vec::new();
    let _ = tcp.read_to_end(&mut read).await;
    assert!(!read.windows(4).any(|part| part == b"HTTP"), "{read:?}");
    assert_eq!(opener.failure().await, NotServed::NotTls);

    assert!(opener.greet("rds.example", |_| {}).await.is_err());
    assert_eq!(opener.failure().await, NotServed::OtherName);
    assert!(opener.greet("ecs.example", |config| config.enable_sni = false).await.is_err());
    assert_eq!(opener.failure().await, NotServed::OtherName);
    let protocols = |config: &mut ClientConfig| config.alpn_protocols = vec![b"smtp".to_vec()];
    assert!(opener.greet("ecs.example", protocols).await.is_err());
    assert!(matches!(opener.failure().await, NotServed::Broken(_)));

    let (tcp, _) = opener.ask().await;
    drop(tcp);
    assert!(matches!(opener.failure().await, NotServed::Broken(_)));

    // One that says nothing, and one that stops in the middle of a word.
    for begun in [b"".as_slice(), b"\x16\x03"] {
        let (mut tcp, _) = opener.ask().await;
        tcp.write_all(begun).await.unwrap();
        assert_eq!(opener.failure().await, NotServed::Late);
        read.clear();
        let _ = tcp.read_to_end(&mut read).await;
        assert!(read.is_empty());
    }
    let other = Opener::start(|_| {}).await;
    let distrustful = Opener { trusted: opener.trusted.clone(), ..other };
    assert!(distrustful.greet("ecs.example", |_| {}).await.is_err());
    assert_eq!(distrustful.failure().await, NotServed::NotTrusted);
}

#[tokio::test]
async fn there_are_only_so_many_tunnels_and_each_gives_its_place_back() {
    let opener = Opener::start(|settings| settings.tunnels = 1).await;
    let stream = opener.greet("ecs.example", |_| {}).await.unwrap();
    assert_eq!(opener.ask().await.1, 503);
    drop(stream);
    loop {
        let (_tcp, status) = opener.ask().await;
        if status == 200 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_tunnel_in_which_nothing_is_asked_for_ends() {
    let opener = Opener::start(|settings| settings.idle_timeout = Duration::from_millis(50)).await;
    let mut stream = opener.greet("ecs.example", |_| {}).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: ecs.example\r\n\r\n").await.unwrap();
    let mut read = Vec::new();
    let _ = stream.read_to_end(&mut read).await;
    assert!(read.starts_with(b"HTTP/1.1 200 "));
    // Also one whose first request never comes.
    let opener = Opener::start(|settings| settings.head_timeout = Duration::from_millis(200)).await;
    let mut stream = opener.greet("ecs.example", |_| {}).await.unwrap();
    stream.write_all(b"GET / HT").await.unwrap();
    read.clear();
    let _ = stream.read_to_end(&mut read).await;
    assert!(read.is_empty());
}

#[tokio::test]
async fn a_drain_ends_tunnels_however_far_they_are() {
    let opener = Opener::start(|_| {}).await;
    let (mut silent, _) = opener.ask().await;
    let mut idle = opener.greet("ecs.example", |_| {}).await.unwrap();
    assert!(opener.workers.drain(Duration::from_secs(20)).await, "nothing had to be broken off");
    let mut read = Vec::new();
    let _ = silent.read_to_end(&mut read).await;
    let _ = idle.read_to_end(&mut read).await;
    assert!(read.is_empty());
    assert!(opener.told.lock().is_empty(), "nobody is to blame");
}
