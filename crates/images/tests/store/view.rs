//! A look at an image shows what overlayfs shows.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Instant;

use contree_api::LayerId;
use contree_api::inspect::{FileItem, Owner};
use contree_images::{PathError, RootDir, View};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use rustix::fs::Stat;
use rustix::io::Errno;

use crate::overlay::{look, mount_content, private_mounts};
use crate::world::{
    Kind, World, a_path, an_entry, entry, file, folder, read, symlink, whiteout, world,
};

fn names(view: &View, path: &str) -> Vec<String> {
    view.list(path)
        .unwrap()
        .files
        .into_iter()
        .map(|item| item.path)
        .collect()
}

fn text(view: &View, path: &str) -> String {
    String::from_utf8(read(view.open(path).unwrap().file)).unwrap()
}

#[test]
fn layers_and_links() {
    let world = world();
    let base = world.layer(&[
        file(
            "etc/passwd",
            "root:x:0:0:root:/root:/bin/sh\nme:x:1000:1000::/home/me:/bin/sh\n",
        ),
        file("etc/group", "root:x:0:\nus:x:1000:me\n"),
        file("usr/lib/data", "base"),
        symlink("lib", "usr/lib"),
        file("gone", "base"),
        file("folder/below", "base"),
        symlink("loop-a", "loop-b"),
        symlink("loop-b", "loop-a"),
        symlink("out", "../../../../etc/passwd"),
    ]);
    let top = world.layer(&[
        whiteout("gone"),
        symlink("usr/lib/absolute", "/folder/above"),
        symlink("usr/lib/relative", "../../folder/below"),
        file("folder/above", "top"),
        symlink("dangling", "/nowhere"),
        entry("pipe", Kind::Fifo),
        symlink("chain", "lib/absolute"),
    ]);
    let view = world.view(&[top, base]);
    let all = [
        "chain", "dangling", "etc", "folder", "lib", "loop-a", "loop-b", "out", "pipe", "usr",
    ];
    for root in ["/", "", ".", "//", "/..", "/etc/../folder/.."] {
        assert_eq!(names(&view, root), all, "{root:?}");
    }
    assert_eq!(names(&view, "lib/"), ["absolute", "data", "relative"]);
    assert_eq!(names(&view, "/lib/../../folder"), ["above", "below"]);
    assert_eq!(text(&view, "chain"), "top");
    assert_eq!(text(&view, "/lib/relative"), "base");
    assert!(text(&view, "/out").starts_with("root:"));

    let is = |path: &str, expected: &str| {
        for error in [
            view.stat(path).map(drop),
            view.open(path).map(drop),
            view.list(path).map(drop),
            view.list_text(path).map(drop),
        ] {
            assert_eq!(error.unwrap_err().to_string(), expected, "{path}");
        }
    };
    is("/gone", "/gone does not exist in the image");
    is("dangling", "dangling does not exist in the image");
    is("/no\0pe", "/no\0pe does not exist in the image");
    is("/loop-a", "/loop-a leads through too many symbolic links");
    is("/etc/passwd/", "/etc/passwd/ is not a folder");
    let beneath = "/pipe/x does not exist in the image: something on the way is not a folder";
    is("/pipe/x", beneath);
    is(&"x".repeat(256), "the path or a name in it is too long");
    is(&"x/".repeat(2_048), "the path or a name in it is too long");
    let error = |result: Result<_, PathError>| result.unwrap_err().to_string();
    assert_eq!(error(view.open("/etc").map(drop)), "/etc is a folder");
    assert_eq!(
        error(view.open("/pipe").map(drop)),
        "/pipe is not a regular file"
    );
    assert_eq!(error(view.list("/out").map(drop)), "/out is not a folder");

    let link = view.lstat("/lib").unwrap();
    assert!(
        link.is_symlink && link.symlink_to == "usr/lib" && link.mode == 0o120_777,
        "{link:?}"
    );
    let behind = view.stat("/lib").unwrap();
    assert!(
        behind.is_dir && behind.path == "lib" && behind.nlink == 1,
        "{behind:?}"
    );
    assert_eq!(view.stat("/").unwrap().path, "/");
    assert_eq!(view.list("/lib").unwrap().path, "/lib");
    assert!(view.lstat("/loop-a").unwrap().is_symlink);
    assert!(view.lstat("/pipe").unwrap().is_fifo);
    assert!(world.view(&[LayerId::new()]).list("/").is_err());
    assert!(matches!(
        world.view(&[]).list("/"),
        Err(PathError::NotFound { .. })
    ));
}

