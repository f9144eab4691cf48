//! What a person can try in `consentry dev`, step by step, with real addresses and ids: on the terminal, and on the
//! demo application's page at the upstream's `/callback`, where the browser brings the code.
//!
//! The application that is played is `desk-cli`: a native one has no secret, and its loopback redirect address may
//! have any port. Its PKCE verifier is a fixed text so that it can stand in a command; a real application makes a
//! fresh one each time.

use std::fmt::Write as _;

use url::Url;
use url::form_urlencoded;

use super::ready::Ready;
use crate::token::pkce;

/// Everything that the steps name.
#[derive(Debug, Clone)]
pub struct Walkthrough {
    issuer: String,
    sidecar: String,
    client_id: String,
    redirect_uri: String,
    /// Logins and passwords of somebody of the account, and of an administrator.
    user: (String, String),
    administrator: (String, String),
    api_token: String,
}

impl Walkthrough {
    /// From the ready file; none when it has not the people and the application for it.
    #[must_use]
    pub fn new(ready: &Ready) -> Option<Self> {
        let application = ready.applications.iter().find(|one| one.name == "desk-cli")?;
        let account = ready.accounts.first()?;
        let login = |administrator| {
            let mut people = account.principals.iter().rev();
            let one = people.find(|one| one.administrator == administrator)?;
            Some((one.login.clone(), one.password.clone()))
        };
        Some(Self {
            issuer: ready.issuer.clone(),
            sidecar: ready.sidecar.clone(),
            client_id: application.client_id.to_string(),
            redirect_uri: format!("{}/callback", ready.upstream),
            user: login(false)?,
            administrator: login(true)?,
            api_token: account.api_token.clone(),
        })
    }

    /// The steps, for the terminal.
    #[must_use]
    pub fn text(&self) -> String {
        let Self { user: (user, user_password), administrator: (admin, admin_password), .. } = self;
        let mut out = String::new();
        let _ = writeln!(
            out,
            "\nTry it: the application Desk CLI wants to act for the people of this account.\n"
        );
        let _ = writeln!(out, "1. Open this in a browser:\n\n   {}\n", self.authorize_url());
        let _ = writeln!(out, "   Log in as {user}, password {user_password}.");
        let _ = writeln!(out, "   Refused: nobody has authorized the application yet, and a user may not.\n");
        let _ =
            writeln!(out, "2. Open it in a private window. Log in as {admin}, password {admin_password}.");
        let _ = writeln!(
            out,
            "   Choose /acs/ecs, leave /acs/alidns out, and authorize. The page that follows gets"
        );
        let _ =
            writeln!(out, "   you a token. (Open step 1 again: {user} is let in now, and asked nothing.)\n");
        let _ = writeln!(out, "With TOKEN set as that page says:\n");
        for (number, (title, command, outcome)) in (3..).zip(self.commands()) {
            let _ = writeln!(out, "{number}. {title}\n\n   {command}\n\n   {outcome}\n");
        }
        out
    }

