//! Many workers: the cost of 100,000 idle ones, and of 5,000 with an instance.
//!
//! Memory is measured in fresh processes, since filling the store leaves memory in the allocator
//! that is not the store's.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use skep_protocol::WorkerSpec;
use skep_protocol::{ComponentDigest, Overview, WorkerId};
use skep_runtime::{Embedded, Options};
use skep_store::{Store, Transaction, WorkerWrite};

use crate::Failure;
use crate::durable::{ask, component, host, open, sandbox, store};
use crate::growth::{id, record};
use crate::pairs::percentile;
use crate::table::{Amount, Row};

const REGISTERED: u64 = 100_000;
const CONNECTED: u64 = 5_000;

/// Processes that open the store, and as many that open nothing.
const OPENS: usize = 5;

/// Workers whose first input is timed.
const FIRSTS: u64 = 300;

/// Workers connected at the same time.
const ABREAST: u64 = 64;

pub(crate) fn measure() -> Result<Vec<Row>, Failure> {
    let (empty, full) = (crate::tools::folder()?, crate::tools::folder()?);
    fill(empty.path(), 0)?;
    fill(full.path(), REGISTERED)?;
    let (mut opens, mut memory) = (Vec::new(), Vec::new());
    for _ in 0..OPENS {
        let without = ask_child("open", empty.path())?;
        let with = ask_child("open", full.path())?;
        opens.push(Duration::from_micros(number(&with, "open_us")?));
        let more = number(&with, "resident_bytes")?;
        memory.push(more.saturating_sub(number(&without, "resident_bytes")?));
    }
    memory.sort_unstable();
    let firsts = ask_child("first", full.path())?;
    let times = firsts["first_us"].as_array().ok_or("the child told no times")?;
    let times: Option<Vec<_>> =
        times.iter().map(|time| time.as_u64().map(Duration::from_micros)).collect();
    let times = times.ok_or("the child told no times")?;
    let (first, others) = times.split_first().ok_or("the child told no times")?;
    let connected = ask_child("connect", full.path())?;
    let each = number(&connected, "resident_bytes")? / CONNECTED;
    let ms = |ms| Amount::Time(Duration::from_millis(ms));
    let typical = Amount::Time(percentile(others, 50));
    let slow = Amount::Time(percentile(others, 99));
    Ok(vec![
        Row::alone("open 100,000 workers", OPENS, Amount::Time(percentile(&opens, 50)))
            .at_most(ms(1_500)),
        Row::alone("memory of 100,000 workers", OPENS, Amount::Bytes(memory[OPENS / 2]))
            .at_most(Amount::Bytes(150_000_000)),
        Row::alone("first input to any, median", others.len(), typical).at_most(ms(5)),
        Row::alone("first input to any, p99", others.len(), slow).at_most(ms(5)),
        Row::alone("first input after a start", 1, Amount::Time(*first)),
        Row::alone("memory of each of 5,000 connected", 1, Amount::Bytes(each))
            .at_most(Amount::Bytes(50 << 10)),
    ])
}

/// Makes a store with a component and many workers of it.
fn fill(folder: &Path, workers: u64) -> Result<(), Failure> {
    let host = host()?;
    let store = store(folder)?;
    let sandbox = sandbox(&store, 64)?;
    let runtime = {
        let _entered = host.enter();
        open(store.clone(), sandbox, Options::default())?
    };
    let counter = host.block_on(component(&runtime, "counter"))?;
    register(&store, counter, workers)?;
    drop(store);
    host.block_on(runtime.shutdown(Duration::ZERO));
    Ok(())
}

fn register(store: &Store, component: ComponentDigest, workers: u64) -> Result<(), Failure> {
    let mut under_way = std::collections::VecDeque::new();
    for n in 0..workers {
        let worker = store.next_number();
        let mut record = record(worker, n);
        record.spec = WorkerSpec::new(component);
        record.created_as = record.spec.clone();
        let events = vec![WorkerWrite::Create(Box::new(record))];
        under_way.push_back(store.submit(Transaction { worker, writes: events }));
        if under_way.len() > 1_000
            && let Some(first) = under_way.pop_front()
        {
            first.wait()?;
        }
    }
    for commit in under_way {
        commit.wait()?;
    }
    Ok(())
}

