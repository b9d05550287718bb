//! Archives that try to get out, to get through, or to be too much. Each ends as an error that
//! says why; outside of the store nothing changes, and inside nothing stays.

use std::os::unix::fs::MetadataExt;

use contree_images::import::Limits;
use tar::EntryType;

use crate::support::image::Image;
use crate::support::tarball::{Item, Tar, file, folder, gzip, hard_link, symlink, zstd};
use crate::support::{Env, limits};

/// The error of importing these bytes, as a root filesystem and as a layer.
async fn refused(tar: &[u8]) -> String {
    refused_with(tar, limits()).await
}

async fn refused_with(tar: &[u8], limits: Limits) -> String {
    let scratch = tempfile::TempDir::new().unwrap();
    let layout = scratch.path().join("layout");
    Image::of(&[Tar::new().folder("etc").bytes(), tar.to_vec()]).write_layout(&layout);
    let image = scratch.path().join("image.tar");
    let (layout, image) = (layout.display().to_string(), image.display().to_string());
    crate::support::run("tar", &["-C", &layout, "-cf", &image, "."]);
    let env = Env::with(limits);
    let as_layer = env
        .archive_file(image.as_ref())
        .await
        .unwrap_err()
        .message();
    env.assert_nothing_left().await;
    let as_rootfs = env.archive(tar).await.unwrap_err().message();
    env.assert_nothing_left().await;
    let reason = |message: &str| {
        message
            .split_once(": ")
            .map(|(_, reason)| reason.to_owned())
    };
    assert!(as_layer.starts_with("layer 2 (sha256:"), "{as_layer}");
    if as_rootfs.starts_with("layer 1") {
        assert_eq!(
            reason(&as_layer).unwrap().split(": ").last(),
            as_rootfs.split(": ").last()
        );
    }
    as_layer
}

#[tokio::test]
async fn privileged_names_that_lead_out() {
    for (item, expected) in [
        (file("../canary"), "its name leads upwards"),
        (file("etc/../../canary"), "its name leads upwards"),
        (file("etc/../x"), "its name leads upwards"),
        (file("/etc/canary"), "its name is absolute"),
        (folder("/"), "its name is absolute"),
        (folder(".."), "its name leads upwards"),
        (
            file("x").pax("path", b"../../canary"),
            "its name leads upwards",
        ),
        (
            file("x").pax("path", b"/tmp/canary"),
            "its name is absolute",
        ),
        (file("x").pax("path", b"etc/a\0b"), "NUL"),
        (file(""), "its name is empty"),
        (symlink("./", "/"), "its root is not a folder"),
        (
            hard_link("etc/passwd", "../../../etc/passwd"),
            "its name leads upwards",
        ),
        (
            hard_link("etc/passwd", "/etc/passwd"),
            "not a file of the image",
        ),
        (
            hard_link("etc/host", "/proc/self/root/etc/passwd"),
            "not a file of the image",
        ),
        (hard_link("etc/folder", "etc"), "not a file of the image"),
        (hard_link("etc/root", "./"), "not a file of the image"),
    ] {
        let tar = Tar::new().folder("etc").add(item).bytes();
        let message = refused(&tar).await;
        assert!(message.contains(expected), "{expected}: {message}");
    }
}

/// Links lead inside the image, whatever they say.
#[tokio::test]
async fn privileged_writes_through_links_stay_inside() {
    let env = Env::new();
    let outside = env.folder.path().display().to_string();
    let above = "../".repeat(40);
    let tar = Tar::new()
        .folder("a")
        .symlink("abs", &outside)
        .symlink("up", &format!("{above}{outside}"))
        .symlink("a/self", ".")
        .symlink("proc", "/proc/self/root")
        .bytes();
    // Where the link leads does not exist in the image.
    for name in ["abs/canary", "up/canary", "proc/canary", "proc/tmp/canary"] {
        let more = Tar::new().file(name, b"dead").bytes();
        let tar = [&tar[..tar.len() - 1_024], &more].concat();
        let message = env.archive(&tar).await.unwrap_err().message();
        assert!(message.contains("what should be its folder"), "{message}");
        env.assert_nothing_left().await;
    }
    // Now it does: the file is made there, in the image.
    let inside = outside.trim_start_matches('/');
    let more = Tar::new()
        .add(file("x").pax("path", format!("{inside}/there").as_bytes()))
        .file("abs/canary", b"inside")
        .file("a/self/self/deep", b"deep")
        .bytes();
    let tar = [&tar[..tar.len() - 1_024], &more].concat();
    let imported = env.archive(&tar).await.unwrap();
    let layer = env.layer(imported.layer);
    assert_eq!(
        std::fs::read(layer.join(inside).join("canary")).unwrap(),
        b"inside"
    );
    assert_eq!(std::fs::read(layer.join("a/deep")).unwrap(), b"deep");
    assert_eq!(
        std::fs::read_to_string(env.folder.path().join("canary")).unwrap(),
        "alive"
    );
}

