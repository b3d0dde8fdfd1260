//! Reasons why a request is invalid, in one word each.

use crate::config::ConfigError;
use crate::name::NameError;
use crate::{IdError, LimitName};

/// The reason why a request is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// An id is malformed.
    #[error(transparent)]
    Id(#[from] IdError),
    /// A name is malformed.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A config bundle is malformed.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A page cursor was not issued by a list.
    #[error("the cursor is not one that a list returned")]
    Cursor,
    /// The input of a command is not a run request.
    #[error(
        "a command's input is application/json: {{\"args\", \"env\", \"stdin\" or \"stdin_base64\"}}"
    )]
    RunRequest,
    /// Two guest directories have the same path, or one is `/data`.
    #[error("two grants have the same place in the guest, or one has /data")]
    GuestPath,
    /// The operator offers no scope with this name.
    #[error("the operator offers no scope of that name")]
    Scope,
    /// The operator offers no secret with this name.
    #[error("the operator offers no secret of that name")]
    Secret,
    /// The worker would have too many grants.
    #[error("a worker has at most 64 grants of each kind, and each at most 64 methods")]
    TooManyGrants,
    /// The prefix of a route is malformed.
    #[error(
        "a route is HOST/PATH, such as shop.example/cart: a host without a port, `*` for any, or none; \
         a path without `.`, `..`, empty parts, `?` and `#`"
    )]
    RoutePrefix,
    /// The host has not exactly one site, and the request names none.
    #[error(
        "name the site, as `name` in an [[http]] section of skep.toml; this host has not exactly one"
    )]
    Site,
    /// The worker of a route handles no HTTP.
    #[error("the worker handles no HTTP requests, so no route can lead to it")]
    NotHttp,
    /// The host would have too many routes.
    #[error("a host has at most 1,000 routes besides those of its settings")]
    TooManyRoutes,
    /// The limit cannot be set per worker.
    #[error("the limit {0} cannot be set for a worker")]
    Limit(LimitName),
    /// A path below a worker's directory is malformed.
    #[error("a file's name is a relative path without `.`, `..` and empty parts")]
    FileName,
    /// The path does not name a regular file.
    #[error("path is not a regular file")]
    NotAFile,
    /// The archive is malformed or contains an entry that may not be unpacked.
    #[error("the archive is not a tar of plain files and directories with relative names")]
    Archive,
    /// The bytes of a blob have another hash than its name says.
    #[error("the bytes have another hash than the name of the blob says")]
    Blob,
    /// The specification of a step is malformed.
    #[error("the specification of the step is malformed: a pattern, a path or a number of it")]
    Step,
    /// The body does not match the request.
    #[error("the request body is malformed, or has the wrong type")]
    Body,
    /// A query parameter is malformed.
    #[error("a query parameter has an invalid value, or is repeated")]
    Query,
    /// A header is malformed.
    #[error("a request header has an invalid value")]
    Header,
}

impl Invalid {
    /// Returns the stable word beside the code `invalid_request`.
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
            Self::Name(NameError::TokenName) => "token_name",
            Self::Name(NameError::SiteName) => "site_name",
            Self::Name(NameError::GuestPath) => "guest_path",
            Self::Config(ConfigError::Key) => "config_key",
            Self::Config(ConfigError::TooLarge) => "config_too_large",
            Self::Cursor => "cursor",
            Self::RunRequest => "run_request",
            Self::GuestPath => "guest_path_taken",
            Self::Scope => "scope",
            Self::Secret => "secret",
            Self::TooManyGrants => "too_many_grants",
            Self::RoutePrefix => "route_prefix",
            Self::Site => "site",
            Self::NotHttp => "not_http",
            Self::TooManyRoutes => "too_many_routes",
            Self::Limit(_) => "limit",
            Self::FileName => "file_name",
            Self::NotAFile => "not_a_file",
            Self::Archive => "archive",
            Self::Blob => "blob",
            Self::Step => "step",
            Self::Body => "body",
            Self::Query => "query",
            Self::Header => "header",
        }
    }

    /// Returns every variant; variants about a limit carry the given one.
    pub const fn all(limit: LimitName) -> [Self; 34] {
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
            Self::Name(NameError::TokenName),
            Self::Name(NameError::SiteName),
            Self::Name(NameError::GuestPath),
            Self::Config(ConfigError::Key),
            Self::Config(ConfigError::TooLarge),
            Self::Cursor,
            Self::RunRequest,
            Self::GuestPath,
            Self::Scope,
            Self::Secret,
            Self::TooManyGrants,
            Self::RoutePrefix,
            Self::Site,
            Self::NotHttp,
            Self::TooManyRoutes,
            Self::Limit(limit),
            Self::FileName,
            Self::NotAFile,
            Self::Archive,
            Self::Blob,
            Self::Step,
            Self::Body,
            Self::Query,
            Self::Header,
        ]
    }
}
