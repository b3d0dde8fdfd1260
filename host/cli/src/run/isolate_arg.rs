//! `--isolate`: whether a guest runs in a process of its own, behind the second wall.

use clap::ValueEnum;
use skep_sandbox::Isolation;

/// The runs that get a process of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum IsolateArg {
    /// All runs; a component that cannot is refused
    Always,
    /// All components that can, that is commands that send no requests
    Auto,
    /// No run
    Never,
}

impl IsolateArg {
    /// Returns the policy of a sandbox.
    pub(super) fn policy(self) -> Isolation {
        match self {
            Self::Always => Isolation::Process,
            Self::Auto => Isolation::Auto,
            Self::Never => Isolation::Thread,
        }
    }
}
