//! Images: a layer, and what runs from it start with.

use std::collections::BTreeMap;

use contree_api::image::Image;
use contree_api::{ImageId, LayerId, OperationId, ProjectId, Tag, Timestamp};
use sqlx::QueryBuilder;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use crate::projects::PUBLIC;
use crate::row::{Row, stored};
use crate::{Error, Page, Records};

/// Where an image comes from; stored as 0 and 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageKind {
    /// A run.
    Run,
    /// An import.
    Import,
}

impl ImageKind {
    const fn stored(self) -> i64 {
        match self {
            Self::Run => 0,
            Self::Import => 1,
        }
    }
}

/// An image to be stored.
#[derive(Debug, Clone)]
pub struct NewImage {
    /// Its id.
    pub id: ImageId,
    /// Whose.
    pub project: ProjectId,
    /// The layer it stands on.
    pub layer: LayerId,
    /// Environment that runs from it start with.
    pub env: BTreeMap<String, String>,
    /// Working directory that runs from it start in.
    pub cwd: Option<String>,
    /// The image it was made from.
    pub parent: Option<ImageId>,
    /// The operation that made it.
    pub operation: Option<OperationId>,
    /// Where it comes from.
    pub kind: ImageKind,
    /// Digest of an import's content.
    pub digest: Option<String>,
    /// Bytes the operation wrote.
    pub size: u64,
    /// When.
    pub created_at: Timestamp,
}

/// What a run needs to know of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageGround {
    /// Its id.
    pub id: ImageId,
    /// The layer it stands on.
    pub layer: LayerId,
    /// Environment.
    pub env: BTreeMap<String, String>,
    /// Working directory.
    pub cwd: Option<String>,
}

/// Which images to list.
#[derive(Debug, Clone, Default)]
pub struct ImageFilter {
    /// The window.
    pub page: Page,
    /// Only tagged ones.
    pub tagged: bool,
    /// Only those with a tag that starts with this.
    pub tag_prefix: Option<Tag>,
    /// Only this one.
    pub id: Option<ImageId>,
    /// Only of this kind.
    pub kind: Option<ImageKind>,
}

