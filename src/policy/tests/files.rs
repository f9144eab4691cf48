//! What authors' files may hold, and what happens to those that hold something else.

use super::*;
use crate::policy::load::Files;
use crate::policy::load::schema::Vocabulary;

/// The one problem of a folder with this guardrail, as text.
fn refused(guardrail: &str) -> String {
    Policies::load(folder_with(guardrail).path()).unwrap_err().to_string()
}

fn loaded(guardrail: &str) -> Arc<Policies> {
    Arc::new(Policies::load(folder_with(guardrail).path()).unwrap())
}

#[test]
fn a_permit_in_a_guardrail_file_is_refused_with_its_place() {
    let text =
        "// widen everything\n\n@id(\"wide\")\n@reason(\"why not\")\npermit (principal, action, resource);\n";
    let refusal = refused(text);
    assert!(refusal.starts_with("guardrails/own.cedar:3:1: a guardrail forbids"), "{refusal}");
}

#[test]
fn a_guardrail_without_id_reason_or_with_a_taken_id_is_refused() {
    let body = "forbid (principal, action, resource);";
    assert!(refused(&format!("@reason(\"r\") {body}")).contains("own.cedar:1:1: the policy has no @id"));
    assert!(refused(&format!("@id(\"x\") {body}")).contains("the policy has no @reason"));
    assert!(refused(&format!("@id(\"grant:x\") @reason(\"r\") {body}")).contains("holds a colon"));
    let taken = format!("@id(\"legal-hold.no-change\")\n@reason(\"r\")\n{body}");
    assert!(refused(&taken).contains("is taken by another policy"), "{}", refused(&taken));
}

#[test]
fn mistakes_are_told_with_line_and_column() {
    let head = "@id(\"own\")\n@reason(\"r\")\n";
    let typo = refused(&format!("{head}forbid (principal, action == Action::\"oss:PutObjekt\", resource);"));
    assert!(typo.contains("own.cedar:3:38: no scope file knows"), "{typo}");
    assert!(typo.contains("Did you mean \"oss:PutObject\"?"), "{typo}");
    let attribute =
        refused(&format!("{head}forbid (principal, action, resource)\nwhen {{ principal.age > 3 }};"));
    assert!(attribute.contains("own.cedar:4:8: "), "{attribute}");
    let syntax = refused(&format!("{head}forbid (principal, action resource);"));
    assert!(syntax.contains("own.cedar:3:27: "), "{syntax}");
    let never = refused(&format!("{head}forbid (principal is Grant, action, resource);"));
    assert!(never.contains("own.cedar:1:1: ") || never.contains("own.cedar:3:"), "{never}");
    assert!(
        refused(&format!("{head}forbid (principal in Group::\"x\", action, resource);"))
            .contains("never match")
    );
    assert!(
        refused(&format!("{head}forbid (principal == ?principal, action, resource);")).contains("own.cedar:")
    );
}

#[test]
fn an_id_that_cannot_be_known_is_a_warning() {
    let policies =
        loaded("@id(\"own\") @reason(\"r\") forbid (principal in Application::\"42\", action, resource);");
    assert_eq!(policies.warnings().len(), 1);
    assert!(shipped().warnings().is_empty());
}

#[test]
fn a_scope_file_with_a_mistake_is_refused_with_its_place() {
    let dir = folder_with("");
    let with = |text: &str| {
        std::fs::write(dir.path().join("scopes/own.json"), text).unwrap();
        Policies::load(dir.path()).unwrap_err().to_string()
    };
    let broken = with("{\n  \"service\": \"own\",\n  \"titel\": \"x\"\n}");
    assert!(broken.starts_with("scopes/own.json:3:"), "{broken}");
    let scope = |name: &str, actions: &str| {
        format!(
            "{{\"service\":\"own\",\"title\":\"Own\",\"scopes\":[\n{{\"scope\":\"{name}\",\"title\":\"t\",\
             \"consent\":\"c\",\"risk\":{{\"level\":\"low\",\"why\":\"w\"}},\"actions\":[{actions}]}}]}}"
        )
    };
    assert!(with(&scope("/acs/own", "\"ecs:Start\"")).starts_with("scopes/own.json:2:"));
    assert!(with(&scope("openid", "\"own:Start\"")).contains("described twice"));
    assert!(with(&scope("/acs/own:read", "\"own:See\"")).contains("is not described itself"));
    assert!(with(&scope("own", "")).contains("gives no action"));
}

