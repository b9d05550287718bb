//! Images, tags and layers.

use contree_api::{ImageId, LayerId, ProjectId};
use contree_records::{Change, Error, ImageFilter, Merged, NewImage, PUBLIC};

use crate::world::{World, at, image, layer, tag};

#[tokio::test]
async fn tags_move_and_shadow_public_ones() {
    let world = World::new().await;
    let (records, project) = (&world.records, world.project);
    let base = layer(None);
    let (first, second) = (image(project, base.id, 1), image(project, base.id, 2));
    let public = NewImage {
        project: PUBLIC,
        ..image(PUBLIC, base.id, 3)
    };
    let (first_id, second_id, public_id) = (first.id, second.id, public.id);
    let maker = world.make_image(Some(base), first).await;
    world.make_image(None, second).await;
    world.make_image(None, public).await;
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
    set(project, "app", first_id).await.unwrap();
    set(project, "app:v2", first_id).await.unwrap();
    assert_eq!(
        records
            .tagged_image(project, &tag("ubuntu:latest"))
            .await
            .unwrap(),
        Some(public_id)
    );

    let listed = async |query: ImageFilter| {
        let images = records.images(project, &query).await.unwrap();
        images
            .into_iter()
            .map(|i| (i.uuid, i.tag.map(String::from)))
            .collect::<Vec<_>>()
    };
    let named = |id, name: &str| (id, Some(name.to_owned()));
    assert_eq!(
        listed(ImageFilter::default()).await,
        [
            named(public_id, "ubuntu:latest"),
            (second_id, None),
            named(first_id, "app"),
            named(first_id, "app:v2")
        ]
    );
    let prefix = |text| ImageFilter {
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
    set(project, "ubuntu:latest", second_id).await.unwrap();
    assert_eq!(
        listed(prefix("ubuntu")).await,
        [named(second_id, "ubuntu:latest")]
    );
    assert_eq!(
        records
            .tagged_image(project, &tag("ubuntu:latest"))
            .await
            .unwrap(),
        Some(second_id)
    );
    let delete = |image, tag| Change::DeleteTags {
        project,
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
    set(project, "app", second_id).await.unwrap();
    assert_eq!(
        records.tagged_image(project, &tag("app")).await.unwrap(),
        Some(second_id)
    );
    assert_eq!(
        records.apply(delete(first_id, None), false).await.unwrap(),
        1
    );
    assert_eq!(listed(prefix("app")).await, [named(second_id, "app")]);

    // What others see: nothing of the project, nobody's operations.
    let own = records.image(project, first_id).await.unwrap().unwrap();
    assert_eq!(own.operation_uuid, Some(maker));
    let stranger = ProjectId::new();
    assert_eq!(records.image(stranger, first_id).await.unwrap(), None);
    assert_eq!(
        records.image_ground(stranger, first_id).await.unwrap(),
        None
    );
    let seen = records.image(stranger, public_id).await.unwrap().unwrap();
    assert_eq!((seen.operation_uuid, seen.parent_uuid), (None, None));

    let missing = set(project, "app", ImageId::new()).await;
    assert!(
        matches!(missing, Err(Error::Reference { .. })),
        "{missing:?}"
    );
}

#[tokio::test]
async fn chains_take_merged_folders() {
    let world = World::new().await;
    let mut ids = Vec::new();
    for second in 0..5 {
        let new = layer(ids.last().copied());
        ids.push(new.id);
        let image = image(world.project, new.id, second);
        world.make_image(Some(new), image).await;
    }
    let records = &world.records;
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
        .images(world.project, &ImageFilter::default())
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
