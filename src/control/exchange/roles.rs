//! A cloud's own credentials of a role, which sidecars give where a route says `answers = "sts"`.
//!
//! Comes in: a sidecar's word that it is about to give some, with the token of the caller whom it has proved. Goes out: yes,
//! once that is in the audit and as long as the token stands; and for a receipt, until when such credentials work. They
//! leave us, so that nobody can end them: what can be known of them is known before they are there.

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::json;

use super::{By, unavailable};
use crate::control::Control;
use crate::grants::exchange::{Leaving, NotExchanged};
use crate::model::id::GrantKey;
use crate::store::{AuditEvent, AuditFilter, Audited};

impl Control {
    /// Takes down that a role's credentials of a cloud leave a sidecar: they work until their end, so that whoever revokes
    /// can be told until when.
    pub(in crate::control) async fn leaving(
        &self,
        told: &Leaving,
        sidecar: &str,
    ) -> Result<(), NotExchanged> {
        let (caller, _) = self.presented(&told.token, By::Sidecar(sidecar)).ok_or(NotExchanged::Token)?;
        let (now, at) = (self.clock.now(), self.clock.seconds());
        let live = self.stands(&caller, at).await?;
        let until = at.saturating_add(i64::from(told.seconds));
        if told.seconds > LONGEST_ROLE || live.ends_by(until) < until {
            return Err(NotExchanged::Token);
        }
        let principal = &caller.principal;
        let detail = json!({
            "role": told.role,
            "principal": format!("{}/{}", principal.kind, principal.id),
            "scopes": live.scopes(&caller.scopes),
            "seconds": told.seconds,
            "sidecar": sidecar,
        });
        let event = AuditEvent::of_caller(ROLE, &caller, &detail, now);
        self.store.keep_audit(&event).await.map_err(unavailable)
    }

    /// Until when credentials that have left for a grant work at their cloud; none when none do.
    pub(in crate::control) async fn roles_until(&self, grant: &GrantKey) -> Option<Timestamp> {
        let now = self.clock.now();
        let longest = SignedDuration::from_secs(i64::from(LONGEST_ROLE));
        let filter = AuditFilter {
            account: Some(grant.account.clone()),
            application: Some(grant.application.clone()),
            event: Some(ROLE.to_owned()),
            since: Some(now - longest - LATER),
            limit: MOST_ROLES,
            ..AuditFilter::default()
        };
        let found = match self.store.audit_records(&filter).await {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "what was given for a grant cannot be read, so that it may be the longest");
                return Some(now + longest);
            }
        };
        let end = |one: &Audited| {
            let Detail { seconds } = serde_json::from_str(one.record.detail.get()).ok()?;
            Some(one.record.at + SignedDuration::from_secs(i64::from(seconds)) + LATER)
        };
        // Of those before them that were not read, any may be the longest.
        let unread = usize::try_from(MOST_ROLES).is_ok_and(|most| found.len() >= most);
        let unread = unread.then(|| found.last().map(|one| one.record.at + longest)).flatten();
        found.iter().filter_map(end).chain(unread).max().filter(|until| *until > now)
    }
}

/// Of what the audit says.
#[derive(Deserialize)]
struct Detail {
    seconds: u32,
}

/// What the audit calls it when a role's credentials leave.
const ROLE: &str = "credential.role";

/// The longest that a cloud gives a role for, in seconds.
const LONGEST_ROLE: u32 = 43_200;

/// The cloud is asked a moment after it was taken down, and may go by another clock.
const LATER: SignedDuration = SignedDuration::from_secs(60);

/// So many records of them are looked at.
const MOST_ROLES: u32 = 1000;
