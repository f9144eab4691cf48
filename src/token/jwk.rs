//! Public keys as the world reads them: JSON Web Keys (RFC 7517, 8037), named by their thumbprint (RFC 7638).
//!
//! Besides the standard members a key carries `consentry_purpose`: what its signatures may be taken for. Readers
//! that do not know it pass it over (RFC 7517 §4); ours refuse a key without it.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::keys::{Algorithm, Purpose};
use super::random::sha256;

/// A public key. One that exists is consistent: its type fits its purpose, and its `kid` is its thumbprint, so
/// that no two different keys ever share a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicJwk {
    kid: String,
    purpose: Purpose,
    material: Material,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Material {
    Ed25519 { x: Vec<u8> },
    P256 { x: Vec<u8>, y: Vec<u8> },
    Rsa { n: Vec<u8>, e: Vec<u8> },
}

/// Why a text is not a public key of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is not a public key that can be used here: {0}")]
pub struct BadKey(&'static str);

impl PublicJwk {
    pub(super) fn new(purpose: Purpose, material: Material) -> Self {
        Self { kid: thumbprint(&material), purpose, material }
    }

    /// Reads a JWK. Refused when it carries a private half, when it names no purpose or another algorithm than
    /// its purpose has, and when its `kid` is not its thumbprint.
    pub fn parse(json: &str) -> Result<Self, BadKey> {
        let wire: Wire = serde_json::from_str(json).map_err(|_| BadKey("it is not a JSON Web Key"))?;
        Self::from_wire(&wire)
    }

    pub(super) fn from_wire(wire: &Wire) -> Result<Self, BadKey> {
        if wire.d.is_some() {
            return Err(BadKey("it holds a private half; publish the public one only"));
        }
        let purpose: Purpose = wire
            .consentry_purpose
            .as_deref()
            .and_then(|word| word.parse().ok())
            .ok_or(BadKey("it names no purpose that is known here"))?;
        let algorithm = purpose.algorithm();
        if wire.alg.as_deref() != Some(algorithm.as_str()) {
            return Err(BadKey("its algorithm is not that of its purpose"));
        }
        let material = wire.material(algorithm)?;
        if wire.kid.as_deref() != Some(thumbprint(&material).as_str()) {
            return Err(BadKey("its kid is not its thumbprint (RFC 7638)"));
        }
        let key = Self::new(purpose, material);
        key.verifier()?;
        Ok(key)
    }

    /// Its name: its thumbprint.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// What its signatures may be taken for.
    #[must_use]
    pub fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// The JWK as JSON, as the store keeps it and the key set holds it.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(&self.to_wire()).unwrap_or_default()
    }

    pub(super) fn to_wire(&self) -> Wire {
        let mut wire = Wire {
            kid: Some(self.kid.clone()),
            alg: Some(self.purpose.algorithm().as_str().to_owned()),
            usage: Some("sig".to_owned()),
            consentry_purpose: Some(self.purpose.as_str().to_owned()),
            ..Wire::default()
        };
        let encode = |bytes: &[u8]| Some(URL_SAFE_NO_PAD.encode(bytes));
        match &self.material {
            Material::Ed25519 { x } => {
                (wire.kty, wire.crv, wire.x) = ("OKP".to_owned(), Some("Ed25519".to_owned()), encode(x));
            }
            Material::P256 { x, y } => {
                (wire.kty, wire.crv) = ("EC".to_owned(), Some("P-256".to_owned()));
                (wire.x, wire.y) = (encode(x), encode(y));
            }
            Material::Rsa { n, e } => (wire.kty, wire.n, wire.e) = ("RSA".to_owned(), encode(n), encode(e)),
        }
        wire
    }

    /// The key, parsed once for any number of checks.
    pub(super) fn verifier(&self) -> Result<ParsedPublicKey, BadKey> {
        let parsed = match &self.material {
            Material::Ed25519 { x } => ParsedPublicKey::new(&ED25519, x),
            Material::P256 { x, y } => {
                let point: Vec<u8> = [&[4_u8], x.as_slice(), y.as_slice()].concat();
                ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
            }
            Material::Rsa { n, e } => {
                RsaPublicKeyComponents { n, e }.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
            }
        };
        parsed.map_err(|_| BadKey("its numbers are not a key"))
    }
}

