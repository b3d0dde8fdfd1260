//! What a process behind the wall tries, to see that it stands.
//!
//! Each attempt is made twice: before the wall, where it has to come to something else than a
//! refusal, or it would prove nothing, and behind it. They are asked for in such a way that none has
//! an effect where it is let through.

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

/// The hidden first argument of the program that makes it call [`prove`].
pub const PROVE: &str = "__wall";

/// One thing that has to be refused.
type Attempt = (&'static str, fn() -> io::Result<()>);

const ATTEMPTS: &[Attempt] = &[
    ("read a file", || std::fs::File::open("/proc/self/status").map(drop)),
    ("list a directory", || std::fs::read_dir("/").map(drop)),
    ("make a file", || {
        // One without a name, which goes as it came.
        let mut options = std::fs::OpenOptions::new();
        let options = options.write(true).custom_flags(libc::O_TMPFILE);
        options.open(std::env::temp_dir()).map(drop)
    }),
    ("open a network socket", || TcpListener::bind(("127.0.0.1", 0)).map(drop)),
    ("open a local socket", || UnixStream::pair().map(drop)),
    ("start a program", || Command::new("/nonexistent/program").spawn().map(drop)),
    ("replace itself by a program", || system(libc::SYS_execve, [0; 5])),
    // Sharing handlers without memory is invalid, so no process comes of it.
    ("start a process", || system(libc::SYS_clone, [libc::CLONE_SIGHAND.into(), 0, 0, 0, 0])),
    ("trace a process", || {
        system(libc::SYS_ptrace, [libc::PTRACE_PEEKDATA.into(), c_long::MAX, 0, 0, 0])
    }),
    ("read another's memory", || system(libc::SYS_process_vm_readv, [1, 0, 0, 0, 0])),
    ("signal another", || {
        let parent = rustix::process::getppid().map_or(1, |parent| parent.as_raw_nonzero().get());
        system(libc::SYS_kill, [parent.into(), 0, 0, 0, 0])
    }),
    ("make memory executable", || {
        let executable = c_long::from(libc::PROT_READ | libc::PROT_EXEC);
        let private = c_long::from(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        system(libc::SYS_mmap, [0, 4_096, executable, private, -1])
    }),
    ("mount", || system(libc::SYS_mount, [0; 5])),
    ("load a program into the kernel", || system(libc::SYS_bpf, [c_long::MAX, 0, 0, 0, 0])),
    ("replace the kernel", || system(libc::SYS_kexec_load, [0, 0, 0, c_long::MAX, 0])),
    ("leave a namespace", || system(libc::SYS_setns, [-1, 0, 0, 0, 0])),
    ("queue calls past the filter", || system(libc::SYS_io_uring_setup, [0; 5])),
    ("take keys", || system(libc::SYS_keyctl, [c_long::MAX, 0, 0, 0, 0])),
    ("have memory that is not counted", || {
        let shared = c_long::from(libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        system(libc::SYS_mmap, [0, 4_096, libc::PROT_READ.into(), shared, -1])
    }),
    ("have the kernel signal another", || {
        let own = c_long::from(rustix::process::getpid().as_raw_nonzero().get());
        system(libc::SYS_fcntl, [0, libc::F_SETOWN.into(), own, 0, 0])
    }),
    ("set times by name", || {
        let now = rustix::fs::Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT };
        let none = rustix::fs::Timestamps { last_access: now, last_modification: now };
        let flags = rustix::fs::AtFlags::empty();
        Ok(rustix::fs::utimensat(rustix::fs::CWD, "/proc/self/exe", &none, flags)?)
    }),
    ("watch events of the processor", || system(libc::SYS_perf_event_open, [0; 5])),
];

fn system(number: c_long, arguments: [c_long; 5]) -> io::Result<()> {
    Ok(call(number, arguments).map(drop)?)
}

/// Whether the answer is a refusal, and not what the attempt would have come to.
fn is_refusal(answer: &io::Result<()>) -> bool {
    let refusals = [Errno::NOSYS, Errno::PERM, Errno::ACCESS];
    answer.as_ref().is_err_and(|error| {
        error.raw_os_error().is_some_and(|code| refusals.iter().any(|e| e.raw_os_error() == code))
    })
}

/// Raises the wall and tries it: as around the compiler, or with the argument `files` as around a
/// guest that was granted a directory, where it is Landlock alone that stands before a file. What
/// was found is printed, a line for each attempt; the exit code is 0 where all were refused.
pub fn prove(arguments: &[String]) -> i32 {
    let calls = match arguments {
        [files] if files == "files" => Calls::Files { times: true },
        _ => Calls::Compute,
    };
    let closed = close_from(3);
    // A run has a directory of its own. This one has none of the files that are tried.
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
            (true, true) => "refused, here as everywhere",
            (false, true) => "refused",
            (_, false) => "not refused",
        };
        // Writing to a string does not fail.
        let _ = writeln!(text, "{what}: {found}");
    }
    if let Err(error) = raised {
        let _ = writeln!(text, "the wall: {error}");
    }
    // Whoever asked reads it, or does not care.
    let _ = io::Write::write_all(&mut io::stdout(), text.as_bytes());
    i32::from(!stands)
}
