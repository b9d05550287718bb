//! What only trying can tell: whether a sandbox starts here.
//!
//! The trial is the real thing: a host of its own, in a slot of its own beside any running
//! server's, starts one sandbox from an image that holds a single program, in a folder on the
//! filesystem that the data is or will be on. What the host found out on the way, about control
//! groups and the network, is reported with it.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::{Finding, Subject, chain};
use crate::host::{Host, HostConfig, SpawnError};
use crate::network::{self, NetworkConfig};
use crate::{Job, Limits, Process};

const NAME: &str = "sandbox";

/// Every trial. They undo what they do.
pub(super) async fn all(subject: &Subject) -> Vec<Finding> {
    let mut findings = vec![packet_filter().await];
    match sandbox(subject).await {
        Ok((report, finding)) => {
            findings.extend(report);
            findings.push(finding);
        }
        Err(finding) => findings.push(finding),
    }
    findings
}

async fn packet_filter() -> Finding {
    const NAME: &str = "nftables";
    match network::try_filter().await {
        Ok(()) => Finding::ok(NAME, "loaded and removed a filter with NAT"),
        Err(error) => network::no_filter(NAME, &error),
    }
}

/// What the host reports, and how the sandbox went.
async fn sandbox(subject: &Subject) -> Result<(Vec<Finding>, Finding), Finding> {
    let store = TrialStore::make(&subject.data_dir, &subject.launcher).map_err(|error| {
        Finding::missing(
            NAME,
            format!("cannot write to {}: {error}", subject.data_dir.display()),
            "choose a data folder that can be written to, and run as root",
        )
    })?;
    let config = HostConfig {
        launcher: subject.launcher.clone(),
        store: store.root.clone(),
        network: NetworkConfig {
            pool: 1,
            ..NetworkConfig::default()
        },
        defaults: Limits::default(),
    };
    let host = Host::start(config).await.map_err(|error| {
        Finding::missing(
            NAME,
            format!("cannot be made: {}", chain(&error)),
            "run as root of the machine, with contree-sandbox beside contree, and mend what is \
             missing above",
        )
    })?;
    let outcome = host.spawn(job()).await;
    let finding = match outcome {
        Ok((sandbox, running)) => {
            let exit = running.exit.await;
            sandbox.kill();
            sandbox.gone().await;
            tracing::debug!(?exit, "the trial's program ended");
            started()
        }
        // A program that is not static finds no loader in an image of its own, but to find that
        // out the sandbox was complete.
        Err(SpawnError::Exec { .. }) => started(),
        Err(error) => Finding::missing(
            NAME,
            format!("does not start: {}", chain(&error)),
            "mend what is missing above; the step names what the kernel refused",
        ),
    };
    let report = host.report().to_vec();
    host.shutdown().await;
    Ok((report, finding))
}

fn started() -> Finding {
    Finding::ok(
        NAME,
        "started one, on an overlay of idmapped layers in the data folder",
    )
}

/// Runs the only program there is, which ends at once as its input is no socket.
fn job() -> Job {
    Job {
        name: "doctor".to_owned(),
        lowers: vec!["layers/trial".to_owned()],
        upper: "uppers/trial/upper".to_owned(),
        work: "uppers/trial/work".to_owned(),
        hostname: "doctor".to_owned(),
        network: true,
        limits: Limits::default(),
        files: Vec::new(),
        process: Process {
            program: crate::Program::Command(vec![b"/program".to_vec()]),
            env: Vec::new(),
            cwd: b"/".to_vec(),
            uid: 0,
            gid: 0,
            stdin: false,
        },
    }
}

/// A layer store with one layer, removed when dropped.
struct TrialStore {
    root: PathBuf,
}

impl TrialStore {
    fn make(data_dir: &Path, program: &Path) -> io::Result<Self> {
        let existing = data_dir
            .ancestors()
            .find(|path| path.is_dir())
            .unwrap_or(Path::new("/"));
        let root = existing.join(format!(".contree-doctor-{}", std::process::id()));
        fs::DirBuilder::new().mode(0o700).create(&root)?;
        let store = Self { root };
        let layer = store.root.join("layers/trial");
        for folder in ["proc", "sys", "dev", "etc"] {
            fs::create_dir_all(layer.join(folder))?;
        }
        for file in ["etc/resolv.conf", "etc/hosts"] {
            fs::write(layer.join(file), "")?;
        }
        fs::copy(program, layer.join("program"))?;
        fs::set_permissions(layer.join("program"), fs::Permissions::from_mode(0o755))?;
        for folder in ["upper", "work"] {
            fs::create_dir_all(store.root.join("uppers/trial").join(folder))?;
        }
        Ok(store)
    }
}

impl Drop for TrialStore {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.root) {
            tracing::warn!(%error, folder = %self.root.display(), "the trial's folder stays");
        }
    }
}
