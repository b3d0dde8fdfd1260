//! Random bytes from the system.

use std::ffi::c_int;

use skep_guest::Failure;

unsafe extern "C" {
    /// Fills a buffer with random bytes. wasi-libc, which the standard library links, takes them
    /// from `wasi:random`.
    fn getentropy(buffer: *mut u8, len: usize) -> c_int;
}

/// Returns 16 random bytes in hexadecimal digits.
pub(crate) fn hex() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    // SAFETY: the pointer and the length are those of `bytes`.
    if unsafe { getentropy(bytes.as_mut_ptr(), bytes.len()) } != 0 {
        return Err(std::io::Error::last_os_error().into());
    }
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
