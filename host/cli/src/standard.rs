//! The standard streams as this process inherited them.
//!
//! The standard library replaces a stream that is closed at the start by `/dev/null`, and reports
//! success for a write to a descriptor that is not open for writing. Both lose output silently, so
//! this file uses the descriptors directly.

use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU8, Ordering};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

/// A standard stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standard {
    In,
    Out,
    Err,
}

/// The streams that were closed when this process started, one bit each.
static CLOSED: AtomicU8 = AtomicU8::new(0);

/// Records the closed streams before the standard library replaces them.
extern "C" fn look() {
    for stream in [Standard::In, Standard::Out, Standard::Err] {
        if rustix::io::fcntl_getfd(stream.descriptor()) == Err(Errno::BADF) {
            CLOSED.fetch_or(stream.bit(), Ordering::Relaxed);
        }
    }
}

#[used]
#[expect(
    unsafe_code,
    reason = "only code that runs before the standard library can see a closed stream"
)]
// SAFETY: the loader calls each pointer in this section once, before `main`, with arguments that a
// C function may ignore. `look` asks the kernel about three numbers and sets an atomic.
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

impl Standard {
    const fn bit(self) -> u8 {
        1 << self as u8
    }

    const fn descriptor(self) -> BorrowedFd<'static> {
        match self {
            Self::In => rustix::stdio::stdin(),
            Self::Out => rustix::stdio::stdout(),
            Self::Err => rustix::stdio::stderr(),
        }
    }

    /// Returns true if the stream was closed when this process started.
    pub(crate) fn was_closed(self) -> bool {
        CLOSED.load(Ordering::Relaxed) & self.bit() != 0
    }

    /// Returns true if the stream is a terminal.
    pub(crate) fn is_terminal(self) -> bool {
        !self.was_closed() && self.descriptor().is_terminal()
    }

    /// Returns its name for messages.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::In => "standard input",
            Self::Out => "standard output",
            Self::Err => "standard error",
        }
    }

    /// Repeats `call` while it is interrupted or would block. Another program that shares the
    /// stream may have made it non-blocking.
    fn retry(
        self,
        ready: PollFlags,
        mut call: impl FnMut(BorrowedFd<'static>) -> rustix::io::Result<usize>,
    ) -> io::Result<usize> {
        if self.was_closed() {
            return Err(Errno::BADF.into());
        }
        loop {
            match call(self.descriptor()) {
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    match poll(&mut [PollFd::new(&self.descriptor(), ready)], None) {
                        Ok(_) | Err(Errno::INTR) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                done => return Ok(done?),
            }
        }
    }
}

impl Read for Standard {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.retry(PollFlags::IN, |stream| rustix::io::read(stream, &mut *buffer))
    }
}

impl Write for Standard {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.retry(PollFlags::OUT, |stream| rustix::io::write(stream, bytes))
    }

    /// Nothing is buffered.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
