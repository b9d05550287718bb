//! The same through podman, for a sense of scale. Its storage and state are folders of ours.
//!
//! Two things that have no part in the comparison are taken out of its way, so that it works where
//! the server does: crun refuses machines that have cgroup v1 with v2 beside it, so each call gets
//! a mount namespace in which the v2 tree is not mounted; and limits that podman would raise by
//! default are set to small ones, as raising them takes a privilege that machines may lack.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, bail};

use crate::numbers::nanos;
use crate::report::Report;

const IMAGE: &str = "localhost/contree-bench";
const CONTAINER: &str = "contree-bench";

/// Leaves the v2 tree of a mixed machine and becomes podman.
const ALONE: &str = "umount /sys/fs/cgroup/unified 2> /dev/null; exec podman \"$@\"";

struct Podman {
    state: PathBuf,
}

/// Adds `podman run` and `podman run` + `podman commit`, or why they could not be measured.
pub(crate) fn measure(report: &mut Report, rootfs: &Path, folder: &Path, runs: usize) {
    let podman = Podman {
        state: folder.join("podman"),
    };
    match podman.measure(report, rootfs, runs) {
        Ok(()) => {}
        Err(error) => report.left_out(format!("podman: {error:#}")),
    }
    // Also when nothing could be measured; what is left is one folder under target/.
    let _ = podman.call(&["rmi", "--all", "--force"]);
}

impl Podman {
    fn measure(&self, report: &mut Report, rootfs: &Path, runs: usize) -> anyhow::Result<()> {
        fs::create_dir_all(&self.state)
            .with_context(|| format!("cannot make {}", self.state.display()))?;
        let rootfs = rootfs.to_str().context("the path is not text")?;
        self.call(&["import", rootfs, IMAGE])?;
        let limits = [
            "--ulimit",
            "nofile=1024:1024",
            "--ulimit",
            "nproc=1024:1024",
        ];
        let run = [&["run", "--name", CONTAINER][..], &limits, &[IMAGE, "true"]].concat();
        // Once unmeasured: the first unpacks what later ones find.
        self.call(&run)?;
        self.call(&["rm", CONTAINER])?;
        let (mut bare, mut committed) = (Vec::new(), Vec::new());
        for _ in 0..runs {
            let started = Instant::now();
            self.call(&run)?;
            bare.push(nanos(started.elapsed()));
            self.call(&[
                "commit",
                "--quiet",
                CONTAINER,
                "localhost/contree-bench-result",
            ])?;
            committed.push(nanos(started.elapsed()));
            self.call(&["rm", CONTAINER])?;
        }
        report.latency("podman run", &bare);
        report.latency("podman run + commit", &committed);
        Ok(())
    }

    fn call(&self, args: &[&str]) -> anyhow::Result<()> {
        let output = Command::new("unshare")
            .args(["--mount", "sh", "-c", ALONE, "podman", "--root"])
            .arg(self.state.join("storage"))
            .arg("--runroot")
            .arg(self.state.join("run"))
            .args(args)
            .stdin(Stdio::null())
            .output()
            .context("unshare cannot be started")?;
        if output.status.code() == Some(127) {
            bail!("it is not installed");
        }
        if !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr);
            let last = errors
                .lines()
                .rfind(|line| !line.trim().is_empty())
                .unwrap_or("no message");
            bail!("`podman {}` failed: {last}", args.first().unwrap_or(&""));
        }
        Ok(())
    }
}
