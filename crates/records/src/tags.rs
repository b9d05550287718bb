//! Tags: names for images, unique per project. A project's tag shadows the public one.

use contree_api::{ImageId, ProjectId, Tag, Timestamp};
use sqlx::sqlite::SqliteConnection;

use crate::projects::PUBLIC;
use crate::{Error, Records};

pub(crate) async fn set(
    db: &mut SqliteConnection,
    project: ProjectId,
    tag: &Tag,
    image: ImageId,
    at: Timestamp,
) -> Result<u64, Error> {
    sqlx::query(
        "INSERT INTO tags (project, name, image, updated_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (project, name)
         DO UPDATE SET image = excluded.image, updated_at = excluded.updated_at",
    )
    .bind(project.to_string())
    .bind(tag.as_str())
    .bind(image.to_string())
    .bind(at.as_micros())
    .execute(db)
    .await
    .map(|done| done.rows_affected())
    .map_err(Error::query("set a tag"))
}

pub(crate) async fn delete(
    db: &mut SqliteConnection,
    project: ProjectId,
    image: ImageId,
    tag: Option<&Tag>,
) -> Result<u64, Error> {
    let (project, image) = (project.to_string(), image.to_string());
    let query = match tag {
        Some(tag) => {
            sqlx::query("DELETE FROM tags WHERE project = $1 AND image = $2 AND name = $3")
                .bind(project)
                .bind(image)
                .bind(tag.as_str())
        }
        None => sqlx::query("DELETE FROM tags WHERE project = $1 AND image = $2")
            .bind(project)
            .bind(image),
    };
    query
        .execute(db)
        .await
        .map(|done| done.rows_affected())
        .map_err(Error::query("remove a tag"))
}

/// The tag, and its image when that is public and has no tag any more.
pub(crate) async fn unpublish(db: &mut SqliteConnection, tag: &Tag) -> Result<u64, Error> {
    let image: Option<String> =
        sqlx::query_scalar("SELECT image FROM tags WHERE project = $1 AND name = $2")
            .bind(PUBLIC.to_string())
            .bind(tag.as_str())
            .fetch_optional(&mut *db)
            .await
            .map_err(Error::query("look a tag up"))?;
    let Some(image) = image else { return Ok(0) };
    let removed = sqlx::query("DELETE FROM tags WHERE project = $1 AND name = $2")
        .bind(PUBLIC.to_string())
        .bind(tag.as_str())
        .execute(&mut *db)
        .await
        .map_err(Error::query("remove a tag"))?
        .rows_affected();
    sqlx::query(
        "DELETE FROM images WHERE id = $1 AND project = $2
             AND NOT EXISTS (SELECT 1 FROM tags WHERE tags.image = images.id)",
    )
    .bind(image)
    .bind(PUBLIC.to_string())
    .execute(db)
    .await
    .map_err(Error::query("remove an image"))?;
    Ok(removed)
}

impl Records {
    /// The image a tag names: the project's own, else the public one.
    ///
    /// # Errors
    /// [`Error::Query`] when the database fails.
    pub async fn tagged_image(
        &self,
        project: ProjectId,
        tag: &Tag,
    ) -> Result<Option<ImageId>, Error> {
        let image: Option<String> = sqlx::query_scalar(
            "SELECT image FROM tags WHERE name = $1 AND project IN ($2, $3)
             ORDER BY CASE WHEN project = $2 THEN 0 ELSE 1 END LIMIT 1",
        )
        .bind(tag.as_str())
        .bind(project.to_string())
        .bind(PUBLIC.to_string())
        .fetch_optional(&self.readers)
        .await
        .map_err(Error::query("look a tag up"))?;
        image
            .map(|image| {
                image.parse().map_err(|_| Error::Damaged {
                    what: "a tag",
                    reason: image.clone(),
                })
            })
            .transpose()
    }
}
