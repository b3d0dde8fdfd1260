//! What the host itself has too little of. That is no fault of a guest's, and passes.

use std::error::Error;
use std::io;

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

/// Something that the host lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Shortage {
    /// `RLIMIT_NOFILE`, or the machine's table of open files.
    #[error("the host lacks open files (ulimit -n)")]
    Descriptors,
    /// `RLIMIT_AS`.
    #[error("the host lacks address space (ulimit -v)")]
    AddressSpace,
    /// Memory of the machine, or of a control group.
    #[error("the host lacks memory")]
    Memory,
    /// `RLIMIT_NPROC`, or a control group's.
    #[error("the host lacks processes or threads (ulimit -u)")]
    Threads,
    /// `RLIMIT_CPU`.
    #[error("the host lacks CPU time (ulimit -t)")]
    CpuTime,
    /// `RLIMIT_FSIZE`.
    #[error("the host lets no file become as large (ulimit -f)")]
    FileSize,
    /// A full disk.
    #[error("the host lacks room on its disk")]
    Disk,
    /// A signal that nothing in the process sends itself.
    #[error("the compiler was killed from outside, as it is where the host lacks memory")]
    Killed,
    /// `/proc` is not mounted.
    #[error("the host lacks /proc")]
    Proc,
}

impl Shortage {
    /// All of them. Their places here are their codes between processes.
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

    /// What an error says the host lacks, if it says that.
    pub(crate) fn of(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut causes = std::iter::successors(Some(error), |&error| error.source());
        causes.find_map(|cause| errno(cause).and_then(Self::of_errno))
    }

    /// The same of the engine's errors.
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

    /// Memory that was refused: where address space is limited, that is what there is less of.
    fn memory() -> Self {
        match getrlimit(Resource::As).current {
            Some(_) => Self::AddressSpace,
            None => Self::Memory,
        }
    }

    /// Whether this process may not let a child have as much of a resource as it is to have.
    pub(crate) fn lacks(resource: Resource, wanted: u64) -> bool {
        getrlimit(resource).maximum.is_some_and(|most| most < wanted)
    }

    /// The code for it between a child and its parent.
    pub(crate) fn code(self) -> i32 {
        Self::ALL.iter().position(|&one| one == self).map_or(0, |place| place as i32)
    }

    /// The one with that code.
    pub(crate) fn with_code(code: i32) -> Option<Self> {
        Self::ALL.get(usize::try_from(code).ok()?).copied()
    }
}

/// The number that the system gave for an error, if it is one of the system's.
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
    fn each_has_a_code_of_its_own_and_a_sentence_that_names_it() {
        for shortage in Shortage::ALL {
            assert_eq!(Shortage::with_code(shortage.code()), Some(shortage));
            assert!(shortage.to_string().contains("the host"), "{shortage}");
        }
        assert_eq!(Shortage::with_code(-1), None);
        assert_eq!(Shortage::with_code(99), None);
    }

    #[test]
    fn errors_of_the_system_are_told_apart_from_those_of_a_guest() {
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
