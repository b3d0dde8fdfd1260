//! The note that a running host leaves beside its store, for this user's own commands.

use std::io::{self, Write};

use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use serde::{Deserialize, Serialize};

/// Its name in the store's directory.
const NAME: &str = "host.json";

/// Where a host is and what lets its own user in. Mode 0600, and gone when the host is.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct RunningHost {
    /// Where it listens, as a URL.
    pub(crate) url: String,
    /// A token that is good while it runs.
    pub(crate) token: String,
}

/// The note is there while this lives.
pub(crate) struct Note(Dir);

impl RunningHost {
    /// Leaves the note. Another one that lies there is of a host that is no more: this one holds the
    /// store's lock.
    pub(crate) fn announce(&self, store: &Dir) -> io::Result<Note> {
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
        Ok(Note(store.try_clone()?))
    }

    /// The host that runs on a store, if one left a note.
    pub(crate) fn find(store: &Dir) -> io::Result<Option<Self>> {
        match store.read(NAME) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            note => Ok(Some(serde_json::from_slice(&note?)?)),
        }
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        // Where it stays, whoever reads it finds nobody there.
        let _ = self.0.remove_file(NAME);
    }
}
