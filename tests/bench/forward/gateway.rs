//! The sidecar itself, from the library: one worker, the example's routes, an origin in memory with one grant, a real
//! issuer's key and token, and decision records as JSON lines in a file.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use consentry::config::sidecar as settings;
use consentry::grants::origin::{Origin, OriginError, OwnKey};
use consentry::model::account::{Principal, PrincipalKey, PrincipalKind};
use consentry::model::application::{Application, ApplicationType};
use consentry::model::grant::{AssignmentMode, Grant, GrantState, Installed};
use consentry::model::id::{GrantKey, Revision};
use consentry::model::member::Member;
use consentry::model::time::{Clock, boot_milliseconds};
use consentry::net::listener::{BoundWorkers, ListenerSettings};
use consentry::observe::records::JsonLines;
use consentry::policy::Policies;
use consentry::policy::reload::Current;
use consentry::sidecar::running::Running;
use consentry::sidecar::start::{self, Setup};
use consentry::token::exchange::{KeySecrets, NewCredential};
use consentry::token::issue::AccessToken;
use consentry::token::keys::{Purpose, Signer, generate};
use jiff::Timestamp;
use tokio::runtime::LocalRuntime;
use url::Url;

use super::{Fallible, role};

/// One account's world: one application, installed, and one user.
struct Memory {
    installed: Installed,
    member: Member,
    jwks: String,
    secrets: KeySecrets,
}

#[async_trait]
impl Origin for Memory {
    async fn installed(&self, key: &GrantKey) -> Result<Option<Installed>, OriginError> {
        Ok((*key == self.installed.grant.key).then(|| self.installed.clone()))
    }

    async fn member(&self, _: &GrantKey, principal: &PrincipalKey) -> Result<Option<Member>, OriginError> {
        Ok((*principal == self.member.principal.key).then(|| self.member.clone()))
    }

    async fn keys(&self) -> Result<String, OriginError> {
        Ok(self.jwks.clone())
    }

    async fn exchange_secrets(&self) -> Result<KeySecrets, OriginError> {
        Ok(self.secrets.clone())
    }

    async fn publish_key(&self, _: &OwnKey) -> Result<(), OriginError> {
        Ok(())
    }
}

/// `word` says whether its calls are `signed`, and `resigned` for the upstream.
pub(crate) fn run(upstream: SocketAddr, word: Option<&str>) -> Fallible<()> {
    LocalRuntime::new()?.block_on(serve(upstream, word))
}

async fn serve(upstream: SocketAddr, word: Option<&str>) -> Fallible<()> {
    let signed = word.is_some();
    let clock = Clock::system();
    let signer = Signer::from_pkcs8(Purpose::AccessToken, &generate(Purpose::AccessToken)?)?;
    let exchange = Signer::from_pkcs8(Purpose::Exchange, &generate(Purpose::Exchange)?)?;
    let mut installed = installed()?;
    if signed {
        installed.grant.scopes = "openid profile /acs/oss /acs/ecs".parse()?;
    }
    let member = member()?;
    let family = "family-1".parse()?;
    let token = || AccessToken {
        issuer: ISSUER,
        audience: ISSUER,
        application: &installed.application.id,
        principal: &member.principal.key,
        subject: "c3ViamVjdC1vZi1hbGljZS1hdC1hY21lLTAwMDAwMDE",
        scopes: &installed.grant.scopes,
        revision: installed.grant.revision,
        family: &family,
        seconds: 3600,
    };
    let key = NewCredential { token: token() }.mint(&exchange, clock.seconds())?;
    let token = token().sign(&signer, clock.seconds())?.token;
    let jwks = format!("{{\"keys\":[{},{}]}}", signer.public().to_json(), exchange.public().to_json());
    let secret = exchange.exchange_secret().ok_or("a key for exchanges has a secret")?.clone();
    let secrets = [(Box::from(exchange.kid()), secret)].into_iter().collect();
    let folder = tempfile::tempdir()?;
    let routes = if word == Some("resigned") { resigning(folder.path())? } else { ROUTES.to_owned() };
    let running = start(
        (upstream, &routes),
        Memory { installed, member, jwks, secrets },
        &folder.path().join("records.jsonl"),
        clock,
    )
    .await?;
    (running.refresh_keys())().await?;
    running.lease().renew(boot_milliseconds());
    let (id, secret, security) =
        (key.access_key_id, key.access_key_secret.expose(), key.security_token.expose());
    let keys = format!("{} {id} {secret} {security}", token.expose());
    role::ready(running.address(), if signed { &keys } else { token.expose() })?;
    // What a follower does while nothing changes.
    loop {
        tokio::time::sleep(running.lease().length() / 3).await;
        running.lease().renew(boot_milliseconds());
        (running.cut())().await;
    }
}

