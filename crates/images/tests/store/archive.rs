//! Archives against the tools that read them: GNU tar and Python's tarfile.

use std::fs;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;
use std::process::{Command, Stdio};

use contree_images::{Archive, PathError, View};
use rustix::fs::{Timespec, Timestamps, XattrFlags};

use crate::world::{Kind, entry, file, folder, opaque, symlink, whiteout, world};

fn bytes(mut archive: Archive) -> Vec<u8> {
    let mut bytes = Vec::new();
    archive.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes.len() % 512, 0);
    bytes
}

/// Type, name and link target of each member, as the `tar` crate reads them.
fn members(archive: &[u8]) -> Vec<(char, String, String)> {
    let mut archive = tar::Archive::new(archive);
    archive
        .entries()
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let kind = char::from(entry.header().entry_type().as_byte());
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let link = entry.link_name_bytes().unwrap_or_default();
            (kind, name, String::from_utf8_lossy(&link).into_owned())
        })
        .collect()
}

fn names(view: &View, path: &str) -> Vec<String> {
    members(&bytes(view.archive(path).unwrap()))
        .into_iter()
        .map(|(_, name, _)| name)
        .collect()
}

#[test]
fn names_of_members() {
    let world = world();
    let base = world.layer(&[
        file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"),
        file("etc/ssh/config", "x"),
        file("gone", "x"),
        file("etc/old/below", "x"),
        symlink("bin", "usr/bin"),
        file("usr/bin/sh", "shell"),
        symlink("usr/bin/dash", "sh"),
        symlink("etc/dangling", "/nowhere"),
        entry("pipe", Kind::Fifo),
        entry("etc/socket", Kind::Socket),
        symlink("self", "/"),
    ]);
    let top = world.layer(&[
        whiteout("gone"),
        opaque("etc/old"),
        file("etc/old/new", "y"),
    ]);
    let view = world.view(&[top, base]);
    let all = [
        "bin",
        "etc/",
        "etc/dangling",
        "etc/old/",
        "etc/old/new",
        "etc/passwd",
        "etc/ssh/",
        "etc/ssh/config",
        "pipe",
        "self",
        "usr/",
        "usr/bin/",
        "usr/bin/dash",
        "usr/bin/sh",
    ];
    for root in ["/", "", "//.", "/etc/.."] {
        assert_eq!(names(&view, root), all, "{root:?}");
    }
    for etc in ["/etc", "etc", "/etc/", "//etc/."] {
        assert_eq!(
            names(&view, etc),
            [
                "etc/",
                "etc/dangling",
                "etc/old/",
                "etc/old/new",
                "etc/passwd",
                "etc/ssh/",
                "etc/ssh/config",
            ],
            "{etc:?}"
        );
    }
    assert_eq!(names(&view, "/etc/ssh"), ["ssh/", "ssh/config"]);
    assert_eq!(names(&view, "/etc/old/../ssh/.."), names(&view, "/etc"));
    // Links are followed, and what they lead to has the name that was asked for.
    assert_eq!(names(&view, "/bin"), ["bin/", "bin/dash", "bin/sh"]);
    let expected = ('0', "dash".to_owned(), String::new());
    assert_eq!(
        members(&bytes(view.archive("/bin/dash").unwrap())),
        [expected]
    );
    assert_eq!(names(&view, "/self")[..2], ["self/", "self/bin"]);
    assert_eq!(names(&view, "/self/.").len(), all.len() + 1);
    assert_eq!(
        bytes(world.view(&[world.layer(&[])]).archive("/").unwrap()),
        [0; 1024]
    );

    let refused = |path: &str| view.archive(path).unwrap_err();
    assert!(matches!(refused("/gone"), PathError::NotFound { .. }));
    assert!(matches!(
        refused("/etc/dangling"),
        PathError::NotFound { .. }
    ));
    assert!(matches!(
        refused("/etc/passwd/"),
        PathError::NotADirectory { .. }
    ));
    for path in ["/pipe", "/etc/socket"] {
        assert_eq!(
            refused(path).to_string(),
            format!("{path} is neither a regular file nor a folder")
        );
    }
}

