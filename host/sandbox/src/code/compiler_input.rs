//! The input of a compiler child: one message with descriptors, then the bytes to compile.
//!
//! ```text
//! message   descriptors that follow (1) | length of the wasm (8) | header of the functions (48)
//! stream    the wasm
//! ```
//!
//! The child receives the descriptors before it raises the wall, and reads the wasm behind it. The
//! length tells a short input, which is the host's fault, from an invalid file.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

use crate::code::functions::{FunctionFiles, HEADER};

/// Bits of the first byte: the descriptors that the message carries, in this order.
const KNOWN: u8 = 1;
const FRESH: u8 = 2;

/// Bytes of the message.
const MESSAGE: usize = 1 + 8 + HEADER;

/// Sends the input of a child.
pub(crate) fn send(
    mut socket: UnixStream,
    wasm: &[u8],
    functions: Option<&FunctionFiles>,
) -> io::Result<()> {
    let known = functions.and_then(|files| files.known.as_ref());
    let fresh = functions.and_then(|files| files.fresh.as_ref());
    let mut message = [0; MESSAGE];
    message[0] = known.map_or(0, |_| KNOWN) | fresh.map_or(0, |_| FRESH);
    message[1..9].copy_from_slice(&(wasm.len() as u64).to_le_bytes());
    if let Some(files) = functions {
        message[9..].copy_from_slice(&files.header);
    }
    let descriptors: Vec<BorrowedFd<'_>> =
        known.into_iter().chain(fresh).map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut rights = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        rights.push(SendAncillaryMessage::ScmRights(&descriptors));
    }
    sendmsg(&socket, &[IoSlice::new(&message)], &mut rights, SendFlags::NOSIGNAL)?;
    socket.write_all(wasm)
}

/// The input of this process, a compiler child.
#[derive(Debug)]
pub(crate) struct ReceivedInput<S> {
    socket: S,
    length: u64,
    /// The functions that are already compiled.
    pub(crate) functions: Option<FunctionFiles>,
}

impl<S: AsFd + Read> ReceivedInput<S> {
    /// Receives the message. The wasm stays in the socket.
    pub(crate) fn begin(socket: S) -> io::Result<Self> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut rights = RecvAncillaryBuffer::new(&mut space);
        let mut message = [0; MESSAGE];
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::WAITALL;
        let received = recvmsg(&socket, &mut [IoSliceMut::new(&mut message)], &mut rights, flags)?;
        let mut descriptors = Vec::new();
        for part in rights.drain() {
            if let RecvAncillaryMessage::ScmRights(found) = part {
                descriptors.extend(found.map(File::from));
            }
        }
        let [which, rest @ ..] = message;
        let count = (which & (KNOWN | FRESH)).count_ones() as usize;
        if received.bytes != MESSAGE || descriptors.len() != count {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (mut length, mut header) = ([0; 8], [0; HEADER]);
        length.copy_from_slice(&rest[..8]);
        header.copy_from_slice(&rest[8..]);
        let mut descriptors = descriptors.into_iter();
        let mut next = |bit| if which & bit != 0 { descriptors.next() } else { None };
        let (known, fresh) = (next(KNOWN), next(FRESH));
        let functions = (count > 0).then_some(FunctionFiles { header, known, fresh });
        Ok(Self { socket, length: u64::from_le_bytes(length), functions })
    }

    /// Reads the wasm.
    pub(crate) fn wasm(&mut self) -> io::Result<Vec<u8>> {
        let mut wasm = Vec::new();
        let length = (&mut self.socket).take(self.length).read_to_end(&mut wasm)?;
        match length as u64 == self.length {
            true => Ok(wasm),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;
    use crate::code::compiled::FreshCode;
    use crate::code::functions::header;

    fn file(text: &[u8]) -> File {
        let file = FreshCode::new().unwrap().writer().unwrap();
        file.write_all_at(text, 0).unwrap();
        file
    }

    #[test]
    fn the_input_arrives_with_its_descriptors() {
        for (known, fresh) in [(false, false), (true, false), (false, true), (true, true)] {
            let files = FunctionFiles {
                header: header("an engine"),
                known: known.then(|| file(b"known")),
                fresh: fresh.then(|| file(b"fresh")),
            };
            let (here, there) = UnixStream::pair().unwrap();
            // Longer than the buffer of a socket.
            let wasm = vec![7; 1 << 20];
            std::thread::scope(|scope| {
                scope.spawn(|| send(here, &wasm, (known || fresh).then_some(&files)).unwrap());
                let mut input = ReceivedInput::begin(there).unwrap();
                assert_eq!(input.wasm().unwrap(), wasm);
                let received = input.functions.take();
                assert_eq!(received.is_some(), known || fresh);
                let Some(received) = received else { return };
                assert_eq!(received.header, files.header);
                for (file, is_sent, text) in
                    [(received.known, known, b"known"), (received.fresh, fresh, b"fresh")]
                {
                    assert_eq!(file.is_some(), is_sent);
                    let Some(file) = file else { continue };
                    let mut read = [0; 5];
                    file.read_exact_at(&mut read, 0).unwrap();
                    assert_eq!(read, *text);
                }
            });
        }
    }

    #[test]
    fn a_short_input_is_an_error() {
        let (mut here, there) = UnixStream::pair().unwrap();
        let mut message = [0; MESSAGE];
        message[1] = 9;
        here.write_all(&message).unwrap();
        here.write_all(b"12345678").unwrap();
        drop(here);
        let mut input = ReceivedInput::begin(there).unwrap();
        assert_eq!(input.wasm().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        let (here, there) = UnixStream::pair().unwrap();
        drop(here);
        ReceivedInput::begin(there).unwrap_err();
    }
}