/// The example's routes, of which that of servers signs its calls with a role's credentials.
fn resigning(folder: &Path) -> Fallible<String> {
    let service = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let key = folder.join("key.json");
    std::fs::write(&key, r#"{"access_key_id":"own","secret_access_key":"own"}"#)?;
    let settings = format!(
        "[sts.cloud]\ncloud = \"alibaba\"\nendpoint = \"http://{}\"\n\
         role = \"acs:ram::{{account}}:role/bench\"\ncredentials_file = \"{}\"\n",
        service.local_addr()?,
        key.display(),
    );
    std::thread::spawn(move || service.incoming().for_each(|asked| drop(asked.map(give_role))));
    let routes = ROUTES.replace("product = \"ecs\"", "product = \"ecs\"\nassume = \"sts\"\nsts = \"cloud\"");
    Ok(format!("{routes}\n{settings}"))
}

/// A security token service that asks nothing.
fn give_role(mut asked: TcpStream) -> std::io::Result<()> {
    let answer =
        r#"{"Credentials":{"AccessKeyId":"STS.bench","AccessKeySecret":"given","SecurityToken":"token","#;
    let answer = format!("{answer}\"Expiration\":\"2100-01-01T00:00:00Z\"}}}}");
    let mut request = [0; 16384];
    let _ = asked.read(&mut request)?;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close";
    write!(asked, "{head}\r\ncontent-length: {}\r\n\r\n{answer}", answer.len())?;
    // What had come and was not read would break the connection off before the answer is there.
    asked.shutdown(Shutdown::Write)?;
    asked.read_to_end(&mut Vec::new()).map(drop)
}

async fn start(
    (upstream, routes): (SocketAddr, &str),
    origin: Memory,
    records: &Path,
    clock: Clock,
) -> Fallible<Running> {
    let mut settings = settings::Sidecar::parse(Path::new("deploy/sidecar.toml"), routes)?;
    ISSUER.clone_into(&mut settings.issuer);
    // A round sends more than a quarter of an hour does otherwise.
    settings.limits.nonces = 50_000_000;
    for cloud in settings.upstreams.values_mut() {
        cloud.url = Url::parse(&format!("http://{upstream}"))?;
    }
    let setup = Setup {
        settings,
        bound: BoundWorkers::new(ListenerSettings::new((Ipv4Addr::LOCALHOST, 0).into()))?,
        name: "bench".parse()?,
        origin: Arc::new(origin),
        shared: None,
        policies: Current::fixed(Policies::embedded()?),
        clock,
        keep: Box::new(JsonLines::new(File::create(records)?, records.display().to_string())),
    };
    Ok(start::start(setup).await?)
}

fn member() -> Fallible<Member> {
    let key = PrincipalKey {
        account: "1000000000000001".parse()?,
        kind: PrincipalKind::User,
        id: "2000000000000011".parse()?,
    };
    let principal = Principal {
        key,
        login: "alice@acme".to_owned(),
        display_name: "Alice".to_owned(),
        enabled: true,
        full_access: false,
        groups: vec!["finance".parse()?],
    };
    Ok(Member { principal, assigned: true, consented: None, ended: Vec::new() })
}

fn installed() -> Fallible<Installed> {
    let application = Application {
        id: "4611686018427387904".parse()?,
        name: "report-hub".to_owned(),
        display_name: "Report Hub".to_owned(),
        description: String::new(),
        publisher: "9000000000000009".parse()?,
        publisher_name: String::new(),
        contact: String::new(),
        official: false,
        kind: ApplicationType::WebApp,
        redirect_uris: Vec::new(),
        required: "openid profile /acs/oss".parse()?,
        optional: "/acs/ecs".parse()?,
        access_token_seconds: 3600,
        refresh_token_seconds: 7200,
        enabled: true,
        created_at: Timestamp::UNIX_EPOCH,
    };
    let key = GrantKey { account: "1000000000000001".parse()?, application: application.id.clone() };
    let grant = Grant {
        key,
        revision: Revision(3),
        since: Revision(1),
        state: GrantState::Active,
        scopes: application.required.clone(),
        declined: "/acs/ecs".parse()?,
        authorized_at: Timestamp::UNIX_EPOCH,
        authorized_by: member()?.principal.key,
        authorized_by_login: "admin@acme".to_owned(),
        assignment: AssignmentMode::All,
        expires_at: None,
    };
    Ok(Installed { grant, application })
}

const ISSUER: &str = "http://127.0.0.1:8081";
const ROUTES: &str = include_str!("../../../deploy/sidecar.toml");
