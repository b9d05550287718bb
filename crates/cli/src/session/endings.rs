//! How runs ended, as the history shows it.
//!
//! A run that was watched to its end leaves a short note of it; of others what is remembered of
//! their operation is asked.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Store;
use super::cache::decode;
use crate::failure::{Doing as _, Failure};

/// Longer answers are not unpacked for one number: output is in them.
const LONGEST: i64 = 256 * 1024;

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ending {
    /// Of the operation: `SUCCESS`, `FAILED`, `CANCELLED`.
    pub(crate) status: String,
    /// Of the command; none when it never started.
    pub(crate) exit_code: Option<i64>,
    /// The signal that ended it, or 0.
    #[serde(default)]
    pub(crate) signal: i64,
    #[serde(default)]
    pub(crate) timed_out: bool,
}

impl Ending {
    /// What went wrong, in a word or two; nothing when all was well.
    pub(crate) fn failure(&self) -> Option<String> {
        match (self.status.as_str(), self.exit_code) {
            _ if self.timed_out => Some("timed out".to_owned()),
            ("SUCCESS", _) if self.signal > 0 => Some(format!("signal {}", self.signal)),
            ("SUCCESS", Some(0) | None) => None,
            ("SUCCESS", Some(code)) => Some(format!("exit {code}")),
            (status, _) => Some(status.to_lowercase()),
        }
    }

    /// From an answer to `GET /operations/{id}`, if that operation has ended.
    fn of_operation(operation: &Value) -> Option<Self> {
        let status = operation["status"].as_str()?;
        if !matches!(status, "SUCCESS" | "FAILED" | "CANCELLED") {
            return None;
        }
        let state = &operation["metadata"]["result"]["state"];
        Some(Self {
            status: status.to_owned(),
            exit_code: state["exit_code"].as_i64(),
            signal: state["signal"].as_i64().unwrap_or(0),
            timed_out: state["timed_out"].as_bool().unwrap_or(false),
        })
    }
}

impl Store {
    /// Notes how a run ended.
    pub(crate) async fn note_ending(
        &mut self,
        operation: &str,
        ending: &Ending,
    ) -> Result<(), Failure> {
        self.remember(operation, "ending", ending).await
    }

    /// How runs of a session ended, by operation, as far as it is known here.
    pub(crate) async fn endings(&mut self, key: &str) -> Result<BTreeMap<String, Ending>, Failure> {
        let rows: Vec<(String, String, String)> = sqlx::query_as(
            "SELECT c.image_uuid, c.kind, c.value FROM image_cache c \
             WHERE c.kind IN ('operation', 'ending') AND length(c.value) <= $2 \
             AND c.image_uuid IN \
             (SELECT operation_uuid FROM session_history WHERE session_key = $1) \
             ORDER BY c.kind DESC",
        )
        .bind(key)
        .bind(LONGEST)
        .fetch_all(&mut *self.connection)
        .await
        .doing(|| self.unreadable())?;
        // Notes come last, and win.
        Ok(rows
            .into_iter()
            .filter_map(|(operation, kind, value)| {
                let json = decode(&value)?;
                let ending = if kind == "ending" {
                    serde_json::from_str(&json).ok()
                } else {
                    Ending::of_operation(&serde_json::from_str(&json).ok()?)
                };
                Some((operation, ending?))
            })
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn endings_in_words() {
        let ending = |status: &str, exit_code, signal, timed_out| {
            let state = json!({"exit_code": exit_code, "signal": signal, "timed_out": timed_out});
            let operation = json!({"status": status, "metadata": {"result": {"state": state}}});
            Ending::of_operation(&operation)?.failure()
        };
        assert_eq!(ending("SUCCESS", 0, 0, false), None);
        assert_eq!(ending("SUCCESS", 2, 0, false).as_deref(), Some("exit 2"));
        assert_eq!(ending("SUCCESS", -1, 9, false).as_deref(), Some("signal 9"));
        assert_eq!(ending("SUCCESS", -1, 9, true).as_deref(), Some("timed out"));
        assert_eq!(
            ending("CANCELLED", 0, 0, false).as_deref(),
            Some("cancelled")
        );
        assert_eq!(Ending::of_operation(&json!({"status": "EXECUTING"})), None);
        let failed = Ending::of_operation(&json!({"status": "FAILED", "metadata": {}}));
        assert_eq!(failed.unwrap().failure().as_deref(), Some("failed"));
    }
}
