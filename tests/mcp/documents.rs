//! Clients whose ID is the address of their description. It is read with care, and only where that is allowed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::servers::{Behind, looks_and_changes_nothing};
use crate::support::application::claims;
use crate::support::fleet::Fleet;
use crate::support::{Application, Person, World};

#[tokio::test]
async fn a_client_is_known_by_its_description_and_shown_as_a_stranger() {
    let site = Site::start().await;
    let fleet = fleet(&site).await;
    let world = &fleet.world;
    let application = site.client(world, "client.json");
    let attempt = application.ask();
    let mut admin = Person::new(world, "admin@acme");
    let page = admin.visit(&attempt.url).await;
    let text = page.text();
    assert!(text.contains("Nobody has verified") && text.contains("localhost"), "{text}");
    assert!(page.consent().checked.contains(&"/acs/mcp-server:read".to_owned()), "{:?}", page.consent());
    let page = admin.authorize(&page, &["/acs/mcp-server:read"]).await;
    let tokens = application.tokens(&attempt, &page).await;
    assert_eq!(tokens.scope, ["/acs/mcp-server:read", "openid"]);
    assert_eq!(claims(&tokens.id)["aud"], json!(application.client_id), "as the client calls itself");
    // It is not read again at once, and the account's other people are not asked again.
    let attempt = application.ask();
    let page = Person::new(world, "alice@acme").visit(&attempt.url).await;
    application.tokens(&attempt, &page).await;
    assert_eq!(site.asked(), 1);
}

#[tokio::test]
async fn a_description_that_does_not_fit_makes_no_client() {
    let site = Site::start().await;
    let fleet = fleet(&site).await;
    let mut admin = Person::new(&fleet.world, "admin@acme");
    for path in ["other.json", "secret.json", "redirect", "large.json", "page.html", "leak.json", "none"] {
        let page = admin.open(site.client(&fleet.world, path).ask().url).await;
        assert!(!page.has_left() && page.status == 400, "{path}: {} {}", page.status, page.text());
        assert!(page.text().contains("own description"), "{path}: {}", page.text());
    }
    assert_eq!(site.asked(), 7, "a redirect is not followed");
}

#[tokio::test]
async fn no_description_is_read_inside_the_network_unless_it_is_allowed() {
    // What is refused by what a name leads to, and by nothing else, is in the tests of `control::registration::fetch`:
    // without a port of its own no site can be started where it would be found.
    let site = Site::start().await;
    let world = World::start().await;
    let mut person = Person::stranger(&world.issuer);
    let port = site.url.rsplit_once(':').unwrap().1;
    for address in [
        format!("https://localhost:{port}/client.json"),
        format!("https://127.0.0.1:{port}/client.json"),
        "https://127.0.0.1/client.json".to_owned(),
        "https://[::1]/client.json".to_owned(),
        "https://localhost/client.json".to_owned(),
        "https://169.254.169.254/latest/meta-data".to_owned(),
        "https://a.example/".to_owned(),
    ] {
        let application = Application { client_id: address, ..site.client(&world, "client.json") };
        let page = person.open(application.ask().url).await;
        assert!(!page.has_left() && page.status == 400, "{} {}", page.status, page.text());
    }
    assert_eq!(site.asked(), 0);
}

#[tokio::test]
async fn the_sdks_are_known_by_their_descriptions() {
    let site = Site::start().await;
    let documents = format!("documents = true\nallow_private = true\nca = \"{}\"", site.authority());
    let behind = Behind::registering("mcp_server.mjs", "/acs/lab:read", &documents).await;
    for (name, library) in [("mcp_client.py", "python"), ("mcp.mjs", "v1"), ("mcp.mjs", "v2")] {
        let (address, before) = (format!("{}/{library}.json", site.url), site.asked());
        let (mut script, client_id) = behind.client(name, library, Some(&address)).await;
        assert_eq!(client_id, address, "{library}");
        looks_and_changes_nothing(&mut script);
        assert_eq!(site.asked(), before + 1, "{library}: read once, and nobody registered otherwise");
        let seen = behind.records().await;
        assert!(seen.contains(&internal(&address)), "{library}: {seen}");
    }
}