/// A tree with all that is odd, and what it stands on.
fn odd_tree(root: &contree_images::RootDir) {
    let top = root.top().unwrap();
    let set = |dir: &contree_images::Dir, name: &[u8], key: &[u8], value: &[u8]| {
        dir.set_xattr(name, key, value).unwrap();
    };
    let content = |dir: &contree_images::Dir, name: &[u8], content: &[u8]| {
        std::io::Write::write_all(&mut dir.create_file(name, 0o644).unwrap(), content).unwrap();
    };
    content(&top, b"empty", b"");
    content(&top, b"block", &[b'b'; 512]);
    content(&top, b"new\nline", b"n");
    content(&top, "ümlaut".as_bytes(), b"u");
    content(&top, b"not\xffutf8", b"x");
    content(&top, &[b'l'; 255], b"long");
    content(&top, &[0xfe; 255], b"long and no text");
    content(&top, b"first", b"shared");
    top.create_hard_link(b"second", &top, b"first").unwrap();
    top.create_symlink(b"link", b"target").unwrap();
    top.create_hard_link(b"link-too", &top, b"link").unwrap();
    top.create_symlink(b"long-link", &[b't'; 4_000]).unwrap();
    top.create_fifo(b"pipe", 0o640).unwrap();
    let sparse = top.create_file(b"sparse", 0o600).unwrap();
    sparse.set_len(3 << 20).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&sparse, b"middle", 1 << 20).unwrap();
    let deep = root
        .create_dirs(&[&[b'd'; 200][..], &[b'e'; 200]].join(&b'/'), 0o711)
        .unwrap();
    content(&deep, b"file", b"deep");
    deep.create_hard_link(b"first", &top, b"first").unwrap();
    top.set_mode(b"block", 0o6755).unwrap();
    set(&top, b"block", b"user.mime=%type", b"text/plain\0\n=");
    set(&deep, b"file", b"user.folder", b"");
    top.create_dir(b"sticky", 0o1777).unwrap();
    set(&top, b"sticky", b"user.folder", &[0xff; 300]);
    let times = [
        (&b"empty"[..], -5, 250_000_000),
        (b"block", 9_000_000_000, 1),
        (b"first", 1_700_000_000, 123_456_789),
        (b"link", 12, 500),
        (b"sticky", 0, 0),
    ];
    for (name, seconds, nanos) in times {
        let moment = Timespec {
            tv_sec: seconds,
            tv_nsec: nanos,
        };
        let times = Timestamps {
            last_access: moment,
            last_modification: moment,
        };
        top.set_times(name, &times).unwrap();
    }
}

/// Everything about a tree that an archive keeps, by path. Files with the same number are one.
fn facts(root: &Path) -> Vec<String> {
    let mut first_names = std::collections::HashMap::new();
    let mut facts = Vec::new();
    let mut paths = vec![root.to_path_buf()];
    while let Some(path) = paths.pop() {
        let meta = fs::symlink_metadata(&path).unwrap();
        let relative = path.strip_prefix(root).unwrap().to_path_buf();
        let kind = meta.file_type();
        let content = if kind.is_symlink() {
            fs::read_link(&path)
                .unwrap()
                .as_os_str()
                .as_bytes()
                .to_vec()
        } else if kind.is_file() {
            fs::read(&path).unwrap()
        } else {
            Vec::new()
        };
        if kind.is_dir() {
            let mut below: Vec<_> = fs::read_dir(&path)
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .collect();
            below.sort_by(|a, b| b.cmp(a));
            paths.extend(below);
        }
        if kind.is_socket() {
            continue;
        }
        let first = if kind.is_dir() {
            relative.clone()
        } else {
            first_names
                .entry((meta.dev(), meta.ino()))
                .or_insert_with(|| relative.clone())
                .clone()
        };
        let mut xattrs = Vec::new();
        if !kind.is_symlink() {
            let mut keys = vec![0; 4096];
            let length = rustix::fs::llistxattr(&path, &mut keys[..]).unwrap();
            for key in keys[..length].split(|b| *b == 0).filter(|k| !k.is_empty()) {
                let mut value = vec![0; 4096];
                let length = rustix::fs::lgetxattr(&path, key, &mut value[..]).unwrap();
                xattrs.push((
                    String::from_utf8_lossy(key).into_owned(),
                    value[..length].to_vec(),
                ));
            }
            xattrs.sort();
        }
        facts.push(format!(
            "{relative:?} {:o} {}:{} {}.{:09} first {first:?} {:x?} {xattrs:?}",
            meta.mode(),
            meta.uid(),
            meta.gid(),
            meta.mtime(),
            meta.mtime_nsec(),
            content.iter().fold(content.len() as u64, |sum, b| sum
                .wrapping_mul(31)
                .wrapping_add(u64::from(*b))),
        ));
    }
    facts
}