fn ask_child(task: &str, folder: &Path) -> Result<Value, Failure> {
    let program = std::env::current_exe()?;
    let output = Command::new(program).arg("--crowd-child").arg(task).arg(folder).output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(format!("the process for {task:?} ended with {}: {said}", output.status).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn number(report: &Value, name: &str) -> Result<u64, Failure> {
    Ok(report[name].as_u64().ok_or_else(|| format!("the child did not report {name}"))?)
}

/// Runs a child's task and reports on standard output.
pub(crate) fn child(task: &str, folder: &Path) -> Result<(), Failure> {
    let host = host()?;
    let began = Instant::now();
    let runtime = {
        let store = store(folder)?;
        let sandbox = sandbox(&store, CONNECTED as u32 + 100)?;
        let options = Options {
            instances: CONNECTED as usize + 64,
            // Address space, most of which an instance never touches.
            idle_bytes: u64::MAX,
            ..Options::default()
        };
        let _entered = host.enter();
        open(store, sandbox, options)?
    };
    let opened = began.elapsed();
    let task = task.to_owned();
    let in_task = runtime.clone();
    let report = host.block_on(host.spawn(async move {
        while !in_task.is_ready() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        match task.as_str() {
            "open" => Ok(json!({
                "open_us": micros(opened),
                "resident_bytes": resident()?,
            })),
            "first" => first(&in_task).await,
            "connect" => connect(&in_task).await,
            _ => Err("there is no such task".into()),
        }
    }))??;
    host.block_on(runtime.shutdown(Duration::from_secs(30)));
    let said = report.to_string();
    std::io::Write::write_all(&mut std::io::stdout(), said.as_bytes())?;
    Ok(())
}

/// Times the first inputs to workers spread over the store.
async fn first(runtime: &Embedded) -> Result<Value, Failure> {
    let mut times = Vec::new();
    for n in 0..FIRSTS {
        // A stride that visits no worker twice.
        let worker = id(n * 61_843 % REGISTERED);
        let began = Instant::now();
        ask(runtime, worker, "turn").await?;
        times.push(micros(began.elapsed()));
    }
    Ok(json!({ "first_us": times }))
}

/// Measures the growth of the process while workers are connected.
async fn connect(runtime: &Embedded) -> Result<Value, Failure> {
    // The engine and the pool grow for the first few workers, which does not count.
    let first: Vec<_> = (0..ABREAST).map(id).collect();
    connect_each(runtime, &first).await?;
    let before = resident()?;
    let workers: Vec<_> = (ABREAST..ABREAST + CONNECTED).map(id).collect();
    connect_each(runtime, &workers).await?;
    let connected = runtime.describe().await?.connected;
    if connected != ABREAST + CONNECTED {
        return Err(format!("{connected} are connected").into());
    }
    Ok(json!({ "resident_bytes": resident()? - before }))
}

async fn connect_each(runtime: &Embedded, workers: &[WorkerId]) -> Result<(), Failure> {
    let share = workers.len().div_ceil(ABREAST as usize);
    let tasks: Vec<_> = workers
        .chunks(share)
        .map(|share| {
            let (runtime, share) = (runtime.clone(), share.to_vec());
            tokio::spawn(async move {
                for worker in share {
                    ask(&runtime, worker, "turn").await?;
                }
                Ok::<_, Failure>(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    Ok(())
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Returns the resident memory of this process.
fn resident() -> Result<u64, Failure> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages = statm.split(' ').nth(1).ok_or("statm has no second field")?;
    Ok(pages.parse::<u64>()? * rustix::param::page_size() as u64)
}
