//! The system calls that are allowed behind the wall.
//!
//! Any other call fails with `ENOSYS`, as on an older kernel. The C library and Rust's standard
//! library handle that, and no process is killed for it. The lists exclude all calls that start a
//! program or process, open a socket, trace, mount, load code into the kernel, or signal another
//! process. `clone3` is excluded because its flags are in memory, where a filter cannot read them.
//! `clone` is allowed only for threads.

use std::collections::BTreeMap;

use libc::c_long;
use rustix::io::Errno;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

/// The kind of work behind the wall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Calls {
    /// Computation, with the descriptors that are already open.
    Compute,
    /// Computation, and files in directories.
    Files {
        /// Allows setting file times, for which an open descriptor with read access is enough.
        times: bool,
    },
}

/// Computation with threads, and with descriptors that are already open.
const COMPUTE: &[c_long] = &[
    libc::SYS_brk,
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_close,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_fstat,
    libc::SYS_futex,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_getrandom,
    libc::SYS_gettid,
    libc::SYS_gettimeofday,
    libc::SYS_lseek,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_nanosleep,
    libc::SYS_ppoll,
    libc::SYS_pread64,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_sigaltstack,
    libc::SYS_write,
    libc::SYS_writev,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
];

/// Files, by name in a directory or by descriptor.
const FILES: &[c_long] = &[
    libc::SYS_copy_file_range,
    libc::SYS_dup,
    libc::SYS_fadvise64,
    libc::SYS_fallocate,
    libc::SYS_fdatasync,
    libc::SYS_fstatfs,
    libc::SYS_fsync,
    libc::SYS_ftruncate,
    libc::SYS_getdents64,
    libc::SYS_linkat,
    libc::SYS_mkdirat,
    libc::SYS_newfstatat,
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_preadv,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_readlinkat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_statx,
    libc::SYS_symlinkat,
    libc::SYS_unlinkat,
    // Older C libraries open files this way.
    #[cfg(target_arch = "x86_64")]
    libc::SYS_open,
];

/// Allowed `fcntl` commands. None makes the kernel send a signal, and none blocks.
const DESCRIPTOR: &[libc::c_int] =
    &[libc::F_DUPFD_CLOEXEC, libc::F_GETFD, libc::F_SETFD, libc::F_GETFL];

/// Allowed `prctl` options: naming a thread, and dropping privileges.
const PROCESS: &[libc::c_int] = &[libc::PR_SET_NAME, libc::PR_SET_NO_NEW_PRIVS];

/// Installs the filter for the calling thread and the threads that it starts.
pub(super) fn filter(calls: Calls) -> Result<(), seccompiler::Error> {
    seccompiler::apply_filter(&program(calls)?)
}

/// Prevents all threads of this process from starting others.
pub(super) fn no_more_threads() -> Result<(), seccompiler::Error> {
    let refused = BTreeMap::from([(libc::SYS_clone, Vec::new())]);
    let filter = SeccompFilter::new(
        refused,
        SeccompAction::Allow,
        SeccompAction::Errno(Errno::NOSYS.raw_os_error().unsigned_abs()),
        std::env::consts::ARCH.try_into()?,
    )?;
    let program: BpfProgram = filter.try_into()?;
    seccompiler::apply_filter_all_threads(&program)
}

fn program(calls: Calls) -> Result<BpfProgram, seccompiler::Error> {
    let files = match calls {
        Calls::Compute => &[],
        Calls::Files { .. } => FILES,
    };
    let always = COMPUTE.iter().chain(files).map(|call| (*call, Vec::new()));
    let mut rules: BTreeMap<_, _> = always.collect();
    let executable = libc::PROT_EXEC as u64;
    // This memory is not counted against the process, which would defeat its memory limit.
    let uncounted = (libc::MAP_SHARED | libc::MAP_GROWSDOWN) as u64;
    let thread = libc::CLONE_THREAD as u64;
    let own = u64::from(rustix::process::getpid().as_raw_nonzero().get().unsigned_abs());
    rules.extend([
        // No new executable memory.
        (
            libc::SYS_mmap,
            vec![SeccompRule::new(vec![
                condition(2, SeccompCmpOp::MaskedEq(executable), 0)?,
                condition(3, SeccompCmpOp::MaskedEq(uncounted), 0)?,
            ])?],
        ),
        (libc::SYS_mprotect, where_argument(2, SeccompCmpOp::MaskedEq(executable), 0)?),
        (libc::SYS_clone, where_argument(0, SeccompCmpOp::MaskedEq(thread), thread)?),
        (libc::SYS_prctl, one_of(0, PROCESS)?),
        // Another filter can only restrict further.
        (libc::SYS_seccomp, where_argument(0, SeccompCmpOp::Eq, SET_FILTER)?),
        // A process aborts by signalling itself.
        (libc::SYS_tgkill, where_argument(0, SeccompCmpOp::Eq, own)?),
        // Reads limits, and does not set them.
        (libc::SYS_prlimit64, where_argument(2, SeccompCmpOp::Eq, 0)?),
    ]);
    if let Calls::Files { times } = calls {
        rules.insert(libc::SYS_fcntl, one_of(1, DESCRIPTOR)?);
        if times {
            // Only for open descriptors. By name, it would apply to any file of the host's user,
            // because Landlock does not cover file times.
            rules.insert(libc::SYS_utimensat, where_argument(1, SeccompCmpOp::Eq, 0)?);
        }
    }
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Errno(Errno::NOSYS.raw_os_error().unsigned_abs()),
        SeccompAction::Allow,
        std::env::consts::ARCH.try_into()?,
    )?;
    Ok(filter.try_into()?)
}

