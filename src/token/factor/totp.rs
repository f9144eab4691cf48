//! Codes of an authenticator (RFC 6238): six digits of SHA-1, a new one each 30 seconds.
//!
//! Comes in: the shared secret, a typed code and the time. Goes out: the step that the code is of, which the caller
//! takes once, so that a code seen over somebody's shoulder is worth nothing. One step before and after counts, for
//! clocks that differ.

use qrcode::QrCode;
use qrcode::render::svg;
use totp_rs::{Builder, Secret as Shared, Totp};
use zeroize::Zeroizing;

use super::super::random::{self, NoRandomness, Secret};

/// A secret shared with somebody's authenticator.
pub struct Authenticator(Totp);

/// The secret and its owner's name make no authenticator; a bug, or a damaged store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an authenticator's secret cannot be used; set it up again")]
pub struct Unusable;

/// A fresh secret: 160 bits (RFC 4226 section 4).
pub fn secret() -> Result<Zeroizing<Vec<u8>>, NoRandomness> {
    let mut bytes = Zeroizing::new(vec![0_u8; 20]);
    random::fill(&mut bytes)?;
    Ok(bytes)
}

impl Authenticator {
    /// `site` and `login` are what the authenticator shows.
    pub fn new(secret: &[u8], site: &str, login: &str) -> Result<Self, Unusable> {
        let built = Builder::new()
            .with_secret(Shared::new(secret.into()))
            .with_skew(1)
            .with_issuer(Some(site.replace(':', " ")))
            .with_account_name(login.replace(':', " "))
            .build();
        built.map(Self).map_err(|_| Unusable)
    }

    /// The step that a code typed at `now` (seconds since 1970) is of, if it is right.
    #[must_use]
    pub fn check(&self, code: &str, now: i64) -> Option<i64> {
        let digits: String = code.chars().filter(|c| !c.is_whitespace()).collect();
        if digits.len() != 6 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let step = self.0.check(&digits, u64::try_from(now).ok()?)?;
        i64::try_from(step).ok()
    }

    /// The secret as it is typed into an authenticator: base32 in groups of four.
    #[must_use]
    pub fn text(&self) -> Secret {
        let text = Zeroizing::new(self.0.secret().to_base32());
        let mut grouped = String::with_capacity(text.len() + text.len() / 4);
        for (at, c) in text.chars().enumerate() {
            if at > 0 && at % 4 == 0 {
                grouped.push(' ');
            }
            grouped.push(c);
        }
        Secret::new(grouped)
    }

    /// The address that an authenticator takes, `otpauth://totp/…`.
    pub fn address(&self) -> Result<Secret, Unusable> {
        self.0.to_url().map(Secret::new).map_err(|_| Unusable)
    }

    /// The address as a picture: an `svg` element, black on white.
    pub fn picture(&self) -> Result<Secret, Unusable> {
        let code = QrCode::new(self.address()?.expose().as_bytes()).map_err(|_| Unusable)?;
        let picture = Zeroizing::new(code.render::<svg::Color<'_>>().min_dimensions(220, 220).build());
        let (_, element) = picture.split_once("<svg ").ok_or(Unusable)?;
        Ok(Secret::new(format!("<svg role=\"img\" aria-label=\"QR code of the key below\" {element}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238, appendix B: the secret, and codes of eight digits of which the last six are ours.
    const RFC: &[u8] = b"12345678901234567890";

    fn theirs() -> Authenticator {
        Authenticator::new(RFC, "login.example", "alice@acme").unwrap()
    }

    #[test]
    fn the_codes_are_those_of_the_standard() {
        for (at, code) in [(59, "287082"), (1_111_111_109, "081804"), (2_000_000_000, "279037")] {
            assert_eq!(theirs().check(code, at), Some(at / 30), "{code}");
        }
    }

    #[test]
    fn a_code_of_the_step_before_or_after_counts_and_no_older_one() {
        assert_eq!(theirs().check("287082", 89), Some(1));
        assert_eq!(theirs().check("287 082", 1), Some(1));
        assert_eq!(theirs().check("287082", 120), None);
        for odd in ["", "28708", "2870820", "28708x", "２８７０８２"] {
            assert_eq!(theirs().check(odd, 59), None, "{odd}");
        }
    }

    #[test]
    fn an_authenticator_learns_the_secret_by_picture_or_by_hand() {
        let address = theirs().address().unwrap();
        assert!(
            address.expose().starts_with("otpauth://totp/login.example:alice%40acme?secret=GEZDGNBVGY3TQOJQ")
        );
        assert!(theirs().text().expose().starts_with("GEZD GNBV"));
        let picture = theirs().picture().unwrap();
        assert!(picture.expose().starts_with("<svg role=") && !picture.expose().contains("style"));
    }
}
