//! The same layers unpacked by us and by others must be the same tree.

use std::collections::BTreeMap;
use std::path::Path;

use tar::EntryType;
use tempfile::TempDir;

use crate::support::image::{Image, Packing, usual_config};
use crate::support::tarball::{Item, Tar, file, folder, hard_link, symlink};
use crate::support::tree::{Facts, Kind, assert_same, facts};
use crate::support::{Env, run};

/// Everything a root filesystem can hold that others unpack as we do.
fn rich() -> Tar {
    let mut capability = vec![1, 0, 0, 2];
    capability.extend([0, 4, 0, 0]);
    capability.resize(20, 0);
    Tar::new()
        .add(folder("./").mtime(1_111_111_111))
        .add(folder("usr/").mtime(1_000_000_001))
        .add(
            folder("usr/bin/")
                .mode(0o2755)
                .owner(0, 7)
                .mtime(1_000_000_002),
        )
        .add(symlink("bin", "usr/bin").owner(5, 6).mtime(1_000_000_003))
        .add(
            file("usr/bin/su")
                .mode(0o4755)
                .data(b"setuid")
                .mtime(1_000_000_004),
        )
        .add(
            file("usr/bin/wall")
                .mode(0o2755)
                .owner(0, 5)
                .data(b"setgid"),
        )
        .add(
            file("usr/bin/ping")
                .data(b"ping")
                .pax("SCHILY.xattr.security.capability", &capability),
        )
        .add(
            file("bin/through-the-link")
                .mode(0o640)
                .owner(1_000, 1_001)
                .data(b"x"),
        )
        .add(hard_link("usr/bin/su-too", "usr/bin/su"))
        .add(hard_link("linked-link", "bin"))
        .add(folder("tmp/").mode(0o1777))
        .add(folder("empty/").mode(0o000).mtime(7))
        .add(
            file("attributes")
                .data(b"a")
                .pax("SCHILY.xattr.user.x", b"one\ntwo\0three"),
        )
        .add(folder("attributed/").pax("SCHILY.xattr.user.y", b"y"))
        .add(file("fraction").pax("mtime", b"1234567890.123456789"))
        .add(file("past").pax("mtime", b"-1.5"))
        .add(
            file("x")
                .pax("path", format!("{}/long", "n".repeat(200)).as_bytes())
                .data(b"long"),
        )
        .add(file("\u{fc}nic\u{f8}de \u{1f511}").data(b"u"))
        .add(Item::new(b"not \xff\xfe utf-8", EntryType::Regular).data(b"b"))
        .add(Item::new(b"pipe", EntryType::Fifo).mode(0o622).owner(9, 9))
        .add(file("large").data(&[0x5a; 300_000]))
        .add(symlink("dangling", "/no/where"))
}

fn without_devices(mut tree: BTreeMap<String, Facts>) -> BTreeMap<String, Facts> {
    tree.retain(|_, facts| facts.kind != Kind::Device);
    tree
}

fn tar_x(tar: &[u8], folder: &Path) -> BTreeMap<String, Facts> {
    let file = folder.with_extension("tar");
    std::fs::write(&file, tar).unwrap();
    std::fs::create_dir(folder).unwrap();
    let (folder_name, file) = (folder.display().to_string(), file.display().to_string());
    // Its warnings of times in the past go to stderr.
    run(
        "tar",
        &[
            "-C",
            &folder_name,
            "--numeric-owner",
            "--same-owner",
            "-p",
            "--xattrs",
            "--xattrs-include=*",
            "-xf",
            &file,
        ],
    );
    without_devices(facts(folder))
}

#[tokio::test]
async fn privileged_like_gnu_tar() {
    let tar = rich().bytes();
    let scratch = TempDir::new().unwrap();
    let theirs = tar_x(&tar, &scratch.path().join("theirs"));
    let env = Env::new();
    let imported = env.archive(&tar).await.unwrap();
    let mut ours = facts(&env.layer(imported.layer));
    assert_eq!(ours["usr/bin"].mtime, (1_000_000_002, 0));
    let mut theirs = theirs;
    // GNU tar leaves the time of a folder that it wrote to through a link, and of one that the
    // archive does not mention.
    for tree in [&mut ours, &mut theirs] {
        for name in ["usr/bin", "n".repeat(200).as_str()] {
            tree.get_mut(name).unwrap().mtime = (0, 0);
        }
    }
    assert_same(&ours, &theirs);
}

