//! The plan of a run: the steps of a pipeline with every combination, every name resolved and every
//! limit checked. Nothing runs while it is made.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use skep_protocol::{HttpGrant, SecretName};
use toml::Spanned;

use crate::bounds::{Ceilings, StepBounds, bounds};
use crate::expected::{Expected, Retries};
use crate::fault::FileFault;
use crate::file::{
    CacheUse, Clock, Condition, InputPart, InputTable, PipelineFile, SourceMode, StepTable,
};
use crate::guest_path;
use crate::listing::ProjectFiles;
use crate::matrix::{self, MatrixLeg};
use crate::order;
use crate::pattern::Pattern;
use crate::selection::SourceGlobs;
use crate::template::{Template, TemplatePart};
use crate::tool::{self, PlannedTool};

/// Maximum number of steps of a plan.
const MOST_STEPS: usize = 20_000;

/// Maximum number of files that the combinations of one step see together.
const MOST_SOURCES: usize = 4_000_000;

/// The guest's output directory.
pub const OUT: &str = "/out";

/// The guest's temporary directory.
pub const TMP: &str = "/tmp";

/// What a plan depends on besides the file.
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
    /// Makes the plan of a pipeline over the files of its project.
    ///
    /// # Errors
    /// Everything that is wrong with the file, one fault per step at most.
    pub fn make(
        file: &PipelineFile,
        files: &ProjectFiles,
        options: &PlanOptions,
    ) -> Result<Self, Vec<FileFault>> {
        let mut faults = Vec::new();
        let tools = tool::plan(file).unwrap_or_else(|found| {
            faults.extend(found);
            BTreeMap::new()
        });
        let mut making = Making { file, files, options, steps: Vec::new() };
        let needs = making.needs(&mut faults);
        if !faults.is_empty() {
            return Err(faults);
        }
        let names: Vec<_> = making.names().collect();
        let order = order::sorted(&names, &needs).map_err(|cycle| {
            let span = making.span(cycle[0]);
            let message = format!("the steps need each other: {}", cycle.join(" -> "));
            vec![FileFault::at(span, message).hint("a step can need only steps that end before it")]
        })?;
        for name in order {
            if let Err(fault) = making.add(name, &needs[name]) {
                faults.push(fault);
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let used: BTreeSet<_> = making.steps.iter().filter_map(|it| it.program.tool()).collect();
        let tools = tools.into_iter().filter(|(name, _)| used.contains(name.as_str())).collect();
        let salt = match (file.salt.as_str(), options.salt.as_str()) {
            ("", "") => String::new(),
            (own, operator) => format!("{own}\0{operator}"),
        };
        Ok(Self { steps: making.steps, tools, salt })
    }

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

struct Making<'a> {
    file: &'a PipelineFile,
    files: &'a ProjectFiles,
    options: &'a PlanOptions,
    steps: Vec<PlannedStep>,
}

impl<'a> Making<'a> {
    /// Iterates over the names of the steps in the order of the file.
    fn names(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let mut keys: Vec<_> = self.file.step.keys().collect();
        keys.sort_by_key(|key| key.span().start);
        keys.into_iter().map(|key| key.get_ref().as_str())
    }

    fn span(&self, name: &str) -> std::ops::Range<usize> {
        let found = self.file.step.keys().find(|key| key.get_ref() == name);
        found.map_or(0..0, |key| key.span())
    }

    fn table(&self, name: &str) -> Option<&'a StepTable> {
        self.file.step.iter().find(|(key, _)| key.get_ref() == name).map(|(_, table)| table)
    }

    /// Returns the steps that each step needs, by name.
    fn needs(&self, faults: &mut Vec<FileFault>) -> BTreeMap<&'a str, Vec<&'a str>> {
        let names: Vec<_> = self.names().collect();
        let mut all = BTreeMap::new();
        for (key, table) in &self.file.step {
            if !is_name(key.get_ref()) {
                let message = format!("`{}` cannot be the name of a step", key.get_ref());
                let hint = "use letters, digits, `_`, `-` and `.`";
                faults.push(FileFault::at(key.span(), message).hint(hint));
            }
            let mut needed: BTreeSet<&str> = BTreeSet::new();
            let mut need = |name: &str, span: std::ops::Range<usize>| match names
                .iter()
                .find(|known| **known == name)
            {
                Some(known) => drop(needed.insert(known)),
                None => faults.push(
                    FileFault::at(span, format!("there is no step `{name}`"))
                        .nearest(name, names.iter().copied()),
                ),
            };
            for name in &table.needs {
                need(name.get_ref(), name.span());
            }
            for table in table.inputs.values() {
                need(input_step(table.get_ref()), table.span());
            }
            for text in table.wasm.iter().chain(&table.stdin) {
                if let Some((word, _)) =
                    text.get_ref().strip_prefix('{').and_then(|rest| rest.split_once('}'))
                    && !word.starts_with("matrix.")
                {
                    need(word, text.span());
                }
            }
            all.insert(key.get_ref().as_str(), needed.into_iter().collect());
        }
        all
    }

    /// Adds all combinations of a step.
    fn add(&mut self, name: &'a str, needs: &[&str]) -> Result<(), FileFault> {
        let Some(table) = self.table(name) else { return Ok(()) };
        let step = StepMaker::new(self, name, table, needs)?;
        let made = step.make()?;
        if self.steps.len() + made.len() > MOST_STEPS {
            let message = format!("the pipeline has over {MOST_STEPS} steps with its matrices");
            return Err(FileFault::at(self.span(name), message));
        }
        self.steps.extend(made);
        Ok(())
    }
}

