//! A lock on the compilation of one component, across the processes of a user.
//!
//! A build that starts eight programs of one component would otherwise compile it eight times at once,
//! which takes eight times as long on the same cores. The lock is a file in the cache. The kernel
//! releases it with its process, so a killed one blocks no other.

use std::fs::File;
use std::io;
use std::time::{Duration, Instant};

use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;

/// The first and the last pause between two attempts.
const PAUSES: [Duration; 2] = [Duration::from_millis(2), Duration::from_millis(50)];

/// The right to compile one component. Dropping it lets the next process compile.
#[derive(Debug)]
pub(crate) struct CompileLock<'a> {
    dir: &'a Dir,
    name: String,
    _file: File,
}

impl<'a> CompileLock<'a> {
    /// Takes the lock, or waits until `is_done` returns something because its holder is done. Returns
    /// neither after `patience`: a holder that was stopped must not keep others from working.
    pub(crate) fn take<T>(
        dir: &'a Dir,
        name: String,
        patience: Duration,
        mut is_done: impl FnMut() -> io::Result<Option<T>>,
    ) -> io::Result<TakenLock<'a, T>> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).mode(0o600);
        options.custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
        let file = dir.open_with(&name, &options)?.into_std();
        let began = Instant::now();
        let [mut pause, longest] = PAUSES;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Err(Errno::WOULDBLOCK) => {}
                // The file system has no locks.
                Err(Errno::NOLCK | Errno::NOTSUP | Errno::NOSYS) => return Ok(TakenLock::None),
                locked => {
                    locked?;
                    let own = Self { dir, name, _file: file };
                    return Ok(match is_done()? {
                        Some(done) => TakenLock::Done(done),
                        None => TakenLock::Own(own),
                    });
                }
            }
            if began.elapsed() >= patience {
                return Ok(TakenLock::None);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(longest);
        }
    }
}

/// The end of the wait for a lock.
#[derive(Debug)]
pub(crate) enum TakenLock<'a, T> {
    /// This process compiles.
    Own(#[expect(dead_code, reason = "its drop releases the lock")] CompileLock<'a>),
    /// Another process has compiled it.
    Done(T),
    /// There is no lock to be had, so this process compiles without.
    None,
}

impl Drop for CompileLock<'_> {
    fn drop(&mut self) {
        // A process that waits for this very file gets its lock next, and finds the result. If there
        // is none, two processes may compile after a failure, which is only slower.
        if let Err(error) = self.dir.remove_file(&self.name) {
            tracing::debug!(%error, "cannot remove the lock of a compilation");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Barrier};

    use cap_std::ambient_authority;

    use super::*;

    fn take<'a>(dir: &'a Dir, patience: Duration, done: &AtomicUsize) -> TakenLock<'a, ()> {
        let is_done = || Ok((done.load(Ordering::SeqCst) > 0).then_some(()));
        CompileLock::take(dir, "x.lock".into(), patience, is_done).unwrap()
    }

    #[test]
    fn only_one_of_many_compiles_and_the_others_find_its_result() {
        let dir = Arc::new(cap_tempfile::tempdir(ambient_authority()).unwrap());
        let (done, ready) = (Arc::new(AtomicUsize::new(0)), Arc::new(Barrier::new(8)));
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let (dir, done, ready) = (dir.clone(), done.clone(), ready.clone());
                std::thread::spawn(move || {
                    ready.wait();
                    match take(&dir, Duration::from_secs(60), &done) {
                        _lock @ TakenLock::Own(_) => done.fetch_add(1, Ordering::SeqCst),
                        TakenLock::Done(()) => 0,
                        TakenLock::None => panic!("no lock"),
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(done.load(Ordering::SeqCst), 1);
        assert!(dir.entries().unwrap().next().is_none(), "the lock file is left");
    }

    #[test]
    fn a_holder_that_does_nothing_is_not_waited_for_without_end() {
        let dir = cap_tempfile::tempdir(ambient_authority()).unwrap();
        let done = AtomicUsize::new(0);
        let held = take(&dir, Duration::ZERO, &done);
        assert!(matches!(held, TakenLock::Own(_)));
        assert!(matches!(take(&dir, Duration::from_millis(5), &done), TakenLock::None));
        drop(held);
        assert!(matches!(take(&dir, Duration::ZERO, &done), TakenLock::Own(_)));
    }
}