/// Sparse files in every format that GNU tar writes.
#[tokio::test]
async fn privileged_sparse_files() {
    let scratch = TempDir::new().unwrap();
    let tree = scratch.path().join("tree");
    std::fs::create_dir(&tree).unwrap();
    let write = |name: &str, size: u64, pieces: &[(u64, &[u8])]| {
        use std::os::unix::fs::FileExt;
        let file = std::fs::File::create(tree.join(name)).unwrap();
        file.set_len(size).unwrap();
        for (offset, bytes) in pieces {
            file.write_all_at(bytes, *offset).unwrap();
        }
    };
    write("all-hole", 1 << 20, &[]);
    write("ends-in-hole", 1 << 20, &[(4_096, b"data")]);
    write("ends-in-data", 1 << 20, &[((1 << 20) - 10, b"0123456789")]);
    let many: Vec<(u64, &[u8])> = (0..60).map(|at| (at * 65_536, &b"piece"[..])).collect();
    write("many", 64 * 65_536, &many);
    write("dense", 10, &[(0, b"0123456789")]);
    let tree_name = tree.display().to_string();
    let env = Env::new();
    for format in [
        &["--format=gnu"][..],
        &["--format=pax", "--sparse-version=0.0"],
        &["--format=pax", "--sparse-version=0.1"],
        &["--format=pax", "--sparse-version=1.0"],
    ] {
        let file = scratch.path().join("sparse.tar").display().to_string();
        let mut arguments = vec!["-C", &tree_name, "--sparse"];
        arguments.extend(format);
        arguments.extend(["-cf", &file, "."]);
        run("tar", &arguments);
        assert!(
            std::fs::metadata(&file).unwrap().len() < 1 << 20,
            "not sparse"
        );
        let imported = env
            .archive_file(file.as_ref())
            .await
            .unwrap_or_else(|error| {
                panic!("{format:?}: {}", error.message());
            });
        let ours = facts(&env.layer(imported.layer));
        let mut theirs = facts(&tree);
        for facts in theirs.values_mut() {
            // The old format has whole seconds.
            if format.len() == 1 {
                facts.mtime.1 = 0;
            }
        }
        assert_same(&ours, &theirs);
        assert!(imported.bytes < 2 << 20, "{} bytes on disk", imported.bytes);
    }
}

/// Real folders of this machine, as GNU tar writes them.
#[tokio::test]
async fn privileged_real_folders() {
    let scratch = TempDir::new().unwrap();
    let file = scratch.path().join("real.tar").display().to_string();
    run(
        "tar",
        &[
            "-C",
            "/",
            "--xattrs",
            "--xattrs-include=*",
            "--format=pax",
            "-cf",
            &file,
            "etc",
            "usr/sbin",
            "usr/share/perl5",
        ],
    );
    let env = Env::new();
    let imported = env.archive_file(file.as_ref()).await.unwrap();
    let theirs = tar_x(
        &std::fs::read(&file).unwrap(),
        &scratch.path().join("theirs"),
    );
    let mut ours = facts(&env.layer(imported.layer));
    let mut theirs = theirs;
    // Folders that the archive does not mention have the time of their making.
    for tree in [&mut ours, &mut theirs] {
        for name in [".", "usr", "usr/share"] {
            tree.get_mut(name).unwrap().mtime = (0, 0);
            tree.get_mut(name).unwrap().mode = 0;
        }
    }
    assert_same(&ours, &theirs);
}

