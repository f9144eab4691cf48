//! `HMAC-SHA1` as a request carries it: among its parameters (RPC), or in `Authorization` (ROA).
//!
//! The RPC style covers parameters and nothing else, so that what is done must be named by them; the ROA style covers a
//! body by its MD5 alone. Neither takes a body that it does not cover.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, header};
use md5::{Digest, Md5};

use super::{Head, Named, NotProven, Received, Signing, fresh, single};
use crate::net::body::Inbound;
use crate::net::canonical::{Canonical, Malformed};
use crate::token::random::{Secret, equal};
use crate::token::signature::{Parameter, Parts, acs1, parameters};

/// A signature of parameters.
#[derive(Debug)]
pub(in crate::sidecar) struct Rpc {
    pub(super) named: Named,
    pub(super) signed_at: i64,
    pub(super) nonce: String,
    signature: String,
}

/// A signature of headers.
#[derive(Debug)]
pub(in crate::sidecar) struct Roa {
    pub(super) named: Named,
    pub(super) signed_at: i64,
    pub(super) nonce: String,
    /// Whether it may be a mere look: nothing else tells such a request from the same one made again.
    pub(super) may_look: bool,
    /// The body's MD5.
    pub(super) body: [u8; 16],
    signature: String,
}

impl Rpc {
    /// The signature among the parameters of the query, and of the form where one is given; none if there is none.
    pub(super) fn read(head: &Head<'_>, form: Option<&Bytes>) -> Result<Option<Self>, NotProven> {
        let all = together(head.query.unwrap_or_default(), form)?;
        let one = |name: &str| all.iter().find(|(known, _)| known == name).map(|(_, value)| &**value);
        let Some(signature) = one(acs1::SIGNATURE) else { return Ok(None) };
        let must = |name: &'static str| one(name).ok_or(NotProven::Incomplete(name));
        // The string that is signed has no path in it.
        if !head.parameters.0.is_empty() {
            return Err(NotProven::Incomplete(
                "such a signature does not cover the path, which says here what is meant; sign with ACS3-HMAC-SHA256",
            ));
        }
        let nonce = must("SignatureNonce")?;
        if must("SignatureMethod")? != acs1::METHOD || must("SignatureVersion")? != "1.0" || nonce.is_empty()
        {
            return Err(NotProven::Incomplete(
                "only HMAC-SHA1 of version 1.0 with a SignatureNonce is taken",
            ));
        }
        Ok(Some(Self {
            named: Named {
                access_key_id: must("AccessKeyId")?.to_owned(),
                security_token: Secret::new(one("SecurityToken").ok_or(NotProven::UnknownKey)?.to_owned()),
            },
            signed_at: fresh::iso8601(must("Timestamp")?)?,
            nonce: nonce.to_owned(),
            signature: signature.to_owned(),
        }))
    }

    /// Whether it fits the request.
    pub(super) fn check(&self, signing: &Signing, received: &Received<'_>) -> Result<(), NotProven> {
        let form = received.body.filter(|body| !body.is_empty());
        if form.is_some() && !is_form(received.headers) {
            return Err(NotProven::Incomplete(
                "a body that is no form is not covered by it; sign with ACS3-HMAC-SHA256",
            ));
        }
        let all = together(received.uri.query().unwrap_or_default(), form)?;
        let named = |wanted: &str| all.iter().any(|(name, value)| name == wanted && !value.is_empty());
        if !named("Action") || !named("Version") {
            return Err(NotProven::Incomplete("Action and Version must be among the signed parameters"));
        }
        let signature = acs1::rpc_signature(signing.secret.expose(), received.method, &all);
        if equal(signature.as_bytes(), self.signature.as_bytes()) { Ok(()) } else { Err(NotProven::Wrong) }
    }
}

impl Roa {
    /// Reads what follows the scheme's name in `Authorization`.
    pub(super) fn read(text: &str, head: &Head<'_>) -> Result<Self, NotProven> {
        let headers = head.headers;
        let (id, signature) = text.trim().split_once(':').ok_or(NotProven::Incomplete("Authorization"))?;
        if single(headers, "x-acs-accesskey-id")?.is_some_and(|other| other != id) {
            return Err(NotProven::TwoCredentials);
        }
        let date = single(headers, "date")?.ok_or(NotProven::Incomplete("date"))?;
        let given = single(headers, "x-acs-signature-nonce")?.filter(|nonce| !nonce.is_empty());
        // Some clients send none. Then the signature itself tells a request from every other; but a client may well
        // look twice within a second, which changes nothing. Whether it only looks, the operation says in the end: it
        // may be named beside the path, and change something by whatever method.
        let looks = *head.method == Method::GET || *head.method == Method::HEAD;
        let may_look = given.is_none() && looks && !head.has_body;
        let nonce = given.unwrap_or(signature).to_owned();
        let token = single(headers, "x-acs-security-token")?.ok_or(NotProven::UnknownKey)?;
        let digest = match single(headers, CONTENT_MD5)? {
            Some(said) => STANDARD.decode(said).ok().and_then(|digest| digest.try_into().ok()),
            None if head.has_body => None,
            None => Some(md5(b"")),
        };
        Ok(Self {
            named: Named { access_key_id: id.to_owned(), security_token: Secret::new(token.to_owned()) },
            signed_at: fresh::http_date(date)?,
            nonce,
            may_look,
            body: digest.ok_or(NotProven::Incomplete(CONTENT_MD5))?,
            signature: signature.to_owned(),
        })
    }

