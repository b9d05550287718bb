//! A merged layer shows what the layers it is made of show: overlayfs is asked.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink as make_symlink};
use std::path::{Path, PathBuf};
use std::time::Instant;

use contree_api::{LayerId, OperationId};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::overlay::{Sight, look, mount, private_mounts};
use crate::world::{
    Entry, Kind, World, a_path, an_entry, entry, file, folder, opaque, symlink, until_empty,
    whiteout, world,
};

/// The chain, and the chain with the layers in `range` replaced by their merge.
fn merged_chain(world: &World, chain: &[LayerId], range: std::ops::Range<usize>) -> Vec<LayerId> {
    let into = LayerId::new();
    world
        .merge(into, &chain[range.clone()], &chain[range.end..])
        .unwrap();
    let mut replaced = chain.to_vec();
    replaced.splice(range, [into]);
    replaced
}

fn seen(world: &World, chain: &[LayerId]) -> Sight {
    let mounted = mount(world, chain, None);
    look(&mounted.at)
}

/// Merges every range of the chain and asks overlayfs to compare.
fn assert_merges_show_the_same(world: &World, chain: &[LayerId]) {
    let original = seen(world, chain);
    for start in 0..chain.len() {
        for end in start + 1..=chain.len() {
            let merged = seen(world, &merged_chain(world, chain, start..end));
            assert_same(&original, &merged, &format!("layers {start}..{end} merged"));
        }
    }
}

#[track_caller]
fn assert_same(expected: &Sight, actual: &Sight, what: &str) {
    let paths: std::collections::BTreeSet<_> = expected
        .entries
        .keys()
        .chain(actual.entries.keys())
        .collect();
    for path in paths {
        assert_eq!(
            expected.entries.get(path),
            actual.entries.get(path),
            "{what}: {path:?}"
        );
    }
    assert!(
        actual.ghosts.is_subset(&expected.ghosts),
        "{what}: names of nothing appeared: {:?}",
        actual.ghosts.difference(&expected.ghosts)
    );
}

