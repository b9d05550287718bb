//! The floor: the requests that no client can do without, over bare sockets and on one thread.
//!
//! Two connections. One is held by the stream that tells which operations have ended; on the other
//! go a `POST /instances` and a `GET /operations/{id}` for each run. Only what the server of this
//! project answers is understood.

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::AsFd as _;

use anyhow::{Context as _, bail, ensure};
use contree_api::OperationId;
use contree_api::instance::{InstanceSpawnRequest, InstanceSpawnResponse};
use contree_api::operation::{OperationResponse, OperationSummary};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::driver::{Args, Measure, Measured, Run, ensure_succeeded, now};

/// Runs as a driver.
pub(super) fn drive(args: &Args, url: &str, token: &str) -> anyhow::Result<Measured> {
    let mut bare = Bare {
        calls: Connection::open(url, token)?,
        feed: Feed::open(url, token)?,
    };
    let warm_up: Vec<_> = (0..args.warm_up())
        .map(|number| args.request(format_args!("w{number}")))
        .collect();
    bare.runs(&warm_up, 1)?;
    let requests: Vec<_> = (0..args.runs())
        .map(|number| args.request(number))
        .collect();
    let measure = Measure::start()?;
    let runs = bare.runs(&requests, args.at_once())?;
    measure.end("bare sockets", runs)
}

struct Bare {
    calls: Connection,
    feed: Feed,
}

impl Bare {
    /// Posts while a caller is free, and looks in between at what has ended.
    fn runs(
        &mut self,
        requests: &[InstanceSpawnRequest],
        at_once: usize,
    ) -> anyhow::Result<Vec<Run>> {
        // Since when each free caller would have gone on.
        let mut free: VecDeque<u64> = std::iter::repeat_n(now(), at_once).collect();
        let mut waiting: HashMap<OperationId, (&str, u64)> = HashMap::new();
        let mut runs = Vec::with_capacity(requests.len());
        let mut requests = requests.iter().peekable();
        while runs.len() < runs.capacity() {
            if requests.peek().is_some()
                && let Some(began) = free.pop_front()
                && let Some(request) = requests.next()
            {
                let body = serde_json::to_vec(request).context("cannot write JSON")?;
                let accepted = self.calls.call("POST", "/instances", &body)?;
                let accepted: InstanceSpawnResponse = serde_json::from_slice(&accepted)?;
                waiting.insert(accepted.uuid, (&request.hostname, began));
                if !self.feed.is_ready()? {
                    continue;
                }
            }
            loop {
                let ended = self.feed.next()?;
                if let Some((name, began)) = waiting.remove(&ended.uuid) {
                    let path = format!("/operations/{}", ended.uuid);
                    let result = self.calls.call("GET", &path, b"")?;
                    let result: OperationResponse = serde_json::from_slice(&result)?;
                    ensure_succeeded(&result)?;
                    runs.push(Run {
                        name: name.to_owned(),
                        began,
                        ended: now(),
                        failure: None,
                    });
                    free.push_back(now());
                }
                if !self.feed.is_ready()? {
                    break;
                }
            }
        }
        Ok(runs)
    }
}

/// The ends of operations, as the server tells them.
struct Feed {
    connection: Connection,
    /// What came and was not looked at yet, without the framing of chunks.
    bytes: Vec<u8>,
}

impl Feed {
    fn open(url: &str, token: &str) -> anyhow::Result<Self> {
        let mut connection = Connection::open(url, token)?;
        connection.send("GET", "/operations/events?ended=1", b"")?;
        ensure!(
            connection.head()? == Length::Chunked,
            "the stream of operations is no stream"
        );
        Ok(Self {
            connection,
            bytes: Vec::new(),
        })
    }

    /// Whether [`Feed::next`] would find something at once.
    fn is_ready(&self) -> anyhow::Result<bool> {
        Ok(!self.bytes.is_empty() || self.connection.is_ready()?)
    }

