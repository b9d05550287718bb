//! Nothing outside of a tree can be reached, whatever is in it.

use std::io::{ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use contree_images::RootDir;
use contree_images::root_dir::is_overlay_xattr;
use rustix::io::Errno;
use tempfile::TempDir;

/// A tree with a secret beside it.
fn tree() -> (TempDir, RootDir) {
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    std::fs::write(folder.path().join("secret"), "secret").unwrap();
    let root = folder.path().join("root");
    std::fs::create_dir_all(root.join("a/b")).unwrap();
    std::fs::write(root.join("a/file"), "inside").unwrap();
    let tree = RootDir::open(&root).unwrap();
    (folder, tree)
}

fn is_loop(error: &std::io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::LOOP)
}

fn content(tree: &RootDir, path: &[u8]) -> String {
    std::io::read_to_string(tree.open_file(path).unwrap()).unwrap()
}

#[test]
fn links_stay_inside() {
    let (folder, tree) = tree();
    let root = folder.path().join("root");
    let secret = folder.path().join("secret");
    symlink("/a/file", root.join("absolute")).unwrap();
    symlink("../../../../../a/file", root.join("a/b/climbing")).unwrap();
    symlink("../secret", root.join("out")).unwrap();
    symlink(&secret, root.join("out-absolute")).unwrap();
    symlink("/", root.join("a/top")).unwrap();
    symlink("loop", root.join("loop")).unwrap();
    symlink("/proc/self/root/etc/passwd", root.join("magic")).unwrap();
    for path in [
        "absolute",
        "/absolute",
        "a/b/climbing",
        "a/top/a/top/a/file",
        "../../a/file",
    ] {
        assert_eq!(content(&tree, path.as_bytes()), "inside", "{path}");
    }
    for path in [
        "out",
        "out-absolute",
        "../secret",
        "a/top/../../secret",
        "magic",
        "",
    ] {
        let error = tree.open_file(path.as_bytes()).unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::NotFound | ErrorKind::IsADirectory),
            "{path}"
        );
    }
    assert!(is_loop(&tree.open_file(b"loop").unwrap_err()));
    assert_eq!(tree.lstat(b"loop").unwrap().st_mode & 0o170_000, 0o120_000);
    assert_eq!(
        tree.open_file(b"a/file/").unwrap_err().kind(),
        ErrorKind::NotADirectory
    );
    assert_eq!(
        tree.open_file(b"a\0b").unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
    assert_eq!(
        tree.open_file(&[b'x'; 5000]).unwrap_err().kind(),
        ErrorKind::InvalidFilename
    );
}

#[test]
fn magic_links_lead_nowhere() {
    // As if a tree had /proc in it.
    let proc = RootDir::open(Path::new("/proc")).unwrap();
    for path in ["self/root", "self/cwd", "self/exe"] {
        let error = proc.stat(path.as_bytes()).unwrap_err();
        assert!(is_loop(&error), "{path}");
    }
}

#[test]
fn nothing_is_written_outside() {
    let (folder, tree) = tree();
    let root = folder.path().join("root");
    symlink("..", root.join("up")).unwrap();
    symlink("/var", root.join("a/var")).unwrap();
    symlink("/nowhere", root.join("dangling")).unwrap();
    symlink("../secret", root.join("secret")).unwrap();

    tree.create_dirs(b"up/../up/new/folder", 0o750).unwrap();
    assert!(root.join("new/folder").is_dir());
    assert_eq!(
        root.join("new").metadata().unwrap().permissions().mode() & 0o7777,
        0o750
    );
    assert!(
        tree.create_dirs(b"a/var/tmp", 0o755).is_err(),
        "made below a dangling link"
    );
    std::fs::create_dir(root.join("var")).unwrap();
    tree.create_dirs(b"a/var/tmp", 0o755).unwrap();
    assert!(root.join("var/tmp").is_dir());
    for path in ["dangling", "dangling/x", "a/file", "a/file/x"] {
        let error = tree.create_dirs(path.as_bytes(), 0o755).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotADirectory, "{path}");
    }

    let top = tree.top().unwrap();
    assert_eq!(
        top.create_file(b"secret", 0o644).unwrap_err().kind(),
        ErrorKind::AlreadyExists
    );
    assert_eq!(
        top.create_file(b"dangling", 0o644).unwrap_err().kind(),
        ErrorKind::AlreadyExists
    );
    assert!(top.open_file(b"secret").is_err());
    assert!(top.open_dir(b"up").is_err());
    top.set_mode(b"secret", 0).unwrap();
    assert_eq!(
        std::fs::read_to_string(folder.path().join("secret")).unwrap(),
        "secret"
    );
    let mode = folder.path().join("secret").metadata().unwrap().mode();
    assert_ne!(mode & 0o777, 0, "the mode of a link's target was changed");
    for name in [&b""[..], b".", b"..", b"a/b", b"/", b"a\0b"] {
        let made = [
            top.create_file(name, 0o644).map(drop),
            top.create_dir(name, 0o755).map(drop),
            top.create_symlink(name, b"x"),
            top.create_fifo(name, 0o644),
            top.create_whiteout(name),
            top.create_hard_link(name, &top, b"secret"),
            top.create_hard_link(b"fine", &top, name),
            top.rename(b"secret", &top, name),
            top.remove_file(name),
            top.remove_all(name),
            top.set_mode(name, 0),
            top.set_xattr(name, b"user.x", b""),
        ];
        assert!(
            made.iter().all(|m| m
                .as_ref()
                .is_err_and(|e| e.kind() == ErrorKind::InvalidInput)),
            "{name:?}: {made:?}"
        );
    }
}

