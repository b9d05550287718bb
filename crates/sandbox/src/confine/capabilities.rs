//! Capabilities inside the sandbox's user namespace.
//!
//! None of them counts outside it. Inside, root keeps what package managers, compilers and
//! services use: owning and permissions, users, binding low ports, raw sockets, chroot, mounts,
//! ptrace, niceness. Dropped for good are those that do nothing in a user namespace but confuse,
//! and CAP_NET_ADMIN, which would give every sandbox the kernel's firewall, traffic-control and
//! tunnel code to play with, and its own address to change.

use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, remove_capability_from_bounding_set,
    set_capabilities,
};

const DROPPED: CapabilitySet = CapabilitySet::NET_ADMIN
    .union(CapabilitySet::SYS_MODULE)
    .union(CapabilitySet::SYS_RAWIO)
    .union(CapabilitySet::SYS_PACCT)
    .union(CapabilitySet::SYS_BOOT)
    .union(CapabilitySet::SYS_TIME)
    .union(CapabilitySet::LINUX_IMMUTABLE)
    .union(CapabilitySet::AUDIT_CONTROL)
    .union(CapabilitySet::AUDIT_READ)
    .union(CapabilitySet::MAC_OVERRIDE)
    .union(CapabilitySet::MAC_ADMIN)
    .union(CapabilitySet::SYSLOG)
    .union(CapabilitySet::WAKE_ALARM)
    .union(CapabilitySet::BLOCK_SUSPEND)
    .union(CapabilitySet::PERFMON)
    .union(CapabilitySet::BPF)
    .union(CapabilitySet::CHECKPOINT_RESTORE);

/// Drops them from this process and all that it will ever make.
pub(crate) fn drop_unneeded() -> rustix::io::Result<()> {
    for capability in DROPPED.iter() {
        match remove_capability_from_bounding_set(capability) {
            // An older kernel that does not have it.
            Ok(()) | Err(rustix::io::Errno::INVAL) => {}
            Err(errno) => return Err(errno),
        }
    }
    let have = capabilities(None)?;
    set_capabilities(
        None,
        CapabilitySets {
            effective: have.effective.difference(DROPPED),
            permitted: have.permitted.difference(DROPPED),
            inheritable: CapabilitySet::empty(),
        },
    )
}
