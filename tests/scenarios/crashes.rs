//! What is there after the server was killed in the middle of its work.

use std::collections::BTreeSet;
use std::fs;

use contree_api::event::EventData;
use contree_api::image::ImageRef;
use contree_api::instance::InstanceSpawnRequest;
use contree_api::operation::OperationStatus;
use contree_api::{ImageId, OperationId};
use contree_client::OperationFilter;
use contree_e2e::rootfs::Tiny;
use contree_e2e::{Server, Settings, run, succeeded};
use futures_util::future::join_all;

fn shell(image: ImageId, command: String) -> InstanceSpawnRequest {
    let mut request = InstanceSpawnRequest::new(command, ImageRef::Id(image));
    request.shell = true;
    request
}

/// Processes of this machine that sleep for the given number of seconds.
fn sleepers(seconds: &str) -> usize {
    let wanted = ["sleep", seconds].join("\0");
    fs::read_dir("/proc")
        .expect("/proc can be listed")
        .filter_map(|entry| fs::read(entry.ok()?.path().join("cmdline")).ok())
        .filter(|line| String::from_utf8_lossy(line).trim_end_matches('\0') == wanted)
        .count()
}

#[tokio::test]
async fn privileged_many_runs_and_a_killed_server_lose_nothing_that_was_acknowledged() {
    const RUNS: usize = 50;
    // Told apart from the sleepers of every other test.
    let seconds = format!("9{}", std::process::id());
    let tiny = Tiny::new();
    let mut server = Server::start(Settings::default());
    let image = server.import(&tiny.tar(), "tiny:latest").await;
    let client = server.client();

    // Half of them are done and acknowledged before the kill, half are in the middle.
    let done = join_all((0..RUNS / 2).map(|number| {
        let client = client.clone();
        async move {
            let request = shell(image, format!("echo {number} > /number"));
            let operation = run(&client, &request).await;
            (
                number,
                operation.summary.uuid,
                succeeded(&operation).0.expect("an image"),
            )
        }
    }))
    .await;
    let running: Vec<OperationId> = join_all((RUNS / 2..RUNS).map(|number| {
        let client = client.clone();
        let request = shell(
            image,
            format!("echo {number} > /number; exec sleep {seconds}"),
        );
        async move { client.spawn(&request).await.expect("accepted").uuid }
    }))
    .await;
    // One of them is surely in its sandbox.
    let mut events = client.follow(running[0]);
    while let Some(frame) = events.next().await.expect("it can be followed") {
        if matches!(
            frame.event.map(|event| event.data),
            Some(EventData::Spawn(_))
        ) {
            break;
        }
    }
    server.kill();
    server.start_again();
    let client = server.client();

    assert_eq!(
        sleepers(&seconds),
        0,
        "sandboxes of the killed server are gone"
    );
    for (number, operation, image) in done {
        let known = client
            .operation(operation, false)
            .await
            .expect("it is known");
        assert_eq!(known.summary.status, OperationStatus::Success);
        assert_eq!(known.summary.result_image_uuid, Some(image));
        let (_, stdout) = succeeded(&run(&client, &shell(image, "cat /number".into())).await);
        assert_eq!(stdout, format!("{number}\n"));
    }
    for operation in running {
        let known = contree_e2e::finished(&client, operation).await;
        assert_eq!(known.summary.status, OperationStatus::Failed, "{known:#?}");
        assert!(known.summary.error.is_some_and(|error| !error.is_empty()));
        assert_eq!(known.summary.result_image_uuid, None);
    }
    let mut all = OperationFilter::default();
    all.limit = Some(1000);
    let all = client
        .list_operations(&all)
        .await
        .expect("operations can be listed");
    let distinct: BTreeSet<_> = all.iter().map(|operation| operation.uuid).collect();
    assert_eq!(distinct.len(), all.len());
    assert!(all.iter().all(|operation| operation.status.is_terminal()));
    let uppers =
        fs::read_dir(server.data_dir().join("store/uppers")).expect("uppers can be listed");
    assert_eq!(uppers.count(), 0, "half-written layers are gone");
}
