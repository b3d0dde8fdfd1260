//! Why a request was not carried out: the same words everywhere.
//!
//! An error has no field for free text of ours, so none can carry a path, an endpoint or a token.
//! What went wrong inside goes to the log, beside the request.

use std::time::Duration;

use crate::config::ConfigError;
use crate::name::NameError;
use crate::{
    ComponentDigest, ConfigDigest, HostId, IdError, InputId, LimitName, RuntimeId, WorkerId,
};

/// A request that was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The request makes no sense.
    #[error("{0}")]
    InvalidRequest(Invalid),
    /// Nobody is logged in, or with something that is no longer good.
    #[error("log in, or send a token that is valid")]
    Unauthenticated,
    /// The caller may not do that.
    #[error("the token's role does not allow that")]
    Forbidden,
    /// There is no such runtime.
    #[error("there is no runtime {0}")]
    UnknownRuntime(RuntimeId),
    /// There is no such worker.
    #[error("there is no worker {0}")]
    UnknownWorker(WorkerId),
    /// The worker is there and the caller may not see it: told apart in the audit only. To the
    /// caller it is [`Error::UnknownWorker`] in every word.
    #[error("there is no worker {0}")]
    WorkerNotVisible(WorkerId),
    /// There is no such host.
    #[error("there is no host {0}")]
    UnknownHost(HostId),
    /// There is no such component.
    #[error("there is no component {0}; push it first")]
    UnknownComponent(ComponentDigest),
    /// There is no such config bundle.
    #[error("there is no config bundle {0}; store it first")]
    UnknownConfig(ConfigDigest),
    /// There is no such input.
    #[error("there is no input {0}")]
    UnknownInput(InputId),
    /// There is no such file.
    #[error("there is no such file")]
    UnknownFile,
    /// The request contradicts what is there.
    #[error("{0}")]
    Conflict(Conflict),
    /// The worker was stopped.
    #[error("the worker is stopped; start it to have it take inputs")]
    WorkerStopped,
    /// The worker was removed. Its id is not used again.
    #[error("the worker was removed")]
    WorkerRemoved,
    /// The request is past a limit.
    #[error("the request is past {name} ({})", name.unit().show(*limit))]
    LimitExceeded {
        /// Which.
        name: LimitName,
        /// Its value.
        limit: u64,
    },
    /// The component is not one that runs here.
    #[error("the component was refused: {reason}")]
    ComponentRefused {
        /// Why, in the words of whoever read it. Names in it are the component's.
        reason: String,
    },
    /// The worker has as many inputs waiting as it may.
    #[error("the mailbox is full ({name}); try again later")]
    MailboxFull {
        /// Which bound was reached: `mailbox_inputs` or `mailbox_bytes`.
        name: LimitName,
        /// When to try again.
        retry_after: Duration,
    },
    /// This runtime cannot do that.
    #[error("this runtime does not support that operation")]
    OperationUnsupported,
    /// The runtime has too much to do, or is shutting down.
    #[error("the runtime is busy; try again later")]
    Busy {
        /// When to try again.
        retry_after: Duration,
    },
    /// The runtime cannot be reached.
    #[error("the runtime is unavailable")]
    RuntimeUnavailable,
    /// The disk is full. What was acknowledged is kept.
    #[error("the runtime's storage is full; nothing was lost")]
    StorageFull,
    /// We failed.
    #[error("an internal error; the runtime's log says more")]
    Internal,
}

/// Why a request makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// An id is not one.
    #[error(transparent)]
    Id(#[from] IdError),
    /// A name is not one.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A config bundle is not one.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A page cursor is not one that a list gave out.
    #[error("the cursor is not one that a list returned")]
    Cursor,
    /// A command's input is not a run request.
    #[error(
        "a command's input is application/json: {{\"args\", \"env\", \"stdin\" or \"stdin_base64\"}}"
    )]
    RunRequest,
    /// Two directories of the guest in one place, or one in place of `/data`.
    #[error("two grants have the same place in the guest, or one has /data")]
    GuestPath,
    /// A scope that the operator does not offer.
    #[error("the operator offers no scope of that name")]
    Scope,
    /// A secret that the operator does not offer.
    #[error("the operator offers no secret of that name")]
    Secret,
    /// More grants than a worker can have.
    #[error("a worker has at most 64 grants of each kind, and each at most 64 methods")]
    TooManyGrants,
    /// A limit that is not set per worker.
    #[error("the limit {0} cannot be set for a worker")]
    Limit(LimitName),
    /// A path below a worker's directory is not one.
    #[error("a file's name is a relative path without `.`, `..` and empty parts")]
    FileName,
    /// There is something else than a file in that place.
    #[error("there is something else than a file in that place")]
    NotAFile,
    /// An archive is not one, or holds something that may not be unpacked.
    #[error("the archive is no tar of plain files and directories with relative names")]
    Archive,
    /// A body is not what the request takes.
    #[error("the body is not what this request takes")]
    Body,
    /// A query parameter is not what the request takes.
    #[error("a query parameter is not what this request takes")]
    Query,
    /// A header is not what the request takes.
    #[error("a header is not what this request takes")]
    Header,
}

