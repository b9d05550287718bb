//! Results, folded from the log.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::Path;

use contree_api::StreamRepr;
use contree_api::event::{Chunk, Event, EventData, Exit, StreamName};
use contree_api::instance::{InstanceResult, ProcessState, Resources};
use contree_api::stream::Encoding;

use super::line;

/// What the log says of one process.
#[derive(Debug, Default)]
pub(crate) struct Folded {
    /// Whether it was started.
    pub(crate) spawned: bool,
    pid: i32,
    exit: Option<Exit>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    stdout_truncated: bool,
    stderr_truncated: bool,
}

impl Folded {
    /// Reads what concerns `spid` in the first `size` bytes of a log. A file that is not there
    /// is an empty log.
    pub(crate) fn read(path: &Path, size: u64, spid: u32) -> io::Result<Self> {
        let mut folded = Self::default();
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(folded),
            Err(error) => return Err(error),
        };
        let mut lines = BufReader::with_capacity(64 * 1024, file).take(size);
        let mut text = Vec::new();
        loop {
            text.clear();
            if lines.read_until(b'\n', &mut text)? == 0 || text.last() != Some(&b'\n') {
                return Ok(folded);
            }
            let Some(head) = line::head(&text) else {
                continue;
            };
            if head.spid == Some(spid) {
                let event: Event = serde_json::from_slice(&text)?;
                folded.add(event.data);
            }
        }
    }

    fn add(&mut self, data: EventData) {
        match data {
            EventData::Spawn(spawn) => {
                self.spawned = true;
                self.pid = spawn.pid;
            }
            EventData::Stdout(chunk) => extend(&mut self.stdout, chunk),
            EventData::Stderr(chunk) => extend(&mut self.stderr, chunk),
            EventData::Truncated(truncated) => match truncated.stream {
                StreamName::Stdout => self.stdout_truncated = true,
                StreamName::Stderr => self.stderr_truncated = true,
                StreamName::Stdin => {}
            },
            EventData::Exit(exit) => self.exit = Some(exit),
            _ => {}
        }
    }

    pub(crate) fn stdout(&self) -> StreamRepr {
        self.stream(&self.stdout, self.stdout_truncated)
    }

    pub(crate) fn stderr(&self) -> StreamRepr {
        self.stream(&self.stderr, self.stderr_truncated)
    }

    /// Where text breaks off, because of a cap or because the process is not done, it does so
    /// between characters: some clients read it as UTF-8 and refuse half a character.
    fn stream(&self, bytes: &[u8], truncated: bool) -> StreamRepr {
        let whole = match std::str::from_utf8(bytes) {
            Err(error) if error.error_len().is_none() && (truncated || self.exit.is_none()) => {
                &bytes[..error.valid_up_to()]
            }
            _ => bytes,
        };
        StreamRepr::from_bytes(whole, truncated)
    }

    /// The result; `cpu_price` is that of a CPU second.
    pub(crate) fn result(&self, cpu_price: f64) -> InstanceResult {
        InstanceResult {
            resources: self
                .exit
                .as_ref()
                .map(|exit| resources(exit, cpu_price))
                .unwrap_or_default(),
            state: self.exit.as_ref().map_or_else(
                || ProcessState {
                    pid: self.pid,
                    ..ProcessState::default()
                },
                state,
            ),
            stdout: self.stdout(),
            stderr: self.stderr(),
        }
    }
}

fn extend(bytes: &mut Vec<u8>, chunk: Chunk) {
    match chunk.encoding {
        Encoding::Ascii => bytes.extend_from_slice(chunk.value.as_bytes()),
        Encoding::Base64 => {
            let repr = StreamRepr {
                value: chunk.value,
                encoding: chunk.encoding,
                truncated: false,
            };
            // The engine wrote it; what does not decode is not there.
            bytes.extend(repr.to_bytes().unwrap_or_default());
        }
    }
}

fn state(exit: &Exit) -> ProcessState {
    ProcessState {
        core_dump: exit.core_dump,
        exit_code: exit.code,
        pid: exit.pid,
        signal: exit.signal,
        timed_out: exit.timed_out,
        ..ProcessState::default()
    }
}

/// CPU seconds of a process.
#[expect(clippy::cast_precision_loss, reason = "microseconds of a process fit")]
pub(crate) fn cpu_seconds(exit: &Exit) -> f64 {
    (exit.resources.user_time_us + exit.resources.sys_time_us) as f64 / 1e6
}

#[expect(clippy::cast_precision_loss, reason = "times of a process fit")]
fn resources(exit: &Exit, cpu_price: f64) -> Resources {
    let used = &exit.resources;
    let elapsed = exit.duration_ms as f64 / 1e3;
    Resources {
        block_input: used.block_input_ops,
        block_output: used.block_output_ops,
        cost: cpu_seconds(exit) * cpu_price,
        elapsed_time: elapsed,
        involuntary_switches: used.involuntary_ctx_switches,
        max_rss: used.max_rss_kb,
        monotonic_time: elapsed,
        page_faults: used.minor_faults,
        page_faults_io: used.major_faults,
        shared_memory: used.shared_memory,
        signals: used.signals_received,
        swaps: used.swaps,
        system_cpu_time: used.sys_time_us as f64 / 1e6,
        unshared_memory: used.unshared_memory,
        user_cpu_time: used.user_time_us as f64 / 1e6,
        voluntary_switches: used.voluntary_ctx_switches,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_breaks_off_between_characters() {
        let euros = "€€".as_bytes();
        for (bytes, truncated, kept) in [
            (&euros[..5], true, 3),
            (&euros[..4], true, 3),
            (euros, true, 6),
            (b"ab\xff\xe2\x82", true, 5),
            (b"\xe2\x82", true, 0),
        ] {
            let folded = Folded {
                stdout: bytes.to_vec(),
                stdout_truncated: truncated,
                ..Folded::default()
            };
            assert_eq!(folded.stdout().to_bytes().unwrap(), bytes[..kept]);
            assert_eq!(folded.stdout().truncated, truncated);
        }
    }
}
