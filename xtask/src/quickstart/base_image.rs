//! Where the walk's base image comes from: Docker Hub when it answers, else a Debian root made
//! here and served by a real registry on loopback.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::debian;
use crate::programs;

use super::background::Background;

/// An image that can be imported.
pub(super) struct BaseImage {
    /// For `contree images import`.
    pub(super) reference: String,
    /// The tag it gets.
    pub(super) tag: String,
    /// The registry to allow on the server, when it is one of ours.
    pub(super) allow: Option<String>,
    _registry: Option<Background>,
}

/// What the walk imports.
const TAG: &str = "debian:bookworm-slim";
/// How long Docker Hub has to answer.
const HUB_PATIENCE: &str = "8s";

/// Finds a base image.
pub(super) fn find(folder: &Path) -> anyhow::Result<BaseImage> {
    debian::install(&[debian::REGISTRY])?;
    if hub_answers() {
        println!("Docker Hub answers");
        return Ok(BaseImage {
            reference: TAG.to_owned(),
            tag: TAG.to_owned(),
            allow: None,
            _registry: None,
        });
    }
    println!("Docker Hub does not answer from here: a Debian root from mmdebstrap stands in");
    debian::install(&[debian::ROOTFS])?;
    let rootfs = debian::rootfs()?;
    let (registry, address) = registry(folder)?;
    let layout = folder.join("base");
    let image = format!("{}:base", layout.display());
    let umoci = || Command::new("umoci");
    programs::run(umoci().arg("init").arg("--layout").arg(&layout))?;
    programs::run(umoci().args(["new", "--image", &image]))?;
    programs::run(
        umoci()
            .args(["raw", "add-layer", "--image", &image])
            .arg(&rootfs),
    )?;
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    programs::run(umoci().args(["config", "--image", &image, "--config.env", path]))?;
    programs::run(
        Command::new("skopeo")
            .args([
                "--insecure-policy",
                "copy",
                "--quiet",
                "--dest-tls-verify=false",
            ])
            .arg(format!("oci:{image}"))
            .arg(format!("docker://{address}/{TAG}")),
    )?;
    fs::remove_dir_all(&layout).with_context(|| format!("cannot remove {}", layout.display()))?;
    Ok(BaseImage {
        reference: format!("{address}/{TAG}"),
        tag: TAG.to_owned(),
        allow: Some(address),
        _registry: Some(registry),
    })
}

/// Whether Docker Hub gives out the image's manifest within seconds.
fn hub_answers() -> bool {
    Command::new("skopeo")
        .args([
            "--insecure-policy",
            "--command-timeout",
            HUB_PATIENCE,
            "inspect",
            "--raw",
        ])
        .arg(format!("docker://docker.io/library/{TAG}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Starts an empty registry on a free port of loopback.
fn registry(folder: &Path) -> anyhow::Result<(Background, String)> {
    let free = TcpListener::bind("127.0.0.1:0").context("cannot find a free port")?;
    let address = free.local_addr().context("cannot find a free port")?;
    drop(free);
    let config = folder.join("registry.yml");
    fs::write(
        &config,
        format!(
            "version: 0.1\nlog: {{ level: warn }}\nstorage: {{ filesystem: {{ rootdirectory: {} }} }}\n\
             http: {{ addr: \"{address}\" }}\n",
            folder.join("registry").display()
        ),
    )
    .context("cannot write the registry's settings")?;
    let mut serve = Command::new("docker-registry");
    serve.arg("serve").arg(&config);
    println!("$ {} &", programs::shown(&serve));
    let mut registry = Background::start(&mut serve, &folder.join("registry.log"))?;
    let until = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(address).is_err() {
        if !registry.runs() || Instant::now() > until {
            bail!("the registry does not listen; its log is target/quickstart/registry.log");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok((registry, address.to_string()))
}