/// Layers that change each other in every way, flattened by umoci and by us.
#[tokio::test]
async fn privileged_like_umoci() {
    let upper = Tar::new()
        .add(folder("usr/").mtime(1_200_000_000))
        .add(folder("usr/bin/").mode(0o755).mtime(1_200_000_001))
        .add(file("usr/bin/su").mode(0o755).data(b"no longer setuid"))
        .whiteout("usr/bin/.wh.wall")
        .whiteout(".wh.tmp")
        .whiteout(".wh.not-there")
        .add(folder("replaced-by-folder/"))
        .add(file("replaced-by-folder/x").data(b"x"))
        .add(file("replaced-by-file").data(b"file"))
        .add(folder("opaque/").mode(0o700).mtime(1_200_000_002))
        .whiteout("opaque/.wh..wh..opq")
        .add(file("opaque/new").data(b"new"))
        .add(folder("kept/").mtime(1_200_000_003))
        .add(file("kept/new").data(b"new"))
        .add(hard_link("kept/of-below", "kept/old"))
        .bytes();
    let lower = rich()
        .add(file("replaced-by-folder").data(b"file"))
        .add(folder("replaced-by-file/deep/"))
        .add(file("replaced-by-file/deep/x").data(b"x"))
        .add(folder("opaque/deep/"))
        .add(file("opaque/old").data(b"old"))
        .add(file("opaque/deep/old").data(b"old"))
        .add(folder("kept/").pax("SCHILY.xattr.user.old", b"gone later"))
        .add(file("kept/old").data(b"old"))
        .bytes();
    let top = Tar::new()
        .whiteout("kept/.wh.old")
        .add(folder("tmp/"))
        .file("tmp/x", b"")
        .bytes();
    let image = Image::packed(
        &[
            (lower, Packing::Gzip),
            (upper, Packing::Plain),
            (top, Packing::Gzip),
        ],
        usual_config(),
    );
    let scratch = TempDir::new().unwrap();
    let layout = scratch.path().join("layout");
    image.write_layout(&layout);
    let bundle = scratch.path().join("bundle").display().to_string();
    let from = format!("{}:latest", layout.display());
    run("umoci", &["unpack", "--image", &from, &bundle]);
    let archive = scratch.path().join("image.tar").display().to_string();
    run(
        "tar",
        &["-C", &layout.display().to_string(), "-cf", &archive, "."],
    );
    let env = Env::new();
    let imported = env.archive_file(archive.as_ref()).await.unwrap();
    let mut ours = facts(&env.layer(imported.layer));
    let mut theirs = without_devices(facts(&Path::new(&bundle).join("rootfs")));
    for tree in [&mut ours, &mut theirs] {
        // Of folders that the last layer to change them does not mention, the time is nobody's
        // promise.
        for name in [".", "n".repeat(200).as_str()] {
            tree.get_mut(name).unwrap().mtime = (0, 0);
        }
    }
    assert_same(&ours, &theirs);
}

/// A whiteout hides what is below its layer, wherever it stands among its layer's entries.
#[tokio::test]
async fn privileged_whiteouts_spare_their_own_layer() {
    let lower = Tar::new()
        .folder("d")
        .file("d/old", b"")
        .folder("d/sub")
        .file("d/sub/old", b"")
        .folder("e")
        .file("e/old", b"")
        .file("f", b"old")
        .bytes();
    let upper = Tar::new()
        .file("d/new", b"")
        .add(folder("d/sub").mtime(5))
        .file("d/sub/new", b"")
        .whiteout("d/.wh..wh..opq")
        .file("e/new", b"")
        .whiteout(".wh.e")
        .file("f", b"new")
        .whiteout(".wh.f")
        .folder(".wh..wh.plnk")
        .file(".wh..wh.plnk/1.2", b"aufs")
        .bytes();
    let scratch = TempDir::new().unwrap();
    let layout = scratch.path().join("layout");
    Image::of(&[lower, upper]).write_layout(&layout);
    let archive = scratch.path().join("image.tar").display().to_string();
    run(
        "tar",
        &["-C", &layout.display().to_string(), "-cf", &archive, "."],
    );
    let env = Env::new();
    let imported = env.archive_file(archive.as_ref()).await.unwrap();
    let ours = facts(&env.layer(imported.layer));
    let names: Vec<&str> = ours.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [".", "d", "d/new", "d/sub", "d/sub/new", "e", "e/new", "f"]
    );
    assert_eq!(ours["d/sub"].mtime, (5, 0));
    assert_eq!(
        ours["f"].kind,
        Kind::File(3, contree_images::import::Digest::of(b"new"))
    );
}
