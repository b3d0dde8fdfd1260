//! An open regular file. Every change of its size goes through the ledger.

use std::fs::{File, FileTimes};
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use rustix::fs::Advice;

use super::access::ScopeAccess;
use super::inode::Inode;
use super::{NewTime, ScopeError, Stat};

/// A guest's handle on a file. Clones share the handle, which is closed when the last one is
/// dropped.
#[derive(Clone, Debug)]
pub struct OpenFile(Arc<Handle>);

#[derive(Debug)]
struct Handle {
    access: Arc<ScopeAccess>,
    file: File,
    inode: Inode,
    readable: bool,
    writable: bool,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.access.disk.ledger().closed(self.inode);
    }
}

impl OpenFile {
    /// Wraps a file that the ledger already counts as open. Dropping the handle tells the ledger.
    pub(super) fn new(
        access: Arc<ScopeAccess>,
        file: File,
        stat: &Stat,
        readable: bool,
        writable: bool,
    ) -> Self {
        let inode = stat.identity();
        Self(Arc::new(Handle { access, file, inode, readable, writable }))
    }

    /// Returns true if it was opened for reading.
    pub fn is_readable(&self) -> bool {
        self.0.readable
    }

    /// Returns true if it was opened for writing.
    pub fn is_writable(&self) -> bool {
        self.0.writable
    }

    /// Reads into `buffer` from `offset`. Returns 0 at the end of the file.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, ScopeError> {
        if !self.0.readable {
            return Err(rustix::io::Errno::BADF.into());
        }
        Ok(retry(|| self.0.file.read_at(buffer, offset))?)
    }

    /// Writes at `offset` and returns the number of bytes written. The write is short if the quota
    /// ends within it, and fails with the quota's error if nothing of the quota is left.
    pub fn write_at(&self, bytes: &[u8], offset: u64) -> Result<usize, ScopeError> {
        self.write(bytes, Some(offset))
    }

    /// Writes at the end of the file, like [`OpenFile::write_at`] in all else.
    pub fn append(&self, bytes: &[u8]) -> Result<usize, ScopeError> {
        self.write(bytes, None)
    }

    fn write(&self, bytes: &[u8], offset: Option<u64>) -> Result<usize, ScopeError> {
        self.changeable()?;
        if bytes.is_empty() {
            return Ok(0);
        }
        let mut ledger = self.0.access.disk.ledger();
        let size = self.0.file.metadata()?.len();
        let start = offset.unwrap_or(size);
        let end = start
            .checked_add(bytes.len() as u64)
            .filter(|&end| i64::try_from(end).is_ok())
            .ok_or_else(|| io::Error::from(io::ErrorKind::FileTooLarge))?;
        // Growth includes the hole between the old end and `start`: only the data can be shortened.
        let growth = end.saturating_sub(size);
        let admitted = ledger.admit_some(growth)?;
        let cut = usize::try_from(growth - admitted).unwrap_or(usize::MAX);
        let Some(keep) = bytes.len().checked_sub(cut).filter(|&keep| keep > 0) else {
            ledger.admit_all(growth)?;
            return Ok(0);
        };
        let written = retry(|| self.0.file.write_at(&bytes[..keep], start))?;
        ledger.resized(self.0.inode, size, size.max(start + written as u64));
        Ok(written)
    }

    /// Truncates or extends the file. An extension reads as zeroes and counts in full.
    pub fn set_len(&self, len: u64) -> Result<(), ScopeError> {
        self.changeable()?;
        let mut ledger = self.0.access.disk.ledger();
        let size = self.0.file.metadata()?.len();
        ledger.admit_all(len.saturating_sub(size))?;
        self.0.file.set_len(len)?;
        ledger.resized(self.0.inode, size, len);
        Ok(())
    }

    /// Extends the file to `len` bytes if it is shorter.
    pub fn reserve_len(&self, len: u64) -> Result<(), ScopeError> {
        if self.stat()?.size < len { self.set_len(len) } else { self.changeable() }
    }

    /// Returns its metadata.
    pub fn stat(&self) -> Result<Stat, ScopeError> {
        Ok(Stat::of(&self.0.file)?)
    }

    /// Sets its times.
    pub fn set_times(&self, accessed: NewTime, modified: NewTime) -> Result<(), ScopeError> {
        self.0.access.writable()?;
        Ok(set_times(&self.0.file, accessed, modified)?)
    }

    /// Waits until its content and metadata are on disk.
    pub fn sync(&self) -> Result<(), ScopeError> {
        Ok(self.0.file.sync_all()?)
    }

    /// Waits until its content is on disk.
    pub fn sync_data(&self) -> Result<(), ScopeError> {
        Ok(self.0.file.sync_data()?)
    }

    /// Passes a hint about future reads to the kernel.
    pub fn advise(&self, offset: u64, len: u64, advice: Advice) -> Result<(), ScopeError> {
        let len = std::num::NonZeroU64::new(len);
        Ok(rustix::fs::fadvise(&self.0.file, offset, len, advice)?)
    }

    fn changeable(&self) -> Result<(), ScopeError> {
        self.0.access.writable()?;
        if self.0.writable { Ok(()) } else { Err(rustix::io::Errno::BADF.into()) }
    }
}

/// Sets the times of an open file or directory.
pub(super) fn set_times(file: &File, accessed: NewTime, modified: NewTime) -> io::Result<()> {
    let mut times = FileTimes::new();
    if let Some(at) = accessed.resolve()? {
        times = times.set_accessed(at);
    }
    if let Some(at) = modified.resolve()? {
        times = times.set_modified(at);
    }
    file.set_times(times)
}

fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
