//! What `consentry app` can do: each asks the API and answers its JSON with the text for people.

use clap::Args;
use hyper::Method;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::table::{at, facts, table, word};
use crate::cli::api::Api;
use crate::cli::{Failure, print};

pub(super) type Told = (Value, String);

pub(super) async fn list(api: &Api) -> Result<Told, Failure> {
    let value = json!({ "applications": every(api, "/applications", &[], "applications").await? });
    let row = |one: &Value| {
        ["name", "client_id", "kind", "state", "revision", "authorized_at", "authorized_by"]
            .map(|name| word(at(one, name)))
            .to_vec()
    };
    let rows: Vec<_> = all(&value).iter().map(row).collect();
    let heading = ["name", "client id", "kind", "state", "revision", "authorized at", "by"];
    let text = table(&heading, &rows, "No application is installed.");
    Ok((value, text))
}

pub(super) async fn list_official(api: &Api) -> Result<Told, Failure> {
    let value = json!({ "applications": every(api, "/official-applications", &[], "applications").await? });
    let row = |one: &Value| {
        ["name", "client_id", "installed", "required_scopes", "optional_scopes"]
            .map(|name| word(at(one, name)))
            .to_vec()
    };
    let rows: Vec<_> = all(&value).iter().map(row).collect();
    let heading = ["name", "client id", "installed", "required scopes", "optional scopes"];
    let text = table(&heading, &rows, "There is no official application.");
    Ok((value, text))
}

pub(super) async fn list_published(api: &Api) -> Result<Told, Failure> {
    let value = api.ask(Method::GET, "/publisher/applications", None).await?;
    let row = |one: &Value| {
        ["name", "client_id", "type", "required_scopes", "optional_scopes"]
            .map(|name| word(at(one, name)))
            .to_vec()
    };
    let rows: Vec<_> = all(&value).iter().map(row).collect();
    let heading = ["name", "client id", "type", "required scopes", "optional scopes"];
    let text = table(&heading, &rows, "This account has registered no application.");
    Ok((value, text))
}

pub(super) async fn show(api: &Api, application: &str, policies: bool) -> Result<Told, Failure> {
    let id = client_id(api, "/applications", application).await?;
    if policies {
        let text = api.text(&format!("/applications/{id}/policies")).await?;
        return Ok((json!({ "policies": text }), text));
    }
    let value = api.ask(Method::GET, &format!("/applications/{id}"), None).await?;
    let text = described(&value);
    Ok((value, text))
}

pub(super) async fn provision(api: &Api, application: &str, scopes: &[String]) -> Result<Told, Failure> {
    let id = client_id(api, "/official-applications", application).await?;
    let path = format!("/official-applications/{id}/provision");
    let value = api.ask(Method::POST, &path, Some(&json!({ "scopes": scopes }))).await?;
    let text =
        format!("Installed. Assign it next: consentry app assign {id} --user LOGIN\n\n{}", described(&value));
    Ok((value, text))
}

/// What to register.
#[derive(Debug, Args)]
pub(super) struct Register {
    /// Its name: 1 to 64 characters of A-Z a-z 0-9 . _ -
    name: String,
    /// What it runs on: WebApp, NativeApp or ServerApp
    #[arg(long = "type", value_name = "TYPE", value_parser = ["WebApp", "NativeApp", "ServerApp"])]
    runs_on: String,
    /// What people see; the name unless given
    #[arg(long, value_name = "TEXT")]
    display_name: Option<String>,
    /// A sentence for the consent page
    #[arg(long, value_name = "TEXT", default_value = "")]
    description: String,
    /// Whom to ask about it
    #[arg(long, value_name = "TEXT", default_value = "")]
    contact: String,
    /// Where codes may be sent; may be given several times
    #[arg(long = "redirect-uri", value_name = "URI")]
    redirect_uris: Vec<String>,
    /// A scope that an authorization always includes; may be given several times
    #[arg(long = "required-scope", value_name = "SCOPE")]
    required_scopes: Vec<String>,
    /// A scope that an administrator may add; may be given several times
    #[arg(long = "optional-scope", value_name = "SCOPE")]
    optional_scopes: Vec<String>,
}

impl Register {
    pub(super) async fn go(self, api: &Api) -> Result<Told, Failure> {
        let mut body = json!({
            "name": self.name,
            "type": self.runs_on,
            "description": self.description,
            "contact": self.contact,
            "redirect_uris": self.redirect_uris,
            "required_scopes": self.required_scopes,
            "optional_scopes": self.optional_scopes,
        });
        if let (Some(name), Some(body)) = (self.display_name, body.as_object_mut()) {
            body.insert("display_name".to_owned(), name.into());
        }
        let value = api.ask(Method::POST, "/publisher/applications", Some(&body)).await?;
        let mut pairs = vec![("client ID", word(at(&value, "client_id")))];
        if at(&value, "client_secret").is_string() {
            pairs
                .push(("client secret", format!("{}  (shown this once)", word(at(&value, "client_secret")))));
        }
        for (name, field) in
            [("name", "name"), ("required scopes", "required_scopes"), ("optional scopes", "optional_scopes")]
        {
            pairs.push((name, word(at(&value, field))));
        }
        let text = facts(&pairs);
        Ok((value, text))
    }
}