#[test]
fn a_new_scope_file_is_all_that_a_new_service_needs() {
    let dir = folder_with(
        "@id(\"own\") @reason(\"r\")\nforbid (principal, action == Action::\"kms:Destroy\", resource is Resource);",
    );
    let file = "{\"service\":\"kms\",\"title\":\"Keys\",\"scopes\":[{\"scope\":\"/acs/kms\",\"title\":\"t\",\
        \"consent\":\"c\",\"risk\":{\"level\":\"high\",\"why\":\"w\"},\"actions\":[\"kms:Encrypt\",\"kms:Destroy\"]}]}";
    std::fs::write(dir.path().join("scopes/kms.json"), file).unwrap();
    let policies = Arc::new(Policies::load(dir.path()).unwrap());
    let session = session(&policies, installed("/acs/kms"), &alice(), "/acs/kms");
    assert!(decide(&session, &call("kms:Encrypt", "k"), &around()).is_ok());
    assert_eq!(decide(&session, &call("kms:Destroy", "k"), &around()).unwrap_err().code(), "access_denied");
}

#[test]
fn a_guardrail_that_cannot_be_evaluated_denies() {
    let text = "@id(\"own.overflow\") @reason(\"r\")\nforbid (principal, action, resource)\n\
        when { 9223372036854775807 + (if resource.name like \"big*\" then 1 else 0) < 0 };";
    let policies = loaded(text);
    let session = session(&policies, installed("/acs/oss"), &alice(), "/acs/oss");
    assert!(decide(&session, &call("oss:GetObject", "small/a"), &around()).is_ok());
    let denial = decide(&session, &call("oss:GetObject", "big/a"), &around()).unwrap_err();
    assert_eq!(denial.code(), "policy_error");
    assert_eq!(denial.policies(), [Arc::from("own.overflow")]);
}

#[test]
fn a_decision_that_reads_the_context_is_not_remembered_and_others_are() {
    let text = "@id(\"own.office\") @reason(\"r\")\nforbid (principal, action in Action::\"/acs/oss:write\", resource)\n\
        unless { context.ip.isInRange(ip(\"127.0.0.0/8\")) && context.time > datetime(\"2020-01-01\") };";
    let policies = loaded(text);
    let session = session(&policies, installed("/acs/oss"), &alice(), "/acs/oss");
    let put = call("oss:PutObject", "a/b");
    assert!(!decide(&session, &put, &around()).unwrap().remembered());
    assert!(!decide(&session, &put, &around()).unwrap().remembered());
    let elsewhere = Surroundings { ip: "8.8.8.8".parse().unwrap(), ..around() };
    assert_eq!(decide(&session, &put, &elsewhere).unwrap_err().policies(), [Arc::from("own.office")]);
    assert!(!decide(&session, &call("oss:GetObject", "a/b"), &around()).unwrap().remembered());
    assert!(decide(&session, &call("oss:GetObject", "a/b"), &elsewhere).unwrap().remembered());
}

#[test]
fn a_guardrail_may_name_application_group_user_account_and_kind() {
    let denied = |head: &str, condition: &str| {
        let text = format!("@id(\"own\") @reason(\"r\")\nforbid ({head}, action, resource) {condition};");
        let session = session(&loaded(&text), installed("/acs/oss"), &alice(), "/acs/oss");
        decide(&session, &call("oss:GetObject", "a/b"), &around()).is_err()
    };
    for (kind, mine, other) in [
        ("Application", HUB.to_owned(), "42".to_owned()),
        ("Account", ACME.to_owned(), "1000000000000002".to_owned()),
        ("Group", format!("{ACME}/finance"), format!("{ACME}/legal")),
        ("User", format!("{ACME}/2000000000000011"), format!("{ACME}/2000000000000012")),
    ] {
        assert!(denied(&format!("principal in {kind}::\"{mine}\""), ""), "{kind}");
        assert!(!denied(&format!("principal in {kind}::\"{other}\""), ""), "{kind}");
    }
    assert!(denied("principal", "when { principal.login == \"alice@acme\" && !principal.administrator }"));
    assert!(denied("principal", "unless { principal.application.official }"));
    assert!(!denied("principal", "when { principal.kind == \"role\" }"));
}

