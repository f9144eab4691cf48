//! Shares of places: how many of a few places one peer may have at once, so that no stranger takes them all.
//!
//! In: who asks for a place, by its address. Out: the place, given back when it is dropped; none where all are taken, or
//! the peer has its share. All addresses of one IPv6 network of 64 bits are one peer: whoever has one of them has all.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;

/// So many places, and who has them.
#[derive(Debug, Default)]
pub struct Shares(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    all: usize,
    by: HashMap<IpAddr, usize>,
}

/// One place.
#[derive(Debug)]
pub struct Share {
    of: Arc<Shares>,
    peer: IpAddr,
}

impl Shares {
    /// A place among `most`, for a peer who may have an eighth of them (and one at least).
    pub fn take(self: &Arc<Self>, peer: IpAddr, most: usize) -> Option<Share> {
        let peer = network(peer);
        let mut held = self.0.lock();
        let has = held.by.get(&peer).copied().unwrap_or_default();
        if held.all >= most || has >= most.div_ceil(PARTS) {
            return None;
        }
        held.all = held.all.saturating_add(1);
        held.by.insert(peer, has.saturating_add(1));
        drop(held);
        Some(Share { of: Arc::clone(self), peer })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut held = self.of.0.lock();
        held.all = held.all.saturating_sub(1);
        let left = held.by.get_mut(&self.peer).map(|has| {
            *has = has.saturating_sub(1);
            *has
        });
        if left == Some(0) {
            held.by.remove(&self.peer);
        }
    }
}

/// What counts as one peer.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => {
            let bits = address.to_bits() & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from_bits(bits))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// A peer may have one of so many parts.
const PARTS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_peer_has_its_share_and_others_still_have_theirs() {
        let shares = Arc::<Shares>::default();
        let (one, two) = (shares.take(peer("192.0.2.1"), 16), shares.take(peer("::ffff:192.0.2.1"), 16));
        assert!(one.is_some() && two.is_some());
        assert!(shares.take(peer("192.0.2.1"), 16).is_none());
        assert!(shares.take(peer("192.0.2.2"), 16).is_some());
        drop(one);
        assert!(shares.take(peer("192.0.2.1"), 16).is_some());
    }

    #[test]
    fn a_network_is_one_peer_and_all_together_have_no_more_than_there_is() {
        let shares = Arc::<Shares>::default();
        let _one = shares.take(peer("2001:db8::1"), 8).unwrap();
        assert!(shares.take(peer("2001:db8::2"), 8).is_none());
        let others: Vec<_> =
            (1..=8).filter_map(|at| shares.take(peer(&format!("2001:db8:0:{at}::1")), 8)).collect();
        assert_eq!(others.len(), 7);
        drop(others);
        assert!(shares.take(peer("2001:db8:0:9::1"), 8).is_some());
        assert_eq!(shares.0.lock().by.len(), 1);
    }
}
