//! One step of a pipeline as actions: each combination of its matrix, and each batch of its files.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use skep_protocol::{HttpGrant, SecretName};
use toml::Spanned;

use crate::bounds::bounds;
use crate::expected::{Expected, Retries};
use crate::fault::FileFault;
use crate::file::{CacheUse, Clock, InputPart, InputTable, PipelineFile, StepTable, ToolTable};
use crate::guest_path;
use crate::listing::ProjectFiles;
use crate::matrix::{self, MatrixLeg};
use crate::pattern::Pattern;
use crate::plan::{MadeFile, PlanOptions, PlannedInput, PlannedProgram, PlannedStdin, PlannedStep};
use crate::selection::SourceGlobs;
use crate::template::{Template, TemplatePart};

/// Maximum number of runs whose results are compared.
pub(crate) const MOST_RUNS: u32 = 10;

/// Maximum number of files that the combinations of one step see together.
const MOST_SOURCES: usize = 4_000_000;

/// Makes the actions of one step.
pub(crate) struct StepMaker<'a> {
    pub(crate) file: &'a PipelineFile,
    pub(crate) files: &'a ProjectFiles,
    pub(crate) options: &'a PlanOptions,
    /// The steps that are planned already.
    pub(crate) earlier: &'a [PlannedStep],
    /// The place of its name in the file.
    pub(crate) span: std::ops::Range<usize>,
    pub(crate) name: &'a str,
    pub(crate) table: &'a StepTable,
    /// Names of the steps that it needs.
    pub(crate) needs: &'a [&'a str],
    /// Keys of its matrix.
    pub(crate) keys: Vec<&'a str>,
}

