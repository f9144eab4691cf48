//! Who and what there is in the demo: two accounts with their people, three publishers, three applications.

use jiff::Timestamp;

use crate::model::account::{Account, Principal, PrincipalKey, PrincipalKind};
use crate::model::application::{Application, ApplicationType};
use crate::model::id::{AccountId, NotAnId};
use crate::model::scope::NotAScope;

/// The demo's data does not parse: a mistake in this file, held by a test.
#[derive(Debug, thiserror::Error)]
pub enum BadWorld {
    /// An identifier.
    #[error(transparent)]
    Id(#[from] NotAnId),
    /// A scope.
    #[error(transparent)]
    Scope(#[from] NotAScope),
}

/// An account with its principals, the root identity first.
pub(super) struct Tenant {
    pub(super) account: Account,
    pub(super) principals: Vec<Principal>,
}

/// The accounts that log in and authorize.
pub(super) fn tenants() -> Result<Vec<Tenant>, BadWorld> {
    let acme = [
        Person::root("1000000000000001"),
        Person::user("2000000000000011", "admin", "Administrator", &["administrators"]).with_full_access(),
        Person::user("2000000000000012", "alice", "Alice", &["developers"]),
        Person::user("2000000000000013", "bob", "Bob", &["finance"]),
        Person::role("3000000000000011", "auditor", "auditor:review"),
    ];
    let globex = [
        Person::root("1000000000000002"),
        Person::user("2000000000000021", "admin", "Administrator", &["administrators"]).with_full_access(),
        Person::user("2000000000000022", "eve", "Eve", &["developers"]),
    ];
    Ok(vec![tenant("1000000000000001", "acme", &acme)?, tenant("1000000000000002", "globex", &globex)?])
}

/// The accounts that publish the applications. Nobody logs in to them.
pub(super) fn publishers() -> Result<Vec<Account>, BadWorld> {
    [(CLOUD, "example-cloud"), (REPORTS, "example-reports"), (DESK, "example-desk")]
        .into_iter()
        .map(|(id, alias)| Ok(Account { id: id.parse()?, alias: alias.to_owned() }))
        .collect()
}

/// The applications.
pub(super) fn applications(now: Timestamp) -> Result<Vec<Application>, BadWorld> {
    [REPORT_HUB, DESK_CLI, MCP_SERVER].iter().map(|sketch| sketch.application(now)).collect()
}

fn tenant(id: &str, alias: &str, people: &[Person]) -> Result<Tenant, BadWorld> {
    let id: AccountId = id.parse()?;
    let principals =
        people.iter().map(|person| person.principal(&id, alias)).collect::<Result<_, BadWorld>>()?;
    Ok(Tenant { account: Account { id, alias: alias.to_owned() }, principals })
}

struct Person {
    kind: PrincipalKind,
    id: &'static str,
    name: &'static str,
    shown: &'static str,
    groups: &'static [&'static str],
    full_access: bool,
}

impl Person {
    const fn root(id: &'static str) -> Self {
        Self {
            kind: PrincipalKind::Account,
            id,
            name: "root",
            shown: "Root",
            groups: &[],
            full_access: false,
        }
    }

    const fn user(
        id: &'static str,
        name: &'static str,
        shown: &'static str,
        groups: &'static [&'static str],
    ) -> Self {
        Self { kind: PrincipalKind::User, id, name, shown, groups, full_access: false }
    }

    const fn role(id: &'static str, name: &'static str, shown: &'static str) -> Self {
        Self { kind: PrincipalKind::Role, id, name, shown, groups: &[], full_access: false }
    }

    const fn with_full_access(self) -> Self {
        Self { full_access: true, ..self }
    }

    fn principal(&self, account: &AccountId, alias: &str) -> Result<Principal, BadWorld> {
        Ok(Principal {
            key: PrincipalKey { account: account.clone(), kind: self.kind, id: self.id.parse()? },
            login: format!("{}@{alias}", self.name),
            display_name: self.shown.to_owned(),
            enabled: true,
            full_access: self.full_access,
            groups: self.groups.iter().map(|group| group.parse()).collect::<Result<_, _>>()?,
        })
    }
}

struct Sketch {
    id: &'static str,
    name: &'static str,
    display_name: &'static str,
    description: &'static str,
    publisher: (&'static str, &'static str),
    contact: &'static str,
    official: bool,
    kind: ApplicationType,
    redirect_uri: &'static str,
    required: &'static str,
    optional: &'static str,
    seconds: (u32, u32),
}

