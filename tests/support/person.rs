//! A person at a browser without JavaScript: opens addresses, follows redirects, keeps cookies, logs in when
//! asked, reads forms and submits them. What leaves the issuer's own pages is left for the application.

use std::collections::BTreeMap;

use url::Url;

use super::html::{self, Form};
use super::{Call, World, get, post};

pub(crate) struct Person {
    pub(crate) login: String,
    pub(crate) password: String,
    home: Url,
    cookies: BTreeMap<String, String>,
}

/// Where a person has come to: a page, or out of the issuer and back at an application.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) url: Url,
    pub(crate) status: u16,
    pub(crate) headers: hyper::HeaderMap,
    pub(crate) html: String,
    left: Option<Url>,
}

/// What a consent page offers.
#[derive(Debug)]
pub(crate) struct Consent {
    pub(crate) form: Form,
    /// Shown checked, and not to be cleared.
    pub(crate) required: Vec<String>,
    /// To be chosen.
    pub(crate) optional: Vec<String>,
    /// The ones among `optional` that are checked already.
    pub(crate) checked: Vec<String>,
}

impl Person {
    /// A person who knows the password of `login` and has not logged in.
    pub(crate) fn new(world: &World, login: &str) -> Self {
        let principal = world.principal(login);
        Self {
            login: principal.login.clone(),
            password: principal.password.clone(),
            home: Url::parse(&world.issuer).unwrap(),
            cookies: BTreeMap::new(),
        }
    }

    /// Somebody with a browser at the site `origin`, whom nobody has given a password.
    pub(crate) fn stranger(origin: &str) -> Self {
        let home = Url::parse(origin).unwrap();
        Self { login: String::new(), password: String::new(), home, cookies: BTreeMap::new() }
    }

    /// Opens an address and logs in if that is what is asked.
    pub(crate) async fn visit(&mut self, url: impl AsRef<str>) -> Page {
        let page = self.open(url).await;
        match page.form_with("password") {
            Some(form) => {
                let (login, password) = (self.login.clone(), self.password.clone());
                self.submit(&page, &form, &[("login", &login), ("password", &password)]).await
            }
            None => page,
        }
    }

    /// Opens an address.
    pub(crate) async fn open(&mut self, url: impl AsRef<str>) -> Page {
        self.go(get(url.as_ref()), Url::parse(url.as_ref()).unwrap()).await
    }

