//! The second wall: what a child process gives up before it touches what a stranger sent.
//!
//! The first wall is the engine. This one holds if that does not: a process behind it opens nothing
//! but what lies in its scopes, starts no other, talks to nobody but through the descriptors that it
//! was given, and makes no memory executable any more. It consists of
//!
//! - Landlock: no file but beneath the given directories, no network, no signals to others;
//! - seccomp: a list of the system calls that the work needs, see [`calls`]. Any other is answered as
//!   if the kernel did not have it, so that nothing dies of a call that somebody forgot;
//! - no inherited descriptors, no new privileges, and limits of the process.
//!
//! Landlock and seccomp hold the calling thread and those that it starts: the wall is raised before
//! there is another. What a kernel lacks is done without, and said: [`Wall::offered`] is logged when
//! a host starts, and shown by `skep doctor`, which has a child try the wall from inside ([`prove`]).

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

/// The Landlock that this was written for. What a kernel lacks of it is left out.
const LANDLOCK: ABI = ABI::V6;

/// Landlock before its second version refuses each rename from one directory to another.
const LANDLOCK_RENAMES: u32 = 2;

/// Before this one it knows nothing of cutting files short, of the network, of devices or signals.
const LANDLOCK_WHOLE: u32 = 6;

/// What a kernel has of the wall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wall {
    /// Landlock's version; 0 where there is none.
    pub landlock: u32,
    /// Filters of system calls.
    pub seccomp: bool,
}

impl Wall {
    /// Asks the kernel. Restricts nothing.
    pub fn offered() -> Self {
        Self {
            landlock: calls::landlock_version(),
            seccomp: rustix::thread::secure_computing_mode().is_ok(),
        }
    }

    /// Whether nothing is missing.
    pub fn is_whole(&self) -> bool {
        self.landlock >= LANDLOCK_WHOLE && self.seccomp
    }

    /// What is missing, in words; `None` where nothing is.
    pub fn missing(&self) -> Option<String> {
        let landlock = match self.landlock {
            0 => Some("no Landlock, which came with Linux 5.13 and may be switched off".to_owned()),
            version if version < LANDLOCK_RENAMES => Some(format!(
                "Landlock {version}, which keeps compilers from files and cannot keep runs from \
                 them: that came with Linux 5.19"
            )),
            version if version < LANDLOCK_WHOLE => {
                Some(format!("Landlock {version} of {LANDLOCK_WHOLE}, which came with Linux 6.12"))
            }
            _ => None,
        };
        let seccomp = (!self.seccomp).then(|| "no seccomp filters".to_owned());
        let missing: Vec<_> = landlock.into_iter().chain(seccomp).collect();
        (!missing.is_empty()).then(|| missing.join("; "))
    }
}

/// What a process behind the wall may still do.
#[derive(Debug)]
pub(crate) struct Allowed<'a> {
    /// Directories that it may open files beneath.
    pub(crate) directories: &'a [(BorrowedFd<'a>, Rights)],
    /// System calls.
    pub(crate) calls: Calls,
}

/// Raises the wall around the calling thread and all that it starts. There is no way back.
///
/// # Errors
/// Where the kernel has something and it cannot be used. What it does not have is no error.
pub(crate) fn raise(allowed: &Allowed<'_>) -> io::Result<Wall> {
    let offered = Wall::offered();
    rustix::thread::set_no_new_privs(true)?;
    // Without renames a guest's own directory is not what it was promised.
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

/// Nothing in a scope is executed, and no device, socket or FIFO is made in it.
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

/// Sets a limit that cannot be raised again; to what it was at most, where that is less.
pub(crate) fn hold(resource: Resource, value: u64) -> io::Result<()> {
    let value = getrlimit(resource).maximum.map_or(value, |most| value.min(most));
    Ok(setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) })?)
}

/// Sets how long this process may compute. At that time it gets `SIGXCPU`, which tells its parent what
/// ended it; where both limits are the same it would be killed instead.
pub(crate) fn hold_cpu(seconds: u64) -> io::Result<()> {
    hold(Resource::Cpu, seconds.saturating_add(1))?;
    let held = getrlimit(Resource::Cpu);
    let current = held.maximum.map_or(seconds, |most| most.min(seconds));
    Ok(setrlimit(Resource::Cpu, Rlimit { current: Some(current), ..held })?)
}

/// Has no thread of this process start another from now on: each could be started without memory
/// of its own, and they are counted to the host's user.
pub(crate) fn no_more_threads() -> io::Result<()> {
    match rustix::thread::secure_computing_mode() {
        Ok(_) => calls::no_more_threads().map_err(io::Error::other),
        Err(_) => Ok(()),
    }
}

/// Closes every descriptor from `first` on: this process has use for none that it inherited.
pub(crate) fn close_from(first: u32) -> io::Result<()> {
    match calls::close_range(first) {
        // Linux before 5.9. Ours are all closed on exec, and so are those of any careful parent.
        Err(rustix::io::Errno::NOSYS) => Ok(()),
        closed => Ok(closed?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_kernel_lacks_is_said_in_words() {
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
    fn a_read_only_scope_is_not_written_to_behind_the_wall_either() {
        let read = access(Rights::ReadOnly);
        assert!(!read.contains(AccessFs::WriteFile) && !read.contains(AccessFs::RemoveFile));
        let write = access(Rights::ReadWrite);
        assert!(write.contains(AccessFs::WriteFile) && !write.contains(AccessFs::Execute));
        assert!(!write.contains(AccessFs::MakeSock) && !write.contains(AccessFs::MakeBlock));
    }
}
