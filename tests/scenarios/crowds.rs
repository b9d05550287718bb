//! Many runs at once from one image.

use std::collections::BTreeSet;

use contree_api::image::ImageRef;
use contree_api::instance::InstanceSpawnRequest;
use contree_e2e::rootfs;
use contree_e2e::{Server, Settings, run, succeeded, tree_digests};
use futures_util::future::join_all;

#[tokio::test]
async fn privileged_many_runs_from_one_image_do_not_meet() {
    const RUNS: usize = 200;
    let server = Server::start(Settings::default());
    let image = server.import(&rootfs::debian(), "debian:bookworm").await;
    let layers = server.data_dir().join("store/layers");
    let before = tree_digests(&layers);
    let client = server.client();

    let runs = (0..RUNS).map(|number| {
        let client = client.clone();
        async move {
            let mut request = InstanceSpawnRequest::new(
                format!(
                    "ls /number-* 2>/dev/null; echo {number} > /number-{number}; cat /number-*"
                ),
                ImageRef::Id(image),
            );
            request.shell = true;
            let (image, stdout) = succeeded(&run(&client, &request).await);
            assert_eq!(
                stdout,
                format!("{number}\n"),
                "it sees its own file and no other's"
            );
            image.expect("a run that wrote has an image")
        }
    });
    let images: BTreeSet<_> = join_all(runs).await.into_iter().collect();
    assert_eq!(images.len(), RUNS, "each has an image of its own");
    assert!(!images.contains(&image));

    let after = tree_digests(&layers);
    let changed: Vec<_> = before
        .iter()
        .filter(|(path, digest)| after.get(*path) != Some(digest))
        .collect();
    assert!(changed.is_empty(), "{changed:#?}");

    for (number, image) in [
        *images.first().expect("some"),
        *images.last().expect("some"),
    ]
    .into_iter()
    .enumerate()
    {
        let files = client
            .list_directory(image, "/")
            .await
            .expect("its root can be listed")
            .files;
        let own = files
            .iter()
            .filter(|file| file.path.starts_with("number-"))
            .count();
        assert_eq!(own, 1, "image {number}");
    }
}
