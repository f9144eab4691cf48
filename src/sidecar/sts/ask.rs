//! Asking a security token service: `AssumeRole` of either cloud, signed as each wants it.
//!
//! Comes in: what is asked. Goes out: credentials, within the time that the settings allow. An answer that is not
//! exactly what was asked for is none; what it says is told by its code alone.

use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use jiff::Timestamp;
use serde::Deserialize;

use super::credentials::{Credentials, source};
use super::{NoCredentials, sign};
use crate::config::sts::{self as settings, Cloud};
use crate::net::tls::{self, TlsError};
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

/// The way to the service.
pub(super) struct Asking {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    settings: settings::Sts,
    /// Scheme, host and port.
    endpoint: String,
    host: String,
}

impl Asking {
    pub(super) fn new(settings: &settings::Sts) -> Result<Self, TlsError> {
        let secure = settings.endpoint.scheme() == "https";
        let tls = if secure {
            tls::client_with(settings.ca.as_deref(), None)?
        } else {
            tls::client_in_the_clear()?
        };
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            // Workers have runtimes of their own, and a connection lives on that of the worker that opened it: none is
            // kept for the others.
            .pool_max_idle_per_host(0)
            .build(connector);
        let endpoint = settings.endpoint.as_str().trim_end_matches('/').to_owned();
        let host = endpoint.split_once("://").map_or("", |(_, host)| host).to_owned();
        Ok(Self { client, settings: settings.clone(), endpoint, host })
    }

    /// Asks for credentials. `now` in seconds since 1970.
    pub(super) async fn ask(&self, question: &Question, now: i64) -> Result<Credentials, NoCredentials> {
        let own = source(self.settings.cloud, self.settings.credentials_file.as_deref()).await?;
        let limit = Duration::from_millis(self.settings.timeout_ms);
        let late = || refused(format!("it did not answer within {} ms", limit.as_millis()));
        tokio::time::timeout(limit, self.exchange(question, &own, now)).await.unwrap_or_else(|_| Err(late()))
    }

    async fn exchange(
        &self,
        question: &Question,
        own: &Credentials,
        now: i64,
    ) -> Result<Credentials, NoCredentials> {
        let body = form(self.settings.cloud, question);
        let headers = self.headers(own, &body, now)?;
        // A connection that was kept may have been closed meanwhile; asking twice costs nothing but the second answer.
        let mut last = None;
        for _ in 0..2 {
            let mut request = Request::post(format!("{}/", self.endpoint))
                .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
                .map_err(|error| refused(error.to_string()))?;
            request.headers_mut().clone_from(&headers);
            match self.client.request(request).await {
                Err(error) => last = Some(refused(chain(&error))),
                Ok(answer) => {
                    let status = answer.status();
                    let body = Limited::new(answer.into_body(), LARGEST).collect().await;
                    let body = body.map_err(|error| refused(error.to_string()))?.to_bytes();
                    if status.is_success() {
                        return read(self.settings.cloud, &body, now);
                    }
                    return Err(refused(format!("{} {}", status.as_u16(), code(self.settings.cloud, &body))));
                }
            }
        }
        Err(last.unwrap_or_else(|| refused("it was not asked".to_owned())))
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
        debug_assert!(headers.contains_key(AUTHORIZATION));
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
    credentials: Given,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Given {
    access_key_id: String,
    access_key_secret: String,
    security_token: String,
    expiration: String,
}

fn read(cloud: Cloud, body: &[u8], now: i64) -> Result<Credentials, NoCredentials> {
    let given = match cloud {
        Cloud::Alibaba => serde_json::from_slice::<Answer>(body).ok().map(|answer| answer.credentials),
        Cloud::Aws => std::str::from_utf8(body).ok().and_then(given_in_xml),
    };
    let unreadable = || refused("its answer holds no credentials".to_owned());
    let given = given.ok_or_else(unreadable)?;
    let ends: Timestamp = given.expiration.parse().map_err(|_| unreadable())?;
    if ends.as_second() <= now || given.access_key_id.is_empty() || given.security_token.is_empty() {
        return Err(refused("its answer holds credentials that have ended".to_owned()));
    }
    Ok(Credentials {
        key_id: given.access_key_id,
        secret: Secret::new(given.access_key_secret),
        token: Some(Secret::new(given.security_token)),
        expires_at: ends.as_second(),
    })
}

fn given_in_xml(text: &str) -> Option<Given> {
    let credentials = element(text, "Credentials")?;
    Some(Given {
        access_key_id: plain(element(credentials, "AccessKeyId")?),
        access_key_secret: plain(element(credentials, "SecretAccessKey")?),
        security_token: plain(element(credentials, "SessionToken")?),
        expiration: plain(element(credentials, "Expiration")?),
    })
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

fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

const ACCEPT: HeaderName = http::header::ACCEPT;
const CONNECT: Duration = Duration::from_secs(2);
const LARGEST: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    const XML: &str = "<AssumeRoleResponse><AssumeRoleResult><Credentials><SessionToken>a&amp;b=</SessionToken>\
        <SecretAccessKey>s/+</SecretAccessKey><Expiration>2026-11-22T13:00:00Z</Expiration>\
        <AccessKeyId>ASIA1</AccessKeyId></Credentials></AssumeRoleResult></AssumeRoleResponse>";

    #[test]
    fn the_answers_of_both_clouds_are_read() {
        let of = |cloud, body: &str| {
            let got = read(cloud, body.as_bytes(), 1_700_000_000).unwrap();
            (got.key_id.clone(), got.secret.expose().to_owned(), got.token.unwrap().expose().to_owned())
        };
        assert_eq!(of(Cloud::Aws, XML), ("ASIA1".into(), "s/+".into(), "a&b=".into()));
        let json = r#"{"RequestId":"1","Credentials":{"AccessKeyId":"STS.1","AccessKeySecret":"s",
            "SecurityToken":"t","Expiration":"2026-11-22T13:00:00Z"}}"#;
        assert_eq!(of(Cloud::Alibaba, json), ("STS.1".into(), "s".into(), "t".into()));
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
