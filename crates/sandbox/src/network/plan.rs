//! Who gets what: everything a sandbox's place decides, computed from (slot, index).
//!
//! A server owns one *slot* of the machine, a slot has 2,048 *indices*, a sandbox holds one index
//! while it lives. Interface name, address and uid range are functions of the two numbers, so the
//! packet filter can list every (interface, address) pair before the first sandbox exists, and two
//! servers never meet.
//!
//! ```text
//! slot 3, index 17:   interface ct3-17   address 10.203.0.19   uids from 4·2^27 + 17·65536
//! subnet 10.203.0.0/16:   .0.0 network   .0.1 gateway, the same for all   .0.2 index 0 …
//! ```

use std::net::Ipv4Addr;

use super::config::Ipv4Cidr;
use crate::slot::{IDS_PER_SANDBOX, SANDBOXES_PER_SLOT, SLOTS};

/// The addresses, names and ids of one slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressPlan {
    slot: u32,
    subnet: Ipv4Cidr,
}

/// Why a slot has no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// No such slot.
    #[error("slot {slot} is not one of 0 to {}", SLOTS - 1)]
    Slot {
        /// The number given.
        slot: u32,
    },
    /// A subnet too small or absurdly large.
    #[error("subnet {subnet} is not between /8 and /29")]
    Subnet {
        /// The one configured.
        subnet: Ipv4Cidr,
    },
}

impl AddressPlan {
    /// The plan of `slot`, in `subnet` when one is configured.
    pub fn new(slot: u32, subnet: Option<Ipv4Cidr>) -> Result<Self, PlanError> {
        let octet = u8::try_from(slot)
            .ok()
            .filter(|&slot| u32::from(slot) < SLOTS)
            .map(|slot| 200 + slot)
            .ok_or(PlanError::Slot { slot })?;
        let subnet = match subnet {
            Some(subnet) => subnet,
            None => Ipv4Cidr::containing(Ipv4Addr::new(10, octet, 0, 0), 16)
                .expect("16 is a prefix length"),
        };
        if !(8..=29).contains(&subnet.prefix()) {
            return Err(PlanError::Subnet { subnet });
        }
        Ok(Self { slot, subnet })
    }

    /// A plan that no server has, for trying the packet filter beside running servers.
    pub(super) fn trial() -> Self {
        let subnet = Ipv4Cidr::containing(Ipv4Addr::new(10, 230, 0, 0), 29);
        Self {
            slot: SLOTS,
            subnet: subnet.expect("29 is a prefix length"),
        }
    }

    /// The slot.
    #[must_use]
    pub const fn slot(&self) -> u32 {
        self.slot
    }

    /// All addresses of the slot.
    #[must_use]
    pub const fn subnet(&self) -> Ipv4Cidr {
        self.subnet
    }

    /// How many sandboxes with network fit: all 2,048 unless the subnet is smaller than that.
    #[must_use]
    pub fn capacity(&self) -> u32 {
        // Network, gateway and broadcast address are nobody's.
        u32::try_from(self.subnet.size() - 3)
            .map_or(SANDBOXES_PER_SLOT, |fit| fit.min(SANDBOXES_PER_SLOT))
    }

    /// The address every sandbox sends to; each host-side interface carries it.
    #[must_use]
    pub const fn gateway(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.subnet.first().to_bits() + 1)
    }

    /// A sandbox's address.
    #[must_use]
    pub const fn address(&self, index: u32) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.subnet.first().to_bits() + 2 + index)
    }

    /// The host's end of a sandbox's cable.
    #[must_use]
    pub fn interface(&self, index: u32) -> String {
        format!("{}{index}", self.interface_prefix())
    }

    /// What all of the slot's interfaces begin with.
    #[must_use]
    pub fn interface_prefix(&self) -> String {
        format!("ct{}-", self.slot)
    }

    /// First id of a sandbox's 65,536 user and group ids.
    #[must_use]
    pub const fn uid_base(&self, index: u32) -> u32 {
        (self.slot + 1) * (IDS_PER_SANDBOX * SANDBOXES_PER_SLOT) + index * IDS_PER_SANDBOX
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn follows_the_drawing() {
        let plan = AddressPlan::new(3, None).expect("a slot");
        assert_eq!(plan.subnet().to_string(), "10.203.0.0/16");
        assert_eq!(plan.gateway(), Ipv4Addr::new(10, 203, 0, 1));
        assert_eq!(plan.interface(17), "ct3-17");
        assert_eq!(plan.address(17), Ipv4Addr::new(10, 203, 0, 19));
        assert_eq!(plan.uid_base(17), 4 * (1 << 27) + 17 * 65_536);
        assert_eq!(plan.capacity(), SANDBOXES_PER_SLOT);
    }

    #[test]
    fn no_two_sandboxes_share_anything() {
        let mut names = HashSet::new();
        let mut addresses = HashSet::new();
        let mut ids = HashSet::new();
        for slot in 0..SLOTS {
            let plan = AddressPlan::new(slot, None).expect("a slot");
            for index in 0..plan.capacity() {
                let name = plan.interface(index);
                assert!(name.len() < 16, "{name} is too long for an interface");
                assert!(names.insert(name));
                assert!(addresses.insert(plan.address(index)));
                assert_ne!(plan.address(index), plan.gateway());
                assert!(plan.subnet().contains(plan.address(index)));
                assert_ne!(plan.address(index), plan.subnet().last());
                assert!(plan.uid_base(index).checked_add(IDS_PER_SANDBOX).is_some());
                assert!(ids.insert(plan.uid_base(index)));
            }
        }
    }

    #[test]
    fn a_small_subnet_holds_fewer() {
        let plan = AddressPlan::new(0, Some("192.168.9.0/29".parse().unwrap())).expect("a plan");
        assert_eq!(plan.capacity(), 5);
        assert_eq!(plan.address(4), Ipv4Addr::new(192, 168, 9, 6));
        assert_eq!(
            AddressPlan::new(0, Some("10.0.0.0/30".parse().unwrap()))
                .unwrap_err()
                .to_string(),
            "subnet 10.0.0.0/30 is not between /8 and /29"
        );
        assert_eq!(
            AddressPlan::new(30, None).unwrap_err().to_string(),
            "slot 30 is not one of 0 to 29"
        );
    }
}
