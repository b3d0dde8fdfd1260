//! Verbs on links and names.

use std::fs;
use std::io;

use crate::answer::{Verdict, ok};

pub fn rename(from: &str, to: &str) -> Verdict {
    ok(fs::rename(from, to))
}

pub fn hard(from: &str, to: &str) -> Verdict {
    ok(make_hard(from, to))
}

pub fn symbolic(target: &str, path: &str) -> Verdict {
    ok(make_symbolic(target, path))
}

/// Prints the target of a symbolic link.
pub fn read(path: &str) -> Verdict {
    Ok(Some(fs::read_link(path)?.to_string_lossy().into_owned()))
}

/// Works relative to the folders' descriptors, since a wasi-libc of 2024 mixes up the two paths of
/// a link when it looks for their preopens.
#[cfg(target_os = "wasi")]
fn make_hard(from: &str, to: &str) -> io::Result<()> {
    use std::ffi::CString;
    use std::os::fd::AsRawFd;

    let (from_folder, from) = from.rsplit_once('/').unwrap_or((".", from));
    let (to_folder, to) = to.rsplit_once('/').unwrap_or((".", to));
    let (from_folder, to_folder) = (fs::File::open(from_folder)?, fs::File::open(to_folder)?);
    let (from, to) = (CString::new(from)?, CString::new(to)?);
    // SAFETY: both names end in a zero byte, and both descriptors are open; all outlive the call.
    let done = unsafe {
        libc::linkat(from_folder.as_raw_fd(), from.as_ptr(), to_folder.as_raw_fd(), to.as_ptr(), 0)
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(not(target_os = "wasi"))]
fn make_hard(from: &str, to: &str) -> io::Result<()> {
    fs::hard_link(from, to)
}

/// Makes a symbolic link. On WASI, std has this only behind an unstable feature.
#[cfg(target_os = "wasi")]
fn make_symbolic(target: &str, path: &str) -> io::Result<()> {
    let (target, path) = (std::ffi::CString::new(target)?, std::ffi::CString::new(path)?);
    // SAFETY: both end in a zero byte and outlive the call.
    match unsafe { libc::symlink(target.as_ptr(), path.as_ptr()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(not(target_os = "wasi"))]
fn make_symbolic(target: &str, path: &str) -> io::Result<()> {
    std::os::unix::fs::symlink(target, path)
}
