//! With a certificate the sidecar speaks TLS, HTTP/2 and HTTP/1.1 by negotiation, and still refuses whom it does
//! not know. A sidecar on its own knows nobody.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::eventually;
use crate::support::standalone::Standalone;

#[tokio::test]
async fn a_caller_that_trusts_the_certificate_is_answered_in_the_protocol_it_prefers() {
    let (sidecar, trusted) = secured().await;
    for (offered, agreed) in [(vec!["h2", "http/1.1"], "h2"), (vec!["http/1.1"], "http/1.1")] {
        let mut stream = connect(&sidecar, &trusted, &offered).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(agreed.as_bytes()));
        if agreed == "http/1.1" {
            stream
                .write_all(b"GET /oss/b HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
                .await
                .unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
            assert!(answer.contains("x-consentry-decision: "), "{answer}");
        }
    }
    // Alone, without a control plane, it verifies nobody: that is unavailable, and never let through.
    let mut stream = connect(&sidecar, &trusted, &["http/1.1"]).await.unwrap();
    let request =
        b"GET /oss/b HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer a.b.c\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("authorization_unavailable"), "{answer}");
}

#[tokio::test]
async fn who_does_not_trust_the_certificate_or_speaks_in_the_clear_gets_nothing() {
    let (sidecar, _) = secured().await;
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    assert!(connect(&sidecar, &other.cert.pem(), &["h2"]).await.is_err());

    let mut clear = TcpStream::connect(&sidecar.address).await.unwrap();
    clear.write_all(b"GET /oss/b HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    // Closed, with a TLS alert at most.
    let _ = clear.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP/"), "{answer:?}");
}

/// A sidecar with a certificate of its own, and that certificate.
async fn secured() -> (Standalone, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let tls =
        format!("tls = {{ certificate = \"{}\", key = \"{}\" }}\n", certificate.display(), key.display());
    let sidecar = Standalone::sidecar(folder, &tls).await;
    (sidecar, made.cert.pem())
}

async fn connect(
    sidecar: &Standalone,
    trusted: &str,
    protocols: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trusted.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let tcp = eventually("it listens", || async { TcpStream::connect(&sidecar.address).await.ok() }).await;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), tcp).await
}
