//! Everything that a server may answer with: the protocol's words, and none other.

use skep_protocol::{
    AuditEntry, Change, ComponentView, ConfigView, Diagnostic, Entry, EntryPage, FileView,
    FleetChange, HostView, Imported, InputSummary, InputView, Listing, Me, Page, Problem,
    RuntimeSummary, RuntimeView, Sent, Usage, WorkerEntry, WorkerView,
};

/// Something that is read from JSON.
pub(crate) trait Shape: Sized {
    /// None where the text is not that.
    fn read(json: &[u8]) -> Option<Self>;
}

macro_rules! shapes {
    ($($shape:ty,)*) => {
        $(impl Shape for $shape {
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
    Listing<WorkerEntry>,
    Me,
    Page<AuditEntry>,
    Page<ComponentView>,
    Page<ConfigView>,
    Page<Diagnostic>,
    Page<InputSummary>,
    Page<WorkerView>,
    Problem,
    RuntimeSummary,
    RuntimeView,
    Sent,
    Usage,
    WorkerView,
    serde_json::Value,
}
