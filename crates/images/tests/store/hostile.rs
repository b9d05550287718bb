//! Trees made to hurt whoever walks them.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::AsFd;

use contree_api::{LayerId, OperationId};
use contree_images::{Dir, RootDir, View};
use rustix::process::{Resource, Rlimit};

use crate::world::{World, file, until_empty, world};

const DEPTH: usize = 5_000;

/// Folders in folders, names long enough that the whole path is longer than any the kernel
/// takes, with a file in each.
fn make_deep(top: &Dir) {
    let mut here = Dir::from_fd(top.as_fd().try_clone_to_owned().unwrap());
    for _ in 0..DEPTH {
        here.create_file(b"file", 0o644).unwrap();
        here = here
            .create_dir(b"a-folder-with-a-name-of-some-length", 0o755)
            .unwrap();
    }
}

/// No more descriptors than a few: a walk that keeps one per level fails.
fn few_descriptors() {
    let open = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64;
    let limit = Rlimit {
        current: Some(open + 20),
        maximum: Some(open + 20),
    };
    rustix::process::setrlimit(Resource::Nofile, limit).unwrap();
}

#[test]
fn deep_trees() {
    let world = world();
    let deep = |world: &World| world.layer_with(|tree| make_deep(&tree.top().unwrap()));
    let (lower, upper) = (deep(&world), deep(&world));
    let base = world.layer(&[file("base", "")]);
    let run = world.new_upper(OperationId::new(), &[base]).unwrap();
    make_deep(&Dir::from_fd(
        File::open(world.root().join(run.upper_name()))
            .unwrap()
            .into(),
    ));
    few_descriptors();

    assert_eq!(world.measure(&run, None).unwrap().entries, 2 * DEPTH as u64);
    let merged = LayerId::new();
    let usage = world.merge(merged, &[upper, lower], &[base]).unwrap();
    assert_eq!(usage.entries, 2 * DEPTH as u64);
    let view = world.view(&[merged, base]);
    let far = "a-folder-with-a-name-of-some-length/".repeat(100);
    assert_eq!(view.list(&far).unwrap().files.len(), 2);
    world.commit(run, LayerId::new()).unwrap();
    for layer in world.layer_ids().unwrap() {
        world.remove_layer(layer).unwrap();
    }
    until_empty(&world.root().join("trash"));
    assert_eq!(world.layer_ids().unwrap().count(), 0);
}

#[test]
fn wide_trees() {
    let world = world();
    let count = 100_000_u64;
    let wide = world.layer_with(|tree| {
        let dir = tree.create_dirs(b"wide", 0o755).unwrap();
        for n in 0..count {
            let name = n.to_string().into_bytes();
            // Folders are what a removal has to remember.
            if n % 10 == 0 {
                dir.create_dir(&name, 0o755)
                    .unwrap()
                    .create_file(b"x", 0o644)
                    .unwrap();
            } else {
                dir.create_symlink(&name, b"1").unwrap();
            }
        }
    });
    let merged = LayerId::new();
    let over = world.layer(&[file("wide/over", "")]);
    let usage = world.merge(merged, &[over, wide], &[]).unwrap();
    assert_eq!(usage.entries, count + count / 10 + 2);
    let view = world.view(&[merged]);
    assert_eq!(view.list("wide").unwrap().files.len() as u64, count + 1);
    assert_eq!(
        view.list_text("/wide").unwrap().lines().count() as u64,
        count + 2
    );
    for layer in [merged, over, wide] {
        world.remove_layer(layer).unwrap();
    }
    until_empty(&world.root().join("trash"));
}

/// Names of all bytes that a name can have, alone and in long rows.
fn wild_names() -> Vec<Vec<u8>> {
    let single = (1..=255_u8)
        .filter(|&b| b != b'/' && b != b'.')
        .map(|b| vec![b]);
    let mut names: Vec<_> = single.collect();
    names.push(vec![0xff; 255]);
    names.push(b"-rf".to_vec());
    names.push(b"...".to_vec());
    names.push(b"a\nb".to_vec());
    names
}

