//! The job that a child process runs.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;

use skep_protocol::{Limits, Rights};
use skep_scope::DiskUsage;

use crate::code::engine::Profile;
use crate::guest::stdio::GuestOutput;
use crate::guest::turn::Identity;
use crate::preflight::shape::Abi;

/// One run of a command.
#[derive(Clone, Debug, PartialEq)]
pub struct ProcessJob {
    /// The binary format that its code was compiled from.
    pub abi: Abi,
    /// The engine profile that its code was compiled for.
    pub profile: Profile,
    /// The arguments, starting with the program's own name.
    pub args: Vec<String>,
    /// The environment.
    pub env: Vec<(String, String)>,
    /// The directory that it starts in.
    pub initial_cwd: Option<String>,
    /// Standard input, or its beginning.
    pub stdin: Vec<u8>,
    /// True if the rest of standard input follows while the guest runs.
    pub more_stdin: bool,
    /// The config bundle.
    pub config: BTreeMap<String, String>,
    /// The worker and input that it runs for.
    pub identity: Identity,
    /// The directories, in the order of their descriptors.
    pub mounts: Vec<MountJob>,
    /// The limits.
    pub limits: Limits,
    /// The seed of a deterministic run, as in [`GuestSpec`](crate::GuestSpec).
    pub seed: Option<u64>,
}

/// A directory of the guest. Its descriptor has the same position.
#[derive(Clone, Debug, PartialEq)]
pub struct MountJob {
    /// The path that the guest sees.
    pub guest: String,
    /// Read-only or writable.
    pub rights: Rights,
    /// Its current usage, if that counts against the quota. All mounts for which it is `None` share one
    /// ledger, in which only additions count.
    pub used: Option<DiskUsage>,
    /// True if it is removed after the run, so that the times in it do not matter, whatever the rights.
    pub is_scratch: bool,
}

/// The streams of one run, on the host's side.
pub struct ProcessStreams {
    /// The rest of standard input, if [`ProcessJob::more_stdin`] is set. A thread reads it ahead of the
    /// guest, and ends with its next read after the run.
    pub stdin: Option<Box<dyn Read + Send>>,
    /// Standard output.
    pub stdout: GuestOutput,
    /// Standard error.
    pub stderr: GuestOutput,
}

impl fmt::Debug for ProcessStreams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessStreams").finish_non_exhaustive()
    }
}
