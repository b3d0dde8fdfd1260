//! Errors of requests, with the same codes in every API.
//!
//! No error has a free-text field of ours, so none can leak a path, an endpoint or a token. The log
//! has the internal cause, beside the request.

use std::time::Duration;

use crate::name::NameError;
use crate::{
    BlobHash, CiRunId, ComponentDigest, ConfigDigest, Cursor, HostId, IdError, InputId, Invalid,
    LimitName, Need, NoAnswer, RoutePrefix, RuntimeId, SessionId, SiteName, TokenId, WorkerId,
};

/// A request that was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The request is invalid.
    #[error("{0}")]
    InvalidRequest(Invalid),
    /// No credential was sent, or it has expired or been revoked.
    #[error("no valid credential; log in, or send a valid token")]
    Unauthenticated,
    /// The caller may not do that.
    #[error("{0}")]
    Forbidden(Need),
    /// No such runtime.
    #[error("there is no runtime {0}")]
    UnknownRuntime(RuntimeId),
    /// No such worker.
    #[error("there is no worker {0}")]
    UnknownWorker(WorkerId),
    /// The worker exists and the caller may not see it. Only the audit log tells this from
    /// [`Error::UnknownWorker`]; the caller sees the same code and text.
    #[error("there is no worker {0}")]
    WorkerNotVisible(WorkerId),
    /// No such host.
    #[error("there is no host {0}")]
    UnknownHost(HostId),
    /// No such component.
    #[error("there is no component {0}; push it first")]
    UnknownComponent(ComponentDigest),
    /// No such config bundle.
    #[error("there is no config bundle {0}; store it first")]
    UnknownConfig(ConfigDigest),
    /// No such blob.
    #[error("there is no blob {0}; store it first")]
    UnknownBlob(BlobHash),
    /// No such input.
    #[error("there is no input {0}")]
    UnknownInput(InputId),
    /// The transcript has no such entry.
    #[error("the transcript has no entry {seq}{}", if *trimmed { "; it was trimmed" } else { "" })]
    UnknownEntry {
        /// The entry.
        seq: Cursor,
        /// True if it was there once.
        trimmed: bool,
    },
    /// No such file.
    #[error("there is no such file")]
    UnknownFile,
    /// No such run of a pipeline, or the caller may not see it.
    #[error("there is no run {0}; it may have been removed since")]
    UnknownRun(CiRunId),
    /// The run has no such step.
    #[error("the run has no such step")]
    UnknownStep,
    /// The step has no such output, or it is not kept any more.
    #[error("the step has no such output, or it was removed since")]
    UnknownOutput,
    /// No such token, or the caller may not see it.
    #[error("there is no token {0}")]
    UnknownToken(TokenId),
    /// No such session, or the caller may not see it.
    #[error("there is no session {0}; it may have ended")]
    UnknownSession(SessionId),
    /// The host has no such site.
    #[error("there is no site {0}; an [[http]] section of skep.toml makes one")]
    UnknownSite(SiteName),
    /// No such route is stored, or the caller may not see it.
    #[error("no route {0} is stored; routes of skep.toml are removed there")]
    UnknownRoute(RoutePrefix),
    /// The request conflicts with the current state.
    #[error("{0}")]
    Conflict(Conflict),
    /// The file is in another state than the request names.
    #[error("the file was changed meanwhile; read it again and retry")]
    PreconditionFailed,
    /// The worker is stopped.
    #[error("the worker is stopped; start it to have it take inputs")]
    WorkerStopped,
    /// The worker was removed. Its id is never reused.
    #[error("the worker was removed")]
    WorkerRemoved,
    /// The request exceeds a limit.
    #[error("the request is past {name} ({})", name.unit().show(*limit))]
    LimitExceeded {
        /// Name of the limit.
        name: LimitName,
        /// Value of the limit.
        limit: u64,
    },
    /// The component cannot run here.
    #[error("the component was refused: {reason}")]
    ComponentRefused {
        /// The reason. It may quote names from the component.
        reason: String,
    },
    /// The worker's mailbox is full.
    #[error("the mailbox is full ({name}); try again later")]
    MailboxFull {
        /// Limit that was reached: `mailbox_inputs` or `mailbox_bytes`.
        name: LimitName,
        /// Delay before the next attempt.
        retry_after: Duration,
    },
    /// An HTTP worker did not answer a request.
    #[error("{0}")]
    NoAnswer(NoAnswer),
    /// The runtime does not support the operation.
    #[error("this runtime does not support that operation")]
    OperationUnsupported,
    /// The runtime is overloaded or shutting down.
    #[error("the runtime is busy; try again later")]
    Busy {
        /// Delay before the next attempt.
        retry_after: Duration,
    },
    /// Too many wrong secrets came from the caller's address.
    #[error("too many failed logins; try again later")]
    TooManyAttempts {
        /// Delay before the next attempt.
        retry_after: Duration,
    },
    /// The runtime is unreachable.
    #[error("the runtime is unavailable")]
    RuntimeUnavailable,
    /// The runtime serves workers and no steps, since it cannot use its store of steps.
    #[error("this runtime runs no steps: it could not open its store of steps; its log says why")]
    StepsUnavailable,
    /// The disk is full. Everything acknowledged is on disk.
    #[error("the runtime's storage is full; nothing was lost")]
    StorageFull,
    /// An internal failure.
    #[error("an internal error; the runtime's log says more")]
    Internal,
}

