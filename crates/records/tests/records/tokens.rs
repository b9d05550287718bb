//! Tokens.

use contree_api::admin::TokenLimits;
use contree_api::whoami::Permission;
use contree_api::{ProjectId, TokenId};
use contree_records::{Change, Error, NewToken, Token};

use crate::world::{World, at};

fn token(project: Option<ProjectId>) -> Token {
    Token {
        id: TokenId::new(),
        project,
        name: "for ci".into(),
        permissions: vec![Permission::List, Permission::SpawnDisposable],
        limits: TokenLimits {
            instance_max_concurrency: Some(4),
            ..TokenLimits::default()
        },
        admin: false,
        created_at: at(1),
        expires_at: Some(at(99)),
    }
}

async fn add(world: &World, token: &Token, hash: [u8; 32]) -> Result<u64, Error> {
    let token = token.clone();
    world
        .apply(Change::NewToken(Box::new(NewToken { token, hash })))
        .await
}

#[tokio::test]
async fn tokens_are_found_by_hash_alone() {
    let world = World::new().await;
    let stored = token(Some(world.project));
    add(&world, &stored, [7; 32]).await.unwrap();
    let found = world.records.token(&[7; 32]).await.unwrap();
    assert_eq!(found, Some(stored));
    assert_eq!(world.records.token(&[8; 32]).await.unwrap(), None);

    let of_all = Token {
        admin: true,
        expires_at: None,
        ..token(None)
    };
    add(&world, &of_all, [9; 32]).await.unwrap();
    assert_eq!(
        world.records.token(&[9; 32]).await.unwrap(),
        Some(of_all.clone())
    );

    let stranger = add(&world, &token(Some(ProjectId::new())), [1; 32]).await;
    assert!(
        matches!(stranger, Err(Error::Reference { .. })),
        "{stranger:?}"
    );
    let again = add(&world, &token(None), [9; 32]).await;
    assert!(matches!(again, Err(Error::Taken { .. })), "{again:?}");
}

#[tokio::test]
async fn a_removed_token_is_gone() {
    let world = World::new().await;
    let other = ProjectId::new();
    world.add_project(other, "other").await.unwrap();
    let (here, there, all) = (token(Some(world.project)), token(Some(other)), token(None));
    for (token, hash) in [(&here, 1), (&there, 2), (&all, 3)] {
        add(&world, token, [hash; 32]).await.unwrap();
    }
    let ids = async |project| {
        let tokens = world.records.tokens(project).await.unwrap();
        tokens.iter().map(|token| token.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(None).await, [here.id, there.id, all.id]);
    assert_eq!(ids(Some(other)).await, [there.id]);

    let remove = Change::RemoveToken { token: here.id };
    assert_eq!(world.apply(remove.clone()).await.unwrap(), 1);
    assert_eq!(world.apply(remove).await.unwrap(), 0);
    assert_eq!(world.records.token(&[1; 32]).await.unwrap(), None);
    assert_eq!(ids(None).await, [there.id, all.id]);
}