#[tokio::test]
async fn our_own_name_for_a_client_is_no_way_around_its_description() {
    let site = Site::start().await;
    let mut fleet = fleet(&site).await;
    let named = site.client(&fleet.world, "gone.json");
    let inner = Application { client_id: internal(&named.client_id), ..named.clone() };
    let mut admin = Person::new(&fleet.world, "admin@acme");
    let unknown = admin.visit(&inner.ask().url).await;
    assert!(unknown.status == 400 && unknown.text().contains("not registered"), "{}", unknown.text());
    assert_eq!(site.asked(), 0);

    let attempt = named.ask_for("openid offline_access", &[]);
    let page = admin.visit(&attempt.url).await;
    let page = admin.authorize(&page, &[]).await;
    let tokens = named.tokens(&attempt, &page).await;
    assert!(admin.visit(&inner.ask_for("openid", &[]).url).await.has_left());
    assert_eq!(site.asked(), 1, "it was read just now");

    // Read two days ago: it is read again, whatever the client is called, and is there no more.
    let file = fleet.world.data().join("consentry.db");
    let mut store = SqliteConnectOptions::new().filename(file).connect().await.unwrap();
    let aged = "UPDATE own_registrations SET read_at = read_at - 172800000000";
    sqlx::raw_sql(aged).execute(&mut store).await.unwrap();
    store.close().await.unwrap();
    for application in [&named, &inner] {
        let before = site.asked();
        let page = admin.open(application.ask_for("openid", &[]).url).await;
        assert!(!page.has_left() && page.status == 400, "{} {}", page.status, page.text());
        assert!(page.text().contains("own description"), "{}", page.text());
        assert_eq!(site.asked(), before + 1);
    }
    let refreshed = named.refresh(&tokens.refresh).await.expect(200);

    // And with documents off such a client has no code and no token any more, by either name.
    fleet.kill_control().await;
    fleet.set("documents = true", "documents = false");
    fleet.wake().await;
    for application in [&named, &inner] {
        let page = admin.open(application.ask_for("openid", &[]).url).await;
        assert!(!page.has_left() && page.status == 400, "{} {}", page.status, page.text());
        let refresh = refreshed["refresh_token"].as_str().unwrap();
        application.refresh(refresh).await.expect_oauth_error(401, "invalid_client");
    }
}

/// What a client that is known by its description is called inside.
fn internal(address: &str) -> String {
    let hash = digest::digest(&digest::SHA256, address.as_bytes());
    format!("cimd-{}", URL_SAFE_NO_PAD.encode(hash))
}

async fn fleet(site: &Site) -> Fleet {
    let settings = format!(
        "[registration]\ndocuments = true\nallow_private = true\nscopes = [\"/acs/mcp-server\"]\nca = \"{}\"",
        site.authority()
    );
    let mut fleet = Fleet::asleep_with(&settings, "").await;
    fleet.wake().await;
    fleet
}

/// A site that describes clients.
struct Site {
    url: String,
    folder: TempDir,
    asked: Arc<AtomicUsize>,
}

impl Site {
    async fn start() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), made.cert.pem()).unwrap();
        let chain = vec![CertificateDer::from_pem_slice(made.cert.pem().as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(made.signing_key.serialize_pem().as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(chain, key).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let (asked, site) = (Arc::new(AtomicUsize::new(0)), url.clone());
        let count = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let first = count.fetch_add(1, Ordering::SeqCst) == 0;
                let (acceptor, site) = (acceptor.clone(), site.clone());
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(tcp).await else { return };
                    let mut head = vec![0; 4096];
                    let read = stream.read(&mut head).await.unwrap_or(0);
                    let head = String::from_utf8_lossy(&head[..read]).into_owned();
                    let path = head.split(' ').nth(1).unwrap_or("/").trim_start_matches('/').to_owned();
                    let _ = stream.write_all(answer(&site, &path, first).as_bytes()).await;
                    let _ = stream.shutdown().await;
                });
            }
        });
        Self { url, folder, asked }
    }

    /// Whose certificates it has.
    fn authority(&self) -> String {
        self.folder.path().join("ca.pem").display().to_string()
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn client(&self, world: &World, path: &str) -> Application {
        Application {
            issuer: world.issuer.clone(),
            client_id: format!("{}/{path}", self.url),
            secret: None,
            redirect_uri: "http://127.0.0.1:45674/callback".to_owned(),
            scopes: vec!["openid".to_owned(), "/acs/mcp-server:read".to_owned()],
        }
    }
}

/// What stands at a path, when it is the first that is asked for and later.
fn answer(site: &str, path: &str, first: bool) -> String {
    let mut document = json!({
        "client_id": format!("{site}/{path}"), "client_name": "Described",
        "redirect_uris": ["http://127.0.0.1:45674/callback", "http://127.0.0.1:45675/callback"], "token_endpoint_auth_method": "none",
    });
    let (mut status, mut kind) = ("200 OK", "application/json");
    match path {
        "other.json" => document["client_id"] = json!(format!("{site}/client.json")),
        "secret.json" => document["client_secret"] = json!("s"),
        "large.json" => document["client_name"] = json!("x".repeat(100_000)),
        "leak.json" => document["redirect_uris"] = json!(["http://evil.example/cb"]),
        "page.html" => kind = "text/html",
        "redirect" => status = "302 Found\r\nlocation: /client.json",
        "gone.json" if first => {}
        "none" | "gone.json" => (status, document) = ("404 Not Found", Value::Null),
        _ => {}
    }
    let body = document.to_string();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}
