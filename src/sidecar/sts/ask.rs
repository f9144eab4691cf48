//! Asking a security token service: `AssumeRole` of either cloud, signed as each wants it.
//!
//! Comes in: what is asked. Goes out: credentials, within the time that the settings allow. An answer that is not
//! exactly what was asked for is none; what it says is told by its code alone.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderValue};
use jiff::Timestamp;
use serde::Deserialize;

use super::credentials::{Credentials, source};
use super::{NoCredentials, sign};
use crate::config::sts::{self as settings, Cloud};
use crate::net::ask::{Ask, NoWay};
use crate::token::random::Secret;
use crate::token::signature::encode;

/// What is asked.
pub(super) struct Question {
    /// The role's ARN.
    pub(super) role: String,
    pub(super) session_name: String,
    pub(super) source_identity: String,
    /// The session policy.
    pub(super) policy: String,
    pub(super) seconds: u32,
}

/// What was given.
pub(super) struct Given {
    pub(super) credentials: Credentials,
    /// Whom the service says they are of, if it does.
    pub(super) assumed: Option<Assumed>,
}

/// A role's session, in the service's words.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::sidecar) struct Assumed {
    /// The session's ARN.
    pub(in crate::sidecar) arn: String,
    /// The role's id and the session's name.
    pub(in crate::sidecar) assumed_role_id: String,
}

/// The way to the service.
pub(super) struct Asking {
    ask: Ask,
    settings: settings::Sts,
    host: String,
}

impl Asking {
    pub(super) fn new(settings: &settings::Sts) -> Result<Self, NoWay> {
        let within = Duration::from_millis(settings.timeout_ms);
        let ask = Ask::new(&settings.endpoint, settings.ca.as_deref(), settings.allow_local, within)?;
        let endpoint = settings.endpoint.as_str().trim_end_matches('/');
        let host = endpoint.split_once("://").map_or("", |(_, host)| host).to_owned();
        Ok(Self { ask, settings: settings.clone(), host })
    }

    /// Asks for credentials. `now` in seconds since 1970.
    pub(super) async fn ask(&self, question: &Question, now: i64) -> Result<Given, NoCredentials> {
        let cloud = self.settings.cloud;
        let own = source(cloud, self.settings.credentials_file.as_deref()).await?;
        let body = form(cloud, question);
        let headers = self.headers(&own, &body, now)?;
        let answer = self.ask.post_with(headers, Bytes::from(body)).await;
        let (status, body) = answer.map_err(|why| refused(why.to_string()))?;
        if status.is_success() {
            read(cloud, &body, now)
        } else {
            Err(refused(format!("{} {}", status.as_u16(), code(cloud, &body))))
        }
    }

    fn headers(&self, own: &Credentials, body: &str, now: i64) -> Result<HeaderMap, NoCredentials> {
        let mut headers = HeaderMap::new();
        let host = HeaderValue::from_str(&self.host).map_err(|error| refused(error.to_string()))?;
        headers.insert(HOST, host);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        let place = sign::Place { method: "POST", path: "/", query: None };
        let signed = match self.settings.cloud {
            Cloud::Aws => {
                let region = self.settings.region.as_deref().unwrap_or_default();
                sign::aws(&mut headers, place, ("sts", region), own, body.as_bytes(), now)
            }
            Cloud::Alibaba => {
                headers.insert(sign::ACS_ACTION, HeaderValue::from_static("AssumeRole"));
                headers.insert(sign::ACS_VERSION, HeaderValue::from_static("2015-04-01"));
                sign::acs(&mut headers, place, own, body.as_bytes(), now)
            }
        };
        signed.map_err(|error| refused(error.to_string()))?;
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/xml"));
        Ok(headers)
    }
}

fn form(cloud: Cloud, question: &Question) -> String {
    let seconds = question.seconds.to_string();
    let mut form = match cloud {
        Cloud::Aws => "Action=AssumeRole&Version=2011-06-15".to_owned(),
        Cloud::Alibaba => String::new(),
    };
    for (name, value) in [
        ("RoleArn", question.role.as_str()),
        ("RoleSessionName", &question.session_name),
        ("SourceIdentity", &question.source_identity),
        ("Policy", &question.policy),
        ("DurationSeconds", &seconds),
    ] {
        if !form.is_empty() {
            form.push('&');
        }
        form.push_str(name);
        form.push('=');
        // Spelled as the clouds' own clients do: who verifies may read the form and write it anew.
        encode(value, &mut form);
    }
    form
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    credentials: Told,
    #[serde(default)]
    assumed_role_user: Option<Assumed>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Told {
    access_key_id: String,
    access_key_secret: String,
    security_token: String,
    expiration: String,
}

fn read(cloud: Cloud, body: &[u8], now: i64) -> Result<Given, NoCredentials> {
    let answer = match cloud {
        Cloud::Alibaba => serde_json::from_slice::<Answer>(body).ok(),
        Cloud::Aws => std::str::from_utf8(body).ok().and_then(answer_in_xml),
    };
    let unreadable = || refused("its answer holds no credentials".to_owned());
    let Answer { credentials: told, assumed_role_user: assumed } = answer.ok_or_else(unreadable)?;
    let ends: Timestamp = told.expiration.parse().map_err(|_| unreadable())?;
    if ends.as_second() <= now || told.access_key_id.is_empty() || told.security_token.is_empty() {
        return Err(refused("its answer holds credentials that have ended".to_owned()));
    }
    let credentials = Credentials {
        key_id: told.access_key_id,
        secret: Secret::new(told.access_key_secret),
        token: Some(Secret::new(told.security_token)),
        expires_at: ends.as_second(),
    };
    Ok(Given { credentials, assumed })
}

fn answer_in_xml(text: &str) -> Option<Answer> {
    let credentials = element(text, "Credentials")?;
    let credentials = Told {
        access_key_id: plain(element(credentials, "AccessKeyId")?),
        access_key_secret: plain(element(credentials, "SecretAccessKey")?),
        security_token: plain(element(credentials, "SessionToken")?),
        expiration: plain(element(credentials, "Expiration")?),
    };
    let assumed_role_user = element(text, "AssumedRoleUser").and_then(|user| {
        let (arn, id) = (element(user, "Arn")?, element(user, "AssumedRoleId")?);
        Some(Assumed { arn: plain(arn), assumed_role_id: plain(id) })
    });
    Some(Answer { credentials, assumed_role_user })
}

/// What stands in the only element of this name. (The answers are flat and have no attributes there: a whole XML
/// parser would know no more.)
fn element<'x>(text: &'x str, name: &str) -> Option<&'x str> {
    let (begin, end) = (format!("<{name}>"), format!("</{name}>"));
    let (_, behind) = text.split_once(&begin)?;
    let (inner, rest) = behind.split_once(&end)?;
    (!rest.contains(&begin) && !inner.contains(&begin)).then_some(inner)
}

