//! Session policies by example: what they say, what may be given along, and what is refused rather than widened.

use super::judge::Judge;
use super::*;
use crate::policy::decide;
use crate::policy::load::problem::Source;
use crate::policy::tests::{alice, around, call, installed, official, scopes, session, shipped};

/// What a cloud does with a policy and a permission, on anything of the role's own account.
fn judge(policy: &str, permission: &str) -> bool {
    Judge::of(&serde_json::from_str(policy).unwrap()).allows(permission, "*", &[])
}

pub(super) fn made(
    cloud: Cloud,
    holder: Holder,
    catalogue: &Catalogue,
    granted: &ScopeSet,
) -> Result<SessionPolicy, NotExpressible> {
    Wanted { cloud, holder, account: None, catalogue, narrowing: None }
        .policy(|action| catalogue.allows(granted, action))
}

/// A catalogue of services, each with operations in a `:read` and a `:write` part.
pub(super) fn catalogue(services: &[(&str, Vec<String>, Vec<String>)]) -> Catalogue {
    let sources: Vec<_> = services
        .iter()
        .map(|(service, read, write)| {
            let risk = serde_json::json!({ "level": "low", "why": "It is made up." });
            let part = |name: String, operations: &[String]| {
                let actions: Vec<_> = operations.iter().map(|one| format!("{service}:{one}")).collect();
                serde_json::json!({ "scope": name, "title": "t", "consent": "c", "risk": risk, "actions": actions })
            };
            let whole = format!("/acs/{service}");
            let file = serde_json::json!({ "service": service, "title": "t", "scopes": [
                part(whole.clone(), &[]), part(format!("{whole}:read"), read), part(format!("{whole}:write"), write),
            ]});
            Source { path: format!("scopes/{service}.json").into(), text: file.to_string().into() }
        })
        .collect();
    Catalogue::read(&sources).unwrap()
}

#[test]
fn a_policy_that_is_not_understood_to_the_letter_narrows_nothing() {
    let good = r#"{"Version":"2012-10-17","Id":"i","Statement":{"Sid":"s","Effect":"Allow","Action":"s3:Get*","Resource":["*"],
        "Condition":{"StringEqualsIfExists":{"aws:username":"alice"}}}}"#;
    assert!(Narrowing::read(Cloud::Aws, good).is_ok());
    for (from, to) in [
        ("\"Action\":", "\"NotAction\":"),
        ("\"Resource\":", "\"NotResource\":"),
        ("\"Action\":", "\"action\":"),
        ("\"Effect\":\"Allow\",", ""),
        ("\"Allow\"", "\"allow\""),
        ("\"Effect\"", "\"Principal\":\"*\",\"Effect\""),
        ("\"Effect\"", "\"Effect\":\"Deny\",\"Effect\""),
        ("\"Action\":\"s3:Get*\"", "\"Action\":[]"),
        ("\"Action\":\"s3:Get*\"", "\"Action\":{}"),
        ("\"Resource\":[\"*\"]", "\"Resource\":[]"),
        ("\"Resource\":[\"*\"],", ""),
        ("2012-10-17", "2008-10-17"),
        ("\"Version\":\"2012-10-17\",", ""),
        ("\"Id\":\"i\"", "\"Other\":1"),
        ("aws:username", "aws:resourceaccount"),
        ("{\"aws:username\":\"alice\"}", "{\"aws:username\":\"alice\",\"AWS:username\":\"bob\"}"),
        ("{\"StringEqualsIfExists\":", "{\"StringEqualsIfExists\":{},\"StringEqualsIfExists\":"),
        ("StringEqualsIfExists", "stringequalsifexists"),
        ("{\"aws:username\":\"alice\"}", "[]"),
        ("\"alice\"", "{\"a\":1}"),
        ("\"Sid\":\"s\"", "\"Sid\":7"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good, "{from}");
        assert!(Narrowing::read(Cloud::Aws, &bad).is_err(), "{bad}");
    }
    for bad in ["", "{}", "[]", "null", "\"\"", &format!("{good} {{}}"), &" ".repeat(LONGEST + 1)] {
        assert!(Narrowing::read(Cloud::Aws, bad).is_err(), "{bad}");
    }
    assert!(Narrowing::read(Cloud::Alibaba, good).is_err(), "it is of another cloud");
}

