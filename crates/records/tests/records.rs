//! The records on real files.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::{BTreeMap, BTreeSet};

use contree_api::operation::{OperationKind, OperationStatus};
use contree_api::whoami::Permission;
use contree_api::{FileId, ImageId, LayerId, OperationId, ProjectId, Tag, Timestamp, TokenId};
use contree_records::{
    Change, Ended, Error, ImageKind, ImageQuery, Merged, NewFile, NewImage, NewLayer, NewOperation,
    NewToken, OperationQuery, PUBLIC, Page, Records,
};

struct Fixture {
    records: Records,
    project: ProjectId,
    folder: tempfile::TempDir,
}

async fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let records = Records::open(&folder.path().join("records.db"))
        .await
        .unwrap();
    let project = ProjectId::new();
    let change = Change::NewProject {
        id: project,
        name: "default".into(),
        at: at(1),
    };
    records.apply(change, false).await.unwrap();
    Fixture {
        records,
        project,
        folder,
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_micros(second * 1_000_000)
}

fn tag(text: &str) -> Tag {
    text.parse().unwrap()
}

fn operation(project: ProjectId, second: i64) -> NewOperation {
    NewOperation {
        id: OperationId::new(),
        project,
        token: TokenId::new(),
        kind: OperationKind::Instance,
        request: r#"{"command":"true"}"#.into(),
        image: Some(ImageId::new()),
        created_at: at(second),
    }
}

fn ended(operation: &NewOperation, status: OperationStatus) -> Ended {
    Ended {
        id: operation.id,
        project: operation.project,
        status,
        error: None,
        started_at: Some(operation.created_at),
        finished_at: at(operation.created_at.as_micros() / 1_000_000 + 1),
        layer: None,
        image: None,
        result_image: None,
        result_tag: None,
        image_size: None,
        cpu: Some(0.25),
        memory: Some(4096),
    }
}

fn layer(parent: Option<LayerId>) -> NewLayer {
    NewLayer {
        id: LayerId::new(),
        parent,
        bytes: 10,
        entries: 2,
        created_at: at(1),
    }
}

fn image(project: ProjectId, layer: LayerId, second: i64) -> NewImage {
    NewImage {
        id: ImageId::new(),
        project,
        layer,
        env: BTreeMap::from([("A".to_owned(), "b".to_owned())]),
        cwd: Some("/srv".into()),
        parent: None,
        operation: None,
        kind: ImageKind::Run,
        digest: None,
        size: 10,
        created_at: at(second),
    }
}

/// Accepts and ends an operation that makes this image.
async fn make_image(fixture: &Fixture, layer: Option<NewLayer>, image: NewImage) -> OperationId {
    let new = operation(fixture.project, image.created_at.as_micros() / 1_000_000);
    let id = new.id;
    fixture
        .records
        .apply(Change::Accept(Box::new(new.clone())), false)
        .await
        .unwrap();
    let ended = Ended {
        layer,
        result_image: Some(image.id),
        image_size: Some(image.size),
        image: Some(NewImage {
            operation: Some(id),
            ..image
        }),
        ..ended(&new, OperationStatus::Success)
    };
    fixture
        .records
        .apply(Change::End(Box::new(ended)), true)
        .await
        .unwrap();
    id
}

#[tokio::test]
async fn tokens_are_found_by_hash_alone() {
    let Fixture {
        records,
        project,
        folder: _folder,
    } = fixture().await;
    let token = NewToken {
        id: TokenId::new(),
        project,
        hash: [7; 32],
        permissions: vec![Permission::List, Permission::SpawnDisposable],
        created_at: at(1),
        expires_at: Some(at(99)),
    };
    records
        .apply(Change::NewToken(Box::new(token.clone())), false)
        .await
        .unwrap();
    let found = records.token(&[7; 32]).await.unwrap().unwrap();
    assert_eq!(found.id, token.id);
    assert_eq!(found.project, project);
    assert_eq!(found.permissions, token.permissions);
    assert_eq!(found.expires_at, Some(at(99)));
    assert_eq!(records.token(&[8; 32]).await.unwrap(), None);
}

