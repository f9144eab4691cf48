//! What control leaves in Redis for sidecars, signed by a key for nothing else ([`Purpose::Record`]).
//!
//! Comes in: a text from Redis, which anybody may have written, and the keys that control has named over the internal
//! API. Goes out: the claims, once their signature is right. What they mean, and whether they still hold, is not asked here.

use super::keys::Purpose;
use super::verify::{KeySet, TokenRefused, signed_claims_of_any_length};

/// The claims of a record, as JSON. The caller bounds the record's length.
///
/// # Errors
/// [`TokenRefused`]: it is as if there were no record.
pub fn signed(keys: &KeySet, record: &str) -> Result<Vec<u8>, TokenRefused> {
    signed_claims_of_any_length(keys, record, Purpose::Record)
}