impl<'a> StepMaker<'a> {
    /// Returns all combinations and batches of the step.
    pub(crate) fn make(&self) -> Result<Vec<PlannedStep>, FileFault> {
        let table = self.table;
        let tools = self.tools()?;
        let bounds = bounds(
            table,
            tools.iter().rev().find_map(|tool| tool.memory.as_ref()),
            &self.file.defaults,
            &self.options.ceilings,
        )?;
        let ignore = table.ignore.or(self.file.defaults.ignore).unwrap_or_default();
        let src = SourceGlobs::parse(&table.src, &self.keys)?;
        let file_globs = SourceGlobs::parse(&table.files, &self.keys)?;
        let templates = table.args.iter().map(|text| self.template(text));
        let templates = templates.collect::<Result<Vec<_>, _>>()?;
        let env = self.env(&tools)?;
        let out = SourceGlobs::parse(&table.out, &self.keys)?;
        let inputs = self.inputs()?;
        let http = self.http()?;
        for key in table.exclude.iter().flat_map(|one| one.keys()) {
            if !self.keys.contains(&key.as_str()) {
                let fault = self.fault(format!("`exclude` has `{key}`, which the matrix has not"));
                return Err(fault.nearest(key, self.keys.iter().copied()));
            }
        }
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
            junit: None,
            out: Vec::new(),
            condition: table.condition,
            unchanged: self.is_unchanged()?,
            bounds,
            expected: Expected::parse(&table.expect)?,
            allow_fail: table.allow_fail,
            retries: Retries::parse(table.retry.as_ref())?,
            cached,
            seed: virtual_clock.then_some(table.seed),
            isolate: table.isolate,
            deterministic: table.deterministic,
            secrets: self.secrets(&http)?,
            http,
            verify: self.verify()?,
        };
        let mut made = Vec::new();
        let mut seen = 0;
        let fixed = match src.is_fixed() {
            true => Some(Arc::new(src.select(&MatrixLeg::new(), self.files, ignore)?)),
            false => None,
        };
        for leg in matrix::legs(table, self.files)? {
            let sources = match &fixed {
                Some(fixed) => fixed.clone(),
                None => Arc::new(src.select(&leg, self.files, ignore)?),
            };
            let mut files = match table.files.is_empty() {
                true => (*sources).clone(),
                false => file_globs.select(&leg, self.files, ignore)?,
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
                step.out = out.patterns(&leg)?;
                step.junit = self.junit(&leg, &step.out)?;
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
        FileFault::at(self.span.clone(), message)
    }

    fn hook(&self) -> Option<&(String, Vec<String>)> {
        self.options.hook.as_ref().filter(|(step, _)| step == self.name)
    }

    /// Returns the tables of the tool, if the program is one: that of the tool it is like, and its own.
    fn tools(&self) -> Result<Vec<&'a ToolTable>, FileFault> {
        let (tools, table) = (&self.file.tool, self.table);
        let find = |name: &Spanned<String>| {
            let found = tools.iter().find(|(key, _)| key.get_ref() == name.get_ref());
            found.map(|(_, table)| table).ok_or_else(|| {
                let message = format!("there is no tool `{}`", name.get_ref());
                let known = tools.keys().map(|key| key.get_ref().as_str());
                FileFault::at(name.span(), message).nearest(name.get_ref(), known)
            })
        };
        match (&table.tool, &table.wasm) {
            (Some(tool), None) => {
                let own = find(tool)?;
                let like = own.like.as_ref().map(find).transpose()?;
                Ok(like.into_iter().chain([own]).collect())
            }
            (None, Some(_)) => Ok(Vec::new()),
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
        if !self.files.0.contains_key(&path) {
            let fault = FileFault::at(text.span(), format!("there is no file `{path}`"));
            let names = self.files.0.keys().map(String::as_str);
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

    fn env(&self, tools: &[&ToolTable]) -> Result<BTreeMap<String, Template>, FileFault> {
        let mut env = BTreeMap::new();
        let defaults = &self.file.defaults.env;
        for (name, value) in defaults.iter().chain(tools.iter().flat_map(|it| &it.env)) {
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
        let steps = self.earlier.iter().enumerate();
        steps.filter(|(_, it)| self.needs.contains(&it.name.as_str())).map(|(at, _)| at).collect()
    }

    fn inputs(&self) -> Result<BTreeMap<String, PlannedInput>, FileFault> {
        let mut inputs = BTreeMap::new();
        for (key, table) in &self.table.inputs {
            let path = mount_path(key)?;
            let tools = self.tools()?;
            let mut own = tools.iter().flat_map(|tool| tool.files.keys());
            if own.any(|key| *key.get_ref() == path) {
                return Err(FileFault::at(key.span(), "the tool has its own files there"));
            }
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

    fn junit(&self, leg: &MatrixLeg, out: &[Pattern]) -> Result<Option<String>, FileFault> {
        let Some(junit) = &self.table.junit else { return Ok(None) };
        let path = self.template(junit)?.filled(leg, false);
        if !crate::pattern::selects(out, &path) {
            let message = format!("`{path}` is not among the outputs");
            return Err(FileFault::at(junit.span(), message).hint("add it to `out`"));
        }
        Ok(Some(path))
    }

    fn is_unchanged(&self) -> Result<bool, FileFault> {
        let paths = self.patterns(&self.table.paths)?;
        let Some(changed) = &self.options.changed else { return Ok(false) };
        let touched = changed.iter().any(|path| crate::pattern::selects(&paths, path));
        Ok(!paths.is_empty() && !touched)
    }

    fn http(&self) -> Result<Vec<HttpGrant>, FileFault> {
        let parse = |text: &Spanned<String>| {
            let grant = text.get_ref().parse::<HttpGrant>();
            let grant = grant.map_err(|error| FileFault::at(text.span(), error.to_string()))?;
            match grant.inner && !self.options.allow_inner {
                // Metadata services and databases trust whoever reaches them.
                true => {
                    let message = "`inner` reaches addresses of this machine's own network";
                    Err(FileFault::at(text.span(), message).hint("allow it with --allow-inner"))
                }
                false => Ok(grant),
            }
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
            if !self.options.secrets.contains(&parsed) {
                let message = format!("this run may not use the secret `{parsed}`");
                let hint = format!("allow it with --secret {parsed}");
                return Err(FileFault::at(name.span(), message).hint(hint));
            }
            secrets.insert(parsed);
        }
        Ok(secrets)
    }

    fn verify(&self) -> Result<u32, FileFault> {
        match &self.table.verify {
            None => Ok(1),
            Some(count) if (1..=MOST_RUNS).contains(count.get_ref()) => Ok(*count.get_ref()),
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

/// Parses the guest path of a directory. Skep's own directories keep theirs.
fn mount_path(text: &Spanned<String>) -> Result<String, FileFault> {
    let path = guest_path::parse(text.get_ref()).map_err(|why| FileFault::at(text.span(), why))?;
    let own = guest_path::own(&path);
    match own {
        Some(own) => Err(FileFault::at(text.span(), format!("{own} is a directory of its own"))),
        None => Ok(path),
    }
}
