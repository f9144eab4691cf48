//! The sidecar's own key, in its state folder: made at the first start, for its owner's eyes only.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use zeroize::Zeroizing;

use super::LinkError;
use crate::token::keys::{Purpose, Signer, generate};
use crate::token::random;

/// The key in `folder`; a new one when there is none.
pub(super) fn own(folder: &Path) -> Result<Signer, LinkError> {
    let path = folder.join(FILE);
    let failed = |done, why| LinkError::State { path: path.clone(), done, why };
    let kept = match fs::read(&path) {
        Ok(kept) => Zeroizing::new(kept),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let new = generate(Purpose::Sidecar)?;
            // Beside its place under a name that nobody else takes.
            let beside = folder.join(format!(".{FILE}.{}", random::identifier()?));
            let kept = keep(folder, &beside, &path, &new);
            let _ = fs::remove_file(&beside);
            kept.map_err(|why| failed("written", why))?;
            Zeroizing::new(fs::read(&path).map_err(|why| failed("read", why))?)
        }
        Err(error) => return Err(failed("read", error)),
    };
    Signer::from_pkcs8(Purpose::Sidecar, &kept).map_err(|_| LinkError::NoKey(path))
}

/// Puts the key into its place, unless another process was quicker: then that one's stays.
fn keep(folder: &Path, beside: &Path, path: &Path, key: &[u8]) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(beside)?;
    file.write_all(key)?;
    file.sync_all()?;
    match fs::hard_link(beside, path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        Ok(()) | Err(_) => fs::File::open(folder)?.sync_all(),
    }
}

const FILE: &str = "sidecar.key";

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_made_once_for_its_owner_alone_and_is_the_same_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("deep/state");
        let first = own(&state).unwrap();
        assert_eq!(own(&state).unwrap().kid(), first.kid());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&state), mode(&state.join(FILE))), (0o700, 0o600));
        assert_eq!(fs::read_dir(&state).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn what_is_no_key_or_no_place_for_one_is_refused_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), "no key").unwrap();
        assert!(own(folder.path()).unwrap_err().to_string().contains(FILE));
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(own(&file.join("state")).unwrap_err().to_string().contains("state folder"));
    }
}
