//! A process's output, from its pipe to the log.

use contree_api::event::{Chunk, EventData, StreamName, Truncated};
use contree_api::stream;
use contree_sandbox::OutputPipe;
use rustix::io::Errno;
use tokio::io::AsyncReadExt as _;

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

/// Carries a stream to the log. What is over the cap is read and dropped, so that the process
/// never waits for a reader.
#[derive(Debug)]
pub(crate) struct Pump {
    pipe: OutputPipe,
    recorder: Recorder,
    buffer: Vec<u8>,
    ended: bool,
}

impl Pump {
    pub(crate) fn new(pipe: OutputPipe, recorder: Recorder) -> Self {
        Self {
            pipe,
            recorder,
            buffer: vec![0; READ],
            ended: false,
        }
    }

    /// To the end of the stream, which is when the last process that holds it has ended.
    pub(crate) async fn run(&mut self, log: &EventLog) {
        while !self.ended {
            let read = self.pipe.read(&mut self.buffer).await;
            self.take(read, log);
        }
    }

    /// Until the process has ended, and all that it had written by then is in the log. What it
    /// left running may go on to write.
    pub(crate) async fn run_until(
        &mut self,
        process_ended: impl Future<Output = ()>,
        log: &EventLog,
    ) {
        tokio::select! {
            () = self.run(log) => return,
            () = process_ended => {}
        }
        // Asked of the pipe itself: that there is something to read may not have got around yet.
        let mut left = rustix::io::ioctl_fionread(&self.pipe).unwrap_or(0);
        while left > 0 && !self.ended {
            let most = READ.min(usize::try_from(left).unwrap_or(READ));
            match rustix::io::read(&self.pipe, &mut self.buffer[..most]) {
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                read => {
                    left -= *read.as_ref().unwrap_or(&0) as u64;
                    self.take(read.map_err(std::io::Error::from), log);
                }
            }
        }
    }

    fn take(&mut self, read: std::io::Result<usize>, log: &EventLog) {
        match read {
            Ok(0) => self.ended = true,
            Ok(count) => self.recorder.record(log, &self.buffer[..count]),
            Err(error) => {
                tracing::warn!(%error, "a process's output could not be read to its end");
                self.ended = true;
            }
        }
        if self.ended {
            self.recorder.end(log);
            self.buffer = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;
    use crate::events::fold::Folded;

    fn log(folder: &tempfile::TempDir) -> EventLog {
        let log = EventLog::new(folder.path().join("log"), u64::MAX);
        log.open().unwrap();
        log
    }

    fn stdout(log: &EventLog) -> contree_api::StreamRepr {
        let size = log.watch().borrow().size;
        Folded::read(log.path(), size, 1).unwrap().stdout()
    }

    #[tokio::test]
    async fn the_first_bytes_are_kept() {
        for (cap, kept) in [(0, ""), (3, "abc"), (6, "abcdef"), (7, "abcdef")] {
            let folder = tempfile::tempdir().unwrap();
            let log = log(&folder);
            let (mut write, pipe) = tokio::net::unix::pipe::pipe().unwrap();
            let mut pump = Pump::new(pipe, Recorder::new(1, StreamName::Stdout, cap));
            for chunk in ["ab", "cd", "ef"] {
                write.write_all(chunk.as_bytes()).await.unwrap();
                pump.run_until(std::future::ready(()), &log).await;
            }
            drop(write);
            pump.run(&log).await;
            assert_eq!(stdout(&log).value, kept);
            assert_eq!(stdout(&log).truncated, cap < 6);
        }
    }

    /// What a process wrote before its end comes before its end, whoever still holds the pipe.
    #[tokio::test]
    async fn what_was_written_by_the_end_of_a_process_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let log = log(&folder);
        let (mut write, pipe) = tokio::net::unix::pipe::pipe().unwrap();
        let mut pump = Pump::new(pipe, Recorder::new(1, StreamName::Stdout, u64::MAX));
        let last_words = async {
            write.write_all(&[b'x'; 40_000]).await.unwrap();
        };
        pump.run_until(last_words, &log).await;
        assert_eq!(stdout(&log).value.len(), 40_000);
        drop(write);
        pump.run(&log).await;
        assert_eq!(stdout(&log).value.len(), 40_000);
    }
}