    /// Whether it fits the request.
    pub(super) fn check(&self, signing: &Signing, received: &Received<'_>) -> Result<(), NotProven> {
        let query = received.uri.query().unwrap_or_default();
        if !acs1::is_plain_roa_query(query) {
            return Err(NotProven::Incomplete(
                "the query can be read in two ways; sign with ACS3-HMAC-SHA256",
            ));
        }
        let headers = covered(received.headers)?;
        let parts = Parts { method: received.method, path: received.uri.path(), query, headers: &headers };
        let fits = acs1::roa_fits(signing.secret.expose(), &parts, &self.signature);
        if fits { Ok(()) } else { Err(NotProven::Wrong) }
    }
}

/// The MD5 by which the ROA style covers a body.
pub(super) fn md5(body: &[u8]) -> [u8; 16] {
    Md5::digest(body).into()
}

/// All parameters. None may stand twice: the signature would not say which one counts.
fn together<'a>(query: &'a str, form: Option<&'a Bytes>) -> Result<Vec<Parameter<'a>>, NotProven> {
    let form = form
        .map_or(Ok(""), |form| std::str::from_utf8(form))
        .map_err(|_| NotProven::Incomplete("the form is no text"))?;
    let mut all = parameters(query);
    all.extend(parameters(form));
    let mut names: Vec<&str> = all.iter().map(|(name, _)| &**name).collect();
    names.sort_unstable();
    let twice = names.windows(2).any(|pair| matches!(pair, [a, b] if a == b));
    // Without a signature it is none of this scheme's business.
    if twice && names.binary_search(&acs1::SIGNATURE).is_ok() {
        return Err(NotProven::Incomplete("a parameter stands twice"));
    }
    Ok(all)
}

/// The headers that the ROA style covers, in order.
fn covered(headers: &HeaderMap) -> Result<Vec<(&str, &str)>, NotProven> {
    let mut names: Vec<&str> = headers.keys().map(|name| name.as_str()).collect();
    names.retain(|name| name.starts_with("x-acs-") || COVERED.contains(name));
    names.sort_unstable();
    names.into_iter().map(|name| Ok((name, single(headers, name)?.unwrap_or_default()))).collect()
}

/// Whether the query carries a signature, or a part of one that is nobody else's to see.
pub(super) fn is_signed_query(query: &str) -> bool {
    parameters(query).iter().any(|(name, _)| matches!(&**name, "Signature" | "AccessKeyId" | "SecurityToken"))
}

/// Whether the body is, or may be, a form.
pub(in crate::sidecar) fn may_be_form(headers: &HeaderMap) -> bool {
    !headers.contains_key(header::CONTENT_TYPE) || is_form(headers)
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map(http::HeaderValue::as_bytes).unwrap_or_default();
    let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    kind.eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
}

/// Takes the parameters that belong to a signature out of the query and the form.
pub(super) fn strip(
    request: &mut Request<Inbound>,
    canonical: Canonical,
    form: Option<&Bytes>,
) -> Result<Canonical, Malformed> {
    if let Some(form) = form.filter(|form| !form.is_empty()) {
        let pieces = form.split(|byte| *byte == b'&').filter(|piece| !belongs(piece));
        let kept: Vec<&[u8]> = pieces.collect();
        *request.body_mut() = Inbound::from(Bytes::from(kept.join(&b'&')));
    }
    canonical.without_parameters(|piece| belongs(piece.as_bytes()))
}

/// Whether a piece of a query or form, still encoded, belongs to a signature.
fn belongs(piece: &[u8]) -> bool {
    url::form_urlencoded::parse(piece).next().is_some_and(|(name, _)| SIGNING.contains(&&*name))
}

const SIGNING: [&str; 7] = [
    "Signature",
    "SignatureMethod",
    "SignatureNonce",
    "SignatureVersion",
    "SignatureType",
    "AccessKeyId",
    "SecurityToken",
];
const COVERED: [&str; 4] = ["accept", CONTENT_MD5, "content-type", "date"];
const CONTENT_MD5: &str = "content-md5";
