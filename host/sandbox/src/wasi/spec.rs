//! The configuration of one instance: all its access to the outside.

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
    /// The path that the guest sees.
    pub guest: String,
    /// The directory.
    pub scope: Scope,
}

/// The configuration of one instance. A guest has access to nothing else.
#[derive(Clone, Debug)]
pub struct GuestSpec {
    /// The arguments, starting with the program's own name.
    pub args: Vec<String>,
    /// The environment. Nothing of the host's is added.
    pub env: Vec<(String, String)>,
    /// The directory that it starts in. The system interfaces know no other: each libc decides what to
    /// make of it.
    pub initial_cwd: Option<String>,
    /// Standard input.
    pub stdin: GuestInput,
    /// Standard output.
    pub stdout: GuestOutput,
    /// Standard error.
    pub stderr: GuestOutput,
    /// The directories.
    pub mounts: Vec<Mount>,
    /// Runs the file calls.
    pub files: FileCalls,
    /// The hosts that it may send requests to.
    pub http: HttpAccess,
    /// The limits.
    pub limits: Limits,
    /// The seed of a deterministic run: virtual clocks, seeded randomness, sorted directories and
    /// fixed file times. The profile adds fuel and canonical NaNs.
    pub seed: Option<u64>,
    /// Admits its memory.
    pub admission: Arc<dyn MemoryAdmission>,
}

impl Default for GuestSpec {
    fn default() -> Self {
        Self {
            args: Vec::new(),
            env: Vec::new(),
            initial_cwd: None,
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
