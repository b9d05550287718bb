//! The server's end of a sandbox's control socket.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::protocol::sandbox::{Notice, Order};
use crate::protocol::transport::{HEAD, body_length, head, receive, send};
use crate::protocol::{MAX_FROM_INIT, MAX_TO_INIT};
use crate::sys::fds;

/// The socket, and what could not be sent yet.
///
/// Orders are sent at once, by whoever gives them, as far as the socket takes them. What does not
/// fit is left to a task, and everything after it queues behind, so that frames stay whole and
/// in order, and giving an order never waits.
#[derive(Debug)]
pub(super) struct Control {
    socket: AsyncFd<OwnedFd>,
    backlog: Mutex<Backlog>,
}

#[derive(Debug, Default)]
struct Backlog {
    parts: VecDeque<Part>,
    /// A task is sending.
    busy: bool,
}

#[derive(Debug)]
struct Part {
    bytes: Vec<u8>,
    sent: usize,
    /// To go with the first byte.
    fds: Vec<OwnedFd>,
}

/// An order is larger than init takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct TooLarge(pub(super) usize);

impl Control {
    pub(super) fn new(socket: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        let socket = fds::watch(socket, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self {
            socket,
            backlog: Mutex::default(),
        })
    }

    /// Gives an order. That the sandbox is gone is not an error here; whoever waits for its
    /// consequence hears of it.
    pub(super) fn order(
        self: &Arc<Self>,
        order: &Order,
        fds: Vec<OwnedFd>,
    ) -> Result<(), TooLarge> {
        let body = order.encode();
        if body.len() > MAX_TO_INIT {
            return Err(TooLarge(body.len()));
        }
        let mut bytes = Vec::with_capacity(HEAD + body.len());
        bytes.extend_from_slice(&head(body.len(), fds.len()));
        bytes.extend_from_slice(&body);
        let mut part = Part {
            bytes,
            sent: 0,
            fds,
        };
        let mut backlog = self.backlog.lock().unwrap_or_else(PoisonError::into_inner);
        if backlog.busy {
            backlog.parts.push_back(part);
            return Ok(());
        }
        match part.send(self.socket.get_ref()) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                backlog.parts.push_back(part);
                backlog.busy = true;
                tokio::spawn(Arc::clone(self).send_backlog());
            }
            // Sent, or the sandbox is gone.
            Ok(()) | Err(_) => {}
        }
        Ok(())
    }

    async fn send_backlog(self: Arc<Self>) {
        loop {
            let Some(mut part) = ({
                let mut backlog = self.backlog.lock().unwrap_or_else(PoisonError::into_inner);
                let part = backlog.parts.pop_front();
                backlog.busy = part.is_some();
                part
            }) else {
                return;
            };
            let sent = self
                .socket
                .async_io(Interest::WRITABLE, |socket| part.send(socket))
                .await;
            if sent.is_err() {
                // The sandbox is gone. `busy` stays, so that nothing else is tried.
                let mut backlog = self.backlog.lock().unwrap_or_else(PoisonError::into_inner);
                backlog.parts.clear();
                return;
            }
        }
    }

    /// Hangs up: init ends, and with it the sandbox.
    pub(super) fn hang_up(&self) {
        // Fails only when it is over already.
        let _ = rustix::net::shutdown(self.socket.get_ref(), rustix::net::Shutdown::Both);
    }
}

impl Part {
    fn send(&mut self, socket: &OwnedFd) -> io::Result<()> {
        while self.sent < self.bytes.len() {
            let fds: Vec<_> = self.fds.iter().map(AsFd::as_fd).collect();
            self.sent += send(socket, &self.bytes[self.sent..], &fds)?;
            self.fds.clear();
        }
        Ok(())
    }
}

/// Reads what init says. Init is not trusted: whatever is too long or makes no sense is an error,
/// and the sandbox is to be ended.
#[derive(Debug, Default)]
pub(super) struct Listener {
    heard: Vec<u8>,
    /// Descriptors are never asked for; any that come are closed.
    stray: Vec<OwnedFd>,
}

