//! AWS's answers (STS 2011-06-15), as its SDKs read them.

use std::fmt::Write;

use super::Operation;
use super::acs::moment;
use super::answer::{Identity, Told};
use crate::model::account::PrincipalKind;

/// `AssumeRole` and `AssumeRoleWithWebIdentity`.
pub(super) fn credentials(operation: Operation, who: &Identity<'_>, told: &Told<'_>) -> Option<String> {
    let mut result = Elements::default();
    result.open("Credentials");
    result.text("AccessKeyId", told.key_id);
    result.text("SecretAccessKey", told.secret);
    result.text("SessionToken", told.token);
    result.text("Expiration", &moment(told.expires_at)?);
    result.close("Credentials");
    result.open("AssumedRoleUser");
    result.text("AssumedRoleId", &told.role_id);
    result.text("Arn", &told.arn);
    result.close("AssumedRoleUser");
    if let Some(source) = told.source_identity {
        result.text("SourceIdentity", source);
    }
    let name = match operation {
        Operation::AssumeRole => "AssumeRole",
        Operation::WithToken => {
            result.text("SubjectFromWebIdentityToken", who.subject);
            result.text("Audience", who.application);
            result.text("Provider", who.issuer);
            "AssumeRoleWithWebIdentity"
        }
        Operation::GetCallerIdentity => return None,
    };
    Some(envelope(name, &result, who.id))
}

/// `GetCallerIdentity`.
pub(super) fn identity(who: &Identity<'_>) -> Option<String> {
    let (account, name) = (who.account, who.name);
    let arn = match who.kind {
        PrincipalKind::Account => format!("arn:aws:iam::{account}:root"),
        PrincipalKind::User => format!("arn:aws:iam::{account}:user/{name}"),
        PrincipalKind::Role => format!("arn:aws:iam::{account}:role/{name}"),
    };
    let mut result = Elements::default();
    result.text("Arn", &arn);
    result.text("UserId", who.number);
    result.text("Account", account.as_str());
    Some(envelope("GetCallerIdentity", &result, who.id))
}

fn envelope(name: &str, result: &Elements, id: &str) -> String {
    let mut whole =
        Elements(format!("<{name}Response xmlns=\"{NAMESPACE}\"><{name}Result>{}</{name}Result>", result.0));
    whole.open("ResponseMetadata");
    whole.text("RequestId", id);
    whole.close("ResponseMetadata");
    whole.close(&format!("{name}Response"));
    whole.0
}

/// XML without attributes, in which every text is a text.
#[derive(Default)]
struct Elements(String);

impl Elements {
    fn open(&mut self, name: &str) {
        // Writing to memory does not fail.
        let _ = write!(self.0, "<{name}>");
    }

    fn close(&mut self, name: &str) {
        let _ = write!(self.0, "</{name}>");
    }

    fn text(&mut self, name: &str, text: &str) {
        self.open(name);
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&apos;"),
                // Nothing else of the controls may stand in XML.
                c if c.is_control() => {}
                c => self.0.push(c),
            }
        }
        self.close(name);
    }
}

#[cfg(test)]
pub(super) fn tests_text(text: &str) -> String {
    let mut elements = Elements::default();
    elements.text("X", text);
    elements.0
}

const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";
