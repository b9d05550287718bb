//! Records on a real file with one project, and what is put into them.

use std::collections::BTreeMap;

use contree_api::operation::{OperationKind, OperationStatus};
use contree_api::{ImageId, LayerId, OperationId, ProjectId, Tag, Timestamp, TokenId};
use contree_records::{Change, Ended, Error, ImageKind, NewImage, NewLayer, NewOperation, Records};

pub(crate) struct World {
    pub(crate) records: Records,
    pub(crate) project: ProjectId,
    pub(crate) folder: tempfile::TempDir,
}

impl World {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let records = Records::open(&folder.path().join("records.db"))
            .await
            .unwrap();
        let world = Self {
            records,
            project: ProjectId::new(),
            folder,
        };
        world.add_project(world.project, "default").await.unwrap();
        world
    }

    /// Applies a change that need not survive a power loss.
    pub(crate) async fn apply(&self, change: Change) -> Result<u64, Error> {
        self.records.apply(change, false).await
    }

    pub(crate) async fn add_project(&self, id: ProjectId, name: &str) -> Result<u64, Error> {
        let name = name.to_owned();
        self.apply(Change::NewProject {
            id,
            name,
            at: at(1),
        })
        .await
    }

    pub(crate) async fn accept(&self, operation: &NewOperation) {
        let change = Change::Accept(Box::new(operation.clone()));
        self.apply(change).await.unwrap();
    }

    /// Accepts and ends an operation that makes this image.
    pub(crate) async fn make_image(&self, layer: Option<NewLayer>, image: NewImage) -> OperationId {
        let new = operation(self.project, image.created_at.as_micros() / 1_000_000);
        let id = new.id;
        self.accept(&new).await;
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
        let change = Change::End(Box::new(ended));
        self.records.apply(change, true).await.unwrap();
        id
    }
}

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_micros(second * 1_000_000)
}

pub(crate) fn tag(text: &str) -> Tag {
    text.parse().unwrap()
}

pub(crate) fn operation(project: ProjectId, second: i64) -> NewOperation {
    NewOperation {
        id: OperationId::new(),
        project,
        token: TokenId::new(),
        token_width: Some(2),
        kind: OperationKind::Instance,
        request: r#"{"command":"true"}"#.into(),
        image: Some(ImageId::new()),
        created_at: at(second),
    }
}

pub(crate) fn ended(operation: &NewOperation, status: OperationStatus) -> Ended {
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

pub(crate) fn layer(parent: Option<LayerId>) -> NewLayer {
    NewLayer {
        id: LayerId::new(),
        parent,
        bytes: 10,
        entries: 2,
        created_at: at(1),
    }
}

pub(crate) fn image(project: ProjectId, layer: LayerId, second: i64) -> NewImage {
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
