//! A self-test of the wall: attempts that must be refused behind it.
//!
//! Each attempt runs twice. Before the wall it must not be refused, or it would prove nothing.
//! Behind the wall it must be refused. The arguments are chosen so that an attempt has no effect if
//! it succeeds.

use std::fmt::Write as _;
use std::io;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::process::Command;

use libc::c_long;
use rustix::io::Errno;
use skep_protocol::Rights;

use super::calls::{Calls, call};
use super::{Allowed, close_from, raise};

/// The hidden first argument that makes the program call [`prove`].
pub const PROVE: &str = "__wall";

/// A name, and a call that must be refused.
type Attempt = (&'static str, fn() -> io::Result<()>);

const ATTEMPTS: &[Attempt] = &[
    ("read a file", || std::fs::File::open("/proc/self/status").map(drop)),
    ("list a directory", || std::fs::read_dir("/").map(drop)),
    ("create a file", || {
        // A file without a name, which disappears when it is closed.
        let mut options = std::fs::OpenOptions::new();
        let options = options.write(true).custom_flags(libc::O_TMPFILE);
        options.open(std::env::temp_dir()).map(drop)
    }),
    ("open a network socket", || TcpListener::bind(("127.0.0.1", 0)).map(drop)),
    ("open a local socket", || UnixStream::pair().map(drop)),
    ("start a program", || Command::new("/nonexistent/program").spawn().map(drop)),
    ("replace itself with a program", || system(libc::SYS_execve, [0; 5])),
    // This combination of flags is invalid, so no process is created.
    ("start a process", || system(libc::SYS_clone, [libc::CLONE_SIGHAND.into(), 0, 0, 0, 0])),
    ("trace a process", || {
        system(libc::SYS_ptrace, [libc::PTRACE_PEEKDATA.into(), c_long::MAX, 0, 0, 0])
    }),
    ("read the memory of another process", || system(libc::SYS_process_vm_readv, [1, 0, 0, 0, 0])),
    ("signal another process", || {
        let parent = rustix::process::getppid().map_or(1, |parent| parent.as_raw_nonzero().get());
        system(libc::SYS_kill, [parent.into(), 0, 0, 0, 0])
    }),
    ("make memory executable", || {
        let executable = c_long::from(libc::PROT_READ | libc::PROT_EXEC);
        let private = c_long::from(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        system(libc::SYS_mmap, [0, 4_096, executable, private, -1])
    }),
    ("mount", || system(libc::SYS_mount, [0; 5])),
    ("load a BPF program", || system(libc::SYS_bpf, [c_long::MAX, 0, 0, 0, 0])),
    ("replace the kernel", || system(libc::SYS_kexec_load, [0, 0, 0, c_long::MAX, 0])),
    ("enter a namespace", || system(libc::SYS_setns, [-1, 0, 0, 0, 0])),
    ("bypass the filter with io_uring", || system(libc::SYS_io_uring_setup, [0; 5])),
    ("read kernel keys", || system(libc::SYS_keyctl, [c_long::MAX, 0, 0, 0, 0])),
    ("map uncounted memory", || {
        let shared = c_long::from(libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        system(libc::SYS_mmap, [0, 4_096, libc::PROT_READ.into(), shared, -1])
    }),
    ("set the owner of signals", || {
        let own = c_long::from(rustix::process::getpid().as_raw_nonzero().get());
        system(libc::SYS_fcntl, [0, libc::F_SETOWN.into(), own, 0, 0])
    }),
    ("set times by name", || {
        let now = rustix::fs::Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT };
        let none = rustix::fs::Timestamps { last_access: now, last_modification: now };
        let flags = rustix::fs::AtFlags::empty();
        Ok(rustix::fs::utimensat(rustix::fs::CWD, "/proc/self/exe", &none, flags)?)
    }),
    ("open a performance counter", || system(libc::SYS_perf_event_open, [0; 5])),
];

fn system(number: c_long, arguments: [c_long; 5]) -> io::Result<()> {
    Ok(call(number, arguments).map(drop)?)
}

/// Returns true if the error means that the call was refused.
fn is_refusal(result: &io::Result<()>) -> bool {
    let refusals = [Errno::NOSYS, Errno::PERM, Errno::ACCESS];
    result.as_ref().is_err_and(|error| {
        error.raw_os_error().is_some_and(|code| refusals.iter().any(|e| e.raw_os_error() == code))
    })
}

/// Raises the wall and tests it: the compiler's wall, or with the argument `files` that of a guest
/// with a directory, where only Landlock protects other files. Prints one line per attempt. Returns
/// 0 if all were refused.
pub fn prove(arguments: &[String]) -> i32 {
    let calls = match arguments {
        [files] if files == "files" => Calls::Files { times: true },
        _ => Calls::Compute,
    };
    let closed = close_from(3);
    // A run has a directory of its own. This one contains none of the files that are tried.
    let own = match calls {
        Calls::Files { .. } => std::fs::File::open("/proc/self/fdinfo").ok(),
        Calls::Compute => None,
    };
    let directories: Vec<_> = own.iter().map(|own| (own.as_fd(), Rights::ReadWrite)).collect();
    let before: Vec<_> = ATTEMPTS.iter().map(|(_, attempt)| is_refusal(&attempt())).collect();
    let allowed = Allowed { directories: &directories, calls };
    let raised = closed.and_then(|()| raise(&allowed));
    let mut text = String::new();
    let mut stands = raised.is_ok();
    for ((what, attempt), before) in ATTEMPTS.iter().zip(before) {
        let refused = is_refusal(&attempt());
        stands &= refused;
        let found = match (before, refused) {
            (true, true) => "refused, with or without the wall",
            (false, true) => "refused",
            (_, false) => "not refused",
        };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{what}: {found}");
    }
    if let Err(error) = raised {
        let _ = writeln!(text, "raising the wall failed: {error}");
    }
    // A failed write means that the reader is gone.
    let _ = io::Write::write_all(&mut io::stdout(), text.as_bytes());
    i32::from(!stands)
}