#[test]
fn the_shipped_cases_hold_and_see_every_guardrail() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    let report = crate::policy::cases::run(&dir, &shipped()).unwrap();
    assert_eq!(report.cases.iter().filter(|case| case.failure.is_some()).collect::<Vec<_>>(), [] as [&_; 0]);
    assert_eq!(report.never_seen, [] as [String; 0]);
    assert_eq!(report.cases.len(), 11);
}

#[test]
fn the_annotated_example_is_what_is_generated() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/grant.cedar");
    let policies = shipped();
    let example = std::fs::read_to_string(path).unwrap();
    assert_eq!(crate::policy::load::format::pretty(&example).unwrap(), example, "it is not formatted");
    let bare = |text: &str| {
        let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        lines.filter(|line| !line.trim().is_empty()).collect::<Vec<_>>().join("\n")
    };
    let mut facts = official("openid profile /acs/mcp-server:read");
    facts.grant.revision = Revision(3);
    let generated = crate::policy::explain::show(&facts, &policies).generated;
    assert_eq!(bare(&example), bare(&generated));
    let known = super::super::generate::policies(&facts, &facts.grant.scopes, policies.catalogue());
    let set: cedar_policy::PolicySet = known.parse().unwrap();
    let vocabulary = Vocabulary::of(policies.catalogue()).unwrap();
    let validator = cedar_policy::Validator::new(vocabulary.calls);
    let verdict = validator.validate(&set, cedar_policy::ValidationMode::Strict);
    assert!(verdict.validation_passed_without_warnings(), "{verdict}");
}

#[test]
fn a_good_change_is_taken_and_a_bad_one_is_told_and_left_out() {
    use crate::policy::reload::{Current, Reread};
    let dir = folder_with("");
    let current = Current::fixed(Policies::load(dir.path()).unwrap());
    let mut told = current.subscribe();
    let file = dir.path().join("guardrails/own.cedar");
    let write = |text: &str| std::fs::write(&file, text).unwrap();
    assert_eq!(current.reread(dir.path()), Reread::Unchanged);
    write("@id(\"own\") @reason(\"r\") forbid (principal, action, resource);");
    let before = current.policies();
    assert_eq!((current.generation(), current.reread(dir.path())), (0, Reread::Replaced));
    assert_eq!(current.load().0, 1);
    assert!(told.has_changed().unwrap());
    assert_eq!(told.borrow_and_update().clone(), *current.policies().version());
    assert!(!current.is(before.version()));
    write("permit (principal, action, resource);");
    assert!(matches!(current.reread(dir.path()), Reread::Refused(_)));
    assert_eq!(current.policies().reason("own"), Some("r"));
    assert!(current.problem().unwrap().to_string().contains("own.cedar:1:1: "));
    assert!(!told.has_changed().unwrap());
    std::fs::rename(dir.path().join("guardrails"), dir.path().join("gone")).unwrap();
    assert!(matches!(current.reread(dir.path()), Reread::Refused(_)));
    assert_eq!(current.policies().reason("own"), Some("r"));
    std::fs::rename(dir.path().join("gone"), dir.path().join("guardrails")).unwrap();
    write("@id(\"own\") @reason(\"r\") forbid (principal, action, resource);");
    assert_eq!(current.reread(dir.path()), Reread::Unchanged);
    assert_eq!(current.problem(), None);
}

#[tokio::test]
async fn the_watcher_takes_a_change_by_itself() {
    let dir = folder_with("");
    let (current, _watcher) = crate::policy::reload::Current::follow(dir.path()).unwrap();
    let mut told = current.subscribe();
    let text = "@id(\"own\") @reason(\"r\") forbid (principal, action, resource);";
    std::fs::write(dir.path().join("guardrails/own.cedar"), text).unwrap();
    tokio::time::timeout(std::time::Duration::from_secs(30), told.changed()).await.unwrap().unwrap();
    assert_eq!(current.policies().reason("own"), Some("r"));
}

