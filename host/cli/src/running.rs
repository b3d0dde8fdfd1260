//! The note in a store's directory by which this user's commands find the running host.

use std::io::{self, Write};

use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use serde::{Deserialize, Serialize};

/// The name of the note in the store's directory.
const NAME: &str = "host.json";

/// The address and token of a running host. The file has mode 0600 and is removed with the host.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct RunningHost {
    /// The URL at which the host listens.
    pub(crate) url: String,
    /// A token that is valid while the host runs.
    pub(crate) token: String,
    /// True if its tokens are those of a fleet.
    #[serde(default)]
    pub(crate) is_in_fleet: bool,
}

/// A guard that removes the note when it is dropped.
pub(crate) struct HostNote(Dir);

impl RunningHost {
    /// Writes the note. An existing one is left over from a host that has ended, because this host
    /// holds the store's lock.
    pub(crate) fn announce(&self, store: &Dir) -> io::Result<HostNote> {
        let draft = format!("{NAME}.new");
        match store.remove_file(&draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let mut file = store.open_with(&draft, &options)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        drop(file);
        store.rename(&draft, store, NAME)?;
        Ok(HostNote(store.try_clone()?))
    }

    /// Returns the host that runs on a store, if there is a note.
    pub(crate) fn find(store: &Dir) -> io::Result<Option<Self>> {
        match store.read(NAME) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            note => Ok(Some(serde_json::from_slice(&note?)?)),
        }
    }
}

impl Drop for HostNote {
    fn drop(&mut self) {
        // If this fails, a command that reads the note cannot connect.
        let _ = self.0.remove_file(NAME);
    }
}