impl Listener {
    /// The next notice; `None` at the end. May be dropped while waiting: nothing is lost.
    pub(super) async fn next(&mut self, control: &Control) -> io::Result<Option<Notice>> {
        loop {
            if let Some(notice) = self.parse()? {
                return Ok(Some(notice));
            }
            let mut buffer = [0; 4096];
            let stray = &mut self.stray;
            let length = control
                .socket
                .async_io(Interest::READABLE, |socket| {
                    Ok(receive(socket, &mut buffer, stray)?)
                })
                .await;
            self.stray.clear();
            match length {
                Ok(0) => return Ok(None),
                // A reset is what an end looks like when it had orders left to read.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
                Ok(length) => self.heard.extend_from_slice(&buffer[..length]),
                Err(error) => return Err(error),
            }
        }
    }

    /// What init said before it died and nobody has heard yet.
    pub(super) fn rest(&mut self, control: &Control) -> io::Result<Vec<Notice>> {
        let mut buffer = [0; 4096];
        loop {
            match receive(control.socket.get_ref(), &mut buffer, &mut self.stray) {
                Ok(0) | Err(Errno::AGAIN | Errno::CONNRESET) => break,
                Ok(length) => self.heard.extend_from_slice(&buffer[..length]),
                Err(errno) => return Err(errno.into()),
            }
        }
        std::iter::from_fn(|| self.parse().transpose()).collect()
    }

    fn parse(&mut self) -> io::Result<Option<Notice>> {
        let Some((head, rest)) = self.heard.split_first_chunk::<HEAD>() else {
            return Ok(None);
        };
        let length = body_length(*head, MAX_FROM_INIT)?;
        let Some(body) = rest.get(..length) else {
            return Ok(None);
        };
        let notice = Notice::decode(body)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        self.heard.drain(..HEAD + length);
        Ok(Some(notice))
    }
}

#[cfg(test)]
mod tests {
    use rustix::net::SocketType;

    use super::*;
    use crate::job::Process;
    use crate::protocol::ProcessId;
    use crate::protocol::transport::{pair, read_frame, write_frame};

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn orders_larger_than_the_socket_arrive_whole_and_in_order() {
        let (ours, theirs) = pair(SocketType::STREAM).unwrap();
        let control = Arc::new(Control::new(ours).unwrap());
        let process = Process {
            program: crate::Program::Command(vec![vec![b'x'; 3 << 20]]),
            env: Vec::new(),
            cwd: Vec::new(),
            uid: 0,
            gid: 0,
            stdin: false,
        };
        let large = Order::Start {
            id: ProcessId(1),
            process,
        };
        let null = OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        control
            .order(&large, vec![null.try_clone().unwrap(), null])
            .unwrap();
        for signal in 1..100 {
            control
                .order(
                    &Order::Signal {
                        id: ProcessId(1),
                        signal,
                    },
                    Vec::new(),
                )
                .unwrap();
        }
        let reader = tokio::task::spawn_blocking(move || {
            let first = read_frame(&theirs, MAX_TO_INIT).unwrap().unwrap();
            assert_eq!(first.fds.len(), 2);
            assert_eq!(Order::decode(&first.body), Ok(large));
            for signal in 1..100 {
                let frame = read_frame(&theirs, MAX_TO_INIT).unwrap().unwrap();
                let expected = Order::Signal {
                    id: ProcessId(1),
                    signal,
                };
                assert_eq!(Order::decode(&frame.body), Ok(expected));
            }
        });
        reader.await.unwrap();
    }

    #[tokio::test]
    async fn nonsense_is_an_error_and_so_is_too_much() {
        for body in [vec![9; 3], vec![0; MAX_FROM_INIT + 1]] {
            let (ours, theirs) = pair(SocketType::STREAM).unwrap();
            let control = Control::new(ours).unwrap();
            write_frame(&theirs, &body).unwrap();
            assert!(Listener::default().next(&control).await.is_err());
        }
        let (ours, theirs) = pair(SocketType::STREAM).unwrap();
        let control = Control::new(ours).unwrap();
        drop(theirs);
        assert!(Listener::default().next(&control).await.unwrap().is_none());
    }
}
