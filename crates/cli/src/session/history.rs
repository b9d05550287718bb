//! Entries, and moving along them.

use std::collections::{BTreeMap, HashSet};

use sqlx::FromRow;
use sqlx::sqlite::SqliteTransaction;

use super::{Kind, NOW, Store, no_session};
use crate::failure::{Doing as _, Failure};
use crate::path::normalized;

/// One step of a session.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub(crate) struct Entry {
    pub(crate) id: i64,
    pub(crate) image_uuid: String,
    pub(crate) parent_id: Option<i64>,
    pub(crate) kind: String,
    pub(crate) title: String,
    pub(crate) operation_uuid: String,
    pub(crate) created_at: String,
}

const ENTRY: &str = "SELECT id, image_uuid, parent_id, kind, title, operation_uuid, created_at FROM session_history ";

/// A file that an entry staged for the next run.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub(crate) struct PendingFile {
    pub(crate) instance_path: String,
    pub(crate) file_uuid: String,
    pub(crate) uid: i64,
    pub(crate) gid: i64,
    pub(crate) mode: String,
}

/// Where to, in a session's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// The tip.
    Tip,
    /// The entry of this id.
    Id(i64),
    /// So many steps towards the first.
    Back(u32),
    /// So many steps towards the newest, along the newest child at each fork.
    Forward(u32),
}

/// A text that is no target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected the id of an entry (N), steps back (-N) or steps forward (+N), N from 1")]
pub(crate) struct InvalidTarget;

impl std::str::FromStr for Target {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        let (sign, digits) = match text.as_bytes().first() {
            Some(b'-') => ('-', &text[1..]),
            Some(b'+') => ('+', &text[1..]),
            _ => (' ', text),
        };
        let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        if !is_number {
            return Err(InvalidTarget);
        }
        let id: i64 = digits.parse().map_err(|_| InvalidTarget)?;
        let steps = u32::try_from(id).map_err(|_| InvalidTarget);
        match (id, sign) {
            (0, _) => Err(InvalidTarget),
            (_, '-') => steps.map(Self::Back),
            (_, '+') => steps.map(Self::Forward),
            _ => Ok(Self::Id(id)),
        }
    }
}

impl Store {
    /// Adds an entry at the tip of the active branch, beginning the session if need be.
    pub(crate) async fn advance(
        &mut self,
        image: &str,
        kind: Kind,
        title: &str,
        operation: &str,
    ) -> Result<i64, Failure> {
        let key = self.key.clone();
        self.write(async |transaction| {
            append(transaction, &key, Some(image), kind, title, operation).await
        })
        .await?
        .ok_or_else(no_session)
    }

    /// Changes the working directory. The image stays what it is at that moment, also when somebody
    /// else has moved the session on since the directory was looked at.
    pub(crate) async fn change_directory(&mut self, path: &str) -> Result<(), Failure> {
        let key = self.key.clone();
        let added = self
            .write(async |transaction| append(transaction, &key, None, Kind::Cd, path, "").await)
            .await?;
        added.map(drop).ok_or_else(no_session)
    }

    /// Puts an uploaded file into the next run: a step of its own, taken back like any other. It
    /// will be root's, with mode 0644.
    pub(crate) async fn stage_file(
        &mut self,
        title: &str,
        path: &str,
        file: &str,
    ) -> Result<(), Failure> {
        let key = self.key.clone();
        let added = self
            .write(async |transaction| {
                let Some(id) = append(transaction, &key, None, Kind::File, title, "").await? else {
                    return Ok(None);
                };
                sqlx::query(
                    "INSERT INTO session_files \
                 (history_id, instance_path, file_uuid, uid, gid, mode) \
                 VALUES ($1, $2, $3, 0, 0, '0644')",
                )
                .bind(id)
                .bind(path)
                .bind(file)
                .execute(&mut **transaction)
                .await?;
                Ok(Some(id))
            })
            .await?;
        added.map(drop).ok_or_else(no_session)
    }

