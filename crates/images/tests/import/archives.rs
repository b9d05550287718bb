//! Uploaded archives: every kind, every compression, and broken ones.

use std::path::Path;

use contree_images::import::Imported;
use tempfile::TempDir;

use crate::support::image::{Image, Packing, usual_config};
use crate::support::registry::oci;
use crate::support::tarball::{Tar, gzip, zstd};
use crate::support::{Env, run};

fn layers() -> Vec<Vec<u8>> {
    vec![
        Tar::new()
            .folder("etc")
            .file("etc/name", b"lower")
            .file("etc/gone", b"x")
            .bytes(),
        Tar::new()
            .file("etc/name", b"upper")
            .whiteout("etc/.wh.gone")
            .bytes(),
    ]
}

fn check(env: &Env, imported: &Imported) {
    let layer = env.layer(imported.layer);
    assert_eq!(
        std::fs::read_to_string(layer.join("etc/name")).unwrap(),
        "upper"
    );
    assert!(!layer.join("etc/gone").exists());
    assert_eq!(imported.cwd.as_deref(), Some("/srv"));
}

/// The tar of a folder's content, as `tar -cf - -C FOLDER .` makes it.
fn tar_of(folder: &Path) -> Vec<u8> {
    let file = folder.with_extension("tar");
    let (folder, name) = (folder.display().to_string(), file.display().to_string());
    run("tar", &["-C", &folder, "-cf", &name, "."]);
    std::fs::read(file).unwrap()
}

fn layout_tar(image: &Image) -> Vec<u8> {
    let scratch = TempDir::new().unwrap();
    let folder = scratch.path().join("layout");
    image.write_layout(&folder);
    tar_of(&folder)
}

#[tokio::test]
async fn privileged_what_skopeo_writes() {
    let image = Image::of(&layers());
    let scratch = TempDir::new().unwrap();
    let layout = scratch.path().join("layout");
    image.write_layout(&layout);
    let env = Env::new();
    for kind in ["docker-archive", "oci-archive"] {
        let file = scratch.path().join(kind);
        let to = format!("{kind}:{}:tests/image:1", file.display());
        run(
            "skopeo",
            &["--insecure-policy", "copy", "--quiet", &oci(&layout), &to],
        );
        let imported = env.archive_file(&file).await.unwrap_or_else(|error| {
            panic!("{kind}: {}", error.message());
        });
        check(&env, &imported);
        let bytes = std::fs::read(&file).unwrap();
        for packed in [gzip(&bytes), zstd(&bytes)] {
            let again = env.archive(&packed).await.unwrap();
            check(&env, &again);
            assert_eq!(again.digest, imported.digest);
        }
    }
    let from_layout = env.archive(&layout_tar(&image)).await.unwrap();
    check(&env, &from_layout);
    assert_eq!(from_layout.digest.as_str(), image.config_digest);
    let members = layout_tar(&Image::packed(
        &[
            (layers()[0].clone(), Packing::Zstd),
            (layers()[1].clone(), Packing::Plain),
        ],
        usual_config(),
    ));
    check(&env, &env.archive(&members).await.unwrap());
}

/// The layout of `docker save` before version 25: a folder per layer, some of them links.
#[tokio::test]
async fn privileged_old_docker_save() {
    let image = Image::packed(
        &layers()
            .into_iter()
            .map(|tar| (tar, Packing::Plain))
            .collect::<Vec<_>>(),
        usual_config(),
    );
    let id = |digest: &str| digest.strip_prefix("sha256:").unwrap().to_owned();
    let (first, second) = (id(&image.layer_digests[0]), id(&image.layer_digests[1]));
    let linked = "0".repeat(64);
    let config = format!("{}.json", id(&image.config_digest));
    let manifest = serde_json::json!([{
        "Config": config,
        "RepoTags": ["tests:1"],
        "Layers": [format!("{first}/layer.tar"), format!("{linked}/layer.tar")],
    }]);
    let archive = Tar::new()
        .folder(&format!("{first}/"))
        .file(&format!("{first}/VERSION"), b"1.0")
        .file(&format!("{first}/json"), b"{}")
        .file(
            &format!("{first}/layer.tar"),
            &image.blobs[&image.layer_digests[0]],
        )
        .file(
            &format!("{second}/layer.tar"),
            &image.blobs[&image.layer_digests[1]],
        )
        .symlink(
            &format!("{linked}/layer.tar"),
            &format!("../{second}/layer.tar"),
        )
        .file(&config, &image.blobs[&image.config_digest])
        .file("manifest.json", manifest.to_string().as_bytes())
        .file("repositories", b"{}")
        .bytes();
    let env = Env::new();
    let imported = env.archive(&archive).await.unwrap();
    check(&env, &imported);
    assert_eq!(imported.digest.as_str(), image.config_digest);
}

