//! Writing an event log.
//!
//! Appends go straight to the file: a write to the page cache takes a few microseconds, less than
//! handing it to another thread would. When a write fails (the disk is full, say) the file is cut
//! back to whole lines, the failure is kept, and stream events are dropped from then on; the run
//! that the log belongs to asks [`EventLog::failed`] before it calls itself a success.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use contree_api::OperationId;
use contree_api::event::{Completion, Event, EventData, SizeCap};
use contree_api::time::event_ts;
use tokio::sync::watch;

use super::line;

/// How far a log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Progress {
    /// Bytes of whole lines.
    pub(crate) size: u64,
    /// Nothing more will come.
    pub(crate) ended: bool,
}

/// The log of a live operation.
#[derive(Debug)]
pub(crate) struct EventLog {
    path: PathBuf,
    cap: u64,
    inner: Mutex<Inner>,
    progress: watch::Sender<Progress>,
}

#[derive(Debug)]
struct Inner {
    file: Option<File>,
    buffer: Vec<u8>,
    next_id: u64,
    size: u64,
    capped: bool,
    failure: Option<io::Error>,
}

/// Where an operation's log is.
pub(crate) fn path(events: &Path, operation: OperationId) -> PathBuf {
    // The last byte of a version 7 id is random; the first ones are the time.
    let spread = operation.uuid().as_bytes()[15];
    events
        .join(format!("{spread:02x}"))
        .join(format!("{operation}.jsonl"))
}

impl EventLog {
    /// A log that has no file yet; stream events stop at `cap` bytes.
    pub(crate) fn new(path: PathBuf, cap: u64) -> Self {
        let inner = Inner {
            file: None,
            buffer: Vec::new(),
            next_id: 0,
            size: 0,
            capped: false,
            failure: None,
        };
        Self {
            path,
            cap,
            inner: Mutex::new(inner),
            progress: watch::Sender::default(),
        }
    }

