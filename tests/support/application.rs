//! The application's side of OAuth: builds authorization addresses and calls the issuer's endpoints.

use aws_lc_rs::{digest, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use url::Url;

use super::{Answer, Call, Page, post};

#[derive(Clone, Debug)]
pub(crate) struct Application {
    pub(crate) issuer: String,
    pub(crate) client_id: String,
    pub(crate) secret: Option<String>,
    pub(crate) redirect_uri: String,
    /// Every scope it may have.
    pub(crate) scopes: Vec<String>,
}

/// One authorization request and the secrets that belong to it.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) url: String,
    pub(crate) verifier: String,
    pub(crate) state: String,
    pub(crate) nonce: String,
}

#[derive(Clone, Debug)]
pub(crate) struct Tokens {
    pub(crate) access: String,
    pub(crate) refresh: String,
    pub(crate) id: String,
    pub(crate) scope: Vec<String>,
}

impl Application {
    /// A request for all its scopes.
    pub(crate) fn ask(&self) -> Attempt {
        self.ask_for(&self.scopes.join(" "), &[])
    }

    /// A request for these scopes; `changes` replace parameters, or remove those given as empty.
    pub(crate) fn ask_for(&self, scope: &str, changes: &[(&str, &str)]) -> Attempt {
        let (verifier, state, nonce) = (random(), random(), random());
        let challenge = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes()));
        let standard = [
            ("response_type", "code"),
            ("client_id", &self.client_id),
            ("redirect_uri", &self.redirect_uri),
            ("scope", scope),
            ("state", &state),
            ("nonce", &nonce),
            ("access_type", "offline"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        let mut url = Url::parse(&format!("{}/oauth2/v1/auth", self.issuer)).unwrap();
        let changed = |name: &str| changes.iter().any(|(key, _)| *key == name);
        url.query_pairs_mut()
            .extend_pairs(standard.iter().filter(|(name, _)| !changed(name)))
            .extend_pairs(changes.iter().filter(|(_, value)| !value.is_empty()));
        Attempt { url: url.into(), verifier, state, nonce }
    }

    /// The code that a page brought back; checks the state and the issuer (RFC 9207).
    #[track_caller]
    pub(crate) fn code(&self, attempt: &Attempt, page: &Page) -> String {
        let left = page.left();
        assert!(left.as_str().starts_with(&self.redirect_uri), "{left}");
        assert_eq!(page.returned("state").as_deref(), Some(attempt.state.as_str()), "{left}");
        assert_eq!(page.returned("iss").as_deref(), Some(self.issuer.as_str()), "{left}");
        page.returned("code").unwrap_or_else(|| panic!("no code: {left}"))
    }

    /// Exchanges a code.
    pub(crate) async fn redeem(&self, attempt: &Attempt, code: &str) -> Answer {
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.redirect_uri),
            ("code_verifier", &attempt.verifier),
        ];
        self.token(&fields).await
    }

    /// Exchanges the code that a page brought back, and expects tokens.
    pub(crate) async fn tokens(&self, attempt: &Attempt, page: &Page) -> Tokens {
        let code = self.code(attempt, page);
        Tokens::of(&self.redeem(attempt, &code).await.expect(200))
    }

    pub(crate) async fn refresh(&self, token: &str) -> Answer {
        self.token(&[("grant_type", "refresh_token"), ("refresh_token", token)]).await
    }

    pub(crate) async fn token(&self, fields: &[(&str, &str)]) -> Answer {
        self.post("/v1/token", fields).send().await
    }

    pub(crate) async fn revoke(&self, token: &str) -> Answer {
        self.post("/v1/revoke", &[("token", token)]).send().await
    }

    pub(crate) async fn introspect(&self, token: &str) -> Value {
        self.post("/v1/introspect", &[("token", token)]).send().await.expect(200)
    }

    /// A form to one of the issuer's endpoints with the application's own authentication.
    pub(crate) fn post(&self, path: &str, fields: &[(&str, &str)]) -> Call {
        let call = post(format!("{}{path}", self.issuer));
        match &self.secret {
            Some(secret) => call.form(fields).basic(&self.client_id, secret),
            None => call.form(&[fields, &[("client_id", &self.client_id)]].concat()),
        }
    }
}

impl Tokens {
    /// Reads a token response and checks what every one must say (RFC 6749 §5.1).
    #[track_caller]
    pub(crate) fn of(body: &Value) -> Self {
        assert_eq!(body["token_type"], "Bearer", "{body}");
        assert!(body["expires_in"].is_u64(), "a number, not a string: {body}");
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        let scope = text("scope").split(' ').map(str::to_owned).collect();
        Self { access: text("access_token"), refresh: text("refresh_token"), id: text("id_token"), scope }
    }
}

/// The claims of a JWT, unverified.
pub(crate) fn claims(token: &str) -> Value {
    part(token, 1)
}

/// The header of a JWT.
pub(crate) fn header(token: &str) -> Value {
    part(token, 0)
}

fn part(token: &str, number: usize) -> Value {
    let part = token.split('.').nth(number).unwrap_or_else(|| panic!("not a JWT: {token}"));
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// 32 random bytes in base64url.
pub(crate) fn random() -> String {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).unwrap();
    URL_SAFE_NO_PAD.encode(bytes)
}
