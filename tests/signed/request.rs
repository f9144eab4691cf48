//! A request that is signed as the cloud signs, with a key that an access token was exchanged for, and what an attacker
//! would make of it.

use aws_lc_rs::hmac;
use consentry::token::signature::{Parts, acs3};
use jiff::Timestamp;
use serde_json::Value;

use super::{exchange, now};
use crate::support::application::{Tokens, random};
use crate::support::{Call, World, post};

/// What an access token is exchanged for.
#[derive(Clone)]
pub(crate) struct Key {
    pub(super) id: String,
    pub(super) secret: String,
    pub(super) token: String,
}

impl Key {
    pub(crate) async fn of(world: &World, tokens: &Tokens) -> Self {
        Self::from(&exchange(&world.issuer, &tokens.access).await)
    }

    pub(crate) fn from(given: &Value) -> Self {
        let text = |name: &str| given[name].as_str().unwrap().to_owned();
        Self { id: text("accessKeyId"), secret: text("accessKeySecret"), token: text("securityToken") }
    }
}

/// A request of ours, signed as the cloud's third signature has it, and what is changed before and after.
#[derive(Clone)]
pub(crate) struct Signed {
    key: Key,
    target: String,
    headers: Vec<(String, String)>,
    body: String,
    unsigned: Vec<String>,
    after: Vec<(String, String)>,
    target_after: Option<String>,
    body_after: Option<String>,
}

impl Signed {
    pub(crate) fn new(key: &Key, action: &str) -> Self {
        let headers = [
            ("x-acs-action", action),
            ("x-acs-version", "2014-05-26"),
            ("x-acs-signature-nonce", &random()),
            ("x-acs-security-token", &key.token),
        ];
        Self {
            key: key.clone(),
            target: "/".to_owned(),
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
            body: String::new(),
            unsigned: Vec::new(),
            after: Vec::new(),
            target_after: None,
            body_after: None,
        }
        .at(0)
    }

    pub(super) fn at(self, seconds: i64) -> Self {
        let at = Timestamp::from_second(now().as_second() + seconds).unwrap();
        self.without("x-acs-date").header("x-acs-date", &at.to_string())
    }

    pub(crate) fn to(mut self, target: &str) -> Self {
        self.target = target.to_owned();
        self
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(super) fn body(mut self, body: &str) -> Self {
        self.body = body.to_owned();
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self
    }

    pub(super) fn signing_less(mut self, name: &str) -> Self {
        self.unsigned.push(name.to_owned());
        self
    }

    /// Once it was signed.
    pub(super) fn then(mut self, name: &str, value: &str) -> Self {
        self.after.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(super) fn then_to(mut self, target: &str) -> Self {
        self.target_after = Some(target.to_owned());
        self
    }

    pub(super) fn then_body(mut self, body: &str) -> Self {
        self.body_after = Some(body.to_owned());
        self
    }

    pub(crate) fn call(self, sidecar: &str) -> Call {
        self.call_to(sidecar, sidecar)
    }

    /// What was signed for the first address, sent to the second.
    pub(super) fn call_to(self, sidecar: &str, other: &str) -> Call {
        let sent = self.sent(sidecar);
        let call = post(format!("{other}{}", sent.target)).body(sent.body);
        sent.headers.into_iter().fold(call, |call, (name, value)| call.header(&name, value))
    }

    pub(super) fn sent(self, sidecar: &str) -> Sent {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, self.body.as_bytes());
        let body = consentry::token::signature::hex(digest.as_ref());
        let mut headers = self.headers.clone();
        headers.push(("x-acs-content-sha256".to_owned(), body.clone()));
        headers.push(("host".to_owned(), sidecar.trim_start_matches("http://").to_owned()));
        headers.sort();
        let signed: Vec<(&str, &str)> = headers
            .iter()
            .filter(|(name, _)| !self.unsigned.contains(name))
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        let parts = Parts { method: "POST", path, query, headers: &signed };
        let key: hmac::Key = acs3::key(&self.key.secret);
        let signature = acs3::signature(&key, &parts, &body);
        let authorization = acs3::authorization(&self.key.id, &parts, &signature);
        headers.retain(|(name, _)| self.after.iter().all(|(other, _)| other != name));
        headers.push(("authorization".to_owned(), authorization));
        headers.extend(self.after);
        let (target, body) = (self.target_after.unwrap_or(self.target), self.body_after.unwrap_or(self.body));
        Sent { target, headers, body }
    }
}

/// A request as it is sent.
pub(super) struct Sent {
    pub(super) target: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
}
