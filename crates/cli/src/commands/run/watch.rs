//! A run from its first event to its last: output goes out as it comes, Ctrl-C goes in.

use contree_api::OperationId;
use contree_api::event::{Chunk, Completion, Event, EventData, Exit};
use contree_api::stream::StreamRepr;
use contree_client::{Client, EventFrame};

use super::incomplete;
use super::stdin::Forwarder;
use crate::context::Context;
use crate::failure::{BROKEN_PIPE, Failure};
use crate::interrupt::Interrupts;
use crate::output::live::{Stream, Writer, reader_gone};

/// What the events told.
#[derive(Debug, Default)]
pub(super) struct Watched {
    pub(super) completion: Option<Completion>,
    /// Of the command itself.
    pub(super) exit: Option<Exit>,
    /// Output, when it was not passed on as it came.
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
    /// Bytes that the server dropped because of `--truncate`.
    pub(super) dropped: u64,
}

/// Follows a run to its end, of whose standard output `truncate` bytes are passed on.
pub(super) async fn watch(
    context: &Context,
    client: &Client,
    id: OperationId,
    truncate: u64,
    mut input: Option<Forwarder>,
    interrupts: &mut Interrupts,
) -> Result<Watched, Failure> {
    let mut events = client.follow(id);
    let mut watched = Watched::default();
    let writer = context.output.is_default().then(Writer::start);
    let chunks = writer.as_ref().map(Writer::chunks);
    // A chunk that waits for the writer holds back the events, not Ctrl-C.
    let mut waiting: Option<(Stream, Vec<u8>)> = None;
    // A reader that goes away is found out by the next write. After the last one somebody has to
    // look, or `contree run yes | head` would go on until its time is up.
    let mut passed_on = 0;
    let mut reader_gone = std::pin::pin!(reader_gone());
    loop {
        let hand_over = async {
            match &chunks {
                Some(chunks) => chunks.reserve().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            permit = hand_over, if waiting.is_some() => match (permit, waiting.take()) {
                (Ok(permit), Some(chunk)) => {
                    if chunk.0 == Stream::Stdout {
                        passed_on += chunk.1.len() as u64;
                    }
                    permit.send(chunk);
                }
                // The writer has ended, which it tells below.
                _ => break,
            },
            frame = events.next(), if waiting.is_none() => {
                let Some(frame) = frame.map_err(|error| lost(id, error))? else { break };
                if let (Some(input), Some(Event { spid: Some(1), .. })) = (&mut input, &frame.event) {
                    input.start();
                }
                waiting = watched.take(frame, writer.is_some());
            }
            () = &mut reader_gone, if passed_on > 0 && passed_on >= truncate => {
                give_up(client, id).await;
                return Err(Failure::silent(BROKEN_PIPE));
            }
            nth = interrupts.next() => {
                interrupt(context, client, id, nth, interrupts).await?;
            }
        }
    }
    drop(chunks);
    if let Some(writer) = writer {
        let written = tokio::select! {
            written = writer.finish() => written,
            _ = interrupts.next() => return Err(Failure::interrupted()),
        };
        if let Err(error) = written {
            give_up(client, id).await;
            let is_pipe = error.kind() == std::io::ErrorKind::BrokenPipe;
            return Err(if is_pipe {
                Failure::silent(BROKEN_PIPE)
            } else {
                error.into()
            });
        }
    }
    if let Some(input) = input
        && let Some(error) = input.stop().await
    {
        context.output.warn(&incomplete(id, &error));
    }
    Ok(watched)
}

/// Nobody is left to run it for.
async fn give_up(client: &Client, id: OperationId) {
    // It may have ended by itself.
    let _ = client.cancel(id).await;
}

fn lost(id: OperationId, error: contree_client::Error) -> Failure {
    Failure::from(error)
        .while_doing(format!(
            "lost sight of operation {id}, which may still be running"
        ))
        .advise(format!("contree show {id}"))
}

impl Watched {
    /// Takes in an event; output to be passed on.
    fn take(&mut self, frame: EventFrame, live: bool) -> Option<(Stream, Vec<u8>)> {
        let event = frame.event?;
        match (event.data, event.spid) {
            (EventData::Stdout(chunk), Some(1)) => {
                return self.output(Stream::Stdout, chunk, live);
            }
            (EventData::Stderr(chunk), Some(1)) => {
                return self.output(Stream::Stderr, chunk, live);
            }
            (EventData::Exit(exit), Some(1)) => self.exit = Some(exit),
            (EventData::Truncated(cut), Some(1)) => self.dropped += cut.bytes_dropped,
            (EventData::Completion(completion), _) => self.completion = Some(completion),
            _ => {}
        }
        None
    }

    fn output(&mut self, stream: Stream, chunk: Chunk, live: bool) -> Option<(Stream, Vec<u8>)> {
        let Chunk {
            value,
            encoding,
            truncated,
        } = chunk;
        let bytes = StreamRepr {
            value,
            encoding,
            truncated,
        }
        .to_bytes()
        .ok()?;
        if live {
            return Some((stream, bytes));
        }
        match stream {
            Stream::Stdout => self.stdout.extend_from_slice(&bytes),
            Stream::Stderr => self.stderr.extend_from_slice(&bytes),
        }
        None
    }
}

/// The first Ctrl-C goes to the command, as a terminal would send it. When that does not work, or
/// at the second one, the run is cancelled.
async fn interrupt(
    context: &Context,
    client: &Client,
    id: OperationId,
    nth: u32,
    interrupts: &mut Interrupts,
) -> Result<(), Failure> {
    if nth == 1 {
        let is_delivered = tokio::select! {
            sent = client.signal(id, 1, Some("INT")) => sent.is_ok(),
            _ = interrupts.next() => false,
        };
        if is_delivered {
            context.output.note(&format!(
                "Sent SIGINT to operation {id}; waiting for it to exit (Ctrl-C again to force-cancel)"
            ));
            return Ok(());
        }
    }
    tokio::select! {
        cancelled = client.cancel(id) => if cancelled.is_ok() {
            context.output.note(&format!("Cancelled operation {id}"));
        },
        _ = interrupts.next() => {}
    }
    Err(Failure::interrupted())
}
