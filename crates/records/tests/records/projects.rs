//! Projects: found, closed, removed; and a database of before there were several.

use contree_api::operation::OperationStatus;
use contree_api::{FileId, ImageId, ProjectId, TokenId};
use contree_records::{
    Change, Error, ImageFilter, NewFile, NewToken, OperationFilter, PUBLIC, Page, Records, Token,
};

use crate::world::{World, at, ended, image, layer, operation, tag};

#[tokio::test]
async fn projects_are_found_by_id_and_name() {
    let world = World::new().await;
    let other = ProjectId::new();
    world.add_project(other, "other").await.unwrap();
    let taken = world.add_project(ProjectId::new(), "other").await;
    assert!(matches!(taken, Err(Error::Taken { .. })), "{taken:?}");

    let find = async |text: &str| {
        let found = world.records.project(text).await.unwrap();
        found.map(|project| project.id)
    };
    assert_eq!(find("default").await, Some(world.project));
    assert_eq!(find(&other.to_string()).await, Some(other));
    assert_eq!(find(&other.to_string().to_uppercase()).await, Some(other));
    assert_eq!(find("Other").await, None);
    assert_eq!(find("public").await, None);
    assert_eq!(find(&PUBLIC.to_string()).await, None);
    let names: Vec<_> = world.records.projects().await.unwrap();
    let names: Vec<_> = names.iter().map(|project| project.name.as_str()).collect();
    assert_eq!(names, ["default", "other"]);
}

/// Closing takes tokens and name, removing all the rest; what others have stays.
#[tokio::test]
async fn a_project_goes_in_two_steps() {
    let world = World::new().await;
    let records = &world.records;
    let other = ProjectId::new();
    world.add_project(other, "other").await.unwrap();
    let base = layer(None);
    let (own, theirs) = (image(world.project, base.id, 1), image(other, base.id, 2));
    let (own_id, their_id) = (own.id, theirs.id);
    world.make_image(Some(base.clone()), own.clone()).await;
    world.make_image(None, theirs).await;
    let public = contree_records::NewImage {
        id: ImageId::new(),
        project: PUBLIC,
        parent: None,
        operation: None,
        ..own
    };
    let public_id = public.id;
    let publish = Change::Publish {
        image: Box::new(public),
        tag: tag("base"),
        at: at(3),
    };
    world.apply(publish).await.unwrap();
    for (project, image) in [(world.project, own_id), (other, their_id)] {
        let set = Change::SetTag {
            project,
            tag: tag("app"),
            image,
            at: at(4),
        };
        world.apply(set).await.unwrap();
        let file = NewFile {
            id: FileId::new(),
            project,
            sha256: "ab".repeat(32),
            size: 1,
            at: at(5),
        };
        world.apply(Change::PutFile(Box::new(file))).await.unwrap();
        let token = Token {
            id: TokenId::new(),
            project: Some(project),
            name: String::new(),
            permissions: vec![],
            limits: contree_api::admin::TokenLimits::default(),
            admin: false,
            created_at: at(6),
            expires_at: None,
        };
        let hash = if project == other { [2; 32] } else { [1; 32] };
        let new = NewToken { token, hash };
        world.apply(Change::NewToken(Box::new(new))).await.unwrap();
    }
    assert_eq!(records.count_images(world.project).await.unwrap(), 1);

    let remove = Change::RemoveProject {
        project: world.project,
    };
    assert_eq!(world.apply(remove.clone()).await.unwrap(), 0);
    assert_eq!(records.count_images(world.project).await.unwrap(), 1);
    let close = Change::CloseProject {
        project: world.project,
        at: at(7),
    };
    assert_eq!(world.apply(close.clone()).await.unwrap(), 1);
    assert_eq!(world.apply(close).await.unwrap(), 0);
    assert_eq!(records.token(&[1; 32]).await.unwrap(), None);
    assert!(records.token(&[2; 32]).await.unwrap().is_some());
    assert_eq!(records.project("default").await.unwrap(), None);
    assert_eq!(records.closed_projects().await.unwrap(), [world.project]);
    world
        .add_project(ProjectId::new(), "default")
        .await
        .unwrap();

    // Nothing is added to what is being removed.
    let late_file = NewFile {
        id: FileId::new(),
        project: world.project,
        sha256: "cd".repeat(32),
        size: 1,
        at: at(8),
    };
    let late_token = Token {
        id: TokenId::new(),
        project: Some(world.project),
        name: String::new(),
        permissions: vec![],
        limits: contree_api::admin::TokenLimits::default(),
        admin: false,
        created_at: at(8),
        expires_at: None,
    };
    let late_token = NewToken {
        token: late_token,
        hash: [3; 32],
    };
    for late in [
        Change::PutFile(Box::new(late_file)),
        Change::NewToken(Box::new(late_token)),
    ] {
        let refused = world.apply(late).await;
        assert!(matches!(refused, Err(Error::Reference { .. })));
    }

    assert_eq!(world.apply(remove).await.unwrap(), 1);
    assert_eq!(records.closed_projects().await.unwrap(), []);
    let late = operation(world.project, 9);
    let refused = world.apply(Change::Accept(Box::new(late))).await;
    assert!(matches!(refused, Err(Error::Reference { .. })));
    assert!(
        records
            .operations(world.project, &OperationFilter::default())
            .await
            .unwrap()
            .is_empty()
    );
    assert!(
        records
            .files(world.project, &Page::default())
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        records.image_ground(world.project, own_id).await.unwrap(),
        None
    );

    let left: Vec<_> = records
        .images(other, &ImageFilter::default())
        .await
        .unwrap()
        .into_iter()
        .map(|image| (image.uuid, image.tag.map(String::from)))
        .collect();
    assert_eq!(
        left,
        [
            (their_id, Some("app".to_owned())),
            (public_id, Some("base".to_owned()))
        ]
    );
    assert_eq!(
        records.files(other, &Page::default()).await.unwrap().len(),
        1
    );
    assert_eq!(records.layers_of_images().await.unwrap(), [base.id]);
}

