//! SIGTERM.

use std::time::Duration;

use contree_api::event::EventData;
use contree_api::image::ImageRef;
use contree_api::instance::InstanceSpawnRequest;
use contree_client::events::EventQuery;
use contree_e2e::rootfs::Tiny;
use contree_e2e::{Server, Settings};

#[tokio::test]
async fn privileged_sigterm_ends_the_server_with_open_event_streams() {
    let tiny = Tiny::new();
    let mut server = Server::start(Settings::default());
    let image = server.import(&tiny.tar(), "tiny:latest").await;
    let client = server.client();
    let mut request = InstanceSpawnRequest::new("echo ready; exec sleep 600", ImageRef::Id(image));
    request.shell = true;
    let operation = client.spawn(&request).await.expect("accepted").uuid;
    let mut query = EventQuery::default();
    query.follow = true;
    let mut streams = Vec::new();
    for _ in 0..8 {
        let mut stream = client.events(operation, &query).await.expect("a stream");
        loop {
            let frame = stream
                .next()
                .await
                .expect("an event")
                .expect("the stream is open");
            if matches!(
                frame.event.map(|event| event.data),
                Some(EventData::Stdout(_))
            ) {
                break;
            }
        }
        streams.push(stream);
    }
    let stopped = tokio::task::spawn_blocking(move || {
        let (status, after) = server.stop();
        (status.code(), after, server)
    });
    let (code, after, _server) = stopped.await.expect("the stopping thread");
    assert_eq!(code, Some(0));
    assert!(after < Duration::from_secs(30), "{after:?}");
    // Each stream was ended, not left hanging.
    for mut stream in streams {
        let end = tokio::time::timeout(Duration::from_secs(10), async {
            while let Ok(Some(_)) = stream.next().await {}
        });
        end.await.expect("the stream ends");
    }
}
