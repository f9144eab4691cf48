//! Why a call was refused, where no caller is to know: in the log, by the decision's id.
//!
//! Comes in: a refusal whose cause can name machines, files or services that are none of a caller's business. Goes out: a
//! line for operators, who find the id in the answer and in the record.

use super::record::Id;
use super::refuse::{NoIdentity, Refusal};
use crate::grants::NoStanding;

impl Refusal {
    /// What operators are told beside the record, by the decision's id: causes that no caller is shown.
    pub(super) fn log(&self, decision: &Id) {
        if let Self::NoIdentity(why) = self {
            why.log(decision);
        } else if let Self::NoStanding(NoStanding::Unavailable(why)) = self {
            let decision = decision.as_str();
            tracing::warn!(decision, why, "a call was refused since its authorization could not be checked");
        }
    }
}

impl NoIdentity {
    fn log(&self, decision: &Id) {
        let decision = decision.as_str();
        match self {
            Self::Failed(why) => tracing::warn!(decision, why, "a call was refused for want of an identity"),
            Self::JustFailed(why) => {
                tracing::warn!(decision, why, "a call was refused in the pause after a failure");
            }
        }
    }
}
