//! What one instance is given: the whole of its access to anything outside.

use std::sync::Arc;

use skep_protocol::Limits;
use skep_scope::Scope;

use crate::egress::HttpAccess;
use crate::guest::calls::{FileCalls, FileThread};
use crate::guest::stdio::{GuestInput, GuestOutput};
use crate::limits::admission::{MemoryAdmission, UnboundedMemory};

/// A directory of the guest.
#[derive(Clone, Debug)]
pub struct Mount {
    /// The path it has inside.
    pub guest: String,
    /// What it is.
    pub scope: Scope,
}

/// Everything an instance gets. What is not here, it does not have.
#[derive(Clone, Debug)]
pub struct GuestSpec {
    /// Its arguments, its own name first.
    pub args: Vec<String>,
    /// Its environment; nothing of the host's is added.
    pub env: Vec<(String, String)>,
    /// Standard input.
    pub stdin: GuestInput,
    /// Standard output.
    pub stdout: GuestOutput,
    /// Standard error.
    pub stderr: GuestOutput,
    /// Its directories.
    pub mounts: Vec<Mount>,
    /// Where its file calls run.
    pub files: FileCalls,
    /// What it may ask others.
    pub http: HttpAccess,
    /// What it cannot pass.
    pub limits: Limits,
    /// Virtual clocks, seeded randomness, sorted directories and fixed file times. Fuel and
    /// canonical NaNs are the profile's part.
    pub seed: Option<u64>,
    /// Where its memory comes from.
    pub admission: Arc<dyn MemoryAdmission>,
}

impl Default for GuestSpec {
    fn default() -> Self {
        Self {
            args: Vec::new(),
            env: Vec::new(),
            stdin: GuestInput::empty(),
            stdout: GuestOutput::captured(0),
            stderr: GuestOutput::captured(0),
            mounts: Vec::new(),
            files: FileCalls::new(FileThread::Pool),
            http: HttpAccess::default(),
            limits: Limits::default(),
            seed: None,
            admission: Arc::new(UnboundedMemory),
        }
    }
}
