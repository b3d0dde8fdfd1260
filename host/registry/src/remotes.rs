//! The remotes that the operator named with `skep remote`.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::{OptionalExtension, Row, params};
use skep_protocol::{DisplayRef, RuntimeId, Timestamp};

use crate::audit::AuditRecord;
use crate::database::Database;
use crate::{RegistryError, audit};
use skep_protocol::Action;

/// How a remote runtime is reached. The operator's own: it is never sent anywhere, and `Debug` shows
/// its id only.
#[derive(Clone, PartialEq, Eq)]
pub struct RemoteSpec {
    /// The id that it is expected to have.
    pub runtime_id: RuntimeId,
    /// Where it is: a URL.
    pub endpoint: String,
    /// A file with the token for it.
    pub token_file: Option<PathBuf>,
    /// A file with the certificates that its own may be signed by, in place of the system's.
    pub ca_file: Option<PathBuf>,
    /// Whether it may be spoken to over a network without TLS.
    pub insecure: bool,
    /// What people call it; its id if nothing else.
    pub display_name: Option<DisplayRef>,
}

impl fmt::Debug for RemoteSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteSpec").field("runtime_id", &self.runtime_id).finish_non_exhaustive()
    }
}

/// The id of the foreground runs on this machine.
pub(crate) const LOCAL: &str = "local";

/// The remotes of `registry.db`. Each change is one for the audit, made by the operator.
#[derive(Clone, Debug)]
pub struct Remotes {
    database: Arc<Database>,
    now: fn() -> Timestamp,
}

impl Remotes {
    pub(crate) fn new(database: Arc<Database>, now: fn() -> Timestamp) -> Self {
        Self { database, now }
    }

    /// Every remote that was added here, by id.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn list(&self) -> Result<Vec<RemoteSpec>, RegistryError> {
        const ALL: &str = "SELECT runtime_id, endpoint, token_file, ca_file, insecure, display_name
             FROM remote ORDER BY runtime_id";
        self.database.read(|connection| {
            let mut statement = connection.prepare_cached(ALL)?;
            let rows = statement.query_and_then([], read)?;
            rows.collect()
        })
    }

    /// Adds a remote, or puts another entry in the place of the one that there is. A running host
    /// looks for it within a second.
    ///
    /// # Errors
    /// [`RegistryError::ReservedId`], or the file's.
    pub fn add(&self, spec: &RemoteSpec) -> Result<(), RegistryError> {
        const ADD: &str = "INSERT OR REPLACE INTO remote VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        if spec.runtime_id.as_str() == LOCAL {
            return Err(RegistryError::ReservedId);
        }
        let bytes = |path: &Option<PathBuf>| {
            path.as_ref().map(|path| path.as_os_str().as_bytes().to_owned())
        };
        self.database.write(|transaction| {
            transaction.execute(
                ADD,
                params![
                    spec.runtime_id.as_str(),
                    spec.endpoint,
                    bytes(&spec.token_file),
                    bytes(&spec.ca_file),
                    spec.insecure,
                    spec.display_name.as_ref().map(DisplayRef::as_str),
                ],
            )?;
            audit::add(transaction, &self.record(Action::RemoteAdd, &spec.runtime_id))
        })
    }

    /// Removes a remote. Nothing happens to the runtime itself.
    ///
    /// # Errors
    /// [`RegistryError::UnknownRemote`], or the file's.
    pub fn remove(&self, id: &RuntimeId) -> Result<(), RegistryError> {
        const REMOVE: &str = "DELETE FROM remote WHERE runtime_id = ?1 RETURNING 1";
        self.database.write(|transaction| {
            let removed = transaction.query_row(REMOVE, [id.as_str()], |_| Ok(())).optional()?;
            removed.ok_or_else(|| RegistryError::UnknownRemote(id.clone()))?;
            audit::add(transaction, &self.record(Action::RemoteRemove, id))
        })
    }

    fn record(&self, action: Action, id: &RuntimeId) -> AuditRecord {
        AuditRecord {
            at: (self.now)(),
            token_id: None,
            action,
            runtime_id: Some(id.clone()),
            worker_id: None,
            outcome: "ok",
        }
    }
}

fn read(row: &Row<'_>) -> Result<RemoteSpec, RegistryError> {
    let path = |column| -> rusqlite::Result<Option<PathBuf>> {
        let bytes: Option<Vec<u8>> = row.get(column)?;
        Ok(bytes.map(|bytes| OsString::from_vec(bytes).into()))
    };
    let runtime_id: String = row.get(0)?;
    let display_name: Option<String> = row.get(5)?;
    let display_name = display_name.map(|name| name.parse()).transpose();
    Ok(RemoteSpec {
        runtime_id: runtime_id.parse().map_err(|_| RegistryError::Damaged)?,
        endpoint: row.get(1)?,
        token_file: path(2)?,
        ca_file: path(3)?,
        insecure: row.get(4)?,
        display_name: display_name.map_err(|_| RegistryError::Damaged)?,
    })
}
