//! Operations. A row is written when one is accepted (PENDING) and when it ends; where a live one
//! is in between is known to the engine alone.

use std::collections::BTreeMap;

use contree_api::operation::{OperationKind, OperationStatus};
use contree_api::{ImageId, OperationId, ProjectId, Tag, Timestamp, TokenId};
use sqlx::QueryBuilder;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use crate::images::NewImage;
use crate::layers::NewLayer;
use crate::row::{Row, stored};
use crate::{Error, Page, Records};

/// An operation to be accepted.
#[derive(Debug, Clone)]
pub struct NewOperation {
    /// Its id.
    pub id: OperationId,
    /// Whose.
    pub project: ProjectId,
    /// The token that asked.
    pub token: TokenId,
    /// How many of that token's may go at once, this one among them; none: as many as of the
    /// project.
    pub token_width: Option<u64>,
    /// What it does.
    pub kind: OperationKind,
    /// The request as JSON, secrets of registries masked.
    pub request: String,
    /// The image of a run.
    pub image: Option<ImageId>,
    /// When.
    pub created_at: Timestamp,
}

/// The end of an operation and what it made.
#[derive(Debug, Clone)]
pub struct Ended {
    /// The operation.
    pub id: OperationId,
    /// Whose.
    pub project: ProjectId,
    /// One of the terminal three.
    pub status: OperationStatus,
    /// Why it failed or was cancelled.
    pub error: Option<String>,
    /// When its turn came.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Timestamp,
    /// A layer it wrote.
    pub layer: Option<NewLayer>,
    /// An image it made.
    pub image: Option<NewImage>,
    /// The image it ends with, new or not.
    pub result_image: Option<ImageId>,
    /// A tag to be set on that image.
    pub result_tag: Option<Tag>,
    /// Bytes of the layer.
    pub image_size: Option<u64>,
    /// CPU seconds.
    pub cpu: Option<f64>,
    /// Peak memory in KiB.
    pub memory: Option<i64>,
}

/// A stored operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    /// Its id.
    pub id: OperationId,
    /// Whose.
    pub project: ProjectId,
    /// The token that asked.
    pub token: TokenId,
    /// How many of that token's may go at once.
    pub token_width: Option<u64>,
    /// What it does.
    pub kind: OperationKind,
    /// PENDING until it has ended.
    pub status: OperationStatus,
    /// Why it failed or was cancelled.
    pub error: Option<String>,
    /// The request as JSON; empty in lists.
    pub request: String,
    /// The image of a run.
    pub image: Option<ImageId>,
    /// The image it ended with.
    pub result_image: Option<ImageId>,
    /// The tag it set.
    pub result_tag: Option<Tag>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When its turn came.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Bytes of the layer it wrote.
    pub image_size: Option<i64>,
    /// CPU seconds.
    pub cpu: Option<f64>,
    /// Peak memory in KiB.
    pub memory: Option<i64>,
}

/// Which operations to list.
#[derive(Debug, Clone, Default)]
pub struct OperationFilter {
    /// The window.
    pub page: Page,
    /// Only in this state; all that have not ended are PENDING here.
    pub status: Option<OperationStatus>,
    /// Only of this kind.
    pub kind: Option<OperationKind>,
}

pub(crate) async fn insert(
    db: &mut SqliteConnection,
    operation: &NewOperation,
) -> Result<u64, Error> {
    sqlx::query(
        "INSERT INTO operations
             (id, project, token, token_width, kind, status, request, image, created_at)
         VALUES ($1, $2, $3, $4, $5, 'PENDING', $6, $7, $8)",
    )
    .bind(operation.id.to_string())
    .bind(operation.project.to_string())
    .bind(operation.token.to_string())
    .bind(operation.token_width.map(stored))
    .bind(operation.kind.name())
    .bind(&operation.request)
    .bind(operation.image.map(|image| image.to_string()))
    .bind(operation.created_at.as_micros())
    .execute(db)
    .await
    .map(|done| done.rows_affected())
    .map_err(Error::query("record an operation"))
}

pub(crate) async fn end(db: &mut SqliteConnection, ended: &Ended) -> Result<u64, Error> {
    sqlx::query(
        "UPDATE operations
         SET status = $2, error = $3, started_at = $4, finished_at = $5, result_image = $6,
             result_tag = $7, image_size = $8, cpu = $9, memory = $10
         WHERE id = $1 AND status = 'PENDING'",
    )
    .bind(ended.id.to_string())
    .bind(ended.status.name())
    .bind(&ended.error)
    .bind(ended.started_at.map(Timestamp::as_micros))
    .bind(ended.finished_at.as_micros())
    .bind(ended.result_image.map(|image| image.to_string()))
    .bind(ended.result_tag.as_ref().map(Tag::as_str))
    .bind(ended.image_size.map(stored))
    .bind(ended.cpu)
    .bind(ended.memory)
    .execute(db)
    .await
    .map(|done| done.rows_affected())
    .map_err(Error::query("record the end of an operation"))
}