    /// Makes the file. It being there is what tells a later server that the operation had begun.
    pub(crate) fn open(&self) -> io::Result<()> {
        let mut inner = self.lock();
        if inner.file.is_none() {
            inner.file = Some(create(&self.path)?);
        }
        Ok(())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Told of every change.
    pub(crate) fn watch(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Appends one event; false when it is a stream event and the log is full.
    pub(crate) fn append(&self, spid: u32, data: EventData) -> bool {
        self.append_all([(spid, data)])
    }

    /// Appends events in one write; false when one of them was left out because the log is full.
    pub(crate) fn append_all(&self, events: impl IntoIterator<Item = (u32, EventData)>) -> bool {
        let mut inner = self.lock();
        let mut all = true;
        for (spid, data) in events {
            all &= inner.add(self.cap, Some(spid), data);
        }
        inner.flush();
        // Told under the lock: two appends at once, a process's input and its output, must not
        // tell their sizes in the wrong order, or readers would miss the later one.
        self.progress
            .send_modify(|progress| progress.size = inner.size);
        all
    }

    /// Appends the last event and ends the log.
    pub(crate) fn complete(&self, completion: Completion) {
        let mut inner = self.lock();
        if inner.file.is_none() {
            match create(&self.path) {
                Ok(file) => inner.file = Some(file),
                Err(error) => inner.failure = Some(error),
            }
        }
        inner.add(self.cap, None, EventData::Completion(completion));
        inner.flush();
        inner.buffer = Vec::new();
        if let Some(error) = &inner.failure {
            tracing::error!(%error, path = %self.path.display(), "an event log is incomplete");
        }
        let size = inner.size;
        self.progress
            .send_modify(|progress| *progress = Progress { size, ended: true });
    }

    /// Why events are missing from the log, when any are.
    pub(crate) fn failed(&self) -> Option<String> {
        self.lock().failure.as_ref().map(ToString::to_string)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic while holding the lock leaves at worst an unflushed buffer.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Puts an event into the buffer, unless it is a stream event and the log is full.
    fn add(&mut self, cap: u64, spid: Option<u32>, data: EventData) -> bool {
        let stream = matches!(
            data,
            EventData::Stdin(_) | EventData::Stdout(_) | EventData::Stderr(_)
        );
        if stream {
            if self.capped || self.failure.is_some() {
                return false;
            }
            let so_far = self.size + self.buffer.len() as u64;
            if so_far >= cap {
                self.capped = true;
                let full = SizeCap {
                    limit_bytes: cap,
                    file_size: so_far,
                };
                self.push(Some(0), EventData::SizeCap(full));
                return false;
            }
        }
        self.push(spid, data);
        true
    }

    fn push(&mut self, spid: Option<u32>, data: EventData) {
        let event = Event {
            id: self.next_id,
            ts: event_ts(jiff::Timestamp::now()),
            spid,
            data,
        };
        let start = self.buffer.len();
        match serde_json::to_writer(&mut self.buffer, &event) {
            Ok(()) => {
                self.buffer.push(b'\n');
                self.next_id += 1;
            }
            Err(error) => {
                self.buffer.truncate(start);
                self.failure = Some(error.into());
            }
        }
    }

    fn flush(&mut self) {
        let Some(file) = &mut self.file else {
            // Events before `open` wait in the buffer.
            return;
        };
        match file.write_all(&self.buffer) {
            Ok(()) => self.size += self.buffer.len() as u64,
            Err(error) => {
                // Only whole lines may stay.
                let cut = file
                    .set_len(self.size)
                    .and_then(|()| file.seek(SeekFrom::End(0)));
                tracing::warn!(%error, cut = cut.is_ok(), "an event could not be logged");
                self.failure = Some(error);
            }
        }
        self.buffer.clear();
        self.buffer.shrink_to(64 * 1024);
    }
}

fn create(path: &Path) -> io::Result<File> {
    let open = || {
        OpenOptions::new()
            .create_new(true)
            .append(true)
            .mode(0o600)
            .open(path)
    };
    match open() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder)?;
            }
            open()
        }
        other => other,
    }
}

/// Brings the log of an operation that has ended to its end: a torn last line is cut off, and
/// `completion` appended where it is missing (the server died before it could). Answers with the
/// log's size.
///
/// Callers hold the engine's lock on sealing, so that two do not append at once.
pub(crate) fn seal(path: &Path, completion: impl FnOnce() -> Completion) -> io::Result<u64> {
    let mut file = match OpenOptions::new().read(true).append(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(path)?,
        Err(error) => return Err(error),
    };
    let size = file.metadata()?.len();
    let (whole, last) = last_line(&mut file, size)?;
    let last = last.as_deref().and_then(line::head);
    if whole == size && last.is_some_and(|head| head.kind == "completion") {
        return Ok(size);
    }
    file.set_len(whole)?;
    let event = Event {
        id: last.map_or(0, |head| head.id + 1),
        ts: event_ts(jiff::Timestamp::now()),
        spid: None,
        data: EventData::Completion(completion()),
    };
    let mut text = serde_json::to_vec(&event)?;
    text.push(b'\n');
    file.write_all(&text)?;
    Ok(whole + text.len() as u64)
}

/// The size of all whole lines, and the start of the last of them.
fn last_line(file: &mut File, size: u64) -> io::Result<(u64, Option<Vec<u8>>)> {
    // A line may be long; its head is what counts. Look back in growing steps.
    let mut look = 4_096_u64;
    loop {
        let from = size.saturating_sub(look);
        file.seek(SeekFrom::Start(from))?;
        let mut tail = Vec::new();
        file.take(size - from).read_to_end(&mut tail)?;
        let end = tail.iter().rposition(|&byte| byte == b'\n');
        let start = end.and_then(|end| tail[..end].iter().rposition(|&byte| byte == b'\n'));
        match (end, start) {
            (Some(end), Some(start)) => {
                return Ok((from + end as u64 + 1, Some(tail[start + 1..end].to_vec())));
            }
            (Some(end), None) if from == 0 => {
                return Ok((end as u64 + 1, Some(tail[..end].to_vec())));
            }
            (None, _) if from == 0 => return Ok((0, None)),
            _ => look = look.saturating_mul(8),
        }
    }
}