/// Who may use an application.
#[derive(Debug, Args)]
pub(super) struct Assign {
    /// Its client ID or name
    application: String,
    /// Everybody in the account
    #[arg(long, conflicts_with_all = ["users", "groups", "roles", "nobody"])]
    all: bool,
    /// A user, by login; may be given several times. Replaces who was assigned before
    #[arg(long = "user", value_name = "LOGIN")]
    users: Vec<String>,
    /// A group, by name; may be given several times
    #[arg(long = "group", value_name = "NAME")]
    groups: Vec<String>,
    /// A role, by id; may be given several times
    #[arg(long = "role", value_name = "ID")]
    roles: Vec<String>,
    /// Nobody but the root identity
    #[arg(long, conflicts_with_all = ["users", "groups", "roles"])]
    nobody: bool,
    /// Add those named to those assigned, instead of replacing them
    #[arg(long, conflicts_with_all = ["all", "nobody", "remove"])]
    add: bool,
    /// Take those named off the list, and leave the others
    #[arg(long, conflicts_with_all = ["all", "nobody"])]
    remove: bool,
}

impl Assign {
    pub(super) async fn go(self, api: &Api) -> Result<Told, Failure> {
        let id = client_id(api, "/applications", &self.application).await?;
        let path = format!("/applications/{id}/assignments");
        let named = !self.users.is_empty() || !self.groups.is_empty() || !self.roles.is_empty();
        let value = if self.add || self.remove {
            if !named {
                return Err(Failure::Usage("say whom: --user, --group or --role".to_owned()));
            }
            let verb = if self.add { "add" } else { "remove" };
            let names = json!({ "users": self.users, "groups": self.groups, "roles": self.roles });
            api.ask(Method::PATCH, &path, Some(&json!({ verb: names }))).await?
        } else if self.all || self.nobody || named {
            let mode = if self.all { "all" } else { "assigned" };
            let body =
                json!({ "mode": mode, "users": self.users, "groups": self.groups, "roles": self.roles });
            api.ask(Method::PUT, &path, Some(&body)).await?
        } else {
            api.ask(Method::GET, &path, None).await?
        };
        let pairs = ["mode", "users", "groups", "roles"].map(|name| (name, word(at(&value, name))));
        let text = facts(&pairs);
        Ok((value, text))
    }
}

/// A change of an installed application.
#[derive(Debug, Args)]
pub(super) struct Change {
    /// Its client ID or name
    application: String,
    /// Return as soon as it is stored, not when it is true everywhere
    #[arg(long)]
    no_wait: bool,
}

impl Change {
    pub(super) async fn go(self, api: &Api, verb: &str) -> Result<Told, Failure> {
        let id = client_id(api, "/applications", &self.application).await?;
        let wait = if self.no_wait { "?wait=0" } else { "" };
        let (method, path) = match verb {
            "revoke" => (Method::DELETE, format!("/applications/{id}{wait}")),
            verb => (Method::POST, format!("/applications/{id}/{verb}{wait}")),
        };
        let value = api.ask(method, &path, None).await?;
        let text = receipt(&value);
        Ok((value, text))
    }
}

impl Change {
    /// Revokes, and tells each sidecar's word as it comes.
    pub(super) async fn revoke_aloud(self, api: &Api) -> Result<Told, Failure> {
        if self.no_wait {
            return self.go(api, "revoke").await;
        }
        let id = client_id(api, "/applications", &self.application).await?;
        let each = |one: &Value| print::data(&format!("{}\n", said(one).join("  ")));
        let value = api.lines(Method::DELETE, &format!("/applications/{id}"), each).await?;
        let text = everywhere(&value);
        Ok((value, text))
    }
}

pub(super) fn receipt(value: &Value) -> String {
    if *at(value, "effective") != json!(true) {
        return format!(
            "Stored as revision {}; not known to be true everywhere yet.\n",
            word(at(value, "revision"))
        );
    }
    let sidecars: Vec<_> = at(value, "sidecars").as_array().into_iter().flatten().map(said).collect();
    let table = table(&["sidecar", "said", "after"], &sidecars, "No sidecar was connected.");
    format!("{}\n{table}", everywhere(value))
}

/// One sidecar's part.
fn said(one: &Value) -> Vec<String> {
    let (said, after) = match at(one, "confirmed_ms").as_u64() {
        Some(ms) => ("confirmed", format!("{ms} ms")),
        None => ("unreachable, its lease has ended", format!("{} ms", word(at(one, "stopped_by")))),
    };
    vec![word(at(one, "id")), said.to_owned(), after]
}

