//! The failures of a project's commands.

use std::io;
use std::path::Path;

/// A failure with a stable code and, where there is one, the next step.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ProjectError {
    /// One of `invalid_manifest`, `no_project`, `folder_exists`, `tool_missing`, `build_failed`,
    /// `invalid_test` and `io`.
    pub code: &'static str,
    /// The thing and the reason, possibly in several lines.
    pub message: String,
    /// The next step.
    pub hint: Option<String>,
}

impl ProjectError {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Returns a function that turns an I/O error into a failure that names the file.
    pub(crate) fn file(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::new("io", format!("cannot {doing} {}: {error}", path.display()))
    }
}
