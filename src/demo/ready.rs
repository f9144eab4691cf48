//! The ready file of `consentry dev`: where everything listens, and with what to log in. Scripts wait for it, so it
//! is there whole or not at all, and it holds passwords, so only its owner may read it.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::model::account::PrincipalKind;
use crate::model::id::{AccountId, ApplicationId};
use crate::model::scope::Scope;

/// The whole file.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// The control plane's address, which is the issuer.
    pub issuer: String,
    /// The sidecar's address.
    pub sidecar: String,
    /// Every sidecar's address, the first one's too, when there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sidecars: Vec<String>,
    /// The demo upstream's address.
    pub upstream: String,
    /// The admin port's address.
    pub admin: String,
    /// The accounts to log in to.
    pub accounts: Vec<ReadyAccount>,
    /// The applications to call with.
    pub applications: Vec<ReadyApplication>,
}

/// An account.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadyAccount {
    /// Its number.
    pub id: AccountId,
    /// Its alias.
    pub alias: String,
    /// Who can log in, the root identity first.
    pub principals: Vec<ReadyPrincipal>,
    /// An administrator's token for the admin API.
    pub api_token: String,
}

/// Somebody who can log in.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadyPrincipal {
    /// `account` or `user`.
    pub kind: PrincipalKind,
    /// The login.
    pub login: String,
    /// The password.
    pub password: String,
    /// Whether it may authorize applications.
    pub administrator: bool,
}

/// An application.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadyApplication {
    /// Its `client_id`.
    pub client_id: ApplicationId,
    /// Its secret, if it is a confidential one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<String>,
    /// Its name.
    pub name: String,
    /// `third-party` or `official`.
    pub kind: String,
    /// `WebApp` or `NativeApp`.
    #[serde(rename = "type")]
    pub application_type: String,
    /// Its redirect URIs.
    pub redirect_uris: Vec<String>,
    /// The scopes of every authorization.
    pub required_scopes: Vec<Scope>,
    /// The scopes that an administrator may add.
    pub optional_scopes: Vec<Scope>,
}

/// A file of `dev` could not be written or read.
#[derive(Debug, thiserror::Error)]
#[error("{path} could not be {done}: {why}")]
pub struct FileFailed {
    path: PathBuf,
    done: &'static str,
    why: io::Error,
}

impl FileFailed {
    pub(super) fn new(path: &Path, done: &'static str, why: io::Error) -> Self {
        Self { path: path.to_owned(), done, why }
    }
}

impl Ready {
    /// Writes the file.
    pub fn write(&self, path: &Path) -> Result<(), FileFailed> {
        let told = serde_json::to_value(self)
            .map_err(|why| FileFailed::new(path, "written", io::Error::other(why)))?;
        tell(path, &told)
    }

    /// Takes a ready file of an earlier run away, if there is one, so that nobody takes it for this run's.
    pub fn withdraw(path: &Path) -> Result<(), FileFailed> {
        match fs::remove_file(path) {
            Err(why) if why.kind() != io::ErrorKind::NotFound => Err(FileFailed::new(path, "removed", why)),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

/// Writes a ready file of another shape: a role's, that runs alone.
pub fn tell(path: &Path, told: &serde_json::Value) -> Result<(), FileFailed> {
    write_private(path, format!("{told:#}\n").as_bytes())
}

/// Writes a file for its owner alone: beside its place first, then to the disk, then into its place.
pub(super) fn write_private(path: &Path, text: &[u8]) -> Result<(), FileFailed> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.new", std::process::id()));
    let beside = PathBuf::from(beside);
    let written = || -> io::Result<()> {
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        // Without this a power loss could forget the name.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    };
    written().map_err(|why| FileFailed::new(path, "written", why))
}

#[cfg(test)]
pub(in crate::demo) mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    pub(in crate::demo) fn ready() -> Ready {
        Ready {
            issuer: "http://127.0.0.1:8081".to_owned(),
            sidecar: "http://127.0.0.1:8080".to_owned(),
            sidecars: Vec::new(),
            upstream: "http://127.0.0.1:8082".to_owned(),
            admin: "http://127.0.0.1:9901".to_owned(),
            accounts: vec![ReadyAccount {
                id: "1000000000000001".parse().unwrap(),
                alias: "acme".to_owned(),
                principals: vec![ReadyPrincipal {
                    kind: PrincipalKind::Account,
                    login: "root@acme".to_owned(),
                    password: "p".to_owned(),
                    administrator: true,
                }],
                api_token: "t".to_owned(),
            }],
            applications: vec![ReadyApplication {
                client_id: "1".parse().unwrap(),
                client_secret: None,
                name: "desk-cli".to_owned(),
                kind: "third-party".to_owned(),
                application_type: "NativeApp".to_owned(),
                redirect_uris: vec!["http://127.0.0.1/callback".to_owned()],
                required_scopes: vec!["openid".parse().unwrap()],
                optional_scopes: vec!["/acs/ecs".parse().unwrap()],
            }],
        }
    }

    #[test]
    fn the_file_has_the_promised_shape_and_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ready.json");
        fs::write(&path, "old").unwrap();
        ready().write(&path).unwrap();
        let read: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(
            read,
            serde_json::json!({
                "issuer":"http://127.0.0.1:8081","sidecar":"http://127.0.0.1:8080",
                "upstream":"http://127.0.0.1:8082","admin":"http://127.0.0.1:9901",
                "accounts":[{"id":"1000000000000001","alias":"acme","api_token":"t",
                    "principals":[{"kind":"account","login":"root@acme","password":"p","administrator":true}]}],
                "applications":[{"client_id":"1","name":"desk-cli","kind":"third-party","type":"NativeApp",
                    "redirect_uris":["http://127.0.0.1/callback"],"required_scopes":["openid"],
                    "optional_scopes":["/acs/ecs"]}]
            })
        );
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
        Ready::withdraw(&path).unwrap();
        Ready::withdraw(&path).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let failed = ready().write(Path::new("/nowhere/at/all/ready.json")).unwrap_err();
        assert!(failed.to_string().starts_with("/nowhere/at/all/ready.json could not be written"));
    }
}
