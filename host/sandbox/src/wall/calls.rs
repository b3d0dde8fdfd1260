//! The system calls that a process behind the wall may make.
//!
//! A list of what is allowed. What is not on it is answered with `ENOSYS`, as an older kernel would,
//! which the C library and Rust's know how to do without; nobody is killed for asking. Not on it, on
//! purpose: whatever starts a program or process, opens a socket, traces, mounts, loads code into the
//! kernel, or signals another. `clone3` is left out because its flags lie in memory, where a filter
//! cannot look; `clone` is there for threads only.

use std::collections::BTreeMap;

use libc::c_long;
use rustix::io::Errno;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

/// What kind of work is done behind the wall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Calls {
    /// Computing, with the descriptors that are open.
    Compute,
    /// The same, and files in directories.
    Files {
        /// May set their times, for which it is enough to have them open for reading.
        times: bool,
    },
}

/// Computing with threads, and with descriptors that are open.
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

/// Files, by name beneath a directory or by descriptor.
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
    // The C library's way to open and to rename, where it was built for one.
    #[cfg(target_arch = "x86_64")]
    libc::SYS_open,
];

/// What may be asked of a descriptor: none of it has the kernel send a signal, or wait for anybody.
const DESCRIPTOR: &[libc::c_int] =
    &[libc::F_DUPFD_CLOEXEC, libc::F_GETFD, libc::F_SETFD, libc::F_GETFL];

/// What may be asked of a process: a thread's name, and to give up more.
const PROCESS: &[libc::c_int] = &[libc::PR_SET_NAME, libc::PR_SET_NO_NEW_PRIVS];

/// Puts the filter in force for the calling thread and those that it starts.
pub(super) fn filter(calls: Calls) -> Result<(), seccompiler::Error> {
    seccompiler::apply_filter(&program(calls)?)
}

/// Has no thread of this process start another any more.
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
    // Such memory is not counted to the process, whose limit would mean nothing.
    let uncounted = (libc::MAP_SHARED | libc::MAP_GROWSDOWN) as u64;
    let thread = libc::CLONE_THREAD as u64;
    let own = u64::from(rustix::process::getpid().as_raw_nonzero().get().unsigned_abs());
    rules.extend([
        // No memory becomes executable that was not when the wall was raised.
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
        // Another filter takes away, and gives nothing back.
        (libc::SYS_seccomp, where_argument(0, SeccompCmpOp::Eq, SET_FILTER)?),
        // To abort is to signal oneself.
        (libc::SYS_tgkill, where_argument(0, SeccompCmpOp::Eq, own)?),
        // Asks for limits, where it sets none.
        (libc::SYS_prlimit64, where_argument(2, SeccompCmpOp::Eq, 0)?),
    ]);
    if let Calls::Files { times } = calls {
        rules.insert(libc::SYS_fcntl, one_of(1, DESCRIPTOR)?);
        if times {
            // Of what is open. By name it would be of any file of the host's user: Landlock leaves
            // times alone.
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

/// Where an argument is one of these numbers, of which the kernel looks at 32 bits.
fn one_of(index: u8, numbers: &[libc::c_int]) -> Result<Vec<SeccompRule>, seccompiler::Error> {
    let rule = |number: &libc::c_int| {
        let (length, number) = (SeccompCmpArgLen::Dword, u64::from(number.unsigned_abs()));
        let condition = SeccompCondition::new(index, length, SeccompCmpOp::Eq, number)?;
        Ok(SeccompRule::new(vec![condition])?)
    };
    numbers.iter().map(rule).collect()
}

/// Makes a system call whose arguments are numbers, and forgets what it returns.
pub(super) fn call(number: c_long, arguments: [c_long; 5]) -> Result<c_long, Errno> {
    let [a, b, c, d, e] = arguments;
    #[expect(unsafe_code, reason = "these calls have no safe form in rustix")]
    // SAFETY: no argument that any caller in this module's parent passes is an address, but for
    // null; so the kernel reads and writes no memory of ours.
    let answer = unsafe { libc::syscall(number, a, b, c, d, e) };
    match answer {
        -1 => Err(std::io::Error::last_os_error()
            .raw_os_error()
            .map_or(Errno::IO, Errno::from_raw_os_error)),
        answer => Ok(answer),
    }
}

/// Landlock's version; 0 where there is none.
pub(super) fn landlock_version() -> u32 {
    const VERSION: c_long = 1;
    let version = call(libc::SYS_landlock_create_ruleset, [0, 0, VERSION, 0, 0]);
    version.ok().and_then(|version| version.try_into().ok()).unwrap_or(0)
}

/// Closes all descriptors from `first` on.
pub(super) fn close_range(first: u32) -> Result<(), Errno> {
    // Whoever owns one of them in this process is about to be surprised. The callers are children
    // that have just started and own none.
    call(libc::SYS_close_range, [first.into(), u32::MAX.into(), 0, 0, 0]).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_lists_make_a_program_that_the_kernel_takes() {
        for calls in [Calls::Compute, Calls::Files { times: true }] {
            let program = program(calls).unwrap();
            assert!(program.len() < 4_096, "{}", program.len());
        }
    }

    #[test]
    fn nothing_that_reaches_out_is_on_a_list() {
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
            // But for a filter more, which takes away.
            libc::SYS_seccomp,
            libc::SYS_sendmsg,
            libc::SYS_recvmsg,
        ] {
            assert!(!COMPUTE.contains(&call) && !FILES.contains(&call), "{call}");
        }
        assert!(!COMPUTE.iter().any(|call| FILES.contains(call)));
    }
}
