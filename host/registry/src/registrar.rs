//! The registry's file by itself, with or without a running host.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use cap_std::fs::Dir;
use skep_protocol::Timestamp;

use crate::database::Database;
use crate::{Access, RegistryError, Remotes};

/// What `skep token` and `skep remote` work on. A running host sees what they change.
#[derive(Clone, Debug)]
pub struct Registrar {
    pub(crate) database: Arc<Database>,
    access: Access,
    remotes: Remotes,
}

impl Registrar {
    /// Opens `registry.db` in the root of a store, and makes it where there is none. It waits up to
    /// 5 s for another process.
    ///
    /// # Errors
    /// Where the file is not ours, or the disk does not let us.
    pub fn open(dir: Dir) -> Result<Self, RegistryError> {
        Self::open_at(dir, system_time)
    }

    /// The same, with another clock.
    pub(crate) fn open_at(dir: Dir, now: fn() -> Timestamp) -> Result<Self, RegistryError> {
        let database = Arc::new(Database::open(dir)?);
        let access = Access::new(Arc::clone(&database), now);
        let remotes = Remotes::new(Arc::clone(&database), now);
        Ok(Self { database, access, remotes })
    }

    /// Tokens, sessions and codes.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// Remotes.
    pub fn remotes(&self) -> &Remotes {
        &self.remotes
    }
}

fn system_time() -> Timestamp {
    Timestamp::since_epoch(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}
