//! An organization's own OpenID provider, by which its people log in: `[[provider]]` in `control.toml`.
//!
//! Which accounts it may speak for stands here and nowhere else: whatever its claims say, it logs nobody in elsewhere.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use url::Url;

use super::file::ConfigError;
use super::is_this_machine;

/// A provider.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// Its name in addresses and in the audit: lower-case letters, digits and hyphens.
    pub name: String,
    /// What people see on its button; the name unless set.
    #[serde(default)]
    pub label: Option<String>,
    /// Its issuer, to the letter as its discovery document says it: `https`, or `http` on loopback.
    pub issuer: String,
    /// What it knows us as.
    pub client_id: String,
    /// The file that holds our secret there.
    #[serde(default)]
    pub client_secret_file: Option<PathBuf>,
    /// The variable of the environment that holds it, instead of a file. With neither we are a public client.
    #[serde(default)]
    pub client_secret_env: Option<String>,
    /// A certificate authority to trust instead of the system's, as a PEM file.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// What is asked for besides `openid`.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Whether claims are looked for at the userinfo endpoint too.
    #[serde(default)]
    pub userinfo: bool,
    /// The accounts that it may speak for, each by alias or number. At least one.
    pub accounts: Vec<String>,
    /// Which of them somebody belongs to, by a claim. Needed when there are several.
    #[serde(default)]
    pub account: Option<Mapped>,
    /// What becomes of somebody whom we see for the first time.
    #[serde(default)]
    pub users: Users,
    /// Which claims say who somebody is.
    #[serde(default)]
    pub claims: Claims,
    /// Groups here by the provider's words for them; without it, the groups' claim names groups as they are called
    /// here.
    #[serde(default)]
    pub groups: Option<BTreeMap<String, String>>,
    /// Who has full access (`AliyunRAMFullAccess`). Without it, the provider has no say in it.
    #[serde(default)]
    pub administrator: Option<Held>,
    /// Who may come in at all; everybody whom the provider logs in unless set.
    #[serde(default)]
    pub members: Option<Held>,
    /// With it people come in as roles, and no users are made: the names of roles here (`deploy` for `deploy@acme`)
    /// by the words of a claim.
    #[serde(default)]
    pub roles: Option<Mapped>,
    /// Whether everybody sees its button; otherwise only who names an account of it.
    #[serde(default = "yes")]
    pub button: bool,
    /// By how many seconds its clock and ours may differ, at most 60.
    #[serde(default = "thirty")]
    pub skew_seconds: u8,
}

/// What becomes of somebody whom we see for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Users {
    /// A user is made for them.
    Create,
    /// They are refused until an administrator has linked them to a user.
    #[default]
    Refuse,
}

/// Which claims say who somebody is.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Claims {
    /// What they are called in the account; of what looks like an e-mail address, the part before the `@`.
    pub login: String,
    /// The name that people see.
    pub name: String,
    /// Their groups. Without it, the provider has no say in them.
    pub groups: Option<String>,
}

impl Default for Claims {
    fn default() -> Self {
        Self { login: "preferred_username".to_owned(), name: "name".to_owned(), groups: None }
    }
}

/// A claim whose words stand for something here.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapped {
    /// The claim: a text, or a list of texts.
    pub claim: String,
    /// What its words stand for.
    pub values: BTreeMap<String, String>,
}

/// Something that holds for whoever has one of these words in a claim.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Held {
    /// The claim: a text, or a list of texts.
    pub claim: String,
    /// The words.
    pub values: Vec<String>,
}

/// A file of providers alone, for `consentry dev`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    provider: Vec<Provider>,
}

/// Reads a file that holds `[[provider]]` tables and nothing else.
///
/// # Errors
/// It cannot be read, or says something without meaning; the text names the place and the mend.
pub fn read(path: &Path) -> Result<Vec<Provider>, ConfigError> {
    let file: File = super::file::parse(path, &super::file::text(path)?)?;
    check(&file.provider, path)?;
    Ok(file.provider)
}

/// Whether all of them make sense, each and together.
pub(super) fn check(providers: &[Provider], path: &Path) -> Result<(), ConfigError> {
    for (index, provider) in providers.iter().enumerate() {
        if providers.iter().take(index).any(|earlier| earlier.name == provider.name) {
            return Err(ConfigError::whole(path, format!("two providers are called {}", provider.name)));
        }
        provider
            .check()
            .map_err(|why| ConfigError::whole(path, format!("provider {:?}: {why}", provider.name)))?;
    }
    Ok(())
}

impl Provider {
    /// What people see on its button.
    #[must_use]
    pub fn label(&self) -> &str {
        self.label.as_deref().unwrap_or(&self.name)
    }