    /// The page at the redirect address: what came back, and the commands that go on from there.
    #[must_use]
    pub fn page(&self, query: &str) -> String {
        let given = |name: &str| {
            form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value)
        };
        let mut main = String::new();
        if let Some(code) = given("code").filter(|code| code.bytes().all(is_unreserved)) {
            main.push_str(
                "<h1>Desk CLI got a code</h1><p>It is good once, for a minute. Get a token for it:</p>",
            );
            let _ = write!(main, "<pre>{}</pre><p>Then:</p><ol>", escaped(&self.exchange(&code)));
            for (title, command, outcome) in self.commands() {
                let (command, outcome) = (escaped(&command), escaped(outcome));
                let _ = write!(main, "<li>{title}<pre>{command}</pre>{outcome}</li>");
            }
            main.push_str("</ol>");
        } else {
            let why = given("error_description").or_else(|| given("error"));
            let why = why.unwrap_or_else(|| "nothing; open the address that the terminal shows".into());
            let _ = write!(main, "<h1>Desk CLI got no code</h1><p>The answer was: {}</p>", escaped(&why));
        }
        format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Desk CLI</title><style>{STYLE}</style>\
             <main>{main}</main></html>"
        )
    }

    fn authorize_url(&self) -> String {
        let parameters = [
            ("response_type", "code"),
            ("client_id", &self.client_id),
            ("redirect_uri", &self.redirect_uri),
            ("scope", "openid aliuid /acs/ecs /acs/alidns"),
            ("state", "demo"),
            ("code_challenge", &pkce::challenge(VERIFIER)),
            ("code_challenge_method", "S256"),
        ];
        let endpoint = format!("{}/oauth2/v1/auth", self.issuer);
        Url::parse_with_params(&endpoint, parameters).map_or(endpoint, String::from)
    }

    fn exchange(&self, code: &str) -> String {
        let Self { issuer, client_id, redirect_uri, .. } = self;
        format!(
            "TOKEN=$(curl -s {issuer}/v1/token -d grant_type=authorization_code -d client_id={client_id} \
             -d redirect_uri={redirect_uri} -d code_verifier={VERIFIER} -d code={code} \
             | sed -E 's/.*\"access_token\": ?\"([^\"]+)\".*/\\1/')"
        )
    }

    /// What is done, how, and what comes of it.
    fn commands(&self) -> [(&'static str, String, &'static str); 5] {
        let Self { issuer, sidecar, client_id, api_token, .. } = self;
        let call = |product: &str, action: &str| {
            format!(
                "curl -i -X POST -H \"authorization: Bearer $TOKEN\" '{sidecar}/{product}/?Action={action}'"
            )
        };
        let admin = |method: &str| {
            format!(
                "curl -s -X {method} -H 'authorization: Bearer {api_token}' {issuer}/api/v1/applications/{client_id}"
            )
        };
        [
            (
                "A call within the scopes",
                call("ecs", "DescribeInstances"),
                "Allowed: the upstream shows whom it saw.",
            ),
            (
                "A call beyond them",
                call("alidns", "DescribeDomainRecords"),
                "Refused: the answer names the missing scope.",
            ),
            (
                "What was authorized, by whom and when",
                admin("GET"),
                "The console at the issuer's address shows the same.",
            ),
            ("Delete the application", admin("DELETE"), "The receipt says when that was true everywhere."),
            (
                "The first call again",
                call("ecs", "DescribeInstances"),
                "Refused: the application is not installed.",
            ),
        ]
    }
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn escaped(text: &str) -> String {
    let entity = |letter| match letter {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '"' => "&quot;".to_owned(),
        '\'' => "&#39;".to_owned(),
        other => other.to_string(),
    };
    text.chars().map(entity).collect()
}

const VERIFIER: &str = "consentry-dev-demo-verifier-not-for-real-use-0";
const STYLE: &str = "body{font:1rem/1.5 system-ui;color-scheme:light dark}main{max-width:50rem;margin:2rem auto;\
    padding:0 1rem}pre{white-space:pre-wrap;overflow-wrap:anywhere;padding:.75rem;border:1px solid}";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::ready::tests::ready;

    fn walkthrough() -> Walkthrough {
        let mut ready = ready();
        let mut alice = ready.accounts[0].principals[0].clone();
        (alice.login, alice.administrator) = ("alice@acme".to_owned(), false);
        ready.accounts[0].principals.push(alice);
        Walkthrough::new(&ready).unwrap()
    }

    #[test]
    fn the_story_names_real_addresses_and_a_verifier_that_proves_its_challenge() {
        let story = walkthrough();
        let text = story.text();
        let url = Url::parse(&story.authorize_url()).unwrap();
        let challenge = url.query_pairs().find(|(name, _)| name == "code_challenge").unwrap().1.into_owned();
        assert!(pkce::proves(VERIFIER, &challenge));
        let redirect = "redirect_uri=http%3A%2F%2F127.0.0.1%3A8082%2Fcallback";
        for part in ["alice@acme", "root@acme", redirect, "?Action=DescribeInstances'", "Bearer t'"] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
    }

    #[test]
    fn the_page_gives_the_exchange_for_a_code() {
        let page = walkthrough().page("code=abc-123&state=demo");
        assert!(page.contains("-d code=abc-123"), "{page}");
        assert!(page.contains("redirect_uri=http://127.0.0.1:8082/callback"));
    }

    #[test]
    fn the_page_takes_nothing_from_a_link_that_could_be_markup_or_a_command() {
        let page = walkthrough().page("error=x&error_description=%3Cscript%3E");
        assert!(page.contains("&lt;script&gt;") && !page.contains("<script>"), "{page}");
        let page = walkthrough().page("code=a%3Brm%20-rf");
        assert!(!page.contains("rm -rf"), "{page}");
    }
}
