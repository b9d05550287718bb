//! Runs through the server: from `POST /instances` to the completion event on the client's side.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context as _, bail};
use contree_api::ImageId;
use contree_api::event::EventData;
use contree_api::image::ImageRef;
use contree_api::instance::InstanceSpawnRequest;
use contree_api::operation::OperationStatus;
use contree_client::Client;
use contree_e2e::{Server, Settings};

use crate::numbers::{nanos, rate};
use crate::report::Report;

/// Runs before the first that counts: connections, caches and the pool of networks are warm.
const WARM_UP: usize = 30;

/// Runs at a time for the rates.
pub(crate) const AT_ONCE: [usize; 3] = [1, 4, 16];

/// How much to measure.
pub(crate) struct Scale {
    /// Runs behind each row.
    pub(crate) runs: usize,
    /// Depths of the chain of images.
    pub(crate) depths: Vec<usize>,
}

/// `true`, with every default.
fn nothing(image: ImageId) -> InstanceSpawnRequest {
    InstanceSpawnRequest::new("true", ImageRef::Id(image))
}

/// The same, keeping nothing.
fn disposable(image: ImageId) -> InstanceSpawnRequest {
    InstanceSpawnRequest {
        disposable: true,
        ..nothing(image)
    }
}

/// A run that writes one file, so that a layer is committed.
fn writing(image: ImageId) -> InstanceSpawnRequest {
    InstanceSpawnRequest {
        args: vec!["/stamp".into()],
        command: "touch".into(),
        ..nothing(image)
    }
}

/// Adds all rows of one server.
pub(crate) async fn measure(
    report: &mut Report,
    durability: &str,
    rootfs: &Path,
    scale: &Scale,
) -> anyhow::Result<()> {
    let server = Server::start(Settings::with(&["--durability", durability]));
    let image = server.import(rootfs, "bench:latest").await;
    let client = server.client();
    serial(&client, &disposable(image), WARM_UP).await?;

    let row = |what: &str| format!("{durability}: {what}");
    let mut quiet = disposable(image);
    quiet.networking.enabled = false;
    for (what, request) in [
        ("true, disposable, no network", quiet),
        ("true, disposable", disposable(image)),
        ("true (nothing to commit)", nothing(image)),
        ("touch /stamp (commits a layer)", writing(image)),
    ] {
        report.latency(&row(what), &serial(&client, &request, scale.runs).await?);
    }
    for at_once in AT_ONCE {
        for (what, request) in [
            ("true", nothing(image)),
            ("touch /stamp (commits a layer)", writing(image)),
        ] {
            let runs = (scale.runs * 2).max(at_once * 8);
            let per_second = together(&client, &request, runs, at_once).await?;
            report.rate(&row(what), at_once, per_second);
        }
    }
    depths(report, &client, image, durability, scale).await
}

/// Grows one chain of images and measures at each of the depths.
async fn depths(
    report: &mut Report,
    client: &Client,
    base: ImageId,
    durability: &str,
    scale: &Scale,
) -> anyhow::Result<()> {
    let mut image = base;
    let mut at = 0;
    for &depth in &scale.depths {
        while at < depth {
            let mut request = nothing(image);
            request.command = "touch".into();
            request.args = vec![format!("/srv/{at}")];
            image = once(client, &request)
                .await?
                .context("a run that wrote has an image")?;
            at += 1;
        }
        let samples = serial(client, &disposable(image), scale.runs).await?;
        report.latency(
            &format!("{durability}: true, disposable, depth {depth}"),
            &samples,
        );
    }
    Ok(())
}

/// One after the other; nanoseconds of each.
async fn serial(
    client: &Client,
    request: &InstanceSpawnRequest,
    runs: usize,
) -> anyhow::Result<Vec<u64>> {
    let mut samples = Vec::with_capacity(runs);
    for _ in 0..runs {
        let started = Instant::now();
        once(client, request).await?;
        samples.push(nanos(started.elapsed()));
    }
    Ok(samples)
}

/// Several at a time; runs per second.
async fn together(
    client: &Client,
    request: &InstanceSpawnRequest,
    runs: usize,
    at_once: usize,
) -> anyhow::Result<f64> {
    let left = Arc::new(AtomicUsize::new(runs));
    let started = Instant::now();
    let workers: Vec<_> = (0..at_once)
        .map(|_| {
            let (client, request, left) = (client.clone(), request.clone(), Arc::clone(&left));
            tokio::spawn(async move {
                let take = |left: usize| left.checked_sub(1);
                while left
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
                    .is_ok()
                {
                    once(&client, &request).await?;
                }
                anyhow::Ok(())
            })
        })
        .collect();
    for worker in workers {
        worker.await.context("a worker panicked")??;
    }
    Ok(rate(runs, nanos(started.elapsed())))
}

/// One run, until its completion event is here.
async fn once(client: &Client, request: &InstanceSpawnRequest) -> anyhow::Result<Option<ImageId>> {
    let operation = client
        .spawn(request)
        .await
        .context("the run was refused")?
        .uuid;
    let mut events = client.follow(operation);
    while let Some(frame) = events.next().await.context("the events broke off")? {
        if let Some(EventData::Completion(done)) = frame.event.map(|event| event.data) {
            if done.status != OperationStatus::Success {
                bail!("the run ended as {:?}: {:?}", done.status, done.error);
            }
            return Ok(done.result_image_uuid);
        }
    }
    bail!("the events ended without completion")
}
