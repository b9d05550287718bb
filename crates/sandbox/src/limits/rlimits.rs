//! Resource limits of a sandbox's processes, inherited from the launcher.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CapabilitySet, capabilities};

use crate::probe::Finding;
use crate::protocol::{Failure, Step};

/// Soft and hard limit of open files: small, because some programs close every possible one, but
/// liftable by those that need many.
const OPEN_FILES: (u64, u64) = (1024, 524_288);

/// Stack of a main thread in bytes; liftable without end.
const STACK: u64 = 8 << 20;

/// Sets them on this process.
///
/// A process without CAP_SYS_RESOURCE cannot lift a hard limit; where ours is lower, it stays.
pub(crate) fn set_for_sandboxes() -> Result<(), Failure> {
    set(Resource::Nofile, OPEN_FILES.0, Some(OPEN_FILES.1)).step("limit open files")?;
    set(Resource::Stack, STACK, None).step("limit the stack")?;
    // Core dumps would go where the host's pattern says, maybe to a program of the host.
    set(Resource::Core, 0, Some(0)).step("forbid core dumps")?;
    // Processes are limited by the control group; the ids are shared with nobody.
    set(Resource::Nproc, u64::MAX, None).step("lift the limit of processes")
}

/// What of them can be had here. A launcher has the limits of the server that starts it.
pub(crate) fn finding() -> Finding {
    let name = "open files of a sandbox";
    let may_lift =
        capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_RESOURCE));
    match getrlimit(Resource::Nofile).maximum {
        Some(ours) if ours < OPEN_FILES.1 && !may_lift => Finding::limited(
            name,
            format!("at most {ours} per process; the server itself has no more"),
            format!("start the server with ulimit -Hn {}", OPEN_FILES.1),
        ),
        _ => Finding::ok(name, format!("up to {} per process", OPEN_FILES.1)),
    }
}

/// Sets a soft and a hard limit, as far as ours lets us.
fn set(resource: Resource, soft: u64, hard: Option<u64>) -> rustix::io::Result<()> {
    let ours = getrlimit(resource).maximum;
    let wanted = Rlimit {
        current: Some(soft).filter(|s| *s != u64::MAX),
        maximum: hard,
    };
    match setrlimit(resource, wanted) {
        Err(rustix::io::Errno::PERM) => {
            let maximum = least(hard, ours);
            let current = least(wanted.current, maximum);
            setrlimit(resource, Rlimit { current, maximum })
        }
        result => result,
    }
}

/// The smaller limit, `None` being none.
const fn least(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if a < b { a } else { b }),
        (Some(limit), None) | (None, Some(limit)) => Some(limit),
        (None, None) => None,
    }
}
