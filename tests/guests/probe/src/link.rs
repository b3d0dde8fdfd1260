//! Verbs that give a file another name, or a name another target.

use std::fs;
use std::io;

use crate::answer::{Verdict, ok};

pub fn rename(from: &str, to: &str) -> Verdict {
    ok(fs::rename(from, to))
}

pub fn hard(from: &str, to: &str) -> Verdict {
    ok(fs::hard_link(from, to))
}

pub fn symbolic(target: &str, path: &str) -> Verdict {
    ok(make_symbolic(target, path))
}

/// Prints the target of a symbolic link.
pub fn read(path: &str) -> Verdict {
    Ok(Some(fs::read_link(path)?.to_string_lossy().into_owned()))
}

/// std has this only behind an unstable feature on WASI.
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
