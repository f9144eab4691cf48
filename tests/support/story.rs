//! The beginnings that many tests share, told as what people do.

use serde_json::json;

use super::{Answer, Application, Page, Person, Tokens, World};

impl World {
    /// `login`, an administrator, authorizes an application with these optional scopes, and the
    /// application has its tokens.
    pub(crate) async fn install(&self, name: &str, login: &str, optional: &[&str]) -> Tokens {
        let application = self.application(name);
        let attempt = application.ask();
        let mut person = Person::new(self, login);
        let page = person.visit(&attempt.url).await;
        let page = person.authorize(&page, optional).await;
        application.tokens(&attempt, &page).await
    }

    /// An application of the account `alias` that requires these scopes; nobody has authorized it.
    pub(crate) async fn register(&self, alias: &str, name: &str, scopes: &[&str]) -> Application {
        let registered = self.api(alias, "POST", "/publisher/applications").json(&json!({
            "name": name, "type": "WebApp", "redirect_uris": [REDIRECT], "required_scopes": scopes,
        }));
        let registered = registered.send().await.expect(201);
        let text = |name: &str| registered[name].as_str().unwrap().to_owned();
        Application {
            issuer: self.issuer.clone(),
            client_id: text("client_id"),
            secret: Some(text("client_secret")),
            redirect_uri: REDIRECT.to_owned(),
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        }
    }

    /// An application of globex that requires these scopes, authorized by `admin@acme`, who has its tokens.
    pub(crate) async fn published(&self, name: &str, scopes: &[&str]) -> (Application, Tokens) {
        let required: Vec<&str> = std::iter::once("openid").chain(scopes.iter().copied()).collect();
        let application = self.register("globex", name, &required).await;
        let attempt = application.ask();
        let mut person = Person::new(self, "admin@acme");
        let page = person.visit(&attempt.url).await;
        let page = person.authorize(&page, &[]).await;
        let tokens = application.tokens(&attempt, &page).await;
        (application, tokens)
    }

    /// `login` signs in to an application that its account has authorized already.
    pub(crate) async fn sign_in(&self, name: &str, login: &str) -> Tokens {
        let application = self.application(name);
        let attempt = application.ask();
        let page = Person::new(self, login).visit(&attempt.url).await;
        application.tokens(&attempt, &page).await
    }

    /// Where `login` comes to when an application asks for all its scopes.
    pub(crate) async fn first_access(&self, application: &Application, login: &str) -> Page {
        Person::new(self, login).visit(application.ask().url).await
    }

    /// The ids of the applications that an account has installed.
    pub(crate) async fn installed(&self, alias: &str) -> Vec<String> {
        let list = self.api(alias, "GET", "/applications").send().await.expect(200);
        let list = list.as_array().or(list["applications"].as_array()).unwrap().clone();
        list.iter().map(|entry| entry["client_id"].as_str().unwrap().to_owned()).collect()
    }

    /// An administrator of the account deletes an application and waits until that is true everywhere.
    pub(crate) async fn delete_application(&self, alias: &str, name: &str) -> Answer {
        let path = format!("/applications/{}", self.seed(name).client_id);
        self.api(alias, "DELETE", &path).send().await
    }
}

const REDIRECT: &str = "http://127.0.0.1:9300/callback";
