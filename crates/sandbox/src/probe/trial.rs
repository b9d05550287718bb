//! What only trying can tell.

use super::{Finding, Subject, chain};
use crate::host::launcher::{Launcher, LauncherError};
use crate::network;

/// Any range of ids will do: nothing runs with them.
const ID_BASE: u32 = 1 << 27;

/// Every trial. They undo what they do.
pub(super) async fn all(subject: &Subject) -> Vec<Finding> {
    vec![user_namespace(subject).await, packet_filter().await]
}

async fn user_namespace(subject: &Subject) -> Finding {
    const NAME: &str = "user namespace";
    let launcher = Launcher::new(&subject.launcher, Vec::new());
    match launcher.namespaces(ID_BASE).await {
        Ok(_) => Finding::ok(NAME, "made one with 65,536 ids and a network namespace"),
        Err(error @ LauncherError::Start { .. }) => Finding::missing(
            NAME,
            chain(&error),
            "install contree-sandbox beside contree, or name it with --sandbox-binary",
        ),
        Err(error) => Finding::missing(
            NAME,
            chain(&error),
            "run as root of the machine; allow user namespaces (sysctl user.max_user_namespaces)",
        ),
    }
}

async fn packet_filter() -> Finding {
    const NAME: &str = "nftables";
    match network::try_filter().await {
        Ok(()) => Finding::ok(NAME, "loaded and removed a filter with NAT"),
        Err(error) => network::no_filter(NAME, &error),
    }
}
