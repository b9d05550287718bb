//! The tree of layers, and the merged folders that keep chains short.
//!
//! A layer's folder is named by its id. Where `merged` is set, that one folder stands for the
//! layer and its ancestors down to, and without, `merged_base`; a chain that comes to this layer
//! takes the folder and goes on at the base. Which layers are merged when is the engine's
//! business.

use contree_api::{LayerId, Timestamp};
use sqlx::sqlite::SqliteConnection;

use crate::row::{Row, stored};
use crate::{Error, Records};

/// A layer to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLayer {
    /// Its id, the name of its folder.
    pub id: LayerId,
    /// What it was written on; none: the ground.
    pub parent: Option<LayerId>,
    /// Bytes it holds.
    pub bytes: u64,
    /// Files, folders, links and whiteouts in it.
    pub entries: u64,
    /// When it was committed.
    pub created_at: Timestamp,
}

/// A folder that stands for a layer and some of its ancestors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Merged {
    /// The folder.
    pub folder: LayerId,
    /// The first ancestor that is not part of it; none: it reaches the ground.
    pub base: Option<LayerId>,
    /// Bytes it holds (shared with the layers it was made of).
    pub bytes: u64,
    /// Entries in it.
    pub entries: u64,
}

/// One folder of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// The layer at its top.
    pub top: LayerId,
    /// The folder: the layer's own, or a merged one.
    pub folder: LayerId,
    /// Where the chain goes on; none: this is the ground.
    pub next: Option<LayerId>,
    /// Entries in it.
    pub entries: u64,
}

/// A layer's place in the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerNode {
    /// Its id.
    pub id: LayerId,
    /// Its parent.
    pub parent: Option<LayerId>,
    /// The merged folder that ends at it.
    pub merged: Option<LayerId>,
    /// The first ancestor below the merged folder.
    pub merged_base: Option<LayerId>,
}

pub(crate) async fn insert(db: &mut SqliteConnection, layer: &NewLayer) -> Result<u64, Error> {
    sqlx::query(
        "INSERT INTO layers (id, parent, depth, bytes, entries, created_at)
         VALUES ($1, $2, COALESCE((SELECT depth + 1 FROM layers WHERE id = $2), 0), $3, $4, $5)",
    )
    .bind(layer.id.to_string())
    .bind(layer.parent.map(|parent| parent.to_string()))
    .bind(stored(layer.bytes))
    .bind(stored(layer.entries))
    .bind(layer.created_at.as_micros())
    .execute(db)
    .await
    .map(|done| done.rows_affected())
    .map_err(Error::query("store a layer"))
}

pub(crate) async fn set_merged(
    db: &mut SqliteConnection,
    layer: LayerId,
    merged: Option<&Merged>,
) -> Result<u64, Error> {
    sqlx::query(
        "UPDATE layers SET merged = $2, merged_base = $3, merged_bytes = $4, merged_entries = $5
         WHERE id = $1",
    )
    .bind(layer.to_string())
    .bind(merged.map(|merged| merged.folder.to_string()))
    .bind(
        merged
            .and_then(|merged| merged.base)
            .map(|base| base.to_string()),
    )
    .bind(merged.map(|merged| stored(merged.bytes)))
    .bind(merged.map(|merged| stored(merged.entries)))
    .execute(db)
    .await
    .map(|done| done.rows_affected())
    .map_err(Error::query("store a merged folder"))
}

pub(crate) async fn remove(db: &mut SqliteConnection, layers: &[LayerId]) -> Result<u64, Error> {
    let mut removed = 0;
    for layer in layers {
        removed += sqlx::query("DELETE FROM layers WHERE id = $1")
            .bind(layer.to_string())
            .execute(&mut *db)
            .await
            .map_err(Error::query("remove a layer"))?
            .rows_affected();
    }
    Ok(removed)
}

impl Records {
    /// The folders under a layer, topmost first; empty when the layer is not known.
    ///
    /// # Errors
    /// [`Error::Query`] when the database fails.
    pub async fn chain(&self, layer: LayerId) -> Result<Vec<Segment>, Error> {
        let rows = sqlx::query(
            "WITH RECURSIVE walk (pos, top, folder, next, entries) AS (
                 SELECT 0, id, COALESCE(merged, id),
                        CASE WHEN merged IS NULL THEN parent ELSE merged_base END,
                        COALESCE(merged_entries, entries)
                 FROM layers WHERE id = $1
                 UNION ALL
                 SELECT walk.pos + 1, l.id, COALESCE(l.merged, l.id),
                        CASE WHEN l.merged IS NULL THEN l.parent ELSE l.merged_base END,
                        COALESCE(l.merged_entries, l.entries)
                 FROM walk JOIN layers l ON l.id = walk.next
             )
             SELECT top, folder, next, entries FROM walk ORDER BY pos",
        )
        .bind(layer.to_string())
        .fetch_all(&self.readers)
        .await
        .map_err(Error::query("read a chain of layers"))?;
        rows.iter()
            .map(|row| {
                let row = Row::new(row, "a layer");
                Ok(Segment {
                    top: row.parse("top")?,
                    folder: row.parse("folder")?,
                    next: row.parse_opt("next")?,
                    entries: row.count("entries")?,
                })
            })
            .collect()
    }

    /// Every layer's place in the tree.
    ///
    /// # Errors
    /// [`Error::Query`] when the database fails.
    pub async fn layer_nodes(&self) -> Result<Vec<LayerNode>, Error> {
        let rows = sqlx::query("SELECT id, parent, merged, merged_base FROM layers")
            .fetch_all(&self.readers)
            .await
            .map_err(Error::query("list the layers"))?;
        rows.iter()
            .map(|row| {
                let row = Row::new(row, "a layer");
                Ok(LayerNode {
                    id: row.parse("id")?,
                    parent: row.parse_opt("parent")?,
                    merged: row.parse_opt("merged")?,
                    merged_base: row.parse_opt("merged_base")?,
                })
            })
            .collect()
    }

    /// The layers that images stand on, each once.
    ///
    /// # Errors
    /// [`Error::Query`] when the database fails.
    pub async fn layers_of_images(&self) -> Result<Vec<LayerId>, Error> {
        let rows = sqlx::query("SELECT DISTINCT layer FROM images")
            .fetch_all(&self.readers)
            .await
            .map_err(Error::query("list the layers of images"))?;
        rows.iter()
            .map(|row| Row::new(row, "an image").parse("layer"))
            .collect()
    }
}
