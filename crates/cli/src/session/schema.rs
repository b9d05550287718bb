//! The tables. Shared with contree-cli: names, types and defaults are a contract, and nothing may
//! be added that the other program would trip over.

use sqlx::sqlite::SqliteConnection;

const TABLES: &str = "\
CREATE TABLE IF NOT EXISTS session_history (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    session_key    TEXT NOT NULL,
    image_uuid     TEXT NOT NULL,
    parent_id      INTEGER REFERENCES session_history(id),
    kind           TEXT NOT NULL DEFAULT '',
    title          TEXT NOT NULL DEFAULT '',
    operation_uuid TEXT NOT NULL DEFAULT '',
    created_at     TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%S','now'))
);
CREATE TABLE IF NOT EXISTS session_branches (
    session_key  TEXT NOT NULL,
    branch_name  TEXT NOT NULL,
    history_id   INTEGER NOT NULL REFERENCES session_history(id),
    PRIMARY KEY (session_key, branch_name)
);
CREATE TABLE IF NOT EXISTS session_state (
    session_key    TEXT PRIMARY KEY,
    active_branch  TEXT NOT NULL DEFAULT 'main',
    cwd            TEXT NOT NULL DEFAULT '',
    updated_at     TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%S','now'))
);
CREATE TABLE IF NOT EXISTS session_files (
    history_id    INTEGER NOT NULL REFERENCES session_history(id),
    instance_path TEXT NOT NULL,
    file_uuid     TEXT NOT NULL,
    uid           INTEGER NOT NULL DEFAULT 0,
    gid           INTEGER NOT NULL DEFAULT 0,
    mode          TEXT NOT NULL DEFAULT '0644',
    PRIMARY KEY (history_id, instance_path)
);
CREATE TABLE IF NOT EXISTS shell_history (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    session_key  TEXT NOT NULL,
    line         TEXT NOT NULL,
    created_at   TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%S','now'))
);
CREATE TABLE IF NOT EXISTS image_cache (
    image_uuid TEXT NOT NULL,
    kind       TEXT NOT NULL,
    value      TEXT NOT NULL,
    PRIMARY KEY (image_uuid, kind)
);
CREATE TABLE IF NOT EXISTS session_env (
    session_key TEXT NOT NULL,
    key         TEXT NOT NULL,
    value       TEXT NOT NULL,
    PRIMARY KEY (session_key, key)
);
CREATE INDEX IF NOT EXISTS ix_history_session ON session_history(session_key);
CREATE INDEX IF NOT EXISTS ix_history_parent ON session_history(parent_id);
CREATE INDEX IF NOT EXISTS ix_shell_history_session ON shell_history(session_key);
CREATE INDEX IF NOT EXISTS ix_image_cache_kind ON image_cache(kind);
";

/// Makes what is not there.
pub(super) async fn create(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    // The index made last is the sign that all is there; looking is cheaper than a write lock.
    let made: i64 =
        sqlx::query_scalar("SELECT count(*) FROM sqlite_master WHERE name = 'ix_image_cache_kind'")
            .fetch_one(&mut *connection)
            .await?;
    if made == 0 {
        sqlx::raw_sql(TABLES).execute(connection).await?;
    }
    Ok(())
}
