//! Operations.

use std::collections::BTreeMap;

use contree_api::ProjectId;
use contree_api::operation::{OperationKind, OperationStatus};
use contree_records::{Change, Ended, Error, OperationFilter, Page};

use crate::world::{World, at, ended, layer, operation};

#[tokio::test]
async fn an_operation_ends_once() {
    let world = World::new().await;
    let (records, project) = (&world.records, world.project);
    let new = operation(project, 10);
    world.accept(&new).await;
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
    let world = World::new().await;
    let (records, project) = (&world.records, world.project);
    for second in 1..=9 {
        let mut new = operation(project, second);
        if second % 3 == 0 {
            new.kind = OperationKind::ImageImport;
        }
        world.accept(&new).await;
        if second > 6 {
            let end = ended(&new, OperationStatus::Failed);
            records
                .apply(Change::End(Box::new(end)), false)
                .await
                .unwrap();
        }
    }
    let seconds = async |query: OperationFilter| {
        let listed = records.operations(project, &query).await.unwrap();
        listed
            .iter()
            .map(|o| o.created_at.as_micros() / 1_000_000)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        seconds(OperationFilter::default()).await,
        [9, 8, 7, 6, 5, 4, 3, 2, 1]
    );
    let page = Page {
        limit: 2,
        offset: 3,
        ..Page::default()
    };
    assert_eq!(
        seconds(OperationFilter {
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
        seconds(OperationFilter {
            page,
            ..Default::default()
        })
        .await,
        [5, 4, 3]
    );
    let kind = Some(OperationKind::ImageImport);
    assert_eq!(
        seconds(OperationFilter {
            kind,
            ..Default::default()
        })
        .await,
        [9, 6, 3]
    );
    let status = Some(OperationStatus::Failed);
    assert_eq!(
        seconds(OperationFilter {
            status,
            kind,
            ..Default::default()
        })
        .await,
        [9]
    );
}