    fn check(&self) -> Result<(), String> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if self.name.is_empty() || self.name.len() > 32 || !self.name.bytes().all(plain) {
            return Err("its name is 1 to 32 lower-case letters, digits and hyphens".to_owned());
        }
        self.check_issuer()?;
        if self.client_id.is_empty() {
            return Err("client_id is empty".to_owned());
        }
        if self.client_secret_file.is_some() && self.client_secret_env.is_some() {
            return Err("give client_secret_file or client_secret_env, not both".to_owned());
        }
        let token = |text: &str| {
            !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')
        };
        if !self.scopes.iter().all(|scope| token(scope)) {
            return Err("scopes holds one that is none (RFC 6749 section 3.3)".to_owned());
        }
        if self.skew_seconds > 60 {
            return Err(format!("skew_seconds is {}, but at most 60 is allowed", self.skew_seconds));
        }
        self.check_accounts()?;
        if self.roles.is_some() && (self.administrator.is_some() || self.claims.groups.is_some()) {
            return Err(
                "with roles nobody comes in as a user, so groups and administrator say nothing".to_owned()
            );
        }
        if self.groups.is_some() && self.claims.groups.is_none() {
            return Err(
                "groups says what groups stand for, but claims.groups does not say where they are".to_owned()
            );
        }
        Ok(())
    }

    fn check_issuer(&self) -> Result<(), String> {
        let url = Url::parse(&self.issuer).map_err(|error| format!("issuer is no URL: {error}"))?;
        if !fit(&url, true) || url.query().is_some() {
            return Err("issuer must be https (http on loopback only), without query and fragment".to_owned());
        }
        Ok(())
    }

    fn check_accounts(&self) -> Result<(), String> {
        if self.accounts.is_empty() {
            return Err("accounts is empty, so it may speak for nobody; name at least one".to_owned());
        }
        let Some(account) = &self.account else {
            if self.accounts.len() > 1 {
                return Err(
                    "it speaks for several accounts, so account must say which claim tells them apart"
                        .to_owned(),
                );
            }
            return Ok(());
        };
        match account.values.values().find(|name| !self.accounts.contains(name)) {
            None => Ok(()),
            Some(other) => Err(format!("account leads to {other:?}, which is not among its accounts")),
        }
    }
}

/// Whether a provider's address may be asked: `https`, or `http` on this machine where `loopback` allows it; nothing
/// that could be mistaken.
#[must_use]
pub fn fit(url: &Url, loopback: bool) -> bool {
    let safe = match url.scheme() {
        "https" => url.has_host(),
        scheme => scheme == "http" && loopback && is_this_machine(url),
    };
    let bare = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    safe && bare
}

fn yes() -> bool {
    true
}

fn thirty() -> u8 {
    30
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
[[provider]]
name = "acme-id"
issuer = "https://id.acme.example"
client_id = "consentry"
accounts = ["acme"]
"#;

    fn checked(text: &str) -> Result<Vec<Provider>, String> {
        let path = Path::new("control.toml");
        let file: File = super::super::file::parse(path, text).map_err(|error| error.to_string())?;
        check(&file.provider, path).map_err(|error| error.to_string())?;
        Ok(file.provider)
    }

    #[test]
    fn a_provider_needs_little_and_refuses_strangers_unless_told_otherwise() {
        let provider = checked(GOOD).unwrap().remove(0);
        assert_eq!((provider.label(), provider.users, provider.button), ("acme-id", Users::Refuse, true));
        assert_eq!(provider.claims.login, "preferred_username");
        let made = checked(&format!("{GOOD}users = \"create\"\n")).unwrap().remove(0);
        assert_eq!(made.users, Users::Create);
        checked(&GOOD.replace("https://id.acme.example", "http://127.0.0.1:4000")).unwrap();
    }

    #[test]
    fn a_provider_in_the_clear_without_accounts_or_with_a_way_around_them_is_refused() {
        for (from, to) in [
            ("https://", "http://"),
            ("id.acme.example", "id.acme.example?x"),
            ("id.acme.example", "user@id.acme.example"),
            ("[\"acme\"]", "[]"),
            ("[\"acme\"]", "[\"acme\", \"globex\"]"),
            ("[\"acme\"]", "[\"acme\"]\naccount = { claim = \"org\", values = { \"7\" = \"globex\" } }"),
            ("acme-id", "Acme/ID"),
            ("[\"acme\"]", "[\"acme\"]\nskew_seconds = 61"),
            ("[\"acme\"]", "[\"acme\"]\nclient_secret_file = \"a\"\nclient_secret_env = \"A\""),
            ("[\"acme\"]", "[\"acme\"]\ngroups = { a = \"b\" }"),
            ("[\"acme\"]", "[\"acme\"]\nclient_secret = \"hunter2\""),
        ] {
            let error = checked(&GOOD.replace(from, to)).unwrap_err();
            assert!(!error.contains("hunter2"), "{error}");
        }
        assert!(checked(&format!("{GOOD}{GOOD}")).unwrap_err().contains("two providers"));
    }
}
