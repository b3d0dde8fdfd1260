//! Makes the plan of a pipeline: names, needs and order. Nothing runs while it is made.

use std::collections::{BTreeMap, BTreeSet};

use crate::fault::FileFault;
use crate::file::{InputTable, PipelineFile, StepTable};
use crate::listing::ProjectFiles;
use crate::order;
use crate::plan::{Plan, PlanOptions, PlannedStep};
use crate::step_maker::StepMaker;
use crate::tool;

/// Maximum number of steps of a plan.
const MOST_STEPS: usize = 20_000;

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
        let making = StepMaker {
            file: self.file,
            files: self.files,
            options: self.options,
            earlier: &self.steps,
            span: self.span(name),
            name,
            table,
            needs,
            keys: table.matrix.keys().map(String::as_str).collect(),
        };
        let made = making.make()?;
        if self.steps.len() + made.len() > MOST_STEPS {
            let message = format!("the pipeline has over {MOST_STEPS} steps with its matrices");
            return Err(FileFault::at(self.span(name), message));
        }
        self.steps.extend(made);
        Ok(())
    }
}

fn input_step(table: &InputTable) -> &str {
    match table {
        InputTable::Step(step) => step,
        InputTable::Chosen(choice) => &choice.step,
    }
}

fn is_name(name: &str) -> bool {
    let first = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    let rest = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-' | b'.');
    first && name.len() <= 100 && name.bytes().all(rest)
}
