//! The types that a response may contain. No others can be parsed.

use skep_protocol::step::{BlobList, StepView};
use skep_protocol::{
    AuditEntry, BulkPreview, BulkResult, Change, CompiledEvent, ComponentCheck, ComponentView,
    ConfigView, CreatedToken, Diagnostic, Entry, EntryPage, FileListing, FileView, FleetChange,
    FleetCompiledEvent, FleetDiagnostic, Grantable, HostView, Imported, InputSummary, InputView,
    LimitView, Listing, Me, Page, Problem, ReadyEvent, ResetEvent, RouteView, RuntimeHistory,
    RuntimeSummary, RuntimeView, Sent, SessionView, StateItem, TokenView, Usage, WatchedEntry,
    WatchedProblem, WorkerHistory, WorkerListing, WorkerPage, WorkerView,
};

/// A type that can be parsed from a response.
pub(crate) trait FromJson: Sized {
    /// Parses JSON; none if it does not match.
    fn read(json: &[u8]) -> Option<Self>;
}

macro_rules! shapes {
    ($($shape:ty,)*) => {
        $(impl FromJson for $shape {
            fn read(json: &[u8]) -> Option<Self> {
                serde_json::from_slice(json).ok()
            }
        })*
    };
}

shapes! {
    BlobList,
    BulkPreview,
    BulkResult,
    Change,
    CompiledEvent,
    Diagnostic,
    FleetCompiledEvent,
    FleetDiagnostic,
    ReadyEvent,
    ResetEvent,
    RouteView,
    WatchedEntry,
    WatchedProblem,
    ComponentCheck,
    ComponentView,
    ConfigView,
    CreatedToken,
    Entry,
    EntryPage,
    FileListing,
    FileView,
    FleetChange,
    Grantable,
    Imported,
    InputView,
    Listing<FleetDiagnostic>,
    Listing<HostView>,
    Listing<LimitView>,
    Listing<RouteView>,
    Listing<RuntimeSummary>,
    Listing<SessionView>,
    Listing<TokenView>,
    Listing<StateItem>,
    Me,
    Page<AuditEntry>,
    Page<ComponentView>,
    Page<ConfigView>,
    Page<Diagnostic>,
    Page<InputSummary>,
    Problem,
    RuntimeHistory,
    RuntimeSummary,
    RuntimeView,
    Sent,
    StepView,
    Usage,
    WorkerHistory,
    WorkerListing,
    WorkerPage,
    WorkerView,
    serde_json::Value,
}
