//! Tokens, known by the SHA-256 of their text alone.

use contree_api::admin::TokenLimits;
use contree_api::whoami::Permission;
use contree_api::{ProjectId, Timestamp, TokenId};
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use crate::row::Row;
use crate::{Error, Records, projects};

/// A token as it is stored, without its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its id.
    pub id: TokenId,
    /// The project it belongs to; none: each request names one.
    pub project: Option<ProjectId>,
    /// What people call it; may be empty.
    pub name: String,
    /// What it may do.
    pub permissions: Vec<Permission>,
    /// Limits of its own.
    pub limits: TokenLimits,
    /// Whether it may administer the server.
    pub admin: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops working; none: never.
    pub expires_at: Option<Timestamp>,
}

/// A token to be stored.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// The token.
    pub token: Token,
    /// SHA-256 of its text.
    pub hash: [u8; 32],
}

pub(crate) async fn insert(db: &mut SqliteConnection, new: &NewToken) -> Result<u64, Error> {
    let token = &new.token;
    if let Some(project) = token.project {
        projects::check_open(db, project, "store a token").await?;
    }
    let permissions = token
        .permissions
        .iter()
        .map(|permission| permission.name())
        .collect::<Vec<_>>()
        .join(" ");
    let limits = serde_json::to_string(&token.limits).map_err(|error| Error::Damaged {
        what: "a token",
        reason: error.to_string(),
    })?;
    sqlx::query(
        "INSERT INTO tokens
             (id, project, name, hash, permissions, limits, admin, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(token.id.to_string())
    .bind(token.project.map(|project| project.to_string()))
    .bind(&token.name)
    .bind(new.hash.as_slice())
    .bind(permissions)
    .bind(limits)
    .bind(i64::from(token.admin))
    .bind(token.created_at.as_micros())
    .bind(token.expires_at.map(Timestamp::as_micros))
    .execute(db)
    .await
    .map(|done| done.rows_affected())
    .map_err(Error::query("store a token"))
}

pub(crate) async fn remove(db: &mut SqliteConnection, token: TokenId) -> Result<u64, Error> {
    sqlx::query("DELETE FROM tokens WHERE id = $1")
        .bind(token.to_string())
        .execute(db)
        .await
        .map(|done| done.rows_affected())
        .map_err(Error::query("remove a token"))
}

fn read(row: &SqliteRow) -> Result<Token, Error> {
    let row = Row::new(row, "a token");
    let names: &str = row.get("permissions")?;
    let permissions = names
        .split_whitespace()
        .map(|name| Permission::named(name).ok_or_else(|| row.damaged("permissions", &name)))
        .collect::<Result<_, _>>()?;
    Ok(Token {
        id: row.parse("id")?,
        project: row.parse_opt("project")?,
        name: row.get("name")?,
        permissions,
        limits: row.json("limits")?,
        admin: row.count("admin")? != 0,
        created_at: row.moment("created_at")?,
        expires_at: row.moment_opt("expires_at")?,
    })
}

const COLUMNS: &str = "id, project, name, permissions, limits, admin, created_at, expires_at";

impl Records {
    /// The token whose text has this SHA-256.
    ///
    /// # Errors
    /// [`Error::Query`] when the database fails.
    pub async fn token(&self, hash: &[u8; 32]) -> Result<Option<Token>, Error> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM tokens WHERE hash = $1"
        )))
        .bind(hash.as_slice())
        .fetch_optional(&self.readers)
        .await
        .map_err(Error::query("look a token up"))?;
        row.as_ref().map(read).transpose()
    }

    /// All tokens by age, or those of one project alone.
    ///
    /// # Errors
    /// [`Error::Query`] when the database fails.
    pub async fn tokens(&self, project: Option<ProjectId>) -> Result<Vec<Token>, Error> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM tokens WHERE $1 IS NULL OR project = $1 ORDER BY created_at, id"
        )))
        .bind(project.map(|project| project.to_string()))
        .fetch_all(&self.readers)
        .await
        .map_err(Error::query("list tokens"))?;
        rows.iter().map(read).collect()
    }
}
