//! The repository's `policies/`, built into the binary so that it works alone. A test holds the lists against the
//! folder: a new file there is a new line here.

/// The scope files.
pub(super) const SCOPES: &[(&str, &str)] = &[
    ("scopes/alidns.json", include_str!("../../../policies/scopes/alidns.json")),
    ("scopes/dynamodb.json", include_str!("../../../policies/scopes/dynamodb.json")),
    ("scopes/ec2.json", include_str!("../../../policies/scopes/ec2.json")),
    ("scopes/ecs.json", include_str!("../../../policies/scopes/ecs.json")),
    ("scopes/identity.json", include_str!("../../../policies/scopes/identity.json")),
    ("scopes/lambda.json", include_str!("../../../policies/scopes/lambda.json")),
    ("scopes/mcp-server.json", include_str!("../../../policies/scopes/mcp-server.json")),
    ("scopes/oss.json", include_str!("../../../policies/scopes/oss.json")),
    ("scopes/s3.json", include_str!("../../../policies/scopes/s3.json")),
    ("scopes/sqs.json", include_str!("../../../policies/scopes/sqs.json")),
    ("scopes/sts.json", include_str!("../../../policies/scopes/sts.json")),
];

/// The guardrails.
pub(super) const GUARDRAILS: &[(&str, &str)] = &[
    ("guardrails/domains.cedar", include_str!("../../../policies/guardrails/domains.cedar")),
    ("guardrails/legal-hold.cedar", include_str!("../../../policies/guardrails/legal-hold.cedar")),
    ("guardrails/root-identity.cedar", include_str!("../../../policies/guardrails/root-identity.cedar")),
];

/// Who may administer.
pub(super) const CONSOLE: &str = include_str!("../../../policies/console.cedar");

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::policy::load::Files;

    #[test]
    fn what_is_built_in_is_what_the_folder_holds() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
        assert_eq!(Files::read(&folder).unwrap(), Files::embedded());
    }
}
