//! Alibaba Cloud's answers (STS 2015-04-01), as its SDKs read them.

use jiff::Timestamp;
use serde_json::json;

use super::Operation;
use super::answer::{Identity, Told};
use crate::model::account::PrincipalKind;

/// `AssumeRole` and `AssumeRoleWithOIDC`.
pub(super) fn credentials(operation: Operation, who: &Identity<'_>, told: &Told<'_>) -> Option<String> {
    let mut answer = json!({
        "RequestId": who.id,
        "AssumedRoleUser": { "Arn": told.arn, "AssumedRoleId": told.role_id },
        "Credentials": {
            "AccessKeyId": told.key_id,
            "AccessKeySecret": told.secret,
            "SecurityToken": told.token,
            "Expiration": moment(told.expires_at)?,
        },
    });
    let members = answer.as_object_mut()?;
    if let Some(source) = told.source_identity {
        members.insert("SourceIdentity".to_owned(), json!(source));
    }
    if operation == Operation::WithToken {
        let token = json!({
            "Subject": who.subject, "Issuer": who.issuer, "ClientIds": who.application,
            "ExpirationTime": moment(who.expires_at)?, "VerificationInfo": "Success",
        });
        members.insert("OIDCTokenInfo".to_owned(), token);
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
