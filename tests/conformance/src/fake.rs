//! A runtime in memory, for tests only: it interprets the guests' commands instead of running wasm.
//!
//! It shows that the suite does not contradict itself, and replaces a runtime in tests of its
//! callers. A [`FakeDisk`] outlives the [`FakeRuntime`]s opened on it. Each opening takes the disk
//! away from the runtime before, as a crash would.

mod disk;
mod files;
mod guest;
mod handle;
mod responder;
mod transcript;
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

/// The persistent state of a fake runtime.
#[derive(Clone)]
pub struct FakeDisk(Arc<Mutex<Disk>>);

impl FakeDisk {
    /// Makes an empty disk for a runtime with this id.
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

/// A runtime in memory. Its turns run on the tokio runtime on which it was opened.
#[derive(Clone)]
pub struct FakeRuntime {
    disk: FakeDisk,
    session: u64,
}

impl FakeRuntime {
    /// Opens a disk and recovers its unfinished work.
    pub fn open(disk: &FakeDisk) -> Self {
        let session = {
            let mut disk = disk.0.lock().expect("no panic happens under the disk's lock");
            disk.session += 1;
            disk.session
        };
        let runtime = Self { disk: disk.clone(), session };
        runtime.with(|disk| runtime.recover(disk)).expect("the disk was just opened");
        runtime
    }

    /// Accesses the disk and wakes all waiters.
    fn with<T>(&self, work: impl FnOnce(&mut Disk) -> T) -> Result<T, Error> {
        let mut disk = self.disk.0.lock().expect("no panic happens under the disk's lock");
        if disk.session != self.session {
            return Err(Error::RuntimeUnavailable);
        }
        let result = work(&mut disk);
        disk.changed.send_replace(());
        Ok(result)
    }

    /// Evaluates `look` now and after each change, until it returns a value.
    async fn wait_for<T>(
        &self,
        mut look: impl FnMut(&mut Disk) -> Option<Result<T, Error>>,
    ) -> Result<T, Error> {
        let mut changed = {
            let disk = self.disk.0.lock().expect("no panic happens under the disk's lock");
            disk.changed.subscribe()
        };
        loop {
            changed.mark_unchanged();
            {
                let mut disk = self.disk.0.lock().expect("no panic happens under the disk's lock");
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
    /// Makes a subject with an empty disk.
    pub fn new() -> Self {
        let disk = FakeDisk::new("fake".parse().expect("the id is valid"));
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
        Arc::new(self.runtime.lock().expect("no panic happens under the lock").clone())
    }

    /// A crash and a clean restart are the same, since every write is on the disk at once.
    async fn restart(&self, _how: Restart) {
        let runtime = FakeRuntime::open(&self.disk);
        *self.runtime.lock().expect("no panic happens under the lock") = runtime;
    }

    fn wasm(&self, guest: Guest) -> Vec<u8> {
        guest::wasm(guest)
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Timestamp::since_epoch(since.expect("the clock is after 1970"))
}

/// Returns unique, increasing bytes.
fn unique() -> [u8; 10] {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut bytes = [0; 10];
    bytes[2..].copy_from_slice(&COUNT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    bytes
}
