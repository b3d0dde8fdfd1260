//! A runtime in memory, for tests only: it speaks the guests' languages instead of running wasm.
//!
//! It proves that the suite does not contradict itself, and stands in for a runtime where what is
//! tested only calls one. A [`FakeDisk`] outlives the [`FakeRuntime`]s that are opened on it, one
//! after the other; opening it takes it away from the one before, wherever that was, as a crash
//! would.

mod disk;
mod files;
mod guest;
mod handle;
mod turns;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use async_trait::async_trait;
use skep_protocol::{Error, RuntimeHandle, RuntimeId, Timestamp};
use tokio::sync::watch;

use self::disk::Disk;
use crate::{Guest, Restart, Subject};

/// What is left when a fake runtime is gone.
#[derive(Clone)]
pub struct FakeDisk(Arc<Mutex<Disk>>);

impl FakeDisk {
    /// An empty one, for a runtime of this id.
    pub fn new(runtime_id: RuntimeId) -> Self {
        Self(Arc::new(Mutex::new(Disk {
            runtime_id,
            workers: BTreeMap::new(),
            tombstones: BTreeMap::new(),
            components: BTreeMap::new(),
            configs: BTreeMap::new(),
            revision: 0,
            session: 0,
            changed: watch::Sender::new(()),
        })))
    }
}

/// A runtime in memory. Its turns run on the tokio runtime that it was opened on.
#[derive(Clone)]
pub struct FakeRuntime {
    disk: FakeDisk,
    session: u64,
}

impl FakeRuntime {
    /// Opens a disk, and takes up what is unfinished on it.
    pub fn open(disk: &FakeDisk) -> Self {
        let session = {
            let mut disk = disk.0.lock().expect("no one panics with the disk in hand");
            disk.session += 1;
            disk.session
        };
        let runtime = Self { disk: disk.clone(), session };
        runtime.with(|disk| runtime.recover(disk)).expect("it was opened just now");
        runtime
    }

    /// Works on the disk, and has everyone look who waits for something.
    fn with<T>(&self, work: impl FnOnce(&mut Disk) -> T) -> Result<T, Error> {
        let mut disk = self.disk.0.lock().expect("no one panics with the disk in hand");
        if disk.session != self.session {
            return Err(Error::RuntimeUnavailable);
        }
        let result = work(&mut disk);
        disk.changed.send_replace(());
        Ok(result)
    }

    /// Looks at the disk now and after each change, until there is something to see.
    async fn wait_for<T>(
        &self,
        mut look: impl FnMut(&mut Disk) -> Option<Result<T, Error>>,
    ) -> Result<T, Error> {
        let mut changed = {
            let disk = self.disk.0.lock().expect("no one panics with the disk in hand");
            disk.changed.subscribe()
        };
        loop {
            changed.mark_unchanged();
            {
                let mut disk = self.disk.0.lock().expect("no one panics with the disk in hand");
                if disk.session != self.session {
                    return Err(Error::RuntimeUnavailable);
                }
                if let Some(seen) = look(&mut disk) {
                    return seen;
                }
            }
            changed.changed().await.map_err(|_| Error::RuntimeUnavailable)?;
        }
    }
}

/// The fake as the suite's subject.
pub struct FakeSubject {
    disk: FakeDisk,
    runtime: Mutex<FakeRuntime>,
}

impl FakeSubject {
    /// One with an empty disk.
    pub fn new() -> Self {
        let disk = FakeDisk::new("fake".parse().expect("that is a runtime's id"));
        let runtime = Mutex::new(FakeRuntime::open(&disk));
        Self { disk, runtime }
    }
}

impl Default for FakeSubject {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Subject for FakeSubject {
    fn runtime(&self) -> Arc<dyn RuntimeHandle> {
        Arc::new(self.runtime.lock().expect("no one panics with it in hand").clone())
    }

    /// Both ways are one: what the fake has written is always on its disk.
    async fn restart(&self, _how: Restart) {
        let runtime = FakeRuntime::open(&self.disk);
        *self.runtime.lock().expect("no one panics with it in hand") = runtime;
    }

    fn wasm(&self, guest: Guest) -> Vec<u8> {
        guest::wasm(guest)
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Timestamp::since_epoch(since.expect("it is later than 1970"))
}

/// Bytes that differ each time, and sort later each time.
fn unique() -> [u8; 10] {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut bytes = [0; 10];
    bytes[2..].copy_from_slice(&COUNT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    bytes
}
