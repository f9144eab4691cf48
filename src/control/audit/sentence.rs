//! What happened, as one plain sentence.
//!
//! Comes in: a record, and how an application is called. Goes out: text for pages, the command line and the API. It holds
//! names as they were recorded: whoever shows it makes them harmless.

use serde_json::Value;

use crate::model::audit::AuditRecord;

/// What a record tells. `called` answers an application's name by its id.
#[must_use]
pub fn sentence(record: &AuditRecord, called: impl Fn(&str) -> Option<String>) -> String {
    let detail: Value = serde_json::from_str(record.detail.get()).unwrap_or_default();
    let told = Told { record, detail: &detail, application: application(&record.subject, &called) };
    match record.event.split_once('.') {
        Some(("grant", what)) => told.grant(what),
        Some(("consent", what)) => told.consent(what),
        Some(("login", what)) => told.login(what),
        Some(("refused", what)) => told.refused(what),
        Some(("application", what)) => told.publisher(what),
        Some(("token", "exchange")) => {
            format!(
                "{} exchanged a token of {} for a narrower one: {}.",
                told.application,
                told.text("principal"),
                told.scopes()
            )
        }
        Some(("credential", what)) => told.credential(what),
        Some(("sidecar" | "key" | "policies" | "audit" | "calls", _)) => told.operation(),
        Some(("code" | "refresh", "reused")) => format!(
            "A code or token of {} was used a second time, by two holders of which one should not have it. Everything \
             that it gave has ended.",
            told.application
        ),
        Some(_) | None => told.other(),
    }
}

/// The application that a record is about, by its id.
#[must_use]
pub(super) fn application_of(record: &AuditRecord) -> Option<&str> {
    let (account, id) = record.subject.split_once('/').unwrap_or(("", &record.subject));
    let own = account.is_empty() || record.account.as_ref().is_some_and(|own| own.as_str() == account);
    let about = [
        "grant.",
        "consent.",
        "application.",
        "refused.",
        "code.",
        "refresh.",
        "request.",
        "scope.",
        "token.",
        "credential.",
    ];
    let named = about.iter().any(|area| record.event.starts_with(area));
    (own && named && !id.is_empty() && !id.contains(['/', ' '])).then_some(id)
}

fn application(subject: &str, called: &impl Fn(&str) -> Option<String>) -> String {
    let id = subject.rsplit('/').next().unwrap_or_default();
    match called(id) {
        Some(name) => name,
        None if id.is_empty() => "an application".to_owned(),
        None => format!("the application {id}"),
    }
}

struct Told<'r> {
    record: &'r AuditRecord,
    detail: &'r Value,
    application: String,
}

