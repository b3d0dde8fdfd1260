//! What passes between a host and the child that runs a command, over a socket.
//!
//! First the descriptors, with one byte. Then frames: a byte that says what it is, the length of the
//! body (4 bytes, little-endian), the body. Towards the child: a job (JSON), standard input. From it:
//! pieces of what the guest prints, and one frame (JSON) with the end.
//!
//! What comes from the child is a stranger's. No frame is larger than its kind may be, every text is
//! cut, every name is looked up in a table of ours, and anything else ends the conversation.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde_json::{Map, Value, json};
use skep_protocol::text::neutral;
use skep_protocol::{Denial, Grants, HttpGrant, LimitName, Limits, Rights};
use skep_scope::DiskUsage;

use super::job::{MountJob, ProcessJob};
use crate::code::engine::Profile;
use crate::guest::denials::{Denials, Denied};
use crate::guest::turn::Identity;
use crate::instance::{Cost, Done};
use crate::outcome::{Crash, Ended, Frame};
use crate::preflight::interfaces::OFFERS;
use crate::preflight::shape::Abi;

/// Descriptors that one message may carry, and so directories of a guest and its code.
const DESCRIPTORS: usize = 64;

/// Bytes of a job, whose arguments and environment come from one input.
const JOB_BYTES: u32 = 64 << 20;

/// Bytes of one piece of what the guest prints.
pub(super) const PIECE: usize = 64 << 10;

/// Bytes of the end: frames of a crash, for the most part.
const DONE_BYTES: u32 = 256 << 10;

/// Bytes of one text in it.
const TEXT: usize = 4 << 10;

/// Levels of a crash.
const FRAMES: usize = 32;

const JOB: u8 = b'j';
const STDIN: u8 = b'i';
const STDOUT: u8 = b'o';
const STDERR: u8 = b'e';
const DONE: u8 = b'd';

/// Where the guest prints to.
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

fn wrong(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Sends one frame.
fn send(socket: &mut impl Write, tag: u8, body: &[u8]) -> io::Result<()> {
    let length = u32::try_from(body.len()).map_err(|_| wrong("a frame is too long"))?;
    let mut head = [tag, 0, 0, 0, 0];
    head[1..].copy_from_slice(&length.to_le_bytes());
    socket.write_all(&head)?;
    socket.write_all(body)
}

/// The next frame; `None` at the end. `most` says how long a body of its kind may be.
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
        return Err(wrong("a frame that is not expected"));
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
        return Err(wrong("more directories than can be passed on"));
    }
    let count = [u8::try_from(descriptors.len()).unwrap_or(u8::MAX)];
    sendmsg(&*socket, &[IoSlice::new(&count)], &mut rights, SendFlags::NOSIGNAL)?;
    send(socket, JOB, &serde_json::to_vec(&job_value(job))?)?;
    send(socket, STDIN, &job.stdin)
}

/// Takes all of that in.
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
    let missing = || wrong("the job is not whole");
    let (_, job) = next(socket, only(JOB, JOB_BYTES))?.ok_or_else(missing)?;
    let (_, stdin) = next(socket, only(STDIN, JOB_BYTES))?.ok_or_else(missing)?;
    let job = job_of(&serde_json::from_slice(&job)?, stdin).ok_or_else(missing)?;
    if descriptors.len() != usize::from(count[0]) || descriptors.len() != job.mounts.len() + 1 {
        return Err(missing());
    }
    Ok((job, descriptors))
}

/// Passes on what the guest prints until the end; `None` where the child is gone before that.
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
                let done = serde_json::from_slice(&body)?;
                return done_of(&done, limits).map(Some).ok_or_else(|| wrong("not an end"));
            }
        }
    }
    Ok(None)
}

/// Sends what the guest prints, in frames.
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

/// Sends the end.
pub(super) fn send_done(socket: &mut impl Write, done: &Done) -> io::Result<()> {
    send(socket, DONE, &serde_json::to_vec(&done_value(done))?)
}

fn job_value(job: &ProcessJob) -> Value {
    let mount = |mount: &MountJob| {
        json!({
            "guest": mount.guest,
            "write": mount.rights == Rights::ReadWrite,
            "used": mount.used.map(|used| [used.bytes, used.entries]),
        })
    };
    let limits: Map<String, Value> = LimitName::ALL
        .iter()
        .map(|name| (name.as_str().to_owned(), job.limits.get(*name).into()))
        .collect();
    let Identity { runtime_id, worker_id, input_id, attempt } = &job.identity;
    json!({
        "component": job.abi == Abi::Component,
        "profile": job.profile.as_str(),
        "args": job.args,
        "env": job.env,
        "config": job.config,
        "identity": [runtime_id, worker_id, input_id],
        "attempt": attempt,
        "mounts": job.mounts.iter().map(mount).collect::<Vec<_>>(),
        "limits": limits,
    })
}

