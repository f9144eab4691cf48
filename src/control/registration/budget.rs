//! How often something may be asked for: by one address, and by the network around it.
//!
//! Who has a network of 48 bits has 65,536 of 64 bits in it, and who rents machines has neighbours: so the network around
//! an address has a budget of its own, of a few addresses' worth. What an address is refused is not counted against its
//! network, so that one alone cannot use up what the others have.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::control::browser::throttle::{Counted, Throttle, ThrottleSettings};

pub(super) struct Budget {
    near: Throttle,
    around: Throttle,
}

impl Budget {
    /// So often from one address (one network of 64 bits) in so many seconds.
    pub(super) fn new(per_address: u32, window_seconds: i64) -> Self {
        let window = |per_login, per_address| {
            let settings = ThrottleSettings { per_login, per_address, window_seconds, capacity: 20_000 };
            Throttle::new(settings)
        };
        Self {
            near: window(PER_DESCRIPTION, per_address),
            around: window(u32::MAX, per_address.saturating_mul(NETWORK)),
        }
    }

    /// Takes one, for the description at this address if it is for one; false when there is none left.
    pub(super) fn take(&self, description: Option<&str>, address: Option<IpAddr>, now: i64) -> bool {
        let near = match description {
            Some(text) => self.near.begin(Counted::Description(text), address, now),
            None => self.near.begin_unnamed(address, now),
        };
        near.is_ok() && self.around.begin_unnamed(address.map(network), now).is_ok()
    }
}

/// The network around an address: of 24 bits, or of 48.
fn network(address: IpAddr) -> IpAddr {
    let of_four = |ip: Ipv4Addr| IpAddr::V4(Ipv4Addr::from_bits(ip.to_bits() & (u32::MAX << 8)));
    match address {
        IpAddr::V4(ip) => of_four(ip),
        IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
            Some(ip) => of_four(ip),
            None => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << 80))),
        },
    }
}

/// How many addresses' worth the network around them has.
const NETWORK: u32 = 2;
/// How often one description is read in a window, whoever asks.
const PER_DESCRIPTION: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    /// How many are left for these addresses in turn.
    fn left(budget: &Budget, addresses: impl Iterator<Item = String>) -> usize {
        addresses.filter(|text| budget.take(None, Some(text.parse().unwrap()), 0)).count()
    }

    #[test]
    fn a_network_of_many_networks_has_a_few_addresses_worth_and_its_neighbour_its_own() {
        let budget = Budget::new(3, 10);
        assert_eq!(left(&budget, (0..100).map(|i| format!("2001:db8:1:{i:x}::1"))), 6);
        assert_eq!(left(&budget, (0..100).map(|i| format!("2001:db8:2::{i:x}"))), 3);
        let budget = Budget::new(3, 10);
        assert_eq!(left(&budget, (0..100).map(|i| format!("192.0.2.{i}"))), 6);
        assert_eq!(left(&budget, (0..100).map(|i| format!("::ffff:192.0.3.{i}"))), 6);
        assert_eq!(left(&budget, (0..100).map(|_| "192.0.4.1".to_owned())), 3);
    }

    #[test]
    fn one_address_that_asks_without_end_leaves_the_others_of_its_network_theirs() {
        let budget = Budget::new(3, 10);
        assert_eq!(left(&budget, (0..1000).map(|_| "192.0.2.1".to_owned())), 3);
        assert_eq!(left(&budget, (0..1000).map(|_| "192.0.2.2".to_owned())), 3);
        assert!(budget.take(None, Some("192.0.2.1".parse().unwrap()), 10), "in the next window");
    }

    #[test]
    fn one_description_is_read_so_often_whoever_asks() {
        let budget = Budget::new(100, 10);
        let read = |at: &str| budget.take(Some("https://app.example/c"), Some(at.parse().unwrap()), 0);
        let taken = (0..50).filter(|i| read(&format!("192.0.{i}.1"))).count();
        assert_eq!(taken, 10);
    }
}
