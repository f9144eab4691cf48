//! The credential: which application calls, for whom.
//!
//! Comes in: a request's headers. Goes out: a [`Known`] caller, whose token has been verified, now or before. A
//! token is remembered by its whole text; its end is looked at again each time, and a change of the signing keys
//! forgets them all. A token for this sidecar, or for one place of it, keeps that ([`place`]), and is good there alone.

mod place;
mod stranger;

use std::hash::{BuildHasher, DefaultHasher, Hasher, RandomState};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use moka::sync::Cache;

use super::assume::Prepared;
use super::record;
use super::refuse::Refusal;
use super::route::Route;
use super::seat::{Recent, Seat};
use super::signed::{AccessKeys, NotProven, Signing};
use crate::grants::Held;
use crate::grants::origin::{Origin, OriginError};
use crate::model::caller::Caller;
use crate::net::canonical::Canonical;
use crate::observe::line::Piece;
use crate::token::verify::{KeySet, TokenRefused, verify_access_token};
use place::Base;
pub(super) use place::Meant;
pub(super) use stranger::FORM;
use stranger::Strangers;

/// A caller whose token is good, with its last standing and its identities beside it.
pub(super) struct Known {
    /// Who calls.
    pub(super) caller: Arc<Caller>,
    /// Its last standing.
    pub(super) held: Held,
    /// What upstreams have been shown of it.
    pub(super) prepared: Prepared,
    /// What records say of it.
    pub(super) recorded: Piece,
    /// What it signs with, where the token is that of an exchanged credential.
    pub(super) signing: Option<Signing>,
    /// Where it is good.
    meant: Meant,
    token: Arc<str>,
    keys: u64,
}

/// The tokens' gate.
pub(super) struct Tokens {
    known: Cache<Arc<str>, Arc<Known>, BySignature>,
    keys: ArcSwap<KeySet>,
    generation: AtomicU64,
    exchanged: AccessKeys,
    origin: Arc<dyn Origin>,
    issuer: String,
    base: Base,
    strangers: Strangers,
}

impl Tokens {
    /// A gate without keys yet: it refuses every token until [`Tokens::refresh_keys`] has succeeded.
    pub(super) fn new(origin: Arc<dyn Origin>, issuer: String, public_url: &str, capacity: u64) -> Self {
        Self {
            known: Cache::builder().max_capacity(capacity).build_with_hasher(BySignature::default()),
            keys: ArcSwap::default(),
            generation: AtomicU64::new(0),
            exchanged: AccessKeys::new(capacity),
            origin,
            issuer,
            base: Base::new(public_url),
            strangers: Strangers::default(),
        }
    }

    /// Reads the issuer's keys anew. If there are others, every token is verified again afterwards. Answers whether a key is gone that
    /// tokens were good by: then what rests on such a token has to end.
    pub(super) async fn refresh_keys(&self) -> Result<bool, OriginError> {
        let jwks = self.origin.keys().await?;
        let keys = KeySet::parse(&jwks).map_err(|error| OriginError(error.to_string()))?;
        // Before the keys, so that whoever finds a key finds its secret.
        self.exchanged.take_secrets(self.origin.exchange_secrets().await?);
        Ok(self.take_keys(keys))
    }

    fn take_keys(&self, keys: KeySet) -> bool {
        // Most changes of keys are another sidecar's own: they are no reason to verify every token again.
        if keys.is_same(&self.keys.load()) {
            return false;
        }
        let keys = Arc::new(keys);
        let earlier = self.keys.swap(Arc::clone(&keys));
        self.generation.fetch_add(1, Ordering::SeqCst);
        keys.lacks_token_key_of(&earlier)
    }

    /// Whether a caller's token is good by the keys of this very moment. To be asked once the caller's standing has
    /// been given: a key that is withdrawn later ends the standing.
    pub(super) fn still(&self, known: &Known, now: i64) -> Result<(), Refusal> {
        if known.keys == self.generation.load(Ordering::SeqCst) {
            return Ok(());
        }
        match known.signing {
            None => self.remembered_or_verified(known.token.as_bytes(), now).map(drop),
            Some(_) => self.exchanged(&known.token, now).map(drop),
        }
    }

