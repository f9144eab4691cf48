//! The control plane in memory of one test: a fresh store with two accounts, and requests straight into its router.

mod admin;
mod audit;
mod audit_chain;
mod audit_scene;
mod authorize;
mod consent;
pub(super) mod console;
mod passkeys;
mod requests;
mod security;
mod usage;

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use serde_json::Value;
use tower::ServiceExt;

use super::browser::session::signed_in;
use super::{Control, Settings, Setup};
use crate::config::registration::Registration;
use crate::grants::source::Source;
use crate::model::account::{Account, Principal, PrincipalKey, PrincipalKind};
use crate::model::application::{Application, ApplicationType};
use crate::model::grant::Grant;
use crate::model::id::{AccountId, GrantKey};
use crate::model::time::Clock;
use crate::policy::Policies;
use crate::policy::reload::Current;
use crate::store::{self, Actor, ApiToken, BrowserSession, Install, Lasting, NewPrincipal};
use crate::token::random::{Secret, sha256};
use crate::token::seal::Sealer;

pub(crate) const ACME: &str = "1000000000000001";
pub(crate) const GLOBEX: &str = "1000000000000002";

pub(crate) struct World {
    pub(crate) control: Arc<Control>,
    _folder: Option<tempfile::TempDir>,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self
    }

    #[track_caller]
    pub(crate) fn expect_problem(self, status: u16, code: &str) -> Self {
        let answer = self.expect(status);
        assert_eq!(answer.headers["content-type"], "application/problem+json");
        assert_eq!(answer.json()["code"], code, "{}", answer.text);
        assert_ne!(answer.json()["detail"], "", "{}", answer.text);
        answer
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::at("http://127.0.0.1:8081").await
    }

    pub(crate) async fn at(issuer: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store =
            store::open(&format!("sqlite:{}", folder.path().join("store.db").display())).await.unwrap();
        let world = Self { control: control(issuer, store).await, _folder: Some(folder) };
        world.populate().await;
        world
    }

    /// The same over a store of the test's own.
    pub(crate) async fn over(store: store::Shared) -> Self {
        let world = Self { control: control("http://127.0.0.1:8081", store).await, _folder: None };
        world.populate().await;
        world
    }

    async fn populate(&self) {
        let store = self.control.store();
        for (id, alias) in [(ACME, "acme"), (GLOBEX, "globex")] {
            store.add_account(&Account { id: account(id), alias: alias.to_owned() }).await.unwrap();
            let root = (PrincipalKind::Account, id, format!("root@{alias}"), false);
            let admin = (PrincipalKind::User, "2001", format!("admin@{alias}"), true);
            let alice = (PrincipalKind::User, "2002", format!("alice@{alias}"), false);
            let role = (PrincipalKind::Role, "3001", format!("deploy@{alias}"), false);
            for (kind, principal, login, full_access) in [root, admin, alice, role] {
                let key = PrincipalKey { account: account(id), kind, id: principal.parse().unwrap() };
                let token = ApiToken {
                    hash: sha256(format!("token-of-{login}").as_bytes()),
                    principal: key.clone(),
                    label: "test".to_owned(),
                    expires_at: None,
                };
                let display_name = login.clone();
                let principal =
                    Principal { key, login, display_name, enabled: true, full_access, groups: Vec::new() };
                store.add_principal(&NewPrincipal { principal, password_hash: None }).await.unwrap();
                store.add_api_token(&token).await.unwrap();
            }
        }
        for (id, official) in [("report-hub", false), ("mcp-server", true), ("third", false)] {
            store.register(&application(id, official), &[], &self.actor("admin@globex").await).await.unwrap();
        }
    }

    pub(crate) async fn principal(&self, login: &str) -> Principal {
        self.control.store().credential(login).await.unwrap().unwrap().principal
    }

    pub(crate) async fn actor(&self, login: &str) -> Actor {
        Actor::from(&self.principal(login).await)
    }

    /// acme's administrator authorizes an application with these optional scopes.
    pub(crate) async fn install(&self, application: &str, optional: &str) -> Grant {
        let found = self.control.store().application(&application.parse().unwrap()).await.unwrap().unwrap();
        let scopes = found.required.union(&optional.parse().unwrap());
        let declined = found.offered().beyond(&scopes);
        let key = GrantKey { account: account(ACME), application: found.id };
        let install = Install {
            key,
            scopes,
            declined,
            at_most: None,
            by: self.actor("admin@acme").await,
            seen: None,
            lasting: Lasting::AsItWas,
        };
        self.control.store().install(&install, self.control.clock().now()).await.unwrap().0
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let (head, body) = self.control.router().oneshot(request).await.unwrap().into_parts();
        let body = to_bytes(body, 10_000_000).await.unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        Answer { status: head.status, headers: head.headers, text }
    }

    /// A call of the admin API with `login`'s token.
    pub(crate) async fn api(&self, login: &str, method: &str, path: &str, body: Option<Value>) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/api/v1{path}"))
            .header("authorization", format!("Bearer token-of-{login}"));
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = body.map_or(Body::empty(), |body| Body::from(body.to_string()));
        self.send(request.body(body).unwrap()).await
    }

    /// A browser session of `login`: its cookie header and its CSRF field.
    pub(crate) async fn session(&self, login: &str) -> (String, String) {
        let cookie = Secret::random().unwrap();
        let now = self.control.clock().now();
        let ends = now + jiff::SignedDuration::from_hours(1);
        let session = BrowserSession::new(cookie.hash(), self.principal(login).await.key, now, ends);
        self.control.store().open_session(&session).await.unwrap();
        let header = format!("consentry_session={}", cookie.expose());
        let headers = HeaderMap::from_iter([(axum::http::header::COOKIE, header.parse().unwrap())]);
        let csrf = signed_in(&self.control, &headers).await.unwrap().unwrap().csrf();
        (header, csrf)
    }
}

/// A control plane over this store.
pub(crate) async fn control(issuer: &str, store: store::Shared) -> Arc<Control> {
    let clock = Clock::set(1_800_000_000);
    let source = Source::new(Arc::clone(&store), Duration::from_secs(5), clock.clone(), false).await.unwrap();
    let setup = Setup {
        issuer: issuer.parse().unwrap(),
        resources: Vec::new(),
        store,
        policies: Current::fixed(Policies::embedded().unwrap()),
        source,
        sealer: Sealer::new(&[7; 32]).unwrap(),
        clock,
        settings: Settings::default(),
        providers: Vec::new(),
        registration: Registration { dynamic: true, ..Registration::default() },
    };
    Control::start(setup).await.unwrap()
}

pub(crate) fn account(id: &str) -> AccountId {
    id.parse().unwrap()
}

fn application(id: &str, official: bool) -> Application {
    Application {
        id: id.parse().unwrap(),
        name: id.to_owned(),
        display_name: "Report <Hub>".to_owned(),
        description: String::new(),
        publisher: account(GLOBEX),
        publisher_name: "Globex".to_owned(),
        contact: "help@globex.example".to_owned(),
        official,
        kind: ApplicationType::WebApp,
        redirect_uris: vec!["https://hub.example/cb".to_owned()],
        required: "openid profile /acs/oss:read".parse().unwrap(),
        optional: "/acs/ecs /acs/ecs:read".parse().unwrap(),
        access_token_seconds: 3600,
        refresh_token_seconds: 86_400,
        enabled: true,
        created_at: jiff::Timestamp::UNIX_EPOCH,
    }
}
