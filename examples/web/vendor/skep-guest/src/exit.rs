//! Ending a command with an exit code.

use std::io::Write;

/// Ends the command with this exit code. Flushes stdout first, runs no destructors.
///
/// [`std::process::exit`] in a component knows only success and failure, so its 3 reaches the host
/// as 1; this function calls `wasi:cli/exit@0.2.12 exit-with-code`. In a service it is a trap.
pub fn exit(code: u8) -> ! {
    // A closed stdout cannot be reported.
    let _ = std::io::stdout().flush();
    leave(code)
}

#[cfg(all(target_os = "wasi", target_env = "p2"))]
fn leave(code: u8) -> ! {
    crate::bindings::exit::wasi::cli::exit::exit_with_code(code);
    unreachable!("exit-with-code does not return")
}

#[cfg(not(all(target_os = "wasi", target_env = "p2")))]
fn leave(code: u8) -> ! {
    std::process::exit(code.into())
}