/// The reason of a conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// A worker with this id has another spec.
    #[error("a worker with this id and another specification exists")]
    Worker,
    /// An input with this idempotency key has another body.
    #[error("this idempotency key was used with another body")]
    IdempotencyKey,
    /// The worker has no previous version.
    #[error("the worker was never updated, so there is nothing to roll back to")]
    NoPrevious,
    /// The new component is of a different kind.
    #[error("the new component is of a different kind than the worker's")]
    Kind,
    /// A worker uses the component or config bundle.
    #[error("a worker uses it; remove or update the worker first")]
    InUse,
    /// The input has already ended.
    #[error("the input has ended already")]
    Ended,
    /// The worker's grants changed since the caller read them.
    #[error("the worker's grants were changed meanwhile; read them again and retry")]
    Grants,
    /// The worker's limits differ from those that the change is based on.
    #[error("the worker's limits have changed meanwhile; read them and change them again")]
    Limits,
    /// A file or directory has the new name.
    #[error("a file or directory of that name exists")]
    FileExists,
    /// The step began with another specification.
    #[error("this step of the run began with another specification")]
    Step,
    /// The site has a route with this host and path.
    #[error(
        "the site has a route with this host and path, stored or in skep.toml; remove it first"
    )]
    Route,
    /// The worker has failed and stays down until a person starts it.
    #[error("the worker has failed; its diagnostics say why. Start it to try again")]
    WorkerFailed,
}

impl Conflict {
    /// Every conflict.
    pub const ALL: [Self; 12] = [
        Self::Worker,
        Self::IdempotencyKey,
        Self::NoPrevious,
        Self::Kind,
        Self::InUse,
        Self::Ended,
        Self::Grants,
        Self::Limits,
        Self::FileExists,
        Self::Step,
        Self::Route,
        Self::WorkerFailed,
    ];

    /// Returns the stable word beside the code `conflict`.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::IdempotencyKey => "idempotency_key",
            Self::NoPrevious => "no_previous",
            Self::Kind => "kind",
            Self::InUse => "in_use",
            Self::Ended => "ended",
            Self::Grants => "grants",
            Self::Limits => "limits",
            Self::FileExists => "file_exists",
            Self::Step => "step",
            Self::Route => "route",
            Self::WorkerFailed => "worker_failed",
        }
    }
}