    /// Whether a caller's token is good for a call of this route, at this very moment.
    pub(super) fn hold(
        &self,
        known: &Known,
        (route, canonical, headers): (&Route, &Canonical, &HeaderMap),
        now: i64,
    ) -> Result<(), Refusal> {
        // Something may have been waited for since it was found good.
        if now >= known.caller.expires_at {
            return Err(match known.signing {
                None => Refusal::TokenExpired,
                Some(_) => NotProven::Expired.into(),
            });
        }
        let call = (canonical, route.goes_by_host());
        if let Some(why) = self.base.refuses(&known.meant, call, headers) {
            return Err(match known.signing {
                None => Refusal::TokenInvalid(why),
                Some(_) => NotProven::Token(why).into(),
            });
        }
        self.still(known, now)
    }

    /// Whether there is any key to verify with.
    pub(super) fn has_keys(&self) -> bool {
        !self.keys.load().is_empty()
    }

    /// The caller at hand at this worker whose bearer token stands in this `Authorization`, the request's only one. `now` in
    /// seconds since 1970.
    pub(super) fn at_hand(
        &self,
        recent: &Recent,
        authorization: Option<&HeaderValue>,
        now: i64,
    ) -> Option<Rc<Seat>> {
        let seat = recent.get(standard(authorization?.as_bytes()).ok()?, self.generation())?;
        (now < seat.known.caller.expires_at).then_some(seat)
    }

    /// The caller that the request's bearer token proves (RFC 6750 §2.1). With `acs`, the token may stand in
    /// `x-acs-bearer-token` instead. `now` in seconds since 1970. Also answers whether the caller was at hand.
    pub(super) fn identify(
        &self,
        recent: &Recent,
        headers: &HeaderMap,
        acs: bool,
        now: i64,
    ) -> Result<(Rc<Seat>, bool), Refusal> {
        let token = bearer(headers, acs)?;
        let at_hand = recent.get(token, self.generation.load(Ordering::SeqCst));
        let (seat, at_hand) = match at_hand {
            Some(seat) => (seat, true),
            None => (recent.put(self.remembered_or_verified(token, now)?), false),
        };
        if now < seat.known.caller.expires_at { Ok((seat, at_hand)) } else { Err(Refusal::TokenExpired) }
    }

    /// The caller of an access token that was shown otherwise than as a bearer token. `now` in seconds since 1970. Also
    /// answers whether the caller was at hand.
    pub(super) fn presented(
        &self,
        recent: &Recent,
        token: &str,
        now: i64,
    ) -> Result<(Rc<Seat>, bool), Refusal> {
        let (seat, at_hand) = match recent.get(token.as_bytes(), self.generation()) {
            Some(seat) => (seat, true),
            None => (recent.put(self.remembered_or_verified(token.as_bytes(), now)?), false),
        };
        if now < seat.known.caller.expires_at { Ok((seat, at_hand)) } else { Err(Refusal::TokenExpired) }
    }

    fn remembered_or_verified(&self, token: &[u8], now: i64) -> Result<Arc<Known>, Refusal> {
        let token = std::str::from_utf8(token)
            .map_err(|_| Refusal::TokenInvalid("the credential is no text".to_owned()))?;
        let generation = self.generation.load(Ordering::SeqCst);
        if let Some(known) = self.known.get(token).filter(|known| known.keys == generation) {
            return Ok(known);
        }
        // What is remembered was looked at when it came first.
        if !is_shaped(token) {
            return Err(Refusal::TokenInvalid("the credential is not a bearer token".to_owned()));
        }
        if !self.has_keys() {
            return Err(Refusal::Unavailable(
                "this sidecar has no keys yet to verify tokens with".to_owned(),
            ));
        }
        let meant = |audience: &str| self.meant(audience);
        let (caller, meant) =
            verify_access_token(&self.keys.load(), token, &self.issuer, meant, now, Self::SKEW_SECONDS)
                .map_err(|refused| match refused {
                    TokenRefused::Expired => Refusal::TokenExpired,
                    TokenRefused::UnknownKey | TokenRefused::Invalid(_) => {
                        Refusal::TokenInvalid(refused.to_string())
                    }
                })?;
        if now >= caller.expires_at {
            return Err(Refusal::TokenExpired);
        }
        let known = Arc::new(Known::new(caller, meant, Arc::from(token), generation, None));
        self.known.insert(Arc::clone(&known.token), Arc::clone(&known));
        Ok(known)
    }

