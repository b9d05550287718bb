//! Opening, what a run goes through, and what a crash leaves.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::{Duration, Instant};

use contree_api::{LayerId, OperationId};
use contree_images::{Store, StoreError};

use crate::overlay::{mount, private_mounts};
use crate::world::{file, until_empty, world};

#[test]
fn one_server_at_a_time() {
    let world = world();
    let other = Store::open(world.root());
    assert!(matches!(other, Err(StoreError::InUse { .. })), "{other:?}");
    let root = world.root().to_owned();
    let crate::world::World {
        store,
        folder: _folder,
    } = world;
    drop(store);
    Store::open(&root).unwrap();
}

#[test]
fn a_format_of_the_future_is_refused() {
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    drop(Store::open(folder.path()).unwrap());
    std::fs::write(folder.path().join("format"), "contree-store 2\n").unwrap();
    let error = Store::open(folder.path()).unwrap_err().to_string();
    assert!(
        error.ends_with(r#"has the unknown format "contree-store 2""#),
        "{error}"
    );
}

#[test]
fn nobody_else_gets_in_and_the_skeleton_is_there() {
    let world = world();
    assert_eq!(
        world.root().metadata().unwrap().permissions().mode() & 0o777,
        0o700
    );
    let skeleton = world.root().join("layers/skeleton");
    for (name, mode) in [
        ("", 0o040_755),
        ("proc", 0o040_555),
        ("sys", 0o040_555),
        ("dev", 0o040_755),
        ("tmp", 0o041_777),
        ("etc", 0o040_755),
        ("etc/resolv.conf", 0o100_644),
        ("etc/hosts", 0o100_644),
    ] {
        assert_eq!(
            skeleton.join(name).metadata().unwrap().mode(),
            mode,
            "{name}"
        );
    }
    assert_eq!(world.layer_ids().unwrap().count(), 0);
    assert!(world.free_bytes().unwrap() > 0);
}

#[test]
fn leftovers_are_told_and_removed() {
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let root = folder.path().join("store");
    let (run, kept) = (OperationId::new(), LayerId::new());
    {
        let store = Store::open(&root).unwrap();
        store.stage().unwrap().commit(kept).unwrap();
        // What a killed server leaves: nothing of it is dropped in order.
        std::mem::forget(store.new_upper(run, &[kept]).unwrap());
        std::mem::forget(store.stage().unwrap());
        std::mem::forget(store.write_file().unwrap());
        // These clones of the store died with the server; so did its lock.
        std::fs::rename(&root, folder.path().join("moved")).unwrap();
        std::fs::create_dir(&root).unwrap();
        for name in ["layers", "uppers", "staging", "format"] {
            std::fs::rename(folder.path().join("moved").join(name), root.join(name)).unwrap();
        }
        std::fs::create_dir_all(root.join("trash/old/folder")).unwrap();
    }
    let store = Store::open(&root).unwrap();
    let leftovers = store.leftovers();
    assert_eq!(leftovers.uppers, [run]);
    assert_eq!((leftovers.staged, leftovers.trash), (2, 1));
    for name in ["uppers", "staging", "trash"] {
        until_empty(&root.join(name));
    }
    assert_eq!(store.layer_ids().unwrap().collect::<Vec<_>>(), [kept]);
}

#[test]
fn committing_keeps_and_discarding_removes() {
    let world = world();
    let base = world.layer(&[file("base", "")]);
    let run = OperationId::new();
    let upper = world.new_upper(run, &[base]).unwrap();
    assert_eq!(
        upper.upper_name(),
        format!("uppers/{}/upper", run.uuid().simple())
    );
    assert!(
        world.new_upper(run, &[base]).is_err(),
        "one run, two uppers"
    );
    let path = world.root().join(upper.upper_name());
    std::fs::write(path.join("new"), "content").unwrap();
    let layer = LayerId::new();
    world.commit(upper, layer).unwrap();
    assert!(world.has_layer(layer));
    assert_eq!(
        std::fs::read(world.path(layer).join("new")).unwrap(),
        b"content"
    );

    let upper = world.new_upper(OperationId::new(), &[layer, base]).unwrap();
    let path = world.root().join(upper.upper_name());
    std::fs::create_dir_all(path.join("a/b")).unwrap();
    world.discard(upper);
    assert!(!path.exists());
    until_empty(&world.root().join("uppers"));
    until_empty(&world.root().join("trash"));

    world.remove_layer(layer).unwrap();
    world.remove_layer(layer).unwrap();
    assert!(!world.has_layer(layer));
    assert_eq!(world.layer_ids().unwrap().collect::<Vec<_>>(), [base]);
    until_empty(&world.root().join("trash"));
    let missing = world
        .new_upper(OperationId::new(), &[layer, base])
        .unwrap_err();
    assert!(
        matches!(missing, StoreError::NoLayer { layer: l } if l == layer),
        "{missing}"
    );
}

#[test]
fn a_layer_id_is_used_once() {
    let world = world();
    let layer = world.layer(&[file("first", "")]);
    assert!(world.stage().unwrap().commit(layer).is_err());
    assert!(world.path(layer).join("first").exists());
    until_empty(&world.root().join("staging"));
}

#[test]
fn names_for_overlayfs() {
    let world = world();
    let (a, b) = (LayerId::new(), LayerId::new());
    let names = world.lower_names(&[a, b]);
    let expected = [a, b].map(|layer| format!("layers/{}", layer.uuid().simple()));
    assert_eq!(names[..2], expected);
    assert_eq!(names[2], "layers/skeleton");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn syncs_of_many() {
    let world = world();
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let store = world.store.clone();
            tokio::spawn(async move { store.sync().await })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
}

#[test]
fn privileged_the_root_folder_stays_what_it_was() {
    private_mounts();
    let world = world();
    let base = world.layer_with(|tree| {
        let top = tree.top().unwrap();
        rustix::fs::fchown(
            &top,
            Some(rustix::fs::Uid::from_raw(7)),
            Some(rustix::fs::Gid::from_raw(8)),
        )
        .unwrap();
        rustix::fs::fchmod(&top, rustix::fs::Mode::from_raw_mode(0o2751)).unwrap();
        rustix::fs::fsetxattr(&top, "user.mine", b"value", rustix::fs::XattrFlags::empty())
            .unwrap();
    });
    let mut chain = vec![base];
    for _ in 0..2 {
        let upper = world.new_upper(OperationId::new(), &chain).unwrap();
        let mounted = mount(&world, &chain, Some(&upper));
        let facts = mounted.at.metadata().unwrap();
        assert_eq!((facts.mode(), facts.uid(), facts.gid()), (0o042_751, 7, 8));
        let mut value = [0; 5];
        rustix::fs::getxattr(&mounted.at, "user.mine", &mut value[..]).unwrap();
        assert_eq!(&value, b"value");
        drop(mounted);
        assert!(!world.measure(&upper, None).unwrap().changed);
        let layer = LayerId::new();
        world.commit(upper, layer).unwrap();
        chain.insert(0, layer);
    }
}

/// Prints what the store adds to a run. Run with `--release --run-ignored all --no-capture`.
#[tokio::test]
#[ignore = "measures"]
async fn run_cost() {
    let world = world();
    let mut chain = vec![world.layer(&[file("base", "")])];
    let mut times: [Vec<Duration>; 5] = Default::default();
    for n in 0..500 {
        let mut start = Instant::now();
        let mut lap = |slot: usize| {
            times[slot].push(start.elapsed());
            start = Instant::now();
        };
        let upper = world.new_upper(OperationId::new(), &chain).unwrap();
        lap(0);
        let path = world.root().join(upper.upper_name());
        std::fs::create_dir_all(path.join("a/b")).unwrap();
        std::fs::write(path.join("a/b/file"), "content").unwrap();
        lap(1);
        world.measure(&upper, Some(1 << 30)).unwrap();
        lap(2);
        let layer = LayerId::new();
        world.commit(upper, layer).unwrap();
        lap(3);
        if n % 10 == 0 {
            world.sync().await.unwrap();
            lap(4);
        }
        chain = vec![layer];
    }
    for (what, times) in ["new upper", "(writing)", "measure", "commit", "sync"]
        .iter()
        .zip(&mut times)
    {
        times.sort();
        println!(
            "{what}: p50 {:?}, p99 {:?}",
            times[times.len() / 2],
            times[times.len() * 99 / 100]
        );
    }
}
