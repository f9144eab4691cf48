//! A sidecar's proof of who it is: what it shows to the control plane's internal API with every request.
//!
//! Comes in: the key that the sidecar enrolled, and which of its processes asks. Goes out: a token of a minute at most,
//! made anew every half minute; on the other side, who has asked. Its type and its key are its own: it is never taken
//! for an access token or an assumed identity, nor one of those for it.

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::model::id::SidecarId;
use crate::token::jwk::PublicJwk;
use crate::token::jws;
use crate::token::keys::{KeyError, Purpose, Signer};
use crate::token::random::{self, NoRandomness, Secret};
use crate::token::verify::{BAD_CLAIMS, KeySet, Lasting, TokenRefused, read, signed_claims};

/// Makes proofs for one process of one sidecar.
pub struct Prover {
    signer: Signer,
    sidecar: SidecarId,
    instance: SidecarId,
    last: Mutex<Option<(Secret, i64)>>,
}

/// Who has proven to be whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven {
    /// The enrolled sidecar.
    pub sidecar: SidecarId,
    /// Which of its processes: the sidecar's name, a dot, and eight hexadecimal digits.
    pub instance: SidecarId,
}

/// Why there can be no proofs.
#[derive(Debug, thiserror::Error)]
pub enum NoProver {
    /// The key is none for proofs.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The machine gives no random bytes.
    #[error(transparent)]
    Random(#[from] NoRandomness),
    /// Too long to have processes named after it, or named like one.
    #[error(
        "the name {0} is too long for a sidecar, or ends like the name of a process; give it at most {LONGEST_NAME} characters"
    )]
    Name(SidecarId),
}

impl Prover {
    /// Proofs of `sidecar` by its enrolled key, for a process that is given a random name of its own.
    pub fn new(sidecar: SidecarId, signer: Signer) -> Result<Self, NoProver> {
        if signer.purpose() != Purpose::Sidecar {
            return Err(KeyError::NoKey(Purpose::Sidecar).into());
        }
        let mut bytes = [0; 4];
        random::fill(&mut bytes)?;
        let instance = format!("{sidecar}.{:08x}", u32::from_be_bytes(bytes));
        let instance = instance.parse().ok().filter(|_| fits(&sidecar));
        let instance = instance.ok_or_else(|| NoProver::Name(sidecar.clone()))?;
        Ok(Self { signer, sidecar, instance, last: Mutex::default() })
    }

    /// Whose proofs these are.
    #[must_use]
    pub fn sidecar(&self) -> &SidecarId {
        &self.sidecar
    }

    /// Which process's.
    #[must_use]
    pub fn instance(&self) -> &SidecarId {
        &self.instance
    }

    /// The key that is to be enrolled.
    #[must_use]
    pub fn public(&self) -> &PublicJwk {
        self.signer.public()
    }

    /// A proof that is good for half a minute at least. `now` in seconds since 1970.
    pub fn proof(&self, now: i64) -> Result<Secret, KeyError> {
        let mut last = self.last.lock();
        if let Some((proof, made)) = &*last
            && (*made..made.saturating_add(REUSED_SECONDS)).contains(&now)
        {
            return Ok(proof.clone());
        }
        let (sub, ins) = (self.sidecar.as_str(), self.instance.as_str());
        let claims = Claims { iss: sub, sub, ins, aud: AUDIENCE, iat: now, exp: now.saturating_add(SECONDS) };
        let proof = Secret::new(self.signer.sign(&claims)?);
        *last = Some((proof.clone(), now));
        Ok(proof)
    }
}

/// Whether a sidecar may have this name: its processes are named after it, and it is not named like one of another's.
#[must_use]
pub fn fits(sidecar: &SidecarId) -> bool {
    sidecar.as_str().len() <= LONGEST_NAME && sidecar.enrolment() == sidecar.as_str()
}

/// Whose proof it claims to be, to find the key that it is to be checked with. Nothing of it is believed yet.
#[must_use]
pub fn claimed(token: &str) -> Option<SidecarId> {
    #[derive(Deserialize)]
    struct Claimed {
        sub: SidecarId,
    }
    if token.len() > jws::LONGEST {
        return None;
    }
    let parts = jws::split(token)?;
    let header: jws::Header<'_> = serde_json::from_slice(&parts.header).ok()?;
    // Another kind of token is not looked into: it may be an application's.
    if header.typ.as_deref() != Some(Purpose::Sidecar.token_type()) {
        return None;
    }
    serde_json::from_slice::<Claimed>(&parts.claims).ok().map(|claimed| claimed.sub)
}

