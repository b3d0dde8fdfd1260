//! The protocol between a host and the child that runs a command, over a socket.
//!
//! The descriptors come first, with one byte. Frames follow: a byte for the kind, the length of the
//! body (4 bytes, little-endian), and the body. The host sends a job (JSON) and standard input, whose
//! rest may follow in pieces, the last of which is empty. The child sends pieces of output and one
//! report (JSON).
//!
//! The child is untrusted. Each kind of frame has a maximum size, and an unexpected frame ends the
//! run. The [`message`] module validates the report.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use skep_protocol::Limits;

use super::job::ProcessJob;
use super::message;
use crate::instance::Done;

/// Maximum descriptors in one message: the code and the guest's directories.
const DESCRIPTORS: usize = 64;

/// Maximum bytes of a job. Its arguments and environment come from one input.
const JOB_BYTES: u32 = 64 << 20;

/// Maximum bytes of one piece of output.
pub(super) const PIECE: usize = 64 << 10;

/// Maximum bytes of a report. Most of it are the frames of a crash.
const DONE_BYTES: u32 = 256 << 10;

const JOB: u8 = b'j';
const STDIN: u8 = b'i';
const STDOUT: u8 = b'o';
const STDERR: u8 = b'e';
const DONE: u8 = b'd';

/// The stream that a guest prints to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    const fn tag(self) -> u8 {
        match self {
            Self::Stdout => STDOUT,
            Self::Stderr => STDERR,
        }
    }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Sends one frame.
fn send(socket: &mut impl Write, tag: u8, body: &[u8]) -> io::Result<()> {
    let length = u32::try_from(body.len()).map_err(|_| invalid("frame too long"))?;
    let mut head = [tag, 0, 0, 0, 0];
    head[1..].copy_from_slice(&length.to_le_bytes());
    socket.write_all(&head)?;
    socket.write_all(body)
}

/// Receives the next frame. Returns `None` at the end of the stream. `most` returns the maximum
/// size of a kind, or `None` if the kind is not expected.
fn next(
    socket: &mut impl Read,
    most: impl FnOnce(u8) -> Option<u32>,
) -> io::Result<Option<(u8, Vec<u8>)>> {
    let mut head = [0; 5];
    match socket.read_exact(&mut head) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let [tag, length @ ..] = head;
    let length = u32::from_le_bytes(length);
    if most(tag).is_none_or(|most| length > most) {
        return Err(invalid("unexpected frame"));
    }
    let mut body = vec![0; length as usize];
    socket.read_exact(&mut body)?;
    Ok(Some((tag, body)))
}

/// Sends the descriptors, the job and the guest's standard input.
pub(super) fn send_job(
    socket: &mut UnixStream,
    job: &ProcessJob,
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut rights = SendAncillaryBuffer::new(&mut space);
    if descriptors.len() > DESCRIPTORS || !rights.push(SendAncillaryMessage::ScmRights(descriptors))
    {
        return Err(invalid("too many directories"));
    }
    let count = [u8::try_from(descriptors.len()).unwrap_or(u8::MAX)];
    sendmsg(&*socket, &[IoSlice::new(&count)], &mut rights, SendFlags::NOSIGNAL)?;
    send(socket, JOB, &message::write_job(job)?)?;
    send(socket, STDIN, &job.stdin)
}

/// Receives the descriptors, the job and the guest's standard input.
pub(super) fn receive_job(socket: &mut UnixStream) -> io::Result<(ProcessJob, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut rights = RecvAncillaryBuffer::new(&mut space);
    let mut count = [0];
    recvmsg(&*socket, &mut [IoSliceMut::new(&mut count)], &mut rights, RecvFlags::CMSG_CLOEXEC)?;
    let mut descriptors = Vec::new();
    for message in rights.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            descriptors.extend(received);
        }
    }
    let only = |wanted, most| move |tag| (tag == wanted).then_some(most);
    let missing = || invalid("incomplete job");
    let (_, job) = next(socket, only(JOB, JOB_BYTES))?.ok_or_else(missing)?;
    let (_, stdin) = next(socket, only(STDIN, JOB_BYTES))?.ok_or_else(missing)?;
    let job = message::read_job(&job, stdin)?;
    if descriptors.len() != usize::from(count[0]) || descriptors.len() != job.mounts.len() + 1 {
        return Err(missing());
    }
    Ok((job, descriptors))
}

