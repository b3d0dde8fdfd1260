//! The record that a foreground run leaves while it runs: a file `<worker_id>.json`, locked by its
//! process. The system lets go of the lock however the process ends, so a record without one is of a
//! run that is gone, whoever has its process id today.

use std::fmt;
use std::io::{self, Read, Write};
use std::time::Duration;

use cap_std::fs::{Dir, File, OpenOptions, OpenOptionsExt};
use cap_std::time::SystemTime;
use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;
use serde_json::{Value, json};
use skep_protocol::{ComponentDigest, ComponentKind, DisplayRef, Timestamp, WorkerId};

/// What a record may have of bytes.
const LONGEST: u64 = 16 << 10;

/// What is left of a run that did not end well is shown for so long.
const KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// What a foreground run says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRecord {
    /// What it is called in lists.
    pub worker_id: WorkerId,
    /// What it runs.
    pub component: ComponentDigest,
    /// What that is run as.
    pub kind: ComponentKind,
    /// What people call it.
    pub display_ref: Option<DisplayRef>,
    /// When it began.
    pub started_at: Timestamp,
    /// Its process, for a person who looks at the file. Nothing is decided by it.
    pub pid: u32,
}

impl RunRecord {
    fn name(&self) -> String {
        format!("{}.json", self.worker_id)
    }

    fn to_json(&self) -> Value {
        json!({
            "format_version": 1,
            "worker_id": self.worker_id,
            "component": self.component,
            "kind": self.kind,
            "display_ref": self.display_ref,
            "started_at": self.started_at,
            "pid": self.pid,
        })
    }

    fn from_json(mut record: Value) -> Option<Self> {
        if record["format_version"] != 1 {
            return None;
        }
        let mut take = |name: &str| record[name].take();
        Some(Self {
            worker_id: serde_json::from_value(take("worker_id")).ok()?,
            component: serde_json::from_value(take("component")).ok()?,
            kind: serde_json::from_value(take("kind")).ok()?,
            display_ref: serde_json::from_value(take("display_ref")).ok()?,
            started_at: serde_json::from_value(take("started_at")).ok()?,
            pid: serde_json::from_value(take("pid")).ok()?,
        })
    }
}

/// A record that is there until this is dropped.
pub struct LocalRun {
    dir: Dir,
    name: String,
    /// Locked.
    _file: File,
}

/// A file would print where it is.
impl fmt::Debug for LocalRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LocalRun")
    }
}

impl LocalRun {
    /// Leaves a record in the directory of foreground runs, which only its owner should be able to
    /// write to. What runs left there that ended a week ago without taking it away is removed.
    ///
    /// # Errors
    /// Where the directory does not take it. The run itself need not end for that.
    pub fn register(dir: &Dir, record: &RunRecord) -> io::Result<Self> {
        sweep(dir);
        let dir = dir.try_clone()?;
        let name = record.name();
        let draft = format!(".{name}");
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let mut file = dir.open_with(&draft, &options)?;
        let written = flock(&file, FlockOperation::NonBlockingLockExclusive)
            .map_err(io::Error::from)
            .and_then(|()| file.write_all(record.to_json().to_string().as_bytes()))
            .and_then(|()| dir.rename(&draft, &dir, &name));
        if let Err(error) = written {
            let _left = dir.remove_file(&draft);
            return Err(error);
        }
        Ok(Self { dir, name, _file: file })
    }
}

impl Drop for LocalRun {
    fn drop(&mut self) {
        // What is left is seen to be stale.
        let _gone = self.dir.remove_file(&self.name);
    }
}

/// What a file of the directory is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The record of a run that runs.
    Running(RunRecord),
    /// The record of one that does not.
    Stale(RunRecord),
    /// Something else.
    Invalid,
    /// Nothing any more.
    Gone,
}

/// Reads one file of the directory.
pub(crate) fn read(dir: &Dir, name: &str) -> Found {
    let file = match open(dir, name) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Found::Gone,
        Err(_) => return Found::Invalid,
    };
    let Some(record) = parse(&file).filter(|record| record.name() == name) else {
        return Found::Invalid;
    };
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Err(Errno::WOULDBLOCK) => Found::Running(record),
        // Its run may have taken it away while we read.
        Ok(()) if dir.symlink_metadata(name).is_err() => Found::Gone,
        Ok(()) => Found::Stale(record),
        Err(_) => Found::Invalid,
    }
}

fn open(dir: &Dir, name: &str) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    options.read(true).custom_flags(flags.bits().cast_signed());
    dir.open_with(name, &options)
}

fn parse(file: &File) -> Option<RunRecord> {
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut text = Vec::new();
    file.take(LONGEST + 1).read_to_end(&mut text).ok()?;
    if text.len() as u64 > LONGEST {
        return None;
    }
    RunRecord::from_json(serde_json::from_slice(&text).ok()?)
}

/// Removes what has been left for long. Whatever resists stays.
fn sweep(dir: &Dir) {
    let Some(before) = SystemTime::from_std(std::time::SystemTime::now()).checked_sub(KEPT) else {
        return;
    };
    for entry in dir.entries().into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| name.ends_with(".json")) else { continue };
        let Ok(file) = open(dir, name) else { continue };
        let is_old = file.metadata().and_then(|metadata| metadata.modified());
        let is_old = is_old.is_ok_and(|modified| modified < before);
        if is_old && flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            let _left = dir.remove_file(name);
        }
    }
}