/// Checks a proof against the key that `sidecar` has enrolled. `now` in seconds since 1970; clocks may differ by half
/// a minute.
pub fn verify_proof(
    key: &PublicJwk,
    sidecar: &SidecarId,
    token: &str,
    now: i64,
) -> Result<Proven, TokenRefused> {
    let claims = signed_claims(&KeySet::new([key]), token, Purpose::Sidecar)?;
    let lasting: Lasting<'_> = read(&claims)?;
    lasting.check(sidecar.as_str(), |audience| (audience == AUDIENCE).then_some(()), now, SKEW_SECONDS)?;
    let Claims { sub, ins, iat, exp, .. } = read(&claims)?;
    let process = ins.strip_prefix(sidecar.as_str()).and_then(|rest| rest.strip_prefix('.'));
    let named = process.is_some_and(|word| word.len() == 8 && word.bytes().all(|b| b.is_ascii_hexdigit()));
    if sub != sidecar.as_str() || !named || exp.saturating_sub(iat) > SECONDS {
        return Err(BAD_CLAIMS);
    }
    Ok(Proven { sidecar: sidecar.clone(), instance: ins.parse().map_err(|_| BAD_CLAIMS)? })
}

#[derive(Serialize, Deserialize)]
struct Claims<'c> {
    iss: &'c str,
    sub: &'c str,
    /// The process.
    ins: &'c str,
    aud: &'c str,
    iat: i64,
    exp: i64,
}

const AUDIENCE: &str = "consentry-internal";
const SECONDS: i64 = 60;
const REUSED_SECONDS: i64 = 30;
const SKEW_SECONDS: i64 = 30;
/// What is left of an identifier beside a dot and eight digits.
const LONGEST_NAME: usize = 119;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::keys::generate;

    fn signer(purpose: Purpose) -> Signer {
        Signer::from_pkcs8(purpose, &generate(purpose).unwrap()).unwrap()
    }

    fn id(text: &str) -> SidecarId {
        text.parse().unwrap()
    }

    fn prover(name: &str) -> Prover {
        Prover::new(id(name), signer(Purpose::Sidecar)).unwrap()
    }

    #[test]
    fn a_proof_names_the_sidecar_and_its_process_and_is_made_anew_in_time() {
        let web = prover("web-1");
        let proof = web.proof(1000).unwrap();
        assert_eq!(claimed(proof.expose()), Some(id("web-1")));
        let proven = verify_proof(web.public(), &id("web-1"), proof.expose(), 1059).unwrap();
        assert_eq!((&proven.sidecar, &proven.instance), (web.sidecar(), web.instance()));
        assert_eq!(web.proof(1029).unwrap().expose(), proof.expose());
        assert_ne!(web.proof(1030).unwrap().expose(), proof.expose());
        assert_ne!(web.proof(999).unwrap().expose(), proof.expose(), "the clock was put back");
    }

    #[test]
    fn a_proof_is_refused_when_it_is_old_anothers_or_by_another_key() {
        let (web, other) = (prover("web-1"), prover("web-2"));
        let proof = web.proof(1000).unwrap();
        assert_eq!(
            verify_proof(web.public(), &id("web-1"), proof.expose(), 1090),
            Err(TokenRefused::Expired)
        );
        assert!(verify_proof(web.public(), &id("web-2"), proof.expose(), 1000).is_err());
        assert!(verify_proof(other.public(), &id("web-1"), proof.expose(), 1000).is_err());
        let foreign = r#"{"iss":"web-1","sub":"web-1","ins":"web-2.00000000","aud":"consentry-internal","iat":1000,"exp":1060}"#;
        let foreign: serde_json::Value = serde_json::from_str(foreign).unwrap();
        let signed = web.signer.sign(&foreign).unwrap();
        assert!(verify_proof(web.public(), &id("web-1"), &signed, 1000).is_err());
    }

    #[test]
    fn only_a_key_for_proofs_makes_them_and_it_signs_nothing_else() {
        for purpose in [Purpose::AccessToken, Purpose::Assertion] {
            let key = signer(purpose);
            let claims =
                serde_json::json!({"iss":"a","sub":"a","ins":"a.00000000","aud":AUDIENCE,"iat":1,"exp":2});
            let token = key.sign(&claims).unwrap();
            assert!(verify_proof(key.public(), &id("a"), &token, 1).is_err());
            assert!(Prover::new(id("a"), key).is_err());
        }
        let proof = prover("a");
        let keys = KeySet::new([proof.public()]);
        let token = proof.proof(1).unwrap();
        assert_eq!(
            claimed(&signer(Purpose::AccessToken).sign(&serde_json::json!({"sub":"a"})).unwrap()),
            None
        );
        assert!(signed_claims(&keys, token.expose(), Purpose::AccessToken).is_err());
        assert!(signed_claims(&keys, token.expose(), Purpose::Assertion).is_err());
    }

    #[test]
    fn a_name_leaves_room_for_its_processes() {
        assert!(fits(&id(&"a".repeat(119))) && !fits(&id(&"a".repeat(120))));
        assert!(Prover::new(id(&"a".repeat(120)), signer(Purpose::Sidecar)).is_err());
    }

    #[test]
    fn a_name_is_not_that_of_anothers_process() {
        assert!(fits(&id("web-1.eu")) && !fits(&id("web-1.0123abcd")));
    }
}