#[test]
fn privileged_every_rule_of_overlayfs() {
    private_mounts();
    let world = world();
    let xattr = |mut entry: Entry, key: &str| {
        entry.xattr = Some((key.to_owned(), b"value".to_vec()));
        entry
    };
    let base = world.layer(&[
        file("kept", "base"),
        file("changed", "base"),
        file("removed", "base"),
        file("folder/kept", "base"),
        file("folder/removed", "base"),
        file("replaced-folder/hidden", "base"),
        file("file-to-folder", "base"),
        file("folder-to-file/hidden", "base"),
        file("removed-folder/hidden", "base"),
        file("reborn/hidden", "base"),
        file("deep/a/b/c/hidden", "base"),
        file("tmp/kept", "base"),
        entry("setuid", Kind::File(b"x".to_vec()))
            .mode(0o4755)
            .owner(7, 8),
        xattr(file("attributed", "x"), "user.mine"),
        xattr(
            folder("attributed-folder").mode(0o1777).owner(3, 4),
            "user.mine",
        ),
    ]);
    let middle = world.layer(&[
        file("changed", "middle"),
        whiteout("removed"),
        whiteout("folder/removed"),
        file("folder/added", "middle"),
        opaque("replaced-folder"),
        file("replaced-folder/shown", "middle"),
        file("file-to-folder/shown", "middle"),
        file("folder-to-file", "middle"),
        whiteout("removed-folder"),
        whiteout("reborn"),
        file("own/gone", "middle"),
        file("own/kept", "middle"),
        opaque("deep/a/b"),
        entry("pipe", Kind::Fifo).mode(0o620),
        entry("socket", Kind::Socket).mode(0o755),
        symlink("link", "folder/kept"),
        symlink("dangling", "/nowhere"),
        file("twin", "one file"),
        entry("other-folder/twin", Kind::HardLink("twin".to_owned())),
        xattr(file("capable", "x").mode(0o755), "user.note"),
        whiteout("tmp"),
    ]);
    let top = world.layer(&[
        file("reborn/new", "top"),
        whiteout("own/gone"),
        whiteout("folder/added"),
        opaque("file-to-folder"),
        folder("folder").mode(0o700).owner(1000, 1000),
        folder("deep/a/b/c"),
        whiteout("dangling"),
        whiteout("etc"),
    ]);
    assert_merges_show_the_same(&world, &[top, middle, base]);
    // Nothing in `own` is of the layers below, so its whiteout must go with the merge.
    let all = merged_chain(&world, &[top, middle, base], 0..2);
    let names: Vec<_> = std::fs::read_dir(world.path(all[0]).join("own"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["kept"]);
}

#[test]
fn privileged_merges_of_merges() {
    private_mounts();
    let world = world();
    let chain: Vec<LayerId> = (0..16)
        .map(|n| {
            let mut entries = vec![
                file(&format!("own-{n}"), "x"),
                file("shared", &format!("{n}")),
                file(&format!("folder/{}", n % 5), &format!("{n}")),
            ];
            if n % 3 == 2 {
                entries.push(whiteout(&format!("own-{}", n - 1)));
                entries.push(opaque("folder"));
            }
            world.layer(&entries)
        })
        .rev()
        .collect();
    let expected = seen(&world, &chain);
    let mut short = chain;
    while short.len() > 1 {
        let mut next = Vec::new();
        for start in (0..short.len()).step_by(2) {
            let into = LayerId::new();
            world
                .merge(into, &short[start..start + 2], &short[start + 2..])
                .unwrap();
            next.push(into);
        }
        assert_same(
            &expected,
            &seen(&world, &next),
            &format!("{} layers", next.len()),
        );
        short = next;
    }
}

#[test]
fn privileged_random_layers() {
    private_mounts();
    let world = world();
    let layers = proptest::collection::vec(proptest::collection::vec(an_entry(), 0..10), 1..5);
    let config = Config {
        cases: 60,
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new(config)
        .run(&layers, |layers| {
            let chain: Vec<_> = layers.iter().map(|entries| world.layer(entries)).collect();
            assert_merges_show_the_same(&world, &chain);
            Ok(())
        })
        .unwrap();
}

/// Something that a run does.
#[derive(Debug, Clone)]
enum Deed {
    Write(String, String),
    MakeFolder(String, u32),
    Remove(String),
    Rename(String, String),
    Link(String, String),
    Symlink(String, String),
    SetMode(String, u32),
    SetOwner(String, u32),
}

impl Deed {
    /// Does it if it can be done.
    fn perform(&self, root: &Path) {
        let at = |path: &String| root.join(path);
        let _ = match self {
            Self::Write(path, content) => std::fs::write(at(path), content),
            Self::MakeFolder(path, mode) => std::fs::create_dir_all(at(path)).and_then(|()| {
                std::fs::set_permissions(at(path), std::fs::Permissions::from_mode(*mode))
            }),
            Self::Remove(path) => {
                std::fs::remove_file(at(path)).or_else(|_| std::fs::remove_dir_all(at(path)))
            }
            Self::Rename(from, to) => std::fs::rename(at(from), at(to)),
            Self::Link(from, to) => std::fs::hard_link(at(from), at(to)),
            Self::Symlink(path, target) => make_symlink(target, at(path)),
            Self::SetMode(path, mode) => {
                std::fs::set_permissions(at(path), std::fs::Permissions::from_mode(*mode))
            }
            Self::SetOwner(path, id) => std::os::unix::fs::lchown(at(path), Some(*id), Some(*id)),
        };
    }
}

fn a_deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        4 => (a_path(), "[a-z]{0,8}").prop_map(|(path, content)| Deed::Write(path, content)),
        4 => (a_path(), prop_oneof![Just(0o755), Just(0o1777), Just(0o700)])
            .prop_map(|(path, mode)| Deed::MakeFolder(path, mode)),
        4 => a_path().prop_map(Deed::Remove),
        2 => (a_path(), a_path()).prop_map(|(from, to)| Deed::Rename(from, to)),
        2 => (a_path(), a_path()).prop_map(|(from, to)| Deed::Link(from, to)),
        1 => (a_path(), a_path()).prop_map(|(path, target)| Deed::Symlink(path, target)),
        1 => (a_path(), prop_oneof![Just(0o4755), Just(0o600)])
            .prop_map(|(path, mode)| Deed::SetMode(path, mode)),
        1 => (a_path(), 0..5_u32).prop_map(|(path, id)| Deed::SetOwner(path, id)),
    ]
}

/// Names of one symlink as if each were a symlink of its own.
///
/// A mount with an upper may show them so: what a file was copied from, and with it its inode
/// number, overlayfs notes in an attribute, and `userxattr` leaves it none that symlinks take.
fn each_symlink_for_itself(mut sight: Sight) -> Sight {
    for (path, seen) in &mut sight.entries {
        if seen.mode & 0o170_000 == 0o120_000 {
            seen.same_as.clone_from(path);
        }
    }
    sight
}

#[test]
fn privileged_names_of_one_symlink_are_kept() {
    private_mounts();
    let world = world();
    let base = world.layer(&[symlink("b/first", "a"), folder("c")]);
    let upper = world.new_upper(OperationId::new(), &[base]).unwrap();
    let mounted = mount(&world, &[base], Some(&upper));
    let link = Deed::Link("b/first".into(), "c/second".into());
    link.perform(&mounted.at);
    drop(mounted);
    let layer = LayerId::new();
    world.commit(upper, layer).unwrap();
    let committed = seen(&world, &[layer, base]);
    let second = &committed.entries[Path::new("c/second")];
    assert_eq!(second.same_as, Path::new("b/first"));
    assert_merges_show_the_same(&world, &[layer, base]);
}

