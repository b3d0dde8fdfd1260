//! One action of a run: its result comes from the cache or from the executor.

use crate::action::ActionKey;
use crate::digest::BlobDigest;
use crate::entry;
use crate::executor::{Executed, Executor, StepJob, StreamOutput};
use crate::junit;
use crate::result::{
    HostFacts, OutputResult, OutputsResult, StepOutcome, StepResult, StreamResult,
};
use crate::store::Store;
use crate::tree::{FileTree, TreeNode};

/// Use of the cache by a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CachePolicy {
    /// Results are reused and kept.
    #[default]
    Use,
    /// Steps run, and their results replace those that are kept.
    Refresh,
    /// Steps run, and nothing is kept.
    Off,
}

/// Brings an action to its result, here or on a runtime. Its calls block; several may run
/// concurrently.
pub trait ActionRunner: Sync {
    /// Returns what it is.
    fn facts(&self) -> HostFacts;

    /// Runs an action, or takes its result from a cache. Its outputs are in the store afterwards.
    fn run(&self, job: &StepJob, key: &ActionKey) -> StepResult;
}

/// Runs actions with an executor and the cache of a store.
pub struct StoreRunner<'a> {
    /// Cache.
    pub store: &'a Store,
    /// Executor.
    pub executor: &'a dyn Executor,
    /// Use of the cache.
    pub policy: CachePolicy,
    /// Name of the run.
    pub run_id: &'a str,
}

impl ActionRunner for StoreRunner<'_> {
    fn facts(&self) -> HostFacts {
        self.executor.facts()
    }

    fn run(&self, job: &StepJob, key: &ActionKey) -> StepResult {
        // Another step may have stored it.
        match cached(self.store, job, key).filter(|_| self.policy == CachePolicy::Use) {
            Some(found) => {
                // Names of runs begin with their day, which saves a look at most entries.
                let day = |run: &str| run.get(..8).map(str::to_owned);
                if found.cached.as_ref().map(|it| day(&it.from_run)) != Some(day(self.run_id)) {
                    entry::note_use(self.store, &key.action);
                }
                found
            }
            None => self.execute(job, key),
        }
    }
}

/// Finds the result of an action in the cache.
pub(crate) fn cached(store: &Store, job: &StepJob, key: &ActionKey) -> Option<StepResult> {
    entry::read(store, &key.action).filter(|_| job.cacheable)
}

