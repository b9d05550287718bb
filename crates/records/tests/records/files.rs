//! Uploaded files.

use contree_api::{FileId, ProjectId};
use contree_records::{Change, NewFile, PUBLIC, Page};

use crate::world::{World, at};

#[tokio::test]
async fn files_by_content() {
    let world = World::new().await;
    let (records, project) = (&world.records, world.project);
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
    let known = records.known_files(Some(project), &asked).await.unwrap();
    assert_eq!(known.into_iter().collect::<Vec<_>>(), [file.uuid]);
    assert!(
        records
            .known_files(Some(PUBLIC), &asked)
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
    let known = async || records.known_files(None, &asked).await.unwrap();
    assert_eq!(known().await.into_iter().collect::<Vec<_>>(), [file.uuid]);
    assert_eq!(records.apply(remove(501), false).await.unwrap(), 1);
    assert!(known().await.is_empty());
}
