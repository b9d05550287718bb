//! Uploads.

use contree_api::FileId;
use contree_images::FileError;

use crate::world::{read, world};

#[test]
fn content_is_hashed_and_kept() {
    let world = world();
    let id = FileId::new();
    let mut writer = world.write_file().unwrap();
    writer.write(b"hello ").unwrap();
    writer.write(b"").unwrap();
    writer.write(b"world").unwrap();
    assert_eq!(writer.size(), 11);
    let written = writer.finish();
    assert_eq!(written.size(), 11);
    assert_eq!(
        written.sha256(),
        "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9"
    );
    written.commit(id).unwrap();
    let (file, size) = world.open_file(id).unwrap();
    assert_eq!((read(file), size), (b"hello world".to_vec(), 11));
    assert!(world.root().join(world.file_name(id)).is_file());
    let hex = id.uuid().simple().to_string();
    assert_eq!(world.file_name(id), format!("files/{}/{hex}", &hex[..2]));
    assert_eq!(
        std::fs::read_dir(world.root().join("staging"))
            .unwrap()
            .count(),
        0
    );

    world.remove_file(id).unwrap();
    world.remove_file(id).unwrap();
    let missing = world.open_file(id).unwrap_err();
    let source = std::error::Error::source(&missing).unwrap();
    assert!(source.to_string().contains("No such file"), "{source}");
}

#[test]
fn the_same_content_is_kept_once() {
    let world = world();
    let id = FileId::new();
    let write = |content: &[u8]| {
        let mut writer = world.write_file().unwrap();
        writer.write(content).unwrap();
        writer.finish().commit(id).unwrap();
    };
    write(b"same");
    let (first, _) = world.open_file(id).unwrap();
    write(b"same");
    let inode = |file: &std::fs::File| rustix::fs::fstat(file).unwrap().st_ino;
    assert_eq!(inode(&first), inode(&world.open_file(id).unwrap().0));
    // As a power failure without a sync may leave it.
    std::fs::write(world.root().join(world.file_name(id)), "").unwrap();
    write(b"same");
    assert_eq!(read(world.open_file(id).unwrap().0), b"same");
    assert_eq!(
        std::fs::read_dir(world.root().join("staging"))
            .unwrap()
            .count(),
        0
    );
}

#[test]
fn too_much_and_given_up() {
    let world = world();
    let mut writer = world.write_file().unwrap().limit(Some(10));
    writer.write(b"12345").unwrap();
    writer.write(b"67890").unwrap();
    let error = writer.write(b"1").unwrap_err();
    assert!(
        matches!(error, FileError::TooLarge { limit: 10 }),
        "{error}"
    );
    drop(writer);
    drop(world.write_file().unwrap().finish());
    assert_eq!(
        std::fs::read_dir(world.root().join("staging"))
            .unwrap()
            .count(),
        0
    );
    let id = FileId::new();
    world.write_file().unwrap().finish().commit(id).unwrap();
    assert_eq!(world.open_file(id).unwrap().1, 0);
}
