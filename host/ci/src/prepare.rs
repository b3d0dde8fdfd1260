//! A step of the plan as a job: its trees, arguments and program, once the steps before it ended.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use crate::digest::BlobDigest;
use crate::executor::StepJob;
use crate::file::SourceMode;
use crate::guest_path;
use crate::inputs::{self, InputError};
use crate::log::LogWriter;
use crate::pattern::Pattern;
use crate::plan::{PlannedProgram, PlannedStdin, PlannedStep};
use crate::result::StepResult;
use crate::sources::{SourceError, Sources};
use crate::store::Store;
use crate::template::{Template, TemplatePart};
use crate::toolbox::Toolbox;
use crate::tree::FileTree;

/// Maximum number of arguments of a step.
pub(crate) const MOST_ARGS: usize = 100_000;

/// The reason that a step has no job.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// An input cannot be made.
    #[error(transparent)]
    Input(#[from] InputError),
    /// A source cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// An argument cannot be made.
    #[error("{0}")]
    Argument(String),
    /// The store cannot be used.
    #[error("cannot use the cache: {0}")]
    Store(#[from] io::Error),
}

impl PrepareError {
    /// Returns true if the step or one before it is the cause, and not this machine.
    pub(crate) fn is_of_pipeline(&self) -> bool {
        !matches!(self, Self::Store(_) | Self::Input(InputError::Store(_)))
    }
}

/// The parts that all steps of a run share.
pub(crate) struct Surroundings<'a> {
    pub(crate) store: &'a Store,
    pub(crate) sources: &'a Sources,
    pub(crate) tools: &'a Toolbox,
}

/// Makes the job of a step. `results` returns those of an earlier step by its name.
pub(crate) fn job<'r>(
    around: &Surroundings<'_>,
    step: &PlannedStep,
    results: &dyn Fn(&str) -> Vec<&'r StepResult>,
    log: Arc<LogWriter>,
) -> Result<StepJob, PrepareError> {
    let Surroundings { store, sources, tools } = around;
    let mut trees: BTreeMap<String, BlobDigest> = BTreeMap::new();
    let (component, isolated, argv0, tool) = match &step.program {
        PlannedProgram::Tool(name) => {
            let tool = tools.get(name).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
            trees.extend(tool.trees.clone());
            (tool.component, step.isolate, tool.argv0.clone(), name.clone())
        }
        PlannedProgram::Made(file) => {
            let digest = inputs::made(file, &results(&file.step))?;
            let name = file.path.rsplit('/').next().unwrap_or(&file.path).to_owned();
            (digest, true, name, format!("{}/{}", file.step, file.path))
        }
    };
    let mut input_trees = BTreeMap::new();
    for (guest, input) in &step.inputs {
        let tree = inputs::tree(store, input, &results(&input.step))?;
        trees.insert(guest.clone(), tree.store(store)?);
        input_trees.insert(guest.clone(), tree);
    }
    let others = step.files.iter().filter(|path| !step.sources.contains(*path));
    let seen = step.sources.iter().chain(others).map(String::as_str);
    let source_tree = sources.tree(seen)?.store(store)?;
    let mut copied = None;
    match step.source_mode {
        SourceMode::Ro => drop(trees.insert(step.at.clone(), source_tree)),
        SourceMode::Copy => copied = Some((step.at.clone(), source_tree)),
    }
    let stdin = match &step.stdin {
        None => None,
        Some(PlannedStdin::Source(path)) => Some(sources.file(path)?),
        Some(PlannedStdin::Made(file)) => Some(inputs::made(file, &results(&file.step))?),
    };
    let mut argv = vec![argv0];
    for template in &step.args {
        argument(template, step, &input_trees, &mut argv)?;
    }
    if argv.len() > MOST_ARGS {
        let message = format!("{} has over {MOST_ARGS} arguments; use `batch`", step.id);
        return Err(PrepareError::Argument(message));
    }
    Ok(StepJob {
        id: step.id.clone(),
        tool,
        component,
        isolated,
        argv,
        env: step.env.clone().into_iter().collect(),
        stdin,
        trees: trees.into_iter().collect(),
        copied,
        out: step.out.clone(),
        limits: step.bounds.limits,
        log_bytes: step.bounds.log_bytes,
        seed: step.seed,
        deterministic: step.deterministic,
        http: step.http.clone(),
        secrets: step.secrets.clone(),
        expected: step.expected.clone(),
        retries: step.retries.clone(),
        verify: step.verify,
        junit: step.junit.clone(),
        cacheable: step.cached,
        log,
    })
}

/// Adds what a text stands for: one argument, or one for each file.
fn argument(
    template: &Template,
    step: &PlannedStep,
    inputs: &BTreeMap<String, FileTree>,
    argv: &mut Vec<String>,
) -> Result<(), PrepareError> {
    let at = template
        .0
        .iter()
        .position(|part| matches!(part, TemplatePart::Files | TemplatePart::Inputs { .. }));
    let Some(at) = at else {
        argv.push(template.filled(&step.matrix, false));
        return Ok(());
    };
    let text = |parts: &[TemplatePart]| Template(parts.to_vec()).filled(&step.matrix, false);
    let (before, after) = (text(&template.0[..at]), text(&template.0[at + 1..]));
    let list = match &template.0[at] {
        TemplatePart::Inputs { glob } => matching(glob, inputs)?,
        _ => step.files.iter().map(|path| join(&step.at, path)).collect(),
    };
    argv.extend(list.into_iter().map(|path| format!("{before}{path}{after}")));
    Ok(())
}

/// Returns the guest paths of the inputs that a glob matches, sorted.
fn matching(glob: &str, inputs: &BTreeMap<String, FileTree>) -> Result<Vec<String>, PrepareError> {
    let mount = inputs
        .iter()
        .filter_map(|(guest, tree)| Some((guest, tree, guest_path::below(glob, guest)?)));
    let Some((guest, tree, rest)) = mount.max_by_key(|(guest, ..)| guest.len()) else {
        return Err(PrepareError::Argument(format!("`{glob}` is below no directory of `in`")));
    };
    let pattern = Pattern::parse(if rest.is_empty() { "**" } else { rest })
        .map_err(|error| PrepareError::Argument(error.to_string()))?;
    let found: Vec<_> = pattern.find(&tree.0).map(|(path, _)| join(guest, path)).collect();
    match found.is_empty() && !pattern.optional {
        true => {
            let first: Vec<_> = tree.0.keys().take(5).cloned().collect();
            let message = format!("`{glob}` matches no input; there are: {}", first.join(", "));
            Err(PrepareError::Argument(message))
        }
        false => Ok(found),
    }
}

fn join(directory: &str, path: &str) -> String {
    format!("{}/{path}", directory.trim_end_matches('/'))
}
