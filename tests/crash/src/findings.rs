//! Violations, as they are found.

use std::fmt::Display;

/// What was found wrong.
#[derive(Debug, Default)]
pub(crate) struct Findings(Vec<String>);

impl Findings {
    /// Notes that something is wrong.
    pub(crate) fn wrong(&mut self, what: impl Display) {
        self.0.push(what.to_string());
    }

    /// Notes it unless it is as it should be.
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