#[test]
fn entries_are_made_as_asked() {
    let (_folder, tree) = tree();
    let dir = tree.create_dirs(b"made", 0o755).unwrap();
    dir.create_file(b"f", 0o4751)
        .unwrap()
        .write_all(b"x")
        .unwrap();
    dir.create_dir(b"d", 0o3777).unwrap();
    dir.create_fifo(b"p", 0o622).unwrap();
    dir.create_socket(b"s", 0o666).unwrap();
    dir.create_symlink(b"l\xff", b"\xfe").unwrap();
    dir.create_hard_link(b"h", &tree.open_dir(b"a").unwrap(), b"file")
        .unwrap();
    let mode = |name: &[u8]| dir.stat(name).unwrap().st_mode;
    assert_eq!(mode(b"f"), 0o104_751);
    assert_eq!(mode(b"d"), 0o043_777);
    assert_eq!(mode(b"p"), 0o010_622);
    assert_eq!(mode(b"s"), 0o140_666);
    assert_eq!(dir.read_link(b"l\xff").unwrap(), b"\xfe");
    assert_eq!(
        tree.lstat(b"made/h").unwrap().st_ino,
        tree.lstat(b"a/file").unwrap().st_ino
    );
    dir.set_xattr(b"f", b"user.note", b"\0value").unwrap();
    assert_eq!(
        dir.xattrs(b"f").unwrap(),
        [(b"user.note".to_vec(), b"\0value".to_vec())]
    );
    let refused = dir
        .set_xattr(b"d", b"user.overlay.opaque", b"y")
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    dir.rename(b"f", &tree.top().unwrap(), b"moved").unwrap();
    assert_eq!(content(&tree, b"moved"), "x");
    let mut names = dir.names().unwrap();
    names.sort();
    assert_eq!(names, [&b"d"[..], b"h", b"l\xff", b"p", b"s"]);
    assert!(
        tree.open_file(b"made/p")
            .is_err_and(|e| e.kind() == ErrorKind::InvalidInput)
    );
}

#[test]
fn the_last_component() {
    let (_folder, tree) = tree();
    let name = |path: &'static str| {
        tree.parent_of(path.as_bytes())
            .map(|(_, name)| name.map(|name| String::from_utf8(name.to_vec()).unwrap()))
            .map_err(|error| error.kind())
    };
    for path in ["a/new", "/a/new", "a/new/", "a/new//.//", "./a/./new/."] {
        assert_eq!(name(path).unwrap().as_deref(), Some("new"), "{path}");
    }
    for path in ["", "/", "//", ".", "./.", "/./"] {
        assert_eq!(name(path), Ok(None), "{path:?}");
    }
    assert_eq!(name("a/.."), Err(ErrorKind::InvalidInput));
    assert_eq!(name("missing/new"), Err(ErrorKind::NotFound));
    assert_eq!(name("a/file/new"), Err(ErrorKind::NotADirectory));
}

#[test]
fn attributes_of_overlayfs() {
    for key in [
        "user.overlay.opaque",
        "trusted.overlay.redirect",
        "user.overlay.",
    ] {
        assert!(is_overlay_xattr(key.as_bytes()), "{key}");
    }
    for key in [
        "user.overlay.overlay.opaque",
        "user.overlays",
        "security.capability",
    ] {
        assert!(!is_overlay_xattr(key.as_bytes()), "{key}");
    }
}
