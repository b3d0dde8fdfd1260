//! `registry.db` on its own, with or without a running host.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use cap_std::fs::Dir;
use skep_protocol::Timestamp;

use crate::database::{OWN, RegistryDatabase};
use crate::{Access, RegistryError, Remotes};

/// The data that `skep token` and `skep remote` change. A running host notices changes.
#[derive(Clone, Debug)]
pub struct Registrar {
    pub(crate) database: Arc<RegistryDatabase>,
    access: Access,
    remotes: Remotes,
}

impl Registrar {
    /// Opens `registry.db` in the root of a store; creates it if there is none. Waits up to 5 s for
    /// another process.
    ///
    /// # Errors
    /// If the file is not a registry, or cannot be read or written.
    pub fn open(dir: Dir) -> Result<Self, RegistryError> {
        Self::open_at(dir, system_time)
    }

    /// Opens it with a given clock.
    pub(crate) fn open_at(dir: Dir, now: fn() -> Timestamp) -> Result<Self, RegistryError> {
        let database = Arc::new(RegistryDatabase::open(dir, OWN)?);
        let access = Access::new(Arc::clone(&database), now);
        let remotes = Remotes::new(Arc::clone(&database), now);
        Ok(Self { database, access, remotes })
    }

    /// Returns tokens, sessions and login codes.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// Returns the remotes.
    pub fn remotes(&self) -> &Remotes {
        &self.remotes
    }
}

fn system_time() -> Timestamp {
    Timestamp::since_epoch(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}