#[cfg(test)]
mod tests {
    use contree_api::event::Chunk;
    use contree_api::operation::OperationStatus;
    use contree_api::stream::Encoding;

    use super::*;

    fn chunk(text: &str) -> EventData {
        let value = text.to_owned();
        EventData::Stdout(Chunk {
            value,
            encoding: Encoding::Ascii,
            truncated: false,
        })
    }

    fn completion() -> Completion {
        Completion {
            status: OperationStatus::Failed,
            result_image_uuid: None,
            error: Some("the server was stopped".into()),
            duration_ms: 1,
            image_size_bytes: 0,
        }
    }

    fn kinds(path: &Path) -> Vec<(u64, &'static str)> {
        let text = std::fs::read(path).unwrap();
        text.split_inclusive(|&byte| byte == b'\n')
            .map(|line| line::head(line).map(|head| (head.id, head.kind)).unwrap())
            .collect()
    }

    #[test]
    fn readers_are_told_of_the_last_of_many_appends_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = path(folder.path(), OperationId::new());
        let log = EventLog::new(path.clone(), u64::MAX);
        log.open().unwrap();
        for _ in 0..200 {
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        for _ in 0..5 {
                            log.append(1, chunk("x"));
                        }
                    });
                }
            });
            let size = std::fs::metadata(&path).unwrap().len();
            assert_eq!(log.watch().borrow().size, size);
        }
    }

    #[test]
    fn ids_grow_and_the_cap_stops_streams_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = path(folder.path(), OperationId::new());
        let log = EventLog::new(path.clone(), 300);
        log.open().unwrap();
        for _ in 0..9 {
            log.append(1, chunk(&"x".repeat(50)));
        }
        log.append(
            0,
            EventData::Truncated(contree_api::event::Truncated {
                stream: contree_api::event::StreamName::Stdout,
                bytes_emitted: 1,
                bytes_dropped: 2,
            }),
        );
        log.complete(completion());
        assert_eq!(
            kinds(&path),
            [
                (0, "stdout"),
                (1, "stdout"),
                (2, "size_cap"),
                (3, "truncated"),
                (4, "completion")
            ]
        );
        assert_eq!(log.failed(), None);
        let end = *log.watch().borrow();
        assert_eq!(
            end,
            Progress {
                size: std::fs::metadata(&path).unwrap().len(),
                ended: true
            }
        );
    }

    #[test]
    fn sealing_puts_what_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/log.jsonl");
        // No file at all.
        let size = seal(&path, completion).unwrap();
        assert_eq!(kinds(&path), [(0, "completion")]);
        // Whole already: left alone.
        assert_eq!(seal(&path, || panic!("not asked for")).unwrap(), size);

        // Torn in the middle of a line, and lines longer than one look.
        for cut in [1, 10, 30_000] {
            std::fs::remove_file(&path).unwrap();
            let log = EventLog::new(path.clone(), u64::MAX);
            log.open().unwrap();
            log.append(1, chunk("a"));
            log.append(1, chunk(&"b".repeat(20_000)));
            log.append(1, chunk(&"c".repeat(40_000)));
            drop(log);
            let file = OpenOptions::new().write(true).open(&path).unwrap();
            file.set_len(file.metadata().unwrap().len() - cut).unwrap();
            seal(&path, completion).unwrap();
            assert_eq!(
                kinds(&path),
                [(0, "stdout"), (1, "stdout"), (2, "completion")]
            );
        }
    }
}
