//! Fills a store with the demo's world: adds what is missing, changes nothing that is there, and tells the secrets.
//!
//! Secrets are made on the first start and kept in `credentials.json`, written before the store learns their
//! hashes, so that a crash in between loses nothing and a restart tells the same ones.

use std::path::{Path, PathBuf};

use super::credentials::{self, Credentials};
use super::ready::{FileFailed, ReadyAccount, ReadyApplication, ReadyPrincipal};
use super::world::{self, BadWorld, Tenant};
use crate::model::account::{Account, Principal, PrincipalKey, PrincipalKind};
use crate::model::application::Application;
use crate::model::time::Clock;
use crate::store::{self, Actor, ApiToken, NewPrincipal, StoreError};
use crate::token::password::{PasswordError, Passwords};
use crate::token::random::{NoRandomness, Secret};

/// The world as it is in the store, with its secrets: the ready file's two lists.
pub struct Seeded {
    /// The accounts.
    pub accounts: Vec<ReadyAccount>,
    /// The applications.
    pub applications: Vec<ReadyApplication>,
    /// What a person should be told about the seeding, if anything.
    pub remark: Option<String>,
}

/// Why the world could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The credentials file.
    #[error(transparent)]
    File(#[from] FileFailed),
    /// The store knows the demo's people, and nobody knows their passwords any more.
    #[error(
        "{0} is missing, and the store keeps only hashes of the demo's passwords; delete the data directory to start anew"
    )]
    CredentialsLost(PathBuf),
    /// A password could not be hashed.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// No secret could be made.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// The demo's own data is wrong.
    #[error(transparent)]
    World(#[from] BadWorld),
}

/// Adds what is missing. `data` is the data directory, which exists.
pub async fn seed(
    store: &store::Shared,
    passwords: &Passwords,
    data: &Path,
    clock: &Clock,
) -> Result<Seeded, SeedError> {
    let tenants = world::tenants()?;
    let applications = world::applications(clock.now())?;
    let (credentials, made) = credentials(data, &tenants, &applications)?;
    if made {
        refuse_lost_passwords(store, data, &tenants, &credentials.known).await?;
        credentials.all.write(data)?;
    }
    let credentials = credentials.all;
    for account in world::publishers()? {
        add_account(store, &account).await?;
    }
    for tenant in &tenants {
        add_account(store, &tenant.account).await?;
        for principal in &tenant.principals {
            add_principal(store, passwords, principal, &credentials).await?;
        }
        add_api_token(store, tenant, &credentials).await?;
    }
    for application in &applications {
        register(store, application, &credentials).await?;
    }
    Ok(Seeded {
        accounts: tenants.iter().map(|tenant| tell_account(tenant, &credentials)).collect(),
        applications: applications.iter().map(|one| tell_application(one, &credentials)).collect(),
        remark: made.then(|| {
            format!("made passwords and secrets; they are in {}", Credentials::path(data).display())
        }),
    })
}

struct Made {
    all: Credentials,
    /// The logins whose passwords stood in the file before.
    known: Vec<String>,
}

/// The kept secrets, and new ones for whatever has none. The flag tells that there are new ones.
fn credentials(
    data: &Path,
    tenants: &[Tenant],
    applications: &[Application],
) -> Result<(Made, bool), SeedError> {
    let mut all = Credentials::read(data)?.unwrap_or_default();
    let known = all.passwords.keys().cloned().collect();
    let mut made = false;
    for tenant in tenants {
        for principal in tenant.principals.iter().filter(|one| logs_in(one)) {
            Credentials::take_or_make(
                &mut all.passwords,
                &principal.login,
                credentials::password,
                &mut made,
            )?;
        }
        let alias = &tenant.account.alias;
        Credentials::take_or_make(&mut all.api_tokens, alias, credentials::secret, &mut made)?;
    }
    for application in applications.iter().filter(|one| one.kind.is_confidential()) {
        let name = &application.name;
        Credentials::take_or_make(&mut all.client_secrets, name, credentials::secret, &mut made)?;
    }
    Ok((Made { all, known }, made))
}

