//! Bytes from the server into a file, or to standard output.
//!
//! A new file, and one that is replaced, is written beside its place under another name and moved
//! there when it is whole: whoever looks finds the old one or the new one, and nothing is left of
//! what broke off, was interrupted or told to end. What is no plain file (a link, a device, a pipe) is written
//! into.
//!
//! Standard output is written by a thread of its own, so that Ctrl-C is heard while its reader is
//! slow.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use contree_client::Download;
use flate2::Compression;
use flate2::write::{GzEncoder, MultiGzDecoder};
use tempfile::NamedTempFile;

use crate::context::Context;
use crate::failure::{BROKEN_PIPE, Doing as _, Failure};
use crate::interrupt::Interrupts;
use crate::output::Output;
use crate::output::live::{Stream, Writer};
use crate::output::progress::{Progress, Task};

/// How often plain lines tell how far it is.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// Where bytes go.
#[derive(Debug)]
pub(super) enum Sink {
    /// A file that is not there before it is whole.
    New { file: NamedTempFile, path: PathBuf },
    /// Something that is there, and stays what it is.
    Existing { file: File, path: PathBuf },
    /// Standard output.
    Stdout(Writer),
}

impl Sink {
    /// A file of this machine.
    pub(super) fn file(path: &Path) -> Result<Self, Failure> {
        let failed = || format!("could not write {}", path.display());
        let path = path.to_owned();
        let is_plain = match path.symlink_metadata() {
            Ok(metadata) if metadata.is_dir() => {
                return Err(Failure::new(format!("{} is a folder", path.display()))
                    .next("give the name of a file"));
            }
            Ok(metadata) => metadata.is_file(),
            Err(_) => true,
        };
        if !is_plain {
            let file = File::create(&path).doing(failed)?;
            return Ok(Self::Existing { file, path });
        }
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        if !folder.is_dir() {
            let folder = folder.display();
            return Err(Failure::new(format!("there is no folder {folder}"))
                .next(format!("mkdir -p {folder}")));
        }
        let mut name = std::ffi::OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(".");
        let mut builder = tempfile::Builder::new();
        builder.prefix(&name);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            // As any file is made: the umask takes its part.
            builder.permissions(std::fs::Permissions::from_mode(0o666));
        }
        let file = builder.tempfile_in(folder).doing(failed)?;
        Ok(Self::New { file, path })
    }

    pub(super) fn stdout() -> Self {
        Self::Stdout(Writer::start())
    }

    /// Its name for people.
    pub(super) fn name(&self) -> String {
        match self {
            Self::New { path, .. } | Self::Existing { path, .. } => path.display().to_string(),
            Self::Stdout(_) => "stdout".to_owned(),
        }
    }

    fn failed(&self) -> String {
        format!("could not write {}", self.name())
    }

    async fn write(&mut self, bytes: Vec<u8>) -> Result<(), Failure> {
        let written = match self {
            Self::New { file, .. } => file.write_all(&bytes),
            Self::Existing { file, .. } => file.write_all(&bytes),
            Self::Stdout(writer) => {
                let sent = writer.chunks().send((Stream::Stdout, bytes)).await;
                // Why the thread has ended is told by `finish`.
                sent.map_err(|_| io::ErrorKind::BrokenPipe.into())
            }
        };
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                Err(Failure::silent(BROKEN_PIPE))
            }
            written => written.doing(|| self.failed()),
        }
    }

    async fn finish(self) -> Result<(), Failure> {
        let failed = self.failed();
        match self {
            Self::New { file, path } => {
                let moved = file.persist(&path).map_err(|error| error.error);
                moved.map(drop).doing(|| failed)
            }
            Self::Existing { .. } => Ok(()),
            Self::Stdout(writer) => writer.finish().await.map_err(Failure::from),
        }
    }
}

/// What becomes of bytes on their way.
#[derive(Debug)]
pub(super) enum Coding {
    AsTheyAre,
    Compress(GzEncoder<Vec<u8>>),
    Decompress(MultiGzDecoder<Vec<u8>>),
}

impl Coding {
    pub(super) fn compress() -> Self {
        Self::Compress(GzEncoder::new(Vec::new(), Compression::default()))
    }

    pub(super) fn decompress() -> Self {
        Self::Decompress(MultiGzDecoder::new(Vec::new()))
    }

    fn pass(&mut self, piece: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::AsTheyAre => Ok(piece.to_vec()),
            Self::Compress(gzip) => {
                gzip.write_all(piece)?;
                Ok(std::mem::take(gzip.get_mut()))
            }
            Self::Decompress(gzip) => {
                gzip.write_all(piece)?;
                Ok(std::mem::take(gzip.get_mut()))
            }
        }
    }

    /// What was held back.
    fn end(&mut self) -> io::Result<Vec<u8>> {
        match self {
            Self::AsTheyAre => Ok(Vec::new()),
            Self::Compress(gzip) => {
                gzip.try_finish()?;
                Ok(std::mem::take(gzip.get_mut()))
            }
            Self::Decompress(gzip) => {
                gzip.try_finish()?;
                Ok(std::mem::take(gzip.get_mut()))
            }
        }
    }
}

