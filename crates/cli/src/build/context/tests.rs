//! Real folders.

use std::fs;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use tempfile::TempDir;

use super::*;
use crate::build::chmod::Chmod;

/// A folder of files; what ends in a slash is a folder, `a -> b` a link.
fn folder(files: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in files {
        let path = folder.path().join(file);
        if let Some((name, target)) = file.split_once(" -> ") {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            symlink(target, path).unwrap();
        } else if file.ends_with('/') {
            fs::create_dir_all(path).unwrap();
        } else {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("content of {file}")).unwrap();
        }
    }
    folder
}

fn open(folder: &TempDir, ignore: &str) -> Context {
    let ignore = Ignore::parse(".dockerignore", ignore).unwrap();
    Context::open(folder.path(), ignore).unwrap()
}

fn select(context: &Context, sources: &[&str]) -> Result<Selection, Failure> {
    let sources: Vec<_> = sources.iter().map(|source| (*source).to_owned()).collect();
    context.select(&sources, &[], false)
}

fn written(selection: &Selection, placement: &Placement) -> Vec<u8> {
    let mut tar = Vec::new();
    selection.write_tar(&mut tar, placement).unwrap();
    tar
}

/// The names in the archive; links with their targets.
fn names(selection: &Selection) -> Vec<String> {
    let tar = written(selection, &Placement::default());
    let mut archive = tar::Archive::new(&tar[..]);
    let mut names = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let target = entry.link_name_bytes();
        let target = target.map(|target| String::from_utf8_lossy(&target).into_owned());
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        names.push(match target {
            Some(target) => format!("{name} -> {target}"),
            None => name,
        });
    }
    names
}

fn taken(context: &Context, sources: &[&str]) -> Vec<String> {
    names(&select(context, sources).unwrap())
}

fn digest(selection: &Selection) -> String {
    selection.digest(&mut Hashes::default()).unwrap()
}

#[test]
fn a_folder_stands_for_what_is_in_it() {
    let files = folder(&[
        ".git/config",
        ".env",
        "dist/a",
        "node_modules/m/x",
        "empty/",
        "a",
    ]);
    let context = open(&files, "");
    let all = [
        ".env",
        ".git/",
        ".git/config",
        "a",
        "dist/",
        "dist/a",
        "empty/",
        "node_modules/",
        "node_modules/m/",
        "node_modules/m/x",
    ];
    for source in [".", "./", "/", "..", "dist/..", "../../"] {
        assert_eq!(taken(&context, &[source]), all, "{source}");
    }
    assert_eq!(taken(&context, &["dist/"]), ["a"]);
    assert_eq!(taken(&context, &["empty"]), [""; 0]);
    assert_eq!(taken(&context, &["/dist", "a", "../.env"]), [".env", "a"]);
}

#[test]
fn files_keep_their_names() {
    let files = folder(&["a", "b/c", "b/d"]);
    let context = open(&files, "");
    let one = select(&context, &["b/c"]).unwrap();
    assert_eq!(one.single_file(), Some(OsString::from("c").as_os_str()));
    assert_eq!(names(&one), ["c"]);
    let placement = Placement {
        name: Some("renamed".into()),
        chmod: Some(Chmod::read("700").unwrap()),
    };
    let tar = written(&one, &placement);
    let mut archive = tar::Archive::new(&tar[..]);
    let entry = archive.entries().unwrap().next().unwrap().unwrap();
    assert_eq!(&*entry.path_bytes(), b"renamed");
    let header = entry.header();
    assert_eq!(header.mode().unwrap(), 0o700);
    assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
    assert_eq!(select(&context, &["a", "b/c"]).unwrap().single_file(), None);
    let folder_of_one = folder(&["x/a"]);
    let context = open(&folder_of_one, "");
    assert_eq!(select(&context, &["x"]).unwrap().single_file(), None);
    assert!(select(&context, &["x/*"]).unwrap().single_file().is_some());
}

#[test]
fn wildcards() {
    let files = folder(&[
        "a.txt",
        "b.txt",
        "c.md",
        ".d.txt",
        "x/a.txt",
        "y/deep/e.txt",
        "[s].t",
    ]);
    let context = open(&files, "b.txt");
    assert_eq!(taken(&context, &["*.txt"]), [".d.txt", "a.txt"]);
    assert_eq!(taken(&context, &["?.md", "x*"]), ["a.txt", "c.md"]);
    assert_eq!(taken(&context, &["*/*.txt"]), ["a.txt"]);
    assert_eq!(taken(&context, &["*/deep"]), ["e.txt"]);
    assert_eq!(taken(&context, &["[ac].*"]), ["a.txt", "c.md"]);
    assert_eq!(taken(&context, &["[[]s].t"]), ["[s].t"]);
    let error = |source: &str| select(&context, &[source]).unwrap_err();
    assert_eq!(
        error("*.rs").to_string(),
        "*.rs: nothing in the context matches"
    );
    assert!(error("[s").to_string().contains("is no pattern"));
    assert_eq!(error("").to_string(), "a source is empty");
}

