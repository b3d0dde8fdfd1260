//! The environment and the arguments of the program.

use crate::answer::Verdict;

/// Prints `NAME=value` lines in the host's order.
pub fn environment() -> Verdict {
    for (name, value) in std::env::vars_os() {
        println!("{}={}", name.to_string_lossy(), value.to_string_lossy());
    }
    Ok(None)
}

/// Prints all arguments, one per line, with the program's name first.
pub fn arguments() -> Verdict {
    for argument in std::env::args() {
        println!("{argument}");
    }
    Ok(None)
}