#[tokio::test]
async fn privileged_root_filesystems() {
    let rootfs = Tar::new()
        .folder("./")
        .folder("./etc/")
        .file("./etc/.wh.kept", b"a name like any other")
        .file("./manifest.json", b"[]")
        .bytes();
    let env = Env::new();
    let mut digests = Vec::new();
    for bytes in [rootfs.clone(), gzip(&rootfs), zstd(&rootfs)] {
        let imported = env.archive(&bytes).await.unwrap();
        let layer = env.layer(imported.layer);
        assert!(layer.join("etc/.wh.kept").exists() && layer.join("manifest.json").exists());
        assert_eq!(
            (imported.env.len(), imported.cwd.clone(), imported.entries),
            (0, None, 3)
        );
        digests.push(imported.digest);
    }
    assert_eq!(digests[0], contree_images::import::Digest::of(&rootfs));
    // A tar without its last zeros is one too.
    env.archive(&Tar::new().file("etc/x", b"").unfinished())
        .await
        .unwrap();
}

#[tokio::test]
async fn privileged_broken_archives() {
    let image = Image::of(&layers());
    let good = layout_tar(&image);
    let rootfs = Tar::new().file("etc/name", &[7; 5_000]).bytes();
    let two = |config: &str| {
        let manifest = serde_json::json!([
            {"Config": "a".repeat(64) + ".json", "Layers": []},
            {"Config": config, "Layers": []},
        ]);
        Tar::new()
            .file("manifest.json", manifest.to_string().as_bytes())
            .bytes()
    };
    let mut other_config = image.clone();
    other_config.blobs.get_mut(&image.config_digest).unwrap()[0] = b' ';
    let mut other_layer = image.clone();
    let layer = other_layer.blobs.get_mut(&image.layer_digests[0]).unwrap();
    let middle = layer.len() / 2;
    layer[middle] ^= 1;
    let mut no_layer = image.clone();
    no_layer.blobs.remove(&image.layer_digests[1]);
    let mut short_layer = image.clone();
    short_layer
        .blobs
        .get_mut(&image.layer_digests[1])
        .unwrap()
        .pop();
    let mut bad_checksum = rootfs.clone();
    bad_checksum[3] ^= 1;
    let mut cut = gzip(&rootfs);
    cut.truncate(cut.len() - 10);

    for (bytes, expected) in [
        (Vec::new(), "the archive is empty"),
        (Tar::new().bytes(), "the archive is empty"),
        (
            b"hello, this is no archive".to_vec(),
            "the data ends too early",
        ),
        (vec![b'x'; 5_000], "it is not a tar archive"),
        (bad_checksum, "it is not a tar archive"),
        (rootfs[..3_000].to_vec(), "the data ends too early"),
        (cut, "the data ends too early"),
        (b"\xfd7zXZ\0\0\0\0".to_vec(), "compressed with xz"),
        (b"BZh91AY&SY".to_vec(), "compressed with bzip2"),
        (good[..good.len() / 2].to_vec(), "the data ends too early"),
        (
            two(&("b".repeat(64) + ".json")),
            "the archive holds 2 images",
        ),
        (two(&("a".repeat(64) + ".json")), "is missing"),
        (
            Tar::new().file("manifest.json", b"{").bytes(),
            "manifest.json is malformed",
        ),
        (layout_tar(&other_config), "has the wrong content"),
        (layout_tar(&other_layer), "its digest is"),
        (layout_tar(&no_layer), "is missing"),
        (layout_tar(&short_layer), "bytes, not"),
    ] {
        let env = Env::new();
        let message = env.archive(&bytes).await.unwrap_err().message();
        assert!(message.contains(expected), "{expected}: {message}");
        env.assert_nothing_left().await;
    }
}
