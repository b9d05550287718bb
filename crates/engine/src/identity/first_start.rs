//! The first start of a data folder: a project, and a token that may do everything.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use contree_api::admin::TokenLimits;
use contree_api::whoami::Permission;
use contree_api::{ProjectId, Timestamp, TokenId};
use contree_records::{Change, NewToken, Records, Token};

use super::hash;
use crate::admin::{FIRST_PROJECT, fresh_token};
use crate::engine::{FirstStart, StartError};

/// The file in the data folder with the token of the first start.
pub const ADMIN_TOKEN: &str = "admin.token";

/// Makes the first project and its token when there is no project yet.
pub(crate) async fn first_start(
    records: &Records,
    data_dir: &Path,
) -> Result<Option<FirstStart>, StartError> {
    if !records
        .projects()
        .await
        .map_err(StartError::Records)?
        .is_empty()
    {
        return Ok(None);
    }
    let token = fresh_token().map_err(StartError::Random)?;

    // The file first: a crash in between leaves a token that does not work and a data folder
    // that counts as new.
    let token_path = data_dir.join(ADMIN_TOKEN);
    write_private(&token_path, &token).map_err(|source| StartError::Token {
        path: token_path.clone(),
        source,
    })?;
    let (project, at) = (ProjectId::new(), Timestamp::now());
    let name = FIRST_PROJECT.to_owned();
    let made = records
        .submit(
            Change::NewProject {
                id: project,
                name,
                at,
            },
            true,
        )
        .await;
    let stored = NewToken {
        token: Token {
            id: TokenId::new(),
            project: Some(project),
            name: "admin".to_owned(),
            permissions: Permission::ALL.to_vec(),
            limits: TokenLimits::default(),
            admin: true,
            created_at: at,
            expires_at: None,
        },
        hash: hash(&token),
    };
    let stored = records
        .submit(Change::NewToken(Box::new(stored)), true)
        .await;
    made.wait().await.map_err(StartError::Records)?;
    stored.wait().await.map_err(StartError::Records)?;
    Ok(Some(FirstStart {
        project: FIRST_PROJECT.to_owned(),
        token,
        token_path,
    }))
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let temporary = path.with_extension("token.new");
    match std::fs::remove_file(&temporary) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = std::fs::OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(&temporary)?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)
}