    /// Adds an entry beside the active branch, under a branch of its own: a run that is not
    /// waited for, or whose changes are thrown away.
    pub(crate) async fn branch_off(
        &mut self,
        branch: &str,
        kind: &str,
        title: &str,
        operation: &str,
    ) -> Result<(), Failure> {
        let key = self.key.clone();
        let added = self
            .write(async |transaction| {
                let Some(tip) = active_tip(transaction, &key).await? else {
                    return Ok(None);
                };
                let entry = NewEntry {
                    key: &key,
                    image: &tip.image,
                    parent: Some(tip.id),
                    kind,
                    title,
                    operation,
                };
                let id = entry.add(transaction).await?;
                set_tip(transaction, &key, branch, id).await?;
                Ok(Some(id))
            })
            .await?;
        added.map(drop).ok_or_else(no_session)
    }

    /// The entry at a target. Nothing moves.
    pub(crate) async fn entry(&mut self, target: Target) -> Result<Entry, Failure> {
        let key = self.key.clone();
        if let Target::Id(id) = target {
            let sql = format!("{ENTRY} WHERE id = $1 AND session_key = $2");
            let found = sqlx::query_as(sqlx::AssertSqlSafe(sql))
                .bind(id)
                .bind(key)
                .fetch_optional(&mut *self.connection)
                .await
                .doing(|| self.unreadable())?;
            return found.ok_or_else(|| {
                Failure::new(format!("History entry {id} not found in this session"))
                    .next("contree session show")
            });
        }
        let active = self.active_branch().await?.ok_or_else(no_session)?;
        let tip = self.tip(&active).await?;
        match target {
            Target::Tip | Target::Id(_) => Ok(tip),
            Target::Back(steps) => {
                let mut chain = self.ancestors(tip.id, i64::from(steps)).await?;
                let available = chain.len() - 1;
                match chain.pop() {
                    Some(entry) if available == steps as usize => Ok(entry),
                    _ => Err(Failure::new(format!(
                        "Cannot go back {steps} steps: only {available} ancestors available"
                    ))
                    .next("contree session show")),
                }
            }
            Target::Forward(steps) => {
                let mut entry = tip;
                for step in 0..steps {
                    entry = self.newest_child(entry.id).await?.ok_or_else(|| {
                        Failure::new(format!(
                            "Cannot go forward {steps} steps: only {step} children available"
                        ))
                        .next("contree session show")
                    })?;
                }
                Ok(entry)
            }
        }
    }

    /// Moves the tip of the active branch.
    pub(crate) async fn roll(&mut self, target: Target) -> Result<Entry, Failure> {
        let entry = self.entry(target).await?;
        let branch = self.active_branch().await?.ok_or_else(no_session)?;
        let key = self.key.clone();
        self.write(async |transaction| {
            set_tip(transaction, &key, &branch, entry.id).await?;
            touch(transaction, &key).await
        })
        .await?;
        Ok(entry)
    }

    /// The tip of a branch.
    pub(crate) async fn tip(&mut self, branch: &str) -> Result<Entry, Failure> {
        let key = self.key.clone();
        let sql = format!(
            "{ENTRY} WHERE id = (SELECT history_id FROM session_branches \
             WHERE session_key = $1 AND branch_name = $2)"
        );
        let found = sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(key)
            .bind(branch)
            .fetch_optional(&mut *self.connection)
            .await
            .doing(|| self.unreadable())?;
        found.ok_or_else(|| {
            Failure::new(format!("Branch '{branch}' does not exist")).next("contree session branch")
        })
    }

    /// An entry and those above it, at most `steps` of them.
    async fn ancestors(&mut self, id: i64, steps: i64) -> Result<Vec<Entry>, Failure> {
        sqlx::query_as(
            "WITH RECURSIVE chain AS ( \
               SELECT h.*, 0 AS step FROM session_history h WHERE h.id = $1 \
               UNION ALL \
               SELECT h.*, chain.step + 1 FROM session_history h \
               JOIN chain ON h.id = chain.parent_id WHERE chain.step < $2) \
             SELECT id, image_uuid, parent_id, kind, title, operation_uuid, created_at \
             FROM chain ORDER BY step",
        )
        .bind(id)
        .bind(steps)
        .fetch_all(&mut *self.connection)
        .await
        .doing(|| self.unreadable())
    }

    async fn newest_child(&mut self, id: i64) -> Result<Option<Entry>, Failure> {
        let key = self.key.clone();
        let sql =
            format!("{ENTRY} WHERE parent_id = $1 AND session_key = $2 ORDER BY id DESC LIMIT 1");
        sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(id)
            .bind(key)
            .fetch_optional(&mut *self.connection)
            .await
            .doing(|| self.unreadable())
    }

