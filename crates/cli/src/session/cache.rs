//! What is remembered about things that never change, by an id and a kind.
//!
//! Values are JSON: `json:…` up to 1 KiB, longer ones `gzip:` and base64 of the compressed text.
//!
//! | id | kind | value |
//! | --- | --- | --- |
//! | operation | `operation` | the answer to `GET /operations/{id}` once it has ended |
//! | operation | `started` | the session that started it |
//! | operation | `ending` | how the run ended |
//! | image | `preserved_env` | variables that runs left with the image |
//! | empty | `ops:SESSION` | runs that were not waited for |
//! | empty | `local_file:UUID` | an uploaded file, by the state of the local one |

use std::collections::{HashMap, HashSet};
use std::io::{Read as _, Write as _};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use contree_api::FileId;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use jiff::SignedDuration;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteTransaction;

use super::Store;
use crate::failure::{Doing as _, Failure};
use crate::path::normalized;

const PLAIN_BYTES: usize = 1_024;
/// No value is larger: a bound on what a damaged file can make us unpack.
const MAX_BYTES: u64 = 256 * 1024 * 1024;

/// A run that was not waited for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PendingRun {
    pub(crate) op: String,
    #[serde(default)]
    pub(crate) title: String,
    #[serde(default)]
    pub(crate) disposable: bool,
    #[serde(default)]
    pub(crate) branch: String,
}

impl Store {
    /// What is remembered; nothing when it is not there or not readable any more.
    pub(crate) async fn recall<T: DeserializeOwned>(
        &mut self,
        id: &str,
        kind: &str,
    ) -> Result<Option<T>, Failure> {
        let json = self.recall_json(id, kind).await?;
        Ok(json.and_then(|json| serde_json::from_str(&json).ok()))
    }

    /// The same as JSON.
    pub(crate) async fn recall_json(
        &mut self,
        id: &str,
        kind: &str,
    ) -> Result<Option<String>, Failure> {
        let value: Option<String> =
            sqlx::query_scalar("SELECT value FROM image_cache WHERE image_uuid = $1 AND kind = $2")
                .bind(id)
                .bind(kind)
                .fetch_optional(&mut *self.connection)
                .await
                .doing(|| self.unreadable())?;
        Ok(value.and_then(|value| decode(&value)))
    }

    /// Remembers.
    pub(crate) async fn remember(
        &mut self,
        id: &str,
        kind: &str,
        value: &impl Serialize,
    ) -> Result<(), Failure> {
        let json = serde_json::to_string(value).expect("cached types have string keys");
        self.remember_json(id, kind, &json).await
    }

    /// Remembers what is JSON already.
    pub(crate) async fn remember_json(
        &mut self,
        id: &str,
        kind: &str,
        json: &str,
    ) -> Result<(), Failure> {
        self.write(async |transaction| put(transaction, id, kind, json).await)
            .await
    }

    /// Adds to the runs of the session that were not waited for.
    pub(crate) async fn add_pending_run(&mut self, run: PendingRun) -> Result<(), Failure> {
        let key = self.key.clone();
        self.write(async |transaction| {
            let mut runs = pending_runs(transaction, &key).await?;
            runs.push(run);
            set_pending_runs(transaction, &key, &runs).await
        })
        .await
    }

    /// The runs of the session that were not waited for, in the order they were started.
    pub(crate) async fn pending_runs(&mut self) -> Result<Vec<PendingRun>, Failure> {
        let kind = format!("ops:{}", self.key);
        Ok(self.recall("", &kind).await?.unwrap_or_default())
    }

    /// Where this machine's uploads came from, a path or a URL, by their ids.
    pub(crate) async fn upload_sources(&mut self) -> Result<HashMap<String, String>, Failure> {
        #[derive(Deserialize)]
        struct Upload {
            uuid: String,
            local_path: Option<String>,
            url: Option<String>,
        }
        let values: Vec<String> =
            sqlx::query_scalar("SELECT value FROM image_cache WHERE kind LIKE 'local_file:%'")
                .fetch_all(&mut *self.connection)
                .await
                .doing(|| self.unreadable())?;
        let uploads = values
            .iter()
            .filter_map(|value| serde_json::from_str::<Upload>(&decode(value)?).ok());
        Ok(uploads
            .filter_map(|upload| Some((upload.uuid, upload.local_path.or(upload.url)?)))
            .collect())
    }

    /// Notes that a local file was uploaded: for [`Store::uploaded`] and [`Store::upload_sources`],
    /// and for the other program, which does not upload it again while it stays as it is.
    pub(crate) async fn note_upload(&mut self, path: &Path, file: &str) -> Result<(), Failure> {
        let Some((kind, path)) = state_of(path) else {
            return Ok(());
        };
        let uploaded_at = jiff::Timestamp::now().as_second();
        let value = serde_json::json!({
            "uuid": file, "uploaded_at": uploaded_at, "local_path": path,
        });
        self.remember("", &kind, &value).await
    }

