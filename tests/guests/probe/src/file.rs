//! Verbs on one file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::time::{Duration, SystemTime};

use crate::answer::{Answer, Verdict, ok};

/// Writes that many zeros in chunks of 64 KiB: `wrote <bytes>`, or the error with the number of
/// bytes written before it.
pub fn write(path: &str, bytes: u64) -> Verdict {
    let chunk = vec![0; 64 << 10];
    let mut file = File::create(path)?;
    let mut written = 0;
    while written < bytes {
        let left = usize::try_from(bytes - written).unwrap_or(usize::MAX);
        match file.write(&chunk[..left.min(chunk.len())]) {
            Ok(0) => return Err(Answer::RefusedAfter(io::ErrorKind::WriteZero.into(), written)),
            Ok(count) => written += count as u64,
            Err(error) => return Err(Answer::RefusedAfter(error, written)),
        }
    }
    Ok(Some(format!("wrote {written}")))
}

/// Appends the text, creating the file if it is missing.
pub fn append(path: &str, text: &str) -> Verdict {
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    ok(file.write_all(text.as_bytes()))
}

/// Prints the raw content.
pub fn read(path: &str) -> Verdict {
    let mut content = Vec::new();
    File::open(path)?.read_to_end(&mut content)?;
    io::stdout().write_all(&content)?;
    Ok(None)
}

/// Sets the size of an existing file.
pub fn truncate(path: &str, size: u64) -> Verdict {
    ok(OpenOptions::new().write(true).open(path)?.set_len(size))
}

/// Sets the modification time to 1,000,000,000 s after the epoch, creating the file if it is
/// missing.
pub fn touch(path: &str) -> Verdict {
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
    ok(file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000)))
}

/// Prints `<file|dir|symlink> <size> modified <seconds.nanoseconds> inode <number>`, without
/// following a link.
pub fn stat(path: &str) -> Verdict {
    Ok(Some(describe(path)?))
}

/// Returns the line that `stat` prints.
pub fn describe(path: &str) -> io::Result<String> {
    let metadata = fs::symlink_metadata(path)?;
    let kind = match metadata.file_type() {
        kind if kind.is_file() => "file",
        kind if kind.is_dir() => "dir",
        kind if kind.is_symlink() => "symlink",
        _ => "other",
    };
    let modified = match metadata.modified()?.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => format!("{}.{:09}", since.as_secs(), since.subsec_nanos()),
        Err(_) => "before-1970".to_owned(),
    };
    Ok(format!("{kind} {} modified {modified} inode {}", metadata.len(), inode(path)?))
}

/// Returns the inode number. On WASI, std has it only behind an unstable feature.
#[cfg(target_os = "wasi")]
fn inode(path: &str) -> io::Result<u64> {
    let path = std::ffi::CString::new(path)?;
    let mut stat = std::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: `path` ends in a zero byte, and `stat` is writable and as large as lstat expects.
    if unsafe { libc::lstat(path.as_ptr(), stat.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: lstat returned 0, so it filled the whole struct.
    Ok(unsafe { stat.assume_init() }.st_ino)
}

#[cfg(not(target_os = "wasi"))]
fn inode(path: &str) -> io::Result<u64> {
    fs::symlink_metadata(path).map(|metadata| std::os::unix::fs::MetadataExt::ino(&metadata))
}

pub fn remove(path: &str) -> Verdict {
    ok(fs::remove_file(path))
}
