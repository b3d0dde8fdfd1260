//! The layout of the store's directory: its lock, its contents and its identity.

use std::fs::File;
use std::io::{self, Read, Write};

use cap_std::fs::{Dir, DirBuilder, DirBuilderExt, OpenOptions, OpenOptionsExt};
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use serde_json::{Value, json};
use skep_protocol::RuntimeId;

use crate::{Faults, OpenError};

/// The format of the directory. The database has a format of its own.
const FORMAT: u64 = 1;

const IDENTITY: &str = "identity.json";
const IDENTITY_NEW: &str = "identity.json.new";
const LOCK: &str = "lock";

pub(crate) const COMPONENTS: &str = "components";
pub(crate) const COMPILED: &str = "compiled";
pub(crate) const WORKERS: &str = "workers";
pub(crate) const TRASH: &str = "trash";

/// Copies of workers' directories that are not complete or whose worker is not committed.
pub(crate) const FORKS: &str = "forks";

/// The part of a worker's directory that its guest sees.
pub(crate) const DATA: &str = "data";

/// The part of a worker's directory that holds uploads until they are complete.
pub(crate) const INCOMING: &str = "incoming";

const DIRECTORIES: [&str; 5] = [COMPONENTS, COMPILED, WORKERS, TRASH, FORKS];
/// `registry.db` belongs to the registry, which does not use our lock.
const DATABASES: [&str; 2] = [crate::database::FILE, "registry.db"];

/// Files in which a running host records its address for its user's commands.
const NOTES: [&str; 2] = ["host.json", "host.json.new"];

/// Takes the lock, which is held until the file is closed. The system releases it if the process
/// dies.
pub(crate) fn lock(dir: &Dir) -> Result<File, OpenError> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).mode(0o600);
    options.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed());
    let file = dir.open_with(LOCK, &options).map_err(open_error)?.into_std();
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(Errno::WOULDBLOCK) => Err(OpenError::InUse),
        Err(errno) => Err(open_error(errno.into())),
    }
}

/// The contents of the directory.
#[derive(Debug, Default)]
pub(crate) struct DirectoryContents {
    /// The runtime named by `identity.json`.
    pub(crate) identity: Option<RuntimeId>,
    /// True if there is a database.
    pub(crate) database: bool,
    /// Number of names that are not part of a store.
    pub(crate) foreign: usize,
}

/// Lists the directory, and refuses one that is neither a store nor empty.
pub(crate) fn inspect(dir: &Dir) -> Result<DirectoryContents, OpenError> {
    let mut found = DirectoryContents::default();
    for entry in dir.entries().map_err(open_error)? {
        let entry = entry.map_err(open_error)?;
        let name = entry.file_name();
        let is_file = entry.file_type().map_err(open_error)?.is_file();
        match name.to_str() {
            Some(IDENTITY) => found.identity = Some(read_identity(dir)?),
            Some(crate::database::FILE) if is_file => found.database = true,
            Some(crate::database::FILE) => {
                return Err(OpenError::Damaged("state.db is not a regular file"));
            }
            Some(name) if is_ours(name) => {}
            _ => found.foreign += 1,
        }
    }
    match (&found.identity, found.database) {
        (Some(_), false) => Err(OpenError::Damaged("state.db is missing")),
        (None, false) if found.foreign > 0 => Err(OpenError::NotAStore),
        _ => Ok(found),
    }
}

fn is_ours(name: &str) -> bool {
    [LOCK, IDENTITY_NEW].contains(&name)
        || NOTES.contains(&name)
        || DIRECTORIES.contains(&name)
        || DATABASES.iter().any(|database| {
            name.strip_prefix(database)
                .is_some_and(|rest| ["", "-wal", "-shm", "-journal"].contains(&rest))
        })
}