fn everywhere(value: &Value) -> String {
    let mut text = format!(
        "True everywhere after {} ms (revision {}, streams closed: {}).\n",
        word(at(value, "elapsed_ms")),
        word(at(value, "revision")),
        word(at(value, "streams_closed")),
    );
    if let Some(until) = at(value, "roles_until").as_str() {
        text.push_str(&format!("Credentials of a cloud that were given before work there until {until}.\n"));
    }
    text
}

fn described(value: &Value) -> String {
    facts(&[
        ("name", word(at(value, "name"))),
        ("display name", word(at(value, "display_name"))),
        ("client ID", word(at(value, "client_id"))),
        ("kind", format!("{}, {}", word(at(value, "kind")), word(at(value, "type")))),
        (
            "publisher",
            format!(
                "{} ({})",
                word(at(at(value, "publisher"), "name")),
                word(at(at(value, "publisher"), "id"))
            ),
        ),
        ("state", word(at(value, "state"))),
        ("revision", word(at(value, "revision"))),
        ("authorized at", word(at(value, "authorized_at"))),
        ("authorized by", word(at(value, "authorized_by"))),
        ("granted", word(at(at(value, "scopes"), "granted"))),
        ("declined", word(at(at(value, "scopes"), "declined"))),
        ("assignment", word(at(value, "assignment"))),
        ("ends at", word(at(value, "expires_at"))),
        ("last used", word(at(value, "last_used"))),
    ])
}

/// Who has agreed in person.
pub(super) async fn consents(api: &Api, application: &str) -> Result<Told, Failure> {
    let id = client_id(api, "/applications", application).await?;
    let all = every(api, &format!("/applications/{id}/consents"), &[], "consents").await?;
    let row = |one: &Value| ["login", "scopes", "at"].map(|name| word(at(one, name))).to_vec();
    let rows: Vec<_> = all.iter().map(row).collect();
    let text = table(&["login", "scopes", "at"], &rows, "Nobody has agreed in person.");
    Ok((json!({ "consents": all }), text))
}

/// Ends a person's own consent.
pub(super) async fn withdraw(api: &Api, application: &str, login: &str) -> Result<Told, Failure> {
    let id = client_id(api, "/applications", application).await?;
    let login: String = form_urlencoded::byte_serialize(login.as_bytes()).collect();
    let value = api.ask(Method::DELETE, &format!("/applications/{id}/consents/{login}"), None).await?;
    let text = receipt(&value);
    Ok((value, text))
}

/// The client ID that is meant: itself, or that of the only application of this name.
pub(super) async fn client_id(api: &Api, path: &str, meant: &str) -> Result<String, Failure> {
    let one = found(api, path, meant).await?;
    let id = one.as_ref().and_then(|one| at(one, "client_id").as_str());
    id.map(str::to_owned).ok_or_else(|| {
        Failure::No(format!("there is no application {meant:?}; `consentry app list` lists what there is"))
    })
}

/// The application of a list that is meant: by its client ID, or as the only one of this name.
pub(super) async fn found(api: &Api, path: &str, meant: &str) -> Result<Option<Value>, Failure> {
    let all = every(api, path, &[("search", meant)], "applications").await?;
    let (mut by_id, mut by_name) = (Vec::new(), Vec::new());
    for one in all {
        if *at(&one, "client_id") == *meant {
            by_id.push(one);
        } else if *at(&one, "name") == *meant {
            by_name.push(one);
        }
    }
    let mut fitting = if by_id.is_empty() { by_name } else { by_id };
    if fitting.len() > 1 {
        let ids: Vec<_> = fitting.iter().map(|one| word(at(one, "client_id"))).collect();
        return Err(Failure::Usage(format!(
            "{} applications of different publishers are named {meant}; give the client ID: {}",
            ids.len(),
            ids.join(", ")
        )));
    }
    Ok(fitting.pop())
}

/// Everything that stands in `field` of a list, page after page.
pub(super) async fn every(
    api: &Api,
    path: &str,
    asked: &[(&str, &str)],
    field: &str,
) -> Result<Vec<Value>, Failure> {
    let (mut all, mut after) = (Vec::new(), None::<String>);
    loop {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(asked).append_pair("limit", "1000");
        if let Some(place) = &after {
            query.append_pair("after", place);
        }
        let mut value = api.ask(Method::GET, &format!("{path}?{}", query.finish()), None).await?;
        if let Some(Value::Array(items)) = value.get_mut(field).map(Value::take) {
            all.extend(items);
        }
        let next = at(&value, "next").as_str().map(str::to_owned);
        if next.is_none() || next == after {
            return Ok(all);
        }
        after = next;
    }
}

/// For what is answered as a whole.
fn all(value: &Value) -> &[Value] {
    at(value, "applications").as_array().map_or(&[], Vec::as_slice)
}
