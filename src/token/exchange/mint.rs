//! Making an exchanged credential. Whether it may be made was decided before.

use serde::Serialize;

use super::{Exchanged, LONGEST, PREFIX};
use crate::token::issue::{AccessClaims, AccessToken, NotIssued};
use crate::token::keys::{KeyError, Purpose, Signer};
use crate::token::random::{self, NoRandomness, Secret};

/// An exchanged credential about to be made.
pub struct NewCredential<'a> {
    /// What its security token says, as the access token would. Its `seconds` are cut to [`LONGEST`].
    pub token: AccessToken<'a>,
}

#[derive(Serialize)]
struct Claims<'a> {
    #[serde(flatten)]
    access: AccessClaims<'a>,
    akid: &'a str,
}

impl NewCredential<'_> {
    /// Makes it with the issuer's key for exchanges. `now` in seconds since 1970.
    ///
    /// # Errors
    /// [`NotIssued`]: also for a key of any other purpose.
    pub fn mint(self, signer: &Signer, now: i64) -> Result<Exchanged, NotIssued> {
        let secret = signer.exchange_secret().ok_or(KeyError::NoKey(Purpose::Exchange))?;
        let token = AccessToken { seconds: self.token.seconds.min(LONGEST), ..self.token };
        let (jti, access_key_id) = (random::identifier()?, access_key_id()?);
        let access = token.claims(&jti, now);
        let expires_at = access.exp;
        let security_token = Secret::new(signer.sign(&Claims { access, akid: &access_key_id })?);
        let access_key_secret = secret.access_key_secret(&access_key_id);
        Ok(Exchanged { access_key_id, access_key_secret, security_token, expires_at })
    }
}

/// A new access key id: as the cloud's, with more than 140 random bits.
fn access_key_id() -> Result<String, NoRandomness> {
    let mut id = String::from(PREFIX);
    let mut bytes = [0_u8; 32];
    while id.len() < PREFIX.len() + RANDOM {
        random::fill(&mut bytes)?;
        // Bytes beyond the last whole multiple are passed over, so that no character is likelier than another.
        let fair = bytes.iter().filter_map(|byte| ALPHABET.get(usize::from(*byte) & 0x3f));
        id.extend(fair.take(PREFIX.len() + RANDOM - id.len()).map(|byte| char::from(*byte)));
    }
    Ok(id)
}

const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const RANDOM: usize = 24;
