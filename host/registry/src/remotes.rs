//! The remotes added with `skep remote`.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::{OptionalExtension, Row, params};
use skep_protocol::{DisplayRef, RuntimeId, Timestamp};

use crate::audit::AuditRecord;
use crate::database::RegistryDatabase;
use crate::{RegistryError, audit};
use skep_protocol::Action;

/// The address and credentials of a remote runtime. It is for the operator only: it is never sent
/// anywhere, and `Debug` shows only the id.
#[derive(Clone, PartialEq, Eq)]
pub struct RemoteSpec {
    /// Id that the runtime is expected to have.
    pub runtime_id: RuntimeId,
    /// URL of the runtime.
    pub endpoint: String,
    /// File with the token for it.
    pub token_file: Option<PathBuf>,
    /// File with certificate authorities, used in place of the system's.
    pub ca_file: Option<PathBuf>,
    /// True if it may be reached over a network without TLS.
    pub insecure: bool,
    /// Display name; the id if absent.
    pub display_name: Option<DisplayRef>,
}

impl fmt::Debug for RemoteSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteSpec").field("runtime_id", &self.runtime_id).finish_non_exhaustive()
    }
}

/// The reserved id of the local source.
pub(crate) const LOCAL: &str = "local";

/// The remotes of `registry.db`. Changes are audited, as made by the operator.
#[derive(Clone, Debug)]
pub struct Remotes {
    database: Arc<RegistryDatabase>,
    now: fn() -> Timestamp,
}

impl Remotes {
    pub(crate) fn new(database: Arc<RegistryDatabase>, now: fn() -> Timestamp) -> Self {
        Self { database, now }
    }

    /// Lists the remotes of `registry.db`, by id.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn list(&self) -> Result<Vec<RemoteSpec>, RegistryError> {
        const ALL: &str = "SELECT runtime_id, endpoint, token_file, ca_file, insecure, display_name
             FROM remote ORDER BY runtime_id";
        self.database.read(|connection| {
            let mut statement = connection.prepare_cached(ALL)?;
            let rows = statement.query_and_then([], read)?;
            rows.collect()
        })
    }

    /// Adds a remote, or replaces the entry with the same id. A running host connects to it within
    /// a second.
    ///
    /// # Errors
    /// [`RegistryError::ReservedId`]; any error of `registry.db`.
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

    /// Removes a remote. The runtime itself is not affected.
    ///
    /// # Errors
    /// [`RegistryError::UnknownRemote`]; any error of `registry.db`.
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
            before: None,
            after: None,
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