#[test]
fn what_is_left_out_does_not_exist() {
    let files = folder(&[
        "a",
        "secret",
        "src/keep/x",
        "src/drop/y",
        "src/z",
        "other/w",
    ]);
    let context = open(&files, "secret\nsrc\n!src/keep\nother");
    assert_eq!(
        taken(&context, &["."]),
        ["a", "src/", "src/keep/", "src/keep/x"]
    );
    assert_eq!(taken(&context, &["src"]), ["keep/", "keep/x"]);
    let failure = select(&context, &["secret"]).unwrap_err();
    assert_eq!(
        failure.to_string(),
        "secret: left out of the context by .dockerignore"
    );
    assert_eq!(
        failure.advice(),
        Some("add a line to .dockerignore: !secret")
    );
    for source in ["other", "src/drop", "src/z", "secr*", "other/*"] {
        let failure = select(&context, &[source]).unwrap_err().to_string();
        assert!(failure.contains("left out of the context"), "{failure}");
    }
    let failure = select(&context, &["none/x"]).unwrap_err();
    assert_eq!(
        failure.to_string(),
        "none/x: no such file or folder in the context"
    );
}

#[test]
fn exclude_is_from_the_source() {
    let files = folder(&["hom.txt", "home.md", "d/a.txt", "d/b.rs", "d/e/c.txt"]);
    let context = open(&files, "");
    let with = |sources: &[&str], exclude: &[&str]| {
        let sources: Vec<_> = sources.iter().map(|text| (*text).to_owned()).collect();
        let exclude: Vec<_> = exclude.iter().map(|text| (*text).to_owned()).collect();
        names(&context.select(&sources, &exclude, false).unwrap())
    };
    assert_eq!(with(&["hom*"], &["*.txt"]), ["home.md"]);
    assert_eq!(with(&["d"], &["*.txt"]), ["b.rs", "e/", "e/c.txt"]);
    assert_eq!(
        with(&["d"], &["**/*.txt", "!e/c.txt"]),
        ["b.rs", "e/", "e/c.txt"]
    );
    assert_eq!(with(&["d"], &["e"]), ["a.txt", "b.rs"]);
    assert_eq!(with(&["hom.txt"], &["*"]), [""; 0]);
}

#[test]
fn parents_are_kept_when_asked_for() {
    let files = folder(&["x/a.txt", "x/y/b.txt", "z/c.txt", "z/d/e.txt", "f"]);
    let context = open(&files, "");
    let with = |sources: &[&str]| {
        let sources: Vec<_> = sources.iter().map(|text| (*text).to_owned()).collect();
        names(&context.select(&sources, &[], true).unwrap())
    };
    assert_eq!(
        with(&["./x/a.txt", "z/c.txt"]),
        ["x/", "x/a.txt", "z/", "z/c.txt"]
    );
    assert_eq!(with(&["x"]), ["x/", "x/a.txt", "x/y/", "x/y/b.txt"]);
    assert_eq!(with(&["z/./d/e.txt"]), ["d/", "d/e.txt"]);
    assert_eq!(with(&["f"]), ["f"]);
    assert_eq!(
        with(&["**/*.txt"]),
        [
            "x/",
            "x/a.txt",
            "x/y/",
            "x/y/b.txt",
            "z/",
            "z/c.txt",
            "z/d/",
            "z/d/e.txt"
        ]
    );
}

#[test]
fn links_below_a_source_are_links() {
    let files = folder(&[
        "d/a",
        "d/in -> a",
        "d/out -> /etc/passwd",
        "d/gone -> none",
        "d/dir -> ..",
    ]);
    let context = open(&files, "");
    assert_eq!(
        taken(&context, &["d"]),
        [
            "a",
            "dir -> ..",
            "gone -> none",
            "in -> a",
            "out -> /etc/passwd"
        ]
    );
}

