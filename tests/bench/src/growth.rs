//! The cost of a long transcript: appending to it, and opening its runtime.

use std::path::Path;
use std::time::{Duration, Instant};

use skep_protocol::{
    ComponentDigest, ComponentKind, Desired, EntryKind, Payload, WorkerId, WorkerSpec,
};
use skep_runtime::Options;
use skep_sandbox::Sandbox;
use skep_store::{NewEntry, Standing, Store, Transaction, WorkerNumber, WorkerRecord, WorkerWrite};

use crate::Failure;
use crate::durable::{host, now, open, sandbox, store};
use crate::pairs::{First, Pairs};
use crate::table::Row;

const LONG: usize = 1_000_000;
const SHORT: usize = 1_000;

/// Entries per transaction while filling.
const FILL: usize = 1_000;

const APPENDS: usize = 200;
const APPEND_ROWS: usize = 16;
const OPENS: usize = 20;
const WARM_UP: usize = 3;

pub(crate) fn measure() -> Result<Vec<Row>, Failure> {
    let (long, short) = (crate::tools::folder()?, crate::tools::folder()?);
    fill(long.path(), LONG)?;
    fill(short.path(), SHORT)?;
    let opens = opens(long.path(), short.path())?;
    let appends = appends(long.path(), short.path())?;
    Ok(vec![
        Row::beside("append of 16 at 1,000,000 entries", "at 1,000", appends.summary(), 1.2),
        Row::beside("open at 1,000,000 entries", "at 1,000", opens.summary(), 1.2),
    ])
}

/// Makes a store with one worker that has this many entries.
fn fill(folder: &Path, entries: usize) -> Result<(), Failure> {
    let store = store(folder)?;
    let worker = store.next_number();
    let events = vec![WorkerWrite::Create(Box::new(record(worker, 0)))];
    store.submit(Transaction { worker, writes: events }).wait()?;
    let mut under_way = std::collections::VecDeque::new();
    for _ in 0..entries / FILL {
        under_way.push_back(store.submit(Transaction { worker, writes: events_of(FILL) }));
        if under_way.len() > 8
            && let Some(first) = under_way.pop_front()
        {
            first.wait()?;
        }
    }
    for commit in under_way {
        commit.wait()?;
    }
    store.close();
    Ok(())
}

/// Makes this many entries of 64 bytes.
pub(crate) fn events_of(count: usize) -> Vec<WorkerWrite> {
    let entry = || {
        WorkerWrite::Append(NewEntry {
            at: now(),
            kind: EntryKind::Event,
            input_id: None,
            label: Some("tick".into()),
            ending: None,
            payload: Payload { content_type: "text/plain".into(), body: vec![b'x'; 64].into() },
            truncated: false,
        })
    };
    (0..count).map(|_| entry()).collect()
}

/// Makes the record of a worker that was never connected, of a component that is not stored.
pub(crate) fn record(number: WorkerNumber, n: u64) -> WorkerRecord {
    let spec = WorkerSpec::new(ComponentDigest::from_sha256([7; 32]));
    WorkerRecord {
        number,
        id: id(n),
        kind: ComponentKind::Service,
        created_as: spec.clone(),
        spec,
        previous: None,
        desired: Desired::Running,
        standing: Standing::Idle,
        has_directory: false,
        created_at: now(),
        updated_at: now(),
    }
}

/// Returns the id of the nth worker.
pub(crate) fn id(n: u64) -> WorkerId {
    let mut random = [0; 10];
    random[2..].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    WorkerId::new(1_700_000_000_000 + n, random)
}

fn appends(long: &Path, short: &Path) -> Result<Pairs, Failure> {
    let (long, short) = (store(long)?, store(short)?);
    let append = |store: &Store| -> Result<Duration, Failure> {
        let transaction = Transaction { worker: WorkerNumber(1), writes: events_of(APPEND_ROWS) };
        let began = Instant::now();
        store.submit(transaction).wait()?;
        Ok(began.elapsed())
    };
    let mut pairs = Pairs::default();
    for pair in 0..WARM_UP + APPENDS {
        let (ours, theirs) = match First::of(pair) {
            First::Ours => (append(&long)?, append(&short)?),
            First::Theirs => {
                let theirs = append(&short)?;
                (append(&long)?, theirs)
            }
        };
        if pair >= WARM_UP {
            pairs.push(1, ours, theirs);
        }
    }
    long.close();
    short.close();
    Ok(pairs)
}

fn opens(long: &Path, short: &Path) -> Result<Pairs, Failure> {
    let host = host()?;
    let _entered = host.enter();
    // The engine starts only with the first guest.
    let first = store(short)?;
    let sandbox = sandbox(&first, 64)?;
    first.close();
    let time = |folder: &Path, sandbox: &Sandbox| -> Result<Duration, Failure> {
        let began = Instant::now();
        let runtime = open(store(folder)?, sandbox.clone(), Options::default())?;
        let took = began.elapsed();
        host.block_on(runtime.shutdown(Duration::ZERO));
        Ok(took)
    };
    let mut pairs = Pairs::default();
    for pair in 0..WARM_UP + OPENS {
        let (ours, theirs) = match First::of(pair) {
            First::Ours => (time(long, &sandbox)?, time(short, &sandbox)?),
            First::Theirs => {
                let theirs = time(short, &sandbox)?;
                (time(long, &sandbox)?, theirs)
            }
        };
        if pair >= WARM_UP {
            pairs.push(1, ours, theirs);
        }
    }
    Ok(pairs)
}
