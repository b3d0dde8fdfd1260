//! The child processes of Skep: this program, started again with a hidden first argument.

use std::ffi::OsString;

use skep_sandbox::{ChildCompiler, Incremental, Isolation, OutOfProcess};

use crate::ambient;

/// The argument that makes a child compile one component.
const COMPILE: &str = "__compile";

/// The argument that makes a child run one guest.
const RUN: &str = "__run";

/// Runs this process as the child that its first argument names, and returns the exit code. Returns
/// `None` if the command line is not that of a child.
pub(crate) fn run(line: &[OsString]) -> Option<i32> {
    let child: fn(&[String]) -> i32 = match line.get(1)?.to_str()? {
        COMPILE => skep_sandbox::child_main,
        RUN => skep_sandbox::run_main,
        skep_sandbox::PROVE => skep_sandbox::prove,
        _ => return None,
    };
    let arguments = line[2..].iter().map(|word| word.to_string_lossy().into_owned());
    Some(child(&arguments.collect::<Vec<_>>()))
}

/// Returns a compiler that compiles in child processes.
pub(crate) fn compiler() -> ChildCompiler {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    ChildCompiler::new(ambient::program(), vec![COMPILE.into()], cores)
}

/// Returns the use that hosts and foreground runs make of compiled functions: they reuse what this
/// user's own builds have compiled, and add nothing, because their components may come from others.
pub(crate) fn known_functions() -> Incremental {
    ambient::function_cache().map_or(Incremental::Off, Incremental::Read)
}

/// Returns the use for `skep test` and `skep dev`, which compile nothing but what their user built.
/// No other command may use it: what it compiles is reused for everything that this user runs.
pub(crate) fn own_functions() -> Incremental {
    ambient::function_cache().map_or(Incremental::Off, Incremental::ReadWrite)
}

/// Returns the means to run guests in child processes.
pub(crate) fn out_of_process(isolation: Isolation) -> OutOfProcess {
    OutOfProcess::new(ambient::program(), vec![RUN.into()], isolation)
}
