//! Pipelines of WebAssembly steps, cached by content.
//!
//! [`PipelineFile`] is what an author writes, [`Plan`] what it means over the files of a project,
//! [`run`] what happens: each step becomes an action with a key, whose result comes from the
//! [`Store`] or from an [`Executor`].
//!
//! This crate opens nothing by path and starts nothing: the composition root passes directories as
//! handles, gets packages, and brings the executor. Only [`run`] writes results into the cache.

mod action;
mod action_run;
mod annotations;
mod apply;
mod archive;
mod blob_draft;
mod bounds;
mod cache_size;
mod collect;
#[cfg(test)]
mod crash;
mod digest;
mod draft;
mod dry;
mod entry;
mod executor;
mod expected;
mod explain;
mod explain_run;
mod fault;
mod file;
mod gc;
mod graph;
mod guest_path;
mod inputs;
mod junit;
mod listing;
mod live;
mod lock;
mod log;
mod matrix;
mod messages;
mod order;
mod pattern;
mod plan;
mod planning;
mod prepare;
mod records;
mod request;
mod result;
mod schedule;
mod selection;
mod slsa;
mod sources;
mod stage;
mod step_log;
mod step_maker;
mod step_run;
mod store;
mod stored_runs;
mod streams;
mod summary;
mod template;
#[cfg(test)]
mod tests;
mod tool;
mod toolbox;
mod tree;

pub use action::{ActionKey, WORLD, key};
pub use action_run::{ActionRunner, CachePolicy, StoreRunner};
pub use annotations::annotations;
pub use apply::apply;
pub use blob_draft::BlobDraft;
pub use bounds::{Ceilings, StepBounds};
pub use collect::{CollectError, Collected, collect};
pub use digest::{BlobDigest, digest_of};
pub use dry::{DryState, DryStep, dry};
pub use executor::{Executed, Executor, StepJob, StreamOutput};
pub use expected::{Expected, Retries};
pub use explain::{StepExplanation, explain};
pub use fault::{FileFault, nearest};
pub use file::{PIPELINE_FILE, PipelineFile, schema};
pub use gc::{GcResult, Keep, gc, gc_above};
pub use graph::{GraphFormat, graph};
pub use guest_path::{OUT, TMP};
pub use junit::report as junit_report;
pub use listing::{FileStamp, ListedKind, ProjectFiles};
pub use lock::{pinned_files, unpinned, with_pins};
pub use log::{LogRecord, LogStream, LogWriter, read_log, read_page as read_log_page};
pub use pattern::{Pattern, PatternError};
pub use plan::{Plan, PlanOptions, PlannedProgram, PlannedStep};
pub use prepare::PrepareError;
pub use records::{RunNote, RunRecord, find_run, open_log, read_note, read_run, runs};
pub use request::SpecError;
pub use result::{
    CachedFrom, DenialResult, HostFacts, OutputResult, OutputsResult, RunOutcome, RunResult,
    StepOutcome, StepResult, StepTiming, StreamResult, TestCounts, TestFailure, result_schema,
};
pub use schedule::{Cancel, Observer, RunParts, run};
pub use slsa::{KeyError, sign, statement};
pub use sources::{SourceError, Sources};
pub use stage::{copy_tree, open_tree};
pub use step_log::step_log;
pub use store::Store;
pub use stored_runs::StoredRuns;
pub use streams::kept_records;
pub use summary::summary;
pub use tool::{Origin, PinnedFile, PlannedTool};
pub use toolbox::{Fetch, ReadyTool, ToolError, Toolbox, pin};
pub use tree::{FileTree, TreeNode};