/// A JWK as it is written. Members that are not listed are passed over.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub(super) struct Wire {
    kty: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    crv: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    x: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    y: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    n: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    e: Option<String>,
    #[serde(skip_serializing)]
    d: Option<serde::de::IgnoredAny>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alg: Option<String>,
    #[serde(rename = "use", skip_serializing_if = "Option::is_none")]
    usage: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    consentry_purpose: Option<String>,
}

impl Wire {
    fn material(&self, algorithm: Algorithm) -> Result<Material, BadKey> {
        let fits = |kty: &str, crv: Option<&str>| self.kty == kty && self.crv.as_deref() == crv;
        match algorithm {
            Algorithm::EdDsa if fits("OKP", Some("Ed25519")) => {
                Ok(Material::Ed25519 { x: number(self.x.as_deref(), 32..=32)? })
            }
            Algorithm::Es256 if fits("EC", Some("P-256")) => Ok(Material::P256 {
                x: number(self.x.as_deref(), 32..=32)?,
                y: number(self.y.as_deref(), 32..=32)?,
            }),
            Algorithm::Rs256 if fits("RSA", None) => Ok(Material::Rsa {
                n: number(self.n.as_deref(), 256..=1024)?,
                e: number(self.e.as_deref(), 1..=4)?,
            }),
            Algorithm::EdDsa | Algorithm::Es256 | Algorithm::Rs256 => {
                Err(BadKey("its type does not fit its algorithm"))
            }
        }
    }
}

fn number(text: Option<&str>, bytes: std::ops::RangeInclusive<usize>) -> Result<Vec<u8>, BadKey> {
    text.and_then(|text| URL_SAFE_NO_PAD.decode(text).ok())
        .filter(|decoded| bytes.contains(&decoded.len()))
        .ok_or(BadKey("one of its numbers is missing or has a wrong length"))
}

/// RFC 7638 §3: SHA-256 over the required members, in order, without spaces.
fn thumbprint(material: &Material) -> String {
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let members = match material {
        Material::Ed25519 { x } => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, encode(x)),
        Material::P256 { x, y } => {
            format!(r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#, encode(x), encode(y))
        }
        Material::Rsa { n, e } => format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, encode(e), encode(n)),
    };
    encode(&sha256(members.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::keys::{Signer, generate};

    #[test]
    fn the_thumbprint_is_that_of_rfc_8037() {
        let x = URL_SAFE_NO_PAD.decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
        assert_eq!(thumbprint(&Material::Ed25519 { x }), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn every_key_is_read_back_as_written_and_jsonwebtoken_names_it_alike() {
        for purpose in Purpose::ALL {
            let signer = Signer::from_pkcs8(purpose, &generate(purpose).unwrap()).unwrap();
            let json = signer.public().to_json();
            assert_eq!(PublicJwk::parse(&json).unwrap(), *signer.public());
            let theirs: jsonwebtoken::jwk::Jwk = serde_json::from_str(&json).unwrap();
            let name = theirs.thumbprint(jsonwebtoken::jwk::ThumbprintHash::SHA256).unwrap();
            assert_eq!(name, signer.kid());
        }
    }

    #[test]
    fn a_key_under_a_borrowed_name_purpose_or_algorithm_is_refused() {
        let of =
            |purpose| Signer::from_pkcs8(purpose, &generate(purpose).unwrap()).unwrap().public().to_json();
        let good: serde_json::Value = serde_json::from_str(&of(Purpose::Assertion)).unwrap();
        let other: serde_json::Value = serde_json::from_str(&of(Purpose::AccessToken)).unwrap();
        for (member, value) in [
            ("kid", other["kid"].clone()),
            ("alg", "ES256".into()),
            ("alg", "none".into()),
            ("kty", "EC".into()),
            ("x", "AAAA".into()),
            ("consentry_purpose", "everything".into()),
            ("consentry_purpose", serde_json::Value::Null),
            ("d", other["x"].clone()),
        ] {
            let mut bad = good.clone();
            bad[member] = value;
            assert!(PublicJwk::parse(&bad.to_string()).is_err(), "{member} was taken: {bad}");
        }
        assert!(PublicJwk::parse(&good.to_string()).is_ok());
    }
}
