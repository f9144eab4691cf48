//! The demo's passwords, client secrets and API tokens in plain text, in `credentials.json` of the data directory.
//! The store keeps only hashes, and a restart has to tell the same ones again. A real deployment has no such file.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::ready::{FileFailed, write_private};
use crate::token::random::{self, NoRandomness, Secret};

/// The secrets by whose they are.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// By login.
    pub passwords: BTreeMap<String, String>,
    /// By application name.
    pub client_secrets: BTreeMap<String, String>,
    /// By account alias.
    pub api_tokens: BTreeMap<String, String>,
}

impl Credentials {
    /// Where the file is.
    #[must_use]
    pub fn path(data: &Path) -> PathBuf {
        data.join("credentials.json")
    }

    /// Reads the file; none when there is none.
    pub fn read(data: &Path) -> Result<Option<Self>, FileFailed> {
        let path = Self::path(data);
        let failed = |why| FileFailed::new(&path, "read", why);
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|why| failed(io::Error::other(why))),
            Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(why) => Err(failed(why)),
        }
    }

    /// Writes the file, for its owner alone.
    pub fn write(&self, data: &Path) -> Result<(), FileFailed> {
        let path = Self::path(data);
        let text = serde_json::to_vec_pretty(self)
            .map_err(|why| FileFailed::new(&path, "written", io::Error::other(why)))?;
        write_private(&path, &text)
    }

    /// The secret of `whose`, made when there is none yet. The flag tells that it was made.
    pub(super) fn take_or_make(
        held: &mut BTreeMap<String, String>,
        whose: &str,
        make: fn() -> Result<String, NoRandomness>,
        made: &mut bool,
    ) -> Result<(), NoRandomness> {
        if !held.contains_key(whose) {
            held.insert(whose.to_owned(), make()?);
            *made = true;
        }
        Ok(())
    }
}

/// A password that can be typed: four groups of four, 80 random bits, no letter that looks like another.
pub(super) fn password() -> Result<String, NoRandomness> {
    let mut bytes = [0_u8; 16];
    random::fill(&mut bytes)?;
    let letters: Vec<char> = "abcdefghijkmnpqrstuvwxyz23456789".chars().collect();
    let letter = |byte: &u8| letters.get(usize::from(byte & 31)).copied();
    let groups: Vec<String> =
        bytes.chunks(4).map(|group| group.iter().filter_map(letter).collect()).collect();
    Ok(groups.join("-"))
}

/// A client secret or an API token.
pub(super) fn secret() -> Result<String, NoRandomness> {
    Ok(Secret::random()?.expose().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_the_same_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Credentials::read(folder.path()).unwrap().is_none());
        let (mut first, mut made) = (Credentials::default(), false);
        Credentials::take_or_make(&mut first.passwords, "alice@acme", password, &mut made).unwrap();
        assert!(made);
        first.write(folder.path()).unwrap();
        let (mut second, mut made) = (Credentials::read(folder.path()).unwrap().unwrap(), false);
        Credentials::take_or_make(&mut second.passwords, "alice@acme", password, &mut made).unwrap();
        assert!(!made);
        assert_eq!(second.passwords, first.passwords);
    }

    #[test]
    fn a_damaged_file_is_an_error_and_not_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(Credentials::path(folder.path()), "{").unwrap();
        assert!(Credentials::read(folder.path()).is_err());
    }

    #[test]
    fn a_password_is_four_groups_of_four() {
        let (a, b) = (password().unwrap(), password().unwrap());
        assert_eq!(a.split('-').map(str::len).collect::<Vec<_>>(), [4, 4, 4, 4]);
        assert_ne!(a, b);
    }
}
