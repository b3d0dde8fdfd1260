//! The job that a child process runs.

use std::collections::BTreeMap;

use skep_protocol::{Limits, Rights};
use skep_scope::DiskUsage;

use crate::code::engine::Profile;
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
    /// The complete standard input.
    pub stdin: Vec<u8>,
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
    /// Its current usage, if that counts against the quota. If it is `None`, only additions count.
    pub used: Option<DiskUsage>,
}
