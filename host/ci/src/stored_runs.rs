//! The runs in a user's cache, for a host that serves a console. Nothing is written or locked, so runs
//! and a collection of garbage are never in its way.

use std::io;

use cap_std::fs::Dir;
use skep_protocol::ci::{
    CiRunSummary, CiRuns, ListCiRuns, LogPage, LogPlace, OutputContent, RunResult, StepExplanation,
    StepOutcome, StepResult,
};
use skep_protocol::{CiRunId, Error, Invalid, Page};

use crate::digest::BlobDigest;
use crate::explain_run::explain_run;
use crate::log::read_page;
use crate::records::{open_log, read_run, runs};
use crate::store::Store;
use crate::streams::kept_records;

/// Runs in a page, unless the caller asks for fewer.
const PAGE: usize = 50;

/// Records in a page of a log, unless the caller asks for fewer.
const RECORDS: usize = 2_000;

/// Bytes in a page of a log, about; a longer record comes alone.
const LOG_BYTES: u64 = 512 << 10;

/// Bytes of a line that a step without a log of its own has in one record.
const LONGEST: u64 = 64 << 10;

/// Opens the directory of the cache; `None` while there is none.
type OpenCache = dyn Fn() -> io::Result<Option<Dir>> + Send + Sync;

/// The runs in the cache of a user.
pub struct StoredRuns(Box<OpenCache>);

impl StoredRuns {
    /// Reads the cache that this function opens. It is called for each request, since the first run
    /// may create the cache at any time.
    pub fn new(open: impl Fn() -> io::Result<Option<Dir>> + Send + Sync + 'static) -> Self {
        Self(Box::new(open))
    }

    fn store(&self) -> Result<Option<Store>, Error> {
        Ok((self.0)().map_err(internal)?.map(Store::open_to_read))
    }

    fn find(&self, run: &CiRunId) -> Result<(Store, RunResult), Error> {
        let unknown = || Error::UnknownRun(run.clone());
        let store = self.store()?.ok_or_else(unknown)?;
        match read_run(&store, run.as_str()) {
            Ok(result) => Ok((store, result)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(unknown()),
            Err(error) => Err(internal(error)),
        }
    }

    fn step(&self, run: &CiRunId, step: &str) -> Result<(Store, StepResult), Error> {
        let (store, result) = self.find(run)?;
        let found = result.steps.into_iter().find(|it| it.id == step);
        Ok((store, found.ok_or(Error::UnknownStep)?))
    }
}

impl CiRuns for StoredRuns {
    fn list(&self, wanted: &ListCiRuns) -> Result<Page<CiRunSummary>, Error> {
        let before = match &wanted.cursor {
            Some(cursor) => Some(cursor.parse::<CiRunId>().map_err(|_| Invalid::Cursor)?),
            None => None,
        };
        let mut page = Page { items: Vec::new(), next_cursor: None };
        let Some(store) = self.store()? else { return Ok(page) };
        let names = match runs(&store) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(page),
            names => names.map_err(internal)?,
        };
        let most = if wanted.limit == 0 { PAGE } else { wanted.limit.min(PAGE) };
        let is_next = |name: &&String| before.as_ref().is_none_or(|it| name.as_str() < it.as_str());
        for name in names.iter().rev().filter(is_next) {
            // One that was removed meanwhile, or ended before its first record, is passed over.
            let Ok(run) = read_run(&store, name) else { continue };
            let Ok(item) = run.summary() else { continue };
            if page.items.len() == most {
                page.next_cursor = page.items.last().map(|it| it.run_id.to_string());
                break;
            }
            page.items.push(item);
        }
        Ok(page)
    }

    fn run(&self, run: &CiRunId) -> Result<RunResult, Error> {
        let (_, mut result) = self.find(run)?;
        result.steps.iter_mut().for_each(hide_fault);
        Ok(result)
    }

    fn log(&self, run: &CiRunId, step: &str, place: LogPlace) -> Result<LogPage, Error> {
        // The record is read before the log, so that the log of a step that has ended is whole.
        let (store, found) = self.step(run, step)?;
        let most = if place.limit == 0 { RECORDS } else { place.limit.min(RECORDS) };
        let is_end = found.outcome.is_end();
        if let Some(file) = open_log(&store, run.as_str(), step).map_err(internal)? {
            let page = read_page(file, place.after, most, LOG_BYTES).map_err(internal)?;
            return Ok(LogPage { records: page.0, ended: page.1 && is_end });
        }
        let (mut records, mut ended, mut bytes) = (Vec::new(), is_end, 0);
        let read = kept_records(&store, &found, LONGEST, |record| {
            if record.seq <= place.after {
                return true;
            }
            if records.len() == most || bytes > LOG_BYTES {
                ended = false;
                return false;
            }
            bytes += record.bytes;
            records.push(record);
            true
        });
        match read {
            // It was collected: nothing is left of it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            read => read.map_err(internal)?,
        }
        Ok(LogPage { records, ended })
    }

    fn output(&self, run: &CiRunId, step: &str, path: &str) -> Result<OutputContent, Error> {
        let (store, found) = self.step(run, step)?;
        let output = found.out.files.into_iter().find(|file| file.path == path);
        let output = output.ok_or(Error::UnknownOutput)?;
        let digest = BlobDigest::parse(&output.digest, output.bytes).ok_or(Error::UnknownOutput)?;
        match store.open_blob(&digest) {
            Ok(content) => Ok(OutputContent { output, content: Box::new(content) }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::UnknownOutput),
            Err(error) => Err(internal(error)),
        }
    }

    fn explanation(&self, run: &CiRunId, step: &str) -> Result<StepExplanation, Error> {
        let (store, mut found) = self.step(run, step)?;
        hide_fault(&mut found);
        Ok(explain_run(&store, run.as_str(), &found))
    }
}

/// Replaces the reason of a fault of this host, which may name places of it. `skep ci run` told it
/// to the operator.
fn hide_fault(step: &mut StepResult) {
    if step.outcome == StepOutcome::HostFault {
        step.message = Some("this machine failed; `skep ci run` printed the reason".into());
    }
}

fn internal(error: io::Error) -> Error {
    tracing::warn!(%error, "cannot read the runs of `skep ci`");
    Error::Internal
}
