//! Tokens.

use contree_api::TokenId;
use contree_api::whoami::Permission;
use contree_records::{Change, NewToken};

use crate::world::{World, at};

#[tokio::test]
async fn tokens_are_found_by_hash_alone() {
    let world = World::new().await;
    let (records, project) = (&world.records, world.project);
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
