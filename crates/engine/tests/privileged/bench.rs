//! An engine in a folder of its own with a tiny image.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use contree_api::event::{Event, EventData};
use contree_api::image::{ImageImportRequest, ImageRef, Registry};
use contree_api::instance::{InstanceResult, InstanceSpawnRequest};
use contree_api::operation::{OperationMetadata, OperationResponse, OperationStatus};
use contree_api::{FileId, ImageId, OperationId, StreamRepr};
use contree_engine::{
    Durability, Engine, EngineConfig, EventQuery, EventStream, Identity, NetworkConfig, OfToken,
};
use futures_util::StreamExt as _;

/// Programs of the tiny image.
const PROGRAMS: [&str; 22] = [
    "sh", "cat", "chmod", "chown", "dd", "env", "false", "head", "id", "ln", "ls", "mkdir", "mv",
    "printenv", "pwd", "rm", "seq", "sleep", "stat", "true", "wc", "yes",
];

pub(crate) struct Bench {
    pub(crate) engine: Engine,
    pub(crate) identity: Identity,
    pub(crate) folder: tempfile::TempDir,
}

pub(crate) fn sandbox_binary() -> PathBuf {
    let folder = std::env::var_os("CONTREE_TEST_BIN").map_or_else(
        || {
            std::env::current_exe()
                .unwrap()
                .ancestors()
                .nth(2)
                .unwrap()
                .to_owned()
        },
        PathBuf::from,
    );
    folder.join("contree-sandbox")
}

/// Quick settings: a small stock of networks, no waiting for the disk.
pub(crate) fn config(data_dir: &Path) -> EngineConfig {
    let mut config = EngineConfig::new(data_dir, sandbox_binary());
    config.durability = Durability::Relaxed;
    config.network = NetworkConfig {
        pool: Some(2),
        ..NetworkConfig::default()
    };
    config.min_free_bytes = 1;
    config
}

impl Bench {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut EngineConfig)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(&folder.path().join("data"));
        change(&mut config);
        let (engine, first) = Engine::start(config).await.unwrap();
        let identity = engine
            .authenticate(&first.unwrap().token, None)
            .await
            .unwrap();
        Self {
            engine,
            identity,
            folder,
        }
    }

    /// Ends the engine and starts another on the same data, with other settings.
    pub(crate) async fn restart_with(self, change: impl FnOnce(&mut EngineConfig)) -> Self {
        self.engine.drain(Duration::from_secs(30)).await;
        let mut config = self.engine.config().clone();
        change(&mut config);
        drop(self.engine);
        let (engine, first) = Engine::start(config).await.unwrap();
        assert!(first.is_none());
        Self {
            engine,
            identity: self.identity,
            folder: self.folder,
        }
    }

    /// Ends the engine, so that nothing of it is left on the machine.
    pub(crate) async fn stop(self) {
        self.engine.drain(Duration::from_secs(30)).await;
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) async fn upload(&self, bytes: &[u8]) -> FileId {
        let mut upload = self.engine.begin_upload(&self.identity).await.unwrap();
        for piece in bytes.chunks(100_000) {
            upload.write(piece).await.unwrap();
        }
        upload.finish().await.unwrap().uuid
    }

    pub(crate) async fn import(&self, archive: &[u8], tag: Option<&str>) -> OperationResponse {
        let file = self.upload(archive).await;
        let request = ImageImportRequest {
            registry: Registry {
                url: format!("upload:{file}"),
                credentials: None,
            },
            tag: tag.map(|tag| tag.parse().unwrap()),
            timeout: None,
        };
        let operation = self.engine.import(&self.identity, request).await.unwrap();
        self.finished(operation).await
    }

    /// The tiny image.
    pub(crate) async fn tiny(&self) -> ImageId {
        let imported = self
            .import(&tiny_root(self.folder.path()), Some("tiny"))
            .await;
        assert_eq!(
            imported.summary.status,
            OperationStatus::Success,
            "{imported:?}"
        );
        imported.summary.result_image_uuid.unwrap()
    }

    pub(crate) async fn spawn(&self, request: InstanceSpawnRequest) -> OperationId {
        self.engine
            .spawn(&self.identity, request)
            .await
            .unwrap()
            .uuid
    }

    /// Carries a request out and waits for its end.
    pub(crate) async fn run(&self, request: InstanceSpawnRequest) -> Run {
        let operation = self.spawn(request).await;
        Run::of(self.finished(operation).await)
    }

    /// A shell expression on an image; it must succeed with exit code 0.
    pub(crate) async fn sh(&self, image: ImageId, expression: &str) -> Run {
        let run = self.run(shell(image, expression)).await;
        assert_eq!(
            run.status,
            OperationStatus::Success,
            "{expression}: {:?}",
            run.error
        );
        assert_eq!(run.exit_code(), 0, "{expression}: {}", run.stderr());
        run
    }

    pub(crate) async fn stream(
        &self,
        operation: OperationId,
        query: EventQuery,
    ) -> OfToken<EventStream> {
        self.engine
            .events(&self.identity, operation, query)
            .await
            .unwrap()
    }

    /// Every event, until the operation has ended.
    pub(crate) async fn events(&self, operation: OperationId) -> Vec<Event> {
        let query = EventQuery {
            follow: true,
            ..EventQuery::default()
        };
        let mut stream = self.stream(operation, query).await;
        let mut events = Vec::new();
        while let Some(line) = stream.next().await {
            let line = line.unwrap();
            let event: Event = serde_json::from_str(&line.json).unwrap();
            assert_eq!((event.id, event.data.type_name()), (line.id, line.kind));
            events.push(event);
        }
        events
    }

    /// Waits for an event that `wanted` likes.
    pub(crate) async fn event(
        &self,
        operation: OperationId,
        mut wanted: impl FnMut(&Event) -> bool,
    ) -> Event {
        let query = EventQuery {
            follow: true,
            ..EventQuery::default()
        };
        let mut stream = self.stream(operation, query).await;
        while let Some(line) = stream.next().await {
            let event: Event = serde_json::from_str(&line.unwrap().json).unwrap();
            if wanted(&event) {
                return event;
            }
        }
        panic!("the log ended without the event");
    }

    /// Waits until a process has written this.
    pub(crate) async fn output(&self, operation: OperationId, spid: u32, text: &str) {
        let mut seen = String::new();
        self.event(operation, |event| {
            if event.spid == Some(spid)
                && let EventData::Stdout(chunk) = &event.data
            {
                seen.push_str(&chunk.value);
            }
            seen.contains(text)
        })
        .await;
    }

    /// Waits for the end.
    pub(crate) async fn finished(&self, operation: OperationId) -> OperationResponse {
        let events = self.events(operation).await;
        let EventData::Completion(completion) = &events.last().unwrap().data else {
            panic!("the log does not end with completion: {events:?}");
        };
        let shown = self
            .engine
            .operation(&self.identity, operation, false)
            .await
            .unwrap();
        assert_eq!(shown.summary.status, completion.status);
        assert_eq!(shown.summary.error, completion.error);
        assert_eq!(
            shown.summary.result_image_uuid,
            completion.result_image_uuid
        );
        shown
    }

    /// Folders in the layer store, the skeleton not counted.
    pub(crate) fn layers(&self) -> BTreeSet<String> {
        names(&self.data().join("store/layers"))
            .into_iter()
            .filter(|n| n != "skeleton")
            .collect()
    }

    /// Uppers in the layer store.
    pub(crate) fn uppers(&self) -> BTreeSet<String> {
        names(&self.data().join("store/uppers"))
    }
}