#[tokio::test]
async fn privileged_what_is_there_is_replaced_not_written_through() {
    let env = Env::new();
    let canary = env.folder.path().join("canary");
    let target = canary.display().to_string();
    let tar = Tar::new()
        .folder("d")
        .file("d/kept", b"kept")
        .symlink("link", &target)
        .file("link", b"a file now")
        .symlink("hard", &target)
        .hard_link("harder", "hard")
        .file("harder", b"another")
        .file("one", b"one")
        .hard_link("two", "one")
        .file("two", b"two")
        .symlink("folder", "d")
        .folder("folder")
        .folder("d")
        .folder("gone/deep/er")
        .file("gone", b"a file now")
        .bytes();
    let imported = env.archive(&tar).await.unwrap();
    let layer = env.layer(imported.layer);
    let read = |name: &str| std::fs::read_to_string(layer.join(name)).unwrap();
    assert_eq!(std::fs::read_to_string(&canary).unwrap(), "alive");
    assert_eq!(read("link"), "a file now");
    assert_eq!(read("harder"), "another");
    assert_eq!((read("one"), read("two")), ("one".into(), "two".into()));
    assert_eq!(read("d/kept"), "kept");
    assert_eq!(read("gone"), "a file now");
    assert!(layer.join("folder").symlink_metadata().unwrap().is_dir());
    assert!(layer.join("hard").is_symlink());
}

#[tokio::test]
async fn privileged_loops_and_files_in_the_way() {
    for tar in [
        Tar::new()
            .symlink("a", "b")
            .symlink("b", "a")
            .file("a/x", b""),
        Tar::new().symlink("a", "a").file("a/x", b""),
        Tar::new().file("a", b"").file("a/x", b""),
        Tar::new().symlink("a", "nowhere").file("a/b/x", b""),
        Tar::new()
            .add(Item::new(b"a", EntryType::Fifo))
            .file("a/x", b""),
    ] {
        let message = refused(&tar.bytes()).await;
        assert!(message.contains("what should be its folder"), "{message}");
    }
    for item in [
        symlink("a", ""),
        symlink("a", "x").pax("linkpath", &[b'x'; 5_000]),
    ] {
        let message = refused(&Tar::new().add(item).bytes()).await;
        assert!(
            message.contains("has a target that is empty or longer"),
            "{message}"
        );
    }
}

#[tokio::test]
async fn privileged_whiteouts_that_lead_out() {
    let env = Env::new();
    let lower = Tar::new()
        .folder("etc")
        .file("etc/x", b"")
        .symlink("up", "..")
        .bytes();
    for name in ["etc/.wh.", "etc/.wh..", "etc/.wh...", ".wh..", ".wh.etc/x"] {
        let scratch = tempfile::TempDir::new().unwrap();
        let layout = scratch.path().join("layout");
        let upper = Tar::new().whiteout(name).bytes();
        Image::of(&[lower.clone(), upper]).write_layout(&layout);
        let image = scratch.path().join("image.tar");
        let (layout, image) = (layout.display().to_string(), image.display().to_string());
        crate::support::run("tar", &["-C", &layout, "-cf", &image, "."]);
        let message = env
            .archive_file(image.as_ref())
            .await
            .unwrap_err()
            .message();
        assert!(
            message.contains("does not name an entry"),
            "{name}: {message}"
        );
        env.assert_nothing_left().await;
    }
    // Through a link out, a whiteout removes what is inside, or nothing.
    let scratch = tempfile::TempDir::new().unwrap();
    let layout = scratch.path().join("layout");
    let upper = Tar::new()
        .whiteout("up/.wh.canary")
        .whiteout("up/.wh..wh..opq")
        .bytes();
    Image::of(&[lower, upper]).write_layout(&layout);
    let image = scratch.path().join("image.tar");
    let (layout, image) = (layout.display().to_string(), image.display().to_string());
    crate::support::run("tar", &["-C", &layout, "-cf", &image, "."]);
    let imported = env.archive_file(image.as_ref()).await.unwrap();
    assert_eq!(imported.entries, 0);
    assert_eq!(
        std::fs::read_to_string(env.folder.path().join("canary")).unwrap(),
        "alive"
    );
}

