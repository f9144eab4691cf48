//! Alibaba Cloud's answers (STS 2015-04-01), as its SDKs read them.

use jiff::Timestamp;
use serde_json::json;

use super::answer::Identity;
use super::{Operation, Role, Wanted};
use crate::model::account::PrincipalKind;
use crate::token::exchange::Exchanged;

/// `AssumeRole` and `AssumeRoleWithOIDC`.
pub(super) fn credentials(
    wanted: &Wanted,
    role: &Role,
    given: &Exchanged,
    who: &Identity<'_>,
) -> Option<String> {
    let Wanted { operation, session, .. } = wanted;
    let mut answer = json!({
        "RequestId": who.id,
        "AssumedRoleUser": {
            "Arn": format!("acs:ram::{}:role/{}/{session}", role.account, role.last()),
            // Who it really is: the role is no more than a name.
            "AssumedRoleId": format!("{}:{session}", who.number),
        },
        "Credentials": {
            "AccessKeyId": given.access_key_id,
            "AccessKeySecret": given.access_key_secret.expose(),
            "SecurityToken": given.security_token.expose(),
            "Expiration": moment(given.expires_at)?,
        },
    });
    if *operation == Operation::WithToken {
        let token = json!({
            "Subject": who.subject, "Issuer": who.issuer, "ClientIds": who.application,
            "ExpirationTime": moment(given.expires_at)?, "VerificationInfo": "Success",
        });
        answer.as_object_mut()?.insert("OIDCTokenInfo".to_owned(), token);
    }
    Some(answer.to_string())
}

/// `GetCallerIdentity`.
pub(super) fn identity(who: &Identity<'_>) -> Option<String> {
    let (account, number, name) = (who.account, who.number, who.name);
    let (kind, arn, of_kind) = match who.kind {
        PrincipalKind::Account => ("Account", format!("acs:ram::{account}:root"), "UserId"),
        PrincipalKind::User => ("RAMUser", format!("acs:ram::{account}:user/{name}"), "UserId"),
        PrincipalKind::Role => ("AssumedRoleUser", format!("acs:ram::{account}:role/{name}"), "RoleId"),
    };
    let answer = json!({
        "RequestId": who.id, "AccountId": account, "Arn": arn, "IdentityType": kind, "PrincipalId": number,
        of_kind: number,
    });
    Some(answer.to_string())
}

/// As the cloud writes moments: `2026-11-22T13:00:00Z`.
pub(super) fn moment(seconds: i64) -> Option<String> {
    Timestamp::from_second(seconds).ok().map(|at| at.to_string())
}
