//! What a new password has to be, and its hash.

use crate::control::browser::login::busy;
use crate::control::{Control, Problem};
use crate::token::random::Secret;

/// Why a password is not taken, as a sentence; nothing when it is.
pub(in crate::control) fn complaint(
    password: &str,
    again: Option<&str>,
    login: &str,
) -> Option<&'static str> {
    let plain = password.to_lowercase();
    let name = login.split('@').next().unwrap_or_default().to_lowercase();
    let first = password.chars().next();
    if password.chars().count() < SHORTEST {
        Some("A password has at least 12 characters. Several words are easier to keep than signs.")
    } else if password.len() > LONGEST {
        Some("A password has at most 1024 bytes.")
    } else if password.chars().all(|c| Some(c) == first) {
        Some("This is one character over and over.")
    } else if plain == login.to_lowercase()
        || (name.chars().count() >= 4 && plain.replace(&name, "").len() < 8)
    {
        Some("This is hardly more than your login.")
    } else if again.is_some_and(|again| again != password) {
        Some("The two are not the same.")
    } else {
        None
    }
}

/// What is kept of a new password.
pub(in crate::control) async fn hashed(control: &Control, password: &str) -> Result<String, Problem> {
    control.passwords().hash(Secret::new(password.to_owned())).await.map_err(busy)
}

const SHORTEST: usize = 12;
const LONGEST: usize = 1024;

#[cfg(test)]
mod tests {
    use super::complaint;

    #[test]
    fn a_long_password_is_taken_whatever_it_is_made_of() {
        for good in ["correct horse", "пароль из слов", "0123456789ab", "alice loves long passwords"]
        {
            assert_eq!(complaint(good, Some(good), "alice@acme"), None, "{good}");
        }
    }

    #[test]
    fn a_short_repeated_or_borrowed_password_is_not() {
        for bad in ["", "short", "aaaaaaaaaaaaaa", "alice@acme", "ALICE@Acme", "alicealice12"] {
            assert!(complaint(bad, None, "alice@acme").is_some(), "{bad}");
        }
        assert!(complaint(&"ab".repeat(600), None, "alice@acme").is_some());
        assert!(complaint("correct horse", Some("correct house"), "alice@acme").is_some());
    }
}
