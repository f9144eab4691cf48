//! What a role's session is called at the cloud, so that its audit names the user and the application.

use crate::config::sts::Cloud;
use crate::model::account::PrincipalKey;

/// `alice@acme.4611686018427387904`: the login, as far as there is room, and the application.
pub(super) fn session(login: &str, application: &str) -> String {
    joined(login, application)
}

/// `alice@acme.user.2000000000000001`: the login, as far as there is room, and which principal that is.
pub(super) fn source(login: &str, principal: &PrincipalKey) -> String {
    joined(login, &format!("{}.{}", principal.kind, principal.id))
}

/// A policy that allows nothing, for operations that need no permission.
pub(super) fn nothing(cloud: Cloud) -> &'static str {
    match cloud {
        Cloud::Alibaba => r#"{"Version":"1","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}"#,
        Cloud::Aws => {
            r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}"#
        }
    }
}

/// At most 64 characters that both clouds take. What tells one from another is kept whole.
fn joined(first: &str, whole: &str) -> String {
    let taken = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '@' | '-' | '_');
    let whole: String = whole.chars().filter(taken).take(LONGEST).collect();
    let room = LONGEST.saturating_sub(whole.len().saturating_add(1));
    let first = first.chars().map(|c| if taken(&c) { c } else { '-' }).take(room).collect::<String>();
    if first.is_empty() { whole } else { format!("{first}.{whole}") }
}

const LONGEST: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_named_after_the_user_and_the_application_within_what_clouds_take() {
        assert_eq!(session("alice@acme", "4611686018427387904"), "alice@acme.4611686018427387904");
        let long = session(&"ä+lice ".repeat(20), "4611686018427387904");
        assert!(long.len() == 64 && long.ends_with(".4611686018427387904"), "{long}");
        assert!(long.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".@-_".contains(&byte)), "{long}");
    }

    #[test]
    fn two_users_never_have_one_source_identity() {
        let of = |id: &str| {
            let key = format!(r#"{{"account":"1","kind":"user","id":"{id}"}}"#);
            source("a+b@acme", &serde_json::from_str(&key).unwrap())
        };
        assert_eq!(of("2"), "a-b@acme.user.2");
        assert_ne!(of("2"), of("3"));
    }
}