/// Sends the rest of standard input. If it cannot be read, the child gets no end, so that its guest
/// does not take a part for the whole.
pub(super) fn send_stdin(mut from: impl Read, mut socket: UnixStream) {
    let mut piece = vec![0; PIECE];
    loop {
        let n = match from.read(&mut piece) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                tracing::debug!(%error, "cannot read the guest's standard input");
                let _ = socket.shutdown(Shutdown::Write);
                return;
            }
            Ok(n) => n,
        };
        // The child may have ended without reading all of its input.
        if send(&mut socket, STDIN, &piece[..n]).is_err() || n == 0 {
            return;
        }
    }
}

/// Reads the rest of standard input as it arrives.
pub(super) struct StdinFrames {
    socket: File,
    piece: io::Cursor<Vec<u8>>,
    ended: bool,
}

impl StdinFrames {
    /// Starts with the bytes that arrived with the job.
    pub(super) fn after(beginning: Vec<u8>, socket: File) -> Self {
        Self { socket, piece: io::Cursor::new(beginning), ended: false }
    }
}

impl Read for StdinFrames {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let n = self.piece.read(buffer)?;
            if n > 0 || self.ended || buffer.is_empty() {
                return Ok(n);
            }
            let most = |tag| (tag == STDIN).then_some(PIECE as u32);
            let (_, piece) = next(&mut self.socket, most)?.ok_or(io::ErrorKind::UnexpectedEof)?;
            self.ended = piece.is_empty();
            self.piece = io::Cursor::new(piece);
        }
    }
}

/// Passes on the guest's output until the report arrives. Returns `None` if the child exits without
/// one.
pub(super) fn receive(
    socket: &mut impl Read,
    limits: &Limits,
    mut prints: impl FnMut(Stream, &[u8]),
) -> io::Result<Option<Done>> {
    let most = |tag| match tag {
        STDOUT | STDERR => u32::try_from(PIECE).ok(),
        DONE => Some(DONE_BYTES),
        _ => None,
    };
    while let Some((tag, body)) = next(socket, most)? {
        match tag {
            STDOUT => prints(Stream::Stdout, &body),
            STDERR => prints(Stream::Stderr, &body),
            _ => {
                return message::read_done(&body, limits).map(Some);
            }
        }
    }
    Ok(None)
}

/// Sends the guest's output in frames.
pub(super) struct Printer {
    pub(super) socket: Arc<Mutex<File>>,
    pub(super) stream: Stream,
}

