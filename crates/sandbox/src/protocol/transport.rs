//! Messages with descriptors over unix sockets.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg,
    sendmsg, socketpair,
};

use super::MAX_FDS;

/// Length of a frame's head.
pub(crate) const HEAD: usize = 8;

/// The head of a frame with `length` bytes and `fds` descriptors.
pub(crate) fn head(length: usize, fds: usize) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    // Both are far below u32::MAX: the one by the size limits, the other by MAX_FDS.
    head[..4].copy_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
    head[4..].copy_from_slice(&u32::try_from(fds).unwrap_or(u32::MAX).to_le_bytes());
    head
}

/// Length of the body that follows `head`, which must be at most `most`.
pub(crate) fn body_length(head: [u8; HEAD], most: usize) -> io::Result<usize> {
    let [a, b, c, d, ..] = head;
    let length = u32::from_le_bytes([a, b, c, d]) as usize;
    if length <= most {
        Ok(length)
    } else {
        Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "frame is too long",
        ))
    }
}

/// A frame as it came: its body, and the descriptors that came along.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) body: Vec<u8>,
    pub(crate) fds: Vec<OwnedFd>,
}

/// Writes a frame without descriptors, blocking.
pub(crate) fn write_frame(socket: impl AsFd, body: &[u8]) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(HEAD + body.len());
    bytes.extend_from_slice(&head(body.len(), 0));
    bytes.extend_from_slice(body);
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        let sent = send(&socket, rest, &[])?;
        rest = &rest[sent..];
    }
    Ok(())
}

/// Reads a frame of at most `most` bytes, blocking; `None` at the end.
pub(crate) fn read_frame(socket: impl AsFd, most: usize) -> io::Result<Option<Frame>> {
    let mut fds = Vec::new();
    let mut head = [0; HEAD];
    if !fill(&socket, &mut head, &mut fds)? {
        return Ok(None);
    }
    let mut body = vec![0; body_length(head, most)?];
    if fill(&socket, &mut body, &mut fds)? {
        Ok(Some(Frame { body, fds }))
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

/// Fills `buffer`; false when the stream ended before its first byte.
fn fill(socket: impl AsFd, buffer: &mut [u8], fds: &mut Vec<OwnedFd>) -> io::Result<bool> {
    let mut filled = 0;
    while filled < buffer.len() {
        match receive(&socket, &mut buffer[filled..], fds)? {
            0 if filled == 0 => return Ok(false),
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            received => filled += received,
        }
    }
    Ok(true)
}

/// Two connected sockets, both closed on exec.
pub(crate) fn pair(kind: SocketType) -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(
        AddressFamily::UNIX,
        kind,
        SocketFlags::CLOEXEC,
        None,
    )?)
}

/// Sends as much of `bytes` as fits (all of it on a packet socket) with `fds` on its first byte.
pub(crate) fn send(
    socket: impl AsFd,
    bytes: &[u8],
    fds: &[BorrowedFd<'_>],
) -> rustix::io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(rustix::io::Errno::INVAL);
    }
    rustix::io::retry_on_intr(|| {
        sendmsg(
            &socket,
            &[IoSlice::new(bytes)],
            &mut control,
            SendFlags::NOSIGNAL,
        )
    })
}

/// Receives into `buffer`; descriptors that came along go to `fds`. 0 bytes mean the end.
///
/// A cut datagram, or one with more descriptors than [`MAX_FDS`], is `EBADMSG`.
pub(crate) fn receive(
    socket: impl AsFd,
    buffer: &mut [u8],
    fds: &mut Vec<OwnedFd>,
) -> rustix::io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let message = rustix::io::retry_on_intr(|| {
        recvmsg(
            &socket,
            &mut [IoSliceMut::new(buffer)],
            &mut control,
            RecvFlags::CMSG_CLOEXEC,
        )
    })?;
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = part {
            fds.extend(received);
        }
    }
    if message
        .flags
        .intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC)
    {
        return Err(rustix::io::Errno::BADMSG);
    }
    Ok(message.bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_keep_their_bounds_and_descriptors() {
        let (a, b) = pair(SocketType::STREAM).unwrap();
        let body = vec![7_u8; 100_000];
        let writer = std::thread::spawn(move || {
            let null = std::fs::File::open("/dev/null").unwrap();
            assert_eq!(send(&a, &head(3, 1), &[null.as_fd()]).unwrap(), HEAD);
            send(&a, b"abc", &[]).unwrap();
            write_frame(&a, &body).unwrap();
            write_frame(&a, &[0; 11]).unwrap();
        });
        let first = read_frame(&b, 1 << 20).unwrap().unwrap();
        assert_eq!((first.body.as_slice(), first.fds.len()), (&b"abc"[..], 1));
        let second = read_frame(&b, 1 << 20).unwrap().unwrap();
        assert_eq!((second.body.len(), second.fds.len()), (100_000, 0));
        assert!(read_frame(&b, 10).is_err(), "11 bytes where 10 are allowed");
        writer.join().unwrap();
    }

    #[test]
    fn an_end_between_frames_is_no_error_and_one_inside_is() {
        let (a, b) = pair(SocketType::STREAM).unwrap();
        write_frame(&a, b"x").unwrap();
        send(&a, &head(5, 0), &[]).unwrap();
        drop(a);
        assert!(read_frame(&b, 10).unwrap().is_some());
        assert!(read_frame(&b, 10).is_err());
        assert!(read_frame(&b, 10).unwrap().is_none());
    }
}