/// Runs that write through overlayfs, each on top of what the ones before committed.
#[test]
fn privileged_random_runs() {
    private_mounts();
    let world = world();
    let runs = proptest::collection::vec(proptest::collection::vec(a_deed(), 1..8), 1..6);
    let config = Config {
        cases: 40,
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new(config)
        .run(&runs, |runs| {
            let mut chain =
                vec![world.layer(&[file("a/b/a", "base"), folder("b"), file("b/a", "")])];
            for deeds in &runs {
                let upper = world.new_upper(OperationId::new(), &chain).unwrap();
                let mounted = mount(&world, &chain, Some(&upper));
                deeds.iter().for_each(|deed| deed.perform(&mounted.at));
                let after = each_symlink_for_itself(look(&mounted.at));
                drop(mounted);
                let layer = LayerId::new();
                world.commit(upper, layer).unwrap();
                chain.insert(0, layer);
                let committed = each_symlink_for_itself(seen(&world, &chain));
                assert_same(&after, &committed, "committed");
                assert!(committed.ghosts.is_empty(), "{:?}", committed.ghosts);
            }
            assert_merges_show_the_same(&world, &chain);
            Ok(())
        })
        .unwrap();
}

/// A guest may give a file as many names as the filesystem allows.
#[test]
fn privileged_a_file_that_takes_no_more_names() {
    let world = world();
    let staged = world.stage().unwrap();
    let top = staged.tree().top().unwrap();
    let mut many = top.create_file(b"0", 0o4755).unwrap();
    // Mostly hole: the copy must not fill it.
    std::os::unix::fs::FileExt::write_all_at(&many, b"end", 64 << 20).unwrap();
    std::io::Write::write_all(&mut many, b"start").unwrap();
    top.set_owner(b"0", 5, 6).unwrap();
    top.set_mode(b"0", 0o4755).unwrap();
    top.set_xattr(b"0", b"user.mine", b"value").unwrap();
    let mut names = 1_u32;
    while top
        .create_hard_link(names.to_string().as_bytes(), &top, b"0")
        .is_ok()
    {
        names += 1;
    }
    let layer = LayerId::new();
    staged.commit(layer).unwrap();
    let other = world.layer(&[file("other", "")]);
    let into = LayerId::new();
    world.merge(into, &[other, layer], &[]).unwrap();
    until_empty(&world.root().join("trash"));
    let of = |name: &str| std::fs::metadata(world.path(into).join(name)).unwrap();
    let (first, last) = (of("0"), of(&(names - 1).to_string()));
    assert_eq!(first.ino(), last.ino());
    assert_eq!(first.nlink(), u64::from(names));
    assert_eq!((first.mode(), first.uid(), first.gid()), (0o104_755, 5, 6));
    assert_eq!(first.len(), (64 << 20) + 3);
    assert!(
        first.blocks() * 512 < 1 << 20,
        "the hole was filled: {}",
        first.blocks()
    );
    let content = std::fs::read(world.path(into).join("7")).unwrap();
    assert!(content.starts_with(b"start\0") && content.ends_with(b"\0end"));
}

#[test]
fn a_merge_that_fails_leaves_nothing() {
    let world = world();
    let layer = world.layer(&[file("a", "")]);
    let (missing, into) = (LayerId::new(), LayerId::new());
    let error = world.merge(into, &[layer, missing], &[]).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("layer {missing} is not in the store")
    );
    assert!(!world.has_layer(into));
    let error = world.merge(layer, &[layer], &[]).unwrap_err();
    assert!(
        error.to_string().starts_with("cannot commit layers/"),
        "{error}"
    );
    until_empty(&world.root().join("staging"));
}

/// Prints what merging costs. Run with `--run-ignored all --no-capture`, as root, with a Debian
/// root unpacked at `CONTREE_TEST_TREE`, or any other tree.
#[test]
#[ignore = "measures, and needs a large tree"]
fn privileged_merge_cost() {
    let tree = PathBuf::from(std::env::var_os("CONTREE_TEST_TREE").expect("CONTREE_TEST_TREE"));
    let world = world();
    let mut chain = Vec::new();
    for _ in 0..4 {
        let layer = LayerId::new();
        let copied = std::process::Command::new("cp")
            .arg("-a")
            .args([&tree, &world.path(layer)])
            .status()
            .unwrap();
        assert!(copied.success());
        chain.push(layer);
    }
    let mut costs = BTreeMap::new();
    for layers in [1, 2, 4] {
        let start = Instant::now();
        let usage = world.merge(LayerId::new(), &chain[..layers], &[]).unwrap();
        costs.insert(layers, (usage.entries, start.elapsed()));
    }
    println!("layers: (entries, time) {costs:#?}");
}