impl Error {
    /// Returns one error of each variant, and of each reason, with made-up ids.
    pub fn every() -> Vec<Self> {
        let retry_after = Duration::from_millis(1_500);
        let name = LimitName::mailbox_bytes;
        let runtime = || "elsewhere".parse().expect("that is a runtime's id");
        let host = || "elsewhere".parse().expect("that is a host's id");
        let worker = WorkerId::new(1, [1; 10]);
        let mut all = vec![
            Self::Unauthenticated,
            Self::UnknownRuntime(runtime()),
            Self::UnknownWorker(worker),
            Self::WorkerNotVisible(worker),
            Self::UnknownHost(host()),
            Self::UnknownComponent(ComponentDigest::from_sha256([1; 32])),
            Self::UnknownConfig(ConfigDigest::from_sha256([1; 32])),
            Self::UnknownBlob(BlobHash::from_sha256([1; 32])),
            Self::UnknownInput(InputId::new(1, [1; 10])),
            Self::UnknownEntry { seq: Cursor(7), trimmed: false },
            Self::UnknownEntry { seq: Cursor(7), trimmed: true },
            Self::UnknownFile,
            Self::UnknownRun("elsewhere".parse().expect("that is a run's id")),
            Self::UnknownStep,
            Self::UnknownOutput,
            Self::UnknownToken("elsewhere".parse().expect("that is a token's id")),
            Self::UnknownSession("elsewhere".parse().expect("that is a session's id")),
            Self::UnknownSite("elsewhere".parse().expect("that is a site's name")),
            Self::UnknownRoute("elsewhere/a".parse().expect("that is a route's prefix")),
            Self::PreconditionFailed,
            Self::WorkerStopped,
            Self::WorkerRemoved,
            Self::LimitExceeded { name, limit: 7 },
            Self::ComponentRefused { reason: "it imports `x:y/z`".into() },
            Self::MailboxFull { name, retry_after },
            Self::OperationUnsupported,
            Self::Busy { retry_after },
            Self::TooManyAttempts { retry_after },
            Self::RuntimeUnavailable,
            Self::StepsUnavailable,
            Self::StorageFull,
            Self::Internal,
        ];
        all.extend(Invalid::all(name).map(Self::InvalidRequest));
        all.extend(Conflict::ALL.map(Self::Conflict));
        all.extend(Need::every().map(Self::Forbidden));
        all.extend(NoAnswer::every().map(Self::NoAnswer));
        // The match is total: a new variant does not compile until it is decided on.
        for error in &all {
            match error {
                Self::InvalidRequest(_)
                | Self::Unauthenticated
                | Self::Forbidden(_)
                | Self::UnknownRuntime(_)
                | Self::UnknownWorker(_)
                | Self::WorkerNotVisible(_)
                | Self::UnknownHost(_)
                | Self::UnknownComponent(_)
                | Self::UnknownConfig(_)
                | Self::UnknownBlob(_)
                | Self::UnknownInput(_)
                | Self::UnknownEntry { .. }
                | Self::UnknownFile
                | Self::UnknownRun(_)
                | Self::UnknownStep
                | Self::UnknownOutput
                | Self::UnknownToken(_)
                | Self::UnknownSession(_)
                | Self::UnknownSite(_)
                | Self::UnknownRoute(_)
                | Self::Conflict(_)
                | Self::PreconditionFailed
                | Self::WorkerStopped
                | Self::WorkerRemoved
                | Self::LimitExceeded { .. }
                | Self::ComponentRefused { .. }
                | Self::MailboxFull { .. }
                | Self::NoAnswer(_)
                | Self::OperationUnsupported
                | Self::Busy { .. }
                | Self::TooManyAttempts { .. }
                | Self::RuntimeUnavailable
                | Self::StepsUnavailable
                | Self::StorageFull
                | Self::Internal => {}
            }
        }
        all
    }

