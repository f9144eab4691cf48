//! How requests are read, and that answers say no more than they should.

use bytes::Bytes;

use super::*;

const ACS: &str = "RoleArn=acs:ram::1000000000000001:role/reader&RoleSessionName=alice%40acme";
const AWS: &str = "RoleArn=arn:aws:iam::123456789012:role/path/reader&RoleSessionName=alice";

fn read(dialect: Dialect, operation: Operation, query: &str, form: &str) -> Result<Wanted, NotUnderstood> {
    read_for(Answers::Exchanged, dialect, operation, (query, form))
}

fn read_for(
    answers: Answers,
    dialect: Dialect,
    operation: Operation,
    (query, form): (&str, &str),
) -> Result<Wanted, NotUnderstood> {
    let form = Bytes::copy_from_slice(form.as_bytes());
    Wanted::read((dialect, answers), operation, &Parameters::read(Some(query), &form)?)
}

#[test]
fn a_role_is_asked_for_in_the_query_or_the_form_of_either_cloud() {
    let acs = read(Dialect::Acs, Operation::AssumeRole, ACS, "").unwrap();
    let role = acs.role.unwrap();
    assert_eq!(
        (role.account.as_str(), role.name.as_str(), acs.session.as_str()),
        ("1000000000000001", "reader", "alice@acme")
    );
    let aws = read(Dialect::Aws, Operation::WithToken, "", &format!("{AWS}&WebIdentityToken=t")).unwrap();
    assert_eq!((aws.role.unwrap().last(), aws.token.unwrap().expose()), ("reader", "t"));
    let oidc = read(Dialect::Acs, Operation::WithToken, &format!("{ACS}&OIDCToken=t"), "").unwrap();
    assert_eq!(oidc.token.unwrap().expose(), "t");
}

#[test]
fn nothing_lasts_longer_than_a_quarter_of_an_hour() {
    for (asked, seconds) in [("", 900), ("&DurationSeconds=900", 900), ("&DurationSeconds=43200", 900)] {
        let wanted = read(Dialect::Acs, Operation::AssumeRole, &format!("{ACS}{asked}"), "").unwrap();
        assert_eq!(wanted.exchanged_seconds(), seconds);
    }
    for asked in ["0", "899", "43201", "-1", "1e3", "4294968196"] {
        assert!(
            read(Dialect::Acs, Operation::AssumeRole, &format!("{ACS}&DurationSeconds={asked}"), "").is_err()
        );
    }
}

#[test]
fn what_stands_twice_is_missing_or_would_not_be_kept_to_is_refused() {
    let refused =
        |dialect, operation, query: &str, form: &str| read(dialect, operation, query, form).is_err();
    for (query, form) in [
        (ACS, "RoleArn=acs:ram::1000000000000001:role/writer"),
        (ACS, "rolearn=acs:ram::1000000000000001:role/writer"),
        (&format!("{ACS}&Policy={{}}"), ""),
        ("RoleSessionName=alice", ""),
        ("RoleArn=acs:ram::1000000000000001:role/reader", ""),
        (&ACS.replace("alice%40acme", "a"), ""),
        (&ACS.replace("alice%40acme", "a%3Cb"), ""),
        (&ACS.replace("role/reader", "user/reader"), ""),
        (&ACS.replace("role/reader", "role/"), ""),
        (&ACS.replace("role/reader", "role//x"), ""),
        (&ACS.replace("1000000000000001", "*"), ""),
        (&ACS.replace("1000000000000001", ""), ""),
        (&ACS.replace("acs:ram::", "acs:ram:x:"), ""),
        (AWS, ""),
    ] {
        assert!(refused(Dialect::Acs, Operation::AssumeRole, query, form), "{query} {form}");
    }
    assert!(refused(Dialect::Aws, Operation::AssumeRole, ACS, ""));
    assert!(refused(Dialect::Aws, Operation::AssumeRole, &format!("{AWS}&PolicyArns.member.1.arn=x"), ""));
    assert!(refused(Dialect::Acs, Operation::WithToken, ACS, ""), "without a token");
    let many: String = (0..200).map(|n| format!("&p{n}=1")).collect();
    assert!(refused(Dialect::Acs, Operation::AssumeRole, &format!("{ACS}{many}"), ""));
}

