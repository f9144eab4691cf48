//! An organization's own provider, and a person at it: the certified `oidc-provider` in a process of its own.

use serde_json::{Value, json};
use url::Url;

use super::script::Script;
use super::{Page, Person, World, html};

pub(crate) struct Provider {
    pub(crate) issuer: String,
    script: Script,
}

impl Provider {
    /// One that knows these people. With `userinfo` it tells most of them at that endpoint only, as the standard
    /// has it.
    pub(crate) fn start(people: &Value, userinfo: bool) -> Self {
        let mut script = Script::start("provider.mjs", &json!({ "people": people, "userinfo": userinfo }));
        let issuer = script.hear()["issuer"].as_str().unwrap().to_owned();
        Self { issuer, script }
    }

    /// Its table in a control plane's settings, under the name `acme-id`, with `more` lines.
    pub(crate) fn settings(&self, more: &str) -> String {
        self.named("acme-id", more)
    }

    /// The same under another name.
    pub(crate) fn named(&self, name: &str, more: &str) -> String {
        let issuer = &self.issuer;
        format!(
            "[[provider]]\nname = \"{name}\"\nlabel = \"Acme staff\"\nissuer = \"{issuer}\"\nclient_id = \"{name}\"\n\
             client_secret_file = \"SECRET\"\nscopes = [\"profile\", \"staff\"]\n{more}\n"
        )
    }

    /// A world that lets people in from here by these settings.
    pub(crate) async fn world(&mut self, settings: &str) -> World {
        let folder = tempfile::tempdir().unwrap();
        let (secret, file) = (folder.path().join("secret"), folder.path().join("providers.toml"));
        std::fs::write(&secret, "a secret of the test\n").unwrap();
        std::fs::write(&file, settings.replace("SECRET", secret.to_str().unwrap())).unwrap();
        let world = World::start_with(&["--providers", file.to_str().unwrap()]).await;
        let names = settings.lines().filter_map(|line| line.strip_prefix("client_id = "));
        let clients: Vec<_> = names.map(|name| client(&world, name.trim_matches('"'))).collect();
        self.tell(json!({ "do": "serve", "clients": clients }));
        world
    }

    /// Says what is to be done, and waits until it is.
    pub(crate) fn tell(&mut self, line: Value) {
        assert_eq!(self.script.ask(&line)["done"], line["do"]);
    }

    /// From now on it says this of somebody.
    pub(crate) fn says(&mut self, who: &str, claims: Value) {
        self.tell(json!({ "do": "person", "who": who, "claims": claims }));
    }

    /// A browser that nobody has logged in with here.
    pub(crate) fn visitor(&self) -> Person {
        Person::stranger(&self.issuer)
    }
}

fn client(world: &World, name: &str) -> Value {
    let at = |path: &str| format!("{}/login/{path}", world.issuer);
    json!({
        "client_id": name, "client_secret": "a secret of the test", "grant_types": ["authorization_code"],
        "redirect_uris": [at(&format!("provider/{name}/callback"))],
        "post_logout_redirect_uris": [at("signed-out")],
        "backchannel_logout_uri": at(&format!("provider/{name}/logout")),
        "backchannel_logout_session_required": true,
    })
}

/// Somebody with a browser at us and, in the same window, at the provider.
pub(crate) struct Federated {
    pub(crate) who: &'static str,
    pub(crate) here: Person,
    pub(crate) there: Person,
}

impl Federated {
    pub(crate) fn new(world: &World, provider: &Provider, who: &'static str) -> Self {
        Self { who, here: Person::stranger(&world.issuer), there: provider.visitor() }
    }

    /// Opens an address, and signs in at the provider when asked to: gives the page after it.
    pub(crate) async fn visit(&mut self, url: impl AsRef<str>) -> Page {
        let page = self.here.open(url).await;
        if page.form_with("password").is_none() {
            return page;
        }
        let back = self.through_provider(&page).await;
        self.here.open(back).await
    }

    /// From a sign-in page to the provider, and as far as the address that leads back.
    pub(crate) async fn through_provider(&mut self, page: &Page) -> Url {
        let away = self.go_to_provider(page).await;
        self.at_provider(&away, "go").await
    }

    /// From a sign-in page to the address at the provider.
    pub(crate) async fn go_to_provider(&mut self, page: &Page) -> Url {
        let link = html::links(&page.html).into_iter().find(|link| link.contains("/login/provider/"));
        let link = link.unwrap_or_else(|| panic!("no way to a provider: {}", page.text()));
        let page = self.here.open(page.url.join(&link).unwrap()).await;
        page.left().clone()
    }

    /// At the provider: says who they are if asked, and decides; gives the address that leads back.
    pub(crate) async fn at_provider(&mut self, away: &Url, decision: &str) -> Url {
        let page = self.there.open(away).await;
        let page = match page.form_with("who") {
            Some(form) => self.there.submit(&page, &form, &[("who", self.who), ("decision", decision)]).await,
            None => page,
        };
        page.left().clone()
    }
}
