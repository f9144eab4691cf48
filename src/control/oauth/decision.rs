//! What becomes of an authorization request, once it is known who asks: the table of who is asked what.
//!
//! Comes in: facts. Goes out: an [`Answer`]. A pure function; the only way to an [`Agreed`], without which no code
//! can be given.

use jiff::Timestamp;

use super::request::AuthorizeRequest;
use crate::model::account::PrincipalKind;
use crate::model::application::{Application, Relation};
use crate::model::grant::{Grant, GrantState, Installed};
use crate::model::id::Revision;
use crate::model::member::Member;
use crate::model::scope::{Scope, ScopeSet};

/// What is known about a request and who is at the browser.
pub(crate) struct Facts<'a> {
    /// The request.
    pub(crate) request: &'a AuthorizeRequest,
    /// Who asks.
    pub(crate) application: &'a Application,
    /// What the application is to the person's account.
    pub(crate) relation: Relation,
    /// What the store holds for the account and the application, a tombstone included.
    pub(crate) installed: Option<Installed>,
    /// The person beside that grant.
    pub(crate) member: &'a Member,
    /// Whether policy lets the person authorize applications for the account.
    pub(crate) may_authorize: bool,
    /// Whether the account has blocked the application.
    pub(crate) blocked: bool,
    /// Whether an administrator has approved the application beforehand, and that still holds.
    pub(crate) pre_approved: bool,
    /// Now.
    pub(crate) now: Timestamp,
}

/// What happens next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// A first-party application: installed without a question, then looked at again.
    InstallSilently(Option<Revision>),
    /// Approved beforehand: installed without a question, then looked at again.
    InstallPreApproved,
    /// The administrator at the browser is shown the consent page; the revision is that of the live grant.
    AskAdministrator(Option<Revision>),
    /// The person is asked for their own consent.
    AskPerson(Box<Installed>),
    /// Nothing is left to ask.
    Code(Box<Agreed>),
    /// It ends here, with a page.
    Stop(Stop),
}

/// Why there is no code and nothing to click.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Nobody who may has authorized the application for the account.
    NotInstalled,
    /// `prompt=admin_consent`, and the person is no administrator.
    OnlyAdministrators,
    /// An administrator has suspended the application.
    Suspended,
    /// The application is for assigned users, and the person is none.
    NotAssigned,
    /// The account has blocked the application, for administrators too.
    Blocked,
    /// The application has come to require more than was granted, and the person may not accept it.
    NewlyRequired,
}

/// A grant that stands, and the scopes of it that this person's tokens may carry. Made here only, and used up by
/// giving a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Agreed {
    installed: Installed,
    scopes: ScopeSet,
}

impl Agreed {
    /// The grant with its application.
    pub(crate) fn installed(&self) -> &Installed {
        &self.installed
    }

    /// What the tokens may carry.
    pub(crate) fn scopes(&self) -> &ScopeSet {
        &self.scopes
    }
}

