//! Resolution of a request's path to a runtime and its resources. The same handlers serve `/v1`, a
//! single runtime, and `/api/runtimes/{runtime_id}`.

use std::sync::Arc;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use skep_protocol::{
    BlobHash, CiRunId, ComponentDigest, ConfigDigest, Cursor, Error, FileName, HostId, IdError,
    InputId, Invalid, RuntimeHandle, RuntimeId, SessionId, Source, StepKey, TokenId, WorkerEntry,
    WorkerId, WorkerView,
};
use skep_registry::Caller;

use crate::app::App;
use crate::query::number;
use crate::refusal::{HandlerResult, ProblemResponse};

/// The parameters of a path.
#[derive(Debug)]
pub(crate) struct PathParams(RawPathParams);

impl<S: Send + Sync> FromRequestParts<S> for PathParams {
    type Rejection = ProblemResponse;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> HandlerResult<Self> {
        let names = RawPathParams::from_request_parts(parts, state).await;
        // The gate refuses paths that are not UTF-8.
        names.map(Self).map_err(|_| ProblemResponse::malformed_url())
    }
}

impl PathParams {
    fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// Returns a parameter; empty if the route lacks it, which is not a valid id.
    fn part(&self, name: &str) -> &str {
        self.text(name).unwrap_or_default()
    }

    pub(crate) fn runtime(&self) -> HandlerResult<RuntimeId> {
        Ok(self.part("runtime_id").parse::<RuntimeId>().map_err(Error::from)?)
    }

    pub(crate) fn host(&self) -> HandlerResult<HostId> {
        Ok(self.part("host_id").parse::<HostId>().map_err(Error::from)?)
    }

    pub(crate) fn worker(&self) -> HandlerResult<WorkerId> {
        Ok(self.part("worker_id").parse::<WorkerId>().map_err(Error::from)?)
    }

    pub(crate) fn input(&self) -> HandlerResult<InputId> {
        Ok(self.part("input_id").parse::<InputId>().map_err(Error::from)?)
    }

    pub(crate) fn seq(&self) -> HandlerResult<Cursor> {
        Ok(number(self.part("seq")).map(Cursor).ok_or(Invalid::Cursor)?)
    }

    pub(crate) fn component(&self) -> HandlerResult<ComponentDigest> {
        let digest = self.part("digest").parse::<ComponentDigest>();
        Ok(digest.map_err(|_| Error::from(IdError::Digest))?)
    }

    pub(crate) fn blob(&self) -> HandlerResult<BlobHash> {
        let hash = self.part("hash").parse::<BlobHash>();
        Ok(hash.map_err(|_| Error::from(IdError::Digest))?)
    }

    pub(crate) fn step(&self) -> HandlerResult<StepKey> {
        Ok(self.part("step_key").parse::<StepKey>().map_err(Error::from)?)
    }

    pub(crate) fn config(&self) -> HandlerResult<ConfigDigest> {
        let digest = self.part("digest").parse::<ConfigDigest>();
        Ok(digest.map_err(|_| Error::from(IdError::Digest))?)
    }

    pub(crate) fn token(&self) -> HandlerResult<TokenId> {
        Ok(self.part("token_id").parse::<TokenId>().map_err(Error::from)?)
    }

    pub(crate) fn session(&self) -> HandlerResult<SessionId> {
        Ok(self.part("session_id").parse::<SessionId>().map_err(Error::from)?)
    }

    pub(crate) fn run(&self) -> HandlerResult<CiRunId> {
        Ok(self.part("run_id").parse::<CiRunId>().map_err(Error::from)?)
    }

    pub(crate) fn file(&self) -> HandlerResult<FileName> {
        Ok(self.part("name").parse::<FileName>().map_err(Error::from)?)
    }
}

/// The runtime of a request, restricted to the caller, and the path's parameters.
pub(crate) struct AddressedRuntime {
    pub(crate) runtime: Arc<dyn RuntimeHandle>,
    pub(crate) source: Source,
    pub(crate) names: PathParams,
}

impl std::ops::Deref for AddressedRuntime {
    type Target = PathParams;

    fn deref(&self) -> &PathParams {
        &self.names
    }
}

impl AddressedRuntime {
    /// Converts a worker to a list entry.
    pub(crate) fn entry(&self, worker: WorkerView) -> WorkerEntry {
        WorkerEntry { worker, source: self.source }
    }
}

impl FromRequestParts<App> for AddressedRuntime {
    type Rejection = ProblemResponse;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> HandlerResult<Self> {
        let names = PathParams::from_request_parts(parts, app).await?;
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

/// The caller of a request, as authenticated by the gate.
pub(crate) struct RequestCaller(pub(crate) Caller);

impl<S: Sync> FromRequestParts<S> for RequestCaller {
    type Rejection = ProblemResponse;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> HandlerResult<Self> {
        let caller = parts.extensions.get::<Caller>().ok_or(Error::Unauthenticated)?;
        Ok(Self(caller.clone()))
    }
}
