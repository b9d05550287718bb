//! Projects, the scope of everything else.

use contree_api::{ProjectId, Timestamp};
use sqlx::sqlite::SqliteConnection;
use uuid::Uuid;

use crate::row::Row;
use crate::{Error, Records};

/// The namespace whose images and tags every project sees and none writes.
pub const PUBLIC: ProjectId = ProjectId::from_uuid(Uuid::nil());

/// A project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// Its id.
    pub id: ProjectId,
    /// Its name, unique.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
}

pub(crate) async fn insert(
    db: &mut SqliteConnection,
    id: ProjectId,
    name: &str,
    at: Timestamp,
) -> Result<u64, Error> {
    sqlx::query("INSERT INTO projects (id, name, created_at) VALUES ($1, $2, $3)")
        .bind(id.to_string())
        .bind(name)
        .bind(at.as_micros())
        .execute(db)
        .await
        .map(|done| done.rows_affected())
        .map_err(Error::query("make a project"))
}

impl Records {
    /// All projects but [`PUBLIC`], by age.
    ///
    /// # Errors
    /// [`Error::Query`] when the database fails.
    pub async fn projects(&self) -> Result<Vec<Project>, Error> {
        let rows = sqlx::query(
            "SELECT id, name, created_at FROM projects WHERE id <> $1 ORDER BY created_at, id",
        )
        .bind(PUBLIC.to_string())
        .fetch_all(&self.readers)
        .await
        .map_err(Error::query("list projects"))?;
        rows.iter()
            .map(|row| {
                let row = Row::new(row, "a project");
                Ok(Project {
                    id: row.parse("id")?,
                    name: row.get("name")?,
                    created_at: row.moment("created_at")?,
                })
            })
            .collect()
    }
}
