//! A reader of clouds' policies for tests, by the clouds' own description. It shares no code with what makes them.

use serde_json::Value;

/// Whether `policy` allows `permission` on `resource`, a request's keys being `keys`: some statement allows it, and none
/// denies it.
pub(super) fn allows(policy: &Value, permission: &str, resource: &str, keys: &[(&str, &str)]) -> bool {
    let statements = match &policy["Statement"] {
        Value::Array(several) => several.clone(),
        one => vec![one.clone()],
    };
    let applies = |statement: &Value| {
        let named = |member: &str, fit: &dyn Fn(&str) -> bool| match &statement[member] {
            Value::Null => !texts(&statement[format!("Not{member}")]).iter().any(|pattern| fit(pattern)),
            patterns => texts(patterns).iter().any(|pattern| fit(pattern)),
        };
        // Permissions have no case, resources do.
        let permission = permission.to_lowercase();
        named("Action", &|pattern| fits(&pattern.to_lowercase(), &permission))
            && named("Resource", &|pattern| fits(pattern, resource))
            && holds(&statement["Condition"], keys)
    };
    let any = |effect: &str| statements.iter().any(|one| one["Effect"] == effect && applies(one));
    any("Allow") && !any("Deny")
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
            let like = |given: &str| values.iter().any(|value| fits(value, given));
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
    match value {
        Value::Array(several) => several.iter().flat_map(texts).collect(),
        Value::String(text) => vec![text.clone()],
        other => vec![other.to_string()],
    }
}

/// `*` for any characters, `?` for one.
fn fits(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    // Which beginnings of the pattern take in which beginnings of the text.
    let mut taken = vec![vec![false; text.len() + 1]; pattern.len() + 1];
    taken[0][0] = true;
    for (p, one) in pattern.iter().enumerate() {
        for t in 0..=text.len() {
            taken[p + 1][t] = match one {
                '*' => taken[p][t] || (t > 0 && taken[p + 1][t - 1]),
                '?' => t > 0 && taken[p][t - 1],
                other => t > 0 && taken[p][t - 1] && *other == text[t - 1],
            };
        }
    }
    taken[pattern.len()][text.len()]
}

#[test]
fn it_judges_as_the_clouds_do() {
    let policy = serde_json::json!({ "Statement": [
        { "Effect": "Allow", "Action": ["s3:Get*", "s3:L?stBucket"], "Resource": "arn:aws:s3:::reports/*" },
        { "Effect": "Allow", "NotAction": "s3:*", "Resource": "*", "Condition": { "StringLike": { "aws:username": "a*" } } },
        { "Effect": "Deny", "Action": "*", "Resource": "arn:aws:s3:::reports/secret",
          "Condition": { "StringEqualsIfExists": { "aws:ResourceAccount": "1" } } },
    ]});
    let judged = |permission: &str, resource: &str, keys: &[(&str, &str)]| {
        allows(&policy, permission, resource, keys)
    };
    assert!(judged("S3:getObject", "arn:aws:s3:::reports/a", &[]));
    assert!(judged("s3:ListBucket", "arn:aws:s3:::reports/a", &[]));
    assert!(!judged("s3:PutObject", "arn:aws:s3:::reports/a", &[]));
    assert!(!judged("s3:GetObject", "arn:aws:s3:::Reports/a", &[]), "names of resources have a case");
    assert!(!judged("s3:GetObject", "arn:aws:s3:::reports/secret", &[]));
    assert!(judged("s3:GetObject", "arn:aws:s3:::reports/secret", &[("aws:ResourceAccount", "2")]));
    assert!(judged("ec2:StartInstances", "*", &[("aws:username", "alice")]));
    assert!(!judged("ec2:StartInstances", "*", &[]) && !judged("ec2:StartInstances", "*", &[("aws:username", "bob")]));
}