#[test]
fn sources_that_are_links_are_followed_inside() {
    let files = folder(&[
        "etc/passwd",
        "d/a",
        "file -> d/a",
        "dir -> d",
        "abs -> /d/a",
        "up -> ../../../etc/passwd",
        "d/up -> ../etc",
        "out -> /etc/shadow",
        "loop -> loop",
        "chain -> dir",
    ]);
    let context = open(&files, "");
    let content = |source: &str| {
        let selection = select(&context, &[source]).unwrap();
        let tar = written(&selection, &Placement::default());
        let mut archive = tar::Archive::new(&tar[..]);
        let mut entry = archive.entries().unwrap().next().unwrap().unwrap();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        (
            String::from_utf8_lossy(&entry.path_bytes()).into_owned(),
            text,
        )
    };
    let of = |name: &str, text: &str| (name.to_owned(), format!("content of {text}"));
    assert_eq!(content("file"), of("file", "d/a"));
    assert_eq!(content("dir"), of("a", "d/a"));
    assert_eq!(content("chain"), of("a", "d/a"));
    assert_eq!(content("abs"), of("abs", "d/a"));
    assert_eq!(content("dir/a"), of("a", "d/a"));
    // What would lead out of the context leads to its root.
    assert_eq!(content("up"), of("up", "etc/passwd"));
    assert_eq!(content("d/up/passwd"), of("passwd", "etc/passwd"));
    assert_eq!(content("chain/up/pass*"), of("passwd", "etc/passwd"));
    let failure = select(&context, &["out"]).unwrap_err().to_string();
    assert_eq!(failure, "out: no such file or folder in the context");
    let failure = select(&context, &["loop"]).unwrap_err().to_string();
    assert_eq!(failure, "could not look at loop: too many links");
    // What .dockerignore leaves out is not there by another name either.
    let context = open(&files, "d/a");
    assert!(select(&context, &["file"]).is_err());
}

#[test]
fn the_context_may_be_a_link_itself() {
    let files = folder(&["real/a", "ctx -> real"]);
    let context = Context::open(&files.path().join("ctx"), Ignore::default()).unwrap();
    assert_eq!(taken(&context, &["."]), ["a"]);
    let failure = Context::open(&files.path().join("real/a"), Ignore::default()).unwrap_err();
    assert!(failure.to_string().ends_with("is no folder"), "{failure}");
    assert!(Context::open(&files.path().join("none"), Ignore::default()).is_err());
}

#[test]
fn the_digest_is_of_what_is_there() {
    let files = folder(&["a", "d/b", "d/l -> b"]);
    let context = open(&files, "");
    let now = || digest(&select(&context, &["."]).unwrap());
    let first = now();
    assert_eq!(first, now());
    // The same in another place, at another time.
    let other = folder(&["a", "d/b", "d/l -> b", ".dockerignore"]);
    let of_other = digest(&select(&open(&other, ".dockerignore"), &["."]).unwrap());
    assert_eq!(first, of_other);
    let mut seen = vec![first];
    let mut changed = |change: &dyn Fn(&Path)| {
        change(files.path());
        let now = now();
        assert!(!seen.contains(&now), "{seen:?}");
        seen.push(now);
    };
    changed(&|root| fs::write(root.join("a"), "content of b").unwrap());
    changed(&|root| fs::rename(root.join("a"), root.join("c")).unwrap());
    changed(&|root| {
        fs::set_permissions(root.join("c"), fs::Permissions::from_mode(0o755)).unwrap();
    });
    changed(&|root| {
        fs::remove_file(root.join("d/l")).unwrap();
        symlink("c", root.join("d/l")).unwrap();
    });
    changed(&|root| fs::create_dir(root.join("empty")).unwrap());
    changed(&|root| {
        fs::set_permissions(root.join("empty"), fs::Permissions::from_mode(0o700)).unwrap();
    });
}

#[test]
fn digests_are_remembered_by_the_state_of_a_file() {
    let files = folder(&["a", "b"]);
    let long_ago = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
    let path = files.path().join("a");
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_modified(long_ago).unwrap();
    let context = open(&files, "");
    let mut hashes = Hashes::default();
    let first = select(&context, &["."])
        .unwrap()
        .digest(&mut hashes)
        .unwrap();
    // Both were made just now, whatever one of them says: neither is remembered.
    assert_eq!(serde_json::to_string(&hashes).unwrap(), "{}");
    let again = select(&context, &["."])
        .unwrap()
        .digest(&mut hashes)
        .unwrap();
    assert_eq!(first, again);
    // A settled file: a system's own.
    let system = Context::open(Path::new("/usr/bin"), Ignore::default()).unwrap();
    let selection = select(&system, &["env"]).unwrap();
    let digest = selection.digest(&mut hashes).unwrap();
    let kept = serde_json::to_string(&hashes).unwrap();
    assert!(kept.contains("/usr/bin/"), "{kept}");
    let mut read_again: Hashes = serde_json::from_str(&kept).unwrap();
    assert_eq!(selection.digest(&mut read_again).unwrap(), digest);
    // What is remembered is believed.
    let sha256 = kept.rsplit('"').nth(1).unwrap();
    let forged = kept.replace(sha256, &"0".repeat(64));
    let mut forged: Hashes = serde_json::from_str(&forged).unwrap();
    assert_ne!(selection.digest(&mut forged).unwrap(), digest);
}