#[test]
fn names_of_any_bytes() {
    let world = world();
    let names = wild_names();
    let fill = |tree: &RootDir| {
        let top = tree.top().unwrap();
        for name in &names {
            let inner = top.create_dir(name, 0o755).unwrap();
            inner.create_symlink(name, name).unwrap();
        }
    };
    let (lower, upper) = (world.layer_with(fill), world.layer_with(fill));
    let merged = LayerId::new();
    let usage = world.merge(merged, &[upper, lower], &[]).unwrap();
    assert_eq!(usage.entries, 2 * names.len() as u64);
    let view = world.view(&[merged]);
    let listed = view.list("/").unwrap().files;
    assert_eq!(listed.len(), names.len());
    assert!(
        listed
            .iter()
            .any(|item| item.path == "\u{fffd}".repeat(255))
    );
    // What cannot be written in JSON can still be asked for by its bytes.
    for name in &names {
        assert!(view.stat(name).unwrap().is_dir, "{name:?}");
        let path = [&name[..], b"/", name].concat();
        let link = view.lstat(&path).unwrap();
        assert_eq!(link.symlink_to, String::from_utf8_lossy(name), "{name:?}");
    }
    let lines = view.list_text("/").unwrap();
    assert_eq!(lines.lines().count(), names.len() + 1);
    world.remove_layer(merged).unwrap();
    until_empty(&world.root().join("trash"));
}

/// What a guest may leave in its upper cannot keep it from being removed.
#[test]
fn privileged_trees_that_resist() {
    let world = world();
    let run = world.new_upper(OperationId::new(), &[]).unwrap();
    let path = world.root().join(run.upper_name());
    let dir = Dir::from_fd(File::open(&path).unwrap().into());
    for (name, mode) in [(b"a", 0), (b"b", 0o1000), (b"c", 0o444)] {
        let made = dir.create_dir(name, 0o755).unwrap();
        made.create_file(b"f", 0).unwrap();
        made.create_whiteout(b"w").unwrap();
        made.create_fifo(b"p", 0).unwrap();
        made.create_socket(b"s", 0).unwrap();
        made.create_symlink(b"up", b"..").unwrap();
        made.create_symlink(b"self", b"self").unwrap();
        dir.set_mode(name, mode).unwrap();
        dir.set_owner(name, 12_345, 54_321).unwrap();
    }
    // As overlayfs leaves its own folder.
    let work = world.root().join(run.work_name()).join("work");
    std::fs::create_dir(&work).unwrap();
    rustix::fs::chmod(&work, rustix::fs::Mode::empty()).unwrap();
    assert_eq!(world.measure(&run, None).unwrap().entries, 3 + 3 * 6);
    world.discard(run);
    until_empty(&world.root().join("uppers"));
    until_empty(&world.root().join("trash"));
}

/// Block devices and others cannot come from a guest; from elsewhere they are never opened.
#[test]
fn privileged_device_nodes_are_not_opened() {
    let world = world();
    let layer = world.layer_with(|tree| {
        let name = CString::new("zero").unwrap();
        let kind = rustix::fs::FileType::CharacterDevice;
        let device = rustix::fs::makedev(1, 5);
        let mode = rustix::fs::Mode::from_raw_mode(0o666);
        rustix::fs::mknodat(tree, &name, kind, mode, device).unwrap();
    });
    let view: View = world.view(&[layer]);
    let error = view.open("/zero").unwrap_err().to_string();
    assert_eq!(error, "/zero is not a regular file");
    assert!(view.list_text("/").unwrap().contains("\ncrw-r"));
    let merged = LayerId::new();
    world.merge(merged, &[layer], &[]).unwrap();
    let kept = std::fs::symlink_metadata(world.path(merged).join("zero")).unwrap();
    assert!(std::os::unix::fs::FileTypeExt::is_char_device(
        &kept.file_type()
    ));
}

#[test]
fn removing_a_name_removes_nothing_else() {
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let kept = folder.path().join("kept");
    std::fs::create_dir(&kept).unwrap();
    std::fs::write(kept.join("file"), "").unwrap();
    let tree = folder.path().join("tree");
    std::fs::create_dir_all(tree.join("a/b")).unwrap();
    for link in ["link", "a/link", "a/b/link"] {
        std::os::unix::fs::symlink("../kept", tree.join(link)).unwrap();
    }
    let dir = RootDir::open(&tree).unwrap().top().unwrap();
    for name in ["a", "link", "missing"] {
        dir.remove_all(name.as_bytes()).unwrap();
    }
    assert!(dir.names().unwrap().is_empty());
    assert!(kept.join("file").exists());
}
