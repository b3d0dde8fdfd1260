//! The record of a foreground run: a file `<worker_id>.json`, locked by its process. The system
//! releases the lock however the process ends, so an unlocked record belongs to a run that is gone,
//! even if its process id is in use again.

use std::fmt;
use std::io::{self, Read, Write};
use std::time::Duration;

use cap_std::fs::{Dir, File, OpenOptions, OpenOptionsExt};
use cap_std::time::SystemTime;
use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;
use serde_json::{Value, json};
use skep_protocol::{ComponentDigest, ComponentKind, DisplayRef, Timestamp, WorkerId};

/// Maximum size of a record in bytes.
const LONGEST: u64 = 16 << 10;

/// Time for which records of crashed runs are kept.
const KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The description of a foreground run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRecord {
    /// Id in lists.
    pub worker_id: WorkerId,
    /// Component that it runs.
    pub component: ComponentDigest,
    /// Kind of the component.
    pub kind: ComponentKind,
    /// Display name.
    pub display_ref: Option<DisplayRef>,
    /// Time of the start.
    pub started_at: Timestamp,
    /// Process id, for a person who reads the file. No decision depends on it.
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

/// A record that is removed on drop.
pub struct LocalRun {
    dir: Dir,
    name: String,
    /// Held for its lock.
    _file: File,
}

/// The file's own `Debug` would print its path.
impl fmt::Debug for LocalRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LocalRun")
    }
}

impl LocalRun {
    /// Writes a record to the directory of foreground runs, which only its owner should be able to
    /// write to. Removes records left behind more than a week ago.
    ///
    /// # Errors
    /// If the record cannot be written. The run itself can continue.
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
        // A record that cannot be removed will be found stale.
        let _gone = self.dir.remove_file(&self.name);
    }
}

/// The result of reading a file of the directory.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum RecordLookup {
    /// The record of a live run.
    Running(RunRecord),
    /// The record of a run that is gone.
    Stale(RunRecord),
    /// Not a record.
    Invalid,
    /// The file was removed meanwhile.
    Gone,
}

/// Reads one file of the directory.
pub(crate) fn read(dir: &Dir, name: &str) -> RecordLookup {
    let file = match open(dir, name) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return RecordLookup::Gone,
        Err(_) => return RecordLookup::Invalid,
    };
    let Some(record) = parse(&file).filter(|record| record.name() == name) else {
        return RecordLookup::Invalid;
    };
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Err(Errno::WOULDBLOCK) => RecordLookup::Running(record),
        // The run may have removed its record while we read it.
        Ok(()) if dir.symlink_metadata(name).is_err() => RecordLookup::Gone,
        Ok(()) => RecordLookup::Stale(record),
        Err(_) => RecordLookup::Invalid,
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

/// Removes old leftover records. Ignores those that cannot be removed.
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