    fn next(&mut self) -> anyhow::Result<OperationSummary> {
        loop {
            while let Some(end) = self.bytes.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.bytes.drain(..=end).collect();
                if let Some(data) = line.strip_prefix(b"data: ") {
                    // The empty line after it is passed over by the next call.
                    if self.bytes.first() == Some(&b'\n') {
                        self.bytes.remove(0);
                    }
                    return serde_json::from_slice(data).context("an end of a run is not JSON");
                }
            }
            let chunk = self.connection.chunk()?;
            self.bytes.extend(chunk);
        }
    }
}

/// How long the body of an answer is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Length {
    Bytes(usize),
    Chunked,
}

/// A connection that is kept open.
struct Connection {
    stream: BufReader<TcpStream>,
    host: String,
    token: String,
}

impl Connection {
    fn open(url: &str, token: &str) -> anyhow::Result<Self> {
        let host = url.strip_prefix("http://").context("not a plain URL")?;
        let stream = TcpStream::connect(host).context("cannot connect")?;
        stream.set_nodelay(true).context("cannot send at once")?;
        Ok(Self {
            stream: BufReader::with_capacity(64 * 1024, stream),
            host: host.to_owned(),
            token: token.to_owned(),
        })
    }

    fn is_ready(&self) -> anyhow::Result<bool> {
        if !self.stream.buffer().is_empty() {
            return Ok(true);
        }
        let mut sockets = [PollFd::from_borrowed_fd(
            self.stream.get_ref().as_fd(),
            PollFlags::IN,
        )];
        let at_once = Timespec::default();
        Ok(poll(&mut sockets, Some(&at_once)).context("cannot look at a socket")? > 0)
    }

    fn call(&mut self, method: &str, path: &str, body: &[u8]) -> anyhow::Result<Vec<u8>> {
        self.send(method, path, body)?;
        match self.head()? {
            Length::Bytes(length) => self.exactly(length),
            Length::Chunked => {
                let mut whole = Vec::new();
                loop {
                    let chunk = self.chunk()?;
                    if chunk.is_empty() {
                        return Ok(whole);
                    }
                    whole.extend(chunk);
                }
            }
        }
    }

    fn send(&mut self, method: &str, path: &str, body: &[u8]) -> anyhow::Result<()> {
        let Self { host, token, .. } = self;
        let mut request = format!(
            "{method} /v1{path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        let mut stream = self.stream.get_ref();
        stream.write_all(&request).context("cannot send a request")
    }

    /// Reads the head of an answer of success.
    fn head(&mut self) -> anyhow::Result<Length> {
        let status = self.line()?;
        let mut length = None;
        loop {
            let line = self.line()?.to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(bytes) = line.strip_prefix("content-length:") {
                length = Some(Length::Bytes(bytes.trim().parse().context("no length")?));
            } else if line.starts_with("transfer-encoding:") && line.ends_with("chunked") {
                length = Some(Length::Chunked);
            }
        }
        let length = length.context("an answer without a length")?;
        if !status.starts_with("HTTP/1.1 2") {
            let words = match length {
                Length::Bytes(bytes) => self.exactly(bytes)?,
                Length::Chunked => self.chunk()?,
            };
            bail!("{status}: {}", String::from_utf8_lossy(&words));
        }
        Ok(length)
    }

    /// The next chunk of a body, empty at its end.
    fn chunk(&mut self) -> anyhow::Result<Vec<u8>> {
        let size = self.line()?;
        let size = usize::from_str_radix(&size, 16).context("a chunk without a size")?;
        let chunk = self.exactly(size)?;
        self.line()?;
        Ok(chunk)
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        let read = self.stream.read_line(&mut line);
        ensure!(
            read.context("cannot read an answer")? > 0,
            "the server closed a connection"
        );
        line.truncate(line.trim_end().len());
        Ok(line)
    }

    fn exactly(&mut self, length: usize) -> anyhow::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        let read = self.stream.read_exact(&mut bytes);
        read.context("cannot read an answer")?;
        Ok(bytes)
    }
}
