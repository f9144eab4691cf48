//! Our secret at a token service: where it stands, and what it is at a moment.
//!
//! A file is read at each use, without holding up the calls of others: whoever replaces it need not tell us. What goes
//! wrong names the place, and nothing of what stands there.

use std::io;
use std::path::PathBuf;

use zeroize::Zeroizing;

use crate::config::exchange::Exchange;
use crate::token::random::Secret;

/// Where it stands.
pub(super) enum SecretAt {
    /// In a file.
    File(PathBuf),
    /// In the environment, under this name.
    Variable(String),
}

impl SecretAt {
    /// As the settings say; none for a public client.
    pub(super) fn of(settings: &Exchange) -> Option<Self> {
        match (&settings.client_secret_file, &settings.client_secret_env) {
            (Some(path), _) => Some(Self::File(path.clone())),
            (None, Some(name)) => Some(Self::Variable(name.clone())),
            (None, None) => None,
        }
    }

    /// Whether there is one, for the start, when nobody waits yet.
    pub(super) fn check(&self) -> Result<(), String> {
        match self {
            Self::File(path) => self.taken(std::fs::read_to_string(path)).map(drop),
            Self::Variable(name) => self.variable(name).map(drop),
        }
    }

    /// It, as it is now.
    pub(super) async fn read(&self) -> Result<Secret, String> {
        match self {
            Self::File(path) => self.taken(tokio::fs::read_to_string(path).await),
            Self::Variable(name) => self.variable(name),
        }
    }

    fn variable(&self, name: &str) -> Result<Secret, String> {
        let missing = || io::Error::new(io::ErrorKind::NotFound, "there is no such variable that is text");
        self.taken(std::env::var(name).map_err(|_| missing()))
    }

    fn taken(&self, read: io::Result<String>) -> Result<Secret, String> {
        let place = match self {
            Self::File(path) => path.display().to_string(),
            Self::Variable(name) => format!("the environment's {name}"),
        };
        let text =
            Zeroizing::new(read.map_err(|why| format!("our secret cannot be read from {place}: {why}"))?);
        match text.trim_end_matches(['\r', '\n']) {
            "" => Err(format!("our secret in {place} is empty")),
            secret => Ok(Secret::new(secret.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_that_is_replaced_counts_from_then_on_and_an_empty_one_is_no_secret() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        let place = SecretAt::File(file.clone());
        assert!(place.check().is_err());
        std::fs::write(&file, "one\r\n").unwrap();
        assert_eq!((place.check(), place.read().await.unwrap().expose()), (Ok(()), "one"));
        std::fs::write(&file, "two").unwrap();
        assert_eq!(place.read().await.unwrap().expose(), "two");
        std::fs::write(&file, "\n").unwrap();
        let why = place.read().await.unwrap_err();
        assert!(why.contains("empty") && place.check().is_err(), "{why}");
    }
}