/// A password that was made now cannot be that of a principal who is in the store already.
async fn refuse_lost_passwords(
    store: &store::Shared,
    data: &Path,
    tenants: &[Tenant],
    known: &[String],
) -> Result<(), SeedError> {
    for principal in tenants.iter().flat_map(|tenant| &tenant.principals) {
        let lost = logs_in(principal) && !known.contains(&principal.login);
        if lost && store.principal(&principal.key).await?.is_some() {
            return Err(SeedError::CredentialsLost(Credentials::path(data)));
        }
    }
    Ok(())
}

async fn add_account(store: &store::Shared, account: &Account) -> Result<(), SeedError> {
    if store.account(&account.id).await?.is_none() {
        store.add_account(account).await?;
    }
    Ok(())
}

async fn add_principal(
    store: &store::Shared,
    passwords: &Passwords,
    principal: &Principal,
    credentials: &Credentials,
) -> Result<(), SeedError> {
    if store.principal(&principal.key).await?.is_some() {
        return Ok(());
    }
    let password_hash = match credentials.passwords.get(&principal.login) {
        Some(password) => Some(passwords.hash(Secret::new(password.clone())).await?),
        None => None,
    };
    store.add_principal(&NewPrincipal { principal: principal.clone(), password_hash }).await?;
    Ok(())
}

/// The account's token speaks for its first user with full access.
async fn add_api_token(
    store: &store::Shared,
    tenant: &Tenant,
    credentials: &Credentials,
) -> Result<(), SeedError> {
    let administrator = tenant.principals.iter().find(|one| one.full_access);
    let token = credentials.api_tokens.get(&tenant.account.alias);
    if let (Some(administrator), Some(token)) = (administrator, token) {
        let token = ApiToken {
            hash: Secret::new(token.clone()).hash(),
            principal: administrator.key.clone(),
            label: "the demo's".to_owned(),
            expires_at: None,
        };
        store.add_api_token(&token).await?;
    }
    Ok(())
}

async fn register(
    store: &store::Shared,
    application: &Application,
    credentials: &Credentials,
) -> Result<(), SeedError> {
    let publisher = Actor {
        principal: PrincipalKey {
            account: application.publisher.clone(),
            kind: PrincipalKind::Account,
            id: application.publisher.as_str().parse().map_err(BadWorld::Id)?,
        },
        login: "the demo's seed".to_owned(),
    };
    let secret = credentials.client_secrets.get(&application.name).map(|secret| {
        let hash = Secret::new(secret.clone()).hash();
        // The first bytes tell one secret from another.
        let id: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        store::Secret { id, hash, created_at: application.created_at }
    });
    if store.application(&application.id).await?.is_none() {
        store.register(application, secret.as_slice(), &publisher).await?;
    } else if let Some(secret) = secret {
        let kept = store.secrets(&application.id).await?;
        if !kept.iter().any(|one| one.hash == secret.hash) {
            store.add_secret(&application.id, &secret, &publisher).await?;
        }
    }
    Ok(())
}

fn logs_in(principal: &Principal) -> bool {
    match principal.key.kind {
        PrincipalKind::Account | PrincipalKind::User => true,
        PrincipalKind::Role => false,
    }
}

fn tell_account(tenant: &Tenant, credentials: &Credentials) -> ReadyAccount {
    let principals = tenant.principals.iter().filter_map(|principal| {
        Some(ReadyPrincipal {
            kind: principal.key.kind,
            login: principal.login.clone(),
            password: credentials.passwords.get(&principal.login)?.clone(),
            administrator: principal.is_administrator(),
        })
    });
    ReadyAccount {
        id: tenant.account.id.clone(),
        alias: tenant.account.alias.clone(),
        principals: principals.collect(),
        api_token: credentials.api_tokens.get(&tenant.account.alias).cloned().unwrap_or_default(),
    }
}

