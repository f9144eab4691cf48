//! The instruments themselves: a network that fails as it is told, and observers that see a promise broken.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::eventually;
use crate::support::eventually::in_time;
use crate::support::fault::{Mode, Proxy};
use crate::support::traffic::Traffic;
use crate::support::witness::Witness;

#[tokio::test]
async fn a_network_passes_what_is_sent_and_its_end() {
    let (proxy, _server) = echo().await;
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(say(&mut client, b"one").await, b"one");
    client.shutdown().await.unwrap();
    assert_eq!(in_time("the end", client.read(&mut [0; 8])).await.unwrap(), 0);
}

#[tokio::test]
async fn a_network_that_refuses_resets_old_and_new_connections_and_heals() {
    let (proxy, _server) = echo().await;
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(say(&mut client, b"one").await, b"one");
    proxy.set(Mode::Refuse);
    assert!(in_time("a reset", client.read(&mut [0; 8])).await.is_err());
    // The reset may come before the connection is noticed.
    if let Ok(mut another) = TcpStream::connect(proxy.address()).await {
        assert!(in_time("a reset", another.read(&mut [0; 8])).await.is_err());
    }
    proxy.set(Mode::Pass);
    let mut another = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(say(&mut another, b"two").await, b"two");
    proxy.cut();
    assert!(in_time("a reset", another.read(&mut [0; 8])).await.is_err());
}

#[tokio::test]
async fn a_network_that_hangs_delivers_later_and_one_that_loses_never() {
    let (proxy, _server) = echo().await;
    let mut old = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(say(&mut old, b"one").await, b"one");
    proxy.set(Mode::Hang);
    let mut new = TcpStream::connect(proxy.address()).await.unwrap();
    for client in [&mut old, &mut new] {
        client.write_all(b"late").await.unwrap();
        let early = tokio::time::timeout(Duration::from_millis(50), client.read(&mut [0; 8])).await;
        assert!(early.is_err(), "nothing moves");
    }
    proxy.set(Mode::Pass);
    for client in [&mut old, &mut new] {
        assert_eq!(hear(client, 4).await, b"late");
    }
    proxy.set(Mode::Blackhole);
    old.write_all(b"lost").await.unwrap();
    let silent = tokio::time::timeout(Duration::from_millis(50), old.read(&mut [0; 8])).await;
    assert!(silent.is_err(), "nobody is told");
    proxy.set(Mode::Pass);
    assert!(in_time("a reset", old.read(&mut [0; 8])).await.is_err(), "no gap is ever delivered");
    assert_eq!(say(&mut new, b"through").await, b"through", "it had lost nothing");
}

#[tokio::test]
async fn a_network_delays_and_leads_elsewhere() {
    let (proxy, _server) = echo().await;
    proxy.set(Mode::Delay(Duration::from_millis(30)));
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    let sent = Instant::now();
    assert_eq!(say(&mut client, b"slow").await, b"slow");
    assert!(sent.elapsed() >= Duration::from_millis(60), "both ways");
    let (other, _server) = echo().await;
    proxy.lead_to(&other.address());
    assert!(in_time("a reset", client.read(&mut [0; 8])).await.is_err());
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(say(&mut client, b"there").await, b"there");
}

/// A sidecar that knows no revocation at all is what the observers have to see.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traffic_that_goes_on_after_an_acknowledgement_is_seen_by_every_witness() {
    let witness = Witness::start();
    let traffic = Traffic::start("b1", &[witness.address.to_string()], "any");
    traffic.flows().await;
    let (asked, mark) = (Instant::now(), traffic.mark());
    traffic.is_answered_at(&[0]).await;
    let verdict = traffic.judge(&witness, asked, asked, &mark);
    assert!(!verdict.late_allowed.is_empty() && !verdict.late_arrivals.is_empty(), "{verdict:?}");
    let streams = |path: &str| verdict.late_bytes.iter().any(|told| told.contains(path));
    assert!(streams("/oss-watch/") && streams("/oss-socket/"), "{verdict:?}");
    assert_eq!((verdict.refused, verdict.wrongly_refused.len()), (0, 0), "{verdict:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traffic_that_ends_with_the_acknowledgement_is_found_to_have_ended() {
    let witness = Witness::start();
    let proxy = Proxy::start(&witness.address.to_string()).await;
    let traffic = Traffic::start("b1", &[proxy.address()], "any");
    traffic.flows().await;
    let asked = Instant::now();
    proxy.set(Mode::Refuse);
    eventually("both streams have ended", || std::future::ready((traffic.open_streams() == 0).then_some(())))
        .await;
    let mark = traffic.mark();
    let verdict = traffic.judge(&witness, asked, asked, &mark);
    assert!(verdict.late_allowed.is_empty() && verdict.late_arrivals.is_empty(), "{verdict:?}");
    assert!(verdict.late_bytes.is_empty(), "{verdict:?}");
}

/// A server that says everything again, behind a network.
async fn echo() -> (Proxy, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy::start(&listener.local_addr().unwrap().to_string()).await;
    let server = tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = client.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
                let _ = to.shutdown().await;
            });
        }
    });
    (proxy, server)
}

async fn say(client: &mut TcpStream, words: &[u8]) -> Vec<u8> {
    client.write_all(words).await.unwrap();
    hear(client, words.len()).await
}

async fn hear(client: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut heard = vec![0; count];
    in_time("words", client.read_exact(&mut heard)).await.unwrap();
    heard
}
