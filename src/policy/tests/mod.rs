//! What holds for the whole layer, over the policies of this repository and over folders made for a test.

mod files;
mod oracle;
mod walls;

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use super::{Denial, Permit, Policies, Session, Surroundings, decide};
use crate::model::account::{Principal, PrincipalKey, PrincipalKind};
use crate::model::application::{Application, ApplicationType};
use crate::model::call::{Action, Call, Resource};
use crate::model::grant::{AssignmentMode, Grant, GrantState, Installed};
use crate::model::id::{GrantKey, Revision};
use crate::model::member::Member;
use crate::model::scope::ScopeSet;

pub(super) const ACME: &str = "1000000000000001";
pub(super) const HUB: &str = "4611686018427387904";

pub(super) fn scopes(text: &str) -> ScopeSet {
    text.parse().unwrap()
}

pub(super) fn installed(granted: &str) -> Installed {
    let application = Application {
        id: HUB.parse().unwrap(),
        name: "report-hub".to_owned(),
        display_name: "Report Hub".to_owned(),
        description: String::new(),
        publisher: "9000000000000009".parse().unwrap(),
        publisher_name: "Hub makers".to_owned(),
        contact: String::new(),
        official: false,
        kind: ApplicationType::WebApp,
        redirect_uris: Vec::new(),
        required: scopes("openid /acs/oss:read"),
        optional: scopes("/acs/ecs /acs/ecs:read /acs/oss:write"),
        access_token_seconds: 3600,
        refresh_token_seconds: 7200,
        enabled: true,
        created_at: Timestamp::UNIX_EPOCH,
    };
    let grant = Grant {
        key: GrantKey { account: ACME.parse().unwrap(), application: application.id.clone() },
        revision: Revision(3),
        since: Revision(1),
        state: GrantState::Active,
        scopes: scopes(granted),
        declined: ScopeSet::new(),
        authorized_at: Timestamp::UNIX_EPOCH,
        authorized_by: alice().principal.key,
        authorized_by_login: "admin@acme".to_owned(),
        assignment: AssignmentMode::All,
        expires_at: None,
    };
    Installed { grant, application }
}

pub(super) fn official(granted: &str) -> Installed {
    let mut installed = installed(granted);
    installed.application.official = true;
    installed.grant.assignment = AssignmentMode::Assigned;
    installed
}

pub(super) fn alice() -> Member {
    let key = PrincipalKey {
        account: ACME.parse().unwrap(),
        kind: PrincipalKind::User,
        id: "2000000000000011".parse().unwrap(),
    };
    let principal = Principal {
        key,
        login: "alice@acme".to_owned(),
        display_name: "Alice".to_owned(),
        enabled: true,
        full_access: false,
        groups: vec!["finance".parse().unwrap()],
    };
    Member { principal, assigned: true, consented: None, ended: Vec::new() }
}

pub(super) fn root() -> Member {
    let mut member = alice();
    member.principal.key.kind = PrincipalKind::Account;
    member.principal.key.id = ACME.parse().unwrap();
    member.principal.login = "root@acme".to_owned();
    member
}

pub(super) fn call(action: &str, name: &str) -> Call {
    let resource = Resource { account: ACME.parse().unwrap(), region: None, name: name.into() };
    Call { action: Action::new(action), resource }
}

pub(super) fn around() -> Surroundings<'static> {
    Surroundings {
        ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        time: Timestamp::from_second(1_800_000_000).unwrap(),
        method: "GET",
        host: "127.0.0.1:8080",
        path: "/oss/reports/2026.csv",
    }
}

pub(super) fn shipped() -> Arc<Policies> {
    Arc::new(Policies::embedded().unwrap())
}

pub(super) fn session(
    policies: &Arc<Policies>,
    installed: Installed,
    member: &Member,
    token: &str,
) -> Arc<Session> {
    Arc::new(policies.compile(&Arc::new(installed)).session(member, &scopes(token)))
}

/// One decision with the shipped policies and a token that carries the whole grant.
pub(super) fn decided<'a>(
    installed: Installed,
    member: &Member,
    call: &'a Call,
) -> Result<Permit<'a>, Denial> {
    let token = installed.grant.scopes.to_string();
    // A permit borrows its session.
    let session = Box::leak(Box::new(session(&shipped(), installed, member, &token)));
    decide(session, call, &around())
}

/// A copy of the repository's policy folder with one more guardrail file.
pub(super) fn folder_with(guardrail: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    for part in ["scopes", "guardrails"] {
        std::fs::create_dir(dir.path().join(part)).unwrap();
        for entry in std::fs::read_dir(shipped.join(part)).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), dir.path().join(part).join(entry.file_name())).unwrap();
        }
    }
    std::fs::copy(shipped.join("console.cedar"), dir.path().join("console.cedar")).unwrap();
    std::fs::write(dir.path().join("guardrails/own.cedar"), guardrail).unwrap();
    dir
}