    /// All entries of a session by id, and the branches whose tips they are.
    pub(crate) async fn history(
        &mut self,
        key: &str,
    ) -> Result<(Vec<Entry>, BTreeMap<i64, Vec<String>>), Failure> {
        let sql = format!("{ENTRY} WHERE session_key = $1 ORDER BY id");
        let entries = sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(key)
            .fetch_all(&mut *self.connection)
            .await
            .doing(|| self.unreadable())?;
        let tips: Vec<(i64, String)> = sqlx::query_as(
            "SELECT history_id, branch_name FROM session_branches WHERE session_key = $1 \
             ORDER BY branch_name",
        )
        .bind(key)
        .fetch_all(&mut *self.connection)
        .await
        .doing(|| self.unreadable())?;
        let mut branches: BTreeMap<i64, Vec<String>> = BTreeMap::new();
        for (id, name) in tips {
            branches.entry(id).or_default().push(name);
        }
        Ok((entries, branches))
    }

    /// The working directory: the title of the nearest `cd` at or above the tip.
    pub(crate) async fn cwd(&mut self) -> Result<Option<String>, Failure> {
        let chain = self.chain().await?;
        Ok(chain
            .into_iter()
            .find(|entry| entry.kind == "cd")
            .map(|entry| entry.title))
    }

    /// A path inside the image as the session sees it: relative ones start at its working
    /// directory, and `.` and `..` are resolved by name.
    pub(crate) async fn resolve_path(&mut self, path: Option<&str>) -> Result<String, Failure> {
        let path = path.unwrap_or_default();
        if path.starts_with('/') {
            return Ok(normalized(path));
        }
        let cwd = self.cwd().await?.unwrap_or_else(|| "/".to_owned());
        Ok(normalized(&format!("{cwd}/{path}")))
    }

    /// Files staged since the last run, the newest for each path.
    pub(crate) async fn pending_files(&mut self) -> Result<Vec<PendingFile>, Failure> {
        let mut files = Vec::new();
        let mut paths = HashSet::new();
        for entry in self
            .chain()
            .await?
            .into_iter()
            .take_while(|entry| entry.kind != "run")
        {
            if entry.kind != "file" {
                continue;
            }
            let staged: Vec<PendingFile> = sqlx::query_as(
                "SELECT instance_path, file_uuid, uid, gid, mode FROM session_files \
                 WHERE history_id = $1 ORDER BY instance_path",
            )
            .bind(entry.id)
            .fetch_all(&mut *self.connection)
            .await
            .doing(|| self.unreadable())?;
            files.extend(
                staged
                    .into_iter()
                    .filter(|f| paths.insert(f.instance_path.clone())),
            );
        }
        Ok(files)
    }

    /// How many steps lead to the tip, the first one included.
    pub(crate) async fn depth(&mut self) -> Result<usize, Failure> {
        Ok(self.chain().await?.len())
    }

    /// The tip and all above it; empty without a session.
    async fn chain(&mut self) -> Result<Vec<Entry>, Failure> {
        let Some(branch) = self.active_branch().await? else {
            return Ok(Vec::new());
        };
        let tip = self.tip(&branch).await?;
        self.ancestors(tip.id, i64::MAX).await
    }
}

/// Where the active branch of a session stands.
#[derive(Debug, FromRow)]
pub(super) struct Tip {
    pub(super) id: i64,
    pub(super) branch: String,
    pub(super) image: String,
}

/// The tip of the active branch, if the session has begun.
pub(super) async fn active_tip(
    transaction: &mut SqliteTransaction<'_>,
    key: &str,
) -> Result<Option<Tip>, sqlx::Error> {
    sqlx::query_as(
        "SELECT h.id, s.active_branch AS branch, h.image_uuid AS image FROM session_state s \
         JOIN session_branches b \
         ON b.session_key = s.session_key AND b.branch_name = s.active_branch \
         JOIN session_history h ON h.id = b.history_id \
         WHERE s.session_key = $1",
    )
    .bind(key)
    .fetch_optional(&mut **transaction)
    .await
}