#[test]
fn for_a_clouds_own_answer_a_policy_may_come_along_and_nothing_that_says_who_it_is() {
    let read = |more: &str| {
        let form = format!("{AWS}&DurationSeconds=3600{more}");
        read_for(Answers::Sts, Dialect::Aws, Operation::AssumeRole, ("", &form))
    };
    let wanted = read("&Policy=%7B%7D&ExternalId=x").unwrap();
    assert_eq!((wanted.policy.as_deref(), wanted.seconds), (Some("{}"), Some(3600)));
    let ours = |more: &str| {
        let form = format!("{AWS}{more}");
        read_for(Answers::Exchanged, Dialect::Aws, Operation::AssumeRole, ("", &form))
    };
    assert!(ours("&ExternalId=x").is_ok());
    for more in [
        "&SourceIdentity=root",
        "&Tags.member.1.Key=a",
        "&TransitiveTagKeys.member.1=a",
        "&PolicyArns.member.1.arn=x",
    ] {
        assert!(read(more).is_err(), "{more}");
        assert!(ours(more).is_err(), "{more}");
    }
}

#[test]
fn what_says_what_may_be_had_is_spelled_as_the_clouds_do_or_refused() {
    let read = |answers, dialect, more: &str| {
        let form = format!("{}{more}", if dialect == Dialect::Aws { AWS } else { ACS });
        read_for(answers, dialect, Operation::AssumeRole, ("", &form))
    };
    for (answers, dialect) in [
        (Answers::Sts, Dialect::Aws),
        (Answers::Sts, Dialect::Acs),
        (Answers::Exchanged, Dialect::Aws),
        (Answers::Exchanged, Dialect::Acs),
    ] {
        // Names that are like none of these are no business of ours.
        for more in
            ["&DurationSeconds=900&ExternalId=x", "&Format=JSON&SignatureNonce=n", "&Tagged=1&policyholder=1"]
        {
            assert!(read(answers, dialect, more).is_ok(), "{more}");
        }
        for (more, what) in [
            ("&policy=%7B%7D", "Policy"),
            ("&POLICY=", "Policy"),
            ("&%70olicy=%7B%7D", "Policy"),
            ("&policyArns.member.1.arn=x", "PolicyArns"),
            ("&POLICYARNS.1=x", "PolicyArns"),
            ("&durationSeconds=900", "DurationSeconds"),
            ("&sourceIdentity=root", "SourceIdentity"),
            ("&tags.member.1.Key=a", "Tags"),
            ("&tag.1.Key=a", "Tag."),
            ("&transitivetagkeys.member.1=a", "TransitiveTagKeys"),
            ("&providedContexts.member.1.ProviderArn=a", "ProvidedContexts"),
            ("&externalid=x", "ExternalId"),
            ("&%20Policy=%7B%7D", "the name of a parameter"),
            ("&Policy%00=%7B%7D", "the name of a parameter"),
            ("&%7B%22Policy%22:%22%22%7D", "the name of a parameter"),
        ] {
            match read(answers, dialect, more) {
                Err(NotUnderstood::Malformed { what: named, .. }) => assert_eq!(named, what, "{more}"),
                other => panic!("{more}: {:?}", other.err()),
            }
        }
        for twice in ["&Policy=%7B%7D&policy=%7B%7D", "&policy=&Policy=%7B%7D", "&ROLEARN=x"] {
            assert!(read(answers, dialect, twice).is_err(), "{twice}");
        }
    }
}

#[test]
fn only_operations_of_the_dialect_are_answered() {
    let of = |dialect, name: &str| Operation::of(dialect, &Action::new(name));
    assert_eq!(of(Dialect::Acs, "sts:AssumeRoleWithOIDC"), Some(Operation::WithToken));
    assert_eq!(of(Dialect::Aws, "sts:AssumeRoleWithWebIdentity"), Some(Operation::WithToken));
    for (dialect, name) in [
        (Dialect::Acs, "sts:AssumeRoleWithWebIdentity"),
        (Dialect::Aws, "sts:AssumeRoleWithOIDC"),
        (Dialect::Aws, "sts:GetSessionToken"),
        (Dialect::Acs, "ecs:AssumeRole"),
    ] {
        assert_eq!(of(dialect, name), None, "{name}");
    }
}

#[test]
fn a_text_in_xml_is_nothing_but_a_text() {
    let text = aws::tests_text("<a>&\"'\u{0}b");
    assert_eq!(text, "<X>&lt;a&gt;&amp;&quot;&apos;b</X>");
}
