//! A sidecar over an origin in memory, with one installed application, its token, and an upstream of the test's own.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use crate::config::sidecar as settings;
use crate::grants::origin::{Origin, OriginError, OwnKey};
use crate::model::account::{Principal, PrincipalKey, PrincipalKind};
use crate::model::application::{Application, ApplicationType};
use crate::model::decision::Decision;
use crate::model::grant::{AssignmentMode, Grant, GrantState, Installed};
use crate::model::id::{GrantKey, Revision};
use crate::model::member::Member;
use crate::model::time::{Clock, boot_milliseconds};
use crate::net::listener::{BoundWorkers, ListenerSettings};
use crate::observe::line::Lines;
use crate::observe::records::Keep;
use crate::policy::Policies;
use crate::policy::reload::Current;
use crate::sidecar::running::Running;
use crate::sidecar::start::{self, Setup};
use crate::token::issue::AccessToken;
use crate::token::keys::{Purpose, Signer, generate};

/// The facts, as a test sets them.
pub(super) struct Facts {
    pub(super) installed: Mutex<Installed>,
    pub(super) member: Mutex<Member>,
    /// The origin answers nothing.
    pub(super) silent: AtomicBool,
    pub(super) jwks: Mutex<String>,
}

/// Records that were kept, until keeping fails.
#[derive(Default)]
pub(super) struct Shelf {
    pub(super) kept: Mutex<Vec<Decision>>,
    pub(super) broken: AtomicBool,
}

pub(super) struct World {
    pub(super) running: Running,
    pub(super) facts: Arc<Facts>,
    pub(super) shelf: Arc<Shelf>,
    token: String,
}

/// What an application saw.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) status: u16,
    pub(super) text: String,
}

#[async_trait]
impl Origin for Facts {
    async fn installed(&self, key: &GrantKey) -> Result<Option<Installed>, OriginError> {
        self.heard()?;
        Ok(Some(self.installed.lock().clone()).filter(|installed| installed.grant.key == *key))
    }

    async fn member(&self, _: &GrantKey, principal: &PrincipalKey) -> Result<Option<Member>, OriginError> {
        self.heard()?;
        Ok(Some(self.member.lock().clone()).filter(|member| member.principal.key == *principal))
    }

    async fn keys(&self) -> Result<String, OriginError> {
        self.heard()?;
        Ok(self.jwks.lock().clone())
    }

    async fn publish_key(&self, _: &OwnKey) -> Result<(), OriginError> {
        self.heard()
    }
}

impl Facts {
    fn heard(&self) -> Result<(), OriginError> {
        let silent = self.silent.load(Ordering::SeqCst);
        if silent { Err(OriginError("the test has silenced it".to_owned())) } else { Ok(()) }
    }
}

struct Onto(Arc<Shelf>);

impl Keep for Onto {
    fn keep(&mut self, batch: Lines<'_>) -> Result<(), String> {
        if self.0.broken.load(Ordering::SeqCst) {
            return Err("the shelf is broken".to_owned());
        }
        let decisions = batch.decisions()?;
        let read = |line: &[u8]| serde_json::from_slice::<serde_json::Value>(line).unwrap();
        let lines = batch.text().split_inclusive(|byte| *byte == b'\n').map(read);
        for (decision, line) in decisions.iter().zip(lines) {
            // No member is written that a record does not have, and none in another form (but the moment, which always
            // has six digits).
            let mut read = serde_json::to_value(decision).unwrap();
            read["at"] = line["at"].clone();
            assert_eq!(read, line);
        }
        self.0.kept.lock().extend(decisions);
        Ok(())
    }
}

impl World {
    /// A sidecar with lease and keys, before `upstream`.
    pub(super) async fn before(upstream: SocketAddr) -> Self {
        let world = Self::unready(upstream).await;
        (world.running.refresh_keys())().await.unwrap();
        world.renew();
        world
    }

    /// A sidecar that nobody has told anything yet.
    pub(super) async fn unready(upstream: SocketAddr) -> Self {
        let clock = Clock::system();
        let signer =
            Signer::from_pkcs8(Purpose::AccessToken, &generate(Purpose::AccessToken).unwrap()).unwrap();
        let (installed, member) = (installed(), member());
        let token = AccessToken {
            issuer: ISSUER,
            audience: ISSUER,
            application: &installed.application.id,
            principal: &member.principal.key,
            subject: "an-opaque-subject",
            scopes: &installed.grant.scopes,
            revision: installed.grant.revision,
            family: &"family-1".parse().unwrap(),
            seconds: 3600,
        };
        let token = token.sign(&signer, clock.seconds()).unwrap().token.expose().to_owned();
        let facts = Arc::new(Facts {
            installed: Mutex::new(installed),
            member: Mutex::new(member),
            silent: AtomicBool::new(false),
            jwks: Mutex::new(format!("{{\"keys\":[{}]}}", signer.public().to_json())),
        });
        let shelf = Arc::new(Shelf::default());
        let mut settings = settings::Sidecar::parse(Path::new("deploy/sidecar.toml"), ROUTES).unwrap();
        ISSUER.clone_into(&mut settings.issuer);
        for cloud in settings.upstreams.values_mut() {
            cloud.url = Url::parse(&format!("http://{upstream}")).unwrap();
            cloud.head_timeout_ms = 300;
        }
        let setup = Setup {
            settings,
            bound: BoundWorkers::new(ListenerSettings::new((Ipv4Addr::LOCALHOST, 0).into())).unwrap(),
            name: "alone".parse().unwrap(),
            origin: Arc::clone(&facts) as Arc<dyn Origin>,
            shared: None,
            policies: Current::fixed(Policies::embedded().unwrap()),
            clock,
            keep: Box::new(Onto(Arc::clone(&shelf))),
        };
        Self { running: start::start(setup).await.unwrap(), facts, shelf, token }
    }