#[test]
fn what_is_given_along_is_said_anew_and_denials_go_on() {
    let objects = catalogue(&[(
        "s3",
        vec!["GetObject".to_owned(), "ListBucket".to_owned()],
        vec!["PutObject".to_owned()],
    )]);
    let text = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::reports/*","Condition":{"StringEqualsIfExists":{"aws:username":"a"}}},
        {"Effect":"Allow","Action":"ec2:*","Resource":"*"},
        {"Effect":"Deny","Action":"s3:List*","Resource":"*"}]}"#;
    let narrowing = Narrowing::read(Cloud::Aws, text).unwrap();
    let wanted = Wanted {
        cloud: Cloud::Aws,
        holder: Holder::Application,
        account: Some("123456789012"),
        catalogue: &objects,
        narrowing: Some(&narrowing),
    };
    let policy = wanted.policy(|action| action.as_str() != "s3:PutObject").unwrap();
    let allow = r#"{"Effect":"Allow","Action":["s3:GetObject","s3:ListBucket"],"Resource":["arn:aws:s3:::reports/*"],"#;
    let condition =
        r#""Condition":{"StringEqualsIfExists":{"aws:ResourceAccount":"123456789012","aws:username":"a"}}}"#;
    let deny = r#"{"Effect":"Deny","Action":["s3:List*"],"Resource":["*"]}"#;
    let whole = format!(r#"{{"Version":"2012-10-17","Statement":[{allow}{condition},{deny}]}}"#);
    assert_eq!(policy.as_str(), whole);
    assert_eq!(wanted.policy(|action| action.as_str() == "s3:DeleteObject"), Err(NotExpressible::Nothing));
}

fn permitted(
    holder: Holder,
    granted: &str,
    is_official: bool,
    consented: Option<&str>,
) -> Result<SessionPolicy, NotExpressible> {
    let mut member = alice();
    member.consented = consented.map(scopes);
    let made = if is_official { official(granted) } else { installed(granted) };
    let token = made.grant.scopes.to_string();
    let session = session(&shipped(), made, &member, &token);
    let call = call("oss:GetObject", "reports/2026.csv");
    let permit = decide(&session, &call, &around()).unwrap();
    permit.session_policy(Cloud::Alibaba, holder, Some("1001"), |service| {
        matches!(service, "oss" | "ecs" | "alidns")
    })
}

#[test]
fn a_policy_is_what_the_clouds_read() {
    let small = catalogue(&[("ecs", vec!["DescribeDisks".to_owned()], vec!["DeleteDisk".to_owned()])]);
    let text = |cloud| made(cloud, Holder::Application, &small, &scopes("/acs/ecs:read")).unwrap().text;
    let statement = r#""Statement":[{"Effect":"Allow","Action":["ecs:DescribeDisks"],"Resource":"*"}]}"#;
    assert_eq!(text(Cloud::Alibaba), format!(r#"{{"Version":"1",{statement}"#));
    assert_eq!(text(Cloud::Aws), format!(r#"{{"Version":"2012-10-17",{statement}"#));
}

#[test]
fn names_are_shortened_only_when_they_must_be_and_only_for_a_sidecar() {
    let many = |verb: &str| (0..120).map(|n| format!("{verb}Thing{n:03}")).collect::<Vec<_>>();
    let large = catalogue(&[("ecs", many("Describe"), many("Modify"))]);
    let read = scopes("/acs/ecs:read");
    let short = made(Cloud::Alibaba, Holder::Sidecar, &large, &read).unwrap();
    assert!(short.as_str().contains("ecs:Describe*"), "{}", short.as_str());
    assert!(matches!(
        made(Cloud::Alibaba, Holder::Application, &large, &read),
        Err(NotExpressible::TooLong { .. })
    ));
    let small = catalogue(&[("ecs", vec!["DescribeA".to_owned(), "DescribeB".to_owned()], many("Modify"))]);
    let exact = made(Cloud::Alibaba, Holder::Sidecar, &small, &read).unwrap();
    assert!(!exact.as_str().contains("Describe*"), "{}", exact.as_str());
}

#[test]
fn what_cannot_be_shortened_without_allowing_more_is_refused() {
    let many = |from: usize| (from..from + 120).map(|n| format!("DescribeThing{n:03}")).collect::<Vec<_>>();
    let large = catalogue(&[("ecs", many(0), many(120))]);
    let refused = made(Cloud::Alibaba, Holder::Sidecar, &large, &scopes("/acs/ecs:read"));
    assert!(matches!(refused, Err(NotExpressible::TooLong { .. })), "{refused:?}");
}

#[test]
fn a_whole_service_is_never_one_star_and_sts_is_never_in_a_policy() {
    let many = (0..200).map(|n| format!("Verb{n}Thing{n}")).collect::<Vec<_>>();
    let large = catalogue(&[("ecs", many, vec!["DeleteDisk".to_owned()])]);
    let whole = made(Cloud::Aws, Holder::Sidecar, &large, &scopes("/acs/ecs")).unwrap();
    assert!(whole.as_str().contains('*') && !whole.as_str().contains("ecs:*"), "{}", whole.as_str());
    let sts = catalogue(&[("sts", vec!["GetCallerIdentity".to_owned()], vec!["AssumeRole".to_owned()])]);
    assert_eq!(made(Cloud::Aws, Holder::Sidecar, &sts, &scopes("/acs/sts")), Err(NotExpressible::Nothing));
}

#[test]
fn a_permission_that_would_allow_more_than_was_granted_is_left_out() {
    let objects = catalogue(&[(
        "s3",
        vec!["GetObject".to_owned()],
        vec!["PutObject".to_owned(), "CopyObject".to_owned(), "UploadPart".to_owned()],
    )]);
    let write = made(Cloud::Aws, Holder::Sidecar, &objects, &scopes("/acs/s3:write")).unwrap();
    assert_eq!(write.left_out(), [Action::new("s3:CopyObject")]);
    assert!(judge(write.as_str(), "s3:PutObject") && !judge(write.as_str(), "s3:GetObject"));
    let both = made(Cloud::Aws, Holder::Sidecar, &objects, &scopes("/acs/s3")).unwrap();
    assert!(both.left_out().is_empty());
    // Who may read and may write may copy, though nobody granted a copy as such.
    let wanted = Wanted {
        cloud: Cloud::Aws,
        holder: Holder::Sidecar,
        account: Some("123456789012"),
        catalogue: &objects,
        narrowing: None,
    };
    let apart = wanted.policy(|action| action.as_str() != "s3:CopyObject").unwrap();
    assert!(apart.left_out().is_empty() && judge(apart.as_str(), "s3:GetObject"));
    // A bucket's name does not tell whose it is.
    let owner = r#""Condition":{"StringEqualsIfExists":{"aws:ResourceAccount":"123456789012"}}"#;
    assert!(apart.as_str().contains(owner), "{}", apart.as_str());
    assert!(!write.as_str().contains("Condition"), "said only of an account that is known");
}

#[test]
fn only_the_services_that_are_meant_and_the_scopes_that_count_are_in_it() {
    let policy = permitted(Holder::Sidecar, "openid /acs/oss:read /acs/ecs:read", false, None).unwrap();
    assert!(judge(policy.as_str(), "oss:GetObject") && judge(policy.as_str(), "ecs:DescribeInstances"));
    assert!(!judge(policy.as_str(), "ecs:StopInstance") && !judge(policy.as_str(), "identity:ReadSubject"));
}

#[test]
fn an_official_application_has_no_more_than_its_user_agreed_to() {
    let granted = "openid /acs/oss:read /acs/ecs:read";
    let policy = permitted(Holder::Sidecar, granted, true, Some("openid /acs/oss:read")).unwrap();
    assert!(judge(policy.as_str(), "oss:GetObject") && !judge(policy.as_str(), "ecs:DescribeInstances"));
}

#[test]
fn what_a_guardrail_could_forbid_is_for_sidecars_only() {
    let granted = "openid /acs/oss /acs/alidns";
    let sidecar = permitted(Holder::Sidecar, granted, false, None).unwrap();
    assert!(judge(sidecar.as_str(), "alidns:DeleteDomain") && judge(sidecar.as_str(), "oss:PutObject"));
    let application = permitted(Holder::Application, granted, false, None).unwrap();
    assert!(judge(application.as_str(), "alidns:AddDomainRecord"), "{}", application.as_str());
    for forbidden in ["alidns:DeleteDomain", "oss:PutObject", "oss:DeleteObject"] {
        assert!(!judge(application.as_str(), forbidden), "{forbidden}");
    }
}

#[test]
fn the_shipped_products_fit_as_they_are() {
    let policies = shipped();
    for entry in policies.catalogue().scopes().filter(|entry| entry.scope.as_str().starts_with("/acs/")) {
        let granted = [entry.scope.clone()].into_iter().collect();
        let made = made(Cloud::Alibaba, Holder::Sidecar, policies.catalogue(), &granted);
        assert!(matches!(made, Ok(_) | Err(NotExpressible::Nothing)), "{}: {made:?}", entry.scope);
    }
}