/// Unpacks with GNU tar.
fn unpacked(archive: &[u8], into: &Path) {
    let file = into.with_extension("tar");
    fs::write(&file, archive).unwrap();
    fs::create_dir(into).unwrap();
    let output = Command::new("tar")
        .args(["--extract", "--preserve-permissions", "--numeric-owner"])
        .args(["--xattrs", "--xattrs-include=*", "--file"])
        .arg(&file)
        .arg("--directory")
        .arg(into)
        .env("LC_ALL", "C.UTF-8")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    // Moments far away are all it may complain about.
    for line in said.lines() {
        assert!(
            line.contains("time stamp") || line.contains("implausibly old"),
            "{said}"
        );
    }
}

#[test]
fn privileged_gnu_tar_unpacks_what_is_in_the_image() {
    let world = world();
    let layer = world.layer_with(|tree| {
        odd_tree(tree);
        let top = tree.top().unwrap();
        top.set_owner(b"first", 1000, 3_000_000_000).unwrap();
        top.set_owner(b"sticky", 65_534, 100).unwrap();
        // cap_net_raw=ep
        let capability = [1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        top.set_xattr(b"block", b"security.capability", &capability)
            .unwrap();
        for number in 0..3_000 {
            let dir = tree
                .create_dirs(format!("many/{}", number % 50).as_bytes(), 0o755)
                .unwrap();
            let name = format!("{number}");
            let mut file = dir.create_file(name.as_bytes(), 0o644).unwrap();
            std::io::Write::write_all(&mut file, &vec![b'x'; number]).unwrap();
        }
    });
    let archive = bytes(world.view(&[layer]).archive("/").unwrap());
    let target = world.folder.path().join("unpacked");
    unpacked(&archive, &target);
    let (ours, theirs) = (facts(&world.path(layer)), facts(&target));
    assert!(ours.len() > 3_000);
    // The root itself is no member.
    for (ours, theirs) in ours.iter().zip(&theirs).skip(1) {
        assert_eq!(ours, theirs);
    }
    assert_eq!(ours.len(), theirs.len());
    assert_eq!(bytes(world.view(&[layer]).archive("/").unwrap()), archive);
}

#[test]
fn privileged_python_reads_what_is_in_the_image() {
    let world = world();
    let layer = world.layer_with(odd_tree);
    let archive = bytes(world.view(&[layer]).archive("/").unwrap());
    let mut python = Command::new("python3")
        .args([
            "-c",
            "import sys, tarfile\n\
             for m in tarfile.open(fileobj=sys.stdin.buffer, mode='r|'):\n    \
             print(ascii((m.name, m.type, m.size, m.linkname, m.mode, float(m.mtime))))",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = python.stdin.take().unwrap();
    let writer = std::thread::spawn(move || {
        let _ = std::io::Write::write_all(&mut stdin, &archive);
    });
    let output = python.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    let said = String::from_utf8(output.stdout).unwrap();
    for expected in [
        r"('not\udcffutf8', b'0', 1, '', 420,",
        r"('\xfcmlaut', b'0', 1, '', 420,",
        r"('new\nline', b'0', 1, '', 420,",
        r"('empty', b'0', 0, '', 420, -4.75)",
        r"('block', b'0', 512, '', 3565, 9000000000.0)",
        r"b'0', 6, '', 420, 1700000000.1234567)",
        r"('second', b'1', 0, ",
        r"('link', b'2', 0, 'target', 511, 12.0000005)",
        r"('pipe', b'6', 0, '', 416,",
        r"('sticky', b'5', 0, '', 1023, 0.0)",
        &format!("('long-link', b'2', 0, '{}', 511,", "t".repeat(4_000)),
        &format!("'{}', b'0', 4,", "l".repeat(255)),
        &format!("'{}', b'0', 16,", r"\udcfe".repeat(255)),
    ] {
        assert!(said.contains(expected), "{expected} is not in\n{said}");
    }
}

#[test]
fn what_the_guest_calls_overlay_keeps_its_name() {
    let world = world();
    let layer = world.layer_with(|tree| {
        let top = tree.top().unwrap();
        top.create_dir(b"folder", 0o755).unwrap();
        let folder = top.open_dir(b"folder").unwrap();
        for (key, value) in [
            ("user.overlay.opaque", "y"),
            ("user.overlay.impure", "y"),
            ("user.overlay.overlay.opaque", "mine"),
        ] {
            rustix::fs::fsetxattr(&folder, key, value.as_bytes(), XattrFlags::empty()).unwrap();
        }
    });
    let archive = bytes(world.view(&[layer]).archive("/folder").unwrap());
    let text = String::from_utf8_lossy(&archive);
    assert!(
        text.contains("SCHILY.xattr.user.overlay.opaque=mine\n"),
        "{text}"
    );
    assert_eq!(text.matches("SCHILY").count(), 1);
}

#[test]
fn files_of_merged_layers_are_not_links() {
    let world = world();
    let base = world.layer(&[file("a", "1"), file("b", "2"), folder("c")]);
    let top = world.layer(&[file("d", "3"), entry("e", Kind::HardLink("d".to_owned()))]);
    let merged = contree_api::LayerId::new();
    world.merge(merged, &[top, base], &[]).unwrap();
    let kinds: Vec<(char, String, String)> =
        members(&bytes(world.view(&[merged]).archive("/").unwrap()));
    let member = |kind, name: &str, link: &str| (kind, name.to_owned(), link.to_owned());
    assert_eq!(
        kinds,
        [
            member('0', "a", ""),
            member('0', "b", ""),
            member('5', "c/", ""),
            member('0', "d", ""),
            member('1', "e", "d"),
        ]
    );
}

#[test]
fn a_file_that_ends_early_ends_the_archive_with_an_error() {
    let world = world();
    let layer = world.layer(&[file("a", "first"), file("b", &"x".repeat(100_000))]);
    let mut archive = world.view(&[layer]).archive("/").unwrap();
    let mut start = [0; 4096];
    archive.read_exact(&mut start).unwrap();
    // Nobody changes layers; a broken disk looks like this.
    let file = fs::File::options()
        .write(true)
        .open(world.path(layer).join("b"))
        .unwrap();
    file.set_len(50_000).unwrap();
    let error = std::io::copy(&mut archive, &mut std::io::sink()).unwrap_err();
    assert_eq!(error.to_string(), "b ends 50000 bytes early");
    // Asking again does not make an end of it.
    assert!(archive.read(&mut start).is_err());
}

#[test]
fn hostile_trees() {
    let world = world();
    let layer = world.layer_with(|tree| {
        let top = tree.top().unwrap();
        top.create_symlink(b"loop", b"loop").unwrap();
        top.create_symlink(b"up", b"../../..").unwrap();
        let mut deep = top.create_dir(b"deep", 0o755).unwrap();
        for _ in 0..2_000 {
            deep = deep.create_dir(b"dd", 0o755).unwrap();
        }
        deep.create_file(b"bottom", 0o644).unwrap();
        let many = top.create_dir(b"many", 0o755).unwrap();
        for number in 0..5_000 {
            many.create_symlink(format!("{number:05}").as_bytes(), b"x")
                .unwrap();
        }
    });
    let view = world.view(&[layer]);
    assert!(matches!(
        view.archive("/loop"),
        Err(PathError::TooManyLinks { .. })
    ));
    let members = members(&bytes(view.archive("/up").unwrap()));
    assert_eq!(members.len(), 1 + 2 + 1 + 2_000 + 1 + 1 + 5_000);
    let bottom = members.iter().find(|(kind, ..)| *kind == '0').unwrap();
    assert_eq!(bottom.1, format!("up/deep/{}bottom", "dd/".repeat(2_000)));
    let links: Vec<&str> = members
        .iter()
        .filter_map(|(_, name, _)| name.strip_prefix("up/many/"))
        .filter(|name| !name.is_empty())
        .collect();
    assert!(links.is_sorted() && links.len() == 5_000);
}