#[tokio::test]
async fn public_tags_move_and_are_taken_back() {
    let world = World::new().await;
    let records = &world.records;
    let base = layer(None);
    world
        .make_image(Some(base.clone()), image(world.project, base.id, 1))
        .await;
    let (first, second) = (image(PUBLIC, base.id, 2), image(PUBLIC, base.id, 3));
    let publish = |image: &contree_records::NewImage, name: &str| Change::Publish {
        image: Box::new(image.clone()),
        tag: tag(name),
        at: at(4),
    };
    let named = async |name: &str| {
        records
            .tagged_image(world.project, &tag(name))
            .await
            .unwrap()
    };
    world.apply(publish(&first, "base")).await.unwrap();
    // The same image again is no second one.
    world.apply(publish(&first, "base:1")).await.unwrap();
    world.apply(publish(&second, "base")).await.unwrap();
    assert_eq!(named("base").await, Some(second.id));
    assert_eq!(named("base:1").await, Some(first.id));
    assert_eq!(records.count_images(PUBLIC).await.unwrap(), 2);

    let unpublish = |name: &str| Change::Unpublish { tag: tag(name) };
    assert_eq!(world.apply(unpublish("base:1")).await.unwrap(), 1);
    assert_eq!(world.apply(unpublish("base:1")).await.unwrap(), 0);
    // No other tag named it.
    assert_eq!(
        records.image_ground(world.project, first.id).await.unwrap(),
        None
    );
    let own = Change::SetTag {
        project: world.project,
        tag: tag("mine"),
        image: second.id,
        at: at(5),
    };
    world.apply(own).await.unwrap();
    world.apply(unpublish("base")).await.unwrap();
    assert_eq!(named("base").await, None);
    assert_eq!(named("mine").await, Some(second.id));
    assert!(
        records
            .untagged_images(at(1_000), 10)
            .await
            .unwrap()
            .iter()
            .all(|image| *image != second.id)
    );
}

/// The database of a server of before: its one token may administer, and an operation that was
/// waiting still does.
#[tokio::test]
async fn an_older_database_is_brought_up_to_date() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("records.db");
    let (project, token) = (ProjectId::new(), TokenId::new());
    {
        use sqlx::{Connection as _, Executor as _};
        let options = sqlx::sqlite::SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true);
        let mut db = sqlx::SqliteConnection::connect_with(&options)
            .await
            .unwrap();
        let first = sqlx::migrate::Migrator {
            migrations: sqlx::migrate!("./migrations").migrations[..1]
                .to_vec()
                .into(),
            ..sqlx::migrate!("./migrations")
        };
        first.run(&mut db).await.unwrap();
        let waiting = operation(project, 1).id;
        for statement in [
            format!("INSERT INTO projects VALUES ('{project}', 'default', 1)"),
            format!(
                "INSERT INTO tokens VALUES ('{token}', '{project}', x'{}', 'list spawn', 1, NULL)",
                "07".repeat(32)
            ),
            format!(
                "INSERT INTO operations (id, project, token, kind, status, request, created_at)
                 VALUES ('{waiting}', '{project}', '{token}', 'instance', 'PENDING', '{{}}', 1)"
            ),
        ] {
            db.execute(sqlx::AssertSqlSafe(statement)).await.unwrap();
        }
        db.close().await.unwrap();
    }
    let records = Records::open(&path).await.unwrap();
    let stored = records.token(&[7; 32]).await.unwrap().unwrap();
    assert_eq!((stored.id, stored.project), (token, Some(project)));
    assert!(stored.admin);
    assert_eq!(stored.permissions.len(), 2);
    let open = records.open_operations().await.unwrap();
    assert_eq!(open.len(), 1);
    assert_eq!(open[0].token_width, None);
    assert_eq!(records.count_open_operations(project).await.unwrap(), 1);
    let done = contree_records::NewOperation {
        id: open[0].id,
        ..operation(project, 1)
    };
    let end = ended(&done, OperationStatus::Failed);
    records
        .apply(Change::End(Box::new(end)), false)
        .await
        .unwrap();
    assert_eq!(records.count_open_operations(project).await.unwrap(), 0);
}