pub(crate) async fn remove(
    db: &mut SqliteConnection,
    operations: &[OperationId],
) -> Result<u64, Error> {
    let mut removed = 0;
    for operation in operations {
        removed += sqlx::query("DELETE FROM operations WHERE id = $1")
            .bind(operation.to_string())
            .execute(&mut *db)
            .await
            .map_err(Error::query("remove an operation"))?
            .rows_affected();
    }
    Ok(removed)
}

fn read(row: &SqliteRow) -> Result<Operation, Error> {
    let row = Row::new(row, "an operation");
    let kind: &str = row.get("kind")?;
    let kind = [OperationKind::Instance, OperationKind::ImageImport]
        .into_iter()
        .find(|known| known.name() == kind)
        .ok_or_else(|| row.damaged("kind", &kind))?;
    let status: &str = row.get("status")?;
    Ok(Operation {
        id: row.parse("id")?,
        project: row.parse("project")?,
        token: row.parse("token")?,
        token_width: row.count_opt("token_width")?,
        kind,
        status: status_named(status).ok_or_else(|| row.damaged("status", &status))?,
        error: row.get("error")?,
        request: row.get("request")?,
        image: row.parse_opt("image")?,
        result_image: row.parse_opt("result_image")?,
        result_tag: row.parse_opt("result_tag")?,
        created_at: row.moment("created_at")?,
        started_at: row.moment_opt("started_at")?,
        finished_at: row.moment_opt("finished_at")?,
        image_size: row.get("image_size")?,
        cpu: row.get("cpu")?,
        memory: row.get("memory")?,
    })
}

fn status_named(name: &str) -> Option<OperationStatus> {
    OperationStatus::ALL
        .into_iter()
        .find(|status| status.name() == name)
}

impl Records {
    /// One operation of the project, with its request.
    ///
    /// # Errors
    /// [`Error::Query`] when the database fails.
    pub async fn operation(
        &self,
        project: ProjectId,
        operation: OperationId,
    ) -> Result<Option<Operation>, Error> {
        let row = sqlx::query("SELECT * FROM operations WHERE id = $1 AND project = $2")
            .bind(operation.to_string())
            .bind(project.to_string())
            .fetch_optional(&self.readers)
            .await
            .map_err(Error::query("look an operation up"))?;
        row.as_ref().map(read).transpose()
    }

    /// The project's operations, newest first, without their requests.
    ///
    /// # Errors
    /// [`Error::Query`] when the database fails.
    pub async fn operations(
        &self,
        project: ProjectId,
        query: &OperationFilter,
    ) -> Result<Vec<Operation>, Error> {
        let mut sql = QueryBuilder::new(
            "SELECT id, project, token, token_width, kind, status, error, '' AS request, image, result_image, \
             result_tag, created_at, started_at, finished_at, image_size, cpu, memory \
             FROM operations WHERE project = ",
        );
        sql.push_bind(project.to_string());
        if let Some(status) = query.status {
            sql.push(" AND status = ").push_bind(status.name());
        }
        if let Some(kind) = query.kind {
            sql.push(" AND kind = ").push_bind(kind.name());
        }
        query.page.push_bounds(&mut sql, "created_at");
        sql.push(" ORDER BY created_at DESC, id DESC");
        query.page.push_limit(&mut sql);
        let rows = sql
            .build()
            .fetch_all(&self.readers)
            .await
            .map_err(Error::query("list operations"))?;
        rows.iter().map(read).collect()
    }

    /// Operations of all projects that have not ended, oldest first, with their requests.
    ///
    /// # Errors
    /// [`Error::Query`] when the database fails.
    pub async fn open_operations(&self) -> Result<Vec<Operation>, Error> {
        let rows = sqlx::query(
            "SELECT * FROM operations WHERE status = 'PENDING' ORDER BY created_at, id",
        )
        .fetch_all(&self.readers)
        .await
        .map_err(Error::query("list open operations"))?;
        rows.iter().map(read).collect()
    }

    /// How many operations of the project have not ended.
    ///
    /// # Errors
    /// [`Error::Query`] when the database fails.
    pub async fn count_open_operations(&self, project: ProjectId) -> Result<i64, Error> {
        sqlx::query_scalar(
            "SELECT COUNT(*) FROM operations WHERE project = $1 AND status = 'PENDING'",
        )
        .bind(project.to_string())
        .fetch_one(&self.readers)
        .await
        .map_err(Error::query("count open operations"))
    }

    /// How many operations of the project are in which state; all that have not ended are
    /// PENDING here.
    ///
    /// # Errors
    /// [`Error::Query`] when the database fails.
    pub async fn operation_counts(
        &self,
        project: ProjectId,
    ) -> Result<BTreeMap<&'static str, i64>, Error> {
        let rows = sqlx::query(
            "SELECT status, COUNT(*) AS count FROM operations WHERE project = $1 GROUP BY status",
        )
        .bind(project.to_string())
        .fetch_all(&self.readers)
        .await
        .map_err(Error::query("count operations"))?;
        rows.iter()
            .map(|row| {
                let row = Row::new(row, "an operation");
                let name: &str = row.get("status")?;
                let status = status_named(name).ok_or_else(|| row.damaged("status", &name))?;
                Ok((status.name(), row.get("count")?))
            })
            .collect()
    }
}
