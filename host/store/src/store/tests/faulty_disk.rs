//! Makes every operation on the database's files fail, once or from then on, in every way.

use std::collections::BTreeMap;
use std::os::fd::AsRawFd;

use skep_harness::{Fault, FaultyDisk, Plan};

use super::*;

/// The writes that were acknowledged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Known {
    workers: BTreeMap<WorkerId, Worker>,
    removed: Vec<WorkerId>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Worker {
    number: i64,
    bodies: Vec<Vec<u8>>,
    state: BTreeMap<String, Vec<u8>>,
    /// True for an input that has ended.
    inputs: BTreeMap<InputId, bool>,
}

struct Scenario {
    store: Store,
    known: Known,
    next_id: u64,
    refusals: u32,
}

impl Scenario {
    fn id(&mut self) -> [u8; 10] {
        self.next_id += 1;
        let mut random = [0; 10];
        random[2..].copy_from_slice(&self.next_id.to_be_bytes());
        random
    }

    /// Returns true if the write was acknowledged. If not, the error must be one that a disk can
    /// cause.
    fn write(&mut self, worker: WorkerNumber, writes: Vec<WorkerWrite>) -> bool {
        match self.store.submit(Transaction { worker, writes }).wait() {
            Ok(_) => true,
            Err(StoreError::Full | StoreError::Io(_)) => {
                self.refusals += 1;
                false
            }
            Err(error) => panic!("{error:?}"),
        }
    }

    fn create(&mut self) -> WorkerId {
        let spec = WorkerSpec::new(ComponentDigest::from_sha256([7; 32]));
        let number = self.store.next_number();
        let id = WorkerId::new(1_000, self.id());
        let record = WorkerRecord {
            number,
            id,
            kind: ComponentKind::Service,
            spec: spec.clone(),
            created_as: spec,
            previous: None,
            desired: Desired::Running,
            standing: Standing::Idle,
            has_directory: false,
            created_at: Timestamp(1_000),
            updated_at: Timestamp(1_000),
        };
        if self.write(number, vec![WorkerWrite::Create(Box::new(record))]) {
            let worker = Worker { number: number.0, bodies: vec![Vec::new()], ..Worker::default() };
            self.known.workers.insert(id, worker);
        }
        id
    }

    fn number(&self, id: &WorkerId) -> Option<WorkerNumber> {
        self.known.workers.get(id).map(|worker| WorkerNumber(worker.number))
    }

    fn turn(&mut self, id: &WorkerId, body: &[u8], end_too: bool) -> Option<InputId> {
        let number = self.number(id)?;
        let input = InputId::new(1_000, self.id());
        let mut writes = vec![accept(input, body), set("last", body)];
        if end_too {
            writes.push(end(input, body));
        }
        if !self.write(number, writes) {
            return None;
        }
        let worker = self.known.workers.get_mut(id).unwrap();
        worker.bodies.extend(vec![body.to_vec(); 1 + usize::from(end_too)]);
        worker.state.insert("last".into(), body.to_vec());
        worker.inputs.insert(input, end_too);
        Some(input)
    }

    fn finish(&mut self, id: &WorkerId, input: InputId) {
        let Some(number) = self.number(id) else { return };
        if self.write(number, vec![end(input, b"late")]) {
            let worker = self.known.workers.get_mut(id).unwrap();
            worker.bodies.push(b"late".to_vec());
            worker.inputs.insert(input, true);
        }
    }

    fn remove(&mut self, id: &WorkerId) {
        let Some(number) = self.number(id) else { return };
        if self.write(number, vec![WorkerWrite::Remove { at: Timestamp(2_000) }]) {
            self.known.workers.remove(id);
            self.known.removed.push(*id);
        }
    }

