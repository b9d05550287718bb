//! Tokens, known by the SHA-256 of their text alone.

use contree_api::whoami::Permission;
use contree_api::{ProjectId, Timestamp, TokenId};
use sqlx::sqlite::SqliteConnection;

use crate::row::Row;
use crate::{Error, Records};

/// A token to be stored.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// Its id.
    pub id: TokenId,
    /// The project it belongs to.
    pub project: ProjectId,
    /// SHA-256 of its text.
    pub hash: [u8; 32],
    /// What it may do.
    pub permissions: Vec<Permission>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops working; none: never.
    pub expires_at: Option<Timestamp>,
}

/// A stored token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its id.
    pub id: TokenId,
    /// The project it belongs to.
    pub project: ProjectId,
    /// What it may do.
    pub permissions: Vec<Permission>,
    /// When it stops working; none: never.
    pub expires_at: Option<Timestamp>,
}

pub(crate) async fn insert(db: &mut SqliteConnection, token: &NewToken) -> Result<u64, Error> {
    let permissions = token
        .permissions
        .iter()
        .map(|permission| permission.name())
        .collect::<Vec<_>>()
        .join(" ");
    sqlx::query(
        "INSERT INTO tokens (id, project, hash, permissions, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(token.id.to_string())
    .bind(token.project.to_string())
    .bind(token.hash.as_slice())
    .bind(permissions)
    .bind(token.created_at.as_micros())
    .bind(token.expires_at.map(Timestamp::as_micros))
    .execute(db)
    .await
    .map(|done| done.rows_affected())
    .map_err(Error::query("store a token"))
}

impl Records {
    /// The token whose text has this SHA-256.
    ///
    /// # Errors
    /// [`Error::Query`] when the database fails.
    pub async fn token(&self, hash: &[u8; 32]) -> Result<Option<Token>, Error> {
        let row =
            sqlx::query("SELECT id, project, permissions, expires_at FROM tokens WHERE hash = $1")
                .bind(hash.as_slice())
                .fetch_optional(&self.readers)
                .await
                .map_err(Error::query("look a token up"))?;
        let Some(row) = row else { return Ok(None) };
        let row = Row::new(&row, "a token");
        let names: &str = row.get("permissions")?;
        let permissions = names
            .split_whitespace()
            .map(|name| {
                Permission::ALL
                    .into_iter()
                    .find(|permission| permission.name() == name)
                    .ok_or_else(|| row.damaged("permissions", &name))
            })
            .collect::<Result<_, _>>()?;
        Ok(Some(Token {
            id: row.parse("id")?,
            project: row.parse("project")?,
            permissions,
            expires_at: row.moment_opt("expires_at")?,
        }))
    }
}
