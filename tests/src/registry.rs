//! A real registry on loopback, filled by real tools.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Longest wait for a registry to listen.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running docker-registry, ended when dropped.
pub struct Registry {
    folder: TempDir,
    address: String,
    credentials: Option<(String, String)>,
    child: Child,
}

impl Registry {
    /// One that everybody may read and write.
    #[must_use]
    pub fn open() -> Self {
        Self::start("127.0.0.1", None)
    }

    /// One that asks for this user and password.
    #[must_use]
    pub fn with_password(user: &str, password: &str) -> Self {
        Self::with_password_on("127.0.0.1", user, password)
    }

    /// The same on another address of the loopback network, of which every port is free.
    #[must_use]
    pub fn with_password_on(host: &str, user: &str, password: &str) -> Self {
        Self::start(host, Some((user.to_owned(), password.to_owned())))
    }

    fn start(host: &str, credentials: Option<(String, String)>) -> Self {
        let folder = TempDir::with_prefix("contree-registry-").expect("a folder for the registry");
        let path = |name: &str| folder.path().join(name).display().to_string();
        let mut config = format!(
            "version: 0.1\nlog: {{ level: info }}\n\
             storage: {{ filesystem: {{ rootdirectory: {} }} }}\n\
             http: {{ addr: \"{host}:0\" }}\n",
            path("storage")
        );
        if let Some((user, password)) = &credentials {
            let line = output(Command::new("htpasswd").args(["-nbB", user, password]));
            fs::write(path("htpasswd"), line).expect("the password file is written");
            let auth = format!(
                "auth: {{ htpasswd: {{ realm: test, path: {} }} }}\n",
                path("htpasswd")
            );
            config.push_str(&auth);
        }
        fs::write(path("config.yml"), config).expect("the registry's settings are written");
        let log = File::create(path("log")).expect("a log for the registry");
        let mut child = Command::new("docker-registry")
            .arg("serve")
            .arg(path("config.yml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("docker-registry starts");
        let started = Instant::now();
        let address = loop {
            let ended = child.try_wait().expect("the registry can be waited for");
            let log = fs::read_to_string(path("log")).unwrap_or_default();
            if let Some(address) = listens_at(&log) {
                break address.to_owned();
            }
            assert!(ended.is_none(), "the registry ended: {log}");
            assert!(started.elapsed() < PATIENCE, "no registry: {log}");
            std::thread::sleep(Duration::from_millis(20));
        };
        Self {
            folder,
            address,
            credentials,
            child,
        }
    }

    /// `HOST:PORT`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Puts a root filesystem into it as `REPOSITORY:TAG`, with a `PATH` in its environment and
    /// further `KEY=VALUE`s.
    pub fn push(&self, tar: &Path, name: &str, env: &[&str]) {
        let layout = self.folder.path().join("layout");
        if layout.exists() {
            fs::remove_dir_all(&layout).expect("the old layout is removed");
        }
        let image = format!("{}:image", layout.display());
        let umoci = || Command::new("umoci");
        output(umoci().arg("init").arg("--layout").arg(&layout));
        output(umoci().args(["new", "--image", &image]));
        output(
            umoci()
                .args(["raw", "add-layer", "--image", &image])
                .arg(tar),
        );
        let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        for variable in [path].iter().chain(env) {
            output(umoci().args(["config", "--image", &image, "--config.env", variable]));
        }
        let mut copy = Command::new("skopeo");
        copy.args([
            "--insecure-policy",
            "copy",
            "--quiet",
            "--dest-tls-verify=false",
        ]);
        if let Some((user, password)) = &self.credentials {
            copy.arg(format!("--dest-creds={user}:{password}"));
        }
        copy.arg(format!("oci:{image}"));
        output(copy.arg(format!("docker://{}/{name}", self.address)));
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the registry says in its log of the port it was given, once it listens there.
fn listens_at(log: &str) -> Option<&str> {
    let (_, told) = log.split_once("msg=\"listening on ")?;
    let (address, _) = told.split_once('"')?;
    Some(address)
}

/// Runs a tool that must succeed.
fn output(command: &mut Command) -> Vec<u8> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed: {errors}");
    output.stdout
}
