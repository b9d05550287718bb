//! Root filesystems to import.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::given;

/// A tar of a Debian root with apt and certificates.
#[must_use]
pub fn debian() -> PathBuf {
    given("CONTREE_TEST_ROOTFS")
}

/// A tar of a Debian root with Python, Node, a C compiler and make.
#[must_use]
pub fn tools() -> PathBuf {
    given("CONTREE_TEST_TOOLS")
}

/// A tar of just enough of it for a shell and the everyday tools, imported in no time.
pub struct Tiny {
    folder: TempDir,
}

/// Programs of the tiny root, in /usr/bin.
const PROGRAMS: &[&str] = &[
    "cat",
    "chmod",
    "chown",
    "cp",
    "dash",
    "date",
    "dd",
    "echo",
    "env",
    "false",
    "head",
    "id",
    "ln",
    "ls",
    "mkdir",
    "mv",
    "printenv",
    "pwd",
    "rm",
    "seq",
    "sh",
    "sha256sum",
    "sleep",
    "sort",
    "stat",
    "tail",
    "test",
    "touch",
    "true",
    "uname",
    "wc",
    "yes",
];

/// What they are linked with, by the start of the file's name.
const LIBRARIES: &[&str] = &[
    "ld-linux",
    "libacl.",
    "libattr.",
    "libc.",
    "libcap.",
    "libcrypto.",
    "libgmp.",
    "libm.",
    "libpcre2-8.",
    "libselinux.",
];

/// Everything else that a root has.
const OTHERS: &[&str] = &[
    "bin",
    "dev",
    "etc",
    "etc/debian_version",
    "etc/group",
    "etc/os-release",
    "etc/passwd",
    "home",
    "lib",
    "lib64",
    "proc",
    "root",
    "run",
    "sbin",
    "sys",
    "tmp",
    "usr",
    "usr/bin",
    "usr/lib",
    "usr/lib/os-release",
    "usr/lib64",
    "usr/sbin",
    "var",
    "var/tmp",
];

impl Tiny {
    /// Makes one from the Debian root.
    #[must_use]
    pub fn new() -> Self {
        let folder = TempDir::with_prefix("contree-rootfs-").expect("a folder for the tiny root");
        let source = File::open(debian()).expect("the Debian root can be opened");
        let mut source = tar::Archive::new(BufReader::new(source));
        let target = File::create(folder.path().join("tiny.tar")).expect("the tiny root is made");
        let mut target = tar::Builder::new(target);
        let mut seen = BTreeSet::new();
        for entry in source.entries().expect("the Debian root is a tar") {
            let entry = entry.expect("the Debian root is a tar");
            let path = entry.path().expect("an entry has a path").into_owned();
            let name = path.to_string_lossy();
            let name = name
                .trim_start_matches("./")
                .trim_end_matches('/')
                .to_owned();
            if !wanted(&name) {
                continue;
            }
            let mut header = entry.header().clone();
            let link = entry
                .link_name()
                .expect("a link has a target")
                .map(std::borrow::Cow::into_owned);
            match link {
                Some(link) => target.append_link(&mut header, &path, &link),
                None => target.append_data(&mut header, &path, entry),
            }
            .expect("an entry is copied");
            seen.insert(name);
        }
        for program in PROGRAMS {
            assert!(
                seen.contains(&format!("usr/bin/{program}")),
                "the Debian root lacks {program}"
            );
        }
        target.finish().expect("the tiny root is written");
        Self { folder }
    }

    /// The tar.
    #[must_use]
    pub fn tar(&self) -> PathBuf {
        self.folder.path().join("tiny.tar")
    }
}

impl Default for Tiny {
    fn default() -> Self {
        Self::new()
    }
}

fn wanted(name: &str) -> bool {
    if let Some(program) = name.strip_prefix("usr/bin/") {
        return PROGRAMS.contains(&program);
    }
    let (folder, file) = name.rsplit_once('/').unwrap_or(("", name));
    let in_libraries =
        folder == "usr/lib64" || folder.starts_with("usr/lib/") && folder.ends_with("-linux-gnu");
    let folder_of_libraries = folder == "usr/lib" && file.ends_with("-linux-gnu");
    folder_of_libraries
        || in_libraries && LIBRARIES.iter().any(|start| file.starts_with(start))
        || OTHERS.contains(&name)
}

/// Whether the mirror that the Debian root installs from answers to this machine. When not, says
/// so: what needs it cannot be tested here.
pub async fn mirror_answers() -> bool {
    let Some(url) = mirror(&debian()) else {
        eprintln!("not tested: the Debian root names no mirror");
        return false;
    };
    let host = url.split('/').nth(2).unwrap_or_default();
    let address = if host.contains(':') {
        host.to_owned()
    } else {
        format!("{host}:80")
    };
    let connected = tokio::time::timeout(
        Duration::from_secs(10),
        tokio::net::TcpStream::connect(&address),
    )
    .await;
    let answers = matches!(connected, Ok(Ok(_)));
    if !answers {
        eprintln!("not tested: the mirror {url} does not answer to this machine");
    }
    answers
}

/// The first `http:` URL of etc/apt/sources.list.
fn mirror(tar: &Path) -> Option<String> {
    let mut archive = tar::Archive::new(BufReader::new(File::open(tar).ok()?));
    for entry in archive.entries().ok()? {
        let entry = entry.ok()?;
        if entry.path().ok()?.ends_with("etc/apt/sources.list") {
            let text = std::io::read_to_string(entry).ok()?;
            let url = text
                .split_whitespace()
                .find(|word| word.starts_with("http://"))?;
            return Some(url.to_owned());
        }
    }
    None
}