fn job_of(value: &Value, stdin: Vec<u8>) -> Option<ProcessJob> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let texts = |value: &Value| value.as_array()?.iter().map(text).collect::<Option<Vec<_>>>();
    let pair = |value: &Value| Some((text(value.get(0)?)?, text(value.get(1)?)?));
    let mount = |value: &Value| {
        let used = match &value["used"] {
            Value::Null => None,
            used => {
                Some(DiskUsage { bytes: used.get(0)?.as_u64()?, entries: used.get(1)?.as_u64()? })
            }
        };
        let rights = match value["write"].as_bool()? {
            true => Rights::ReadWrite,
            false => Rights::ReadOnly,
        };
        Some(MountJob { guest: text(&value["guest"])?, rights, used })
    };
    let mut limits = Limits::default();
    for name in LimitName::ALL {
        limits.set(*name, value["limits"][name.as_str()].as_u64()?);
    }
    let identity = &value["identity"];
    Some(ProcessJob {
        abi: if value["component"].as_bool()? { Abi::Component } else { Abi::Preview1 },
        profile: Profile::parse(value["profile"].as_str()?)?,
        args: texts(&value["args"])?,
        env: value["env"].as_array()?.iter().map(pair).collect::<Option<_>>()?,
        stdin,
        config: value["config"]
            .as_object()?
            .iter()
            .map(|(key, value)| Some((key.clone(), text(value)?)))
            .collect::<Option<_>>()?,
        identity: Identity {
            runtime_id: text(&identity[0])?,
            worker_id: text(&identity[1])?,
            input_id: text(&identity[2]),
            attempt: value["attempt"].as_u64()?.try_into().ok()?,
        },
        mounts: value["mounts"].as_array()?.iter().map(mount).collect::<Option<_>>()?,
        limits,
    })
}

fn done_value(done: &Done) -> Value {
    let crash = |crash: &Crash| {
        let frames: Vec<_> = crash
            .frames
            .iter()
            .map(|frame| json!([frame.module, frame.function, frame.source]))
            .collect();
        json!({ "message": cut(&crash.message), "frames": frames })
    };
    let (word, detail) = match &done.ended {
        Ended::Exited(code) => ("exited", json!(code)),
        Ended::Trapped(trapped) => ("trapped", crash(trapped)),
        Ended::Limit { name, crash: crashed, exit_code } => (
            "limit",
            json!({
                "name": name.as_str(),
                "crash": crashed.as_ref().map(crash),
                "exit_code": exit_code,
            }),
        ),
        Ended::Deadline => ("deadline", Value::Null),
        Ended::Cancelled => ("cancelled", Value::Null),
        Ended::HostFault(what) => ("host_fault", json!(cut(what))),
        Ended::Answered(_) | Ended::Failed(_) => ("host_fault", json!("a command has answered")),
    };
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    json!({
        "ended": word,
        "detail": detail,
        "wall_us": micros(done.cost.wall),
        "cpu_us": micros(done.cost.cpu),
        "memory_peak_bytes": done.cost.memory_peak_bytes,
        "fuel": done.cost.fuel,
        "denials": done.denials.iter().map(denied_json).collect::<Vec<_>>(),
    })
}

fn denied_json(denied: &Denied) -> Value {
    let http = denied.denial.grant.iter().flat_map(|grants| &grants.http);
    let http: Vec<_> = http.map(ToString::to_string).collect();
    json!({ "interface": denied.interface, "wanted": denied.denial.wanted, "http": http })
}

fn denied_of(value: &Value) -> Option<(&'static str, Denial)> {
    let name = value["interface"].as_str()?;
    let interface = OFFERS.iter().map(|offer| offer.name).find(|offer| *offer == name)?;
    let wanted = value["wanted"].as_str().map(|wanted| neutral(cut(wanted)).to_string());
    // What would allow more than was wanted could be asked for behind something harmless.
    let names = |grant: &HttpGrant| {
        let origin = format!("{}://{}", grant.scheme, grant.host);
        !origin.contains('*') && wanted.as_deref().is_some_and(|wanted| wanted.contains(&origin))
    };
    let grant = |text: &Value| text.as_str()?.parse().ok().filter(names);
    let http: Vec<_> = value["http"].as_array()?.iter().take(1).filter_map(grant).collect();
    let grant = (!http.is_empty()).then(|| Grants { http, ..Grants::default() });
    Some((interface, Denial { wanted, grant }))
}

