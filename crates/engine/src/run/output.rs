//! A process's output, from its pipe to the log.

use contree_api::event::{Chunk, EventData, StreamName, Truncated};
use contree_api::stream;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::events::log::EventLog;

/// Bytes read at once, the most that one event holds. Events are meant to be small, and what a
/// sandbox costs in memory is mostly these two buffers.
const READ: usize = 16 * 1024;

/// Counts what of a stream is logged: the first `cap` bytes.
#[derive(Debug)]
pub(crate) struct Recorder {
    spid: u32,
    stream: StreamName,
    cap: u64,
    emitted: u64,
    dropped: u64,
}

impl Recorder {
    pub(crate) const fn new(spid: u32, stream: StreamName, cap: u64) -> Self {
        Self {
            spid,
            stream,
            cap,
            emitted: 0,
            dropped: 0,
        }
    }

    /// Logs what is within the cap.
    pub(crate) fn record(&mut self, log: &EventLog, bytes: &[u8]) {
        let room = usize::try_from(self.cap - self.emitted).unwrap_or(usize::MAX);
        let (kept, dropped) = bytes.split_at(bytes.len().min(room));
        self.dropped += dropped.len() as u64;
        if kept.is_empty() {
            return;
        }
        let (value, encoding) = stream::encode(kept);
        let chunk = Chunk {
            value,
            encoding,
            truncated: false,
        };
        let data = match self.stream {
            StreamName::Stdin => EventData::Stdin(chunk),
            StreamName::Stdout => EventData::Stdout(chunk),
            StreamName::Stderr => EventData::Stderr(chunk),
        };
        if log.append(self.spid, data) {
            self.emitted += kept.len() as u64;
        } else {
            self.dropped += kept.len() as u64;
        }
    }

    /// The stream has ended: says so when bytes were left out.
    pub(crate) fn end(&self, log: &EventLog) {
        if self.dropped > 0 {
            let truncated = Truncated {
                stream: self.stream,
                bytes_emitted: self.emitted,
                bytes_dropped: self.dropped,
            };
            log.append(self.spid, EventData::Truncated(truncated));
        }
    }
}

/// Reads a stream to its end. What is over the cap is read and dropped, so that the process never
/// waits for a reader.
pub(crate) async fn pump(mut pipe: impl AsyncRead + Unpin, mut recorder: Recorder, log: &EventLog) {
    let mut buffer = vec![0; READ];
    loop {
        match pipe.read(&mut buffer).await {
            Ok(0) => break,
            Ok(count) => recorder.record(log, &buffer[..count]),
            Err(error) => {
                tracing::warn!(%error, "a process's output could not be read to its end");
                break;
            }
        }
    }
    recorder.end(log);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::fold::Folded;

    #[tokio::test]
    async fn the_first_bytes_are_kept() {
        for (cap, kept) in [(0, ""), (3, "abc"), (6, "abcdef"), (7, "abcdef")] {
            let folder = tempfile::tempdir().unwrap();
            let log = EventLog::new(folder.path().join("log"), u64::MAX);
            log.open().unwrap();
            let pipe = chunked_pipe(&[b"ab", b"cd", b"ef"]);
            pump(pipe, Recorder::new(1, StreamName::Stdout, cap), &log).await;
            let size = log.watch().borrow().size;
            let folded = Folded::read(log.path(), size, 1).unwrap();
            assert_eq!(folded.stdout().value, kept);
            assert_eq!(folded.stdout().truncated, cap < 6);
        }
    }

    /// A pipe that gives these chunks, one read each.
    fn chunked_pipe(chunks: &[&'static [u8]]) -> impl AsyncRead + Unpin {
        let chunks: Vec<_> = chunks
            .iter()
            .map(|chunk| Ok::<_, std::io::Error>(*chunk))
            .collect();
        tokio_util::io::StreamReader::new(futures_util::stream::iter(chunks))
    }
}