/// Reads from top to bottom as the table in the documentation does.
pub(crate) fn decide(facts: Facts<'_>) -> Answer {
    let Facts { request, application, relation, installed, member, may_authorize, .. } = facts;
    let foreign = match relation {
        Relation::FirstParty => false,
        Relation::ThirdParty | Relation::Official => true,
    };
    let ask_administrator = |seen: Option<Revision>, otherwise: Stop| {
        if may_authorize { Answer::AskAdministrator(seen) } else { Answer::Stop(otherwise) }
    };
    if facts.blocked {
        return Answer::Stop(Stop::Blocked);
    }
    // Who asks for an administrator gets one, whatever was said beforehand.
    let pre_approved = facts.pre_approved && foreign && !request.prompt.admin_consent;
    let Some(installed) = installed else {
        return match relation {
            Relation::FirstParty => Answer::InstallSilently(None),
            Relation::ThirdParty | Relation::Official if pre_approved => Answer::InstallPreApproved,
            Relation::ThirdParty | Relation::Official => ask_administrator(None, Stop::NotInstalled),
        };
    };
    let grant = &installed.grant;
    match grant.state {
        GrantState::Active => {}
        GrantState::Suspended => return Answer::Stop(Stop::Suspended),
        // What was approved after it was deleted; the deletion took what was approved before along.
        GrantState::Revoked if pre_approved => return Answer::InstallPreApproved,
        // Somebody took it away on purpose, so that not even a first-party application comes back by itself.
        GrantState::Revoked => return ask_administrator(None, Stop::NotInstalled),
    }
    if grant.has_ended(facts.now) {
        return ask_administrator(Some(grant.revision), Stop::NotInstalled);
    }
    let waiting = grant.waiting(application);
    match relation {
        // Required by now, and taken away by an administrator before: another one has to give it back.
        Relation::FirstParty if waiting.required.iter().any(|scope| grant.has_lost(scope)) => {
            return ask_administrator(Some(grant.revision), Stop::NewlyRequired);
        }
        Relation::FirstParty if lacks(grant, application, &request.scopes) => {
            return Answer::InstallSilently(Some(grant.revision));
        }
        Relation::ThirdParty | Relation::Official if request.prompt.admin_consent => {
            return ask_administrator(Some(grant.revision), Stop::OnlyAdministrators);
        }
        // No new code without what is required by now. What was issued before goes on, and can be refreshed.
        Relation::ThirdParty | Relation::Official if !waiting.required.is_empty() => {
            return ask_administrator(Some(grant.revision), Stop::NewlyRequired);
        }
        Relation::FirstParty | Relation::ThirdParty | Relation::Official => {}
    }
    if !member.assigned {
        return Answer::Stop(Stop::NotAssigned);
    }
    // An administrator who is here anyway is asked about what is offered newly. Everybody else, and who wants silence,
    // goes on with what is granted.
    let open = |scope: &Scope| waiting.optional.contains(scope) || needs(application, grant, scope);
    if foreign && request.scopes.iter().any(open) && may_authorize && !request.prompt.none {
        return Answer::AskAdministrator(Some(grant.revision));
    }
    let scopes = granted(&request.scopes, &grant.scopes);
    if application.official {
        let agreed = |own: &ScopeSet| scopes.iter().all(|scope| is_openid(scope) || own.covers(scope));
        if request.prompt.consent || !member.consented.as_ref().is_some_and(agreed) {
            return Answer::AskPerson(Box::new(installed));
        }
    }
    Answer::Code(Box::new(Agreed { scopes, installed }))
}

/// Whether installing an official application makes whoever clicked a user of it: the root identity always is one,
/// and an administrator who installs by using it meant to use it.
pub(crate) fn joins_by_installing(application: &Application, kind: PrincipalKind, assigned: bool) -> bool {
    let is_user = match kind {
        PrincipalKind::User => true,
        PrincipalKind::Account | PrincipalKind::Role => false,
    };
    application.official && is_user && !assigned
}

/// What of `asked` a grant of `held` gives. `openid` only says that the person logged in; it is not dropped.
pub(crate) fn granted(asked: &ScopeSet, held: &ScopeSet) -> ScopeSet {
    let openid: ScopeSet = asked.iter().filter(|scope| is_openid(scope)).cloned().collect();
    asked.meet(held).union(&openid)
}

/// Whether something is asked for that nobody has decided about, and that is to be had without giving back what an
/// administrator has taken away.
fn lacks(grant: &Grant, application: &Application, asked: &ScopeSet) -> bool {
    let offered = application.offered();
    let to_be_had = |scope: &Scope| offered.iter().any(|one| one.covers(scope) && !grant.has_lost(one));
    asked.iter().any(|scope| !is_openid(scope) && !grant.scopes.covers(scope) && to_be_had(scope))
}

/// Whether an application that registered itself asks for what it does not have. It names what it needs at that moment,
/// so that nothing of it was declined for good.
fn needs(application: &Application, grant: &Grant, scope: &Scope) -> bool {
    application.is_unverified() && !is_openid(scope) && !grant.scopes.covers(scope)
}