    /// What `audience` (RFC 8707) is here, if anything. What is meant for the issuer is meant for all sidecars, and nothing
    /// else is.
    pub(super) fn meant(&self, audience: &str) -> Option<Meant> {
        if audience == self.issuer { Some(Meant::Everywhere) } else { self.base.meant(audience) }
    }

    pub(super) fn keys(&self) -> Arc<KeySet> {
        self.keys.load_full()
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    pub(super) fn access_keys(&self) -> &AccessKeys {
        &self.exchanged
    }

    /// Those who have proven nothing yet.
    pub(super) fn strangers(&self) -> &Strangers {
        &self.strangers
    }

    pub(super) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// By how much this machine's clock and the issuer's may differ, for a token that is "not valid yet".
    pub(super) const SKEW_SECONDS: i64 = 30;
}

impl Known {
    pub(super) fn new(
        caller: Caller,
        meant: Meant,
        token: Arc<str>,
        keys: u64,
        signing: Option<Signing>,
    ) -> Self {
        let recorded = record::caller(&caller);
        let (caller, held, prepared) = (Arc::new(caller), Held::default(), Prepared::default());
        Self { caller, held, prepared, recorded, signing, meant, token, keys }
    }

    /// Whether it is the caller with this token, verified with `keys`.
    pub(super) fn is(&self, token: &[u8], keys: u64) -> bool {
        self.token() == token && self.keys == keys
    }

    pub(super) fn token(&self) -> &[u8] {
        self.token.as_bytes()
    }

    /// Whether the token is good wherever the issuer's are, and not narrowed to a sidecar or to a place of one.
    pub(super) fn is_for_everything(&self) -> bool {
        match self.meant {
            Meant::Everywhere => true,
            Meant::Here | Meant::There(_) => false,
        }
    }
}

/// Hashes a token by its end alone. Only verified tokens are remembered, so that this is the end of a signature,
/// which nobody can choose; tokens are still compared whole.
#[derive(Clone, Default)]
pub(super) struct BySignature(RandomState);

pub(super) struct End(DefaultHasher);

impl BuildHasher for BySignature {
    type Hasher = End;

    fn build_hasher(&self) -> End {
        End(self.0.build_hasher())
    }
}

impl Hasher for End {
    fn write(&mut self, bytes: &[u8]) {
        let end = bytes.len().saturating_sub(END);
        self.0.write(bytes.get(end..).unwrap_or_default());
    }

    fn finish(&self) -> u64 {
        self.0.finish()
    }
}

/// The one bearer token of the request. Its characters have not been looked at.
fn bearer(headers: &HeaderMap, acs: bool) -> Result<&[u8], Refusal> {
    let standard = single(headers, &header::AUTHORIZATION)?.map(standard);
    let own = if acs { single(headers, &ACS_BEARER)? } else { None };
    match (standard.transpose()?, own) {
        (Some(a), Some(b)) if a != b => {
            Err(Refusal::TokenInvalid("the request carries two different tokens".to_owned()))
        }
        (Some(token), _) | (None, Some(token)) => Ok(token),
        (None, None) => Err(Refusal::NoCredential),
    }
}

/// The bearer token in the value of `Authorization`.
fn standard(value: &[u8]) -> Result<&[u8], Refusal> {
    let scheme = value.iter().position(|byte| *byte == b' ').unwrap_or(value.len());
    let (scheme, token) = value.split_at_checked(scheme).unwrap_or((value, &[]));
    if scheme.eq_ignore_ascii_case(b"bearer") { Ok(unpadded(token)) } else { Err(Refusal::NoCredential) }
}

/// Without the spaces around it.
fn unpadded(mut text: &[u8]) -> &[u8] {
    while let [b' ', rest @ ..] | [rest @ .., b' '] = text {
        text = rest;
    }
    text
}

/// Whether the text can be a bearer token (RFC 6750 §2.1, `b64token`).
fn is_shaped(token: &str) -> bool {
    let shaped = |byte: u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'=')
    };
    !token.is_empty() && token.bytes().all(shaped)
}

