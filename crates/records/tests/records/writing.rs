//! The one writer, and what is left of its work.

use std::collections::BTreeSet;

use contree_api::ImageId;
use contree_records::{Change, Error, Records};

use crate::world::{World, at, image, layer, operation, tag};

#[tokio::test]
async fn what_was_committed_is_there_after_reopening() {
    let world = World::new().await;
    let base = layer(None);
    let new = image(world.project, base.id, 5);
    let id = new.id;
    world.make_image(Some(base.clone()), new).await;
    world.records.close().await;
    assert!(matches!(
        world
            .records
            .apply(
                Change::SetMeta {
                    name: "x",
                    value: "y".into()
                },
                false
            )
            .await,
        Err(Error::Closed)
    ));

    let records = Records::open(&world.folder.path().join("records.db"))
        .await
        .unwrap();
    let ground = records
        .image_ground(world.project, id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(ground.layer, base.id);
    assert_eq!(ground.env["A"], "b");
    assert_eq!(ground.cwd.as_deref(), Some("/srv"));
}

/// Writers at once: each gets its own answer, also when a neighbour of the batch fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_changes_are_answered_one_by_one() {
    let world = World::new().await;
    let (records, project) = (&world.records, world.project);
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..400 {
        let records = records.clone();
        tasks.spawn(async move {
            if n % 40 == 7 {
                let change = Change::SetTag {
                    project,
                    tag: tag("nowhere"),
                    image: ImageId::new(),
                    at: at(1),
                };
                return records.apply(change, n % 2 == 0).await.map(|_| None);
            }
            let new = operation(project, n);
            let id = new.id;
            records
                .apply(Change::Accept(Box::new(new)), n % 2 == 0)
                .await
                .map(|_| Some(id))
        });
    }
    let mut accepted = BTreeSet::new();
    let mut failed = 0;
    for outcome in tasks.join_all().await {
        match outcome {
            Ok(id) => assert!(accepted.insert(id.unwrap())),
            Err(Error::Reference { .. }) => failed += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!((accepted.len(), failed), (390, 10));
    let open = records.open_operations().await.unwrap();
    assert_eq!(open.iter().map(|o| o.id).collect::<BTreeSet<_>>(), accepted);
}

/// What sharing commits is worth. Nothing is judged here: run by name, it prints.
///
/// `cargo nextest run --release -p contree-records cost --run-ignored all --no-capture`
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints measurements; run by name"]
async fn cost_of_changes() {
    const CHANGES: i64 = 4_000;
    let world = World::new().await;
    let (records, project) = (&world.records, world.project);
    for durable in [false, true] {
        for at_once in [1, 16, 256] {
            let began = std::time::Instant::now();
            let mut tasks = tokio::task::JoinSet::new();
            for _ in 0..at_once {
                let records = records.clone();
                tasks.spawn(async move {
                    for n in 0..CHANGES / at_once {
                        let change = Change::Accept(Box::new(operation(project, n)));
                        records.apply(change, durable).await.unwrap();
                    }
                });
            }
            tasks.join_all().await;
            #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
            let each = began.elapsed().as_secs_f64() * 1e6 / CHANGES as f64;
            println!("durable {durable}, {at_once} at once: {each:.0} µs a change");
        }
    }
}
