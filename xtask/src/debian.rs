//! What tests, benchmarks and the quick start need from Debian: programs, and a root filesystem.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

use crate::programs;

/// A program and the package that brings it.
pub(crate) struct Need {
    program: &'static str,
    package: &'static str,
    /// Arguments with which the program succeeds only when the whole package is there; none when
    /// the program alone tells.
    probe: &'static [&'static str],
}

const fn need(program: &'static str, package: &'static str) -> Need {
    Need {
        program,
        package,
        probe: &[],
    }
}

impl Need {
    const fn probed_by(self, probe: &'static [&'static str]) -> Self {
        Self { probe, ..self }
    }

    fn is_met(&self) -> bool {
        let Some(program) = programs::find(self.program) else {
            return false;
        };
        self.probe.is_empty()
            || Command::new(program)
                .args(self.probe)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success())
    }
}

/// What the server itself calls.
pub(crate) const SERVER: &[Need] = &[need("nft", "nftables")];
/// What makes a Debian root filesystem.
pub(crate) const ROOTFS: &[Need] = &[need("mmdebstrap", "mmdebstrap")];
/// A registry, and what fills it.
pub(crate) const REGISTRY: &[Need] = &[
    need("docker-registry", "docker-registry"),
    need("skopeo", "skopeo"),
    need("umoci", "umoci"),
];
/// Password files for a registry that asks for them.
pub(crate) const PASSWORDS: &[Need] = &[need("htpasswd", "apache2-utils")];
/// What tests of the sandboxes' network lay cables with, and take into their images.
pub(crate) const NETWORK: &[Need] = &[
    need("ip", "iproute2"),
    need("iptables", "iptables"),
    need("nsenter", "util-linux"),
    need("perl", "perl-base"),
    need("getent", "libc-bin"),
];
/// What makes virtual environments for the published clients. Debian's Python comes without the
/// modules that make them.
pub(crate) const PYTHON: &[Need] =
    &[need("python3", "python3-venv").probed_by(&["-c", "import venv, ensurepip"])];

/// What tests of searching in images are judged by.
pub(crate) const SEARCH: &[Need] = &[need("rg", "ripgrep")];

/// The folder of [`FONTS`].
pub(crate) const FONT_FOLDER: &str = "/usr/share/fonts/truetype/dejavu";
/// What pictures of terminals are written with.
pub(crate) const FONTS: &[Need] = &[need("test", "fonts-dejavu-core").probed_by(&[
    "-f",
    "/usr/share/fonts/truetype/dejavu/DejaVuSansMono-Bold.ttf",
])];

/// Debian's release that root filesystems are made of.
const SUITE: &str = "bookworm";

/// Whether this process may do what needs root.
pub(crate) fn is_root() -> bool {
    // The owner of our own folder in /proc is our effective user.
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// Installs the packages of the programs that are missing, and only those.
pub(crate) fn install(needs: &[&[Need]]) -> anyhow::Result<()> {
    let missing: Vec<&Need> = needs
        .iter()
        .copied()
        .flatten()
        .filter(|need| !need.is_met())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().map(|n| n.package).collect();
    let listed = packages.join(" ");
    if programs::find("apt-get").is_none() {
        let names: Vec<&str> = missing.iter().map(|n| n.program).collect();
        bail!(
            "these programs are missing or incomplete: {}; on Debian they are the packages {listed}: install \
             your system's own and run this again",
            names.join(", ")
        );
    }
    if !is_root() {
        bail!("packages are missing: run `apt-get install {listed}` as root, then this again");
    }
    programs::run(Command::new("apt-get").args(["update", "--quiet=2"]))?;
    programs::run(
        Command::new("apt-get")
            .args(["install", "--yes", "--quiet=2", "--no-install-recommends"])
            .args(&packages)
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )?;
    // The package brings a service that would listen on every address from now on; registries of
    // ours are started when needed, on loopback.
    if packages.contains(&"docker-registry") && Path::new("/run/systemd/system").exists() {
        programs::run(Command::new("systemctl").args(["disable", "--now", "docker-registry"]))?;
    }
    Ok(())
}

/// A tar of a small Debian root with certificates, made once and kept in target/.
pub(crate) fn rootfs() -> anyhow::Result<PathBuf> {
    root("debian", &["ca-certificates"], &[])
}

/// A tar of a Debian root with what Dockerfiles of tests build with, made once and kept in target/.
pub(crate) fn tools() -> anyhow::Result<PathBuf> {
    // What is only read by people would be half of it.
    let exclude = ["doc", "man", "locale"]
        .map(|folder| format!("--dpkgopt=path-exclude=/usr/share/{folder}/*"));
    let packages = [
        "ca-certificates",
        "gcc",
        "libc6-dev",
        "make",
        "nodejs",
        "python3",
    ];
    root("debian-tools", &packages, &exclude)
}

/// A tar of a Debian root with these packages.
fn root(name: &str, packages: &[&str], options: &[String]) -> anyhow::Result<PathBuf> {
    let folder = programs::target().join("test-cache");
    let tar = folder.join(format!("{name}.tar"));
    if tar.exists() {
        return Ok(tar);
    }
    if !is_root() {
        bail!("a Debian root filesystem is made by mmdebstrap as root: run this as root");
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    // mmdebstrap tells the format by the name's end; a broken off run never has the final name.
    let partial = folder.join(format!("{name}.partial.tar"));
    programs::run(
        Command::new("mmdebstrap")
            .args(["--quiet", "--variant=minbase"])
            .arg(format!("--include={}", packages.join(",")))
            .args(options)
            .arg(SUITE)
            .arg(&partial),
    )?;
    fs::rename(&partial, &tar).with_context(|| format!("cannot name {}", tar.display()))?;
    Ok(tar)
}
