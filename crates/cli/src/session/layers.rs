//! Layers of builds: branches of a session that belongs to a build, one for every step that was
//! carried out, each named after what it came of. They are history like any other, so the other
//! program finds them, and `contree session show` shows how an image came about.

use super::history::{NewEntry, set_tip};
use super::{Kind, NOW, Store};
use crate::failure::{Doing as _, Failure};

/// An image that a step of a build made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewLayer<'a> {
    /// The branch that stands for it.
    pub(crate) branch: &'a str,
    /// The branch of the layer that it was made from.
    pub(crate) above: Option<&'a str>,
    pub(crate) image: &'a str,
    pub(crate) kind: Kind,
    pub(crate) title: &'a str,
    pub(crate) operation: &'a str,
}

impl Store {
    /// The same file once more.
    pub(crate) async fn another(&self) -> Result<Self, Failure> {
        Self::open(&self.path, self.key.clone()).await
    }

    /// The image of a layer, when the step was carried out before.
    pub(crate) async fn layer(&mut self, branch: &str) -> Result<Option<String>, Failure> {
        let key = self.key.clone();
        sqlx::query_scalar(
            "SELECT h.image_uuid FROM session_branches b \
             JOIN session_history h ON h.id = b.history_id \
             WHERE b.session_key = $1 AND b.branch_name = $2",
        )
        .bind(key)
        .bind(branch)
        .fetch_optional(&mut *self.connection)
        .await
        .doing(|| self.unreadable())
    }

    /// Adds a layer, or what is now known under its name, and makes its branch the active one.
    pub(crate) async fn add_layer(&mut self, layer: NewLayer<'_>) -> Result<(), Failure> {
        let key = self.key.clone();
        self.write(async |transaction| {
            let parent: Option<i64> = sqlx::query_scalar(
                "SELECT history_id FROM session_branches \
                 WHERE session_key = $1 AND branch_name = $2",
            )
            .bind(&key)
            .bind(layer.above)
            .fetch_optional(&mut **transaction)
            .await?;
            let entry = NewEntry {
                key: &key,
                image: layer.image,
                parent,
                kind: layer.kind.name(),
                title: layer.title,
                operation: layer.operation,
            };
            let id = entry.add(transaction).await?;
            set_tip(transaction, &key, layer.branch, id).await?;
            activate(transaction, &key, layer.branch).await
        })
        .await
    }

    /// Makes the branch of a layer the active one, when it is not.
    pub(crate) async fn activate_layer(&mut self, branch: &str) -> Result<(), Failure> {
        if self.active_branch().await?.as_deref() == Some(branch) {
            return Ok(());
        }
        let key = self.key.clone();
        self.write(async |transaction| activate(transaction, &key, branch).await)
            .await
    }
}

async fn activate(
    transaction: &mut sqlx::sqlite::SqliteTransaction<'_>,
    key: &str,
    branch: &str,
) -> Result<(), sqlx::Error> {
    let sql = format!(
        "INSERT INTO session_state (session_key, active_branch, updated_at) \
         VALUES ($1, $2, {NOW}) \
         ON CONFLICT (session_key) DO UPDATE SET active_branch = $2, updated_at = {NOW}"
    );
    sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(key)
        .bind(branch)
        .execute(&mut **transaction)
        .await
        .map(drop)
}
