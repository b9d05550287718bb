//! Debian's docker-registry on a free port of loopback, alive as long as the value.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::image::Image;
use super::run;

pub(crate) struct DockerRegistry {
    process: Child,
    _folder: TempDir,
    address: String,
    credentials: Option<(String, String)>,
}

impl DockerRegistry {
    pub(crate) fn start() -> Self {
        Self::launch(None, None)
    }

    /// One that speaks HTTPS at an address, with the certificate and key of that folder.
    pub(crate) fn with_tls(address: &str, certificates: &Path) -> Self {
        Self::launch(None, Some((address, certificates)))
    }

    /// One that asks for a user name and password.
    pub(crate) fn with_password(user: &str, password: &str) -> Self {
        Self::launch(Some((user.into(), password.into())), None)
    }

    fn launch(credentials: Option<(String, String)>, tls: Option<(&str, &Path)>) -> Self {
        let host = tls.map_or("127.0.0.1", |(address, _)| address);
        let tls = tls.map_or_else(String::new, |(_, folder)| {
            let folder = folder.display();
            format!(", tls: {{certificate: {folder}/cert.pem, key: {folder}/key.pem}}")
        });
        let folder = TempDir::new().unwrap();
        let root = folder.path().display();
        let mut config = format!(
            "version: 0.1\nlog: {{level: info, accesslog: {{disabled: true}}}}\n\
             storage: {{filesystem: {{rootdirectory: {root}/data}}}}\n\
             http: {{addr: \"{host}:0\", secret: of-the-tests{tls}}}\n"
        );
        if let Some((user, password)) = &credentials {
            let line = run("htpasswd", &["-Bbn", user, password]);
            std::fs::write(folder.path().join("htpasswd"), line).unwrap();
            config.push_str(&format!(
                "auth: {{htpasswd: {{realm: tests, path: {root}/htpasswd}}}}\n"
            ));
        }
        let file = folder.path().join("config.yml");
        std::fs::write(&file, config).unwrap();
        // Should the test be killed, so is the registry.
        let mut process = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "docker-registry", "serve"])
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap()).lines();
        let port: u16 = log
            .by_ref()
            .map(|line| line.expect("docker-registry is needed for this test"))
            .find_map(|line| {
                let (_, rest) = line.split_once(&format!("listening on {host}:"))?;
                let port = rest.split(|c: char| !c.is_ascii_digit()).next()?;
                port.parse().ok()
            })
            .expect("docker-registry says where it listens");
        let name = if host == "127.0.0.1" {
            "localhost"
        } else {
            host
        };
        std::thread::spawn(move || log.for_each(drop));
        Self {
            process,
            _folder: folder,
            address: format!("{name}:{port}"),
            credentials,
        }
    }

    /// What to import for the repository `name`.
    pub(crate) fn url(&self, name: &str) -> String {
        format!("docker://{}/{name}", self.address)
    }

    /// Copies with skopeo, from a source in its words.
    pub(crate) fn push(&self, from: &str, name: &str, more: &[&str]) {
        let to = self.url(name);
        let mut arguments = vec![
            "--insecure-policy",
            "copy",
            "--dest-tls-verify=false",
            "--quiet",
        ];
        let credentials = self
            .credentials
            .as_ref()
            .map(|(user, password)| format!("{user}:{password}"));
        if let Some(credentials) = &credentials {
            arguments.extend(["--dest-creds", credentials]);
        }
        arguments.extend(more);
        arguments.extend([from, to.as_str()]);
        run("skopeo", &arguments);
    }

    pub(crate) fn push_image(&self, image: &Image, name: &str, more: &[&str]) {
        let layout = TempDir::new().unwrap();
        image.write_layout(layout.path());
        self.push(&oci(layout.path()), name, more);
    }
}

/// An OCI layout's image `latest`, in skopeo's words.
pub(crate) fn oci(layout: &Path) -> String {
    format!("oci:{}:latest", layout.display())
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        // Its own child, by its own handle.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