/// What is told about a transfer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Telling<'a> {
    /// What comes.
    pub(super) path: &'a str,
    /// What is being done: `downloaded`.
    pub(super) past: &'static str,
    /// What could not be done when it fails.
    pub(super) failed: &'a str,
}

/// Takes all that comes; how much was written, for people: `2.0 KiB`, and by second.
pub(super) async fn transfer(
    context: &Context,
    mut from: Download,
    mut coding: Coding,
    mut to: Sink,
    telling: Telling<'_>,
) -> Result<(String, String), Failure> {
    let mut interrupts = Interrupts::listen();
    let told_to_end = told_to_end();
    let mut pace = Pace::start(&context.output, telling, from.size());
    let failed = || telling.failed.to_owned();
    let moving = async {
        loop {
            let piece = from.next().await.doing(failed)?;
            let bytes = match &piece {
                Some(piece) => coding.pass(piece),
                None => coding.end(),
            };
            let bytes = bytes.doing(failed)?;
            pace.add(piece.as_ref().map_or(0, |piece| piece.len()), bytes.len());
            if !bytes.is_empty()
                && let Err(failure) = to.write(bytes).await
            {
                // A reader that went away is one thing, a full disk behind it another.
                return match to {
                    Sink::Stdout(_) => to.finish().await.and(Err(failure)),
                    _ => Err(failure),
                };
            }
            if piece.is_none() {
                return to.finish().await;
            }
        }
    };
    tokio::select! {
        moved = moving => moved?,
        _ = interrupts.next() => return Err(Failure::interrupted()),
        code = told_to_end => return Err(Failure::silent(code)),
    }
    Ok(pace.end())
}

/// Listens, from this call on, to whoever tells this program to end, so that nothing half is left
/// behind; the exit code as shells have it for the signal.
#[cfg(unix)]
fn told_to_end() -> impl Future<Output = u8> {
    use tokio::signal::unix::{SignalKind, signal};

    let signals = [SignalKind::terminate(), SignalKind::hangup()].map(signal);
    async {
        let [Ok(mut terminate), Ok(mut hang_up)] = signals else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = terminate.recv() => 128 + 15,
            _ = hang_up.recv() => 128 + 1,
        }
    }
}

#[cfg(not(unix))]
fn told_to_end() -> impl Future<Output = u8> {
    std::future::pending()
}

/// How far it is, told on a bar or now and then in a line.
struct Pace<'a> {
    output: &'a Output,
    telling: Telling<'a>,
    size: Option<u64>,
    read: u64,
    written: u64,
    start: Instant,
    told: Instant,
    /// In this order: the task leaves before the bars do.
    task: Task,
    _bars: Progress,
}

impl<'a> Pace<'a> {
    fn start(output: &'a Output, telling: Telling<'a>, size: Option<u64>) -> Self {
        let bars = Progress::new(output);
        let now = Instant::now();
        Self {
            output,
            telling,
            size,
            read: 0,
            written: 0,
            start: now,
            told: now,
            task: bars.task(telling.path),
            _bars: bars,
        }
    }

    fn add(&mut self, read: usize, written: usize) {
        self.read += read as u64;
        self.written += written as u64;
        if self.output.draws_progress() {
            match self.size {
                Some(size) => self.task.bytes(self.read, size),
                None => self.task.step(&self.amounts()),
            }
        } else if self.told.elapsed() >= TELL_EVERY {
            self.told = Instant::now();
            self.output.note(&self.amounts());
        }
    }

    fn amounts(&self) -> String {
        let (amount, speed) = (amount(self.written), self.speed());
        format!("{amount} {} | {speed}", self.telling.past)
    }

    fn speed(&self) -> String {
        let elapsed = self.start.elapsed();
        let whole = u128::from(self.written) * 1_000_000_000 / elapsed.as_nanos().max(1);
        format!("{}/s", amount(u64::try_from(whole).unwrap_or(u64::MAX)))
    }

    fn end(self) -> (String, String) {
        let told = (amount(self.written), self.speed());
        self.task.finish();
        told
    }
}

/// Bytes for people: `1.5 KiB`.
fn amount(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    // In tenths of the unit.
    let mut tenths = u128::from(bytes) * 10;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths = (tenths + 512) / 1_024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts() {
        assert_eq!(amount(0), "0.0 B");
        assert_eq!(amount(1_023), "1023.0 B");
        assert_eq!(amount(1_536), "1.5 KiB");
        assert_eq!(amount(180_098_560), "171.8 MiB");
        assert_eq!(amount(u64::MAX), "16777216.0 TiB");
    }

    #[test]
    fn what_is_compressed_can_be_read_again() {
        let text: Vec<u8> = (0..=255).cycle().take(300_000).collect();
        let mut packed = Vec::new();
        let mut coding = Coding::compress();
        for piece in text.chunks(7_000) {
            packed.extend(coding.pass(piece).unwrap());
        }
        packed.extend(coding.end().unwrap());
        let mut unpacked = Vec::new();
        let mut coding = Coding::decompress();
        for piece in packed.chunks(100) {
            unpacked.extend(coding.pass(piece).unwrap());
        }
        unpacked.extend(coding.end().unwrap());
        assert!(unpacked == text);
        let mut cut = Coding::decompress();
        cut.pass(&packed[..packed.len() - 4]).unwrap();
        cut.end().unwrap_err();
    }
}
