//! What authors' files may hold, and what happens to those that hold something else.

use super::*;

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