    /// What a follower does when it has heard that nothing is new.
    pub(super) fn renew(&self) {
        self.running.lease().renew(boot_milliseconds());
    }

    /// A call that the grant covers.
    pub(super) async fn call(&self) -> Answered {
        self.ask("GET", "/oss/reports/a.csv", "").await
    }

    /// A request with the token, and with further header lines.
    pub(super) async fn ask(&self, method: &str, target: &str, more: &str) -> Answered {
        self.ask_as(&self.token, method, target, more).await
    }

    /// The same with another token.
    pub(super) async fn ask_as(&self, token: &str, method: &str, target: &str, more: &str) -> Answered {
        let mut stream = TcpStream::connect(self.running.address()).await.unwrap();
        let close = if more.contains("connection:") { "" } else { "connection: close\r\n" };
        let request = format!(
            "{method} {target} HTTP/1.1\r\nhost: sidecar\r\nauthorization: Bearer {token}\r\n{more}{close}\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        let status = text.get(9..12).and_then(|digits| digits.parse().ok()).unwrap_or(0);
        Answered { status, text }
    }

    /// The record of the last call.
    pub(super) async fn last_record(&self) -> Decision {
        eventually("a record is kept", || self.shelf.kept.lock().pop()).await
    }
}

impl Answered {
    /// The answer is this refusal.
    pub(super) fn refused(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{}", self.text);
        assert!(self.text.contains(&format!("\"code\":\"{code}\"")), "{}", self.text);
        assert!(self.text.contains("x-consentry-decision: "), "{}", self.text);
    }
}

/// Asks again and again until there is a value.
pub(super) async fn eventually<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    for _ in 0..1000 {
        if let Some(value) = probe() {
            return value;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("this never happened: {what}")
}

/// An upstream that answers each connection with these bytes, after it has read a head; and how often it was asked.
pub(super) async fn upstream(answer: &'static [u8]) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let (address, seen) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
    let heads = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let heads = Arc::clone(&heads);
            tokio::spawn(async move {
                let (mut head, mut byte) = (Vec::new(), [0; 1]);
                while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).await.unwrap_or(0) > 0 {
                    head.extend_from_slice(&byte);
                }
                heads.lock().push(String::from_utf8_lossy(&head).into_owned());
                if answer == SILENCE {
                    std::future::pending::<()>().await;
                }
                let _ = stream.write_all(answer).await;
            });
        }
    });
    (address, seen)
}

/// The answer of an upstream that never answers.
pub(super) const SILENCE: &[u8] = b"silence";

pub(super) fn member() -> Member {
    let key = PrincipalKey {
        account: "1000000000000001".parse().unwrap(),
        kind: PrincipalKind::User,
        id: "2000000000000011".parse().unwrap(),
    };
    let principal = Principal {
        key,
        login: "alice@acme".to_owned(),
        display_name: "Alice".to_owned(),
        enabled: true,
        full_access: false,
        groups: Vec::new(),
    };
    Member { principal, assigned: true, consented: None, ended: Vec::new() }
}

pub(super) fn installed() -> Installed {
    let application = Application {
        id: "4611686018427387904".parse().unwrap(),
        name: "report-hub".to_owned(),
        display_name: "Report Hub".to_owned(),
        description: String::new(),
        publisher: "9000000000000009".parse().unwrap(),
        publisher_name: String::new(),
        contact: String::new(),
        official: false,
        kind: ApplicationType::WebApp,
        redirect_uris: Vec::new(),
        required: "openid /acs/oss:read".parse().unwrap(),
        optional: "/acs/ecs".parse().unwrap(),
        access_token_seconds: 3600,
        refresh_token_seconds: 7200,
        enabled: true,
        created_at: Timestamp::UNIX_EPOCH,
    };
    let key = GrantKey { account: "1000000000000001".parse().unwrap(), application: application.id.clone() };
    let grant = Grant {
        key,
        revision: Revision(3),
        since: Revision(1),
        state: GrantState::Active,
        scopes: application.required.clone(),
        declined: "/acs/ecs".parse().unwrap(),
        authorized_at: Timestamp::UNIX_EPOCH,
        authorized_by: member().principal.key,
        authorized_by_login: "admin@acme".to_owned(),
        assignment: AssignmentMode::All,
        expires_at: None,
    };
    Installed { grant, application }
}

const ISSUER: &str = "http://127.0.0.1:8081";
const ROUTES: &str = include_str!("../../../deploy/sidecar.toml");
