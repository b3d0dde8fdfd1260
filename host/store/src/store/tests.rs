//! Tests of the store's public interface.

mod commits;
mod damage;
mod faulty_disk;
mod feeds;
mod forks;
mod health;
mod janitor;
mod opening;
mod pages;
mod records;

use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use cap_std::ambient_authority;
use cap_tempfile::TempDir;
use skep_protocol::{
    ComponentDigest, ComponentKind, ConfigDigest, Cursor, Desired, Diagnostic, Ending, EntryKind,
    InputId, Outcome, Output, Payload, TurnError, Usage, WorkerSpec,
};

use super::*;
use crate::{
    ComponentRecord, ConfigRecord, InputRecord, Lookup, NewEntry, NoFaults, Standing, StoreRefusal,
    WorkerRecord, WorkerWrite,
};

/// A store in a temporary directory.
struct TestStore {
    dir: TempDir,
    store: Option<Store>,
    next_id: AtomicU64,
}

impl TestStore {
    fn new() -> Self {
        Self::with(Arc::new(NoFaults))
    }

    fn with(faults: Arc<dyn Faults>) -> Self {
        let dir = cap_tempfile::tempdir(ambient_authority()).unwrap();
        let store = Some(open_with(&dir, faults).unwrap());
        Self { dir, store, next_id: AtomicU64::new(1) }
    }

    fn reopen(&mut self) {
        self.store.take().unwrap().close();
        self.store = Some(open(&self.dir).unwrap());
    }

    /// Opens a connection as any other tool could.
    fn raw(&self) -> rusqlite::Connection {
        use std::os::fd::AsRawFd;
        let path = format!("/proc/self/fd/{}/state.db", self.dir.as_raw_fd());
        rusqlite::Connection::open(path).unwrap()
    }

    fn id(&self) -> [u8; 10] {
        let n = self.next_id.fetch_add(1, Ordering::Relaxed);
        let mut random = [0; 10];
        random[2..].copy_from_slice(&n.to_be_bytes());
        random
    }

    fn input_id(&self) -> InputId {
        InputId::new(1_000, self.id())
    }

    fn record(&self) -> WorkerRecord {
        let spec = WorkerSpec::new(ComponentDigest::from_sha256([7; 32]));
        WorkerRecord {
            number: self.next_number(),
            id: WorkerId::new(1_000, self.id()),
            kind: ComponentKind::Service,
            spec: spec.clone(),
            created_as: spec,
            previous: None,
            desired: Desired::Running,
            standing: Standing::Idle,
            has_directory: false,
            created_at: Timestamp(1_000),
            updated_at: Timestamp(1_000),
        }
    }

    fn create(&self) -> WorkerRecord {
        let record = self.record();
        let seqs = self.write(record.number, vec![WorkerWrite::Create(Box::new(record.clone()))]);
        assert_eq!(seqs, [1]);
        record
    }

    fn try_write(
        &self,
        worker: WorkerNumber,
        writes: Vec<WorkerWrite>,
    ) -> Result<Receipt, StoreError> {
        self.submit(Transaction { worker, writes }).wait()
    }

    fn write(&self, worker: WorkerNumber, writes: Vec<WorkerWrite>) -> Vec<u64> {
        let receipt = self.try_write(worker, writes).unwrap();
        receipt.seqs.into_iter().map(|seq| seq.0).collect()
    }

    /// Returns the positions in a worker's transcript.
    fn seqs(&self, worker: WorkerNumber) -> Vec<u64> {
        let page = self.entries(worker, Cursor(0), usize::MAX).unwrap();
        page.entries.iter().map(|entry| entry.seq.0).collect()
    }
}

impl std::ops::Deref for TestStore {
    type Target = Store;

    fn deref(&self) -> &Store {
        self.store.as_ref().unwrap()
    }
}

fn open(dir: &Dir) -> Result<Store, OpenError> {
    open_with(dir, Arc::new(NoFaults))
}

fn open_with(dir: &Dir, faults: Arc<dyn Faults>) -> Result<Store, OpenError> {
    Store::open(StoreParts {
        dir: dir.try_clone().unwrap(),
        now: Timestamp(1_000),
        new_runtime_id: "rt-test".parse().unwrap(),
        faults,
        vfs: None,
    })
}

fn payload(body: &[u8]) -> Payload {
    Payload { content_type: "text/plain".into(), body: body.to_vec().into() }
}

fn accept(id: InputId, body: &[u8]) -> WorkerWrite {
    accept_keyed(id, body, None, 1_000)
}

fn accept_keyed(id: InputId, body: &[u8], key: Option<&str>, at: u64) -> WorkerWrite {
    WorkerWrite::Accept {
        id,
        at: Timestamp(at),
        payload: payload(body),
        content_digest: [9; 32],
        key: key.map(|key| key.parse().unwrap()),
        attempt: 0,
        sender: None,
    }
}

fn end(id: InputId, body: &[u8]) -> WorkerWrite {
    WorkerWrite::End {
        id,
        at: Timestamp(1_001),
        ending: Ending::Completed,
        output: Some(Output::Message(payload(body))),
        error: None,
    }
}

fn event(body: &[u8]) -> WorkerWrite {
    WorkerWrite::Append(NewEntry {
        at: Timestamp(1_000),
        kind: EntryKind::Event,
        input_id: None,
        label: Some("word".into()),
        ending: None,
        payload: payload(body),
        truncated: false,
    })
}

fn set(key: &str, value: &[u8]) -> WorkerWrite {
    WorkerWrite::SetState { key: key.into(), value: value.into() }
}

fn refused(result: Result<Receipt, StoreError>) -> StoreRefusal {
    match result {
        Err(StoreError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

/// A hook that fails at one point while it is switched on.
struct FailAt {
    point: &'static str,
    kind: io::ErrorKind,
    on: AtomicBool,
}

impl FailAt {
    fn new(point: &'static str, kind: io::ErrorKind) -> Arc<Self> {
        assert!(crate::fault::POINTS.contains(&point));
        Arc::new(Self { point, kind, on: AtomicBool::new(false) })
    }

    fn switch(&self, on: bool) {
        self.on.store(on, Ordering::SeqCst);
    }
}

impl Faults for FailAt {
    fn at(&self, point: &'static str) -> io::Result<()> {
        assert!(crate::fault::POINTS.contains(&point), "{point} is not in the table");
        match point == self.point && self.on.load(Ordering::SeqCst) {
            true => Err(self.kind.into()),
            false => Ok(()),
        }
    }
}