/// Makes the actions of one step.
struct StepMaker<'m, 'a> {
    making: &'m Making<'a>,
    name: &'a str,
    table: &'a StepTable,
    needs: &'m [&'m str],
    keys: Vec<&'a str>,
}

impl<'m, 'a> StepMaker<'m, 'a> {
    fn new(
        making: &'m Making<'a>,
        name: &'a str,
        table: &'a StepTable,
        needs: &'m [&'m str],
    ) -> Result<Self, FileFault> {
        let keys = table.matrix.keys().map(String::as_str).collect();
        Ok(Self { making, name, table, needs, keys })
    }

    fn make(&self) -> Result<Vec<PlannedStep>, FileFault> {
        let table = self.table;
        let tool = self.tool()?;
        let bounds = bounds(
            table,
            tool.map(|(_, table)| table),
            &self.making.file.defaults,
            &self.making.options.ceilings,
        )?;
        let ignore = table.ignore.or(self.making.file.defaults.ignore).unwrap_or_default();
        let src = SourceGlobs::parse(&table.src, &self.keys)?;
        let file_globs = SourceGlobs::parse(&table.files, &self.keys)?;
        let templates = table.args.iter().map(|text| self.template(text));
        let templates = templates.collect::<Result<Vec<_>, _>>()?;
        let env = self.env(tool.map(|(_, table)| table))?;
        let out = self.patterns(&table.out)?;
        let inputs = self.inputs()?;
        let http = self.http()?;
        let virtual_clock = table.clock == Clock::Virtual;
        let cached = match table.cache {
            Some(CacheUse::Off) => false,
            // What such a step sees is not in its key.
            Some(CacheUse::On) if !http.is_empty() || !virtual_clock => {
                return Err(self.fault("a step with `http` or a real clock cannot be cached"));
            }
            Some(CacheUse::On) => true,
            None => http.is_empty() && virtual_clock,
        };
        let base = PlannedStep {
            id: String::new(),
            name: self.name.to_owned(),
            matrix: MatrixLeg::new(),
            program: PlannedProgram::Tool(String::new()),
            args: Vec::new(),
            env: BTreeMap::new(),
            stdin: None,
            sources: Arc::default(),
            files: Arc::default(),
            at: self.at()?,
            source_mode: table.src_mode,
            needs: self.need_indices(),
            inputs,
            junit: self.junit(&out)?,
            out,
            condition: table.condition,
            unchanged: self.is_unchanged()?,
            bounds,
            expected: Expected::parse(&table.expect)?,
            allow_fail: table.allow_fail,
            retries: Retries::parse(table.retry.as_ref())?,
            cached,
            seed: virtual_clock.then_some(table.seed),
            deterministic: table.deterministic,
            secrets: self.secrets(&http)?,
            http,
            verify: self.verify()?,
        };
        let mut made = Vec::new();
        let mut seen = 0;
        let fixed = match src.is_fixed() {
            true => Some(Arc::new(src.select(&MatrixLeg::new(), self.making.files, ignore)?)),
            false => None,
        };
        for leg in matrix::legs(table, self.making.files)? {
            let sources = match &fixed {
                Some(fixed) => fixed.clone(),
                None => Arc::new(src.select(&leg, self.making.files, ignore)?),
            };
            let mut files = match table.files.is_empty() {
                true => (*sources).clone(),
                false => file_globs.select(&leg, self.making.files, ignore)?,
            };
            if let Some((_, named)) = self.hook() {
                files.retain(|path| named.contains(path));
                if files.is_empty() {
                    continue;
                }
            }
            seen += files.len() + if fixed.is_some() { 0 } else { sources.len() };
            if seen > MOST_SOURCES {
                let message = "the combinations of the step see too many files together";
                return Err(self.fault(message).hint("narrow `src`, or the matrix"));
            }
            let batches = self.batches(files.into_iter().collect())?;
            let count = batches.len();
            for (number, batch) in (1..).zip(batches) {
                let mut step = base.clone();
                step.matrix.clone_from(&leg);
                if count > 1 {
                    step.matrix.insert("batch".into(), number.to_string());
                }
                step.id = matrix::id(self.name, &step.matrix);
                step.program = self.program(&leg)?;
                step.args = templates.iter().map(|it| it.with_matrix(&leg)).collect();
                step.env =
                    env.iter().map(|(key, it)| (key.clone(), it.filled(&leg, false))).collect();
                step.stdin = self.stdin(&leg)?;
                step.sources = sources.clone();
                step.files = Arc::new(batch);
                made.push(step);
            }
        }
        let ids: BTreeSet<_> = made.iter().map(|step| &step.id).collect();
        match ids.len() == made.len() {
            true => Ok(made),
            false => Err(self.fault("two combinations of the matrix have the same id")),
        }
    }

    fn fault(&self, message: impl Into<String>) -> FileFault {
        FileFault::at(self.making.span(self.name), message)
    }

    fn hook(&self) -> Option<&(String, Vec<String>)> {
        self.making.options.hook.as_ref().filter(|(step, _)| step == self.name)
    }

    /// Returns the tool's name and table, if the program is one.
    fn tool(&self) -> Result<Option<(&'a str, &'a crate::file::ToolTable)>, FileFault> {
        let (tools, table) = (&self.making.file.tool, self.table);
        match (&table.tool, &table.wasm) {
            (Some(tool), None) => {
                let found = tools.iter().find(|(key, _)| key.get_ref() == tool.get_ref());
                match found {
                    Some((key, table)) => Ok(Some((key.get_ref().as_str(), table))),
                    None => Err(FileFault::at(
                        tool.span(),
                        format!("there is no tool `{}`", tool.get_ref()),
                    )
                    .nearest(tool.get_ref(), tools.keys().map(|key| key.get_ref().as_str()))),
                }
            }
            (None, Some(_)) => Ok(None),
            (Some(_), Some(wasm)) => {
                Err(FileFault::at(wasm.span(), "a step has either `tool` or `wasm`"))
            }
            (None, None) => Err(self
                .fault(format!("the step `{}` has no program", self.name))
                .hint("set `tool`, or `wasm` for a program that an earlier step made")),
        }
    }

    fn program(&self, leg: &MatrixLeg) -> Result<PlannedProgram, FileFault> {
        match (&self.table.tool, &self.table.wasm) {
            (Some(tool), _) => Ok(PlannedProgram::Tool(tool.get_ref().clone())),
            (None, Some(wasm)) => {
                self.made(wasm, leg)?.map(PlannedProgram::Made).ok_or_else(|| {
                    FileFault::at(
                        wasm.span(),
                        "`wasm` is `{step}/path`, an output of an earlier step",
                    )
                    .hint("a file of the project is a `[tool.NAME]` with `file`")
                })
            }
            (None, None) => Err(self.fault("the step has no program")),
        }
    }

    fn stdin(&self, leg: &MatrixLeg) -> Result<Option<PlannedStdin>, FileFault> {
        let Some(text) = &self.table.stdin else { return Ok(None) };
        if let Some(made) = self.made(text, leg)? {
            return Ok(Some(PlannedStdin::Made(made)));
        }
        let path = self.template(text)?.filled(leg, false);
        if !self.making.files.0.contains_key(&path) {
            let fault = FileFault::at(text.span(), format!("there is no file `{path}`"));
            let names = self.making.files.0.keys().map(String::as_str);
            return Err(fault.nearest(&path, names));
        }
        Ok(Some(PlannedStdin::Source(path)))
    }

    /// Returns the output that a text names, if it begins with a step.
    fn made(&self, text: &Spanned<String>, leg: &MatrixLeg) -> Result<Option<MadeFile>, FileFault> {
        let template = self.template(text)?.with_matrix(leg);
        let Some((step, path)) = template.step_path() else { return Ok(None) };
        match path.strip_prefix('/').filter(|path| guest_path::is_relative(path)) {
            Some(path) => Ok(Some(MadeFile { step: step.to_owned(), path: path.to_owned() })),
            None => Err(FileFault::at(text.span(), "write `{step}/path`, a path of its outputs")),
        }
    }

    fn template(&self, text: &Spanned<String>) -> Result<Template, FileFault> {
        let template = Template::parse(text.get_ref(), &self.keys, self.needs)
            .map_err(|(message, hint)| FileFault { span: Some(text.span()), message, hint })?;
        for part in &template.0 {
            if let TemplatePart::Inputs { glob } = part
                && !self
                    .table
                    .inputs
                    .keys()
                    .any(|key| guest_path::below(glob, key.get_ref()).is_some())
            {
                let message = format!("`{glob}` is below no directory of `in`");
                let known = self.table.inputs.keys().map(|key| key.get_ref().as_str());
                return Err(FileFault::at(text.span(), message).nearest(glob, known));
            }
        }
        Ok(template)
    }

    fn env(
        &self,
        tool: Option<&crate::file::ToolTable>,
    ) -> Result<BTreeMap<String, Template>, FileFault> {
        let mut env = BTreeMap::new();
        let defaults = &self.making.file.defaults.env;
        for (name, value) in tool.iter().flat_map(|it| &it.env).chain(defaults) {
            env.insert(name.clone(), Template(vec![TemplatePart::Text(value.clone())]));
        }
        for (name, value) in &self.table.env {
            if name.is_empty() || name.contains(['=', '\0']) {
                return Err(FileFault::at(value.span(), "a variable's name has no `=`"));
            }
            let template = self.template(value)?;
            if template.is_list() {
                return Err(FileFault::at(value.span(), "a list of files is for `args`"));
            }
            env.insert(name.clone(), template);
        }
        Ok(env)
    }

    fn at(&self) -> Result<String, FileFault> {
        match &self.table.at {
            None => Ok("/".into()),
            Some(at) => mount_path(at),
        }
    }

    fn need_indices(&self) -> Vec<usize> {
        let steps = self.making.steps.iter().enumerate();
        steps.filter(|(_, it)| self.needs.contains(&it.name.as_str())).map(|(at, _)| at).collect()
    }

    fn inputs(&self) -> Result<BTreeMap<String, PlannedInput>, FileFault> {
        let mut inputs = BTreeMap::new();
        for (key, table) in &self.table.inputs {
            let path = mount_path(key)?;
            if path == "/" || path == self.at()? {
                return Err(FileFault::at(key.span(), "the sources are there; use another path"));
            }
            let (step, part) = match table.get_ref() {
                InputTable::Step(step) => (step.clone(), InputPart::Outputs),
                InputTable::Chosen(choice) => (choice.step.clone(), choice.what),
            };
            inputs.insert(path, PlannedInput { step, part });
        }
        Ok(inputs)
    }

    fn patterns(&self, list: &[Spanned<String>]) -> Result<Vec<Pattern>, FileFault> {
        let parse = |text: &Spanned<String>| {
            Pattern::parse(text.get_ref())
                .map_err(|error| FileFault::at(text.span(), format!("bad glob: {error}")))
        };
        list.iter().map(parse).collect()
    }

    fn junit(&self, out: &[Pattern]) -> Result<Option<String>, FileFault> {
        let Some(junit) = &self.table.junit else { return Ok(None) };
        if !crate::pattern::selects(out, junit.get_ref()) {
            let message = format!("`{}` is not among the outputs", junit.get_ref());
            return Err(FileFault::at(junit.span(), message).hint("add it to `out`"));
        }
        Ok(Some(junit.get_ref().clone()))
    }

    fn is_unchanged(&self) -> Result<bool, FileFault> {
        let paths = self.patterns(&self.table.paths)?;
        let Some(changed) = &self.making.options.changed else { return Ok(false) };
        let touched = changed.iter().any(|path| crate::pattern::selects(&paths, path));
        Ok(!paths.is_empty() && !touched)
    }

    fn http(&self) -> Result<Vec<HttpGrant>, FileFault> {
        let parse = |text: &Spanned<String>| {
            let grant = text.get_ref().parse::<HttpGrant>();
            grant.map_err(|error| FileFault::at(text.span(), error.to_string()))
        };
        self.table.http.iter().map(parse).collect()
    }

    fn secrets(&self, http: &[HttpGrant]) -> Result<BTreeSet<SecretName>, FileFault> {
        let mut secrets = BTreeSet::new();
        for name in &self.table.secrets {
            if http.is_empty() {
                let message = "a secret is only for requests; the step has no `http`";
                return Err(FileFault::at(name.span(), message));
            }
            let parsed = name.get_ref().parse::<SecretName>();
            let parsed = parsed.map_err(|error| FileFault::at(name.span(), error.to_string()))?;
            secrets.insert(parsed);
        }
        Ok(secrets)
    }

    fn verify(&self) -> Result<u32, FileFault> {
        match &self.table.verify {
            None => Ok(1),
            Some(count) if (1..=10).contains(count.get_ref()) => Ok(*count.get_ref()),
            Some(count) => Err(FileFault::at(count.span(), "verify is 1 to 10")),
        }
    }

    /// Splits the files. Without `batch` there is one batch.
    fn batches(&self, files: Vec<String>) -> Result<Vec<Vec<String>>, FileFault> {
        match &self.table.batch {
            None => Ok(vec![files]),
            Some(batch) => {
                let size = usize::try_from(*batch.get_ref()).unwrap_or(usize::MAX);
                if size == 0 {
                    return Err(FileFault::at(batch.span(), "batch is at least 1"));
                }
                if self.table.files.is_empty() {
                    let hint = "name the files in `files`; a batch does not see those of others";
                    let fault =
                        FileFault::at(batch.span(), "batch splits `files`, and there are none");
                    return Err(fault.hint(hint));
                }
                Ok(match files.is_empty() {
                    true => vec![files],
                    false => files.chunks(size).map(<[String]>::to_vec).collect(),
                })
            }
        }
    }
}

fn input_step(table: &InputTable) -> &str {
    match table {
        InputTable::Step(step) => step,
        InputTable::Chosen(choice) => &choice.step,
    }
}

/// Parses the guest path of a directory. Skep's own directories keep theirs.
fn mount_path(text: &Spanned<String>) -> Result<String, FileFault> {
    let path = guest_path::parse(text.get_ref()).map_err(|why| FileFault::at(text.span(), why))?;
    let own = [OUT, TMP].into_iter().find(|own| guest_path::below(&path, own).is_some());
    match own {
        Some(own) => Err(FileFault::at(text.span(), format!("{own} is a directory of its own"))),
        None => Ok(path),
    }
}

fn is_name(name: &str) -> bool {
    let first = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    let rest = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-' | b'.');
    first && name.len() <= 100 && name.bytes().all(rest)
}