    /// What a local file, as it is now, was uploaded as, not longer ago than that.
    pub(crate) async fn uploaded(
        &mut self,
        path: &Path,
        age: SignedDuration,
    ) -> Result<Option<FileId>, Failure> {
        #[derive(Deserialize)]
        struct Upload {
            uuid: FileId,
            #[serde(default)]
            uploaded_at: f64,
        }
        let Some((kind, _)) = state_of(path) else {
            return Ok(None);
        };
        let upload: Option<Upload> = self.recall("", &kind).await?;
        let now = jiff::Timestamp::now().as_duration().as_secs_f64();
        Ok(upload
            .filter(|upload| now - upload.uploaded_at < age.as_secs_f64())
            .map(|upload| upload.uuid))
    }

    /// Notes that this machine started an operation, before it is part of any history.
    pub(crate) async fn note_started(&mut self, operation: &str) -> Result<(), Failure> {
        let session = self.key.clone();
        self.remember(operation, "started", &session).await
    }

    /// The operations that sessions of this profile started, as far as this machine knows.
    pub(crate) async fn started(&mut self) -> Result<HashSet<String>, Failure> {
        let ids: Vec<String> = sqlx::query_scalar(
            "SELECT operation_uuid FROM session_history WHERE operation_uuid <> '' \
             UNION SELECT image_uuid FROM image_cache WHERE kind = 'started'",
        )
        .fetch_all(&mut *self.connection)
        .await
        .doing(|| self.unreadable())?;
        Ok(ids.into_iter().collect())
    }
}

/// What is remembered of a file is by its path, its inode, when it changed, and its size; the kind
/// of that, and the path. None where files have no such identity.
#[cfg(unix)]
fn state_of(path: &Path) -> Option<(String, String)> {
    use std::os::unix::fs::MetadataExt as _;

    let metadata = std::fs::metadata(path).ok()?;
    let path = normalized(std::path::absolute(path).ok()?.to_str()?);
    let mtime = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
    let state = format!("{path}:{}:{mtime}:{}", metadata.ino(), metadata.len());
    let name = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_URL, state.as_bytes());
    Some((format!("local_file:{name}"), path))
}

#[cfg(not(unix))]
fn state_of(_: &Path) -> Option<(String, String)> {
    None
}

async fn put(
    transaction: &mut SqliteTransaction<'_>,
    id: &str,
    kind: &str,
    json: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT OR REPLACE INTO image_cache (image_uuid, kind, value) VALUES ($1, $2, $3)")
        .bind(id)
        .bind(kind)
        .bind(encode(json))
        .execute(&mut **transaction)
        .await
        .map(drop)
}

/// The list of a session, inside a change of it.
pub(super) async fn pending_runs(
    transaction: &mut SqliteTransaction<'_>,
    key: &str,
) -> Result<Vec<PendingRun>, sqlx::Error> {
    let value: Option<String> =
        sqlx::query_scalar("SELECT value FROM image_cache WHERE image_uuid = '' AND kind = $1")
            .bind(format!("ops:{key}"))
            .fetch_optional(&mut **transaction)
            .await?;
    Ok(value
        .and_then(|value| decode(&value))
        .and_then(|json| serde_json::from_str(&json).ok())
        .unwrap_or_default())
}

/// An empty list is no entry, as with the other program.
pub(super) async fn set_pending_runs(
    transaction: &mut SqliteTransaction<'_>,
    key: &str,
    runs: &[PendingRun],
) -> Result<(), sqlx::Error> {
    let kind = format!("ops:{key}");
    if runs.is_empty() {
        return sqlx::query("DELETE FROM image_cache WHERE image_uuid = '' AND kind = $1")
            .bind(kind)
            .execute(&mut **transaction)
            .await
            .map(drop);
    }
    let json = serde_json::to_string(runs).expect("cached types have string keys");
    put(transaction, "", &kind, &json).await
}

fn encode(json: &str) -> String {
    if json.len() <= PLAIN_BYTES {
        return format!("json:{json}");
    }
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    let packed = gzip.write_all(json.as_bytes()).and_then(|()| gzip.finish());
    format!(
        "gzip:{}",
        STANDARD.encode(packed.expect("memory can be written to"))
    )
}

pub(super) fn decode(value: &str) -> Option<String> {
    if let Some(json) = value.strip_prefix("json:") {
        return Some(json.to_owned());
    }
    let Some(packed) = value.strip_prefix("gzip:") else {
        return Some(value.to_owned());
    };
    let packed = STANDARD.decode(packed).ok()?;
    let mut json = String::new();
    MultiGzDecoder::new(&packed[..])
        .take(MAX_BYTES)
        .read_to_string(&mut json)
        .ok()?;
    Some(json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        let short = r#"{"a":1}"#;
        assert_eq!(encode(short), r#"json:{"a":1}"#);
        let long = format!("\"{}\"", "é".repeat(2_000));
        assert!(encode(&long).starts_with("gzip:H4sI"));
        for text in [short, &long] {
            assert_eq!(decode(&encode(text)).as_deref(), Some(text));
        }
        assert_eq!(decode("[1]").as_deref(), Some("[1]"));
        assert_eq!(decode("gzip:not base64"), None);
        assert_eq!(decode("gzip:AAAA"), None);
    }
}