#[test]
fn a_file_that_changes_is_an_error() {
    let files = folder(&["a", "b"]);
    let context = open(&files, "");
    let selection = select(&context, &["."]).unwrap();
    fs::write(files.path().join("b"), "longer than it was before").unwrap();
    let failure = selection
        .write_tar(&mut Vec::new(), &Placement::default())
        .unwrap_err();
    assert!(
        failure.to_string().ends_with("b changed while it was read"),
        "{failure}"
    );
    let failure = selection.digest(&mut Hashes::default()).unwrap_err();
    assert!(
        failure.to_string().ends_with("b changed while it was read"),
        "{failure}"
    );
    // Nor is a link followed that takes its place.
    fs::remove_file(files.path().join("b")).unwrap();
    symlink("/etc/passwd", files.path().join("b")).unwrap();
    assert!(selection.digest(&mut Hashes::default()).is_err());
}

#[test]
fn pipes_and_sockets_stay_behind() {
    let files = folder(&["a"]);
    let _socket = std::os::unix::net::UnixListener::bind(files.path().join("s")).unwrap();
    let context = open(&files, "");
    let selection = select(&context, &["."]).unwrap();
    assert_eq!(names(&selection), ["a"]);
    assert_eq!(selection.warnings().len(), 1);
    assert!(selection.warnings()[0].contains("is no file, folder or link"));
}

#[test]
fn names_of_any_length_and_any_bytes() {
    let files = folder(&["a"]);
    let deep: PathBuf = ["0123456789abcdef"; 20].iter().collect();
    fs::create_dir_all(files.path().join(&deep)).unwrap();
    fs::write(files.path().join(&deep).join("é"), "x").unwrap();
    let strange = std::ffi::OsStr::from_bytes(b"\xff name");
    fs::write(files.path().join(strange), "y").unwrap();
    let target = "t/".repeat(80);
    symlink(&target, files.path().join("link")).unwrap();
    let hundred = "h".repeat(100);
    fs::write(files.path().join(&hundred), "z").unwrap();
    let context = open(&files, "");
    let tar = written(&select(&context, &["."]).unwrap(), &Placement::default());
    let unpacked = tempfile::tempdir().unwrap();
    tar::Archive::new(&tar[..]).unpack(unpacked.path()).unwrap();
    let read = |path: &Path| fs::read_to_string(unpacked.path().join(path)).unwrap();
    assert_eq!(read(&deep.join("é")), "x");
    assert_eq!(read(Path::new(strange)), "y");
    assert_eq!(read(Path::new(&hundred)), "z");
    let link = fs::read_link(unpacked.path().join("link")).unwrap();
    assert_eq!(link.as_os_str().as_bytes(), target.as_bytes());
}

#[test]
fn the_archive_is_the_same_for_the_same_files() {
    let files = folder(&["b", "a", "a-b", "a.d/x", "c"]);
    let context = open(&files, "");
    let selection = select(&context, &["."]).unwrap();
    let one = written(&selection, &Placement::default());
    assert_eq!(
        one,
        written(&select(&context, &["."]).unwrap(), &Placement::default())
    );
    assert_eq!(one.len() % 512, 0);
    let mut archive = tar::Archive::new(&one[..]);
    for entry in archive.entries().unwrap() {
        let entry = entry.unwrap();
        let path = files.path().join(entry.path().unwrap());
        let metadata = path.symlink_metadata().unwrap();
        assert_eq!(
            entry.header().mtime().unwrap(),
            u64::try_from(std::os::unix::fs::MetadataExt::mtime(&metadata)).unwrap()
        );
    }
}

#[test]
fn a_file_and_a_folder_in_one_place() {
    let files = folder(&["a/x/1", "b/x"]);
    let context = open(&files, "");
    let failure = select(&context, &["a", "b"]).unwrap_err().to_string();
    assert!(
        failure.ends_with("would be in one place, and one of them is a folder"),
        "{failure}"
    );
    // Two files: the later one. Two folders: both.
    let files = folder(&["a/x", "b/x", "a/d/1", "b/d/2"]);
    let context = open(&files, "");
    assert_eq!(taken(&context, &["a", "b"]), ["d/", "d/1", "d/2", "x"]);
}
