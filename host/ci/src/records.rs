//! The records of runs: `run.json` and one log a step, by the name of the run; and the last action
//! of each step, for `explain`.
//!
//! A run writes its record while it runs, and holds a lock on a file beside it, which the kernel
//! releases when the process ends, however it ends. A record that says `running` beside a lock that
//! no process holds is that of an interrupted run.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cap_std::fs::{Dir, File};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use skep_protocol::Timestamp;
use skep_scope::tree::remove_tree;

use crate::digest::BlobDigest;
use crate::draft;
use crate::log::LogWriter;
use crate::result::{RunOutcome, RunResult, StepOutcome};
use crate::store::Store;

/// Number of runs whose records are kept without `skep ci gc`.
const KEPT: usize = 500;

/// Number of records that are removed at once.
const PRUNED: usize = 50;

/// The file that a run has locked while it runs.
const LIVE: &str = "live";

/// The file that names the project of a run.
const PROJECT: &str = "project";

/// The folder and words of a run, for its continuation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunNote {
    /// Folder in which it was started.
    pub folder: String,
    /// Words after `skep ci run`.
    pub words: Vec<String>,
}

/// The file with what a caller needs to continue a run.
const NOTE: &str = "continue.json";

/// Reads what a run was started with; `None` if it cannot be continued.
///
/// # Errors
/// If the store cannot be read.
pub fn read_note(store: &Store, run_id: &str) -> io::Result<Option<RunNote>> {
    let note = draft::read(&store.root, &format!("runs/{run_id}/{NOTE}"))?;
    Ok(note.and_then(|note| serde_json::from_slice(&note).ok()))
}

/// The record of one run.
pub struct RunRecord {
    /// Name of the run.
    pub run_id: String,
    store: Store,
    dir: Arc<Dir>,
    /// Locked until the process ends.
    _live: std::fs::File,
}

/// The last action of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LastAction {
    /// First run that used it.
    pub(crate) run_id: String,
    /// Digest of the action in hexadecimal, and the size of its message.
    pub(crate) action: (String, u64),
    /// The last different action before it.
    #[serde(default)]
    pub(crate) before: Option<Box<LastAction>>,
}

impl RunRecord {
    /// Begins the record of a new run.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn begin(store: &Store) -> io::Result<Self> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).map_err(io::Error::other)?;
        let time = Timestamp::since_epoch(since).to_string();
        let time: String = time.chars().filter(|c| !matches!(c, '-' | ':' | '.')).collect();
        let mut random = [0; 3];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let random: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let run_id = format!("{}-{random}", time.trim_end_matches('Z').to_lowercase());
        prune(store);
        let name = format!("runs/{run_id}");
        store.root.create_dir(&name)?;
        let dir = store.root.open_dir(&name)?;
        let live = dir.create(LIVE)?.into_std();
        flock(&live, FlockOperation::LockExclusive)?;
        Ok(Self { run_id, store: store.clone(), dir: Arc::new(dir), _live: live })
    }

    /// Continues the record of a run whose process is gone. Its logs begin again.
    ///
    /// # Errors
    /// `NotFound` if there is no such run, `WouldBlock` if its process lives, or if the store cannot
    /// be written.
    pub fn resume(store: &Store, run_id: &str) -> io::Result<Self> {
        let dir = store.root.open_dir(format!("runs/{run_id}"))?;
        let live = dir.create(LIVE)?.into_std();
        take(&live)?;
        for entry in dir.entries()? {
            let name = entry?.file_name();
            if name.to_str().is_some_and(|name| name.ends_with(".log")) {
                dir.remove_file(&name)?;
            }
        }
        let (run_id, dir) = (run_id.to_owned(), Arc::new(dir));
        Ok(Self { run_id, store: store.clone(), dir, _live: live })
    }

    /// Returns the log of a step.
    pub(crate) fn log(&self, step: &str, most: u64) -> LogWriter {
        LogWriter::new(self.dir.clone(), log_name(step), most)
    }

    /// Writes the result, as far as it is known.
    pub(crate) fn write(&self, result: &RunResult) -> io::Result<()> {
        let json = serde_json::to_vec_pretty(result).map_err(io::Error::other)?;
        self.place("run.json", &json)?;
        if result.outcome.is_whole() {
            // The lock says nothing about a run that has ended.
            drop(self.dir.remove_file(LIVE));
        }
        Ok(())
    }

    /// Keeps what a caller needs to continue the run.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn keep_note(&self, note: &RunNote) -> io::Result<()> {
        let json = serde_json::to_vec(note).map_err(io::Error::other)?;
        self.place(NOTE, &json)
    }

    /// Remembers the project, so that a step can be compared with the same step before.
    pub(crate) fn name_project(&self, project: &str) -> io::Result<()> {
        self.place(PROJECT, project.as_bytes())
    }

    fn place(&self, name: &str, content: &[u8]) -> io::Result<()> {
        draft::write(&self.store.root, &format!("runs/{}/{name}", self.run_id), content, 0o600)
    }
}

/// Takes the lock of a run whose process is gone. Readers look whether it is free by taking it for a
/// moment, so one refusal does not mean that the process lives.
fn take(live: &std::fs::File) -> io::Result<()> {
    const ATTEMPTS: u32 = 20;
    for _ in 1..ATTEMPTS {
        match flock(live, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => std::thread::sleep(Duration::from_millis(5)),
            taken => return Ok(taken?),
        }
    }
    Ok(flock(live, FlockOperation::NonBlockingLockExclusive)?)
}

