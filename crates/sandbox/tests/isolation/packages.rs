//! What root in a sandbox can do: all that a package manager does, through the real network.

use std::net::{TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use contree_sandbox::Process;

use crate::sandboxes::{World as Sandboxes, finish_within, process};

/// Longest wait for the mirror and the installation: less than a test may take at all.
const PATIENCE: Duration = Duration::from_secs(240);

/// A tar of a Debian root, where the test runner has put one.
fn debian() -> PathBuf {
    std::env::var_os("CONTREE_TEST_ROOTFS").map_or_else(PathBuf::new, PathBuf::from)
}

/// Whether the first mirror that the Debian root installs from answers.
fn reaches_a_mirror(tar: &Path) -> bool {
    let list = Command::new("tar")
        .args(["--extract", "--to-stdout", "--file"])
        .arg(tar)
        .arg("./etc/apt/sources.list")
        .output()
        .expect("tar");
    let list = String::from_utf8_lossy(&list.stdout);
    let host = list
        .split_whitespace()
        .find_map(|word| word.strip_prefix("http://")?.split('/').next());
    let mut addresses = host
        .map(|host| (host, 80).to_socket_addrs())
        .into_iter()
        .flatten()
        .flatten();
    addresses.any(|address| TcpStream::connect_timeout(&address, Duration::from_secs(10)).is_ok())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn privileged_packages_install() {
    let tar = debian();
    assert!(
        tar.exists(),
        "set CONTREE_TEST_ROOTFS to a tar of a Debian root"
    );
    if !reaches_a_mirror(&tar) {
        println!("not run: this machine reaches no Debian mirror");
        return;
    }
    let sandboxes = Sandboxes::new().await;
    let layer = sandboxes.store().join("layers/debian");
    std::fs::create_dir(&layer).unwrap();
    let unpacked = Command::new("tar")
        .args(["--numeric-owner", "--exclude=./dev/*", "-xf"])
        .arg(&tar)
        .arg("-C")
        .arg(&layer)
        .status()
        .unwrap();
    assert!(unpacked.success());
    let mut job = sandboxes.job("");
    job.lowers = vec!["layers/debian".into(), "layers/skeleton".into()];
    job.network = true;
    job.process = Process {
        env: vec![
            (b"PATH".to_vec(), b"/usr/sbin:/usr/bin:/sbin:/bin".to_vec()),
            (b"DEBIAN_FRONTEND".to_vec(), b"noninteractive".to_vec()),
        ],
        ..process(&[
            "sh",
            "-ec",
            "apt-get update -q
             apt-get install -qy --no-install-recommends hello
             hello
             useradd --create-home guest
             chown guest:daemon /home/guest && stat -c %U:%G /home/guest
             mount -t tmpfs none /mnt && touch /mnt/file && umount /mnt",
        ])
    };
    let (sandbox, running) = sandboxes.host.spawn(job).await.expect("a sandbox");
    let outcome = finish_within(PATIENCE, running).await;
    sandbox.gone().await;
    let text = outcome.ok();
    assert!(text.contains("Hello, world!\n"), "{text}");
    assert!(text.ends_with("guest:daemon\n"), "{text}");
    sandboxes.end().await;
}