#[test]
fn privileged_owners_have_the_images_names() {
    let world = world();
    let base = world.layer(&[
        symlink("etc/passwd", "/usr/share/passwd"),
        file("usr/share/passwd", "me:x:1000:1000::/home/me:/bin/sh\n"),
        folder("etc/group"),
        file("mine", "x").owner(1000, 1000),
        file("nobodys", "x").owner(1001, 0),
    ]);
    let view = world.view(&[base]);
    let mine = view.stat("mine").unwrap();
    assert_eq!(
        (mine.owner, mine.group),
        (Owner::Name("me".to_owned()), Owner::Id(1000))
    );
    assert_eq!(
        (mine.uid, mine.gid, mine.size, mine.mtime),
        (1000, 1000, 1, 1_700_000_000)
    );
    assert_eq!(view.stat("nobodys").unwrap().owner, Owner::Id(1001));
    let listed = view.list_text("/").unwrap();
    assert!(
        listed.contains("-rw-r--r-- 1 1000 1000     1.00 Nov 14 22:13 mine\n"),
        "{listed}"
    );
    // Files that take for ever, or all memory, name nobody.
    let hostile = world.layer_with(|tree| {
        let etc = tree.create_dirs(b"etc", 0o755).unwrap();
        etc.create_fifo(b"passwd", 0o644).unwrap();
        let group = etc.create_file(b"group", 0o644).unwrap();
        group.set_len(1 << 40).unwrap();
    });
    let item = &world.view(&[hostile]).list("/").unwrap().files[0];
    assert_eq!((&item.owner, &item.group), (&Owner::Id(0), &Owner::Id(0)));
}

/// The kernel on a mount of the same layers, as the judge of one path.
fn judged(root: &RootDir, path: &str, follow: bool) -> Result<Stat, Errno> {
    let path = path.as_bytes();
    let found = if follow {
        root.stat(path)
    } else {
        root.lstat(path)
    };
    found.map_err(|error| Errno::from_io_error(&error).unwrap())
}

fn assert_agrees(path: &str, ours: &Result<FileItem, PathError>, kernels: &Result<Stat, Errno>) {
    match (ours, kernels) {
        (Ok(item), Ok(facts)) => {
            let ours = (item.mode, item.uid, item.gid, item.mtime);
            assert_eq!(
                ours,
                (facts.st_mode, facts.st_uid, facts.st_gid, facts.st_mtime),
                "{path}"
            );
            assert!(item.is_dir || item.size == facts.st_size, "{path}");
        }
        (Err(PathError::NotFound { .. }), Err(Errno::NOENT))
        | (
            Err(PathError::NotADirectory { .. } | PathError::BeneathNoFolder { .. }),
            Err(Errno::NOTDIR),
        )
        | (Err(PathError::TooManyLinks { .. }), Err(Errno::LOOP)) => {}
        other => panic!("{path}: {other:?}"),
    }
}

fn a_wild_path() -> impl Strategy<Value = String> {
    let name = prop_oneof![8 => "[ab]", 2 => Just("tmp".to_owned()), 2 => Just("..".to_owned()),
        1 => Just(".".to_owned()), 1 => Just(String::new())];
    (any::<bool>(), proptest::collection::vec(name, 1..6)).prop_map(|(absolute, names)| {
        format!("{}{}", if absolute { "/" } else { "" }, names.join("/"))
    })
}