#[tokio::test]
async fn what_was_committed_is_there_after_reopening() {
    let fixture = fixture().await;
    let base = layer(None);
    let new = image(fixture.project, base.id, 5);
    let id = new.id;
    make_image(&fixture, Some(base.clone()), new).await;
    fixture.records.close().await;
    assert!(matches!(
        fixture
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

    let records = Records::open(&fixture.folder.path().join("records.db"))
        .await
        .unwrap();
    let ground = records
        .image_ground(fixture.project, id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(ground.layer, base.id);
    assert_eq!(ground.env["A"], "b");
    assert_eq!(ground.cwd.as_deref(), Some("/srv"));
}

#[tokio::test]
async fn an_operation_ends_once() {
    let Fixture {
        records,
        project,
        folder: _folder,
    } = fixture().await;
    let new = operation(project, 10);
    records
        .apply(Change::Accept(Box::new(new.clone())), false)
        .await
        .unwrap();
    assert_eq!(records.open_operations().await.unwrap().len(), 1);

    let first = ended(&new, OperationStatus::Cancelled);
    records
        .apply(Change::End(Box::new(first)), false)
        .await
        .unwrap();
    // The second end must leave nothing, its layer included.
    let late = Ended {
        layer: Some(layer(None)),
        ..ended(&new, OperationStatus::Success)
    };
    let again = records.apply(Change::End(Box::new(late)), false).await;
    assert!(matches!(again, Err(Error::NotOpen)), "{again:?}");
    assert_eq!(records.layer_nodes().await.unwrap(), []);

    let stored = records.operation(project, new.id).await.unwrap().unwrap();
    assert_eq!(stored.status, OperationStatus::Cancelled);
    assert_eq!(stored.request, new.request);
    assert_eq!(stored.cpu, Some(0.25));
    assert_eq!(
        records.operation(ProjectId::new(), new.id).await.unwrap(),
        None
    );
    assert_eq!(records.open_operations().await.unwrap(), []);
    assert_eq!(
        records.operation_counts(project).await.unwrap(),
        BTreeMap::from([("CANCELLED", 1)])
    );
}

#[tokio::test]
async fn operations_are_listed_newest_first_in_pages() {
    let Fixture {
        records,
        project,
        folder: _folder,
    } = fixture().await;
    for second in 1..=9 {
        let mut new = operation(project, second);
        if second % 3 == 0 {
            new.kind = OperationKind::ImageImport;
        }
        records
            .apply(Change::Accept(Box::new(new.clone())), false)
            .await
            .unwrap();
        if second > 6 {
            let end = ended(&new, OperationStatus::Failed);
            records
                .apply(Change::End(Box::new(end)), false)
                .await
                .unwrap();
        }
    }
    let seconds = async |query: OperationQuery| {
        let listed = records.operations(project, &query).await.unwrap();
        listed
            .iter()
            .map(|o| o.created_at.as_micros() / 1_000_000)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        seconds(OperationQuery::default()).await,
        [9, 8, 7, 6, 5, 4, 3, 2, 1]
    );
    let page = Page {
        limit: 2,
        offset: 3,
        ..Page::default()
    };
    assert_eq!(
        seconds(OperationQuery {
            page,
            ..Default::default()
        })
        .await,
        [6, 5]
    );
    let page = Page {
        since: Some(at(3)),
        until: Some(at(5)),
        ..Page::default()
    };
    assert_eq!(
        seconds(OperationQuery {
            page,
            ..Default::default()
        })
        .await,
        [5, 4, 3]
    );
    let kind = Some(OperationKind::ImageImport);
    assert_eq!(
        seconds(OperationQuery {
            kind,
            ..Default::default()
        })
        .await,
        [9, 6, 3]
    );
    let status = Some(OperationStatus::Failed);
    assert_eq!(
        seconds(OperationQuery {
            status,
            kind,
            ..Default::default()
        })
        .await,
        [9]
    );
}

#[tokio::test]
async fn tags_move_and_shadow_public_ones() {
    let fixture = fixture().await;
    let Fixture {
        records, project, ..
    } = &fixture;
    let base = layer(None);
    let (first, second) = (image(*project, base.id, 1), image(*project, base.id, 2));
    let public = NewImage {
        project: PUBLIC,
        ..image(PUBLIC, base.id, 3)
    };
    let (first_id, second_id, public_id) = (first.id, second.id, public.id);
    let maker = make_image(&fixture, Some(base), first).await;
    make_image(&fixture, None, second).await;
    make_image(&fixture, None, public).await;
    let set = |project, name, image| {
        records.apply(
            Change::SetTag {
                project,
                tag: tag(name),
                image,
                at: at(4),
            },
            false,
        )
    };
    set(PUBLIC, "ubuntu:latest", public_id).await.unwrap();
    set(*project, "app", first_id).await.unwrap();
    set(*project, "app:v2", first_id).await.unwrap();
    assert_eq!(
        records
            .tagged_image(*project, &tag("ubuntu:latest"))
            .await
            .unwrap(),
        Some(public_id)
    );

    let listed = async |query: ImageQuery| {
        let images = records.images(*project, &query).await.unwrap();
        images
            .into_iter()
            .map(|i| (i.uuid, i.tag.map(String::from)))
            .collect::<Vec<_>>()
    };
    let named = |id, name: &str| (id, Some(name.to_owned()));
    assert_eq!(
        listed(ImageQuery::default()).await,
        [
            named(public_id, "ubuntu:latest"),
            (second_id, None),
            named(first_id, "app"),
            named(first_id, "app:v2")
        ]
    );
    let prefix = |text| ImageQuery {
        tag_prefix: Some(tag(text)),
        ..Default::default()
    };
    assert_eq!(listed(prefix("app:v")).await, [named(first_id, "app:v2")]);
    assert_eq!(listed(prefix("App")).await, []);
    assert_eq!(
        listed(prefix("ubuntu")).await,
        [named(public_id, "ubuntu:latest")]
    );

    // An own tag of the same name hides the public one, until it is removed.
    set(*project, "ubuntu:latest", second_id).await.unwrap();
    assert_eq!(
        listed(prefix("ubuntu")).await,
        [named(second_id, "ubuntu:latest")]
    );
    assert_eq!(
        records
            .tagged_image(*project, &tag("ubuntu:latest"))
            .await
            .unwrap(),
        Some(second_id)
    );
    let delete = |image, tag| Change::DeleteTags {
        project: *project,
        image,
        tag,
    };
    let gone = records
        .apply(delete(second_id, Some(tag("ubuntu:latest"))), false)
        .await;
    assert_eq!(gone.unwrap(), 1);
    assert_eq!(
        listed(prefix("ubuntu")).await,
        [named(public_id, "ubuntu:latest")]
    );

    // Moving, and removing all.
    set(*project, "app", second_id).await.unwrap();
    assert_eq!(
        records.tagged_image(*project, &tag("app")).await.unwrap(),
        Some(second_id)
    );
    assert_eq!(
        records.apply(delete(first_id, None), false).await.unwrap(),
        1
    );
    assert_eq!(listed(prefix("app")).await, [named(second_id, "app")]);

    // What others see: nothing of the project, nobody's operations.
    let own = records.image(*project, first_id).await.unwrap().unwrap();
    assert_eq!(own.operation_uuid, Some(maker));
    let stranger = ProjectId::new();
    assert_eq!(records.image(stranger, first_id).await.unwrap(), None);
    assert_eq!(
        records.image_ground(stranger, first_id).await.unwrap(),
        None
    );
    let seen = records.image(stranger, public_id).await.unwrap().unwrap();
    assert_eq!((seen.operation_uuid, seen.parent_uuid), (None, None));

    let missing = set(*project, "app", ImageId::new()).await;
    assert!(
        matches!(missing, Err(Error::Reference { .. })),
        "{missing:?}"
    );
}

#[tokio::test]
async fn chains_take_merged_folders() {
    let fixture = fixture().await;
    let mut ids = Vec::new();
    for second in 0..5 {
        let new = layer(ids.last().copied());
        ids.push(new.id);
        let image = image(fixture.project, new.id, second);
        make_image(&fixture, Some(new), image).await;
    }
    let records = &fixture.records;
    let folders = async |layer: LayerId| {
        let chain = records.chain(layer).await.unwrap();
        chain
            .iter()
            .map(|segment| segment.folder)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        folders(ids[4]).await,
        [ids[4], ids[3], ids[2], ids[1], ids[0]]
    );
    assert_eq!(folders(LayerId::new()).await, []);

    let merged = Merged {
        folder: LayerId::new(),
        base: Some(ids[0]),
        bytes: 30,
        entries: 6,
    };
    records
        .apply(
            Change::SetMerged {
                layer: ids[3],
                merged: Some(merged),
            },
            false,
        )
        .await
        .unwrap();
    assert_eq!(folders(ids[4]).await, [ids[4], merged.folder, ids[0]]);
    assert_eq!(folders(ids[2]).await, [ids[2], ids[1], ids[0]]);
    assert_eq!(records.chain(ids[3]).await.unwrap()[0].entries, 6);

    // A layer that another stands on is not removed, nor is anything with it.
    let images: Vec<_> = records
        .images(fixture.project, &ImageQuery::default())
        .await
        .unwrap()
        .iter()
        .map(|image| image.uuid)
        .collect();
    records
        .apply(Change::RemoveUntaggedImages { images }, false)
        .await
        .unwrap();
    let refused = records
        .apply(
            Change::RemoveLayers {
                layers: ids[..4].to_vec(),
            },
            false,
        )
        .await;
    assert!(refused.is_err());
    assert_eq!(records.layer_nodes().await.unwrap().len(), 5);
    let removed = records
        .apply(
            Change::RemoveLayers {
                layers: ids.clone(),
            },
            false,
        )
        .await;
    assert_eq!(removed.unwrap(), 5);
}

#[tokio::test]
async fn files_by_content() {
    let Fixture {
        records,
        project,
        folder: _folder,
    } = fixture().await;
    let sha256 = "ab".repeat(32);
    let new = |second| {
        let file = NewFile {
            id: FileId::from_uuid(uuid::Uuid::from_u128(1)),
            project,
            sha256: sha256.clone(),
            size: 3,
            at: at(second),
        };
        Change::PutFile(Box::new(file))
    };
    records.apply(new(100), false).await.unwrap();
    records.apply(new(200), false).await.unwrap();
    let file = records
        .file_by_content(project, &sha256)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (file.created_at, file.updated_at, file.size),
        (at(100), at(200), 3)
    );
    assert_eq!(
        records.file(project, file.uuid).await.unwrap(),
        Some(file.clone())
    );
    assert_eq!(
        records.file(ProjectId::new(), file.uuid).await.unwrap(),
        None
    );
    assert_eq!(
        records.files(project, &Page::default()).await.unwrap(),
        vec![file.clone()]
    );

    let asked = [file.uuid, FileId::new()];
    let known = records.known_files(project, &asked).await.unwrap();
    assert_eq!(known.into_iter().collect::<Vec<_>>(), [file.uuid]);
    assert!(
        records
            .known_files(PUBLIC, &asked)
            .await
            .unwrap()
            .is_empty()
    );

    let touch = Change::UseFiles {
        files: vec![file.uuid],
        at: at(500),
    };
    records.apply(touch, false).await.unwrap();
    assert_eq!(records.unused_files(at(400), 10).await.unwrap(), []);
    assert_eq!(
        records.unused_files(at(501), 10).await.unwrap(),
        [file.uuid]
    );
    let remove = |second| Change::RemoveFiles {
        files: vec![file.uuid],
        unused_since: at(second),
    };
    assert_eq!(records.apply(remove(400), false).await.unwrap(), 0);
    assert_eq!(records.apply(remove(501), false).await.unwrap(), 1);
}

/// Writers at once: each gets its own answer, also when a neighbour of the batch fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_changes_are_answered_one_by_one() {
    let Fixture {
        records,
        project,
        folder: _folder,
    } = fixture().await;
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
    let Fixture {
        records,
        project,
        folder: _folder,
    } = fixture().await;
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
