//! Places for unit tests.

use cap_tempfile::TempDir;

use crate::store::Store;

pub(crate) fn folder() -> TempDir {
    cap_tempfile::tempdir(cap_tempfile::ambient_authority()).unwrap()
}

/// Returns a store and the folder that holds it.
pub(crate) fn store() -> (Store, TempDir) {
    let folder = folder();
    (Store::open(folder.try_clone().unwrap()).unwrap(), folder)
}
