//! The second wall: the privileges that a child process drops before it touches untrusted input.
//!
//! The first wall is the engine. This one holds if the engine is compromised. A process behind it
//! can open only files in its scopes, start no other process, communicate only through the
//! descriptors it was given, and make no memory executable. It consists of:
//!
//! - Landlock: no files outside the given directories, no network, no signals to other processes;
//! - seccomp: a list of the system calls that the work needs, see [`calls`]. Any other call fails
//!   as if the kernel did not have it, so a call that is missing from the list does not kill the
//!   process;
//! - no inherited descriptors, no new privileges, and resource limits.
//!
//! Landlock and seccomp apply to the calling thread and the threads that it starts later, so the
//! wall is raised before any other thread starts. Parts that the kernel does not support are
//! skipped and reported: [`Wall::offered`] is logged when a host starts and shown by `skep doctor`,
//! which also tests the wall from inside a child ([`prove`]).

mod attempts;
mod calls;

use std::io;
use std::os::fd::BorrowedFd;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, Ruleset,
    RulesetAttr, RulesetCreatedAttr, Scope,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use skep_protocol::Rights;

pub use attempts::{PROVE, prove};
pub(crate) use calls::Calls;

/// The Landlock version that this targets. Features that the kernel does not support are skipped.
const LANDLOCK: ABI = ABI::V6;

/// Before version 2, Landlock refuses every rename between directories.
const LANDLOCK_RENAMES: u32 = 2;

/// Before version 6, Landlock does not cover truncation, the network, devices and signals.
const LANDLOCK_WHOLE: u32 = 6;

/// The parts of the wall that the kernel supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wall {
    /// Landlock's version, or 0 if it is not supported.
    pub landlock: u32,
    /// Support for seccomp filters.
    pub seccomp: bool,
}

impl Wall {
    /// Detects the kernel's support. Restricts nothing.
    pub fn offered() -> Self {
        Self {
            landlock: calls::landlock_version(),
            seccomp: rustix::thread::secure_computing_mode().is_ok(),
        }
    }

    /// True if everything is supported.
    pub fn is_whole(&self) -> bool {
        self.landlock >= LANDLOCK_WHOLE && self.seccomp
    }

    /// Describes the missing parts. Returns `None` if there are none.
    pub fn missing(&self) -> Option<String> {
        let landlock = match self.landlock {
            0 => Some("no Landlock (it needs Linux 5.13, and may be disabled)".to_owned()),
            version if version < LANDLOCK_RENAMES => Some(format!(
                "Landlock {version}, which restricts compilers but not runs (that needs Linux 5.19)"
            )),
            version if version < LANDLOCK_WHOLE => {
                Some(format!("Landlock {version} of {LANDLOCK_WHOLE} (that needs Linux 6.12)"))
            }
            _ => None,
        };
        let seccomp = (!self.seccomp).then(|| "no seccomp filters".to_owned());
        let missing: Vec<_> = landlock.into_iter().chain(seccomp).collect();
        (!missing.is_empty()).then(|| missing.join("; "))
    }
}

/// The access that remains behind the wall.
#[derive(Debug)]
pub(crate) struct Allowed<'a> {
    /// Directories in which files may be opened.
    pub(crate) directories: &'a [(BorrowedFd<'a>, Rights)],
    /// Allowed system calls.
    pub(crate) calls: Calls,
}

/// Raises the wall around the calling thread and the threads that it starts. This is irreversible.
///
/// # Errors
/// If a supported part fails. An unsupported part is not an error.
pub(crate) fn raise(allowed: &Allowed<'_>) -> io::Result<Wall> {
    let offered = Wall::offered();
    rustix::thread::set_no_new_privs(true)?;
    // Writable directories need renames, so Landlock without them cannot be used.
    let writes = allowed.directories.iter().any(|(_, rights)| *rights == Rights::ReadWrite);
    let landlock =
        if offered.landlock >= LANDLOCK_RENAMES || !writes { offered.landlock } else { 0 };
    if landlock > 0 {
        confine(allowed.directories).map_err(io::Error::other)?;
    }
    if offered.seccomp {
        calls::filter(allowed.calls).map_err(io::Error::other)?;
    }
    Ok(Wall { landlock, seccomp: offered.seccomp })
}

