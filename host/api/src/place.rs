//! Where a request leads: to a runtime, and to something in it. The same handlers serve `/v1`, which
//! is one runtime's own, and `/api/runtimes/{runtime_id}`.

use std::sync::Arc;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use skep_protocol::{
    ComponentDigest, ConfigDigest, Error, FileName, HostId, IdError, InputId, RuntimeHandle,
    RuntimeId, Source, WorkerEntry, WorkerId, WorkerView,
};
use skep_registry::Caller;

use crate::App;
use crate::refusal::{Answer, Refusal};

/// The parts of a path that are names of things.
#[derive(Debug)]
pub(crate) struct Names(RawPathParams);

impl<S: Send + Sync> FromRequestParts<S> for Names {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Answer<Self> {
        let names = RawPathParams::from_request_parts(parts, state).await;
        // A path that is no UTF-8 has not come through the gate.
        names.map(Self).map_err(|_| Refusal::malformed_url())
    }
}

impl Names {
    fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// A part that the route has; elsewhere it is empty, which no id is.
    fn part(&self, name: &str) -> &str {
        self.text(name).unwrap_or_default()
    }

    pub(crate) fn runtime(&self) -> Answer<RuntimeId> {
        Ok(self.part("runtime_id").parse::<RuntimeId>().map_err(Error::from)?)
    }

    pub(crate) fn host(&self) -> Answer<HostId> {
        Ok(self.part("host_id").parse::<HostId>().map_err(Error::from)?)
    }

    pub(crate) fn worker(&self) -> Answer<WorkerId> {
        Ok(self.part("worker_id").parse::<WorkerId>().map_err(Error::from)?)
    }

    pub(crate) fn input(&self) -> Answer<InputId> {
        Ok(self.part("input_id").parse::<InputId>().map_err(Error::from)?)
    }

    pub(crate) fn component(&self) -> Answer<ComponentDigest> {
        let digest = self.part("digest").parse::<ComponentDigest>();
        Ok(digest.map_err(|_| Error::from(IdError::Digest))?)
    }

    pub(crate) fn config(&self) -> Answer<ConfigDigest> {
        let digest = self.part("digest").parse::<ConfigDigest>();
        Ok(digest.map_err(|_| Error::from(IdError::Digest))?)
    }

    pub(crate) fn file(&self) -> Answer<FileName> {
        Ok(self.part("name").parse::<FileName>().map_err(Error::from)?)
    }
}

/// A runtime that the caller may reach, and the rest of the path.
pub(crate) struct Place {
    pub(crate) runtime: Arc<dyn RuntimeHandle>,
    pub(crate) source: Source,
    pub(crate) names: Names,
}

impl std::ops::Deref for Place {
    type Target = Names;

    fn deref(&self) -> &Names {
        &self.names
    }
}

impl Place {
    /// A worker as it is shown.
    pub(crate) fn entry(&self, worker: WorkerView) -> WorkerEntry {
        WorkerEntry { worker, source: self.source }
    }
}

impl FromRequestParts<App> for Place {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Answer<Self> {
        let names = Names::from_request_parts(parts, app).await?;
        let caller = parts.extensions.get::<Caller>().ok_or(Error::Unauthenticated)?;
        let (runtime, source) = match names.text("runtime_id") {
            Some(_) => {
                let id = names.runtime()?;
                (app.registry.handle(caller, &id)?, app.registry.source(&id))
            }
            None => (app.registry.own(caller)?, Source::Embedded),
        };
        Ok(Self { runtime, source, names })
    }
}

/// Who asks. The gate has seen to it that there is somebody.
pub(crate) struct Asking(pub(crate) Caller);

impl<S: Sync> FromRequestParts<S> for Asking {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Answer<Self> {
        let caller = parts.extensions.get::<Caller>().ok_or(Error::Unauthenticated)?;
        Ok(Self(caller.clone()))
    }
}