#[tokio::test]
async fn privileged_bombs() {
    // A gigabyte of zeros is a megabyte of gzip and a few bytes of zstd.
    let zeros = Tar::new().file("zeros", &vec![0; 24 << 20]).bytes();
    let small = Limits {
        unpacked_bytes: 16 << 20,
        ..limits()
    };
    for bomb in [
        gzip(&zeros),
        zstd(&zeros),
        gzip(&gzip(&zeros)),
        zeros.clone(),
    ] {
        let env = Env::with(small.clone());
        let message = env.archive(&bomb).await.unwrap_err().message();
        let expected = ["unpacks to more than 16.0 MiB", "is not a tar archive"];
        assert!(
            expected.iter().any(|reason| message.contains(reason)),
            "{message}"
        );
        env.assert_nothing_left().await;
    }
    // Behind the end of the tar, where nobody looks.
    let behind = [Tar::new().file("x", b"").bytes(), vec![0; 24 << 20]].concat();
    let message = refused_with(&behind, small.clone()).await;
    assert!(
        message.contains("unpacks to more than 16.0 MiB"),
        "{message}"
    );
    // A hole larger than everything.
    let hole = file("hole")
        .pax("GNU.sparse.major", b"0")
        .pax("GNU.sparse.map", b"0,0")
        .pax("GNU.sparse.size", b"9000000000000000");
    let message = refused_with(&Tar::new().add(hole).bytes(), small.clone()).await;
    assert!(message.contains("more than the 16.0 MiB"), "{message}");
    // Entries.
    let few = Limits {
        entries: 50,
        ..limits()
    };
    let many = (0..100)
        .fold(Tar::new(), |tar, at| tar.file(&format!("f{at}"), b""))
        .bytes();
    let message = refused_with(&many, few.clone()).await;
    assert!(message.contains("more than 50 entries"), "{message}");
    let skipped = (0..100).fold(Tar::new(), |tar, at| {
        tar.add(Item::new(format!("f{at}").as_bytes(), EntryType::Char))
    });
    let message = refused_with(&skipped.bytes(), few.clone()).await;
    assert!(message.contains("more than 50 entries"), "{message}");
    let implied = format!("{}x", "d/".repeat(60));
    let implied = Tar::new()
        .add(file("x").pax("path", implied.as_bytes()))
        .bytes();
    let message = refused_with(&implied, few).await;
    assert!(message.contains("more than 50 entries"), "{message}");
    // The disk.
    let full = Limits {
        reserved_bytes: u64::MAX,
        ..limits()
    };
    let env = Env::with(full);
    let message = env.archive(&zeros).await.unwrap_err().message();
    assert!(message.contains("the server's disk is full"), "{message}");
    env.assert_nothing_left().await;
}

#[tokio::test]
async fn privileged_depth() {
    let deep = format!("{}x", "d/".repeat(300));
    let message = refused(
        &Tar::new()
            .add(file("x").pax("path", deep.as_bytes()))
            .bytes(),
    )
    .await;
    assert!(
        message.contains("lies deeper than 256 folders"),
        "{message}"
    );
    // Each step is harmless, but links make them add up.
    let step = "d/".repeat(100);
    let mut tar = Tar::new();
    let mut top = String::new();
    for at in 0..4 {
        let folder = format!("{top}{step}");
        tar = tar.add(folder_at(&folder));
        let link = format!("l{at}");
        tar = tar.add(symlink(&link, "x").pax("linkpath", folder.as_bytes()));
        top = format!("{link}/");
    }
    let message = refused(&tar.bytes()).await;
    assert!(
        message.contains("lies deeper than 256 folders"),
        "{message}"
    );
    // What is deep, but not too deep, goes away again when something later fails.
    let tar = Tar::new()
        .add(folder_at(&"d/".repeat(250)))
        .file("../x", b"")
        .bytes();
    assert!(refused(&tar).await.contains("leads upwards"));
}

fn folder_at(path: &str) -> Item {
    folder("x").pax("path", path.as_bytes())
}

