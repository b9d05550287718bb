//! Runs that were not waited for, and what becomes of them once they have ended.
//!
//! ```text
//! run -d         entry `run-detached` above the tip, on branch detached-OP; OP is pending
//! session wait   no result                  → OP is pending no more
//!                tip is where OP started    → entry `run` on the active branch
//!                anything else              → entry `run` on detached-OP
//! ```
//!
//! A tip that only changed the working directory since is still where it started. All of it is one
//! transaction with the end of pending, so that of two who wait only one settles a run.

use sqlx::sqlite::SqliteTransaction;

use super::cache::{PendingRun, pending_runs, set_pending_runs};
use super::history::{NewEntry, active_tip, set_tip, touch};
use super::{Kind, Store};
use crate::failure::Failure;

/// What a run left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left<'a> {
    /// Nothing to go on from.
    Nothing,
    /// The image of a command that succeeded.
    Result(&'a str),
    /// The image of one that did not, which is never gone on from by itself.
    Failed(&'a str),
}

/// Where the result of a run is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Settled {
    /// It is not one of the session's, or somebody else was faster: nothing changed.
    NotPending,
    /// There is none.
    Nothing,
    /// The active branch, of this name, went on to it.
    Advanced(String),
    /// On a branch of its own; the active one, named second, had gone on.
    Kept(String, String),
    /// On a branch of its own, because the command did not succeed.
    Aside(String),
}

impl Store {
    /// Ends the waiting for a run of the session.
    pub(crate) async fn settle(
        &mut self,
        operation: &str,
        left: Left<'_>,
    ) -> Result<Settled, Failure> {
        let key = self.key.clone();
        self.write(async |transaction| {
            let mut pending = pending_runs(transaction, &key).await?;
            let Some(at) = pending.iter().position(|run| run.op == operation) else {
                return Ok(Settled::NotPending);
            };
            let run = pending.remove(at);
            set_pending_runs(transaction, &key, &pending).await?;
            let (image, succeeded) = match left {
                Left::Result(image) => (image, true),
                Left::Failed(image) => (image, false),
                Left::Nothing => return Ok(Settled::Nothing),
            };
            if run.disposable {
                return Ok(Settled::Nothing);
            }
            let settled = record(transaction, &key, &run, image, succeeded).await?;
            touch(transaction, &key).await?;
            Ok(settled)
        })
        .await
    }
}

async fn record(
    transaction: &mut SqliteTransaction<'_>,
    key: &str,
    run: &PendingRun,
    image: &str,
    succeeded: bool,
) -> Result<Settled, sqlx::Error> {
    let tip = active_tip(transaction, key).await?;
    let started: Option<(i64, Option<i64>)> = sqlx::query_as(
        "SELECT id, parent_id FROM session_history \
         WHERE session_key = $1 AND operation_uuid = $2 AND kind = 'run-detached' \
         ORDER BY id LIMIT 1",
    )
    .bind(key)
    .bind(&run.op)
    .fetch_optional(&mut **transaction)
    .await?;
    let mut entry = NewEntry {
        key,
        image,
        parent: started.map(|(id, _)| id),
        kind: Kind::Run.name(),
        title: &run.title,
        operation: &run.op,
    };
    if succeeded
        && let (Some(tip), Some((_, Some(base)))) = (&tip, started)
        && is_at(transaction, tip.id, base).await?
    {
        entry.parent = Some(tip.id);
        let id = entry.add(transaction).await?;
        set_tip(transaction, key, &tip.branch, id).await?;
        return Ok(Settled::Advanced(tip.branch.clone()));
    }
    let branch = format!("detached-{}", run.op);
    let id = entry.add(transaction).await?;
    set_tip(transaction, key, &branch, id).await?;
    Ok(match tip {
        Some(tip) if succeeded => Settled::Kept(branch, tip.branch),
        _ => Settled::Aside(branch),
    })
}

/// Whether a tip is still at an entry, but for changes of the working directory.
async fn is_at(
    transaction: &mut SqliteTransaction<'_>,
    tip: i64,
    base: i64,
) -> Result<bool, sqlx::Error> {
    let mut id = tip;
    while id != base {
        let above: Option<i64> = sqlx::query_scalar::<_, Option<i64>>(
            "SELECT parent_id FROM session_history WHERE id = $1 AND kind = 'cd'",
        )
        .bind(id)
        .fetch_optional(&mut **transaction)
        .await?
        .flatten();
        match above {
            Some(parent) => id = parent,
            None => return Ok(false),
        }
    }
    Ok(true)
}
