//! The types that every part of Skep shares: ids, specs, views, inputs, entries, errors, limits,
//! and the trait of every runtime.
//!
//! This crate performs no IO. None of its types can hold a host path, an endpoint or a token, so
//! any of them may be sent to a browser.

pub mod access;
mod access_record;
pub mod answer;
pub mod audit;
mod blob;
mod bulk;
mod change;
pub mod ci;
pub mod component;
pub mod config;
pub mod cursor;
pub mod diagnostic;
pub mod digest;
pub mod entry;
pub mod error;
pub mod file;
pub mod flags;
pub mod grant;
pub mod handle;
pub mod history;
mod http_entries;
pub mod http_hop;
mod http_message;
mod http_spec;
pub mod id;
pub mod input;
mod invalid;
pub mod kind;
mod limit_set;
pub mod limits;
mod list;
pub mod name;
mod need;
mod no_answer;
pub mod outbound;
pub mod payload;
pub mod problem;
mod proxy_error;
pub mod quantity;
pub mod registry;
pub mod rights;
mod role;
mod route;
pub mod runtime;
pub mod state;
pub mod step;
pub mod text;
pub mod time;
pub mod transcript;
mod verbs;
pub mod worker;

pub use access::{CreateToken, CreatedToken, SessionView, TokenView};
pub use access_record::AccessRecord;
pub use answer::Answer;
pub use audit::{
    Action, AuditEntry, AuditedRoute, AuditedState, AuditedStep, AuditedToken, ListAudit,
    audit_word,
};
pub use blob::{BlobDigest, BlobError};
pub use bulk::{BulkAction, BulkFilter, BulkPreview, BulkRequest, BulkResult, BulkWorker};
pub use change::{
    Change, ChangeStream, CompiledEvent, FleetCompiledEvent, FleetDiagnostic, FleetEvent,
    FleetStream, FollowChanges, FollowFleet, ReadyEvent, ResetEvent, RuntimeEvent, SlimChange,
    WatchedEntry, WatchedProblem, WatchedWorker, WorkerRow,
};
pub use component::{
    CompileRecord, Compiled, ComponentCheck, ComponentRefusal, ComponentView, GrantKind,
    ImportCheck, ImportStatus,
};
pub use config::{ConfigValues, ConfigView, NewConfig};
pub use cursor::Cursor;
pub use diagnostic::{Diagnostic, DiagnosticCode, Severity, Subject};
pub use digest::{BlobHash, ComponentDigest, ConfigDigest, DigestError};
pub use entry::{Entry, EntryKind, EntryPage};
pub use error::{Conflict, Error};
pub use file::{
    FileCondition, FileListing, FileName, FileRange, FileTag, FileView, Imported, ListFiles,
    RemoveFile, RenameFile,
};
pub use grant::{
    GrantError, Grants, HostPattern, HttpGrant, Method, Scheme, ScopeGrant, ScopeGrantError,
};
pub use handle::{
    Artifacts, Effect, Files, Http, Invocation, Layer, Overview, RuntimeHandle, Steps, Turns, Verb,
    Workers,
};
pub use history::{RuntimeHistory, RuntimeSample, WorkerHistory, WorkerSample};
pub use http_entries::HttpEntries;
pub use http_message::{BodyCut, HttpAnswer, HttpBody, HttpRequest};
pub use http_spec::{HttpInstances, HttpSpec};
pub use id::{CiRunId, HostId, IdError, InputId, RuntimeId, SessionId, StepKey, TokenId, WorkerId};
pub use input::{
    Ending, InputState, InputSummary, InputView, ListInputs, NewInput, Outcome, Output, RunOutput,
    RunRequest, Sent, TurnError,
};
pub use invalid::Invalid;
pub use kind::ComponentKind;
pub use limit_set::LimitSet;
pub use limits::{LimitName, LimitView, Limits, Unit};
pub use list::{
    LabelFilter, ListWorkers, ListedWorker, SearchText, SortOrder, SpecOutline, WorkerCounts,
    WorkerFilter, WorkerListing, WorkerPage, WorkerPosition, WorkerSelection, WorkerSort,
};
pub use name::{
    DisplayRef, GuestPath, IdempotencyKey, Labels, NameError, ScopeName, SecretName, SiteName,
    TokenName,
};
pub use need::Need;
pub use no_answer::NoAnswer;
pub use outbound::{Denial, RequestRecord};
pub use payload::{Failure, Payload};
pub use problem::Problem;
pub use proxy_error::ProxyError;
pub use registry::{
    Capabilities, Changed, FleetChange, Grantable, GrantableScope, HostView, Listing, Login, Me,
    RuntimeSummary, Source, Status, WorkerEntry,
};
pub use rights::Rights;
pub use role::Role;
pub use route::{NewRoute, RouteAuth, RoutePrefix, RouteState, RouteView};
pub use runtime::{ByteStream, EntryStream, Page, RuntimeView, Stored};
pub use state::{ListState, StateItem};
pub use time::Timestamp;
pub use transcript::{EntryFilter, EntryPlace, EntryText, ListEntries, Preview};
pub use worker::{
    CreateWorker, Desired, Execution, FailedReason, ForkWorker, LimitChanges, Observed,
    ObservedState, Usage, Version, VersionChange, WorkerChange, WorkerSpec, WorkerView,
};
