//! An authenticator made of software, for tests: it makes passkeys and answers with them as a browser would.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// One passkey.
pub(crate) struct Soft {
    key: EcdsaKeyPair,
    pub(crate) id: Vec<u8>,
    handle: Option<String>,
    counter: u32,
    /// What it says of where it is.
    pub(crate) origin: String,
    /// Whether its user proves to be there by finger or PIN.
    pub(crate) verifies: bool,
}

impl Soft {
    pub(crate) fn new(origin: &str, id: u8) -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        Self { key, id: vec![id; 32], handle: None, counter: 0, origin: origin.to_owned(), verifies: true }
    }

    /// Answers `navigator.credentials.create`.
    pub(crate) fn make(&mut self, options: &str) -> String {
        let options: Value = serde_json::from_str(options).unwrap();
        let asked = &options["publicKey"];
        self.handle = Some(asked["user"]["id"].as_str().unwrap().to_owned());
        let client = self.client("webauthn.create", asked);
        let mut data = self.data(0x40);
        data.extend([0; 16]);
        data.extend(u16::try_from(self.id.len()).unwrap().to_be_bytes());
        data.extend(&self.id);
        let point = self.key.public_key().as_ref();
        // {1: 2, 3: -7, -1: 1, -2: x, -3: y} (RFC 9053 section 7.1.1)
        data.extend([0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20]);
        data.extend(&point[1..33]);
        data.extend([0x22, 0x58, 0x20]);
        data.extend(&point[33..]);
        // {"fmt": "none", "attStmt": {}, "authData": data}
        let mut object = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x59".to_vec();
        object.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        object.extend(data);
        let id = text(&self.id);
        let response =
            json!({ "attestationObject": text(&object), "clientDataJSON": text(client.as_bytes()) });
        json!({ "id": id, "rawId": id, "type": "public-key", "response": response }).to_string()
    }

    /// Answers `navigator.credentials.get`.
    pub(crate) fn answer(&mut self, options: &str) -> String {
        let options: Value = serde_json::from_str(options).unwrap();
        let client = self.client("webauthn.get", &options["publicKey"]);
        self.counter += 1;
        let data = self.data(0);
        let mut signed = data.clone();
        signed.extend(digest(&SHA256, client.as_bytes()).as_ref());
        let signature = self.key.sign(&SystemRandom::new(), &signed).unwrap();
        let id = text(&self.id);
        let response = json!({ "authenticatorData": text(&data), "clientDataJSON": text(client.as_bytes()),
            "signature": text(signature.as_ref()), "userHandle": self.handle });
        json!({ "id": id, "rawId": id, "type": "public-key", "response": response }).to_string()
    }

    fn client(&self, kind: &str, asked: &Value) -> String {
        json!({ "type": kind, "challenge": asked["challenge"], "origin": self.origin, "crossOrigin": false })
            .to_string()
    }

    fn data(&self, more: u8) -> Vec<u8> {
        let host = self.origin.parse::<url::Url>().unwrap().host_str().unwrap().to_owned();
        let mut data = digest(&SHA256, host.as_bytes()).as_ref().to_vec();
        data.push(0x01 | if self.verifies { 0x04 } else { 0 } | more);
        data.extend(self.counter.to_be_bytes());
        data
    }
}

fn text(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
