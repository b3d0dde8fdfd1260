//! Shortages of resources on the host. They are temporary, and not the guest's fault.

use std::error::Error;
use std::io;

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

/// A resource that the host is out of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Shortage {
    /// `RLIMIT_NOFILE`, or the system's table of open files.
    #[error("the host is at its limit of open files (ulimit -n)")]
    Descriptors,
    /// `RLIMIT_AS`.
    #[error("the host is out of address space (ulimit -v)")]
    AddressSpace,
    /// Memory of the machine or of a cgroup.
    #[error("the host is out of memory")]
    Memory,
    /// `RLIMIT_NPROC`, or the limit of a cgroup.
    #[error("the host is out of processes or threads (ulimit -u)")]
    Threads,
    /// `RLIMIT_CPU`.
    #[error("the host is out of CPU time (ulimit -t)")]
    CpuTime,
    /// `RLIMIT_FSIZE`.
    #[error("the host limits files to a smaller size (ulimit -f)")]
    FileSize,
    /// A full disk.
    #[error("the host is out of disk space")]
    Disk,
    /// A `SIGKILL` that Skep did not send.
    #[error("the compiler was killed from outside; the host may be out of memory")]
    Killed,
    /// `/proc` is not mounted.
    #[error("the host has no /proc")]
    Proc,
}

impl Shortage {
    /// All variants. Their positions are the codes between processes.
    const ALL: [Self; 9] = [
        Self::Descriptors,
        Self::AddressSpace,
        Self::Memory,
        Self::Threads,
        Self::CpuTime,
        Self::FileSize,
        Self::Disk,
        Self::Killed,
        Self::Proc,
    ];

    /// Returns the shortage that an error reports, if any.
    pub(crate) fn of(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut causes = std::iter::successors(Some(error), |&error| error.source());
        causes.find_map(|cause| errno(cause).and_then(Self::of_errno))
    }

    /// Returns the shortage that an engine error reports, if any.
    pub(crate) fn of_engine(error: &wasmtime::Error) -> Option<Self> {
        if error.is::<wasmtime::OutOfMemory>() {
            return Some(Self::memory());
        }
        error.chain().find_map(|cause| errno(cause).and_then(Self::of_errno))
    }

    fn of_errno(errno: Errno) -> Option<Self> {
        match errno {
            Errno::MFILE | Errno::NFILE => Some(Self::Descriptors),
            Errno::NOMEM => Some(Self::memory()),
            Errno::AGAIN => Some(Self::Threads),
            Errno::NOSPC | Errno::DQUOT => Some(Self::Disk),
            Errno::FBIG => Some(Self::FileSize),
            _ => None,
        }
    }

    /// Classifies a failed allocation. If address space is limited, that limit is the cause.
    fn memory() -> Self {
        match getrlimit(Resource::As).current {
            Some(_) => Self::AddressSpace,
            None => Self::Memory,
        }
    }

    /// Returns true if this process's hard limit is below `wanted`, so that a child cannot get that
    /// much.
    pub(crate) fn lacks(resource: Resource, wanted: u64) -> bool {
        getrlimit(resource).maximum.is_some_and(|most| most < wanted)
    }

    /// Returns the code between a child and its parent.
    pub(crate) fn code(self) -> i32 {
        Self::ALL.iter().position(|&one| one == self).map_or(0, |place| place as i32)
    }

    /// Returns the variant with that code.
    pub(crate) fn with_code(code: i32) -> Option<Self> {
        Self::ALL.get(usize::try_from(code).ok()?).copied()
    }
}

/// Returns the system's error number, if the error has one.
pub(crate) fn errno(error: &(dyn Error + 'static)) -> Option<Errno> {
    match error.downcast_ref::<io::Error>() {
        Some(error) => error.raw_os_error().map(Errno::from_raw_os_error),
        None => error.downcast_ref::<Errno>().copied(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shortage_has_its_own_code_and_message() {
        for shortage in Shortage::ALL {
            assert_eq!(Shortage::with_code(shortage.code()), Some(shortage));
            assert!(shortage.to_string().contains("the host"), "{shortage}");
        }
        assert_eq!(Shortage::with_code(-1), None);
        assert_eq!(Shortage::with_code(99), None);
    }

    #[test]
    fn system_errors_are_classified() {
        for (errno, shortage) in [
            (Errno::MFILE, Some(Shortage::Descriptors)),
            (Errno::NFILE, Some(Shortage::Descriptors)),
            (Errno::AGAIN, Some(Shortage::Threads)),
            (Errno::NOSPC, Some(Shortage::Disk)),
            (Errno::DQUOT, Some(Shortage::Disk)),
            (Errno::FBIG, Some(Shortage::FileSize)),
            (Errno::NOENT, None),
        ] {
            let error = io::Error::from(errno);
            assert_eq!(Shortage::of(&error), shortage, "{errno:?}");
            let wrapped = wasmtime::Error::from(errno).context("failed to map");
            assert_eq!(Shortage::of_engine(&wrapped), shortage, "{errno:?}");
        }
    }
}
