//! Diagnostics that are kept in memory while the store is open, and never written to disk.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use skep_protocol::{Diagnostic, DiagnosticCode, Timestamp, WorkerId};

/// Maximum number of these diagnostics.
const NOTICED: usize = 1_000;

/// Diagnostics found while opening and reading: one per worker and one for the store itself.
pub(crate) struct NoticedDiagnostics {
    /// The time when the store was opened, which all of them carry.
    at: Timestamp,
    by_worker: Mutex<BTreeMap<Option<WorkerId>, Diagnostic>>,
}

impl NoticedDiagnostics {
    pub(crate) fn new(at: Timestamp) -> Self {
        Self { at, by_worker: Mutex::default() }
    }

    /// Keeps a diagnostic until the store is closed, unless the worker has one already.
    pub(crate) fn notice(&self, code: DiagnosticCode, subject: Option<WorkerId>, message: String) {
        let diagnostic = Diagnostic::new(code, message, subject.map(Into::into), self.at);
        let mut noticed = self.by_worker.lock().unwrap_or_else(PoisonError::into_inner);
        if noticed.len() < NOTICED {
            noticed.entry(subject).or_insert(diagnostic);
        }
    }

    /// Returns these diagnostics for one worker, or for all, followed by the `stored` ones. One
    /// with the same code and subject as a stored diagnostic is left out.
    pub(crate) fn merge(
        &self,
        worker: Option<&WorkerId>,
        stored: Vec<Diagnostic>,
    ) -> Vec<Diagnostic> {
        let noticed = self.by_worker.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = noticed
            .values()
            .filter(|one| worker.is_none() || one.worker().as_ref() == worker)
            .filter(|one| !stored.iter().any(|s| (s.code, &s.subject) == (one.code, &one.subject)))
            .cloned()
            .collect();
        all.extend(stored);
        all
    }
}
