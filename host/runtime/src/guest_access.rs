//! What the record of a worker lets its guest reach: directories, hosts and config.

use std::sync::Arc;

use skep_protocol::{ConfigValues, Limits, Rights, SecretName};
use skep_sandbox::{HttpAccess, Mount};
use skep_scope::{Disk, Quota, Scope};
use skep_store::StoreError;
use skep_store::record::WorkerRecord;

use crate::roster::core::Core;
use crate::roster::worker::Worker;

/// Returns the guest's directories: its own, and those that it was granted. The first use creates its
/// own.
pub(crate) async fn mounts(
    core: &Core,
    worker: &Worker,
    record: &WorkerRecord,
    limits: &Limits,
) -> Result<Vec<Mount>, StoreError> {
    let quota = Quota { bytes: limits.disk_bytes, entries: limits.disk_entries };
    let data = core.directory(worker).await?.scope;
    let mut mounts = vec![Mount { guest: "/data".into(), scope: data }];
    for grant in &record.spec.grants.scopes {
        let Some(scope) = core.scopes.get(&grant.name) else { continue };
        let rights = match (scope.rights, grant.rights) {
            (Rights::ReadWrite, Rights::ReadWrite) => Rights::ReadWrite,
            _ => Rights::ReadOnly,
        };
        let dir = scope.dir.try_clone()?;
        let scope = Scope::new(dir, rights, Disk::new(quota));
        mounts.push(Mount { guest: grant.guest.to_string(), scope });
    }
    Ok(mounts)
}

/// Returns the requests that the guest may make. Secrets that the operator no longer offers are left
/// out.
pub(crate) fn http(core: &Core, record: &WorkerRecord) -> HttpAccess {
    let grants = &record.spec.grants;
    let secret = |name: &SecretName| Some((name.clone(), core.secrets.get(name)?.clone()));
    HttpAccess {
        grants: grants.http.clone(),
        secrets: grants.secrets.iter().filter_map(secret).collect(),
    }
}

/// Returns the guest's config bundle.
pub(crate) fn config(core: &Core, record: &WorkerRecord) -> Result<Arc<ConfigValues>, StoreError> {
    match &record.spec.config {
        None => Ok(Arc::default()),
        Some(digest) => match core.store.config(digest)? {
            Some(config) => Ok(config.values),
            None => Err(StoreError::Damaged { what: "config bundle", worker: None }),
        },
    }
}