impl Invalid {
    /// The stable word for it, beside the code `invalid_request`.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Id(IdError::Runtime) => "runtime_id",
            Self::Id(IdError::Uuid) => "id",
            Self::Id(IdError::Digest) => "digest",
            Self::Name(NameError::DisplayRef) => "display_ref",
            Self::Name(NameError::LabelKey) => "label_key",
            Self::Name(NameError::LabelValue) => "label_value",
            Self::Name(NameError::TooManyLabels) => "too_many_labels",
            Self::Name(NameError::IdempotencyKey) => "idempotency_key",
            Self::Name(NameError::ScopeName) => "scope_name",
            Self::Name(NameError::SecretName) => "secret_name",
            Self::Name(NameError::GuestPath) => "guest_path",
            Self::Config(ConfigError::Key) => "config_key",
            Self::Config(ConfigError::TooLarge) => "config_too_large",
            Self::Cursor => "cursor",
            Self::RunRequest => "run_request",
            Self::GuestPath => "guest_path_taken",
            Self::Scope => "scope",
            Self::Secret => "secret",
            Self::TooManyGrants => "too_many_grants",
            Self::Limit(_) => "limit",
            Self::FileName => "file_name",
            Self::NotAFile => "not_a_file",
            Self::Archive => "archive",
            Self::Body => "body",
            Self::Query => "query",
            Self::Header => "header",
        }
    }

    /// Every one; those of limits with the given one.
    pub const fn all(limit: LimitName) -> [Self; 26] {
        [
            Self::Id(IdError::Runtime),
            Self::Id(IdError::Uuid),
            Self::Id(IdError::Digest),
            Self::Name(NameError::DisplayRef),
            Self::Name(NameError::LabelKey),
            Self::Name(NameError::LabelValue),
            Self::Name(NameError::TooManyLabels),
            Self::Name(NameError::IdempotencyKey),
            Self::Name(NameError::ScopeName),
            Self::Name(NameError::SecretName),
            Self::Name(NameError::GuestPath),
            Self::Config(ConfigError::Key),
            Self::Config(ConfigError::TooLarge),
            Self::Cursor,
            Self::RunRequest,
            Self::GuestPath,
            Self::Scope,
            Self::Secret,
            Self::TooManyGrants,
            Self::Limit(limit),
            Self::FileName,
            Self::NotAFile,
            Self::Archive,
            Self::Body,
            Self::Query,
            Self::Header,
        ]
    }
}

/// What a request contradicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// A worker with this id and another spec.
    #[error("a worker with this id and another specification exists")]
    Worker,
    /// An input with this key and another body.
    #[error("this idempotency key was used with another body")]
    IdempotencyKey,
    /// There is nothing to roll back to.
    #[error("the worker was never updated, so there is nothing to roll back to")]
    NoPrevious,
    /// The new component is of another kind.
    #[error("the new component is of another kind than the worker")]
    Kind,
    /// The component or config bundle is used by a worker.
    #[error("it is used by a worker")]
    InUse,
    /// The input has an outcome already.
    #[error("the input has ended already")]
    Ended,
    /// The worker's grants are others than those that the change was made for.
    #[error("the worker's grants were changed meanwhile; look at them and try again")]
    Grants,
    /// The worker has failed and waits for a person.
    #[error("the worker has failed; its diagnostics say why, and start makes it try again")]
    WorkerFailed,
}

impl Conflict {
    /// Every one.
    pub const ALL: [Self; 8] = [
        Self::Worker,
        Self::IdempotencyKey,
        Self::NoPrevious,
        Self::Kind,
        Self::InUse,
        Self::Ended,
        Self::Grants,
        Self::WorkerFailed,
    ];

    /// The stable word for it, beside the code `conflict`.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::IdempotencyKey => "idempotency_key",
            Self::NoPrevious => "no_previous",
            Self::Kind => "kind",
            Self::InUse => "in_use",
            Self::Ended => "ended",
            Self::Grants => "grants",
            Self::WorkerFailed => "worker_failed",
        }
    }
}