pub(crate) fn names(folder: &Path) -> BTreeSet<String> {
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// A run that has ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) id: OperationId,
    pub(crate) status: OperationStatus,
    pub(crate) error: Option<String>,
    pub(crate) image: Option<ImageId>,
    pub(crate) result: Option<InstanceResult>,
    pub(crate) shown: OperationResponse,
}

impl Run {
    pub(crate) fn of(shown: OperationResponse) -> Self {
        let OperationMetadata::Instance(metadata) = &shown.metadata else {
            panic!("{shown:?}")
        };
        Self {
            id: shown.summary.uuid,
            status: shown.summary.status,
            error: shown.summary.error.clone(),
            image: shown.summary.result_image_uuid,
            result: metadata.result.clone(),
            shown,
        }
    }

    pub(crate) fn result(&self) -> &InstanceResult {
        self.result
            .as_ref()
            .unwrap_or_else(|| panic!("no result: {:?}", self.error))
    }

    pub(crate) fn exit_code(&self) -> i32 {
        self.result().state.exit_code
    }

    pub(crate) fn stdout(&self) -> String {
        text(&self.result().stdout)
    }

    pub(crate) fn stderr(&self) -> String {
        text(&self.result().stderr)
    }
}

pub(crate) fn text(stream: &StreamRepr) -> String {
    String::from_utf8(stream.to_bytes().unwrap()).unwrap()
}

/// A shell expression without network.
pub(crate) fn shell(image: ImageId, expression: &str) -> InstanceSpawnRequest {
    let mut request = command(image, expression, &[]);
    request.shell = true;
    request
}

/// A command without network.
pub(crate) fn command(image: ImageId, command: &str, args: &[&str]) -> InstanceSpawnRequest {
    let mut request = InstanceSpawnRequest::new(command, ImageRef::Id(image));
    request.args = args.iter().map(|&arg| arg.to_owned()).collect();
    request.networking.enabled = false;
    request
}

pub(crate) fn env(pairs: &[(&str, Option<&str>)]) -> Option<BTreeMap<String, Option<String>>> {
    Some(
        pairs
            .iter()
            .map(|&(n, v)| (n.to_owned(), v.map(str::to_owned)))
            .collect(),
    )
}

/// A tar of a root with a shell and some tools of this machine.
pub(crate) fn tiny_root(scratch: &Path) -> Vec<u8> {
    let root = scratch.join("tiny");
    if !root.exists() {
        make_tiny_root(&root);
    }
    let tar = Command::new("tar")
        .arg("-C")
        .arg(&root)
        .args(["-c", "."])
        .output()
        .unwrap();
    assert!(tar.status.success());
    tar.stdout
}

fn make_tiny_root(root: &Path) {
    for folder in ["usr/bin", "etc", "tmp", "root", "proc", "dev", "sys", "var"] {
        std::fs::create_dir_all(root.join(folder)).unwrap();
    }
    std::os::unix::fs::symlink("usr/bin", root.join("bin")).unwrap();
    std::fs::write(root.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\n").unwrap();
    let mut libraries = BTreeSet::new();
    for name in PROGRAMS {
        let program = ["/usr/bin", "/bin"].iter().map(|d| Path::new(d).join(name));
        let program = program.into_iter().find(|path| path.exists()).unwrap();
        std::fs::copy(&program, root.join("usr/bin").join(name)).unwrap();
        let ldd = Command::new("ldd").arg(&program).output().unwrap();
        for word in String::from_utf8_lossy(&ldd.stdout).split_whitespace() {
            if word.starts_with('/') {
                libraries.insert(word.trim_end_matches(':').to_owned());
            }
        }
    }
    for library in libraries {
        let to = root.join(&library[1..]);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(&library, to).unwrap();
    }
}
