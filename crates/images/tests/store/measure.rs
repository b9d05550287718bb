//! What a run wrote.

use std::os::unix::fs::{FileExt, PermissionsExt};

use contree_api::OperationId;

use crate::overlay::{mount, private_mounts};
use crate::world::{file, folder, world};

#[test]
fn bytes_as_on_disk() {
    let world = world();
    let upper = world.new_upper(OperationId::new(), &[]).unwrap();
    let path = world.root().join(upper.upper_name());
    let empty = world.measure(&upper, Some(0)).unwrap();
    assert!(
        !empty.changed && empty.entries == 0 && empty.bytes == 0,
        "{empty:?}"
    );

    std::fs::create_dir(path.join("folder")).unwrap();
    std::fs::write(path.join("folder/file"), vec![1; 100_000]).unwrap();
    let once = world.measure(&upper, None).unwrap();
    assert!(once.changed && once.entries == 2, "{once:?}");
    assert!((100_000..200_000).contains(&once.bytes), "{once:?}");

    std::fs::hard_link(path.join("folder/file"), path.join("twin")).unwrap();
    let hole = std::fs::File::create(path.join("hole")).unwrap();
    hole.write_all_at(b"end", 1 << 40).unwrap();
    let more = world.measure(&upper, None).unwrap();
    assert_eq!(more.entries, 4);
    assert!(more.bytes < once.bytes + 100_000, "{more:?}");
    assert_eq!(more.charge(), more.bytes + 4 * 512);
}

#[test]
fn the_count_stops_at_the_cap() {
    let world = world();
    let upper = world.new_upper(OperationId::new(), &[]).unwrap();
    let path = world.root().join(upper.upper_name());
    for n in 0..2_000 {
        std::fs::write(path.join(n.to_string()), "").unwrap();
    }
    // Empty files have no bytes, and count.
    let capped = world.measure(&upper, Some(10 * 512)).unwrap();
    assert!(capped.exceeds(Some(10 * 512)));
    assert_eq!(capped.entries, 11);
    let all = world.measure(&upper, Some(2_000 * 512)).unwrap();
    assert!(!all.exceeds(Some(2_000 * 512)), "{all:?}");
    assert_eq!(all.entries, 2_000);
}

#[test]
fn privileged_what_is_a_change() {
    private_mounts();
    let world = world();
    let base = world.layer(&[file("folder/file", "x"), folder("tmp")]);
    let chain = [base];
    let changed = |work: &dyn Fn(&std::path::Path)| {
        let upper = world.new_upper(OperationId::new(), &chain).unwrap();
        let mounted = mount(&world, &chain, Some(&upper));
        work(&mounted.at);
        drop(mounted);
        world.measure(&upper, None).unwrap().changed
    };
    let mode = |mode| std::fs::Permissions::from_mode(mode);
    assert!(!changed(&|_| {}));
    assert!(!changed(&|root| drop(
        std::fs::read(root.join("folder/file")).unwrap()
    )));
    assert!(!changed(&|root| {
        std::fs::write(root.join("x"), "").unwrap();
        std::fs::remove_file(root.join("x")).unwrap();
    }));
    assert!(changed(&|root| std::fs::write(root.join("x"), "").unwrap()));
    assert!(changed(&|root| std::fs::remove_file(
        root.join("folder/file")
    )
    .unwrap()));
    assert!(changed(&|root| {
        std::fs::set_permissions(root.join("folder/file"), mode(0o600)).unwrap();
    }));
    assert!(changed(
        &|root| std::fs::set_permissions(root, mode(0o700)).unwrap()
    ));
    assert!(changed(&|root| std::os::unix::fs::chown(
        root,
        Some(5),
        None
    )
    .unwrap()));
}
