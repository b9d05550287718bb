//! Reading an event log at the reader's own pace.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};

use contree_api::OperationId;
use contree_api::operation::OperationKind;
use contree_api::whoami::Permission;
use futures_util::Stream;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::line;
use super::log::Progress;
use crate::identity::streams::Told;
use crate::{Engine, Error, Identity, OfToken};

/// Bytes read at once. A line may be longer; reading goes on until it is whole.
const READ: usize = 64 * 1024;

/// Which events to read, and whether to wait for more.
#[derive(Debug, Clone, Copy, Default)]
pub struct EventQuery {
    /// Stay until the operation has ended.
    pub follow: bool,
    /// Only of this process; `completion` belongs to none.
    pub spid: Option<u32>,
    /// Only with a greater id.
    pub after: Option<u64>,
}

/// One event, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventLine {
    /// Its id.
    pub id: u64,
    /// Its type, such as `stdout`.
    pub kind: &'static str,
    /// The whole event on one line, without the newline.
    pub json: String,
}

/// The events of one operation. Ends after the last known event, or with `follow` after
/// `completion` or when the engine shuts down.
pub struct EventStream {
    lines: Pin<Box<dyn Stream<Item = Result<EventLine, Error>> + Send>>,
}

impl std::fmt::Debug for EventStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventStream").finish_non_exhaustive()
    }
}

impl Stream for EventStream {
    type Item = Result<EventLine, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.lines.as_mut().poll_next(cx)
    }
}

/// How far to read.
enum Extent {
    /// To here.
    Fixed(u64),
    /// As far as the log gets.
    Live(watch::Receiver<Progress>, CancellationToken),
}

struct Reader {
    path: PathBuf,
    file: Option<File>,
    query: EventQuery,
    extent: Extent,
    /// Where the next read starts.
    offset: u64,
    /// What was read and not handed out; whole lines come first.
    buffer: Vec<u8>,
    /// Start of the next line in the buffer.
    start: usize,
}

impl Reader {
    async fn next(&mut self) -> Result<Option<EventLine>, Error> {
        loop {
            if let Some(line) = self.take_line() {
                return Ok(Some(line));
            }
            let (size, ended) = match &mut self.extent {
                Extent::Fixed(size) => (*size, true),
                Extent::Live(progress, _) => {
                    let progress = *progress.borrow_and_update();
                    (progress.size, progress.ended)
                }
            };
            if self.offset < size {
                self.fill(size)
                    .map_err(|error| Error::internal("the event log could not be read", error))?;
            } else if ended {
                return Ok(None);
            } else if let Extent::Live(progress, shutdown) = &mut self.extent {
                tokio::select! {
                    changed = progress.changed() => if changed.is_err() {
                        return Ok(None);
                    },
                    () = shutdown.cancelled() => return Ok(None),
                }
            }
        }
    }

    /// The next whole line of the buffer that is asked for.
    fn take_line(&mut self) -> Option<EventLine> {
        while let Some(length) = self.buffer[self.start..].iter().position(|&b| b == b'\n') {
            let line = &self.buffer[self.start..self.start + length];
            self.start += length + 1;
            let Some(head) = line::head(line) else {
                tracing::error!(path = %self.path.display(), "an event log has a damaged line");
                continue;
            };
            let wanted = self.query.after.is_none_or(|after| head.id > after)
                && self.query.spid.is_none_or(|spid| head.spid == Some(spid));
            if wanted {
                let json = String::from_utf8_lossy(line).into_owned();
                return Some(EventLine {
                    id: head.id,
                    kind: head.kind,
                    json,
                });
            }
        }
        None
    }

    fn fill(&mut self, size: u64) -> io::Result<()> {
        self.buffer.drain(..self.start);
        self.start = 0;
        let file = match &self.file {
            Some(file) => file,
            None => self.file.insert(File::open(&self.path)?),
        };
        let left = usize::try_from(size - self.offset).unwrap_or(usize::MAX);
        let held = self.buffer.len();
        self.buffer.resize(held + left.min(READ), 0);
        let read = file.read_at(&mut self.buffer[held..], self.offset)?;
        self.buffer.truncate(held + read);
        self.offset += read as u64;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
}

impl Engine {
    /// Opens an operation's event log.
    ///
    /// # Errors
    /// `NotFound`; `Forbidden` without `list`, or without a spawn permission for `follow` (for
    /// imports `import` will do); `TooManyRequests` when the token has too many streams open.
    pub async fn events(
        &self,
        identity: &Identity,
        operation: OperationId,
        query: EventQuery,
    ) -> Result<OfToken<EventStream>, Error> {
        identity.require(Permission::List)?;
        let place = self.place(identity, Told::Log)?;
        let (path, extent) = match self.live(identity, operation) {
            Some(live) => {
                if query.follow {
                    may_follow(identity, live.kind())?;
                    let extent = Extent::Live(live.log.watch(), self.shutdown_token());
                    (live.log.path().to_owned(), extent)
                } else {
                    let size = live.log.watch().borrow().size;
                    (live.log.path().to_owned(), Extent::Fixed(size))
                }
            }
            None => {
                let stored = self.stored_operation(identity, operation).await?;
                if query.follow {
                    may_follow(identity, stored.kind)?;
                }
                let (path, size) = self.sealed_log(&stored).await?;
                (path, Extent::Fixed(size))
            }
        };
        let reader = Reader {
            path,
            file: None,
            query,
            extent,
            offset: 0,
            buffer: Vec::new(),
            start: 0,
        };
        let lines = futures_util::stream::unfold(Some(reader), async |reader| {
            let mut reader = reader?;
            match reader.next().await {
                Ok(line) => line.map(|line| (Ok(line), Some(reader))),
                Err(error) => Some((Err(error), None)),
            }
        });
        Ok(place.of(EventStream {
            lines: Box::pin(lines),
        }))
    }
}

/// Following is for who may run commands; an import may be followed by who may import, too.
fn may_follow(identity: &Identity, kind: OperationKind) -> Result<(), Error> {
    let is_importer =
        kind == OperationKind::ImageImport && identity.require(Permission::Import).is_ok();
    if is_importer {
        return Ok(());
    }
    identity.require_any(&[Permission::Spawn, Permission::SpawnDisposable])
}