#[test]
fn an_explanation_names_the_guardrail_the_scope_and_the_next_step() {
    use crate::model::decision::{Decision, Outcome, Took};
    let mut record = Decision {
        id: "d1".parse().unwrap(),
        at: Timestamp::UNIX_EPOCH,
        sidecar: "s1".into(),
        outcome: Outcome::Denied,
        code: "insufficient_scope".into(),
        status: 403,
        route: None,
        method: "GET".into(),
        path: "/ecs/".into(),
        account: Some(ACME.into()),
        application: Some(HUB.into()),
        principal: Some("user/2000000000000011".into()),
        action: Some("ecs:StartInstance".into()),
        resource: Some(format!("acs:ecs:*:{ACME}:i-1")),
        grant: Some(format!("{ACME}/{HUB}").into()),
        grant_revision: Some(3),
        scopes: Some("openid /acs/ecs:read".into()),
        policy: vec![format!("grant:{ACME}/{HUB}:ceiling").into()],
        missing: vec!["/acs/ecs:write".into()],
        cache: None,
        trace: String::new(),
        took: Took::default(),
    };
    let facts = installed("openid /acs/ecs:read");
    let lacking = crate::policy::explain::explain(&record, Some(&facts), &shipped()).to_string();
    assert!(lacking.contains("ecs:StartInstance needs /acs/ecs:write; the call had"), "{lacking}");
    assert!(lacking.contains("Next: An administrator of the account can authorize"), "{lacking}");
    assert!(!lacking.contains("has changed since"));
    record.code = "access_denied".into();
    record.policy = vec!["domains.no-domain-deletion".into()];
    record.grant_revision = Some(2);
    let guarded = crate::policy::explain::explain(&record, Some(&facts), &shipped());
    assert!(guarded.because[0].says.starts_with("Guardrail: A whole domain"));
    assert!(guarded.changed_since);
}

#[test]
fn a_guardrail_counts_wherever_its_scope_and_the_grants_overlap() {
    let forbids = |action: &str, granted: &str| {
        let text =
            format!("@id(\"own\") @reason(\"r\")\nforbid (principal, {action}, resource is Resource);");
        let session = session(&loaded(&text), installed(granted), &alice(), granted);
        decide(&session, &call("ecs:DescribeDisks", "*"), &around())
            .map_or_else(|denial| denial.policies() == [Arc::from("own")], |_| false)
    };
    for granted in ["/acs/ecs", "/acs/ecs:read", "openid /acs/ecs:read /acs/oss"] {
        assert!(forbids("action", granted));
        assert!(forbids("action in Action::\"/acs/ecs\"", granted));
        assert!(forbids("action in Action::\"/acs/ecs:read\"", granted));
        assert!(forbids("action in [Action::\"/acs/oss\", Action::\"ecs:DescribeDisks\"]", granted));
        assert!(forbids("action == Action::\"ecs:DescribeDisks\"", granted));
        assert!(!forbids("action in Action::\"/acs/ecs:write\"", granted));
        assert!(!forbids("action == Action::\"ecs:DescribeInstances\"", granted));
    }
}

#[test]
fn the_built_in_set_is_good_and_its_actions_stand_where_the_schema_puts_them() {
    let (checked, built_in) = (Policies::of(&Files::embedded()).unwrap(), Policies::embedded().unwrap());
    assert_eq!(checked.version(), built_in.version());
    let by_schema = Vocabulary::of(checked.catalogue()).unwrap().calls.action_entities().unwrap();
    let ours = cedar_policy::Entities::from_entities(built_in.actions.values().cloned(), None).unwrap();
    let above = |entities: &cedar_policy::Entities, uid: cedar_policy::EntityUid| {
        entities.ancestors(&uid).unwrap().map(ToString::to_string).collect::<std::collections::BTreeSet<_>>()
    };
    for entity in built_in.actions.values() {
        assert_eq!(above(&ours, entity.uid()), above(&by_schema, entity.uid()), "{}", entity.uid());
        assert!(!above(&ours, entity.uid()).is_empty(), "{}", entity.uid());
    }
    assert_eq!(built_in.actions.len(), checked.catalogue().actions().count());
}
