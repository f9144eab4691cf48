//! The fields of a publisher's form: what a page shows in them, and what a posted form says.
//!
//! A form that does not fit is shown again with what was typed and every complaint; nothing has been changed then.

use crate::control::form::Parameters;
use crate::model::application::{Application, ApplicationType};
use crate::model::scope::{Scope, ScopeSet};
use crate::policy::catalogue::Catalogue;
use crate::token::random::sha256;

use super::applications::Registration;
use crate::control::rescope::publish::Change;

/// What stands in the form.
#[derive(Debug, Clone, Default)]
pub struct Fields {
    /// Its name; only of a new one.
    pub name: String,
    /// `WebApp`, `NativeApp` or `ServerApp`; only of a new one.
    pub kind: String,
    /// What people see.
    pub display_name: String,
    /// The sentence about it.
    pub description: String,
    /// Whom to ask.
    pub contact: String,
    /// One a line.
    pub redirect_uris: String,
    /// Every scope that there is.
    pub scopes: Vec<ScopeField>,
    /// Life of an access token in seconds, as typed.
    pub access_token_seconds: String,
    /// Life of a refresh token in seconds, as typed.
    pub refresh_token_seconds: String,
    /// Whether it may be used at all.
    pub enabled: bool,
}

/// One scope and what is chosen for it.
#[derive(Debug, Clone)]
pub struct ScopeField {
    /// The scope.
    pub scope: String,
    /// What it is called.
    pub title: String,
    /// What is chosen.
    pub asked: Asked,
}

/// How an application asks for a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// It does not.
    No,
    /// An administrator may add it.
    Optional,
    /// An authorization always includes it.
    Required,
}

impl Asked {
    /// The word in the form.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::Optional => "optional",
            Self::Required => "required",
        }
    }
}

impl Fields {
    /// A blank form.
    pub(super) fn blank(catalogue: &Catalogue) -> Self {
        let scopes = fields(catalogue, &"openid".parse().unwrap_or_default(), &ScopeSet::new());
        Self { kind: "WebApp".to_owned(), scopes, enabled: true, ..Self::default() }
    }

    /// The form of a registered application.
    pub(super) fn of(application: &Application, catalogue: &Catalogue) -> Self {
        Self {
            name: application.name.clone(),
            kind: application.kind.as_str().to_owned(),
            display_name: application.display_name.clone(),
            description: application.description.clone(),
            contact: application.contact.clone(),
            redirect_uris: application.redirect_uris.join("\n"),
            scopes: fields(catalogue, &application.required, &application.optional),
            access_token_seconds: application.access_token_seconds.to_string(),
            refresh_token_seconds: application.refresh_token_seconds.to_string(),
            enabled: application.enabled,
        }
    }

    /// What a posted form says, to be shown again if it does not fit.
    pub(super) fn posted(form: &Parameters, catalogue: &Catalogue) -> Self {
        let one = |name: &str| form.one(name).ok().flatten().unwrap_or_default().to_owned();
        let chosen = |word: &str| -> ScopeSet {
            let scopes = catalogue.scopes().map(|entry| &entry.scope);
            scopes.filter(|scope| one(&format!("scope:{scope}")) == word).cloned().collect()
        };
        Self {
            name: one("name"),
            kind: one("type"),
            display_name: one("display_name"),
            description: one("description"),
            contact: one("contact"),
            redirect_uris: one("redirect_uris"),
            scopes: fields(catalogue, &chosen("required"), &chosen("optional")),
            access_token_seconds: one("access_token_seconds"),
            refresh_token_seconds: one("refresh_token_seconds"),
            enabled: one("enabled") == "yes",
        }
    }

    /// As a registration; or the complaint about what cannot even be read.
    pub(super) fn registration(&self) -> Result<Registration, String> {
        let runs_on: ApplicationType =
            self.kind.parse().map_err(|_| "Choose what the application runs on.".to_owned())?;
        let (access, refresh) = self.lives()?;
        Ok(Registration {
            name: self.name.clone(),
            display_name: (!self.display_name.is_empty()).then(|| self.display_name.clone()),
            description: self.description.clone(),
            contact: self.contact.clone(),
            runs_on,
            redirect_uris: self.uris(),
            required_scopes: self.chosen(Asked::Required),
            optional_scopes: self.chosen(Asked::Optional),
            access_token_seconds: access,
            refresh_token_seconds: refresh,
        })
    }

    /// As a change; or the complaint about what cannot even be read.
    pub(super) fn change(&self) -> Result<Change, String> {
        let (access, refresh) = self.lives()?;
        Ok(Change {
            display_name: Some(self.display_name.clone()),
            description: Some(self.description.clone()),
            contact: Some(self.contact.clone()),
            redirect_uris: Some(self.uris()),
            required_scopes: Some(self.chosen(Asked::Required)),
            optional_scopes: Some(self.chosen(Asked::Optional)),
            access_token_seconds: access,
            refresh_token_seconds: refresh,
            enabled: Some(self.enabled),
        })
    }

    fn uris(&self) -> Vec<String> {
        let lines = self.redirect_uris.lines().map(str::trim);
        lines.filter(|line| !line.is_empty()).map(str::to_owned).collect()
    }

    fn chosen(&self, asked: Asked) -> Vec<Scope> {
        let chosen = self.scopes.iter().filter(|field| field.asked == asked);
        chosen.filter_map(|field| field.scope.parse().ok()).collect()
    }

    fn lives(&self) -> Result<(Option<u32>, Option<u32>), String> {
        let number = |text: &str| match text.trim() {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| "A life is a number of seconds.".to_owned()),
        };
        Ok((number(&self.access_token_seconds)?, number(&self.refresh_token_seconds)?))
    }
}

/// A text that is another one as soon as something of the application is.
pub(super) fn state_of(application: &Application) -> String {
    let text = serde_json::to_vec(application).unwrap_or_default();
    let digest = sha256(&text);
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

fn fields(catalogue: &Catalogue, required: &ScopeSet, optional: &ScopeSet) -> Vec<ScopeField> {
    let field = |scope: &Scope, title: &str| ScopeField {
        scope: scope.to_string(),
        title: title.to_owned(),
        asked: if required.contains(scope) {
            Asked::Required
        } else if optional.contains(scope) {
            Asked::Optional
        } else {
            Asked::No
        },
    };
    let known = catalogue.scopes().map(|entry| field(&entry.scope, &entry.title));
    // What the catalogue has forgotten is shown as long as it is asked for.
    let both = required.union(optional);
    let forgotten = both.iter().filter(|scope| !catalogue.knows(scope));
    known.chain(forgotten.map(|scope| field(scope, "Not described any more"))).collect()
}
