//! Components made ready, once each.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use skep_protocol::{ComponentDigest, LimitName, Limits};
use skep_store::{Store, StoreError};

use crate::engine::Profile;
use crate::loaded::Loaded;
use crate::sandbox::{LoadError, Sandbox};

/// The components that workers of a runtime run.
pub(crate) struct Components {
    store: Store,
    sandbox: Sandbox,
    ready: Mutex<HashMap<(Profile, ComponentDigest), Arc<Loaded>>>,
    /// One is made ready at a time: the compiler takes the memory and the cores of several workers.
    one_at_a_time: tokio::sync::Mutex<()>,
}

/// Why a component is not ready.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotReady {
    #[error("its file is not in the store")]
    Missing,
    #[error("its file cannot be read")]
    Store(#[from] StoreError),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("the thread that made it ready panicked")]
    Panicked,
}

impl Components {
    pub(crate) fn new(store: Store, sandbox: Sandbox) -> Self {
        Self {
            store,
            sandbox,
            ready: Mutex::default(),
            one_at_a_time: tokio::sync::Mutex::default(),
        }
    }

    /// How a worker with these limits is compiled.
    pub(crate) fn profile(limits: &Limits) -> Profile {
        match limits.get(LimitName::fuel) {
            skep_protocol::limits::OFF => Profile::Default,
            _ => Profile::Deterministic,
        }
    }

    /// The component, compiled and linked.
    pub(crate) async fn ready(
        &self,
        digest: ComponentDigest,
        profile: Profile,
    ) -> Result<Arc<Loaded>, NotReady> {
        if let Some(loaded) = self.find(digest, profile) {
            return Ok(loaded);
        }
        let _turn = self.one_at_a_time.lock().await;
        if let Some(loaded) = self.find(digest, profile) {
            return Ok(loaded);
        }
        let (store, sandbox) = (self.store.clone(), self.sandbox.clone());
        let load = tokio::task::spawn_blocking(move || {
            let wasm = store.component_bytes(&digest)?.ok_or(NotReady::Missing)?;
            Ok::<_, NotReady>(sandbox.load(&wasm, profile)?.0)
        });
        let loaded = load.await.map_err(|_| NotReady::Panicked)??;
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        ready.insert((profile, digest), loaded.clone());
        Ok(loaded)
    }

    fn find(&self, digest: ComponentDigest, profile: Profile) -> Option<Arc<Loaded>> {
        let ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        ready.get(&(profile, digest)).cloned()
    }
}
