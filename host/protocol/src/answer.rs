//! Answers of a runtime, as far as a [`crate::Layer`] looks into them.

use crate::step::{BlobList, StepView};
use crate::{
    ByteStream, ChangeStream, ComponentCheck, ComponentView, ConfigView, Diagnostic, Entry,
    EntryPage, EntryStream, FileListing, FileView, HttpAnswer, Imported, InputSummary, InputView,
    Listing, Page, RuntimeHistory, RuntimeView, Sent, StateItem, Stored, Usage, WorkerHistory,
    WorkerPage, WorkerView,
};

/// The parts of an answer that a layer may check or replace.
pub trait Answer: Sized + Send + 'static {
    /// The views of workers in it.
    fn workers(&mut self) -> Vec<&mut WorkerView> {
        Vec::new()
    }

    /// The runtime's description, if it is one.
    fn description(&mut self) -> Option<&mut RuntimeView> {
        None
    }

    /// Replaces its stream of entries, if it is one.
    fn map_entries(self, _with: impl FnOnce(EntryStream) -> EntryStream) -> Self {
        self
    }

    /// Replaces its stream of changes, if it is one.
    fn map_changes(self, _with: impl FnOnce(ChangeStream) -> ChangeStream) -> Self {
        self
    }
}

impl Answer for () {}
impl Answer for BlobList {}
impl Answer for ByteStream {}
impl Answer for ComponentCheck {}
impl Answer for ComponentView {}
impl Answer for ConfigView {}
impl Answer for Entry {}
impl Answer for EntryPage {}
impl Answer for HttpAnswer {}
impl Answer for Imported {}
impl Answer for InputView {}
impl Answer for FileListing {}
impl Answer for Listing<StateItem> {}
impl Answer for Page<ComponentView> {}
impl Answer for Page<ConfigView> {}
impl Answer for Page<InputSummary> {}
impl Answer for RuntimeHistory {}
impl Answer for Sent {}
impl Answer for StepView {}
impl Answer for Stored<ComponentView> {}
impl Answer for Stored<ConfigView> {}
impl Answer for Stored<FileView> {}
impl Answer for Usage {}
impl Answer for WorkerHistory {}
impl Answer for Vec<Diagnostic> {}
impl Answer for (FileView, ByteStream) {}

impl Answer for RuntimeView {
    fn description(&mut self) -> Option<&mut RuntimeView> {
        Some(self)
    }
}

impl Answer for WorkerView {
    fn workers(&mut self) -> Vec<&mut WorkerView> {
        vec![self]
    }
}

impl Answer for Stored<WorkerView> {
    fn workers(&mut self) -> Vec<&mut WorkerView> {
        vec![&mut self.item]
    }
}

impl Answer for WorkerPage {
    fn workers(&mut self) -> Vec<&mut WorkerView> {
        self.items.iter_mut().collect()
    }
}

impl Answer for EntryStream {
    fn map_entries(self, with: impl FnOnce(EntryStream) -> EntryStream) -> Self {
        with(self)
    }
}

impl Answer for ChangeStream {
    fn map_changes(self, with: impl FnOnce(ChangeStream) -> ChangeStream) -> Self {
        with(self)
    }
}