impl Sketch {
    fn application(&self, now: Timestamp) -> Result<Application, BadWorld> {
        let (publisher, publisher_name) = self.publisher;
        let (access_token_seconds, refresh_token_seconds) = self.seconds;
        Ok(Application {
            id: self.id.parse()?,
            name: self.name.to_owned(),
            display_name: self.display_name.to_owned(),
            description: self.description.to_owned(),
            publisher: publisher.parse()?,
            publisher_name: publisher_name.to_owned(),
            contact: self.contact.to_owned(),
            official: self.official,
            kind: self.kind,
            redirect_uris: vec![self.redirect_uri.to_owned()],
            required: self.required.parse()?,
            optional: self.optional.parse()?,
            access_token_seconds,
            refresh_token_seconds,
            enabled: true,
            created_at: now,
        })
    }
}

const DAY: u32 = 24 * 60 * 60;
const CLOUD: &str = "1000000000000100";
const REPORTS: &str = "1000000000000101";
const DESK: &str = "1000000000000102";

const REPORT_HUB: Sketch = Sketch {
    id: "4100000000000000001",
    name: "report-hub",
    display_name: "Report Hub",
    description: "Collects the files of your buckets into weekly reports.",
    publisher: (REPORTS, "Example Reports"),
    contact: "support@reports.example",
    official: false,
    kind: ApplicationType::WebApp,
    redirect_uri: "http://127.0.0.1:9100/callback",
    required: "openid profile /acs/oss:read",
    optional: "/acs/ecs:read /acs/ecs",
    seconds: (3600, 90 * DAY),
};

const DESK_CLI: Sketch = Sketch {
    id: "4100000000000000002",
    name: "desk-cli",
    display_name: "Desk CLI",
    description: "Looks after servers and domain names from the command line.",
    publisher: (DESK, "Example Desk"),
    contact: "https://desk.example/help",
    official: false,
    kind: ApplicationType::NativeApp,
    redirect_uri: "http://127.0.0.1/callback",
    required: "openid aliuid",
    optional: "/acs/ecs /acs/alidns",
    seconds: (3600, 30 * DAY),
};

const MCP_SERVER: Sketch = Sketch {
    id: "4100000000000000003",
    name: "openapi-mcp-server",
    display_name: "OpenAPI MCP Server",
    description: "Lets assistants call the cloud's APIs for the people you assign.",
    publisher: (CLOUD, "Example Cloud"),
    contact: "https://cloud.example/support",
    official: true,
    kind: ApplicationType::NativeApp,
    redirect_uri: "http://127.0.0.1/callback",
    required: "openid profile aliuid /acs/mcp-server",
    optional: "",
    seconds: (10800, 365 * DAY),
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::application::Relation;

    #[test]
    fn the_world_parses_and_keeps_the_limits_of_the_model() {
        let tenants = tenants().unwrap();
        let logins: Vec<_> =
            tenants.iter().flat_map(|tenant| &tenant.principals).map(|one| one.login.as_str()).collect();
        assert_eq!(
            logins,
            [
                "root@acme",
                "admin@acme",
                "alice@acme",
                "bob@acme",
                "auditor@acme",
                "root@globex",
                "admin@globex",
                "eve@globex"
            ]
        );
        for application in applications(Timestamp::UNIX_EPOCH).unwrap() {
            assert!(application.display_name.chars().count() <= 24 && application.name.len() <= 64);
            assert!((18..=19).contains(&application.id.as_str().len()));
            assert!((900..=10800).contains(&application.access_token_seconds));
            assert!((7200..=31_536_000).contains(&application.refresh_token_seconds));
            assert!(publishers().unwrap().iter().any(|one| one.id == application.publisher));
            for tenant in &tenants {
                assert_ne!(application.relation_to(&tenant.account.id), Relation::FirstParty);
            }
        }
    }

    #[test]
    fn root_and_admin_are_administrators_and_nobody_else() {
        for tenant in tenants().unwrap() {
            let administrators: Vec<_> = tenant.principals.iter().map(|one| one.is_administrator()).collect();
            assert!(administrators.starts_with(&[true, true]));
            assert!(!administrators.iter().skip(2).any(|is| *is));
        }
    }
}
