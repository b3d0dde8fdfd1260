//! Ends the program with an exit code.

/// Ends a component with this code. In a component, `std::process::exit(3)` arrives as 1; WASI
/// 0.2.12 can pass the number.
#[cfg(all(target_os = "wasi", target_env = "p2"))]
pub fn with_code(code: u8) -> ! {
    wasip2::cli::exit::exit_with_code(code);
    unreachable!("exit-with-code does not return")
}

#[cfg(not(all(target_os = "wasi", target_env = "p2")))]
pub fn with_code(code: u8) -> ! {
    std::process::exit(code.into())
}