/// The end, as far as it can be one. What it says of limits is no more than they are.
fn done_of(value: &Value, limits: &Limits) -> Option<Done> {
    let detail = &value["detail"];
    let ended = match value["ended"].as_str()? {
        "exited" => Ended::Exited(detail.as_u64()?.try_into().ok()?),
        "trapped" => Ended::Trapped(crash_of(detail)?),
        "limit" => Ended::Limit {
            name: detail["name"].as_str()?.parse().ok()?,
            crash: crash_of(&detail["crash"]),
            exit_code: match &detail["exit_code"] {
                Value::Null => None,
                code => Some(code.as_u64()?.try_into().ok()?),
            },
        },
        "deadline" => Ended::Deadline,
        // Nobody but this side cancels.
        "host_fault" => Ended::HostFault(cut(detail.as_str()?).to_owned()),
        _ => return None,
    };
    let mut denials = Denials::default();
    for (interface, denial) in value["denials"].as_array()?.iter().filter_map(denied_of) {
        denials.record_as(interface, denial);
    }
    let cost = Cost {
        wall: Duration::from_micros(value["wall_us"].as_u64()?),
        cpu: Duration::from_micros(value["cpu_us"].as_u64()?),
        memory_peak_bytes: value["memory_peak_bytes"].as_u64()?.min(limits.memory_bytes),
        fuel: value["fuel"].as_u64().map(|fuel| fuel.min(limits.fuel)),
    };
    Some(Done { ended, cost, denials })
}

fn crash_of(value: &Value) -> Option<Crash> {
    let text = |value: &Value| value.as_str().map(|text| cut(text).to_owned());
    let frame = |value: &Value| {
        Some(Frame {
            module: text(value.get(0)?),
            function: text(value.get(1)?)?,
            source: text(value.get(2)?),
        })
    };
    let frames = value["frames"].as_array()?.iter().take(FRAMES);
    Some(Crash {
        message: neutral(&text(&value["message"])?).to_string(),
        frames: frames.map(frame).collect::<Option<_>>()?,
    })
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT)]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use std::os::fd::AsFd;

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
            }],
            limits: Limits { fuel: u64::MAX, ..Limits::default() },
        }
    }

    #[test]
    fn a_job_arrives_as_it_was_sent_with_its_descriptors() {
        let (mut here, mut there) = UnixStream::pair().unwrap();
        let null = std::fs::File::open("/dev/null").unwrap();
        send_job(&mut here, &job(), &[null.as_fd(), null.as_fd()]).unwrap();
        let (received, descriptors) = receive_job(&mut there).unwrap();
        assert_eq!(received, job());
        assert_eq!(descriptors.len(), 2);
        // One that lacks a directory is no job.
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
    fn each_end_arrives_as_it_was_sent() {
        let crash = Crash {
            message: "unreachable".into(),
            frames: vec![Frame {
                module: None,
                function: "f".into(),
                source: Some("a.rs:1".into()),
            }],
        };
        let mut denials = Denials::default();
        denials.record("wasi:sockets/tcp");
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
            let cost = Cost { wall: Duration::from_micros(9), ..Cost::default() };
            let done = Done { ended, cost, denials: denials.clone() };
            let mut bytes = Vec::new();
            send_done(&mut bytes, &done).unwrap();
            assert_eq!(read(&bytes).unwrap(), Some(done));
        }
    }

    #[test]
    fn a_child_that_was_taken_over_is_not_believed() {
        // Frames that are too long, of no kind, or no end at all.
        let mut long = frame(STDOUT, b"x");
        long[1..5].copy_from_slice(&u32::MAX.to_le_bytes());
        for bytes in [
            long,
            frame(JOB, b"{}"),
            frame(DONE, b"{}"),
            frame(DONE, b"\xff"),
            frame(DONE, br#"{"ended":"cancelled"}"#),
            frame(DONE, br#"{"ended":"exited","detail":256}"#),
        ] {
            assert!(read(&bytes).is_err(), "{bytes:?}");
        }
        assert_eq!(read(&[]).unwrap(), None);
        let lies = json!({
            "ended": "trapped",
            "detail": { "message": "m".repeat(9_000), "frames": vec![json!([null, "f", null]); 99] },
            "wall_us": 1, "cpu_us": 1, "memory_peak_bytes": u64::MAX, "fuel": u64::MAX,
            "denials": [
                json!({ "interface": "wasi:sockets/tcp", "http": [] }),
                json!({ "interface": "wasi:sockets/tcp", "http": ["rubbish"] }),
                json!({ "interface": "</script>", "http": [] }),
                json!({ "interface": "wasi:http/outgoing-handler", "wanted": "GET http://a.b",
                    "http": ["http://*"] }),
                json!({ "interface": "wasi:http/outgoing-handler", "wanted": "GET http://a.b",
                    "http": ["http://c.d"] }),
                7,
            ],
        });
        let done = read(&frame(DONE, &serde_json::to_vec(&lies).unwrap())).unwrap().unwrap();
        let Ended::Trapped(crash) = done.ended else { panic!("{:?}", done.ended) };
        assert_eq!((crash.message.len(), crash.frames.len()), (TEXT, FRAMES));
        let mut denials = Denials::default();
        denials.record("wasi:sockets/tcp");
        let wanted = Some("GET http://a.b".into());
        denials.record_as("wasi:http/outgoing-handler", Denial { wanted, grant: None });
        assert_eq!(done.denials, denials);
        assert_eq!(done.cost.memory_peak_bytes, Limits::default().memory_bytes);
    }

    #[test]
    fn what_a_guest_prints_comes_in_pieces() {
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
