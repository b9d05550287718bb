//! Uploaded files, by content, per project.

use std::collections::HashSet;

use contree_api::file::File;
use contree_api::{FileId, ProjectId, Timestamp};
use sqlx::QueryBuilder;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use crate::row::{Row, stored};
use crate::{Error, Page, Records, projects};

/// An upload to be recorded.
#[derive(Debug, Clone)]
pub struct NewFile {
    /// Id, the same for the same content in the same project.
    pub id: FileId,
    /// Whose.
    pub project: ProjectId,
    /// SHA-256 in hex.
    pub sha256: String,
    /// Bytes.
    pub size: u64,
    /// When.
    pub at: Timestamp,
}

/// Moments are kept to the minute for the last use: a file attached to every run is not written
/// to the database on every run.
const USE_GRAIN_MICROS: i64 = 60_000_000;

/// Ids in one query; databases bound the number of parameters.
const IDS_AT_ONCE: usize = 500;

pub(crate) async fn put(db: &mut SqliteConnection, file: &NewFile) -> Result<u64, Error> {
    projects::check_open(db, file.project, "record an upload").await?;
    sqlx::query(
        "INSERT INTO files (id, project, sha256, size, created_at, updated_at, used_at)
         VALUES ($1, $2, $3, $4, $5, $5, $5)
         ON CONFLICT (id)
         DO UPDATE SET updated_at = excluded.updated_at, used_at = excluded.used_at",
    )
    .bind(file.id.to_string())
    .bind(file.project.to_string())
    .bind(&file.sha256)
    .bind(stored(file.size))
    .bind(file.at.as_micros())
    .execute(db)
    .await
    .map(|done| done.rows_affected())
    .map_err(Error::query("record an upload"))
}

pub(crate) async fn touch(
    db: &mut SqliteConnection,
    files: &[FileId],
    at: Timestamp,
) -> Result<u64, Error> {
    let mut touched = 0;
    for file in files {
        touched += sqlx::query("UPDATE files SET used_at = $2 WHERE id = $1 AND used_at < $3")
            .bind(file.to_string())
            .bind(at.as_micros())
            .bind(at.as_micros() - USE_GRAIN_MICROS)
            .execute(&mut *db)
            .await
            .map_err(Error::query("record the use of a file"))?
            .rows_affected();
    }
    Ok(touched)
}

pub(crate) async fn remove(
    db: &mut SqliteConnection,
    files: &[FileId],
    unused_since: Timestamp,
) -> Result<u64, Error> {
    let mut removed = 0;
    for file in files {
        removed += sqlx::query("DELETE FROM files WHERE id = $1 AND used_at < $2")
            .bind(file.to_string())
            .bind(unused_since.as_micros())
            .execute(&mut *db)
            .await
            .map_err(Error::query("remove a file"))?
            .rows_affected();
    }
    Ok(removed)
}

fn read(row: &SqliteRow) -> Result<File, Error> {
    let row = Row::new(row, "a file");
    Ok(File {
        uuid: row.parse("id")?,
        sha256: row.get("sha256")?,
        size: row.get("size")?,
        created_at: row.moment("created_at")?,
        updated_at: row.moment("updated_at")?,
    })
}

impl Records {
    /// A file by its content, 64 lower-case hex digits.
    ///
    /// # Errors
    /// [`Error::Query`] when the database fails.
    pub async fn file_by_content(
        &self,
        project: ProjectId,
        sha256: &str,
    ) -> Result<Option<File>, Error> {
        let row = sqlx::query(
            "SELECT id, sha256, size, created_at, updated_at FROM files
             WHERE project = $1 AND sha256 = $2",
        )
        .bind(project.to_string())
        .bind(sha256)
        .fetch_optional(&self.readers)
        .await
        .map_err(Error::query("look a file up"))?;
        row.as_ref().map(read).transpose()
    }

    /// A file by its id.
    ///
    /// # Errors
    /// [`Error::Query`] when the database fails.
    pub async fn file(&self, project: ProjectId, file: FileId) -> Result<Option<File>, Error> {
        let row = sqlx::query(
            "SELECT id, sha256, size, created_at, updated_at FROM files
             WHERE id = $1 AND project = $2",
        )
        .bind(file.to_string())
        .bind(project.to_string())
        .fetch_optional(&self.readers)
        .await
        .map_err(Error::query("look a file up"))?;
        row.as_ref().map(read).transpose()
    }

    /// A project's files, newest first.
    ///
    /// # Errors
    /// [`Error::Query`] when the database fails.
    pub async fn files(&self, project: ProjectId, page: &Page) -> Result<Vec<File>, Error> {
        let mut query = QueryBuilder::new(
            "SELECT id, sha256, size, created_at, updated_at FROM files WHERE project = ",
        );
        query.push_bind(project.to_string());
        page.push_bounds(&mut query, "created_at");
        query.push(" ORDER BY created_at DESC, id DESC");
        page.push_limit(&mut query);
        let rows = query
            .build()
            .fetch_all(&self.readers)
            .await
            .map_err(Error::query("list files"))?;
        rows.iter().map(read).collect()
    }

    /// Files of all projects whose last use is before a moment, at most `limit`.
    ///
    /// # Errors
    /// [`Error::Query`] when the database fails.
    pub async fn unused_files(&self, since: Timestamp, limit: u32) -> Result<Vec<FileId>, Error> {
        let rows = sqlx::query("SELECT id FROM files WHERE used_at < $1 ORDER BY used_at LIMIT $2")
            .bind(since.as_micros())
            .bind(i64::from(limit))
            .fetch_all(&self.readers)
            .await
            .map_err(Error::query("list unused files"))?;
        rows.iter()
            .map(|row| Row::new(row, "a file").parse("id"))
            .collect()
    }

    /// Of these files, those that the project has; without one, those that any has.
    ///
    /// # Errors
    /// [`Error::Query`] when the database fails.
    pub async fn known_files(
        &self,
        project: Option<ProjectId>,
        files: &[FileId],
    ) -> Result<HashSet<FileId>, Error> {
        let mut known = HashSet::with_capacity(files.len());
        for some in files.chunks(IDS_AT_ONCE) {
            let mut query = QueryBuilder::new("SELECT id FROM files WHERE ");
            if let Some(project) = project {
                query.push("project = ").push_bind(project.to_string());
                query.push(" AND ");
            }
            query.push("id IN (");
            let mut ids = query.separated(", ");
            for id in some {
                ids.push_bind(id.to_string());
            }
            query.push(")");
            let rows = query
                .build()
                .fetch_all(&self.readers)
                .await
                .map_err(Error::query("look files up"))?;
            for row in &rows {
                known.insert(Row::new(row, "a file").parse("id")?);
            }
        }
        Ok(known)
    }
}
