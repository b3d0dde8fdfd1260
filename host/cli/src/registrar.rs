//! Access to the registry's database in the operator's store, whether or not a host runs on it.

use skep_registry::Registrar;

use crate::ambient;
use crate::failure::Failed;
use crate::settings::{LocationArgs, Settings};

/// Opens the database, creating the store's directory if it is missing.
pub(crate) fn open(location: &LocationArgs) -> Result<Registrar, Failed> {
    let settings = Settings::gather(location, None)?;
    let store = settings.store.display();
    let dir = ambient::private_store(&settings.store)
        .map_err(|error| Failed::here(format!("cannot use the store {store}: {error}")))?;
    Registrar::open(dir)
        .map_err(|error| Failed::here(format!("cannot use the store {store}: {error}")))
}
