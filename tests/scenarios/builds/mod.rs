//! `contree build`: Dockerfiles as people write them, built by a real server.
//!
//! The Dockerfiles with their files are in `tests/fixtures/dockerfiles`, a folder for each kind;
//! every test works on a copy. Two images are there for them to start from: `tiny`, with a shell and
//! little else, and `tools`, with compilers and interpreters.

mod again;
mod files;
mod kinds;
mod progress;
mod stops;
mod web;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use contree_api::ImageId;
use contree_e2e::rootfs::{self, Tiny};
use contree_e2e::{Contree, Output, Server, Settings};
use tempfile::TempDir;

/// A server with images, a person, and a place for Dockerfiles.
struct Site {
    server: Server,
    contree: Contree,
    folder: TempDir,
}

/// What a build came to.
struct Built {
    image: ImageId,
    session: String,
    /// What was told on standard error.
    told: String,
}

impl Site {
    /// With `tiny`.
    async fn new() -> Self {
        let server = Server::start(Settings::default());
        server.import(&Tiny::new().tar(), "tiny").await;
        let contree = Contree::new(&server);
        let folder = TempDir::with_prefix("contree-builds-").expect("a folder for contexts");
        Self {
            server,
            contree,
            folder,
        }
    }

    /// With `tiny` and `tools`.
    async fn with_tools() -> Self {
        let site = Self::new().await;
        site.server.import(&rootfs::tools(), "tools").await;
        site
    }

    /// A copy of a fixture.
    fn fixture(&self, kind: &str) -> PathBuf {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/dockerfiles");
        let copy = self.folder.path().join(kind);
        copy_folder(&fixtures.join(kind), &copy);
        copy
    }

    /// A context with these files; names that end in `/` are folders.
    fn context(&self, name: &str, files: &[(&str, &str)]) -> PathBuf {
        let context = self.folder.path().join(name);
        fs::create_dir_all(&context).expect("a folder for a context");
        for (path, text) in files {
            write(&context.join(path), text);
        }
        context
    }

    /// Runs a build.
    fn run(&self, context: &Path, args: &[&str]) -> Output {
        let context = context.to_str().expect("contexts have plain names");
        let mut line = vec!["-o", "json", "build", context];
        line.extend_from_slice(args);
        self.contree.run(&line)
    }

    /// Builds.
    fn build(&self, context: &Path, args: &[&str]) -> Built {
        let output = self.run(context, args).succeeds();
        let row: serde_json::Value = serde_json::from_str(&output.stdout).expect("one row of JSON");
        let text = |name: &str| row[name].as_str().expect("text").to_owned();
        Built {
            image: text("image").parse().expect("an image"),
            session: text("session"),
            told: output.stderr,
        }
    }

    /// What a shell in the image prints. Nothing stays of it.
    fn shell(&self, built: &Built, expression: &str) -> String {
        let image = built.image.to_string();
        let args = ["run", "--use", &image, "-D", "-s", "--", expression];
        self.contree.run(&args).succeeds().stdout
    }

    /// What a program in the image prints.
    fn program(&self, built: &Built, words: &[&str]) -> String {
        let image = built.image.to_string();
        let args = [&["run", "--use", &image, "-D", "--"], words].concat();
        self.contree.run(&args).succeeds().stdout
    }

    /// What is below a folder of the image, by paths from there: mode, owner, and the text of files
    /// or the target of links.
    async fn tree(&self, built: &Built, folder: &str) -> BTreeMap<String, String> {
        let client = self.server.client();
        let mut archive = client
            .archive(built.image, folder)
            .await
            .expect("an archive of a folder");
        let mut bytes = Vec::new();
        while let Some(piece) = archive.next().await.expect("an archive to its end") {
            bytes.extend_from_slice(&piece);
        }
        let name = folder.rsplit('/').next().unwrap_or_default();
        let mut tree = BTreeMap::new();
        let mut archive = tar::Archive::new(&bytes[..]);
        for entry in archive.entries().expect("a tar") {
            let mut entry = entry.expect("a tar");
            let path = entry.path().expect("a path").into_owned();
            let path = path.strip_prefix(name).expect("below the folder");
            if path == Path::new("") {
                continue;
            }
            let header = entry.header();
            let about = format!(
                "{:o} {}:{}",
                header.mode().expect("a mode"),
                header.uid().expect("an owner"),
                header.gid().expect("a group")
            );
            let link = entry.link_name().expect("a target");
            let content = match link {
                Some(target) => format!("-> {}", target.display()),
                None if entry.header().entry_type().is_dir() => "/".to_owned(),
                None => {
                    let mut text = Vec::new();
                    entry.read_to_end(&mut text).expect("a file");
                    String::from_utf8_lossy(&text).trim_end().to_owned()
                }
            };
            let path = path.to_string_lossy().into_owned();
            tree.insert(path, format!("{about} {content}"));
        }
        tree
    }

    /// The names of the files below a folder of the image.
    async fn names(&self, built: &Built, folder: &str) -> Vec<String> {
        let tree = self.tree(built, folder).await;
        let files = tree.into_iter().filter(|(_, about)| !about.ends_with(" /"));
        files.map(|(path, _)| path).collect()
    }
}

impl Built {
    /// The steps in the order that they began in, and whether each was found in the cache.
    fn steps(&self) -> Vec<(String, bool)> {
        let lines = || self.told.lines().filter_map(|line| line.strip_prefix('#'));
        let mut steps: Vec<(String, String, bool)> = Vec::new();
        for line in lines() {
            let Some((number, text)) = line.split_once(' ') else {
                continue;
            };
            match steps.iter_mut().find(|(known, _, _)| known == number) {
                Some(step) => step.2 |= text == "CACHED",
                None => steps.push((number.to_owned(), text.to_owned(), false)),
            }
        }
        steps
            .into_iter()
            .map(|(_, text, is_cached)| (text, is_cached))
            .collect()
    }

    /// The instructions that change something and were carried out, by their first words.
    fn carried_out(&self) -> Vec<String> {
        let steps = self.steps().into_iter();
        steps
            .filter(|(text, is_cached)| {
                !is_cached
                    && (text.contains("] RUN") || text.contains("] COPY") || text.contains("] ADD"))
            })
            .map(|(text, _)| text.split_once("] ").expect("a place").1.to_owned())
            .collect()
    }
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("it is in a folder")).expect("a folder");
    if path.to_string_lossy().ends_with('/') {
        fs::create_dir_all(path).expect("a folder");
    } else {
        fs::write(path, text).expect("a file");
    }
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a fixture") {
        let entry = entry.expect("a fixture");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a fixture").is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a file is copied");
        }
    }
}
