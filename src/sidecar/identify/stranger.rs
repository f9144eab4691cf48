//! What is read of the bodies of those who have proven nothing yet.
//!
//! Comes in: a request whose body may hold a credential, or has to be read before a refusal is said. Goes out: its bytes,
//! which stay the request's. A call that is under way has a place among the decision records; so that no stranger keeps
//! all of those, only so many bodies are read at once, an eighth of them for one peer, and each within a few seconds.
//! Beyond that they are not read.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use hyper::body::Body as _;

use crate::net::body::{Broken, Inbound};
use crate::net::shares::Shares;
use crate::sidecar::refuse::Refusal;

/// The places of those who are listened to.
#[derive(Default)]
pub(in crate::sidecar) struct Strangers(Arc<Shares>);

/// Why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sidecar) enum Unheard {
    /// Too many are listened to.
    Crowded,
    /// It is longer than what is read of a stranger, or took longer.
    TooMuch,
    /// It broke off.
    Broken(Broken),
}

impl Strangers {
    /// The whole body of a request, of `limit` bytes at most. What cannot be read whole is not the request's any more,
    /// unless it was not begun.
    pub(in crate::sidecar) async fn read(
        &self,
        peer: Option<IpAddr>,
        request: &mut Request<Inbound>,
        limit: usize,
    ) -> Result<Bytes, Unheard> {
        if let Some(whole) = request.body().whole() {
            return Ok(whole.clone());
        }
        if request.body().size_hint().lower() > limit as u64 {
            return Err(Unheard::TooMuch);
        }
        let place = peer.and_then(|peer| self.0.take(peer, PLACES));
        let _place = place.ok_or(Unheard::Crowded)?;
        let body = std::mem::replace(request.body_mut(), Inbound::empty());
        let bytes = match tokio::time::timeout(WITHIN, body.read(limit)).await {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(Broken::TooLong)) | Err(_) => return Err(Unheard::TooMuch),
            Ok(Err(broken)) => return Err(Unheard::Broken(broken)),
        };
        *request.body_mut() = Inbound::from(bytes.clone());
        Ok(bytes)
    }
}

impl From<Unheard> for Refusal {
    fn from(why: Unheard) -> Self {
        match why {
            Unheard::Crowded => Self::Unavailable(
                "too many requests whose credential may stand in the body are being read".to_owned(),
            ),
            // A credential would have been among the first of it.
            Unheard::TooMuch => Self::NoCredential,
            Unheard::Broken(broken) => Self::Body(broken),
        }
    }
}

/// The longest form that is read of somebody who has proven nothing, in bytes.
pub(in crate::sidecar) const FORM: usize = 64 * 1024;
/// So many bodies are read at once.
const PLACES: usize = 1024;
/// So long a whole body may take: as long as a head.
const WITHIN: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn there(bytes: &'static [u8]) -> Request<Inbound> {
        Request::new(Inbound::from(Bytes::from_static(bytes)))
    }

    #[tokio::test]
    async fn a_body_that_is_here_is_read_and_stays() {
        let mut request = there(b"a=b");
        let read = Strangers::default().read(None, &mut request, 10).await;
        assert_eq!(read, Ok(Bytes::from_static(b"a=b")));
        assert_eq!(request.body().whole(), Some(&Bytes::from_static(b"a=b")));
    }

    #[test]
    fn what_is_too_much_is_no_credential_and_a_crowd_is_told_to_come_again() {
        assert!(matches!(Refusal::from(Unheard::TooMuch), Refusal::NoCredential));
        assert!(matches!(Refusal::from(Unheard::Crowded), Refusal::Unavailable(_)));
        assert!(matches!(Refusal::from(Unheard::Broken(Broken::Gone)), Refusal::Body(_)));
    }
}