fn tell_application(application: &Application, credentials: &Credentials) -> ReadyApplication {
    let kind = if application.official { "official" } else { "third-party" };
    ReadyApplication {
        client_id: application.id.clone(),
        client_secret: credentials.client_secrets.get(&application.name).cloned(),
        name: application.name.clone(),
        kind: kind.to_owned(),
        application_type: application.kind.as_str().to_owned(),
        redirect_uris: application.redirect_uris.clone(),
        required_scopes: application.required.iter().cloned().collect(),
        optional_scopes: application.optional.iter().cloned().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    async fn seeded(data: &Path) -> Result<(store::Shared, Seeded), SeedError> {
        let store = store::open(&format!("sqlite:{}", data.join("store.db").display())).await?;
        let told = seed(&store, &Passwords::new(2)?, data, &Clock::set(1000)).await?;
        Ok((store, told))
    }

    #[tokio::test]
    async fn what_the_ready_file_tells_opens_the_store_and_stays_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let (store, told) = seeded(folder.path()).await.unwrap();
        assert!(told.remark.is_some());
        let passwords = Passwords::new(2).unwrap();
        for one in told.accounts.iter().flat_map(|account| &account.principals) {
            let kept = store.credential(&one.login).await.unwrap().unwrap();
            assert_eq!(kept.principal.is_administrator(), one.administrator);
            let password = Secret::new(one.password.clone());
            assert!(passwords.verify(password, kept.password_hash).await.unwrap(), "{}", one.login);
        }
        for account in &told.accounts {
            let hash = Secret::new(account.api_token.clone()).hash();
            let speaker = store.api_token(&hash, Timestamp::UNIX_EPOCH).await.unwrap().unwrap();
            assert_eq!((&speaker.key.account, speaker.is_administrator()), (&account.id, true));
        }
        for one in &told.applications {
            let hashes: Vec<_> =
                store.secrets(&one.client_id).await.unwrap().iter().map(|kept| kept.hash).collect();
            let told = one.client_secret.clone().map(|secret| Secret::new(secret).hash());
            assert_eq!(hashes, told.into_iter().collect::<Vec<_>>(), "{}", one.name);
        }
        drop(store);
        let (_, again) = seeded(folder.path()).await.unwrap();
        assert!(again.remark.is_none());
        assert!(again.accounts == told.accounts && again.applications == told.applications);
    }

    #[tokio::test]
    async fn a_store_whose_passwords_nobody_knows_is_refused_with_the_way_out() {
        let folder = tempfile::tempdir().unwrap();
        seeded(folder.path()).await.unwrap();
        std::fs::remove_file(Credentials::path(folder.path())).unwrap();
        let refused = seeded(folder.path()).await.err().unwrap();
        assert!(matches!(refused, SeedError::CredentialsLost(_)), "{refused}");
        assert!(Credentials::read(folder.path()).unwrap().is_none(), "no wrong passwords are written");
    }

    #[test]
    fn a_first_start_makes_every_secret_and_a_second_one_tells_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let tenants = world::tenants().unwrap();
        let applications = world::applications(Timestamp::UNIX_EPOCH).unwrap();
        let (first, made) = credentials(folder.path(), &tenants, &applications).unwrap();
        assert!(made && first.known.is_empty());
        first.all.write(folder.path()).unwrap();
        let (second, made) = credentials(folder.path(), &tenants, &applications).unwrap();
        assert!(!made);
        let tell =
            |made: &Made| -> Vec<_> { tenants.iter().map(|one| tell_account(one, &made.all)).collect() };
        let (accounts, again) = (tell(&first), tell(&second));
        assert!(accounts == again);
        let acme = &accounts[0];
        assert_eq!(acme.principals.len(), 4, "a role does not log in");
        assert_eq!(acme.principals[0].kind, PrincipalKind::Account);
        assert_eq!(acme.api_token.len(), 43);
        let told: Vec<_> = applications.iter().map(|one| tell_application(one, &second.all)).collect();
        assert_eq!(told[0].client_secret.as_ref().map(String::len), Some(43));
        assert!(told[1].client_secret.is_none() && told[2].kind == "official");
    }
}
