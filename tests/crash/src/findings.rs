//! The violations found by a check.

use std::fmt::Display;

/// A list of violations.
#[derive(Debug, Default)]
pub(crate) struct Findings(Vec<String>);

impl Findings {
    /// Adds a violation.
    pub(crate) fn wrong(&mut self, what: impl Display) {
        self.0.push(what.to_string());
    }

    /// Adds a violation unless the condition holds.
    pub(crate) fn expect(&mut self, right: bool, what: impl FnOnce() -> String) {
        if !right {
            self.0.push(what());
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &String> {
        self.0.iter()
    }
}
