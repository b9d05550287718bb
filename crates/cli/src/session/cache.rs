//! What is remembered about things that never change, by an id and a kind.
//!
//! Values are JSON: `json:…` up to 1 KiB, longer ones `gzip:` and base64 of the compressed text.
//!
//! | id | kind | value |
//! | --- | --- | --- |
//! | operation | `operation` | the answer to `GET /operations/{id}` once it has ended |
//! | image | `preserved_env` | variables that runs left with the image |
//! | empty | `ops:SESSION` | runs that were not waited for |
//! | empty | `local_file:UUID` | an uploaded file, by the state of the local one |

use std::io::{Read as _, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Store;
use crate::failure::{Doing as _, Failure};

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
        let value: Option<String> =
            sqlx::query_scalar("SELECT value FROM image_cache WHERE image_uuid = $1 AND kind = $2")
                .bind(id)
                .bind(kind)
                .fetch_optional(&mut *self.connection)
                .await
                .doing(|| self.unreadable())?;
        Ok(value
            .and_then(|value| decode(&value))
            .and_then(|json| serde_json::from_str(&json).ok()))
    }

    /// Remembers.
    pub(crate) async fn remember(
        &mut self,
        id: &str,
        kind: &str,
        value: &impl Serialize,
    ) -> Result<(), Failure> {
        let value = encode(&serde_json::to_string(value).expect("cached types have string keys"));
        self.write(async |transaction| {
            sqlx::query(
                "INSERT OR REPLACE INTO image_cache (image_uuid, kind, value) VALUES ($1, $2, $3)",
            )
            .bind(id)
            .bind(kind)
            .bind(&value)
            .execute(&mut **transaction)
            .await
            .map(drop)
        })
        .await
    }

    /// Adds to the runs of the session that were not waited for.
    pub(crate) async fn add_pending_run(&mut self, run: PendingRun) -> Result<(), Failure> {
        let kind = format!("ops:{}", self.key);
        let mut runs: Vec<PendingRun> = self.recall("", &kind).await?.unwrap_or_default();
        runs.push(run);
        self.remember("", &kind, &runs).await
    }
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

fn decode(value: &str) -> Option<String> {
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
