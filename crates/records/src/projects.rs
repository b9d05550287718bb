//! Projects, the scope of everything else.
//!
//! A project goes in two steps, since taking away what it had may take long and is more than
//! records: first it is closed (its tokens are gone and its name is free), then what it had is
//! removed piece by piece, and its own record last. Who finds a closed project at a start goes on
//! with the second step.

use contree_api::{ProjectId, Timestamp};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
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

/// Fails when a project is closed or not there, so that nothing is added to what is being removed.
pub(crate) async fn check_open(
    db: &mut SqliteConnection,
    project: ProjectId,
    step: &'static str,
) -> Result<(), Error> {
    let open: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM projects WHERE id = $1 AND removed_at IS NULL")
            .bind(project.to_string())
            .fetch_one(db)
            .await
            .map_err(Error::query(step))?;
    if open == 0 {
        return Err(Error::Reference { step });
    }
    Ok(())
}

pub(crate) async fn close(
    db: &mut SqliteConnection,
    project: ProjectId,
    at: Timestamp,
) -> Result<u64, Error> {
    sqlx::query("DELETE FROM tokens WHERE project = $1")
        .bind(project.to_string())
        .execute(&mut *db)
        .await
        .map_err(Error::query("remove the tokens of a project"))?;
    sqlx::query(
        "UPDATE projects SET removed_at = $2, name = id WHERE id = $1 AND removed_at IS NULL",
    )
    .bind(project.to_string())
    .bind(at.as_micros())
    .execute(db)
    .await
    .map(|done| done.rows_affected())
    .map_err(Error::query("close a project"))
}

/// What is left of a closed project: its tags, images and files, and itself. Its operations have
/// been removed before, piece by piece.
pub(crate) async fn remove(db: &mut SqliteConnection, project: ProjectId) -> Result<u64, Error> {
    let closed: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM projects WHERE id = $1 AND removed_at IS NOT NULL",
    )
    .bind(project.to_string())
    .fetch_one(&mut *db)
    .await
    .map_err(Error::query("look a project up"))?;
    if closed == 0 {
        return Ok(0);
    }
    for statement in [
        "DELETE FROM tags WHERE project = $1",
        "DELETE FROM images WHERE project = $1",
        "DELETE FROM files WHERE project = $1",
        "DELETE FROM operations WHERE project = $1",
        "DELETE FROM projects WHERE id = $1",
    ] {
        sqlx::query(statement)
            .bind(project.to_string())
            .execute(&mut *db)
            .await
            .map_err(Error::query("remove a project with what it had"))?;
    }
    Ok(1)
}

fn read(row: &SqliteRow) -> Result<Project, Error> {
    let row = Row::new(row, "a project");
    Ok(Project {
        id: row.parse("id")?,
        name: row.get("name")?,
        created_at: row.moment("created_at")?,
    })
}

impl Records {
    /// All projects but [`PUBLIC`] and closed ones, by age.
    ///
    /// # Errors
    /// [`Error::Query`] when the database fails.
    pub async fn projects(&self) -> Result<Vec<Project>, Error> {
        let rows = sqlx::query(
            "SELECT id, name, created_at FROM projects WHERE id <> $1 AND removed_at IS NULL
             ORDER BY created_at, id",
        )
        .bind(PUBLIC.to_string())
        .fetch_all(&self.readers)
        .await
        .map_err(Error::query("list projects"))?;
        rows.iter().map(read).collect()
    }

    /// A project by its id or its name; neither [`PUBLIC`] nor a closed one.
    ///
    /// # Errors
    /// [`Error::Query`] when the database fails.
    pub async fn project(&self, id_or_name: &str) -> Result<Option<Project>, Error> {
        // Ids are stored in lower case.
        let id = id_or_name.to_ascii_lowercase();
        let row = sqlx::query(
            "SELECT id, name, created_at FROM projects
             WHERE (name = $1 OR id = $2) AND id <> $3 AND removed_at IS NULL",
        )
        .bind(id_or_name)
        .bind(id)
        .bind(PUBLIC.to_string())
        .fetch_optional(&self.readers)
        .await
        .map_err(Error::query("look a project up"))?;
        row.as_ref().map(read).transpose()
    }

    /// Projects that were closed and are not gone yet.
    ///
    /// # Errors
    /// [`Error::Query`] when the database fails.
    pub async fn closed_projects(&self) -> Result<Vec<ProjectId>, Error> {
        let rows = sqlx::query("SELECT id FROM projects WHERE removed_at IS NOT NULL")
            .fetch_all(&self.readers)
            .await
            .map_err(Error::query("list closed projects"))?;
        rows.iter()
            .map(|row| Row::new(row, "a project").parse("id"))
            .collect()
    }
}
