//! The launcher by itself.

use std::os::fd::AsFd;
use std::path::Path;

use contree_sandbox::host::launcher::{Launcher, LauncherError};

const PROGRAM: &str = env!("CARGO_BIN_EXE_contree-sandbox");

#[tokio::test]
async fn privileged_namespaces_are_made() {
    let launcher = Launcher::new(Path::new(PROGRAM), None);
    let first = launcher.namespaces(40 << 16).await.unwrap();
    let second = launcher.namespaces(41 << 16).await.unwrap();
    let inode = |fd: &std::os::fd::OwnedFd| rustix::fs::fstat(fd.as_fd()).unwrap().st_ino;
    assert_ne!(inode(&first.user), inode(&second.user));
    assert_ne!(inode(&first.network), inode(&second.network));
    let output = std::process::Command::new("nsenter")
        .arg(format!("--user=/proc/{}/fd/{}", std::process::id(), raw(&first.user)))
        .arg(format!("--net=/proc/{}/fd/{}", std::process::id(), raw(&first.network)))
        .args(["sh", "-c", "cat /proc/self/uid_map /proc/self/gid_map; cat /sys/class/net/lo/flags; cat /proc/net/dev"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let maps: Vec<_> = text
        .lines()
        .take(2)
        .map(|l| l.split_whitespace().collect::<Vec<_>>())
        .collect();
    assert_eq!(
        maps,
        [["0", "2621440", "65536"], ["0", "2621440", "65536"]],
        "{text}"
    );
    assert!(text.contains("lo:"), "{text}");
}

#[tokio::test]
async fn privileged_ids_beyond_the_end_fail_with_the_step() {
    let launcher = Launcher::new(Path::new(PROGRAM), None);
    let error = launcher.namespaces(u32::MAX - 5).await.unwrap_err();
    let LauncherError::Step(failure) = error else {
        panic!("{error:?}")
    };
    assert_eq!(
        (failure.step.as_str(), failure.errno()),
        ("map user ids", 22)
    );
    launcher
        .namespaces(40 << 16)
        .await
        .expect("it goes on after a failure");
}

#[tokio::test]
async fn a_missing_program_is_named() {
    let launcher = Launcher::new(Path::new("/nonexistent/contree-sandbox"), None);
    let error = launcher.namespaces(0).await.unwrap_err();
    assert_eq!(error.to_string(), "start /nonexistent/contree-sandbox");
}

fn raw(fd: &std::os::fd::OwnedFd) -> i32 {
    std::os::fd::AsRawFd::as_raw_fd(fd)
}

#[tokio::test]
async fn a_program_that_ends_at_once_is_not_ready() {
    let error = Launcher::new(Path::new("/bin/true"), None)
        .namespaces(0)
        .await
        .unwrap_err();
    assert!(matches!(error, LauncherError::NotReady { .. }), "{error:?}");
}

#[tokio::test]
async fn a_program_of_another_build_is_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("contree-sandbox");
    std::fs::write(&program, "#!/bin/sh\nprintf 12345678 >&0\nread line\n").unwrap();
    std::fs::set_permissions(
        &program,
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    let error = Launcher::new(&program, None)
        .namespaces(0)
        .await
        .unwrap_err();
    assert!(
        matches!(error, LauncherError::OtherBuild { .. }),
        "{error:?}"
    );
}
