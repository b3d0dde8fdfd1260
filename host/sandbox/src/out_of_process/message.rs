//! The JSON messages between a host and the child that runs a command.
//!
//! A report comes from an untrusted process. Unknown members and unknown words are refused, texts
//! and lists are cut, and names are looked up in tables of this crate. The frame that carries a
//! message bounds its size before it is parsed.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use skep_protocol::text::neutral;
use skep_protocol::{Denial, Grants, HttpGrant, LimitName, Limits, Rights};
use skep_scope::DiskUsage;

use super::job::{MountJob, ProcessJob};
use crate::code::engine::Profile;
use crate::guest::cost::Cost;
use crate::guest::denials::{Denials, Denied};
use crate::guest::turn::Identity;
use crate::instance::Done;
use crate::outcome::{Crash, Ended, Frame};
use crate::preflight::interfaces::OFFERS;
use crate::preflight::shape::Abi;

/// Maximum bytes of one text in a report.
pub(super) const TEXT: usize = 4 << 10;

/// Maximum frames of a crash in a report.
pub(super) const FRAMES: usize = 32;

/// Maximum lines of standard error in a report of a crash.
const LINES: usize = 10;

/// A job, without the guest's standard input.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct JobMessage {
    component: bool,
    profile: String,
    args: Vec<String>,
    env: Vec<(String, String)>,
    config: BTreeMap<String, String>,
    /// Runtime id, worker id, input id.
    identity: (String, String, Option<String>),
    attempt: u32,
    mounts: Vec<MountMessage>,
    limits: BTreeMap<String, u64>,
    initial_cwd: Option<String>,
    seed: Option<u64>,
    more_stdin: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MountMessage {
    guest: String,
    write: bool,
    /// Bytes and entries.
    used: Option<(u64, u64)>,
    scratch: bool,
}

/// The report on a finished run.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DoneMessage {
    ended: EndedMessage,
    wall_us: u64,
    cpu_us: u64,
    memory_peak_bytes: u64,
    fuel: Option<u64>,
    /// Names of limits. An unknown one is dropped.
    #[serde(default)]
    limits_met: Vec<String>,
    /// [`DenialMessage`]s. One that is malformed is dropped by itself.
    denials: Vec<Value>,
    /// The directory in which Python could not keep its bytecode.
    #[serde(default)]
    bytecode: Option<String>,
}

/// The ways in which a child may report that a run ended. Cancelling is not one of them, because
/// only the host cancels.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum EndedMessage {
    Exited(u8),
    Trapped(CrashMessage),
    Limit { name: String, crash: Option<CrashMessage>, exit_code: Option<u8> },
    Deadline,
    HostFault(String),
}