/// Creates an empty database file that only its owner can read; SQLite copies that mode to its
/// other files. Refuses a truncated database, which SQLite would notice only when it reads the
/// missing part.
pub(crate) fn prepare_database(dir: &Dir, found: &DirectoryContents) -> Result<(), OpenError> {
    let name = crate::database::FILE;
    if !found.database {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        return dir.open_with(name, &options).map(drop).map_err(open_error);
    }
    let length = |name: &str| match dir.symlink_metadata(name) {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(open_error(error)),
    };
    // The log may contain the missing pages.
    let is_alone = length(&format!("{name}-wal"))? + length(&format!("{name}-journal"))? == 0;
    let mut header = Vec::new();
    let file = dir.open(name).map_err(open_error)?;
    file.take(100).read_to_end(&mut header).map_err(open_error)?;
    if is_alone && found.identity.is_some() && !is_whole(&header, length(name)?) {
        return Err(OpenError::Damaged("state.db is truncated or not a database"));
    }
    Ok(())
}

/// Returns true if a database is at least as long as its header says.
fn is_whole(header: &[u8], length: u64) -> bool {
    let number = |at: usize, width: usize| {
        let bytes = header.get(at..at + width)?;
        Some(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    };
    let (Some(page), Some(pages)) = (number(16, 2), number(28, 4)) else { return false };
    let page = if page == 1 { 65_536 } else { page };
    header.len() == 100 && header.starts_with(b"SQLite format 3\0") && length >= page * pages
}

fn read_identity(dir: &Dir) -> Result<RuntimeId, OpenError> {
    const DAMAGED: OpenError = OpenError::Damaged("identity.json is damaged");
    let mut options = OpenOptions::new();
    options.read(true);
    options.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed());
    let file = dir.open_with(IDENTITY, &options).map_err(open_error)?;
    let mut text = Vec::new();
    file.take(4_096).read_to_end(&mut text).map_err(open_error)?;
    let identity: Value = serde_json::from_slice(&text).map_err(|_| DAMAGED)?;
    match identity["format_version"].as_u64() {
        None => return Err(DAMAGED),
        Some(found) if found > FORMAT => return Err(OpenError::NewerFormat { found }),
        Some(_) => {}
    }
    let id = identity["runtime_id"].as_str().ok_or(DAMAGED)?;
    id.parse().map_err(|_| DAMAGED)
}

/// Writes `identity.json`, the last step of creating a store.
pub(crate) fn write_identity(
    dir: &Dir,
    id: &RuntimeId,
    faults: &dyn Faults,
) -> Result<(), OpenError> {
    let identity = json!({ "format_version": FORMAT, "runtime_id": id.as_str() });
    let write = || {
        faults.at("identity.write")?;
        write_draft(dir, IDENTITY_NEW, format!("{identity}\n").as_bytes())?;
        rename_draft(dir, IDENTITY_NEW, IDENTITY)
    };
    write().map_err(open_error)
}

/// Writes a file under a temporary name and waits until it is on disk.
pub(crate) fn write_draft(dir: &Dir, draft: &str, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    let mut file = dir.open_with(draft, &options)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Renames a draft and waits until the new name is on disk.
pub(crate) fn rename_draft(dir: &Dir, draft: &str, name: &str) -> io::Result<()> {
    dir.rename(draft, dir, name)?;
    sync(dir)
}

/// Waits until the names in a directory are on disk.
pub(crate) fn sync(dir: &Dir) -> io::Result<()> {
    // The handle itself may be path-only.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let readable = rustix::fs::openat(dir, ".", flags, Mode::empty())?;
    Ok(rustix::fs::fsync(&readable)?)
}

/// Opens a subdirectory of the store. If it is missing, creates it and waits until it is on disk.
pub(crate) fn private_dir(parent: &Dir, name: &str) -> io::Result<Dir> {
    use cap_fs_ext::DirExt;
    match parent.open_dir_nofollow(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        opened => return opened,
    }
    let mut private = DirBuilder::new();
    private.mode(0o700);
    match parent.create_dir_with(name, &private) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => sync(parent)?,
    }
    parent.open_dir_nofollow(name)
}

pub(crate) fn open_error(error: io::Error) -> OpenError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => OpenError::Full,
        _ => OpenError::Io(Box::new(error)),
    }
}