impl StoreRunner<'_> {
    /// Runs a job, again after some failures, and once more for each verification.
    fn execute(&self, job: &StepJob, key: &ActionKey) -> StepResult {
        let mut attempts = 0;
        let mut flaky = false;
        let mut result = loop {
            attempts += 1;
            job.log.attempt(attempts);
            let result = self.once(job);
            let repeat = !result.as_expected
                && attempts <= job.retries.most
                && job.retries.on.contains(&result.outcome);
            if !repeat {
                break result;
            }
            flaky = true;
        };
        for _ in 1..job.verify {
            if !result.as_expected {
                break;
            }
            attempts += 1;
            job.log.attempt(attempts);
            let again = self.once(job);
            if let Some(difference) = difference(&result, &again) {
                result.outcome = StepOutcome::NotReproducible;
                result.as_expected = false;
                result.message = Some(format!("two runs differ: {difference}"));
            }
        }
        result.attempts = attempts;
        if flaky && result.as_expected {
            result.tests.get_or_insert_default().flaky += 1;
        }
        if result.as_expected && job.cacheable && self.policy != CachePolicy::Off {
            let written = entry::write(self.store, &key.action, &result, self.run_id);
            if let Err(error) = written {
                result.message = Some(format!("the result is not cached: {error}"));
            }
        }
        result
    }

    fn once(&self, job: &StepJob) -> StepResult {
        let mut executed = self.executor.execute(job);
        executed.cut_streams(job.log_bytes);
        let mut result = StepResult::new(&job.id, &job.id, executed.outcome);
        match self.fill(&mut result, job, executed) {
            Ok(()) => result,
            Err(error) => {
                result.outcome = StepOutcome::HostFault;
                result.as_expected = false;
                result.message = Some(format!("cannot store the result: {error}"));
                result
            }
        }
    }

    /// Stores what a run left, and judges its end.
    fn fill(
        &self,
        result: &mut StepResult,
        job: &StepJob,
        executed: Executed,
    ) -> std::io::Result<()> {
        let store = self.store;
        let Executed { exit_code, message, limits_met, outputs, .. } = executed;
        let stream = |stream: StreamOutput| {
            let digest = store.put(&stream.content)?;
            let (digest, kept) = (Some(digest.text()), digest.bytes);
            std::io::Result::Ok(StreamResult { digest, bytes: stream.total, kept })
        };
        result.stdout = stream(executed.stdout)?;
        result.stderr = stream(executed.stderr)?;
        result.exit_code = exit_code;
        result.limits_met = limits_met;
        result.memory_peak_bytes = executed.memory_peak_bytes;
        result.fuel = executed.fuel;
        result.denials = executed.denials;
        result.timing.load_ms = executed.load_ms;
        result.timing.compile_ms = executed.compile_ms;
        result.timing.run_ms = executed.run_ms;
        result.timing.cpu_ms = executed.cpu_ms;
        result.timing.collect_ms = executed.collect_ms;
        let mut tree = FileTree::default();
        let mut files = Vec::new();
        for (path, digest) in &outputs.files {
            tree.add(path, TreeNode::File { digest: *digest, executable: false });
            let (path, bytes, digest) = (path.clone(), digest.bytes, digest.text());
            files.push(OutputResult { path, bytes, digest });
        }
        result.out = OutputsResult {
            tree: Some(tree.store(store)?.text()),
            files,
            absent: outputs.absent,
            dropped: outputs.dropped,
        };
        result.as_expected = job.expected.includes(result.outcome, exit_code);
        result.message = match (result.as_expected, message, exit_code) {
            (true, ..) => None,
            (false, Some(message), _) => Some(message),
            (false, None, Some(code)) => Some(format!("exited with {code}")),
            (false, None, None) => Some(result.outcome.as_str().replace('_', " ")),
        };
        if result.as_expected && !result.out.absent.is_empty() {
            result.as_expected = false;
            let absent = result.out.absent.join(", ");
            result.message = Some(format!("it left no {absent} in /out"));
        }
        if let Some(path) = &job.junit
            && let Some(digest) = outputs.files.get(path)
        {
            self.read_report(result, path, digest);
        }
        Ok(())
    }

    /// Reads the JUnit report of a step. One that cannot be read, or that has failures, fails it.
    fn read_report(&self, result: &mut StepResult, path: &str, digest: &BlobDigest) {
        let content = self.store.read_blob(digest, junit::MOST_BYTES);
        let counts = match content {
            Ok(content) => junit::counts(&content).map_err(|error| error.to_string()),
            Err(_) => Err("it is over 10 MiB".to_owned()),
        };
        match counts {
            Ok(counts) => {
                if counts.failed > 0 && result.as_expected {
                    result.as_expected = false;
                    result.message = Some(match counts.failed {
                        1 => "a test failed".to_owned(),
                        failed => format!("{failed} tests failed"),
                    });
                }
                result.tests = Some(counts);
            }
            Err(why) => {
                result.as_expected = false;
                result.message = Some(format!("the report {path} cannot be read: {why}"));
            }
        }
    }
}

/// Returns the first difference between two runs of the same action.
fn difference(a: &StepResult, b: &StepResult) -> Option<String> {
    if (a.outcome, a.exit_code) != (b.outcome, b.exit_code) {
        let end = |it: &StepResult| match it.exit_code {
            Some(code) => format!("{} {code}", it.outcome.as_str()),
            None => it.outcome.as_str().to_owned(),
        };
        return Some(format!("{} and {}", end(a), end(b)));
    }
    let files = |it: &StepResult| -> std::collections::BTreeMap<String, String> {
        it.out.files.iter().map(|file| (file.path.clone(), file.digest.clone())).collect()
    };
    let (first, second) = (files(a), files(b));
    let mut paths: Vec<_> = first.keys().chain(second.keys()).collect();
    paths.sort();
    if let Some(path) = paths.into_iter().find(|path| first.get(*path) != second.get(*path)) {
        return Some(format!("/out/{path}"));
    }
    if a.stdout != b.stdout {
        return Some("standard output".into());
    }
    (a.stderr != b.stderr).then(|| "standard error".into())
}