fn confine(directories: &[(BorrowedFd<'_>, Rights)]) -> Result<(), landlock::RulesetError> {
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(LANDLOCK))?
        .handle_access(AccessNet::from_all(LANDLOCK))?
        .scope(Scope::from_all(LANDLOCK))?
        .create()?;
    for (directory, rights) in directories {
        rules = rules.add_rule(PathBeneath::new(directory, access(*rights)))?;
    }
    rules.restrict_self()?;
    Ok(())
}

/// Never allows executing files, or creating devices, sockets and FIFOs.
fn access(rights: Rights) -> BitFlags<AccessFs> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    match rights {
        Rights::ReadOnly => read,
        Rights::ReadWrite => {
            read | AccessFs::WriteFile
                | AccessFs::Truncate
                | AccessFs::Refer
                | AccessFs::RemoveDir
                | AccessFs::RemoveFile
                | AccessFs::MakeDir
                | AccessFs::MakeReg
                | AccessFs::MakeSym
        }
    }
}

/// Sets a resource limit that cannot be raised again. A lower existing limit is kept.
pub(crate) fn set_limit(resource: Resource, value: u64) -> io::Result<()> {
    let value = getrlimit(resource).maximum.map_or(value, |most| value.min(most));
    Ok(setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) })?)
}

/// Limits this process's CPU time. `SIGXCPU` at the soft limit tells the parent why the process
/// ended. If both limits were the same, the kernel would send `SIGKILL`.
pub(crate) fn set_cpu_limit(seconds: u64) -> io::Result<()> {
    set_limit(Resource::Cpu, seconds.saturating_add(1))?;
    let held = getrlimit(Resource::Cpu);
    let current = held.maximum.map_or(seconds, |most| most.min(seconds));
    Ok(setrlimit(Resource::Cpu, Rlimit { current: Some(current), ..held })?)
}

/// Prevents all threads of this process from starting others. A thread could start without memory
/// of its own, and threads count against the host's user.
pub(crate) fn no_more_threads() -> io::Result<()> {
    match rustix::thread::secure_computing_mode() {
        Ok(_) => calls::no_more_threads().map_err(io::Error::other),
        Err(_) => Ok(()),
    }
}

/// Closes every descriptor from `first` on. A child needs none of those that it inherited.
pub(crate) fn close_from(first: u32) -> io::Result<()> {
    match calls::close_range(first) {
        // Linux before 5.9. Skep's own descriptors are close-on-exec, and so are those of a careful
        // parent.
        Err(rustix::io::Errno::NOSYS) => Ok(()),
        closed => Ok(closed?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_kernel_features_are_described() {
        let whole = Wall { landlock: LANDLOCK_WHOLE, seccomp: true };
        assert!(whole.is_whole());
        assert_eq!(whole.missing(), None);
        let old = Wall { landlock: 3, seccomp: true };
        assert!(!old.is_whole());
        assert!(old.missing().unwrap().contains("Landlock 3 of 6"));
        let none = Wall { landlock: 0, seccomp: false };
        assert!(none.missing().unwrap().contains("no Landlock"));
        assert!(none.missing().unwrap().contains("no seccomp"));
    }

    #[test]
    fn a_read_only_scope_is_read_only_behind_the_wall() {
        let read = access(Rights::ReadOnly);
        assert!(!read.contains(AccessFs::WriteFile) && !read.contains(AccessFs::RemoveFile));
        let write = access(Rights::ReadWrite);
        assert!(write.contains(AccessFs::WriteFile) && !write.contains(AccessFs::Execute));
        assert!(!write.contains(AccessFs::MakeSock) && !write.contains(AccessFs::MakeBlock));
    }
}
