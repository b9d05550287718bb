//! Branches: names for tips.

use super::history::touch;
use super::{Entry, Store, no_session};
use crate::failure::{Doing as _, Failure};

impl Store {
    /// The branch that runs advance, if the session has begun.
    pub(crate) async fn active_branch(&mut self) -> Result<Option<String>, Failure> {
        let key = self.key.clone();
        sqlx::query_scalar("SELECT active_branch FROM session_state WHERE session_key = $1")
            .bind(key)
            .fetch_optional(&mut *self.connection)
            .await
            .doing(|| self.unreadable())
    }

    /// All branches by name, and which one is active; none before the session has begun.
    pub(crate) async fn branches(&mut self) -> Result<Vec<(String, bool)>, Failure> {
        let Some(active) = self.active_branch().await? else {
            return Ok(Vec::new());
        };
        let key = self.key.clone();
        let names: Vec<String> = sqlx::query_scalar(
            "SELECT branch_name FROM session_branches WHERE session_key = $1 ORDER BY branch_name",
        )
        .bind(key)
        .fetch_all(&mut *self.connection)
        .await
        .doing(|| self.unreadable())?;
        Ok(names
            .into_iter()
            .map(|name| {
                let is_active = name == active;
                (name, is_active)
            })
            .collect())
    }

    /// A new branch at the tip of another one (else the active one). It does not become active.
    pub(crate) async fn create_branch(
        &mut self,
        name: &str,
        from: Option<&str>,
    ) -> Result<Entry, Failure> {
        let source = match from {
            Some(source) => source.to_owned(),
            None => self.active_branch().await?.ok_or_else(no_session)?,
        };
        let tip = self.tip(&source).await?;
        let key = self.key.clone();
        let added = self
            .write(async |transaction| {
                sqlx::query(
                    "INSERT INTO session_branches (session_key, branch_name, history_id) \
                     VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                )
                .bind(&key)
                .bind(name)
                .bind(tip.id)
                .execute(&mut **transaction)
                .await
            })
            .await?;
        if added.rows_affected() == 0 {
            return Err(Failure::new(format!("Branch '{name}' already exists"))
                .next(format!("contree session checkout {name}")));
        }
        Ok(tip)
    }

    /// Makes a branch the active one.
    pub(crate) async fn checkout(&mut self, name: &str) -> Result<Entry, Failure> {
        self.active_branch().await?.ok_or_else(no_session)?;
        let tip = self
            .tip(name)
            .await
            .map_err(|failure| failure.next(format!("contree session branch {name}")))?;
        let key = self.key.clone();
        self.write(async |transaction| {
            sqlx::query("UPDATE session_state SET active_branch = $1 WHERE session_key = $2")
                .bind(name)
                .bind(&key)
                .execute(&mut **transaction)
                .await?;
            touch(transaction, &key).await
        })
        .await?;
        Ok(tip)
    }

    /// Forgets a branch; its entries stay.
    pub(crate) async fn delete_branch(&mut self, name: &str) -> Result<(), Failure> {
        let active = self.active_branch().await?.ok_or_else(no_session)?;
        if active == name {
            return Err(Failure::new("Cannot delete the active branch")
                .next("contree session checkout OTHER"));
        }
        self.tip(name).await?;
        self.delete_branches(&[name.to_owned()]).await
    }

    /// Forgets the branches of runs that were not waited for or thrown away; their names.
    pub(crate) async fn prune_branches(&mut self) -> Result<Vec<String>, Failure> {
        let is_side = |name: &str| name.starts_with("detached-") || name.starts_with("disposable-");
        let names: Vec<String> = self
            .branches()
            .await?
            .into_iter()
            .filter(|(name, is_active)| !is_active && is_side(name))
            .map(|(name, _)| name)
            .collect();
        if !names.is_empty() {
            self.delete_branches(&names).await?;
        }
        Ok(names)
    }

    async fn delete_branches(&mut self, names: &[String]) -> Result<(), Failure> {
        let key = self.key.clone();
        self.write(async |transaction| {
            for name in names {
                sqlx::query(
                    "DELETE FROM session_branches WHERE session_key = $1 AND branch_name = $2",
                )
                .bind(&key)
                .bind(name)
                .execute(&mut **transaction)
                .await?;
            }
            touch(transaction, &key).await
        })
        .await
    }
}