fn is_openid(scope: &Scope) -> bool {
    scope.as_str() == "openid"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::account::{Principal, PrincipalKey};
    use crate::model::application::ApplicationType;
    use crate::model::grant::AssignmentMode;
    use crate::model::id::{AccountId, GrantKey};

    use super::super::request::Prompt;

    fn account() -> AccountId {
        "1001".parse().unwrap()
    }

    fn application(relation: Relation) -> Application {
        let publisher = if relation == Relation::FirstParty { "1001" } else { "9" };
        Application {
            id: "4001".parse().unwrap(),
            name: "report-hub".into(),
            display_name: "Report Hub".into(),
            description: String::new(),
            publisher: publisher.parse().unwrap(),
            publisher_name: "Reports".into(),
            contact: String::new(),
            official: relation == Relation::Official,
            kind: ApplicationType::WebApp,
            redirect_uris: Vec::new(),
            required: "openid profile".parse().unwrap(),
            optional: "/acs/ecs /acs/oss".parse().unwrap(),
            access_token_seconds: 3600,
            refresh_token_seconds: 7200,
            enabled: true,
            created_at: Timestamp::UNIX_EPOCH,
        }
    }

    /// A case: an application that is installed with `/acs/ecs`, and somebody who is assigned and has agreed.
    struct Case {
        relation: Relation,
        asked: &'static str,
        prompt: Prompt,
        grant: Option<GrantState>,
        expires_at: Option<Timestamp>,
        administrator: bool,
        assigned: bool,
        consented: Option<&'static str>,
        /// Whether the administrator was asked about `/acs/oss` when there was one to ask.
        declined: &'static str,
        required: &'static str,
        blocked: bool,
        pre_approved: bool,
    }

    fn case(relation: Relation) -> Case {
        Case {
            relation,
            asked: "openid /acs/ecs:read /acs/oss",
            prompt: Prompt::default(),
            grant: Some(GrantState::Active),
            expires_at: None,
            administrator: false,
            assigned: true,
            consented: Some("openid profile /acs/ecs"),
            declined: "/acs/oss",
            required: "openid profile",
            blocked: false,
            pre_approved: false,
        }
    }

    impl Case {
        fn answer(&self) -> Answer {
            let application =
                Application { required: self.required.parse().unwrap(), ..application(self.relation) };
            let key =
                PrincipalKey { account: account(), kind: PrincipalKind::User, id: "2001".parse().unwrap() };
            let installed = self.grant.map(|state| Installed {
                grant: Grant {
                    key: GrantKey { account: account(), application: application.id.clone() },
                    revision: Revision(7),
                    since: Revision(5),
                    state,
                    scopes: "openid profile /acs/ecs".parse().unwrap(),
                    declined: self.declined.parse().unwrap(),
                    authorized_at: Timestamp::UNIX_EPOCH,
                    authorized_by: key.clone(),
                    authorized_by_login: "admin@acme".into(),
                    assignment: AssignmentMode::All,
                    expires_at: self.expires_at,
                },
                application: application.clone(),
            });
            let member = Member {
                principal: Principal {
                    key,
                    login: "alice@acme".into(),
                    display_name: "Alice".into(),
                    enabled: true,
                    full_access: self.administrator,
                    groups: Vec::new(),
                },
                assigned: self.assigned,
                consented: self.consented.map(|text| text.parse().unwrap()),
                ended: Vec::new(),
            };
            let request = AuthorizeRequest {
                application: application.id.clone(),
                redirect_uri: "https://app.example/cb".into(),
                state: None,
                scopes: self.asked.parse().unwrap(),
                challenge: String::new(),
                nonce: None,
                resource: None,
                offline: false,
                prompt: self.prompt,
                max_age: None,
            };
            decide(Facts {
                request: &request,
                application: &application,
                relation: self.relation,
                installed,
                member: &member,
                may_authorize: self.administrator,
                blocked: self.blocked,
                pre_approved: self.pre_approved,
                now: Timestamp::UNIX_EPOCH,
            })
        }

        #[track_caller]
        fn code(&self) -> String {
            let answer = self.answer();
            let Answer::Code(agreed) = answer else { panic!("no code: {answer:?}") };
            agreed.scopes().to_string()
        }
    }

    const THIRD: [Relation; 2] = [Relation::ThirdParty, Relation::Official];

    #[test]
    fn what_is_not_installed_is_asked_of_an_administrator_and_of_nobody_else() {
        for relation in THIRD {
            for grant in [None, Some(GrantState::Revoked)] {
                let administrator = Case { grant, administrator: true, ..case(relation) };
                assert_eq!(administrator.answer(), Answer::AskAdministrator(None));
                let user = Case { grant, ..case(relation) };
                assert_eq!(user.answer(), Answer::Stop(Stop::NotInstalled));
            }
            let over =
                Case { expires_at: Some(Timestamp::UNIX_EPOCH), administrator: true, ..case(relation) };
            assert_eq!(over.answer(), Answer::AskAdministrator(Some(Revision(7))));
        }
    }

    #[test]
    fn a_first_party_application_is_installed_without_a_question_until_somebody_takes_it_away() {
        let first = Case { grant: None, ..case(Relation::FirstParty) };
        assert_eq!(first.answer(), Answer::InstallSilently(None));
        let more = Case { declined: "", ..case(Relation::FirstParty) };
        assert_eq!(more.answer(), Answer::InstallSilently(Some(Revision(7))));
        assert_eq!(case(Relation::FirstParty).code(), "/acs/ecs:read openid", "what was taken away stays so");
        let part = Case { asked: "openid /acs/ecs:read /acs/oss:read", ..case(Relation::FirstParty) };
        assert_eq!(part.code(), "/acs/ecs:read openid", "nor does a part of it come back");
        let required = || Case { required: "openid profile /acs/oss", ..case(Relation::FirstParty) };
        assert_eq!(required().answer(), Answer::Stop(Stop::NewlyRequired), "nor what requires it");
        let administrator = Case { administrator: true, ..required() };
        assert_eq!(administrator.answer(), Answer::AskAdministrator(Some(Revision(7))));
        let narrow =
            Case { declined: "/acs/oss:write", asked: "openid /acs/oss:read", ..case(Relation::FirstParty) };
        assert_eq!(narrow.code(), "openid", "nor through a whole that cannot be had without it");
        let same = Case { asked: "openid /acs/ecs:read", ..case(Relation::FirstParty) };
        assert_eq!(same.code(), "/acs/ecs:read openid");
        let taken = Case { grant: Some(GrantState::Revoked), ..case(Relation::FirstParty) };
        assert_eq!(taken.answer(), Answer::Stop(Stop::NotInstalled));
    }

    #[test]
    fn an_installed_application_gets_a_code_for_what_was_granted_of_what_it_asks() {
        assert_eq!(case(Relation::ThirdParty).code(), "/acs/ecs:read openid");
        assert_eq!(Case { consented: None, ..case(Relation::ThirdParty) }.code(), "/acs/ecs:read openid");
        assert_eq!(case(Relation::Official).code(), "/acs/ecs:read openid");
    }

    #[test]
    fn an_official_application_asks_each_person_until_they_have_agreed_to_what_it_asks() {
        let asks = |case: Case| matches!(case.answer(), Answer::AskPerson(_));
        assert!(asks(Case { consented: None, ..case(Relation::Official) }));
        assert!(asks(Case { consented: Some("openid profile"), ..case(Relation::Official) }));
        let again = Prompt { consent: true, ..Prompt::default() };
        assert!(asks(Case { prompt: again, ..case(Relation::Official) }));
        assert!(!asks(case(Relation::Official)));
    }

    #[test]
    fn who_is_not_assigned_and_what_is_suspended_stops() {
        for relation in THIRD {
            let case = || Case { administrator: true, ..case(relation) };
            assert_eq!(Case { assigned: false, ..case() }.answer(), Answer::Stop(Stop::NotAssigned));
            let suspended = Case { grant: Some(GrantState::Suspended), ..case() };
            assert_eq!(suspended.answer(), Answer::Stop(Stop::Suspended));
        }
    }

    #[test]
    fn admin_consent_asks_an_administrator_again_and_stops_everybody_else() {
        let prompt = Prompt { admin_consent: true, ..Prompt::default() };
        for relation in THIRD {
            let administrator = Case { prompt, administrator: true, ..case(relation) };
            assert_eq!(administrator.answer(), Answer::AskAdministrator(Some(Revision(7))));
            assert_eq!(Case { prompt, ..case(relation) }.answer(), Answer::Stop(Stop::OnlyAdministrators));
        }
    }

    #[test]
    fn what_is_blocked_stops_for_everybody_whatever_else_is_so() {
        for relation in [Relation::FirstParty, Relation::ThirdParty, Relation::Official] {
            for grant in [None, Some(GrantState::Active), Some(GrantState::Revoked)] {
                for (administrator, pre_approved) in [(false, false), (true, false), (false, true)] {
                    let case = Case { grant, administrator, pre_approved, blocked: true, ..case(relation) };
                    assert_eq!(case.answer(), Answer::Stop(Stop::Blocked));
                }
            }
        }
    }

    #[test]
    fn what_was_approved_beforehand_is_installed_where_there_is_no_grant() {
        for relation in THIRD {
            for grant in [None, Some(GrantState::Revoked)] {
                for administrator in [false, true] {
                    let case = Case { grant, administrator, pre_approved: true, ..case(relation) };
                    assert_eq!(case.answer(), Answer::InstallPreApproved);
                }
            }
        }
    }

    #[test]
    fn what_was_approved_beforehand_changes_no_grant_and_replaces_no_administrator_who_is_wanted() {
        let over = Some(Timestamp::UNIX_EPOCH);
        for relation in THIRD {
            let case = || Case { pre_approved: true, ..case(relation) };
            let suspended = Case { grant: Some(GrantState::Suspended), ..case() };
            assert_eq!(suspended.answer(), Answer::Stop(Stop::Suspended));
            assert_eq!(Case { expires_at: over, ..case() }.answer(), Answer::Stop(Stop::NotInstalled));
            let more = Case { required: "openid profile /acs/oss", ..case() };
            assert_eq!(more.answer(), Answer::Stop(Stop::NewlyRequired));
            let prompt = Prompt { admin_consent: true, ..Prompt::default() };
            assert_eq!(Case { grant: None, prompt, ..case() }.answer(), Answer::Stop(Stop::NotInstalled));
        }
    }

    #[test]
    fn a_newly_required_scope_stops_codes_until_an_administrator_has_accepted_it() {
        for relation in THIRD {
            let case = || Case { required: "openid profile /acs/alidns", ..case(relation) };
            assert_eq!(case().answer(), Answer::Stop(Stop::NewlyRequired));
            let administrator = Case { administrator: true, assigned: false, ..case() };
            assert_eq!(administrator.answer(), Answer::AskAdministrator(Some(Revision(7))));
            let covered = Case { required: "openid profile /acs/ecs:write", ..case() };
            assert_eq!(covered.code(), "/acs/ecs:read openid", "what is granted as a whole is not new");
        }
    }

    #[test]
    fn a_newly_offered_scope_is_asked_of_an_administrator_and_of_nobody_else() {
        for relation in THIRD {
            let case = || Case { declined: "", ..case(relation) };
            let administrator = || Case { administrator: true, ..case() };
            assert_eq!(administrator().answer(), Answer::AskAdministrator(Some(Revision(7))));
            assert_eq!(case().code(), "/acs/ecs:read openid");
            let silent = Prompt { none: true, ..Prompt::default() };
            assert_eq!(Case { prompt: silent, ..administrator() }.code(), "/acs/ecs:read openid");
            let unasked = Case { asked: "openid /acs/ecs:read", ..administrator() };
            assert_eq!(unasked.code(), "/acs/ecs:read openid", "what it does not ask for is no question");
            assert_eq!(Case { declined: "/acs/oss", ..administrator() }.code(), "/acs/ecs:read openid");
        }
    }
}
