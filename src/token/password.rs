//! People's passwords: Argon2id (RFC 9106) in PHC strings, away from the async threads, a few at a time.
//!
//! Comes in: a password, and the kept hash or nothing. Goes out: yes or no, after the same work in every case, so
//! that the time of an answer does not tell which logins exist. Counting attempts is not done here.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::random::{self, NoRandomness, Secret};

/// Hashes and checks passwords. Cheap to clone.
#[derive(Clone)]
pub struct Passwords {
    /// How many are hashed at once: each takes 19 MiB and a core for some 20 ms.
    turns: Arc<Semaphore>,
    /// How many may wait for a turn.
    waiting: Arc<Semaphore>,
    /// The hash of a password that nobody has, checked when there is nothing to check.
    nobody: Arc<str>,
}

/// Why there is neither yes nor no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Too many logins at once. Answer 503 with `Retry-After`.
    #[error("too many people are logging in at once; try again in a moment")]
    Busy,
    /// A new password is empty or longer than 1024 bytes.
    #[error("a password has 1 to 1024 bytes")]
    BadLength,
    /// The kept hash is none, or hashing failed. Answer 503.
    #[error("a password could not be checked: its stored hash cannot be used; set the password again")]
    Unusable,
    /// No salt could be made.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

impl Passwords {
    /// `at_once`: how many are hashed at the same time. Hashes once itself, so it takes some 20 ms.
    pub fn new(at_once: usize) -> Result<Self, PasswordError> {
        let nobody = hash(&Secret::random()?)?;
        Ok(Self {
            turns: Arc::new(Semaphore::new(at_once.max(1))),
            waiting: Arc::new(Semaphore::new(MOST_WAITING)),
            nobody: Arc::from(nobody),
        })
    }

    /// The PHC string to keep for a new password.
    pub async fn hash(&self, password: Secret) -> Result<String, PasswordError> {
        if password.expose().is_empty() || password.expose().len() > LONGEST {
            return Err(PasswordError::BadLength);
        }
        self.in_turn(move || hash(&password)).await
    }

    /// Whether `password` is the one that `kept` was made of. With nothing kept (no such login, or one without a
    /// password) the answer is no, after the same work.
    pub async fn verify(&self, password: Secret, kept: Option<String>) -> Result<bool, PasswordError> {
        let nobody = Arc::clone(&self.nobody);
        self.in_turn(move || {
            let fits = password.expose().len() <= LONGEST;
            let known = kept.is_some();
            let phc = kept.unwrap_or_else(|| nobody.as_ref().to_owned());
            let parsed = PasswordHash::new(&phc).map_err(|_| PasswordError::Unusable)?;
            let tried = if fits { password.expose().as_bytes() } else { b"" };
            let same = Argon2::default().verify_password(tried, &parsed).is_ok();
            Ok(same && known && fits)
        })
        .await
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let _place = self.waiting.try_acquire().map_err(|_| PasswordError::Busy)?;
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| PasswordError::Busy)?;
        // The turn goes with the work: a caller that gives up does not let another one in beside it.
        spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        })
        .await
        .map_err(|_| PasswordError::Unusable)?
    }
}

/// Whether a text is what is kept of a password: an Argon2id hash as a PHC string.
#[must_use]
pub fn is_hash(text: &str) -> bool {
    PasswordHash::new(text).is_ok_and(|hash| hash.algorithm.as_str() == "argon2id" && hash.hash.is_some())
}

fn hash(password: &Secret) -> Result<String, PasswordError> {
    let mut salt = [0_u8; 16];
    random::fill(&mut salt)?;
    let hash: PasswordHash = Argon2::default()
        .hash_password_with_salt(password.expose().as_bytes(), &salt)
        .map_err(|_| PasswordError::Unusable)?;
    Ok(hash.to_string())
}

const LONGEST: usize = 1024;
const MOST_WAITING: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    #[tokio::test]
    async fn the_right_password_is_taken() {
        let passwords = Passwords::new(2).unwrap();
        let kept = passwords.hash(secret("correct horse")).await.unwrap();
        assert!(kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{kept}");
        assert_eq!(passwords.verify(secret("correct horse"), Some(kept)).await, Ok(true));
    }

    #[tokio::test]
    async fn a_wrong_password_an_unknown_login_and_an_endless_password_are_refused() {
        let passwords = Passwords::new(1).unwrap();
        let kept = passwords.hash(secret("correct horse")).await.unwrap();
        assert_eq!(passwords.verify(secret("correct"), Some(kept.clone())).await, Ok(false));
        assert_eq!(passwords.verify(secret("correct horse"), None).await, Ok(false));
        assert_eq!(passwords.verify(secret(&"x".repeat(1025)), Some(kept)).await, Ok(false));
        assert_eq!(passwords.hash(secret(&"x".repeat(1025))).await, Err(PasswordError::BadLength));
        assert_eq!(passwords.hash(secret("")).await, Err(PasswordError::BadLength));
    }

    #[tokio::test]
    async fn a_damaged_hash_is_an_error_and_not_a_yes() {
        let passwords = Passwords::new(1).unwrap();
        let answer = passwords.verify(secret("x"), Some("$argon2id$broken".to_owned())).await;
        assert_eq!(answer, Err(PasswordError::Unusable));
    }

    #[tokio::test]
    async fn what_is_no_argon2id_hash_is_told_from_one() {
        let kept = Passwords::new(1).unwrap().hash(secret("correct horse")).await.unwrap();
        assert!(is_hash(&kept));
        for other in ["correct horse", "$argon2id$broken", "", "$2b$12$abcdefghijklmnopqrstuv"] {
            assert!(!is_hash(other), "{other}");
        }
    }

    #[tokio::test]
    async fn when_too_many_wait_the_next_one_is_told_so() {
        let passwords = Passwords::new(1).unwrap();
        let _all = passwords.waiting.try_acquire_many(u32::try_from(MOST_WAITING).unwrap()).unwrap();
        assert_eq!(passwords.verify(secret("x"), None).await, Err(PasswordError::Busy));
    }
}
