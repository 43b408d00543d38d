//! How many connections there may be, in all and from one address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Connections beyond the limits that are given the time to be told so; any more are closed at once.
const MAX_REFUSALS: usize = 256;

/// The free places.
#[derive(Debug)]
pub(crate) struct Slots {
    places: Arc<Semaphore>,
    refusals: Arc<Semaphore>,
    by_address: Mutex<HashMap<IpAddr, usize>>,
    max_connections: usize,
    max_per_address: usize,
}

/// A place, or the chance to be refused politely; freed when dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    /// Whether the connection is beyond a limit and is to be refused.
    pub(crate) is_surplus: bool,
    _permit: OwnedSemaphorePermit,
    _address: Option<AddressSlot>,
}

#[derive(Debug)]
struct AddressSlot {
    slots: Arc<Slots>,
    address: IpAddr,
}

impl Slots {
    pub(crate) fn new(max_connections: usize, max_per_address: usize) -> Arc<Self> {
        let max_connections = max_connections.min(Semaphore::MAX_PERMITS);
        Arc::new(Self {
            places: Arc::new(Semaphore::new(max_connections)),
            refusals: Arc::new(Semaphore::new(MAX_REFUSALS)),
            by_address: Mutex::default(),
            max_connections,
            max_per_address,
        })
    }

    /// Takes a place for a connection from `address`; `None` if it is to be closed without a word.
    pub(crate) fn take(self: &Arc<Self>, address: IpAddr) -> Option<Slot> {
        let address_slot = self.take_address(address);
        let place = address_slot
            .is_some()
            .then(|| Arc::clone(&self.places).try_acquire_owned().ok())
            .flatten();
        match place {
            Some(permit) => Some(Slot {
                is_surplus: false,
                _permit: permit,
                _address: address_slot,
            }),
            None => {
                let permit = Arc::clone(&self.refusals).try_acquire_owned().ok()?;
                Some(Slot {
                    is_surplus: true,
                    _permit: permit,
                    _address: None,
                })
            }
        }
    }

    fn take_address(self: &Arc<Self>, address: IpAddr) -> Option<AddressSlot> {
        let address = network(address);
        let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = by_address.entry(address).or_default();
        if *taken >= self.max_per_address {
            return None;
        }
        *taken += 1;
        Some(AddressSlot {
            slots: Arc::clone(self),
            address,
        })
    }

    /// Waits until no connection holds a place any more.
    pub(crate) async fn all_free(&self) {
        let all = u32::try_from(self.max_connections).unwrap_or(u32::MAX);
        // The semaphore is never closed; either way there is nothing left to wait for.
        let _ = self.places.acquire_many(all).await;
    }
}

/// What one host cannot leave: an IPv4 address, or the 64 bits of an IPv6 address below which it may choose any.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address @ IpAddr::V4(_) => address,
    }
}

impl Drop for AddressSlot {
    fn drop(&mut self) {
        let mut by_address = self
            .slots
            .by_address
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(taken) = by_address.get_mut(&self.address) {
            *taken -= 1;
            if *taken == 0 {
                by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_in_all_and_per_address_and_come_back() {
        let slots = Slots::new(3, 2);
        let addresses: [IpAddr; 2] = [[127, 0, 0, 1].into(), [127, 0, 0, 2].into()];
        let is_surplus = |slot: &Option<Slot>| slot.as_ref().is_some_and(|slot| slot.is_surplus);
        let first = slots.take(addresses[0]);
        let second = slots.take(addresses[0]);
        assert!(is_surplus(&slots.take(addresses[0])), "two from one address");
        let third = slots.take(addresses[1]);
        assert!(is_surplus(&slots.take(addresses[1])), "three in all");
        assert!(!is_surplus(&first) && !is_surplus(&second) && !is_surplus(&third));
        drop((first, second));
        assert!(!is_surplus(&slots.take(addresses[0])));
        drop(third);
        assert!(slots.by_address.lock().unwrap().is_empty());
    }

    #[test]
    fn addresses_of_one_host_count_together() {
        let same = |one: &str, other: &str| network(one.parse().unwrap()) == network(other.parse().unwrap());
        assert!(same("2001:db8:1:2::3", "2001:db8:1:2:ffff::4"));
        assert!(!same("2001:db8:1:2::3", "2001:db8:1:3::3"));
        assert!(same("::ffff:192.0.2.1", "192.0.2.1"));
        assert!(!same("::ffff:192.0.2.1", "::ffff:192.0.2.2"));
    }
}