pub(crate) fn log_name(step: &str) -> String {
    format!("{}.log", crate::digest::digest_of(step.as_bytes()).hex())
}

/// Removes the oldest records, if there are many. A failure leaves them to `skep ci gc`.
fn prune(store: &Store) {
    let Ok(names) = runs(store) else { return };
    let Some(most) = names.len().checked_sub(KEPT).filter(|old| *old >= PRUNED) else { return };
    let Ok(dir) = store.root.open_dir("runs") else { return };
    for name in &names[..most] {
        drop(remove_tree(&dir, name));
    }
}

/// Lists the names of the runs, the oldest first.
///
/// # Errors
/// If the store cannot be read.
pub fn runs(store: &Store) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in store.root.open_dir("runs")?.entries()? {
        if let Ok(name) = entry?.file_name().into_string() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Finds a run by its name, a beginning of it that only one has, or `last`.
///
/// # Errors
/// A sentence for people.
pub fn find_run(store: &Store, word: &str) -> Result<String, String> {
    let names = runs(store).map_err(|error| format!("cannot read the runs: {error}"))?;
    if word == "last" {
        return names.last().cloned().ok_or_else(|| "there is no run yet".to_owned());
    }
    let found: Vec<_> = names.iter().filter(|name| name.starts_with(word)).collect();
    match (found.as_slice(), names.iter().find(|name| *name == word)) {
        (_, Some(exact)) => Ok(exact.clone()),
        ([one], None) => Ok((*one).clone()),
        ([], None) => Err(format!(
            "there is no run {word}; the last is {}",
            match names.last() {
                Some(last) => last.as_str(),
                None => "none",
            }
        )),
        _ => Err(format!("{} runs begin with {word}", found.len())),
    }
}

/// Reads the result of a run, as far as it is known. The steps of an interrupted run that had not
/// ended are shown as cancelled or skipped.
///
/// # Errors
/// `NotFound` if there is no such run, or it ended before its first record.
pub fn read_run(store: &Store, run_id: &str) -> io::Result<RunResult> {
    let dir = store.root.open_dir(format!("runs/{run_id}"))?;
    let read = || -> io::Result<RunResult> {
        serde_json::from_slice(&dir.read("run.json")?).map_err(io::Error::other)
    };
    let run = read()?;
    if run.outcome != RunOutcome::Running || is_live(&dir)? {
        return Ok(run);
    }
    // It may have ended between the two looks; then its record says so now.
    let mut run = read()?;
    if run.outcome == RunOutcome::Running {
        run.outcome = RunOutcome::Interrupted;
        for step in &mut run.steps {
            let (outcome, message) = match step.outcome {
                StepOutcome::Running => (StepOutcome::Cancelled, "interrupted with its run"),
                StepOutcome::Waiting => (StepOutcome::Skipped, "the run was interrupted before it"),
                _ => continue,
            };
            step.outcome = outcome;
            step.started_at_ms = None;
            step.message = Some(message.to_owned());
        }
    }
    Ok(run)
}

/// Returns true while the process of a run lives.
fn is_live(dir: &Dir) -> io::Result<bool> {
    let live = match dir.open(LIVE) {
        Ok(live) => live.into_std(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    match flock(&live, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(false),
        Err(error) if error == rustix::io::Errno::WOULDBLOCK => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// Returns the project of a run, if its record names one.
pub(crate) fn project_of(store: &Store, run_id: &str) -> Option<String> {
    store.root.read_to_string(format!("runs/{run_id}/{PROJECT}")).ok()
}

/// Opens the log of a step in a run; `None` if it did not run there.
///
/// # Errors
/// If the store cannot be read.
pub fn open_log(store: &Store, run_id: &str, step: &str) -> io::Result<Option<File>> {
    let dir = store.root.open_dir(format!("runs/{run_id}"))?;
    match dir.open(log_name(step)) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn last_name(project: &str, step: &str) -> String {
    format!("last/{project}-{}", crate::digest::digest_of(step.as_bytes()).hex())
}

/// Remembers the action of a step.
pub(crate) fn write_last(
    store: &Store,
    project: &str,
    step: &str,
    mut last: LastAction,
) -> io::Result<()> {
    last.before = match read_last(store, project, step) {
        // Nothing is written in a run that changes nothing.
        Some(same) if same.action == last.action => return Ok(()),
        Some(other) => Some(Box::new(LastAction { before: None, ..other })),
        None => None,
    };
    let json = serde_json::to_vec(&last).map_err(io::Error::other)?;
    draft::write(&store.root, &last_name(project, step), &json, 0o600)
}

/// Returns the last action of a step.
pub(crate) fn read_last(store: &Store, project: &str, step: &str) -> Option<LastAction> {
    let json = draft::read(&store.root, &last_name(project, step)).ok()??;
    serde_json::from_slice(&json).ok()
}

impl LastAction {
    pub(crate) fn new(run_id: &str, action: &BlobDigest) -> Self {
        Self { run_id: run_id.to_owned(), action: (action.hex(), action.bytes), before: None }
    }

    pub(crate) fn digest(&self) -> Option<BlobDigest> {
        let sha256 = crate::digest::from_hex(&self.action.0)?;
        Some(BlobDigest { sha256, bytes: self.action.1 })
    }
}