    /// Submits a form with these values in place of those that the page gave.
    pub(crate) async fn submit(&mut self, page: &Page, form: &Form, values: &[(&str, &str)]) -> Page {
        let mut fields = form.untouched();
        fields.retain(|(name, _)| !values.iter().any(|(set, _)| set == name));
        fields.extend(values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        self.post(page, form, &fields).await
    }

    /// Posts exactly these fields to a form's address, as a tampered page would.
    pub(crate) async fn post(&mut self, page: &Page, form: &Form, fields: &[(String, String)]) -> Page {
        let origin = self.home.origin().ascii_serialization();
        self.post_from(&origin, page, form, fields).await
    }

    /// Posts exactly these fields as a page of `origin` would.
    pub(crate) async fn post_from(
        &mut self,
        origin: &str,
        page: &Page,
        form: &Form,
        fields: &[(String, String)],
    ) -> Page {
        assert_eq!(form.method, "post", "what changes something is not in an address");
        let url = page.url.join(&form.action).unwrap();
        let own = origin == self.home.origin().ascii_serialization();
        let site = if own { "same-origin" } else { "cross-site" };
        let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let call = post(&url).form(&fields).header("origin", origin).header("sec-fetch-site", site);
        self.go(call, url).await
    }

    /// Ticks these optional scopes and presses Authorize.
    pub(crate) async fn authorize(&mut self, page: &Page, optional: &[&str]) -> Page {
        let consent = page.consent();
        let mut fields = consent.form.untouched();
        fields.retain(|(_, value)| !consent.optional.contains(value));
        fields.extend(optional.iter().map(|scope| ("scope".to_owned(), (*scope).to_owned())));
        fields.push(("decision".to_owned(), "authorize".to_owned()));
        self.post(page, &consent.form, &fields).await
    }

    /// Presses Reject.
    pub(crate) async fn reject(&mut self, page: &Page) -> Page {
        self.submit(page, &page.consent().form, &[("decision", "reject")]).await
    }

    async fn go(&mut self, call: Call, url: Url) -> Page {
        let (mut call, mut url) = (call, url);
        for _ in 0..10 {
            let answer = call.header("cookie", self.cookie()).header("accept", "text/html").send().await;
            self.keep_cookies(&answer.headers);
            let next = match answer.status {
                301..=303 => Some(url.join(answer.header("location")).unwrap()),
                _ => None,
            };
            // An application's port may happen to be the one that the issuer was given; it has no such page of its own.
            let is_away = |next: &Url| next.origin() != self.home.origin() || next.path() == "/callback";
            let left = next.clone().filter(is_away);
            match next {
                Some(next) if left.is_none() => (call, url) = (get(&next), next),
                _ => {
                    let (status, html) = (answer.status, answer.text());
                    return Page { url, status, headers: answer.headers, html, left };
                }
            }
        }
        panic!("ten redirects and no page: {url}");
    }

    /// The cookies as a browser would send them.
    pub(crate) fn cookie(&self) -> String {
        self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    fn keep_cookies(&mut self, headers: &hyper::HeaderMap) {
        for cookie in headers.get_all("set-cookie") {
            let cookie = cookie.to_str().unwrap();
            let (pair, attributes) = cookie.split_once(';').unwrap_or((cookie, ""));
            let (name, value) = pair.split_once('=').unwrap();
            let attributes = attributes.to_lowercase();
            assert!(attributes.contains("httponly") && attributes.contains("samesite="), "{cookie}");
            if attributes.contains("max-age=0") {
                self.cookies.remove(name.trim());
            } else {
                self.cookies.insert(name.trim().to_owned(), value.to_owned());
            }
        }
    }
}

impl Page {
    /// What can be read on it.
    pub(crate) fn text(&self) -> String {
        html::text(&self.html)
    }

    /// The form that has a control of this name.
    pub(crate) fn form_with(&self, name: &str) -> Option<Form> {
        html::forms(&self.html).into_iter().find(|form| form.has(name))
    }

    /// Whether it asks for consent.
    pub(crate) fn asks_consent(&self) -> bool {
        self.form_with("decision").is_some()
    }

    /// What it asks consent for; fails the test when it is no consent page.
    #[track_caller]
    pub(crate) fn consent(&self) -> Consent {
        let Some(form) = self.form_with("decision") else {
            panic!("not a consent page: {} {} {:?} {}", self.status, self.url, self.left, self.text())
        };
        let boxes =
            || form.controls.iter().filter(|control| control.kind == "checkbox" && control.name != "csrf");
        let of = |wanted: &dyn Fn(&html::Control) -> bool| {
            boxes().filter(|found| wanted(found)).map(|found| found.value.clone()).collect::<Vec<_>>()
        };
        let required = of(&|found| found.disabled && found.checked);
        let optional = of(&|found| !found.disabled);
        let checked = of(&|found| !found.disabled && found.checked);
        Consent { required, optional, checked, form }
    }

    /// Where the person was sent at the application; fails the test when still on a page of the issuer.
    #[track_caller]
    pub(crate) fn left(&self) -> &Url {
        match &self.left {
            Some(url) => url,
            None => panic!("still at {}: {} {}", self.url, self.status, self.text()),
        }
    }

    /// Whether the person was sent to the application.
    pub(crate) fn has_left(&self) -> bool {
        self.left.is_some()
    }

    /// A parameter of the address at the application.
    #[track_caller]
    pub(crate) fn returned(&self, name: &str) -> Option<String> {
        self.left().query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }
}
