//! A reader of clouds' policies for tests, by the clouds' own description. It shares no code with what makes them.

use serde_json::Value;

/// A policy, read.
pub(super) struct Judge(Vec<Statement>);

struct Statement {
    allows: bool,
    actions: Patterns,
    resources: Patterns,
    condition: Value,
}

/// What is named, or with `Not` before it what is not.
struct Patterns {
    named: bool,
    texts: Vec<String>,
}

impl Judge {
    pub(super) fn of(policy: &Value) -> Self {
        let statements = &policy["Statement"];
        let several = statements.as_array().cloned().unwrap_or_else(|| vec![statements.clone()]);
        Self(several.iter().map(Statement::of).collect())
    }

    /// Whether it allows `permission` on `resource`, a request's keys being `keys`: some statement allows it, and none
    /// denies it.
    pub(super) fn allows(&self, permission: &str, resource: &str, keys: &[(&str, &str)]) -> bool {
        let any = |allows: bool| {
            self.0.iter().any(|one| {
                one.allows == allows
                    // Permissions have no case, resources do.
                    && one.actions.fit(permission, true)
                    && one.resources.fit(resource, false)
                    && holds(&one.condition, keys)
            })
        };
        any(true) && !any(false)
    }
}

impl Statement {
    fn of(statement: &Value) -> Self {
        let effect = statement["Effect"].as_str().unwrap();
        assert!(["Allow", "Deny"].contains(&effect), "{statement}");
        let (actions, resources) = (Patterns::of(statement, "Action"), Patterns::of(statement, "Resource"));
        Self { allows: effect == "Allow", actions, resources, condition: statement["Condition"].clone() }
    }
}

impl Patterns {
    fn of(statement: &Value, member: &str) -> Self {
        let named = !statement[member].is_null();
        let texts = texts(if named { &statement[member] } else { &statement[format!("Not{member}")] });
        Self { named, texts }
    }

    fn fit(&self, text: &str, any_case: bool) -> bool {
        self.named == self.texts.iter().any(|pattern| fits(pattern.as_bytes(), text.as_bytes(), any_case))
    }
}

fn holds(condition: &Value, keys: &[(&str, &str)]) -> bool {
    let Some(operators) = condition.as_object() else {
        assert!(condition.is_null(), "no condition: {condition}");
        return true;
    };
    operators.iter().all(|(operator, compared)| {
        compared.as_object().unwrap().iter().all(|(key, values)| {
            let given = keys.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| *value);
            let values = texts(values);
            let like =
                |given: &str| values.iter().any(|value| fits(value.as_bytes(), given.as_bytes(), false));
            let equal = |given: &str| values.iter().any(|value| value == given);
            match operator.as_str() {
                "StringEquals" | "Bool" => given.is_some_and(equal),
                "StringEqualsIfExists" => given.is_none_or(equal),
                "StringNotEquals" => given.is_none_or(|given| !equal(given)),
                "StringLike" => given.is_some_and(like),
                other => panic!("{other} is not judged"),
            }
        })
    })
}

/// One text, or several.
fn texts(value: &Value) -> Vec<String> {
    if let Some(several) = value.as_array() {
        return several.iter().flat_map(texts).collect();
    }
    vec![value.as_str().map_or_else(|| value.to_string(), str::to_owned)]
}

/// `*` for any characters, `?` for one.
fn fits(pattern: &[u8], text: &[u8], any_case: bool) -> bool {
    let same = |a: &u8, b: &u8| a == b || (any_case && a.eq_ignore_ascii_case(b));
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), None) => fits(rest, text, any_case),
        (Some((b'*', rest)), Some((_, after))) => {
            fits(rest, text, any_case) || fits(pattern, after, any_case)
        }
        (Some((b'?', rest)), Some((_, after))) => fits(rest, after, any_case),
        (Some((one, rest)), Some((other, after))) => same(one, other) && fits(rest, after, any_case),
        (Some(_), None) | (None, Some(_)) => false,
    }
}

#[test]
fn it_judges_as_the_clouds_do() {
    let policy = serde_json::json!({ "Statement": [
        { "Effect": "Allow", "Action": ["s3:Get*", "s3:L?stBucket"], "Resource": "arn:aws:s3:::reports/*" },
        { "Effect": "Allow", "NotAction": "s3:*", "Resource": "*", "Condition": { "StringLike": { "aws:username": "a*" } } },
        { "Effect": "Deny", "Action": "*", "Resource": "arn:aws:s3:::reports/secret",
          "Condition": { "StringEqualsIfExists": { "aws:ResourceAccount": "1" } } },
    ]});
    let judge = Judge::of(&policy);
    let judged =
        |permission: &str, resource: &str, keys: &[(&str, &str)]| judge.allows(permission, resource, keys);
    assert!(judged("S3:getObject", "arn:aws:s3:::reports/a", &[]));
    assert!(judged("s3:ListBucket", "arn:aws:s3:::reports/a", &[]));
    assert!(!judged("s3:PutObject", "arn:aws:s3:::reports/a", &[]));
    assert!(!judged("s3:GetObject", "arn:aws:s3:::Reports/a", &[]), "names of resources have a case");
    assert!(!judged("s3:GetObject", "arn:aws:s3:::reports/secret", &[]));
    assert!(judged("s3:GetObject", "arn:aws:s3:::reports/secret", &[("aws:ResourceAccount", "2")]));
    assert!(judged("ec2:StartInstances", "*", &[("aws:username", "alice")]));
    assert!(
        !judged("ec2:StartInstances", "*", &[])
            && !judged("ec2:StartInstances", "*", &[("aws:username", "bob")])
    );
}
