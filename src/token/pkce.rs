//! Proof Key for Code Exchange (RFC 7636), S256 only: who redeems a code is who asked for it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::random::{equal, sha256};

/// Whether the text can be an S256 challenge: the base64url form of 32 bytes.
#[must_use]
pub fn is_challenge(text: &str) -> bool {
    text.len() == 43 && URL_SAFE_NO_PAD.decode(text).is_ok()
}

/// The challenge of a verifier (RFC 7636 §4.2).
#[must_use]
pub fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(sha256(verifier.as_bytes()))
}

/// Whether `verifier` is well formed (RFC 7636 §4.1: 43 to 128 unreserved characters) and is what `challenge`
/// was made of.
#[must_use]
pub fn proves(verifier: &str, challenge: &str) -> bool {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    (43..=128).contains(&verifier.len())
        && verifier.bytes().all(unreserved)
        && equal(self::challenge(verifier).as_bytes(), challenge.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    #[test]
    fn the_verifier_of_rfc_7636_proves_its_challenge() {
        assert!(is_challenge(CHALLENGE));
        assert!(proves(VERIFIER, CHALLENGE));
    }

    #[test]
    fn another_verifier_the_challenge_itself_and_bad_shapes_prove_nothing() {
        assert!(!proves(&VERIFIER.replace('d', "e"), CHALLENGE));
        assert!(!proves(CHALLENGE, CHALLENGE));
        for verifier in ["short", &"x".repeat(129), &format!("{}+", "x".repeat(43))] {
            assert!(!proves(verifier, &challenge(verifier)), "{verifier:?} was taken");
        }
        for text in ["", "plain", &format!("{CHALLENGE}="), &CHALLENGE.replace('E', "+")] {
            assert!(!is_challenge(text), "{text:?} was taken");
        }
    }
}
