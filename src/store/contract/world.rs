//! What every sentence of the contract begins with: two accounts with people, and applications, in a fresh store of either
//! backend; and the facts that sentences make of short words.

use jiff::Timestamp;

use super::fixture;
use crate::model::account::{Account, Principal, PrincipalKey, PrincipalKind};
use crate::model::application::{Application, ApplicationType};
use crate::model::grant::Grant;
use crate::model::id::{AccountId, ApplicationId, FamilyId, GrantKey, Revision, Seq};
use crate::model::scope::ScopeSet;
use crate::store::{
    Actor, Authorization, Code, Install, Lasting, NewPrincipal, Refresh, Shared, Subject, open,
};

/// Two accounts with people, and applications, in a fresh store.
pub(in crate::store) struct World {
    pub(in crate::store) store: Shared,
    pub(super) place: String,
    pub(super) home: Home,
}

/// What goes with the world.
pub(in crate::store) enum Home {
    Folder(#[expect(dead_code, reason = "it is removed when it is dropped")] tempfile::TempDir),
    Database(fixture::Database),
}

impl World {
    pub(super) async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = format!("sqlite:{}", folder.path().join("store.db").display());
        let world = Self { store: open(&place).await.unwrap(), place, home: Home::Folder(folder) };
        world.populate().await;
        world
    }

    pub(super) async fn postgres() -> Self {
        let database = fixture::Database::new();
        let place = database.url();
        let world = Self { store: open(&place).await.unwrap(), place, home: Home::Database(database) };
        world.populate().await;
        world
    }

    /// Another handle on the same store, as another process would have it.
    pub(in crate::store) async fn again(&self) -> Shared {
        open(&self.place).await.unwrap()
    }

    async fn populate(&self) {
        for (id, alias) in [(ACME, "acme"), (GLOBEX, "globex"), (CLOUD, "cloud")] {
            self.store.add_account(&Account { id: account(id), alias: alias.to_owned() }).await.unwrap();
        }
        for new in [
            person(ACME, PrincipalKind::Account, ACME, "root@acme", false, &[]),
            person(ACME, PrincipalKind::User, "u-admin", "admin@acme", true, &[]),
            person(ACME, PrincipalKind::User, "u-alice", "alice@acme", false, &["developers", "auditors"]),
            person(ACME, PrincipalKind::User, "u-bob", "bob@acme", false, &[]),
            person(ACME, PrincipalKind::Role, "r-deploy", "deploy-role@acme", false, &[]),
            person(GLOBEX, PrincipalKind::Account, GLOBEX, "root@globex", false, &[]),
            person(GLOBEX, PrincipalKind::User, "u-eve", "eve@globex", true, &["developers"]),
        ] {
            self.store.add_principal(&new).await.unwrap();
        }
        let by = actor(GLOBEX, "u-eve", "eve@globex");
        for (id, publisher, official) in
            [("report-hub", GLOBEX, false), ("mcp-server", CLOUD, true), ("in-house", ACME, false)]
        {
            self.store.register(&application(id, publisher, official), &[], &by).await.unwrap();
        }
    }

    /// `admin@acme` authorizes.
    pub(in crate::store) async fn install(&self, application: &str, seen: Option<Revision>) -> Grant {
        self.store.install(&wish(application, "/acs/ecs:read", seen), at(10)).await.unwrap().0
    }

    /// A code for `alice@acme` under the grant; the code's hash is 32 times `byte`.
    pub(in crate::store) async fn code(&self, grant: &Grant, byte: u8) -> Code {
        let code = code(grant, byte);
        self.store.keep_code(&code).await.unwrap();
        code
    }

    /// The same, redeemed, with a refresh token of the hash 32 times `byte`.
    pub(in crate::store) async fn refresh(&self, grant: &Grant, byte: u8) -> Refresh {
        let code = self.code(grant, byte).await;
        self.store.redeem_code(&code.hash, at(20)).await.unwrap();
        let refresh = Refresh { hash: [byte; 32], authorization: code.authorization, expires_at: at(86_400) };
        self.store.keep_refresh(&refresh).await.unwrap();
        refresh
    }