/// Adds an entry at the tip of the active branch and moves the tip. With an image it begins the
/// session if need be; without one the image stays that of the tip, and there must be a tip.
async fn append(
    transaction: &mut SqliteTransaction<'_>,
    key: &str,
    image: Option<&str>,
    kind: Kind,
    title: &str,
    operation: &str,
) -> Result<Option<i64>, sqlx::Error> {
    let tip = active_tip(transaction, key).await?;
    let Some(image) = image.or(tip.as_ref().map(|tip| tip.image.as_str())) else {
        return Ok(None);
    };
    let branch = tip.as_ref().map_or("main", |tip| tip.branch.as_str());
    let entry = NewEntry {
        key,
        image,
        parent: tip.as_ref().map(|tip| tip.id),
        kind: kind.name(),
        title,
        operation,
    };
    let id = entry.add(transaction).await?;
    set_tip(transaction, key, branch, id).await?;
    touch(transaction, key).await?;
    Ok(Some(id))
}

/// An entry that is not in the file yet.
pub(super) struct NewEntry<'a> {
    pub(super) key: &'a str,
    pub(super) image: &'a str,
    pub(super) parent: Option<i64>,
    pub(super) kind: &'a str,
    pub(super) title: &'a str,
    pub(super) operation: &'a str,
}

impl NewEntry<'_> {
    pub(super) async fn add(
        &self,
        transaction: &mut SqliteTransaction<'_>,
    ) -> Result<i64, sqlx::Error> {
        sqlx::query_scalar(
            "INSERT INTO session_history \
             (session_key, image_uuid, parent_id, kind, title, operation_uuid) \
             VALUES ($1, $2, $3, $4, $5, $6) RETURNING id",
        )
        .bind(self.key)
        .bind(self.image)
        .bind(self.parent)
        .bind(self.kind)
        .bind(self.title)
        .bind(self.operation)
        .fetch_one(&mut **transaction)
        .await
    }
}

/// Gives a branch its tip, making the branch when it is new.
pub(super) async fn set_tip(
    transaction: &mut SqliteTransaction<'_>,
    key: &str,
    branch: &str,
    id: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO session_branches (session_key, branch_name, history_id) VALUES ($1, $2, $3) \
         ON CONFLICT (session_key, branch_name) DO UPDATE SET history_id = excluded.history_id",
    )
    .bind(key)
    .bind(branch)
    .bind(id)
    .execute(&mut **transaction)
    .await
    .map(drop)
}

/// Notes that a session changed, beginning it on branch `main` when it is new.
pub(super) async fn touch(
    transaction: &mut SqliteTransaction<'_>,
    key: &str,
) -> Result<(), sqlx::Error> {
    let sql = format!(
        "INSERT INTO session_state (session_key, active_branch, updated_at) \
         VALUES ($1, 'main', {NOW}) \
         ON CONFLICT (session_key) DO UPDATE SET updated_at = {NOW}"
    );
    sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(key)
        .execute(&mut **transaction)
        .await
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets() {
        let target = |text: &str| text.parse::<Target>();
        assert_eq!(target("7"), Ok(Target::Id(7)));
        assert_eq!(target("-2"), Ok(Target::Back(2)));
        assert_eq!(target("+1"), Ok(Target::Forward(1)));
        for bad in [
            "",
            "0",
            "-0",
            "+",
            "-",
            "x",
            "--1",
            "1.5",
            "99999999999999999999",
        ] {
            assert_eq!(target(bad), Err(InvalidTarget), "{bad}");
        }
    }

    /// Between the look at a directory and the step into it somebody else may have moved on.
    #[tokio::test]
    async fn a_directory_is_changed_where_the_session_stands() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sessions.db");
        let open = || Store::open(&path, "work".to_owned());
        let (mut one, mut other) = (open().await.unwrap(), open().await.unwrap());
        assert!(one.change_directory("/srv").await.is_err());
        one.advance("first", Kind::Use, "first", "").await.unwrap();
        other
            .advance("second", Kind::Run, "make", "")
            .await
            .unwrap();
        one.change_directory("/srv").await.unwrap();
        one.stage_file("Change file /a", "/a", "file")
            .await
            .unwrap();
        let session = other.active().await.unwrap();
        assert_eq!(session.current_image, "second");
        assert_eq!(session.last_kind, "file");
        assert_eq!(other.cwd().await.unwrap().as_deref(), Some("/srv"));
        assert_eq!(other.pending_files().await.unwrap().len(), 1);
    }
}
