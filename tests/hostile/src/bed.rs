//! A test bed: a durable runtime with its store on disk and the real compiler.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use skep_harness::{TestDir, test_dir};
use skep_protocol::{
    Artifacts, ComponentDigest, CreateWorker, Error, InputId, InputState, LimitName, Limits,
    Outcome, Role, RuntimeHandle, Turns, WorkerId, WorkerSpec, Workers,
};
use skep_runtime::Embedded;
use skep_sandbox::{Isolation, Outbound};

use crate::guest::built;
use crate::host::{self, STOP_GRACE};
use crate::names::Names;
use crate::neighbour::Neighbour;

/// The bound on the wait for a turn.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The runtime under attack and its surroundings.
pub struct Bed {
    runtime: Embedded,
    dir: TestDir,
    compile_wall: Duration,
    names: Arc<Names>,
    outbound: Outbound,
    isolation: Isolation,
}

impl Bed {
    /// Opens a bed whose commands run in this isolation. Must be called within a tokio runtime.
    pub fn open(host_limits: &[(LimitName, u64)], isolation: Isolation) -> Self {
        let dir = test_dir();
        for name in ["store", "read", "write"] {
            std::fs::create_dir(dir.join(name)).unwrap();
        }
        let mut limits = Limits::default();
        for &(name, value) in host_limits {
            limits.set(name, value);
        }
        let compile_wall = Duration::from_millis(limits.compile_wall_ms);
        let names = Arc::new(Names::default());
        let outbound = Outbound::new(names.clone(), Vec::new());
        let runtime = host::open(&dir, limits, &outbound, isolation);
        Self { runtime, dir, compile_wall, names, outbound, isolation }
    }

    /// Kills the host, and opens the disk as it is at that moment.
    pub async fn crash(&mut self) {
        let copy = test_dir();
        let copied =
            std::process::Command::new("cp").arg("-a").arg(self.dir.join(".")).arg(&*copy).status();
        assert!(copied.unwrap().success());
        let next = host::open(&copy, Limits::default(), &self.outbound, self.isolation);
        let before = std::mem::replace(&mut self.runtime, next);
        before.shutdown(Duration::ZERO).await;
        self.dir = copy;
    }

    /// Returns the runtime.
    pub fn runtime(&self) -> Arc<dyn RuntimeHandle> {
        Arc::new(self.runtime.clone())
    }

    /// Returns the bed's directory: the store is in `store`, the operator's directories are `read`
    /// and `write`.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns the name resolution.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// Returns the client that sends the requests of all guests.
    pub fn outbound(&self) -> &Outbound {
        &self.outbound
    }

    /// Returns the time that a turn gets to end by itself when its worker is stopped.
    pub fn stop_grace(&self) -> Duration {
        STOP_GRACE
    }

    /// Returns the wall-clock limit of compiling.
    pub(crate) fn compile_wall(&self) -> Duration {
        self.compile_wall
    }

    /// Shuts the runtime down.
    pub async fn close(self) {
        self.runtime.shutdown(Duration::from_secs(5)).await;
    }

    /// Stores a component.
    ///
    /// # Errors
    /// The runtime's error.
    pub async fn put(&self, wasm: Vec<u8>) -> Result<ComponentDigest, Error> {
        let wasm = Bytes::from(wasm);
        let starts = (0..wasm.len()).step_by(64 << 10);
        let pieces: Vec<_> =
            starts.map(|at| Ok(wasm.slice(at..wasm.len().min(at + (64 << 10))))).collect();
        let stored = self.runtime.put_component(stream::iter(pieces).boxed(), Role::Admin).await?;
        Ok(stored.item.digest)
    }

    /// Creates a worker of one of the good guests (`echo`, `hello`, `scribe`) with the default
    /// limits.
    pub async fn good_worker(&self, guest: &str) -> WorkerId {
        let wasm = std::fs::read(built(guest)).unwrap();
        let component = self.put(wasm).await.unwrap();
        let spec = WorkerSpec::new(component);
        self.runtime.create(CreateWorker { worker_id: None, spec }).await.unwrap().item.worker_id
    }

    /// Starts a neighbour.
    pub async fn neighbour(&self) -> Neighbour {
        let worker = self.good_worker("echo").await;
        Neighbour::start(self.runtime(), worker)
    }

    /// Returns a worker's own directory.
    pub fn data(&self, worker: WorkerId) -> PathBuf {
        self.dir.join("store/workers").join(worker.to_string()).join("data")
    }

    /// Waits until nothing is left of a removed worker.
    pub(crate) async fn left(&self, worker: WorkerId) -> Result<(), String> {
        let places = ["workers", "trash"];
        let places =
            places.map(|place| self.dir.join("store").join(place).join(worker.to_string()));
        let until = Instant::now() + PATIENCE;
        while let Some(left) = places.iter().find(|place| place.symlink_metadata().is_ok()) {
            if Instant::now() > until {
                return Err(format!("{left:?} still exists after {PATIENCE:?}"));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Waits until an input's turn begins.
    pub async fn running(&self, worker: WorkerId, input: InputId) {
        let until = Instant::now() + PATIENCE;
        while self.runtime.input(worker, input).await.unwrap().state == InputState::Queued {
            assert!(Instant::now() < until, "the turn does not begin");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Waits for an input's outcome.
    pub async fn outcome(&self, worker: WorkerId, input: InputId) -> Outcome {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(outcome) = self.runtime.input(worker, input).await.unwrap().outcome {
                return outcome;
            }
            assert!(Instant::now() < until, "no outcome");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}