/// The one value of a header. (Headers are few: looking through them is quicker than working out where one would be.)
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a [u8]>, Refusal> {
    let mut values = headers.iter().filter(|(known, _)| *known == name).map(|(_, value)| value);
    let Some(value) = values.next() else { return Ok(None) };
    match values.next() {
        None => Ok(Some(value.as_bytes())),
        Some(_) => Err(Refusal::TokenInvalid("the credential is given twice".to_owned())),
    }
}

const ACS_BEARER: HeaderName = HeaderName::from_static("x-acs-bearer-token");

/// 192 bits of a signature in base64url.
const END: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grants::origin::OwnKey;
    use crate::model::account::PrincipalKey;
    use crate::model::grant::Installed;
    use crate::model::id::GrantKey;
    use crate::model::member::Member;
    use async_trait::async_trait;

    struct Silent;

    #[async_trait]
    impl Origin for Silent {
        async fn installed(&self, _: &GrantKey) -> Result<Option<Installed>, OriginError> {
            Err(OriginError("silent".to_owned()))
        }

        async fn member(&self, _: &GrantKey, _: &PrincipalKey) -> Result<Option<Member>, OriginError> {
            Err(OriginError("silent".to_owned()))
        }

        async fn keys(&self) -> Result<String, OriginError> {
            Err(OriginError("silent".to_owned()))
        }

        async fn publish_key(&self, _: &OwnKey) -> Result<(), OriginError> {
            Err(OriginError("silent".to_owned()))
        }
    }

    /// A worker that has seen this token, and a gate that would know no other.
    fn seen(token: &str) -> (Recent, Tokens) {
        let caller = Caller {
            application: "4611686018427387904".parse().unwrap(),
            principal: serde_json::from_str(r#"{"account":"1","kind":"user","id":"2"}"#).unwrap(),
            subject: "s".to_owned(),
            scopes: "openid".parse().unwrap(),
            revision: serde_json::from_str("1").unwrap(),
            family: "f".parse().unwrap(),
            expires_at: 100,
        };
        let recent = Recent::default();
        recent.put(Arc::new(Known::new(caller, Meant::Everywhere, Arc::from(token), 0, None)));
        (recent, Tokens::new(Arc::new(Silent), "https://a.example".to_owned(), "https://b.example", 8))
    }

    #[test]
    fn a_caller_at_hand_is_known_until_its_token_ends() {
        let (recent, tokens) = seen("a.b.same-end");
        let carried = headers(&[("authorization", "Bearer a.b.same-end")]);
        assert!(tokens.identify(&recent, &carried, false, 99).is_ok());
        let late = tokens.identify(&recent, &carried, false, 100);
        assert!(matches!(late, Err(Refusal::TokenExpired)));
    }

    #[test]
    fn no_other_token_and_no_other_keys_make_a_caller_at_hand() {
        let (recent, tokens) = seen("a.b.same-end");
        for other in ["Bearer a.c.same-end", "Bearer same-end", "Bearer a.b.same-ene"] {
            let refused = tokens.identify(&recent, &headers(&[("authorization", other)]), false, 99);
            assert!(matches!(refused, Err(Refusal::Unavailable(_))), "{other}");
        }
        tokens.generation.fetch_add(1, Ordering::SeqCst);
        let carried = headers(&[("authorization", "Bearer a.b.same-end")]);
        assert!(matches!(tokens.identify(&recent, &carried, false, 99), Err(Refusal::Unavailable(_))));
    }

    #[test]
    fn only_what_is_meant_for_the_issuer_is_for_everything() {
        let (_, tokens) = seen("a.b.c");
        let is_for_everything = |audience: &str| {
            let (recent, _) = seen("a.b.c");
            let caller = recent.get(b"a.b.c", 0).unwrap().known.caller.as_ref().clone();
            let meant = tokens.meant(audience).unwrap();
            Known::new(caller, meant, Arc::from("a.b.c"), 0, None).is_for_everything()
        };
        assert!(is_for_everything("https://a.example"));
        for one in ["https://b.example", "https://b.example/", "https://b.example/oss"] {
            assert!(!is_for_everything(one), "{one}");
        }
        assert_eq!(tokens.meant("https://a.example/"), None, "it is no name of the issuer");
    }

    #[test]
    fn a_credential_that_is_no_text_is_refused_before_anything_is_asked_of_it() {
        let (recent, tokens) = seen("a.b.same-end");
        let mut carried = HeaderMap::new();
        carried.insert(header::AUTHORIZATION, HeaderValue::from_bytes(b"Bearer a.b\xff.same-end").unwrap());
        let refused = tokens.identify(&recent, &carried, false, 99);
        assert!(matches!(refused, Err(Refusal::TokenInvalid(_))));
    }

    #[test]
    fn only_other_keys_make_tokens_be_verified_again_and_only_a_missing_one_ends_what_rests_on_them() {
        use crate::token::keys::{Purpose, Signer, generate};

        let (_, tokens) = seen("a.b.c");
        let new =
            || Signer::from_pkcs8(Purpose::AccessToken, &generate(Purpose::AccessToken).unwrap()).unwrap();
        let (one, two) = (new(), new());
        for (keys, generation, ends) in [
            (vec![one.public()], 1, false),
            (vec![one.public()], 1, false),
            (vec![one.public(), two.public()], 2, false),
            (vec![two.public()], 3, true),
        ] {
            assert_eq!(tokens.take_keys(KeySet::new(keys)), ends, "{generation}");
            assert_eq!(tokens.generation.load(Ordering::SeqCst), generation);
        }
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().fold(HeaderMap::new(), |mut headers, (name, value)| {
            headers.append(*name, HeaderValue::from_static(value));
            headers
        })
    }

    #[test]
    fn a_bearer_token_is_found_where_it_may_stand() {
        assert_eq!(bearer(&headers(&[("authorization", "bearer a.b-c")]), false).ok(), Some(&b"a.b-c"[..]));
        assert_eq!(bearer(&headers(&[("x-acs-bearer-token", "t")]), true).ok(), Some(&b"t"[..]));
        let both = headers(&[("authorization", "Bearer t"), ("x-acs-bearer-token", "t")]);
        assert_eq!(bearer(&both, true).ok(), Some(&b"t"[..]));
        assert!(is_shaped("a.b-c"));
    }

    #[test]
    fn what_is_not_exactly_one_bearer_token_is_refused() {
        for (pairs, acs) in [
            (vec![], true),
            (vec![("x-acs-bearer-token", "t")], false),
            (vec![("authorization", "Basic dDp0")], false),
            (vec![("authorization", "Bearer ")], false),
            (vec![("authorization", "Bearer a b")], false),
            (vec![("authorization", "Bearer a"), ("authorization", "Bearer a")], false),
            (vec![("authorization", "Bearer a"), ("x-acs-bearer-token", "b")], true),
        ] {
            let headers = headers(&pairs);
            let token = bearer(&headers, acs).map(|token| std::str::from_utf8(token).unwrap());
            assert!(token.is_err() || token.is_ok_and(|token| !is_shaped(token)), "{pairs:?}");
        }
    }
}