    fn run(&mut self) {
        let (a, b) = (self.create(), self.create());
        self.turn(&a, b"one", true);
        let open = self.turn(&b, b"two", false);
        self.turn(&a, &[3; 6_000], true);
        if let Some(open) = open {
            self.finish(&b, open);
        }
        // A read may fail, but must never return wrong data.
        if let Ok(found) = read_back(&self.store) {
            assert_eq!(found, self.known);
        }
        self.turn(&a, b"waits", false);
        self.remove(&b);
        for _ in 0..3 {
            match self.store.janitor_step() {
                Ok(_) | Err(StoreError::Full | StoreError::Io(_)) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
        let c = self.create();
        self.turn(&c, &[4; 600], true);
    }
}

fn read_back(store: &Store) -> Result<Known, StoreError> {
    let mut known = Known::default();
    for record in store.workers(None, None, usize::MAX)? {
        let number = record.number;
        let entries = store.entries(number, Cursor(0), usize::MAX)?.entries;
        let mut worker = Worker { number: number.0, ..Worker::default() };
        for (place, entry) in entries.iter().enumerate() {
            assert_eq!(entry.seq.0, place as u64 + 1);
            if let (EntryKind::Input, Some(id)) = (entry.kind, entry.input_id) {
                let input = store.input(number, &id)?.expect("every message has an input");
                worker.inputs.insert(id, input.outcome_seq.is_some());
                if let Some(seq) = input.outcome_seq {
                    assert!(store.outcome(number, seq)?.is_some());
                }
            }
            worker.bodies.push(entry.payload.body.clone().to_vec());
        }
        for key in store.state_list(number, "", None, usize::MAX)? {
            let value = store.state_get(number, &key)?.expect("listed keys exist");
            worker.state.insert(key, value);
        }
        let waiting = worker.inputs.values().filter(|ended| !**ended).count();
        assert_eq!(store.queue(number)?.len(), waiting);
        known.workers.insert(record.id, worker);
    }
    let connection = store.0.readers.with(|connection| {
        let mut statement = connection.prepare("SELECT id FROM tombstone ORDER BY number")?;
        let ids = statement.query_map([], |row| row.get::<_, Vec<u8>>(0))?;
        Ok(ids.collect::<Result<Vec<_>, _>>()?)
    })?;
    let ids = connection.into_iter();
    known.removed = ids.map(|id| WorkerId::from_bytes(id.try_into().unwrap()).unwrap()).collect();
    Ok(known)
}

fn open_on(dir: &Dir, disk: &FaultyDisk) -> Result<Store, OpenError> {
    Store::open(StoreParts {
        dir: dir.try_clone().unwrap(),
        now: Timestamp(1_000),
        new_runtime_id: "rt-test".parse().unwrap(),
        faults: Arc::new(NoFaults),
        vfs: Some(disk.name().to_owned()),
    })
}

/// Uses a directory in memory if there is one: the tests sync about 100,000 times.
fn directory() -> TempDir {
    match Dir::open_ambient_dir("/dev/shm", ambient_authority()) {
        Ok(memory) => TempDir::new_in(&memory).unwrap(),
        Err(_) => cap_tempfile::tempdir(ambient_authority()).unwrap(),
    }
}

/// Copies the files that a power cut at this moment would leave.
fn copy(dir: &Dir) -> TempDir {
    let to = directory();
    for name in ["state.db", "state.db-wal", "identity.json"] {
        if let Ok(bytes) = dir.read(name) {
            to.write(name, bytes).unwrap();
        }
    }
    to
}

/// Runs the scenario on a disk with this fault. Returns true if the fault occurred.
fn survives(disk: &FaultyDisk, plan: Plan) -> bool {
    let dir = directory();
    disk.fail(plan);
    let store = open_on(&dir, disk).or_else(|refused| {
        assert!(matches!(refused, OpenError::Io(_) | OpenError::Full), "{plan:?}: {refused:?}");
        if plan.lasting {
            disk.mend();
        }
        open_on(&dir, disk)
    });
    let store = store.unwrap_or_else(|error| panic!("{plan:?}: {error:?}"));
    let mut scenario = Scenario { store, known: Known::default(), next_id: 0, refusals: 0 };
    scenario.run();
    let failed = disk.mend();

    // The store works again at once.
    let before = scenario.refusals;
    let d = scenario.create();
    scenario.turn(&d, b"after", true).expect("the fault is over");
    assert_eq!(scenario.refusals, before, "{plan:?}");
    let known = scenario.known;
    assert_eq!(read_back(&scenario.store).unwrap(), known, "{plan:?}");

    let cut = copy(&dir);
    let store = open(&cut).unwrap_or_else(|error| panic!("{plan:?}: {error:?}"));
    assert_eq!(read_back(&store).unwrap(), known, "{plan:?}: after a power cut");
    drop(store);

    scenario.store.close();
    let store = open(&dir).unwrap_or_else(|error| panic!("{plan:?}: {error:?}"));
    assert_eq!(read_back(&store).unwrap(), known, "{plan:?}: after a restart");
    let path = format!("/proc/self/fd/{}/state.db", dir.as_raw_fd());
    let check: String = rusqlite::Connection::open(path)
        .unwrap()
        .pragma_query_value(None, "integrity_check", |row| row.get(0))
        .unwrap();
    assert_eq!(check, "ok", "{plan:?}");
    failed > 0
}

fn every_operation(fault: Fault, lasting: bool) {
    let disk = FaultyDisk::register();
    let mut at = 1;
    while survives(disk, Plan { at, fault, lasting }) {
        at += 1;
    }
    assert!(at > 50, "only {at} operations");
}

#[test]
fn one_failed_operation_loses_nothing() {
    every_operation(Fault::Io, false);
}

#[test]
fn a_lasting_disk_failure_loses_nothing() {
    every_operation(Fault::Io, true);
}

#[test]
fn a_short_write_loses_nothing() {
    every_operation(Fault::Short, false);
}

#[test]
fn a_briefly_full_disk_loses_nothing() {
    every_operation(Fault::Full, false);
}

#[test]
fn a_full_disk_loses_nothing() {
    every_operation(Fault::Full, true);
}
