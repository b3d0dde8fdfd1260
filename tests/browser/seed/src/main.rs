//! `skep-seed`: fills an existing store, which no host has open, with more workers or entries than
//! a test could send. It writes through the store, so its rows are as valid as a host's.
//!
//! Prints the id of each transcript's worker, or nothing.

mod crowd;
mod lane;
mod transcript;

use std::error::Error;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use clap::{Parser, Subcommand};
use skep_protocol::{
    ComponentDigest, ComponentKind, Desired, RuntimeId, Timestamp, WorkerId, WorkerSpec,
};
use skep_store::{Standing, Store, StoreParts, WorkerNumber, WorkerRecord};

/// Fills a store for tests of the console
#[derive(Parser)]
struct Arguments {
    /// Directory of a store that `skep up` created
    store: PathBuf,
    /// Component of the workers, which the store must have
    component: ComponentDigest,
    #[command(subcommand)]
    filling: Filling,
}

#[derive(Subcommand)]
enum Filling {
    /// Add workers without a transcript
    Crowd {
        /// Number of workers
        workers: u64,
    },
    /// Add a worker with a transcript of turns
    Transcript {
        /// Display name of the worker
        name: String,
        /// Number of entries
        entries: u64,
        /// Bound of its transcript, in bytes; the oldest entries beyond it are trimmed
        #[arg(long)]
        keep: Option<u64>,
        /// Text of one entry, and the turn that it stands in
        #[arg(long, num_args = 2, value_names = ["TURN", "TEXT"])]
        needle: Vec<String>,
    },
}

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> ExitCode {
    match fill(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "skep-seed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn fill(arguments: &Arguments) -> Result<(), Failure> {
    let store = open(&arguments.store)?;
    match &arguments.filling {
        Filling::Crowd { workers } => crowd::fill(&store, arguments.component, *workers)?,
        Filling::Transcript { name, entries, keep, needle } => {
            let needle = match needle.as_slice() {
                [turn, text] => Some((turn.parse()?, text.as_str())),
                _ => None,
            };
            let plan = transcript::Plan { name, entries: *entries, keep: *keep, needle };
            let worker = transcript::fill(&store, arguments.component, &plan)?;
            writeln!(std::io::stdout(), "{worker}")?;
        }
    }
    store.close();
    Ok(())
}

fn open(folder: &Path) -> Result<Store, Failure> {
    // A store has an id already; a new one would have no component.
    let unused: RuntimeId = "seed".parse()?;
    let dir = Dir::open_ambient_dir(folder, ambient_authority())?;
    Ok(Store::open(StoreParts::new(dir, now()?, unused))?)
}

/// Makes the record of an idle worker, which was created that many milliseconds ago.
fn record(number: WorkerNumber, spec: WorkerSpec, ago_ms: u64) -> Result<WorkerRecord, Failure> {
    let at = Timestamp(now()?.as_millis().saturating_sub(ago_ms));
    Ok(WorkerRecord {
        number,
        id: id(number, at),
        kind: ComponentKind::Service,
        created_as: spec.clone(),
        spec,
        previous: None,
        desired: Desired::Running,
        standing: Standing::Idle,
        has_directory: false,
        created_at: at,
        updated_at: at,
    })
}

/// Returns an id that is unique in its store.
fn id(number: WorkerNumber, at: Timestamp) -> WorkerId {
    let mut random = [0; 10];
    let spread = number.0.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15);
    random[2..].copy_from_slice(&spread.to_be_bytes());
    WorkerId::new(at.as_millis(), random)
}

fn now() -> Result<Timestamp, Failure> {
    Ok(Timestamp::since_epoch(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?))
}
