//! The plan of a run: the steps of a pipeline with every combination, every name resolved and every
//! limit checked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use skep_protocol::{HttpGrant, SecretName};

use crate::bounds::{Ceilings, StepBounds};
use crate::expected::{Expected, Retries};
use crate::file::{Condition, InputPart, SourceMode};
use crate::matrix::MatrixLeg;
use crate::pattern::Pattern;
use crate::template::Template;
use crate::tool::PlannedTool;

/// The inputs of a plan besides the file.
#[derive(Clone, Debug, Default)]
pub struct PlanOptions {
    /// The highest values that this host allows.
    pub ceilings: Ceilings,
    /// The files that changed since a base, if one was named.
    pub changed: Option<Vec<String>>,
    /// The files of a hook: they replace those of this step.
    pub hook: Option<(String, Vec<String>)>,
    /// A word of the operator that separates results.
    pub salt: String,
    /// True if steps may ask for addresses of this network.
    pub allow_inner: bool,
    /// The secrets that steps may ask for.
    pub secrets: BTreeSet<SecretName>,
}

/// The plan of a run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The steps, each after those that it needs.
    pub steps: Vec<PlannedStep>,
    /// The tools that they use.
    pub tools: BTreeMap<String, PlannedTool>,
    /// Separates the results of those who do not share them.
    pub salt: String,
}

/// The program of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlannedProgram {
    /// A tool.
    Tool(String),
    /// An output of an earlier step.
    Made(MadeFile),
}

/// One output of an earlier step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MadeFile {
    /// The step.
    pub step: String,
    /// Path below its outputs.
    pub path: String,
}

/// Standard input of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlannedStdin {
    /// A file of the project.
    Source(String),
    /// An output of an earlier step.
    Made(MadeFile),
}

/// A directory of outputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedInput {
    /// The step.
    pub step: String,
    /// The part of its results.
    pub part: InputPart,
}

/// One action: a step with one combination of its matrix.
#[derive(Clone, Debug)]
pub struct PlannedStep {
    /// Id: name and combination.
    pub id: String,
    /// Name of the step.
    pub name: String,
    /// Combination.
    pub matrix: MatrixLeg,
    /// Program.
    pub program: PlannedProgram,
    /// Arguments, with the values of the matrix.
    pub args: Vec<Template>,
    /// Environment.
    pub env: BTreeMap<String, String>,
    /// Standard input.
    pub stdin: Option<PlannedStdin>,
    /// Files of the project that it sees.
    pub sources: Arc<BTreeSet<String>>,
    /// Files that become `{files}`, which it sees too.
    pub files: Arc<Vec<String>>,
    /// Directory of the sources in the guest.
    pub at: String,
    /// Access to the sources.
    pub source_mode: SourceMode,
    /// Indices of the steps before it.
    pub needs: Vec<usize>,
    /// Directories of outputs by their path in the guest.
    pub inputs: BTreeMap<String, PlannedInput>,
    /// Outputs.
    pub out: Vec<Pattern>,
    /// Output that is a JUnit report.
    pub junit: Option<String>,
    /// Condition on the steps before it.
    pub condition: Condition,
    /// True if none of its `paths` changed.
    pub unchanged: bool,
    /// Limits.
    pub bounds: StepBounds,
    /// The end that counts as success.
    pub expected: Expected,
    /// True if a failure does not fail the run.
    pub allow_fail: bool,
    /// Repetition.
    pub retries: Retries,
    /// True if its result is cached.
    pub cached: bool,
    /// Seed of a virtual clock and of random numbers.
    pub seed: Option<u64>,
    /// True if it runs in a process of its own, whatever its program.
    pub isolate: bool,
    /// True if instructions are counted.
    pub deterministic: bool,
    /// Requests that it may send.
    pub http: Vec<HttpGrant>,
    /// Secrets that it gets stand-ins for.
    pub secrets: BTreeSet<SecretName>,
    /// Number of runs whose results must be equal.
    pub verify: u32,
}

impl Plan {
    /// Keeps the steps that a condition selects, and those that they need.
    #[must_use]
    pub fn selected(&self, select: impl Fn(&PlannedStep) -> bool) -> Self {
        let mut keep = vec![false; self.steps.len()];
        for at in (0..self.steps.len()).rev() {
            keep[at] |= select(&self.steps[at]);
            if keep[at] {
                self.steps[at].needs.iter().for_each(|&need| keep[need] = true);
            }
        }
        let mut new_index = vec![0; self.steps.len()];
        let mut steps = Vec::new();
        for (at, step) in self.steps.iter().enumerate().filter(|(at, _)| keep[*at]) {
            new_index[at] = steps.len();
            let mut step = step.clone();
            step.needs.iter_mut().for_each(|need| *need = new_index[*need]);
            steps.push(step);
        }
        let used: BTreeSet<_> = steps.iter().filter_map(|it| it.program.tool()).collect();
        let tools = self.tools.iter().filter(|(name, _)| used.contains(name.as_str()));
        let tools = tools.map(|(name, tool)| (name.clone(), tool.clone())).collect();
        Self { steps, tools, salt: self.salt.clone() }
    }
}

impl PlannedProgram {
    /// Returns the name of the tool, if it is one.
    pub fn tool(&self) -> Option<&str> {
        match self {
            Self::Tool(name) => Some(name),
            Self::Made(_) => None,
        }
    }
}