fn plain(text: &str) -> String {
    let text = text.trim().replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"");
    text.replace("&apos;", "'").replace("&amp;", "&")
}

/// The error's code alone: its text may repeat what was asked.
fn code(cloud: Cloud, body: &[u8]) -> String {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Failed {
        code: String,
    }
    let text = std::str::from_utf8(body).unwrap_or_default();
    let code = match cloud {
        Cloud::Alibaba => serde_json::from_str::<Failed>(text).ok().map(|failed| failed.code),
        Cloud::Aws => element(text, "Code").map(str::to_owned),
    };
    let known = |c: &char| c.is_ascii_alphanumeric() || *c == '.';
    code.unwrap_or_default().chars().filter(known).take(64).collect()
}

fn refused(why: String) -> NoCredentials {
    NoCredentials::Refused(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    const XML: &str = "<AssumeRoleResponse><AssumeRoleResult><Credentials><SessionToken>a&amp;b=</SessionToken>\
        <SecretAccessKey>s/+</SecretAccessKey><Expiration>2026-11-22T13:00:00Z</Expiration>\
        <AccessKeyId>ASIA1</AccessKeyId></Credentials></AssumeRoleResult></AssumeRoleResponse>";

    #[test]
    fn the_answers_of_both_clouds_are_read() {
        let of = |cloud, body: &str| {
            let got = read(cloud, body.as_bytes(), 1_700_000_000).unwrap().credentials;
            (got.key_id.clone(), got.secret.expose().to_owned(), got.token.unwrap().expose().to_owned())
        };
        assert_eq!(of(Cloud::Aws, XML), ("ASIA1".into(), "s/+".into(), "a&b=".into()));
        let json = r#"{"RequestId":"1","Credentials":{"AccessKeyId":"STS.1","AccessKeySecret":"s",
            "SecurityToken":"t","Expiration":"2026-11-22T13:00:00Z"}}"#;
        assert_eq!(of(Cloud::Alibaba, json), ("STS.1".into(), "s".into(), "t".into()));
    }

    #[test]
    fn whom_the_service_says_they_are_of_is_read_where_it_does() {
        let of = |cloud, body: &str| read(cloud, body.as_bytes(), 1_700_000_000).unwrap().assumed;
        assert_eq!(of(Cloud::Aws, XML), None);
        let user = "<AssumedRoleUser><Arn>arn:aws:sts::1:assumed-role/r/s</Arn><AssumedRoleId>A:s</AssumedRoleId></AssumedRoleUser>";
        let assumed =
            of(Cloud::Aws, &XML.replace("</AssumeRoleResult>", &format!("{user}</AssumeRoleResult>")))
                .unwrap();
        assert_eq!((&*assumed.arn, &*assumed.assumed_role_id), ("arn:aws:sts::1:assumed-role/r/s", "A:s"));
    }

    #[test]
    fn an_answer_that_is_not_exactly_one_is_none() {
        for body in [
            "",
            "<Credentials></Credentials>",
            &XML.replace("ASIA1", ""),
            &XML.replace("2026", "2016"),
            &XML.replace("</Credentials>", "<AccessKeyId>B</AccessKeyId></Credentials>"),
            &format!("{XML}{XML}"),
        ] {
            assert!(read(Cloud::Aws, body.as_bytes(), 1_700_000_000).is_err(), "{body}");
        }
    }

    #[test]
    fn of_a_failure_only_the_code_is_told() {
        let xml = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>User: x</Message></Error></ErrorResponse>";
        assert_eq!(code(Cloud::Aws, xml.as_bytes()), "AccessDenied");
        assert_eq!(code(Cloud::Alibaba, br#"{"Code":"NoPermission","Message":"x"}"#), "NoPermission");
        assert_eq!(code(Cloud::Aws, b"<html>"), "");
    }
}