#[tokio::test]
async fn privileged_headers_without_end() {
    let huge = |kind| Item::new(b"x", kind).claimed_size(1 << 40);
    for item in [
        huge(EntryType::XHeader),
        huge(EntryType::GNULongName),
        huge(EntryType::GNULongLink),
    ] {
        let message = refused(&Tar::new().folder("a").add(item).bytes()).await;
        assert!(
            message.contains("1099511627776 bytes, more than"),
            "{message}"
        );
    }
    let message = refused(&Tar::new().folder("a").add(huge(EntryType::Regular)).bytes()).await;
    assert!(message.contains("ends too early"), "{message}");
    let names = (0..100).fold(Tar::new().folder("a"), |tar, _| {
        tar.add(Item::new(b"x", EntryType::GNULongName).data(&[b'x'; 5_000]))
    });
    let message = refused(&names.bytes()).await;
    assert!(message.contains("extension headers in a row"), "{message}");
    let long = file("x").pax("path", &[b'x'; 300]);
    assert!(
        refused(&Tar::new().add(long).bytes())
            .await
            .contains("longer than 4095 bytes")
    );
    let long = file("x").pax("path", "x/".repeat(5_000).as_bytes());
    assert!(
        refused(&Tar::new().add(long).bytes())
            .await
            .contains("longer than 4095 bytes")
    );
    let message = refused(
        &Tar::new()
            .folder("a")
            .add(file("x").pax("size", b"-1"))
            .bytes(),
    )
    .await;
    assert!(message.contains("PAX header at byte"), "{message}");
    let unknown = Tar::new()
        .folder("a")
        .add(Item::new(b"x", EntryType::new(b'Q')))
        .bytes();
    assert!(refused(&unknown).await.contains("unknown type 'Q'"));
    let last = Tar::new()
        .folder("a")
        .add(Item::new(b"x", EntryType::GNULongName).data(b"x"));
    assert!(
        refused(&last.bytes())
            .await
            .contains("ends after an extension header")
    );
    for (map, expected) in [
        ("0,10,5,10", "overlap"),
        ("0,99999999999999999999", "PAX header"),
        ("18446744073709551615,5", "too large"),
        ("0,5", "not as long as its data"),
        ("100,5", "behind its end"),
        ("0", "without a length"),
    ] {
        let sparse = file("sparse")
            .pax("GNU.sparse.map", map.as_bytes())
            .pax("GNU.sparse.size", b"50")
            .data(b"0123456789");
        let message = refused(&Tar::new().folder("a").add(sparse).bytes()).await;
        assert!(message.contains(expected), "{map}: {message}");
    }
}

/// Attributes by which an image could speak to overlayfs or to the host.
#[tokio::test]
async fn privileged_attributes_of_others_are_dropped() {
    let mut capability = vec![1, 0, 0, 2];
    capability.resize(20, 0);
    let item = file("x")
        .mode(0o4755)
        .owner(1_516_583_083, 70_000)
        .pax("SCHILY.xattr.user.overlay.opaque", b"y")
        .pax("SCHILY.xattr.user.overlay.redirect", b"/etc")
        .pax("SCHILY.xattr.trusted.overlay.opaque", b"y")
        .pax("SCHILY.xattr.security.selinux", b"label")
        .pax("SCHILY.xattr.security.capability", &capability)
        .pax("SCHILY.xattr.user.kept", b"v");
    let root = folder("./")
        .pax("SCHILY.xattr.user.overlay.opaque", b"y")
        .mode(0o711);
    let env = Env::new();
    let imported = env
        .archive(&Tar::new().add(root).add(item).bytes())
        .await
        .unwrap();
    let found = crate::support::tree::facts(&env.layer(imported.layer));
    assert_eq!(
        found["x"].xattrs,
        [
            (b"security.capability".to_vec(), capability),
            (b"user.kept".to_vec(), b"v".to_vec())
        ]
    );
    assert_eq!(found["x"].mode, 0o4755);
    assert_eq!(found["x"].owner, (65_534, 65_534));
    assert_eq!((found["."].xattrs.len(), found["."].mode), (0, 0o711));
}

/// Neither device nodes nor anything that pretends to be one of overlayfs' whiteouts.
#[tokio::test]
async fn privileged_devices_are_left_out() {
    let tar = Tar::new()
        .folder("dev")
        .add(Item::new(b"dev/sda", EntryType::Block))
        .add(Item::new(b"dev/null", EntryType::Char))
        .hard_link("dev/zero", "dev/null")
        .add(
            Item::new(b"dev/pipe", EntryType::Fifo)
                .mode(0o600)
                .owner(3, 4),
        )
        .bytes();
    let env = Env::new();
    let imported = env.archive(&tar).await.unwrap();
    let dev = env.layer(imported.layer).join("dev");
    let names: Vec<_> = std::fs::read_dir(&dev)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(names, ["pipe"]);
    let pipe = dev.join("pipe").symlink_metadata().unwrap();
    assert_eq!(
        (pipe.mode() & 0o7777, pipe.uid(), pipe.gid()),
        (0o600, 3, 4)
    );
}