/// An import of this content may happen twice at once, and an image that was removed may come
/// back: the second finds the first.
pub(crate) async fn insert(db: &mut SqliteConnection, image: &NewImage) -> Result<u64, Error> {
    let env = serde_json::to_string(&image.env).map_err(|error| Error::Damaged {
        what: "an image",
        reason: error.to_string(),
    })?;
    sqlx::query(
        "INSERT INTO images
             (id, project, layer, env, cwd, parent, operation, kind, digest, size, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
         ON CONFLICT (id) DO NOTHING",
    )
    .bind(image.id.to_string())
    .bind(image.project.to_string())
    .bind(image.layer.to_string())
    .bind(env)
    .bind(&image.cwd)
    .bind(image.parent.map(|parent| parent.to_string()))
    .bind(image.operation.map(|operation| operation.to_string()))
    .bind(image.kind.stored())
    .bind(&image.digest)
    .bind(stored(image.size))
    .bind(image.created_at.as_micros())
    .execute(db)
    .await
    .map(|done| done.rows_affected())
    .map_err(Error::query("store an image"))
}

pub(crate) async fn remove_untagged(
    db: &mut SqliteConnection,
    images: &[ImageId],
) -> Result<u64, Error> {
    let mut removed = 0;
    for image in images {
        removed += sqlx::query(
            "DELETE FROM images WHERE id = $1
                 AND NOT EXISTS (SELECT 1 FROM tags WHERE tags.image = images.id)",
        )
        .bind(image.to_string())
        .execute(&mut *db)
        .await
        .map_err(Error::query("remove an image"))?
        .rows_affected();
    }
    Ok(removed)
}

fn read(row: &SqliteRow, reader: ProjectId) -> Result<Image, Error> {
    let row = Row::new(row, "an image");
    let owner: ProjectId = row.parse("project")?;
    Ok(Image {
        uuid: row.parse("id")?,
        tag: row.parse_opt("tag")?,
        created_at: row.moment("created_at")?,
        operation_uuid: if owner == reader {
            row.parse_opt("operation")?
        } else {
            None
        },
        parent_uuid: if owner == reader {
            row.parse_opt("parent")?
        } else {
            None
        },
        env: None,
        cwd: None,
    })
}

/// The first text after all those that start with `prefix`: its last byte one higher. Tags are
/// ASCII without the byte 0x7f, so there is always a higher one.
fn after_prefix(prefix: &str) -> String {
    let mut bytes = prefix.as_bytes().to_vec();
    if let Some(last) = bytes.last_mut() {
        *last += 1;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Records {
    /// The project's and the public images, newest first, one item per visible tag.
    ///
    /// # Errors
    /// [`Error::Query`] when the database fails.
    pub async fn images(
        &self,
        project: ProjectId,
        query: &ImageFilter,
    ) -> Result<Vec<Image>, Error> {
        let (own, public) = (project.to_string(), PUBLIC.to_string());
        let must_be_tagged = query.tagged || query.tag_prefix.is_some();
        let mut sql = QueryBuilder::new(
            "SELECT i.id, i.project, i.created_at, i.operation, i.parent, t.name AS tag \
             FROM images i ",
        );
        sql.push(if must_be_tagged { "JOIN" } else { "LEFT JOIN" });
        // A public tag shows where the project has no tag of that name.
        sql.push(" tags t ON t.image = i.id AND (t.project = ")
            .push_bind(own.clone());
        sql.push(" OR (t.project = ").push_bind(public.clone());
        sql.push(" AND NOT EXISTS (SELECT 1 FROM tags o WHERE o.project = ")
            .push_bind(own.clone());
        sql.push(" AND o.name = t.name))) WHERE i.project IN (")
            .push_bind(own);
        sql.push(", ").push_bind(public).push(")");
        if let Some(prefix) = &query.tag_prefix {
            sql.push(" AND t.name >= ")
                .push_bind(prefix.as_str().to_owned());
            sql.push(" AND t.name < ")
                .push_bind(after_prefix(prefix.as_str()));
        }
        if let Some(id) = query.id {
            sql.push(" AND i.id = ").push_bind(id.to_string());
        }
        if let Some(kind) = query.kind {
            sql.push(" AND i.kind = ").push_bind(kind.stored());
        }
        query.page.push_bounds(&mut sql, "i.created_at");
        sql.push(" ORDER BY i.created_at DESC, i.id DESC, t.name");
        query.page.push_limit(&mut sql);
        let rows = sql
            .build()
            .fetch_all(&self.readers)
            .await
            .map_err(Error::query("list images"))?;
        rows.iter().map(|row| read(row, project)).collect()
    }

    /// One of the project's or the public images, with the first of its tags by name.
    ///
    /// # Errors
    /// [`Error::Query`] when the database fails.
    pub async fn image(&self, project: ProjectId, image: ImageId) -> Result<Option<Image>, Error> {
        let query = ImageFilter {
            page: Page {
                limit: 1,
                ..Page::default()
            },
            id: Some(image),
            ..ImageFilter::default()
        };
        Ok(self.images(project, &query).await?.pop())
    }

    /// What a run needs to know of an image the project may use.
    ///
    /// # Errors
    /// [`Error::Query`] when the database fails.
    pub async fn image_ground(
        &self,
        project: ProjectId,
        image: ImageId,
    ) -> Result<Option<ImageGround>, Error> {
        let row = sqlx::query(
            "SELECT id, layer, env, cwd FROM images WHERE id = $1 AND project IN ($2, $3)",
        )
        .bind(image.to_string())
        .bind(project.to_string())
        .bind(PUBLIC.to_string())
        .fetch_optional(&self.readers)
        .await
        .map_err(Error::query("look an image up"))?;
        row.as_ref().map(read_ground).transpose()
    }

    /// An image with this content among the project's and the public ones; its layer may be
    /// shared. What other projects have must not show, not even in the time that an import takes.
    ///
    /// # Errors
    /// [`Error::Query`] when the database fails.
    pub async fn image_by_digest(
        &self,
        project: ProjectId,
        digest: &str,
    ) -> Result<Option<ImageGround>, Error> {
        let row = sqlx::query(
            "SELECT id, layer, env, cwd FROM images
             WHERE digest = $1 AND project IN ($2, $3) LIMIT 1",
        )
        .bind(digest)
        .bind(project.to_string())
        .bind(PUBLIC.to_string())
        .fetch_optional(&self.readers)
        .await
        .map_err(Error::query("look an image up by content"))?;
        row.as_ref().map(read_ground).transpose()
    }

    /// All there is to know of one of the project's own images.
    ///
    /// # Errors
    /// [`Error::Query`] when the database fails.
    pub async fn own_image(
        &self,
        project: ProjectId,
        image: ImageId,
    ) -> Result<Option<NewImage>, Error> {
        let row = sqlx::query("SELECT * FROM images WHERE id = $1 AND project = $2")
            .bind(image.to_string())
            .bind(project.to_string())
            .fetch_optional(&self.readers)
            .await
            .map_err(Error::query("look an image up"))?;
        row.as_ref().map(read_whole).transpose()
    }

    /// How many images the project has of its own.
    ///
    /// # Errors
    /// [`Error::Query`] when the database fails.
    pub async fn count_images(&self, project: ProjectId) -> Result<i64, Error> {
        sqlx::query_scalar("SELECT COUNT(*) FROM images WHERE project = $1")
            .bind(project.to_string())
            .fetch_one(&self.readers)
            .await
            .map_err(Error::query("count images"))
    }

    /// Images of all projects without any tag, made before a moment; at most `limit`.
    ///
    /// # Errors
    /// [`Error::Query`] when the database fails.
    pub async fn untagged_images(
        &self,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<ImageId>, Error> {
        let rows = sqlx::query(
            "SELECT i.id FROM images i WHERE i.created_at < $1
                 AND NOT EXISTS (SELECT 1 FROM tags t WHERE t.image = i.id)
             ORDER BY i.created_at LIMIT $2",
        )
        .bind(until.as_micros())
        .bind(i64::from(limit))
        .fetch_all(&self.readers)
        .await
        .map_err(Error::query("list untagged images"))?;
        rows.iter()
            .map(|row| Row::new(row, "an image").parse("id"))
            .collect()
    }
}

fn read_whole(row: &SqliteRow) -> Result<NewImage, Error> {
    let row = Row::new(row, "an image");
    let kind: i64 = row.get("kind")?;
    Ok(NewImage {
        id: row.parse("id")?,
        project: row.parse("project")?,
        layer: row.parse("layer")?,
        env: row.json("env")?,
        cwd: row.get("cwd")?,
        parent: row.parse_opt("parent")?,
        operation: row.parse_opt("operation")?,
        kind: [ImageKind::Run, ImageKind::Import]
            .into_iter()
            .find(|known| known.stored() == kind)
            .ok_or_else(|| row.damaged("kind", &kind))?,
        digest: row.get("digest")?,
        size: row.count("size")?,
        created_at: row.moment("created_at")?,
    })
}

fn read_ground(row: &SqliteRow) -> Result<ImageGround, Error> {
    let row = Row::new(row, "an image");
    Ok(ImageGround {
        id: row.parse("id")?,
        layer: row.parse("layer")?,
        env: row.json("env")?,
        cwd: row.get("cwd")?,
    })
}
