//! The environment of a guest: what `--env` and `--env-file` name, and nothing else of the operator's.

use std::path::Path;

use super::env_arg::EnvArg;
use super::guest_args::GuestArgs;
use crate::ambient;
use crate::source::{NamedSource, NoWriter};

/// Maximum bytes of an `--env-file`.
const FILE_BYTES: u64 = 1 << 20;

/// Variables in order of appearance. A later value replaces an earlier one.
#[derive(Debug, Default)]
pub(crate) struct Environment(Vec<(String, String)>);

impl Environment {
    /// Reads the files and then the variables of the command line.
    pub(crate) fn of(arguments: &GuestArgs) -> Result<Self, String> {
        let mut environment = Self::default();
        for path in &arguments.env_file {
            environment.add_file(path)?;
        }
        for variable in &arguments.env {
            environment.add(variable.clone())?;
        }
        Ok(environment)
    }

    /// Returns the variables.
    pub(crate) fn into_pairs(self) -> Vec<(String, String)> {
        self.0
    }

    /// Sets a variable.
    pub(crate) fn set(&mut self, key: String, value: String) {
        match self.0.iter_mut().find(|(known, _)| *known == key) {
            Some((_, known)) => *known = value,
            None => self.0.push((key, value)),
        }
    }

    /// Sets a variable unless it is set.
    pub(crate) fn set_default(&mut self, key: &str, value: String) {
        if !self.0.iter().any(|(known, _)| known == key) {
            self.set(key.to_owned(), value);
        }
    }

    fn add(&mut self, variable: EnvArg) -> Result<(), String> {
        let (key, value) = match variable {
            EnvArg::Set(key, value) => (key, value),
            EnvArg::Pass(name) => {
                let value = ambient::variable(&name).ok_or_else(|| {
                    format!("the variable {name} is not set; set it, or leave out --env {name}")
                })?;
                let value = value
                    .into_string()
                    .map_err(|value| format!("the variable {name}, {value:?}, is not UTF-8"))?;
                (name, value)
            }
        };
        self.set(key, value);
        Ok(())
    }

    /// Adds the variables of a file: one in each line, as on the command line. Empty lines and lines
    /// that begin with `#` are ignored, and quotes are part of the value.
    fn add_file(&mut self, path: &Path) -> Result<(), String> {
        let source = NamedSource::from(path.to_owned());
        let bytes = source.read(NoWriter::Wait, FILE_BYTES).map_err(|failed| failed.to_string())?;
        if bytes.len() as u64 > FILE_BYTES {
            return Err(format!("{} is larger than 1 MiB", source.name()));
        }
        let text =
            String::from_utf8(bytes).map_err(|_| format!("{} is not UTF-8", source.name()))?;
        for (number, line) in text.lines().enumerate() {
            let line = line.trim_start();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let added = EnvArg::parse(line).and_then(|variable| self.add(variable));
            added.map_err(|error| format!("{}:{}: {error}", source.name(), number + 1))?;
        }
        Ok(())
    }
}