    /// What the change log says after `seq`.
    pub(in crate::store) async fn log_after(&self, seq: Seq) -> Vec<Subject> {
        let changes = self.store.changes_after(seq, 100).await.unwrap();
        changes.into_iter().map(|change| change.subject).collect()
    }

    pub(in crate::store) async fn newest(&self) -> Seq {
        self.store.newest().await.unwrap()
    }
}

pub(in crate::store) const ACME: &str = "1000000000000001";
pub(in crate::store) const GLOBEX: &str = "1000000000000002";
const CLOUD: &str = "1000000000000009";

pub(in crate::store) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

pub(in crate::store) fn account(id: &str) -> AccountId {
    id.parse().unwrap()
}

pub(in crate::store) fn scopes(text: &str) -> ScopeSet {
    text.parse().unwrap()
}

pub(in crate::store) fn key(application: &str) -> GrantKey {
    GrantKey { account: account(ACME), application: application.parse().unwrap() }
}

pub(in crate::store) fn user(id: &str) -> PrincipalKey {
    whom(ACME, PrincipalKind::User, id)
}

pub(in crate::store) fn whom(of: &str, kind: PrincipalKind, id: &str) -> PrincipalKey {
    PrincipalKey { account: account(of), kind, id: id.parse().unwrap() }
}

pub(in crate::store) fn actor(of: &str, id: &str, login: &str) -> Actor {
    Actor { principal: whom(of, PrincipalKind::User, id), login: login.to_owned() }
}

pub(in crate::store) fn admin() -> Actor {
    actor(ACME, "u-admin", "admin@acme")
}

pub(in crate::store) fn wish(application: &str, chosen: &str, seen: Option<Revision>) -> Install {
    Install {
        key: key(application),
        scopes: scopes(chosen),
        declined: scopes("/acs/ecs /acs/ecs:read"),
        at_most: None,
        by: admin(),
        seen,
        lasting: Lasting::AsItWas,
    }
}

pub(in crate::store) fn person(
    of: &str,
    kind: PrincipalKind,
    id: &str,
    login: &str,
    full_access: bool,
    groups: &[&str],
) -> NewPrincipal {
    let principal = Principal {
        key: whom(of, kind, id),
        login: login.to_owned(),
        display_name: login.to_owned(),
        enabled: true,
        full_access,
        groups: groups.iter().map(|group| group.parse().unwrap()).collect(),
    };
    NewPrincipal { principal, password_hash: Some(format!("hash of {login}")) }
}

pub(in crate::store) fn application(id: &str, publisher: &str, official: bool) -> Application {
    Application {
        id: id.parse::<ApplicationId>().unwrap(),
        name: id.to_owned(),
        display_name: id.to_owned(),
        description: String::new(),
        publisher: account(publisher),
        publisher_name: "its publisher".to_owned(),
        contact: String::new(),
        official,
        kind: ApplicationType::WebApp,
        redirect_uris: vec!["https://a.test/back?x=\"1\"".to_owned()],
        required: scopes("openid profile"),
        optional: scopes("/acs/ecs /acs/ecs:read"),
        access_token_seconds: 3600,
        refresh_token_seconds: 86_400,
        enabled: true,
        created_at: at(0),
    }
}

pub(in crate::store) fn code(grant: &Grant, byte: u8) -> Code {
    let authorization = Authorization {
        family: format!("family-{byte}").parse::<FamilyId>().unwrap(),
        grant: grant.key.clone(),
        principal: user("u-alice"),
        scopes: scopes("openid /acs/ecs:read"),
        revision: grant.revision,
        resource: Some("https://api.test".to_owned()),
        nonce: Some("n-0".to_owned()),
        authenticated_at: at(5),
        offline: true,
    };
    Code {
        hash: [byte; 32],
        authorization,
        redirect_uri: "https://a.test/back".to_owned(),
        challenge: "challenge".to_owned(),
        expires_at: at(70),
    }
}