    /// Returns the stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::InvalidRequest(_) => "invalid_request",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden(_) => "forbidden",
            Self::UnknownRuntime(_) => "unknown_runtime",
            Self::UnknownWorker(_) | Self::WorkerNotVisible(_) => "unknown_worker",
            Self::UnknownHost(_) => "unknown_host",
            Self::UnknownComponent(_) => "unknown_component",
            Self::UnknownConfig(_) => "unknown_config",
            Self::UnknownBlob(_) => "unknown_blob",
            Self::UnknownInput(_) => "unknown_input",
            Self::UnknownEntry { .. } => "unknown_entry",
            Self::UnknownFile => "unknown_file",
            Self::UnknownRun(_) => "unknown_run",
            Self::UnknownStep => "unknown_step",
            Self::UnknownOutput => "unknown_output",
            Self::UnknownToken(_) => "unknown_token",
            Self::UnknownSession(_) => "unknown_session",
            Self::UnknownSite(_) => "unknown_site",
            Self::UnknownRoute(_) => "unknown_route",
            Self::Conflict(_) => "conflict",
            Self::PreconditionFailed => "precondition_failed",
            Self::WorkerStopped => "worker_stopped",
            Self::WorkerRemoved => "worker_removed",
            Self::LimitExceeded { .. } => "limit_exceeded",
            Self::ComponentRefused { .. } => "component_refused",
            Self::MailboxFull { .. } => "mailbox_full",
            Self::NoAnswer(_) => "no_answer",
            Self::OperationUnsupported => "operation_unsupported",
            Self::Busy { .. } => "busy",
            Self::TooManyAttempts { .. } => "too_many_attempts",
            Self::RuntimeUnavailable => "runtime_unavailable",
            Self::StepsUnavailable => "steps_unavailable",
            Self::StorageFull => "storage_full",
            Self::Internal => "internal",
        }
    }

    /// Returns the HTTP status.
    pub const fn status(&self) -> u16 {
        match self {
            Self::InvalidRequest(_) => 400,
            Self::Unauthenticated => 401,
            Self::Forbidden(_) => 403,
            Self::UnknownRuntime(_)
            | Self::UnknownWorker(_)
            | Self::WorkerNotVisible(_)
            | Self::UnknownHost(_)
            | Self::UnknownComponent(_)
            | Self::UnknownConfig(_)
            | Self::UnknownBlob(_)
            | Self::UnknownInput(_)
            | Self::UnknownEntry { .. }
            | Self::UnknownFile
            | Self::UnknownRun(_)
            | Self::UnknownStep
            | Self::UnknownOutput
            | Self::UnknownToken(_)
            | Self::UnknownSession(_)
            | Self::UnknownSite(_)
            | Self::UnknownRoute(_) => 404,
            Self::Conflict(_) | Self::WorkerStopped => 409,
            Self::WorkerRemoved => 410,
            Self::PreconditionFailed => 412,
            Self::LimitExceeded { .. } => 413,
            Self::ComponentRefused { .. } => 422,
            Self::MailboxFull { .. } | Self::TooManyAttempts { .. } => 429,
            Self::NoAnswer(why) => why.status(),
            Self::OperationUnsupported => 501,
            Self::Busy { .. } | Self::RuntimeUnavailable | Self::StepsUnavailable => 503,
            Self::StorageFull => 507,
            Self::Internal => 500,
        }
    }
}

impl From<IdError> for Error {
    fn from(error: IdError) -> Self {
        Self::InvalidRequest(error.into())
    }
}

impl From<NameError> for Error {
    fn from(error: NameError) -> Self {
        Self::InvalidRequest(error.into())
    }
}

impl From<Invalid> for Error {
    fn from(invalid: Invalid) -> Self {
        Self::InvalidRequest(invalid)
    }
}

impl From<NoAnswer> for Error {
    fn from(why: NoAnswer) -> Self {
        Self::NoAnswer(why)
    }
}

impl From<Conflict> for Error {
    fn from(conflict: Conflict) -> Self {
        Self::Conflict(conflict)
    }
}
