//! Recovery codes: 80 random bits each, written so that they can be typed from paper.

use super::super::random::{NoRandomness, Secret, fill, sha256};

/// How many are made at once.
pub const CODES: usize = 10;

/// Fresh codes, to be shown once.
pub fn fresh() -> Result<Vec<Secret>, NoRandomness> {
    (0..CODES).map(|_| one()).collect()
}

/// What is kept of a code. How it was typed makes no difference: letter case, spaces and dashes.
#[must_use]
pub fn hash(typed: &str) -> [u8; 32] {
    let plain: String = typed.chars().filter(char::is_ascii_alphanumeric).collect();
    sha256(format!("recovery code {}", plain.to_ascii_lowercase()).as_bytes())
}

/// Whether what was typed is as long as a recovery code: anything else is a code of an authenticator.
#[must_use]
pub fn is_one(typed: &str) -> bool {
    typed.chars().filter(char::is_ascii_alphanumeric).count() == 16
}

fn one() -> Result<Secret, NoRandomness> {
    let mut bytes = zeroize::Zeroizing::new([0_u8; 16]);
    fill(bytes.as_mut_slice())?;
    let mut text = String::new();
    for (at, byte) in bytes.iter().enumerate() {
        if at > 0 && at % 4 == 0 {
            text.push('-');
        }
        let digit = ALPHABET.get(usize::from(byte % 32)).copied().unwrap_or(b'0');
        text.push(char::from(digit));
    }
    Ok(Secret::new(text))
}

/// No letter looks like a digit or another letter; 32 of them, so that a byte's last five bits choose evenly.
const ALPHABET: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz023456789";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_known_again_however_it_is_typed() {
        let code = fresh().unwrap().remove(0);
        let typed = code.expose().replace('-', " ").to_uppercase();
        assert!(is_one(&typed), "{typed}");
        assert_eq!(hash(&typed), hash(code.expose()));
    }

    #[test]
    fn every_code_is_another_and_none_is_an_authenticators() {
        let codes = fresh().unwrap();
        let all: std::collections::BTreeSet<_> = codes.iter().map(|code| hash(code.expose())).collect();
        assert_eq!((codes.len(), all.len()), (CODES, CODES));
        assert!(!is_one("123456") && !is_one(""));
    }
}