/// Module, function, source, position.
type FrameMessage = (Option<String>, String, Option<String>, Option<u64>);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CrashMessage {
    message: String,
    frames: Vec<FrameMessage>,
    stderr: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DenialMessage {
    interface: String,
    #[serde(default)]
    wanted: Option<String>,
    http: Vec<String>,
}

/// Serialises a job.
pub(super) fn write_job(job: &ProcessJob) -> serde_json::Result<Vec<u8>> {
    let mount = |mount: &MountJob| MountMessage {
        guest: mount.guest.clone(),
        write: mount.rights == Rights::ReadWrite,
        used: mount.used.map(|used| (used.bytes, used.entries)),
        scratch: mount.is_scratch,
    };
    let Identity { runtime_id, worker_id, input_id, attempt } = job.identity.clone();
    let limit = |name: &LimitName| (name.as_str().to_owned(), job.limits.get(*name));
    serde_json::to_vec(&JobMessage {
        component: job.abi == Abi::Component,
        profile: job.profile.as_str().to_owned(),
        args: job.args.clone(),
        env: job.env.clone(),
        config: job.config.clone(),
        identity: (runtime_id, worker_id, input_id),
        attempt,
        mounts: job.mounts.iter().map(mount).collect(),
        limits: LimitName::ALL.iter().map(limit).collect(),
        initial_cwd: job.initial_cwd.clone(),
        seed: job.seed,
        more_stdin: job.more_stdin,
    })
}

/// Parses a job. `stdin` arrives separately.
pub(super) fn read_job(bytes: &[u8], stdin: Vec<u8>) -> io::Result<ProcessJob> {
    let message: JobMessage = serde_json::from_slice(bytes)?;
    let mut limits = Limits::default();
    for name in LimitName::ALL {
        let value = message.limits.get(name.as_str());
        limits.set(*name, *value.ok_or_else(|| invalid("a limit is missing"))?);
    }
    let mount = |mount: MountMessage| MountJob {
        guest: mount.guest,
        rights: if mount.write { Rights::ReadWrite } else { Rights::ReadOnly },
        used: mount.used.map(|(bytes, entries)| DiskUsage { bytes, entries }),
        is_scratch: mount.scratch,
    };
    let (runtime_id, worker_id, input_id) = message.identity;
    Ok(ProcessJob {
        abi: if message.component { Abi::Component } else { Abi::Preview1 },
        profile: Profile::parse(&message.profile).ok_or_else(|| invalid("unknown profile"))?,
        args: message.args,
        env: message.env,
        stdin,
        config: message.config,
        identity: Identity { runtime_id, worker_id, input_id, attempt: message.attempt },
        mounts: message.mounts.into_iter().map(mount).collect(),
        limits,
        initial_cwd: message.initial_cwd,
        seed: message.seed,
        more_stdin: message.more_stdin,
    })
}

/// Serialises a report.
pub(super) fn write_done(done: &Done) -> serde_json::Result<Vec<u8>> {
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let denials = done.denials.iter().map(DenialMessage::of).map(serde_json::to_value);
    serde_json::to_vec(&DoneMessage {
        ended: EndedMessage::of(&done.ended),
        wall_us: micros(done.cost.wall),
        cpu_us: micros(done.cost.cpu),
        memory_peak_bytes: done.cost.memory_peak_bytes,
        fuel: done.cost.fuel,
        limits_met: done.cost.limits_met.iter().map(|name| name.as_str().to_owned()).collect(),
        bytecode: done.denials.bytecode().map(cut),
        denials: denials.collect::<Result<_, _>>()?,
    })
}

/// Parses the report of an untrusted child. DiskUsage in it is capped at `limits`.
pub(super) fn read_done(bytes: &[u8], limits: &Limits) -> io::Result<Done> {
    let message: DoneMessage = serde_json::from_slice(bytes)?;
    let mut denials = Denials::default();
    for value in message.denials {
        let denial = serde_json::from_value(value).ok().and_then(DenialMessage::checked);
        if let Some((interface, denial)) = denial {
            denials.record_as(interface, denial);
        }
    }
    let cost = Cost {
        wall: Duration::from_micros(message.wall_us),
        cpu: Duration::from_micros(message.cpu_us),
        memory_peak_bytes: message.memory_peak_bytes.min(limits.memory_bytes),
        fuel: message.fuel.map(|fuel| fuel.min(limits.fuel)),
        limits_met: message.limits_met.iter().flat_map(|name| name.parse()).collect(),
    };
    if let Some(directory) = &message.bytecode {
        denials.record_bytecode(&cut(directory));
    }
    Ok(Done { ended: message.ended.checked()?, cost, denials })
}

impl EndedMessage {
    fn of(ended: &Ended) -> Self {
        match ended {
            Ended::Exited(code) => Self::Exited(*code),
            Ended::Trapped(crash) => Self::Trapped(CrashMessage::of(crash)),
            Ended::Limit { name, crash, exit_code } => Self::Limit {
                name: name.as_str().to_owned(),
                crash: crash.as_ref().map(CrashMessage::of),
                exit_code: *exit_code,
            },
            Ended::Deadline => Self::Deadline,
            Ended::Cancelled => Self::HostFault("the run was cancelled inside the child".into()),
            Ended::HostFault(fault) => Self::HostFault(cut(fault)),
            Ended::Answered(_) | Ended::Failed { .. } | Ended::ServiceExited { .. } => {
                Self::HostFault("a command returned a service's result".into())
            }
        }
    }

    fn checked(self) -> io::Result<Ended> {
        Ok(match self {
            Self::Exited(code) => Ended::Exited(code),
            Self::Trapped(crash) => Ended::Trapped(crash.checked()),
            Self::Limit { name, crash, exit_code } => Ended::Limit {
                name: name.parse().map_err(|_| invalid("unknown limit"))?,
                crash: crash.map(CrashMessage::checked),
                exit_code,
            },
            Self::Deadline => Ended::Deadline,
            Self::HostFault(fault) => Ended::HostFault(cut(&fault)),
        })
    }
}

impl CrashMessage {
    fn of(crash: &Crash) -> Self {
        let frame = |frame: &Frame| {
            let Frame { module, function, source, position } = frame.clone();
            (module, function, source, position)
        };
        Self {
            message: cut(&crash.message),
            frames: crash.frames.iter().map(frame).collect(),
            stderr: crash.stderr.clone(),
        }
    }

    fn checked(self) -> Crash {
        let frame = |(module, function, source, position): FrameMessage| Frame {
            module: module.as_deref().map(cut),
            function: cut(&function),
            source: source.as_deref().map(cut),
            position,
        };
        Crash {
            message: neutral(&cut(&self.message)).to_string(),
            frames: self.frames.into_iter().take(FRAMES).map(frame).collect(),
            stderr: self.stderr.iter().take(LINES).map(|line| cut(line)).collect(),
        }
    }
}

impl DenialMessage {
    fn of(denied: &Denied) -> Self {
        let http = denied.denial.grant.iter().flat_map(|grants| &grants.http);
        Self {
            interface: denied.interface.to_owned(),
            wanted: denied.denial.wanted.clone(),
            http: http.map(ToString::to_string).collect(),
        }
    }

    /// Returns `None` for an interface that Skep does not offer.
    fn checked(self) -> Option<(&'static str, Denial)> {
        let interface =
            OFFERS.iter().map(|offer| offer.name).find(|name| *name == self.interface)?;
        let wanted = self.wanted.map(|wanted| neutral(&cut(&wanted)).to_string());
        // A child could suggest a wide grant for a harmless request. The grant must name the origin
        // that the request was for.
        let is_for_request = |grant: &HttpGrant| {
            let origin = format!("{}://{}", grant.scheme, grant.host);
            let wanted = wanted.as_deref();
            !origin.contains('*') && wanted.is_some_and(|wanted| wanted.contains(&origin))
        };
        let grant = |text: &String| text.parse().ok().filter(is_for_request);
        let http: Vec<_> = self.http.iter().take(1).filter_map(grant).collect();
        let grant = (!http.is_empty()).then(|| Grants { http, ..Grants::default() });
        Some((interface, Denial { wanted, grant }))
    }
}

fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(TEXT)].to_owned()
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