impl Told<'_> {
    fn text(&self, member: &str) -> &str {
        self.detail.get(member).and_then(Value::as_str).unwrap_or_default()
    }

    fn texts(&self, member: &str) -> String {
        let all = self.detail.get(member).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        all.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
    }

    fn grant(&self, what: &str) -> String {
        let (who, application) = (&self.record.actor, &self.application);
        match what {
            "install" => format!("{who} authorized {application} for {}.", self.scopes()),
            "replace" => format!("{who} changed what {application} may do to {}.", self.scopes()),
            "suspend" => format!("{who} suspended {application}."),
            "resume" => format!("{who} let {application} go on."),
            "revoke" => format!("{who} deleted {application}: its access has ended."),
            "assign" if self.text("assignment") == "all" => {
                format!("{who} let everybody of the account use {application}.")
            }
            "assign" => format!("{who} changed who may use {application}."),
            _ => self.other(),
        }
    }

    fn scopes(&self) -> String {
        match self.texts("scopes") {
            none if none.is_empty() => "no scope".to_owned(),
            scopes => scopes,
        }
    }

    fn consent(&self, what: &str) -> String {
        let (who, application) = (&self.record.actor, &self.application);
        match what {
            "personal" => format!("{who} agreed in person that {application} acts for them."),
            "withdraw" => {
                format!("{who} withdrew the personal consent of {} to {application}.", self.text("principal"))
            }
            "rejected" => format!("{who} rejected the request of {application}."),
            _ => self.other(),
        }
    }

    fn login(&self, what: &str) -> String {
        let (who, whom) = (&self.record.actor, &self.record.subject);
        let times = self.times();
        match what {
            "succeeded" if self.detail.get("role").is_some() => {
                format!("{} of {} signed in as {who}.", self.text("subject"), self.text("provider"))
            }
            "succeeded" => format!("{who} signed in{}.", self.from()),
            "failed" => format!("Signing in as {whom} failed{}{times}.", self.from()),
            _ => self.other(),
        }
    }

    fn refused(&self, code: &str) -> String {
        let (who, times) = (&self.record.actor, self.times());
        let what = match code {
            "form_not_yours" => "A form that was not sent from our page in this session was refused",
            "already_answered" => {
                "An answer to a page that was answered before, too old or somebody else's was refused"
            }
            "invalid_form" => "A form with a wrong field was refused",
            "wrong_password" => "Signing in with a wrong login or password was refused",
            "throttled" => "Signing in was refused, since it had failed too often",
            "unauthenticated" => "A request without a valid token or session was refused",
            "forbidden" => "A request that is for administrators was refused",
            "not_an_administrator" => "An authorization by somebody who may not authorize was refused",
            "scope_not_offered" => "An authorization of a scope that is not offered was refused",
            "redirect_uri_mismatch" => "A request with an address that is not registered was refused",
            "unknown_client" => "A request of an application that is not registered was refused",
            "not_installed" => "A request about an application that is not installed was refused",
            "not_assigned" => "A request about an application that is not assigned was refused",
            "suspended" => "A request about a suspended application was refused",
            "invalid_client" => "An application that did not prove itself was refused",
            "invalid_grant" => "A code or refresh token that is not good was refused",
            "exchange" => {
                return format!(
                    "{} was refused the exchange of a token of {}, by {}.",
                    self.application,
                    self.text("principal"),
                    match self.texts("policies") {
                        none if none.is_empty() => self.text("code").to_owned(),
                        policies => policies,
                    }
                );
            }
            "unrecorded" => return format!("More was refused than could be recorded{times}."),
            _ => return format!("A request by {who} was refused{times} ({code}){}.", self.about()),
        };
        format!("{what}{times}: by {who}{}.", self.about())
    }

    fn about(&self) -> String {
        if self.record.subject.is_empty() { String::new() } else { format!(", about {}", self.application) }
    }

    fn from(&self) -> String {
        match self.text("address") {
            "" => String::new(),
            address => format!(" from {address}"),
        }
    }

    fn times(&self) -> String {
        let times = self.detail.get("times").and_then(Value::as_u64).unwrap_or(1);
        if times > 1 { format!(" {times} times") } else { String::new() }
    }

    fn credential(&self, what: &str) -> String {
        match what {
            "exchange" => format!(
                "{} was given the access key {} for {}.",
                self.application,
                self.text("access_key_id"),
                self.text("principal")
            ),
            "role" => format!(
                "Credentials of the role {1} were asked for {0} and {2}; given, they work at its cloud for {3} seconds.",
                self.application,
                self.text("role"),
                self.text("principal"),
                self.detail.get("seconds").unwrap_or(&Value::Null)
            ),
            _ => self.other(),
        }
    }

    /// Which members have changed, where that is told.
    fn changed(&self) -> String {
        let changed = self.detail.get("changed").and_then(Value::as_object);
        let names: Vec<String> =
            changed.map_or_else(Vec::new, |all| all.keys().map(|name| name.replace('_', " ")).collect());
        if names.is_empty() { String::new() } else { format!(": {}", names.join(", ")) }
    }

    fn publisher(&self, what: &str) -> String {
        let (who, application) = (&self.record.actor, &self.application);
        match what {
            "register" => format!("{who} registered {application}."),
            "change" => format!("{who} changed what {application} is{}.", self.changed()),
            "secret.add" => format!("{who} made a secret for {application}."),
            "secret.delete" => format!("{who} deleted a secret of {application}."),
            _ => self.other(),
        }
    }

    fn operation(&self) -> String {
        let subject = &self.record.subject;
        match self.record.event.as_str() {
            "sidecar.invite" => format!("The operator invited the sidecar {subject}."),
            "sidecar.enrol" => format!("The sidecar {subject} was enrolled."),
            "sidecar.revoke" => format!("The operator ended the enrolment of the sidecar {subject}."),
            "sidecar.key" => format!("The sidecar {subject} published a new key."),
            "key.add" => format!("A new key for {} was made.", self.text("purpose")),
            "key.withdraw" => format!("The key {subject} was withdrawn."),
            "policies.change" => "Other policies came into force.".to_owned(),
            "audit.adopted" => "The records from before the chain were counted and hashed.".to_owned(),
            "audit.broken" => "A record that had been signed was not there any more.".to_owned(),
            "calls.recorded" => {
                let count = self.detail.get("count").and_then(Value::as_u64).unwrap_or(0);
                format!("{count} decision records were kept, by {}.", self.record.actor)
            }
            _ => self.other(),
        }
    }

    fn other(&self) -> String {
        let what = self.record.event.replace(['.', '_', '-'], " ");
        let about = if self.record.subject.is_empty() { "" } else { ", about " };
        format!("{}: {what}{about}{}.", self.record.actor, self.record.subject)
    }
}