/// `SECCOMP_SET_MODE_FILTER`.
const SET_FILTER: u64 = libc::SECCOMP_SET_MODE_FILTER as u64;

fn condition(
    index: u8,
    compare: SeccompCmpOp,
    value: u64,
) -> Result<SeccompCondition, seccompiler::Error> {
    Ok(SeccompCondition::new(index, SeccompCmpArgLen::Qword, compare, value)?)
}

fn where_argument(
    index: u8,
    compare: SeccompCmpOp,
    value: u64,
) -> Result<Vec<SeccompRule>, seccompiler::Error> {
    Ok(vec![SeccompRule::new(vec![condition(index, compare, value)?])?])
}

/// Matches an argument that is one of these numbers. The kernel uses its lower 32 bits.
fn one_of(index: u8, numbers: &[libc::c_int]) -> Result<Vec<SeccompRule>, seccompiler::Error> {
    let rule = |number: &libc::c_int| {
        let (length, number) = (SeccompCmpArgLen::Dword, u64::from(number.unsigned_abs()));
        let condition = SeccompCondition::new(index, length, SeccompCmpOp::Eq, number)?;
        Ok(SeccompRule::new(vec![condition])?)
    };
    numbers.iter().map(rule).collect()
}

/// Makes a system call with numeric arguments. A result other than an error is returned as a
/// number.
pub(super) fn call(number: c_long, arguments: [c_long; 5]) -> Result<c_long, Errno> {
    let [a, b, c, d, e] = arguments;
    #[expect(unsafe_code, reason = "these calls have no safe form in rustix")]
    // SAFETY: no caller in this module's parent passes an address other than null, so the kernel
    // accesses no memory of this process.
    let result = unsafe { libc::syscall(number, a, b, c, d, e) };
    match result {
        -1 => Err(std::io::Error::last_os_error()
            .raw_os_error()
            .map_or(Errno::IO, Errno::from_raw_os_error)),
        result => Ok(result),
    }
}

/// Returns Landlock's version, or 0 if it is not supported.
pub(super) fn landlock_version() -> u32 {
    const VERSION: c_long = 1;
    let version = call(libc::SYS_landlock_create_ruleset, [0, 0, VERSION, 0, 0]);
    version.ok().and_then(|version| version.try_into().ok()).unwrap_or(0)
}

/// Closes all descriptors from `first` on.
pub(super) fn close_range(first: u32) -> Result<(), Errno> {
    // This would break other owners of those descriptors in the process. The callers are children
    // that have just started, so there are none.
    call(libc::SYS_close_range, [first.into(), u32::MAX.into(), 0, 0, 0]).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_filters_fit_the_kernel_limit() {
        for calls in [Calls::Compute, Calls::Files { times: true }] {
            let program = program(calls).unwrap();
            assert!(program.len() < 4_096, "{}", program.len());
        }
    }

    #[test]
    fn dangerous_calls_are_on_no_list() {
        for call in [
            libc::SYS_execve,
            libc::SYS_execveat,
            libc::SYS_socket,
            libc::SYS_connect,
            libc::SYS_ptrace,
            libc::SYS_process_vm_readv,
            libc::SYS_mount,
            libc::SYS_bpf,
            libc::SYS_kill,
            libc::SYS_tkill,
            libc::SYS_clone3,
            libc::SYS_ioctl,
            libc::SYS_io_uring_setup,
            libc::SYS_setns,
            libc::SYS_unshare,
            libc::SYS_fchmod,
            // Allowed only for adding another filter.
            libc::SYS_seccomp,
            libc::SYS_sendmsg,
            libc::SYS_recvmsg,
        ] {
            assert!(!COMPUTE.contains(&call) && !FILES.contains(&call), "{call}");
        }
        assert!(!COMPUTE.iter().any(|call| FILES.contains(call)));
    }
}