#[test]
fn privileged_random_images() {
    private_mounts();
    let world = world();
    let target = a_wild_path().prop_filter("links lead somewhere", |target| !target.is_empty());
    let wild = (a_path(), target).prop_map(|(path, target)| symlink(&path, &target));
    let some_entry = prop_oneof![5 => an_entry(), 1 => wild];
    let layers = proptest::collection::vec(proptest::collection::vec(some_entry, 0..10), 1..5);
    let paths = proptest::collection::vec(a_wild_path(), 40);
    let config = Config {
        cases: 100,
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new(config)
        .run(&(layers, paths), |(layers, paths)| {
            let chain: Vec<_> = layers.iter().map(|entries| world.layer(entries)).collect();
            agrees(&world, &chain, &paths);
            Ok(())
        })
        .unwrap();
}

fn agrees(world: &World, chain: &[LayerId], paths: &[String]) {
    let view = world.view(chain);
    let mounted = mount_content(world, chain);
    let root = RootDir::open(&mounted.at).unwrap();
    for path in paths {
        assert_agrees(path, &view.stat(path), &judged(&root, path, true));
        assert_agrees(path, &view.lstat(path), &judged(&root, path, false));
    }
    let sight = look(&mounted.at);
    for (path, seen) in &sight.entries {
        let text = path.to_str().unwrap();
        let item = view.lstat(text).unwrap();
        if item.is_dir {
            let below = sight
                .entries
                .keys()
                .filter(|p| p.parent() == Some(path.as_path()));
            let expected: Vec<_> = below
                .map(|p| p.file_name().unwrap().to_str().unwrap())
                .collect();
            assert_eq!(names(&view, text), expected, "{text}");
        } else if item.is_symlink {
            assert_eq!(item.symlink_to.as_bytes(), seen.content, "{text}");
        } else if item.is_regular {
            assert_eq!(read(view.open(text).unwrap().file), seen.content, "{text}");
        } else {
            assert!(
                matches!(view.open(text), Err(PathError::NotAFile { .. })),
                "{text}"
            );
        }
    }
}

#[test]
fn privileged_chains_of_links() {
    private_mounts();
    let world = world();
    // One more than the kernel follows; and links that expand to very long paths.
    let mut entries: Vec<_> = (0..42)
        .map(|n| symlink(&format!("l{n}"), &format!("l{}", n + 1)))
        .collect();
    entries.push(file("l42", "end"));
    entries.push(folder("d"));
    for (kind, steps) in [("s", 50), ("t", 800)] {
        let slow = "d/../".repeat(steps);
        let link = |n: usize| symlink(&format!("{kind}{n}"), &format!("{slow}{kind}{}", n + 1));
        entries.extend((0..42).map(link));
        entries.push(file(&format!("{kind}42"), "end"));
    }
    let layer = world.layer(&entries);
    let view = world.view(&[layer]);
    let mounted = mount_content(&world, &[layer]);
    let root = RootDir::open(&mounted.at).unwrap();
    for path in ["l0", "l1", "l2", "l3", "l41", "s0", "s40", "s41"] {
        let kernels = judged(&root, path, true);
        assert_agrees(path, &view.stat(path), &kernels);
    }
    assert!(matches!(
        view.stat("t20"),
        Err(PathError::TooManyLinks { .. })
    ));
    assert_eq!(root.stat(b"none").unwrap_err().kind(), ErrorKind::NotFound);
}

/// Prints what a listing of 200 entries costs. Run with `--release --run-ignored all
/// --no-capture`.
#[test]
#[ignore = "measures"]
fn list_cost() {
    let world = world();
    let chain: Vec<_> = (0..24)
        .map(|layer| {
            let mut entries: Vec<_> = (0..200)
                .map(|n| file(&format!("usr/bin/program-{n}"), "x"))
                .collect();
            entries.truncate(if layer == 23 { 200 } else { 10 });
            entries.push(file(
                "etc/passwd",
                &"user:x:1:1::/home/user:/bin/sh\n".repeat(30),
            ));
            world.layer(&entries)
        })
        .collect();
    for depth in [1, 8, 24] {
        let view = world.view(&chain[24 - depth..]);
        let mut times: Vec<_> = (0..200)
            .map(|_| {
                let start = Instant::now();
                assert_eq!(
                    view.list(Path::new("/usr/bin").to_str().unwrap())
                        .unwrap()
                        .files
                        .len(),
                    200
                );
                start.elapsed()
            })
            .collect();
        times.sort();
        println!("{depth} layers: p50 {:?}, p99 {:?}", times[100], times[198]);
    }
}
