//! What came of a process.

use std::borrow::Cow;
use std::str::Utf8Error;
use std::time::Duration;

use bytes::Bytes;
use contree_api::instance::{InstanceResult, Resources};
use contree_api::operation::{OperationMetadata, OperationResponse, OperationStatus};
use contree_api::{OperationId, StreamRepr};

use crate::{Contree, Error, Image};

/// How a process ended, and what it left behind.
///
/// A command that fails is no [`Error`]: look at [`Outcome::success`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Outcome<C = Contree> {
    /// The operation in which it ran.
    pub operation: OperationId,
    /// What the run left behind: the image with its changes, or the one that it started from when
    /// it changed nothing. None for disposable runs and for further processes of a run.
    pub image: Option<Image<C>>,
    /// What it wrote to its output.
    pub stdout: Captured,
    /// What it wrote to its error output.
    pub stderr: Captured,
    /// 0 to 255; none when a signal ended it.
    pub exit_code: Option<i32>,
    /// The number of the signal that ended it; none when it ended by itself.
    pub signal: Option<i32>,
    /// Whether its timeout ended it.
    pub timed_out: bool,
    /// What it used.
    pub resources: Resources,
}

impl<C> Outcome<C> {
    /// Whether it ended by itself with exit code 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.exit_code == Some(0)
    }

    /// How long it ran.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        Duration::try_from_secs_f64(self.resources.elapsed_time).unwrap_or_default()
    }

    /// The same with its image on another kind of connection.
    pub(crate) fn on<D>(self, contree: D) -> Outcome<D> {
        Outcome {
            operation: self.operation,
            image: self.image.map(|image| image.on(contree)),
            stdout: self.stdout,
            stderr: self.stderr,
            exit_code: self.exit_code,
            signal: self.signal,
            timed_out: self.timed_out,
            resources: self.resources,
        }
    }
}

impl Outcome {
    /// Of a run that has ended.
    pub(crate) fn of_run(contree: &Contree, answer: OperationResponse) -> Result<Self, Error> {
        let operation = answer.summary.uuid;
        ended_well(&answer)?;
        let OperationMetadata::Instance(metadata) = answer.metadata else {
            return Err(Error::NotARun { operation });
        };
        let Some(result) = metadata.result else {
            return Err(Error::Answer {
                request: format!("GET /v1/operations/{operation}"),
                reason: "a run that has ended has no result".to_owned(),
            });
        };
        let mut outcome = Self::of_process(operation, &result)?;
        outcome.image = answer
            .summary
            .result_image_uuid
            .map(|id| Image::new(contree.clone(), id));
        Ok(outcome)
    }

    /// Of a process that has ended.
    pub(crate) fn of_process(
        operation: OperationId,
        result: &InstanceResult,
    ) -> Result<Self, Error> {
        let killed = result.state.signal > 0;
        Ok(Self {
            operation,
            image: None,
            stdout: Captured::decode(operation, &result.stdout)?,
            stderr: Captured::decode(operation, &result.stderr)?,
            exit_code: (!killed && result.state.exit_code >= 0).then_some(result.state.exit_code),
            signal: killed.then_some(result.state.signal),
            timed_out: result.state.timed_out,
            resources: result.resources,
        })
    }
}

/// An error when the operation failed or was cancelled.
pub(crate) fn ended_well(answer: &OperationResponse) -> Result<(), Error> {
    let operation = answer.summary.uuid;
    match answer.summary.status {
        OperationStatus::Cancelled => Err(Error::Cancelled { operation }),
        OperationStatus::Failed => Err(Error::Failed {
            operation,
            reason: answer
                .summary
                .error
                .clone()
                .unwrap_or_else(|| "the server does not say why".to_owned()),
        }),
        _ => Ok(()),
    }
}

/// What a process wrote to one stream, up to the run's
/// [`truncate_output_at`](crate::RunBuilder::truncate_output_at).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Captured {
    /// Exactly what it wrote.
    pub bytes: Bytes,
    /// Whether it wrote more, which was dropped.
    pub truncated: bool,
}

impl Captured {
    fn decode(operation: OperationId, stream: &StreamRepr) -> Result<Self, Error> {
        let bytes = stream.to_bytes().map_err(|error| Error::Answer {
            request: format!("GET /v1/operations/{operation}"),
            reason: error.to_string(),
        })?;
        Ok(Self {
            bytes: bytes.into(),
            truncated: stream.truncated,
        })
    }

    /// As text, which always works: a character that the truncation cut is left out, and other
    /// bytes that are no UTF-8 are shown as U+FFFD.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        let cut = if self.truncated {
            incomplete(&self.bytes)
        } else {
            0
        };
        String::from_utf8_lossy(&self.bytes[..self.bytes.len() - cut])
    }

    /// As text, exactly.
    ///
    /// # Errors
    /// When it is not UTF-8 from its first byte to its last.
    pub fn utf8(&self) -> Result<&str, Utf8Error> {
        std::str::from_utf8(&self.bytes)
    }
}

/// How many bytes at the end are the beginning of a character: 0 to 3.
pub(crate) fn incomplete(bytes: &[u8]) -> usize {
    // No valid character before it matters: the last three bytes tell.
    let last = bytes.len().saturating_sub(3);
    let start = (last..bytes.len()).find(|at| {
        std::str::from_utf8(&bytes[*at..])
            .is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
    });
    start.map_or(0, |start| bytes.len() - start)
}

impl AsRef<[u8]> for Captured {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(bytes: &'static [u8], truncated: bool) -> Captured {
        Captured {
            bytes: Bytes::from_static(bytes),
            truncated,
        }
    }

    #[test]
    fn text_never_fails() {
        assert_eq!(captured(b"caf\xc3\xa9", false).text(), "café");
        assert_eq!(captured(b"caf\xc3", true).text(), "caf");
        assert_eq!(captured(b"caf\xc3", false).text(), "caf\u{fffd}");
        assert_eq!(captured(b"a\xffb\xc3", true).text(), "a\u{fffd}b");
        assert_eq!(captured(b"\xf0\x9f\xa6", true).text(), "");
        assert_eq!(captured("🦀".as_bytes(), true).text(), "🦀");
        assert_eq!(captured(b"", true).text(), "");
        assert!(captured(b"caf\xc3", true).utf8().is_err());
    }
}
