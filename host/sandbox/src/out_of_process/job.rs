//! One run of a command in a process of its own, as the child is told it.

use std::collections::BTreeMap;

use skep_protocol::{Limits, Rights};
use skep_scope::DiskUsage;

use crate::code::engine::Profile;
use crate::guest::turn::Identity;
use crate::preflight::shape::Abi;

/// One run.
#[derive(Clone, Debug, PartialEq)]
pub struct ProcessJob {
    /// The interface its code was compiled for.
    pub abi: Abi,
    /// The engine configuration its code was compiled under.
    pub profile: Profile,
    /// Its arguments, its own name first.
    pub args: Vec<String>,
    /// Its environment.
    pub env: Vec<(String, String)>,
    /// Its standard input, whole.
    pub stdin: Vec<u8>,
    /// Its config bundle.
    pub config: BTreeMap<String, String>,
    /// The worker and input it runs for.
    pub identity: Identity,
    /// Its directories, in the order of their descriptors.
    pub mounts: Vec<MountJob>,
    /// Its limits.
    pub limits: Limits,
}

/// A directory of the guest, whose descriptor is in the same position.
#[derive(Clone, Debug, PartialEq)]
pub struct MountJob {
    /// The path it has inside.
    pub guest: String,
    /// Read-only, or writable.
    pub rights: Rights,
    /// What it holds already, where all of that counts against the quota; else only what is added.
    pub used: Option<DiskUsage>,
}
