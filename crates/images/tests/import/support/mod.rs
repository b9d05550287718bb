//! What the tests share: a store of their own, images made by hand, registries, comparisons.

pub(crate) mod fake_registry;
pub(crate) mod image;
pub(crate) mod registry;
pub(crate) mod tarball;
pub(crate) mod tree;

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use contree_api::LayerId;
use contree_api::image::Credentials;
use contree_images::Store;
use contree_images::import::{
    ImportConfig, ImportError, Imported, Importer, Input, Limits, Platform, Progress, Reference,
    Source,
};
use tempfile::TempDir;

/// A store in a folder of its own, beside which nothing may appear.
pub(crate) struct Env {
    pub(crate) folder: TempDir,
    pub(crate) store: Store,
    pub(crate) importer: Importer,
    pub(crate) progress: Arc<Mutex<Vec<Progress>>>,
}

impl Env {
    /// With the usual limits, and short waits between attempts.
    pub(crate) fn new() -> Self {
        Self::with(limits())
    }

    pub(crate) fn with(limits: Limits) -> Self {
        Self::configured(limits, &["localhost", "127.0.0.1"])
    }

    /// With these registries allowed and no others.
    pub(crate) fn allowing(registries: &[&str]) -> Self {
        Self::configured(limits(), registries)
    }

    fn configured(limits: Limits, registries: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("canary"), "alive").unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        let config = ImportConfig {
            allowed: registries
                .iter()
                .map(|name| name.parse().unwrap())
                .collect(),
            limits,
            platform: Platform::linux("amd64", None),
        };
        let importer = Importer::new(store.clone(), config);
        Self {
            folder,
            store,
            importer,
            progress: Arc::default(),
        }
    }

    pub(crate) async fn import(&self, input: Input) -> Result<Imported, ImportError> {
        let resolved = self.importer.resolve(input).await?;
        let progress = Arc::clone(&self.progress);
        let sink = Arc::new(move |report| progress.lock().unwrap().push(report));
        self.importer.fetch(resolved, LayerId::new(), sink).await
    }

    pub(crate) async fn pull(&self, url: &str) -> Result<Imported, ImportError> {
        self.import(Input::Registry {
            reference: reference(url),
            credentials: None,
        })
        .await
    }

    pub(crate) async fn pull_as(
        &self,
        url: &str,
        user: &str,
        password: &str,
    ) -> Result<Imported, ImportError> {
        let credentials = Some(Credentials {
            username: Some(user.into()),
            password: Some(password.into()),
        });
        self.import(Input::Registry {
            reference: reference(url),
            credentials,
        })
        .await
    }

    pub(crate) async fn archive(&self, bytes: &[u8]) -> Result<Imported, ImportError> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        self.import(Input::Archive(file)).await
    }

    pub(crate) async fn archive_file(&self, path: &Path) -> Result<Imported, ImportError> {
        self.import(Input::Archive(File::open(path).unwrap())).await
    }

    /// Where a layer lies on disk.
    pub(crate) fn layer(&self, layer: LayerId) -> PathBuf {
        self.folder
            .path()
            .join("store/layers")
            .join(layer.uuid().simple().to_string())
    }

    /// A failed import must leave the store as it was, and the world outside too.
    pub(crate) async fn assert_nothing_left(&self) {
        assert_eq!(
            self.store.layer_ids().unwrap().count(),
            0,
            "a layer was committed"
        );
        let store = self.folder.path().join("store");
        // What an import throws away goes through staging into the trash and is removed there by
        // a thread; both end empty.
        let empty = || {
            ["staging", "trash"].iter().all(|name| {
                std::fs::read_dir(store.join(name))
                    .unwrap()
                    .next()
                    .is_none()
            })
        };
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        while !empty() {
            assert!(
                std::time::Instant::now() < deadline,
                "staging or trash is not empty"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let mut names: Vec<_> = std::fs::read_dir(self.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["canary", "store"]);
        assert_eq!(
            std::fs::read_to_string(self.folder.path().join("canary")).unwrap(),
            "alive"
        );
    }
}

/// Bounds small enough to reach, waits short enough to sit through.
pub(crate) fn limits() -> Limits {
    Limits {
        first_wait: Duration::from_millis(1),
        longest_wait: Duration::from_secs(2),
        connect_timeout: Duration::from_secs(10),
        silence_timeout: Duration::from_secs(20),
        progress_interval: Duration::ZERO,
        ..Limits::default()
    }
}

pub(crate) fn reference(url: &str) -> Reference {
    match Source::parse(url).unwrap() {
        Source::Registry(reference) => reference,
        Source::Upload(_) => panic!("{url} is an upload"),
    }
}

/// Runs a program and insists on its success.
pub(crate) fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{program} is needed for this test: {error}"));
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}
