//! Whether what was issued may still be used: the same facts that a sidecar looks at, asked of the store itself.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::Deserialize;

use super::super::Control;
use super::decision::granted;
use crate::model::account::PrincipalKey;
use crate::model::application::Relation;
use crate::model::caller::Caller;
use crate::model::grant::Installed;
use crate::model::id::{FamilyId, GrantKey, Revision};
use crate::model::member::Member;
use crate::model::scope::ScopeSet;
use crate::store::StoreError;
use crate::token::verify::verify_access_token;

/// A grant that stands, and a principal who may use it.
pub(crate) struct Live {
    /// The grant with its application.
    pub(crate) installed: Installed,
    /// The principal beside it.
    pub(crate) member: Member,
}

impl Live {
    /// What of `asked` still counts.
    pub(crate) fn scopes(&self, asked: &ScopeSet) -> ScopeSet {
        let scopes = granted(asked, &self.installed.grant.scopes);
        match &self.member.consented {
            Some(own) if self.installed.application.official => granted(&scopes, own),
            Some(_) | None => scopes,
        }
    }

    /// The life of an access token that is given at `now`, in seconds: no token outlives its grant.
    pub(crate) fn access_seconds(&self, now: i64) -> u32 {
        let own = self.installed.application.access_token_seconds;
        let left = self.ends_by(i64::MAX).saturating_sub(now).max(0);
        u32::try_from(left).map_or(own, |left| left.min(own))
    }

    /// When something ends that would end at `then`, in seconds since 1970: with the grant at the latest.
    pub(crate) fn ends_by(&self, then: i64) -> i64 {
        let end = self.installed.grant.expires_at.map(Timestamp::as_second);
        end.map_or(then, |end| end.min(then))
    }
}

/// Looks whether what was issued at `revision` in `family` still stands. Nothing when it does not, whatever the reason.
pub(crate) async fn standing(
    control: &Control,
    grant: &GrantKey,
    principal: &PrincipalKey,
    revision: Revision,
    family: &FamilyId,
) -> Result<Option<Live>, StoreError> {
    let now = control.clock().now();
    let Some(installed) = control.store().installed(grant).await? else { return Ok(None) };
    let Some(member) = control.store().member(grant, principal, now).await? else { return Ok(None) };
    let agreed = match installed.application.relation_to(&grant.account) {
        Relation::Official => member.consented.is_some(),
        Relation::FirstParty | Relation::ThirdParty => true,
    };
    let stands = installed.application.enabled
        && control.registrar.admits(&installed.application)
        && installed.grant.honours(revision, now)
        && member.principal.enabled
        && member.assigned
        && agreed
        && !member.ended.contains(family);
    Ok(stands.then_some(Live { installed, member }))
}

/// Whom an access token of ours speaks for, while all that it rests on stands. `audience` is for whom it must be;
/// without one any audience will do, for a client that asks about its own tokens.
pub(crate) async fn caller(
    control: &Control,
    token: &str,
    audience: Option<&str>,
) -> Result<Option<(Caller, Live)>, StoreError> {
    let Some(caller) = proven(control, token, audience) else { return Ok(None) };
    let live = standing(control, &caller.grant(), &caller.principal, caller.revision, &caller.family).await?;
    Ok(live.map(|live| (caller, live)))
}

/// The caller that an access token names, by its signature and life alone.
pub(crate) fn proven(control: &Control, token: &str, audience: Option<&str>) -> Option<Caller> {
    let meant = |found: &str| audience.is_none_or(|audience| audience == found).then_some(());
    let (issuer, now) = (control.issuer().as_str(), control.clock().seconds());
    let verified = verify_access_token(&control.ring().verifiers, token, issuer, meant, now, SKEW);
    verified.ok().map(|(caller, ())| caller)
}

/// What the token says that it is for. Read before it is verified, and used for nothing but that.
pub(crate) fn audience_of(token: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Claims {
        aud: String,
    }
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice::<Claims>(&claims).ok().map(|claims| claims.aud)
}

/// By how many seconds the clocks of control nodes may differ.
pub(crate) const SKEW: i64 = 2;
