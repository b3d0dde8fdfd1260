//! Random bytes in one call to the host.

use std::io;

use crate::answer::Verdict;

/// Requests that many bytes in one call: `got <count>`.
pub fn random(count: usize) -> Verdict {
    Ok(Some(format!("got {}", bytes(count)?.len())))
}

/// Returns that many bytes from the host.
#[cfg(all(target_os = "wasi", target_env = "p2"))]
pub fn bytes(count: usize) -> io::Result<Vec<u8>> {
    Ok(wasip2::random::random::get_random_bytes(count as u64))
}

#[cfg(all(target_os = "wasi", not(target_env = "p2")))]
pub fn bytes(count: usize) -> io::Result<Vec<u8>> {
    #[link(wasm_import_module = "wasi_snapshot_preview1")]
    unsafe extern "C" {
        fn random_get(buffer: *mut u8, length: usize) -> u16;
    }
    let mut bytes = vec![0; count];
    // SAFETY: the buffer is writable for the given length.
    match unsafe { random_get(bytes.as_mut_ptr(), count) } {
        0 => Ok(bytes),
        code => Err(io::Error::from_raw_os_error(code.into())),
    }
}

#[cfg(not(target_os = "wasi"))]
pub fn bytes(count: usize) -> io::Result<Vec<u8>> {
    use std::io::Read;
    let mut bytes = vec![0; count];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}