impl Write for Printer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = &bytes[..bytes.len().min(PIECE)];
        let mut socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        send(&mut *socket, self.stream.tag(), piece)?;
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Sends the report.
pub(super) fn send_done(socket: &mut impl Write, done: &Done) -> io::Result<()> {
    send(socket, DONE, &message::write_done(done)?)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::os::fd::AsFd;
    use std::time::Duration;

    use serde_json::{Value, json};
    use skep_protocol::{Denial, Grants, LimitName, Rights};
    use skep_scope::DiskUsage;

    use super::message::{FRAMES, TEXT};
    use super::*;
    use crate::code::engine::Profile;
    use crate::guest::cost::Cost;
    use crate::guest::denials::Denials;
    use crate::guest::turn::Identity;
    use crate::out_of_process::job::MountJob;
    use crate::outcome::{Crash, Ended, Frame};
    use crate::preflight::shape::Abi;

    fn job() -> ProcessJob {
        ProcessJob {
            abi: Abi::Component,
            profile: Profile::Default,
            args: vec!["tool".into(), "é\n".into()],
            env: vec![("K".into(), "V=W".into())],
            stdin: vec![0, 255, 7],
            config: BTreeMap::from([("who".into(), "bee".into())]),
            identity: Identity {
                runtime_id: "r".into(),
                worker_id: "w".into(),
                input_id: None,
                attempt: 2,
            },
            mounts: vec![MountJob {
                guest: "/data".into(),
                rights: Rights::ReadWrite,
                used: Some(DiskUsage { bytes: 5, entries: 1 }),
                is_scratch: true,
            }],
            limits: Limits { fuel: u64::MAX, ..Limits::default() },
            initial_cwd: Some("/src".into()),
            more_stdin: true,
            seed: Some(u64::MAX),
        }
    }

    #[test]
    fn jobs_and_descriptors_arrive_unchanged() {
        let (mut here, mut there) = UnixStream::pair().unwrap();
        let null = std::fs::File::open("/dev/null").unwrap();
        send_job(&mut here, &job(), &[null.as_fd(), null.as_fd()]).unwrap();
        let (received, descriptors) = receive_job(&mut there).unwrap();
        assert_eq!(received, job());
        assert_eq!(descriptors.len(), 2);
        // A descriptor is missing.
        send_job(&mut here, &job(), &[null.as_fd()]).unwrap();
        assert!(receive_job(&mut there).is_err());
    }

    fn read(bytes: &[u8]) -> io::Result<Option<Done>> {
        receive(&mut &bytes[..], &Limits::default(), |_, _| {})
    }

    fn frame(tag: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        send(&mut bytes, tag, body).unwrap();
        bytes
    }

    #[test]
    fn reports_arrive_unchanged() {
        let crash = Crash {
            message: "unreachable".into(),
            frames: vec![Frame {
                module: None,
                function: "f".into(),
                source: Some("a.rs:1".into()),
                position: Some(7),
            }],
            stderr: vec!["a line".into()],
        };
        let mut denials = Denials::default();
        denials.record("wasi:sockets/tcp");
        denials.record_bytecode("/src");
        let http = vec!["GET http://a.b:81 inner".parse().unwrap()];
        let grant = Some(Grants { http, ..Grants::default() });
        let wanted = Some("GET http://a.b:81".into());
        denials.record_as("wasi:http/outgoing-handler", Denial { wanted, grant });
        for ended in [
            Ended::Exited(7),
            Ended::Trapped(crash.clone()),
            Ended::Limit { name: LimitName::memory_bytes, crash: Some(crash), exit_code: None },
            Ended::Limit { name: LimitName::fuel, crash: None, exit_code: Some(1) },
            Ended::Deadline,
            Ended::HostFault("x".into()),
        ] {
            let limits_met = [LimitName::disk_bytes, LimitName::memory_bytes].into_iter().collect();
            let cost = Cost { wall: Duration::from_micros(9), limits_met, ..Cost::default() };
            let done = Done { ended, cost, denials: denials.clone() };
            let mut bytes = Vec::new();
            send_done(&mut bytes, &done).unwrap();
            assert_eq!(read(&bytes).unwrap(), Some(done));
        }
    }

    /// A valid report, with one member replaced.
    fn report(member: &str, value: Value) -> Vec<u8> {
        let mut report = json!({
            "ended": { "exited": 0 },
            "wall_us": 1, "cpu_us": 1, "memory_peak_bytes": 1, "fuel": null, "denials": [],
        });
        report[member] = value;
        frame(DONE, &serde_json::to_vec(&report).unwrap())
    }

    #[test]
    fn malformed_reports_are_refused() {
        let mut long = frame(STDOUT, b"x");
        long[1..5].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(read(&report("ended", json!({ "exited": 255 }))).is_ok());
        for bytes in [
            long,
            frame(JOB, b"{}"),
            frame(DONE, b"{}"),
            frame(DONE, b"\xff"),
            frame(DONE, br#"{"ended":"cancelled"}"#),
            report("ended", json!("cancelled")),
            report("ended", json!({ "answered": {} })),
            report("ended", json!({ "exited": 256 })),
            report("ended", json!({ "exited": 0, "deadline": null })),
            report(
                "ended",
                json!({ "limit": { "name": "no_such", "crash": null, "exit_code": 1 } }),
            ),
            report(
                "ended",
                json!({ "trapped": { "message": "m", "frames": [], "stderr": [], "more": 1 } }),
            ),
            report("wall_us", json!(-1)),
            report("more", json!(1)),
        ] {
            assert!(read(&bytes).is_err(), "{bytes:?}");
        }
        assert_eq!(read(&[]).unwrap(), None);
    }

    #[test]
    fn reports_of_a_compromised_child_are_bounded() {
        let lies = json!({
            "ended": {
                "trapped": {
                    "message": "m".repeat(9_000),
                    "stderr": vec!["s".repeat(5_000); 20],
                    "frames": vec![json!([null, "f", null, 1]); 99],
                },
            },
            "wall_us": 1, "cpu_us": 1, "memory_peak_bytes": u64::MAX, "fuel": u64::MAX,
            "denials": [
                json!({ "interface": "wasi:sockets/tcp", "http": [] }),
                json!({ "interface": "wasi:sockets/tcp", "http": ["rubbish"] }),
                json!({ "interface": "</script>", "http": [] }),
                json!({ "interface": "wasi:http/outgoing-handler", "wanted": "GET http://a.b",
                    "http": ["http://*"] }),
                json!({ "interface": "wasi:http/outgoing-handler", "wanted": "GET http://a.b",
                    "http": ["http://c.d"] }),
                json!({ "interface": "wasi:sockets/udp", "http": [], "more": 1 }),
                7,
            ],
        });
        let done = read(&frame(DONE, &serde_json::to_vec(&lies).unwrap())).unwrap().unwrap();
        let Ended::Trapped(crash) = done.ended else { panic!("{:?}", done.ended) };
        assert_eq!((crash.message.len(), crash.frames.len()), (TEXT, FRAMES));
        assert_eq!((crash.stderr.len(), crash.stderr[0].len()), (10, TEXT));
        let mut denials = Denials::default();
        denials.record("wasi:sockets/tcp");
        let wanted = Some("GET http://a.b".into());
        denials.record_as("wasi:http/outgoing-handler", Denial { wanted, grant: None });
        assert_eq!(done.denials, denials);
        assert_eq!(done.cost.memory_peak_bytes, Limits::default().memory_bytes);
        assert_eq!(done.cost.fuel, Some(Limits::default().fuel));
    }

    #[test]
    fn standard_input_arrives_in_pieces_up_to_its_end() {
        let (here, there) = UnixStream::pair().unwrap();
        let sent: Vec<u8> = (0..3 * PIECE).map(|n| n as u8).collect();
        let source = io::Cursor::new(sent.clone());
        let writer = std::thread::spawn(move || send_stdin(source, here));
        let mut frames = StdinFrames::after(b"head".to_vec(), File::from(OwnedFd::from(there)));
        let mut got = Vec::new();
        frames.read_to_end(&mut got).unwrap();
        writer.join().unwrap();
        assert_eq!((&got[..4], &got[4..]), (&b"head"[..], &sent[..]));
    }

    #[test]
    fn input_that_cannot_be_read_has_no_end() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::ConnectionReset.into())
            }
        }
        let (here, there) = UnixStream::pair().unwrap();
        send_stdin(Broken, here);
        let mut frames = StdinFrames::after(Vec::new(), File::from(OwnedFd::from(there)));
        assert!(frames.read(&mut [0; 8]).is_err());
    }

    #[test]
    fn output_is_sent_in_bounded_pieces() {
        let (here, mut there) = UnixStream::pair().unwrap();
        let socket = Arc::new(Mutex::new(File::from(OwnedFd::from(here))));
        let mut printer = Printer { socket: socket.clone(), stream: Stream::Stderr };
        let writer = std::thread::spawn(move || {
            printer.write_all(&vec![b'x'; PIECE + 1]).unwrap();
            let done = Done {
                ended: Ended::Exited(0),
                cost: Cost::default(),
                denials: Denials::default(),
            };
            send_done(&mut *socket.lock().unwrap(), &done).unwrap();
        });
        let mut pieces = Vec::new();
        let done = receive(&mut there, &Limits::default(), |stream, bytes| {
            assert_eq!(stream, Stream::Stderr);
            pieces.push(bytes.len());
        });
        writer.join().unwrap();
        assert_eq!(done.unwrap().unwrap().ended, Ended::Exited(0));
        assert_eq!(pieces, [PIECE, 1]);
    }
}
