//! The types that a response may contain. No others can be parsed.

use skep_protocol::{
    AuditEntry, Change, ComponentView, ConfigView, Diagnostic, Entry, EntryPage, FileView,
    FleetChange, HostView, Imported, InputSummary, InputView, Listing, Me, Page, Problem,
    RuntimeHistory, RuntimeSummary, RuntimeView, Sent, StateItem, Usage, WorkerHistory,
    WorkerListing, WorkerPage, WorkerView,
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
    Change,
    ComponentView,
    ConfigView,
    Entry,
    EntryPage,
    FileView,
    FleetChange,
    Imported,
    InputView,
    Listing<FileView>,
    Listing<HostView>,
    Listing<RuntimeSummary>,
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
    Usage,
    WorkerHistory,
    WorkerListing,
    WorkerPage,
    WorkerView,
    serde_json::Value,
}