impl Error {
    /// One of each variant, and of each of their reasons, with made-up ids.
    pub fn every() -> Vec<Self> {
        let retry_after = Duration::from_millis(1_500);
        let name = LimitName::mailbox_bytes;
        let runtime = || "elsewhere".parse().expect("that is a runtime's id");
        let host = || "elsewhere".parse().expect("that is a host's id");
        let worker = WorkerId::new(1, [1; 10]);
        let mut all = vec![
            Self::Unauthenticated,
            Self::Forbidden,
            Self::UnknownRuntime(runtime()),
            Self::UnknownWorker(worker),
            Self::WorkerNotVisible(worker),
            Self::UnknownHost(host()),
            Self::UnknownComponent(ComponentDigest::from_sha256([1; 32])),
            Self::UnknownConfig(ConfigDigest::from_sha256([1; 32])),
            Self::UnknownInput(InputId::new(1, [1; 10])),
            Self::UnknownFile,
            Self::WorkerStopped,
            Self::WorkerRemoved,
            Self::LimitExceeded { name, limit: 7 },
            Self::ComponentRefused { reason: "it imports `x:y/z`".into() },
            Self::MailboxFull { name, retry_after },
            Self::OperationUnsupported,
            Self::Busy { retry_after },
            Self::RuntimeUnavailable,
            Self::StorageFull,
            Self::Internal,
        ];
        all.extend(Invalid::all(name).map(Self::InvalidRequest));
        all.extend(Conflict::ALL.map(Self::Conflict));
        // Total: a new variant does not compile without a decision.
        for error in &all {
            match error {
                Self::InvalidRequest(_)
                | Self::Unauthenticated
                | Self::Forbidden
                | Self::UnknownRuntime(_)
                | Self::UnknownWorker(_)
                | Self::WorkerNotVisible(_)
                | Self::UnknownHost(_)
                | Self::UnknownComponent(_)
                | Self::UnknownConfig(_)
                | Self::UnknownInput(_)
                | Self::UnknownFile
                | Self::Conflict(_)
                | Self::WorkerStopped
                | Self::WorkerRemoved
                | Self::LimitExceeded { .. }
                | Self::ComponentRefused { .. }
                | Self::MailboxFull { .. }
                | Self::OperationUnsupported
                | Self::Busy { .. }
                | Self::RuntimeUnavailable
                | Self::StorageFull
                | Self::Internal => {}
            }
        }
        all
    }

    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::InvalidRequest(_) => "invalid_request",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::UnknownRuntime(_) => "unknown_runtime",
            Self::UnknownWorker(_) | Self::WorkerNotVisible(_) => "unknown_worker",
            Self::UnknownHost(_) => "unknown_host",
            Self::UnknownComponent(_) => "unknown_component",
            Self::UnknownConfig(_) => "unknown_config",
            Self::UnknownInput(_) => "unknown_input",
            Self::UnknownFile => "unknown_file",
            Self::Conflict(_) => "conflict",
            Self::WorkerStopped => "worker_stopped",
            Self::WorkerRemoved => "worker_removed",
            Self::LimitExceeded { .. } => "limit_exceeded",
            Self::ComponentRefused { .. } => "component_refused",
            Self::MailboxFull { .. } => "mailbox_full",
            Self::OperationUnsupported => "operation_unsupported",
            Self::Busy { .. } => "busy",
            Self::RuntimeUnavailable => "runtime_unavailable",
            Self::StorageFull => "storage_full",
            Self::Internal => "internal",
        }
    }

    /// The HTTP status that it has wherever HTTP is spoken.
    pub const fn status(&self) -> u16 {
        match self {
            Self::InvalidRequest(_) => 400,
            Self::Unauthenticated => 401,
            Self::Forbidden => 403,
            Self::UnknownRuntime(_)
            | Self::UnknownWorker(_)
            | Self::WorkerNotVisible(_)
            | Self::UnknownHost(_)
            | Self::UnknownComponent(_)
            | Self::UnknownConfig(_)
            | Self::UnknownInput(_)
            | Self::UnknownFile => 404,
            Self::Conflict(_) | Self::WorkerStopped => 409,
            Self::WorkerRemoved => 410,
            Self::LimitExceeded { .. } => 413,
            Self::ComponentRefused { .. } => 422,
            Self::MailboxFull { .. } => 429,
            Self::OperationUnsupported => 501,
            Self::Busy { .. } | Self::RuntimeUnavailable => 503,
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

impl From<Conflict> for Error {
    fn from(conflict: Conflict) -> Self {
        Self::Conflict(conflict)
    }
}
