//! Places and programs for unit tests.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use cap_std::fs::Dir;
use cap_tempfile::TempDir;

use crate::action_run::{CachePolicy, StoreRunner};
use crate::executor::{Executed, Executor, StepJob, StreamOutput};
use crate::explain::{StepExplanation, explain};
use crate::fault::FileFault;
use crate::file::PipelineFile;
use crate::log::LogStream;
use crate::plan::{Plan, PlanOptions};
use crate::records::RunRecord;
use crate::result::{HostFacts, RunResult, StepOutcome, StepResult};
use crate::schedule::{Cancel, Observer, RunParts, run};
use crate::sources::Sources;
use crate::store::Store;
use crate::tool::Origin;
use crate::toolbox::{Fetch, Toolbox};
use crate::tree::{FileTree, TreeNode};

pub(crate) fn folder() -> TempDir {
    cap_tempfile::tempdir(cap_tempfile::ambient_authority()).unwrap()
}

/// Returns a store and the folder that holds it.
pub(crate) fn store() -> (Store, TempDir) {
    let folder = folder();
    (Store::open(folder.try_clone().unwrap()).unwrap(), folder)
}

/// The name of every project in tests.
pub(crate) const PROJECT: &str = "project";

/// A project, a cache and an executor.
pub(crate) struct TestProject {
    pub(crate) root: Dir,
    pub(crate) store: Store,
    pub(crate) programs: TestPrograms,
    pub(crate) options: PlanOptions,
    pub(crate) jobs: usize,
    pub(crate) cancel: Cancel,
    _folders: Vec<TempDir>,
}

/// Programs by the first argument:
///
/// - `hash NAME…` writes what it can see into `/out/NAME`.
/// - `exit CODE` exits.
/// - `print TEXT` prints it.
/// - `trap`, `slow` (a deadline) and `broken` (a fault of the host) end so.
/// - `random NAME` writes something else each time.
/// - `flaky` fails each first time of two.
/// - `cancel` stops the run.
#[derive(Default)]
pub(crate) struct TestPrograms {
    store: Mutex<Option<Store>>,
    pub(crate) ran: Mutex<Vec<String>>,
    running: AtomicUsize,
    pub(crate) most: AtomicUsize,
    count: AtomicUsize,
}

impl TestProject {
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let (root, cache) = (folder(), folder());
        let project = Self::at(root.try_clone().unwrap(), cache.try_clone().unwrap());
        for (path, content) in files {
            project.write(path, content);
        }
        Self { _folders: vec![root, cache], ..project }
    }

    pub(crate) fn at(root: Dir, cache: Dir) -> Self {
        let store = Store::open(cache).unwrap();
        let programs = TestPrograms::default();
        *programs.store.lock().unwrap() = Some(store.clone());
        let (options, cancel) = (PlanOptions::default(), Cancel::default());
        Self { root, store, programs, options, jobs: 2, cancel, _folders: Vec::new() }
    }

    /// Closes the cache, and opens it again.
    pub(crate) fn reopened(self, between: impl FnOnce(Dir)) -> Self {
        let Self { root, store, programs, _folders, .. } = self;
        let cache = store.root.try_clone().unwrap();
        drop((store, programs));
        between(cache.try_clone().unwrap());
        Self { _folders, ..Self::at(root, cache) }
    }

    pub(crate) fn write(&self, path: &str, content: &str) {
        if let Some((folder, _)) = path.rsplit_once('/') {
            self.root.create_dir_all(folder).unwrap();
        }
        self.root.write(path, content).unwrap();
    }

    fn sources(&self) -> Sources {
        let root = self.root.try_clone().unwrap();
        Sources::open(root, &self.store, PROJECT, false).unwrap()
    }

    pub(crate) fn plan(&self, text: &str) -> Result<Plan, Vec<FileFault>> {
        let file = PipelineFile::parse(text).map_err(|fault| vec![fault])?;
        Plan::make(&file, self.sources().files(), &self.options)
    }

    pub(crate) fn run(&self, text: &str) -> RunResult {
        self.run_with(text, CachePolicy::Use)
    }

    pub(crate) fn run_with(&self, text: &str, policy: CachePolicy) -> RunResult {
        let plan = self.plan(text).unwrap_or_else(|faults| panic!("{faults:?}"));
        let sources = self.sources();
        let tools = Toolbox::fill(&plan, &self.store, &sources, &mut NoPackages).unwrap();
        let record = RunRecord::begin(&self.store).unwrap();
        let (store, run_id) = (&self.store, record.run_id.as_str());
        let actions = StoreRunner { store, executor: self, policy, run_id };
        let parts = RunParts {
            plan: &plan,
            tools: &tools,
            sources: &sources,
            store: &self.store,
            actions: &actions,
            record: &record,
            project: PROJECT,
            pipeline: crate::digest::digest_of(text.as_bytes()),
            jobs: self.jobs,
            cancel: &self.cancel,
            observer: &NoObserver,
        };
        run(&parts).unwrap()
    }

    pub(crate) fn explain(&self, text: &str) -> Vec<StepExplanation> {
        let plan = self.plan(text).unwrap_or_else(|faults| panic!("{faults:?}"));
        let sources = self.sources();
        let tools = Toolbox::fill(&plan, &self.store, &sources, &mut NoPackages).unwrap();
        explain(&plan, &tools, &sources, &self.store, PROJECT).unwrap()
    }

    /// Returns the ids of the steps that ran since the last call.
    pub(crate) fn ran(&self) -> Vec<String> {
        let mut ran = std::mem::take(&mut *self.programs.ran.lock().unwrap());
        ran.sort();
        ran
    }
}

impl Executor for TestProject {
    fn facts(&self) -> HostFacts {
        HostFacts { executor: "test".into(), ..HostFacts::default() }
    }

    fn execute(&self, job: &StepJob) -> Executed {
        let programs = &self.programs;
        let running = programs.running.fetch_add(1, Ordering::SeqCst) + 1;
        programs.most.fetch_max(running, Ordering::SeqCst);
        programs.ran.lock().unwrap().push(job.id.clone());
        let done = self.program(job);
        programs.running.fetch_sub(1, Ordering::SeqCst);
        done
    }
}

impl TestProject {
    fn program(&self, job: &StepJob) -> Executed {
        let mut done = Executed::not_run(StepOutcome::Exited, "");
        (done.message, done.exit_code) = (None, Some(0));
        let count = self.programs.count.fetch_add(1, Ordering::SeqCst);
        let words: Vec<_> = job.argv.iter().map(String::as_str).collect();
        let write = |done: &mut Executed, name: &str, content: &str| {
            let digest = self.store.put(content.as_bytes()).unwrap();
            done.outputs.files.insert(name.to_owned(), digest);
        };
        match words.get(1).copied().unwrap_or("hash") {
            "hash" => {
                for name in words.iter().skip(2).filter(|it| !it.starts_with('/')) {
                    write(&mut done, name, &self.seen(job, name));
                }
            }
            "exit" => done.exit_code = words[2].parse().ok(),
            "print" => {
                job.log.line(LogStream::Stdout, words[2].as_bytes());
                let content = format!("{}\n", words[2]).into_bytes();
                done.stdout = StreamOutput { total: content.len() as u64, content };
            }
            "trap" => done = Executed::not_run(StepOutcome::Trapped, "trapped"),
            "slow" => done = Executed::not_run(StepOutcome::Deadline, "late"),
            "broken" => done = Executed::not_run(StepOutcome::HostFault, "broken"),
            "random" => write(&mut done, words[2], &count.to_string()),
            "flaky" if count.is_multiple_of(2) => done.exit_code = Some(1),
            "flaky" => {}
            "cancel" => self.cancel.cancel(),
            other => panic!("unknown program {other}"),
        }
        done.outputs.absent = job
            .out
            .iter()
            .filter(|it| !it.optional && !done.outputs.files.keys().any(|path| it.matches(path)))
            .map(|it| it.text.clone())
            .collect();
        done
    }

    /// Returns all that a program can observe.
    fn seen(&self, job: &StepJob, name: &str) -> String {
        let mut seen = format!("{name} {:?} {:?} {:?}", job.argv, job.env, job.seed);
        for (guest, digest) in &job.trees {
            for (path, node) in FileTree::load(&self.store, digest).unwrap().0 {
                match node {
                    TreeNode::File { digest, .. } => seen += &format!("\n{guest} {path} {digest}"),
                    TreeNode::Link { target } => seen += &format!("\n{guest} {path} -> {target}"),
                }
            }
        }
        seen
    }
}

struct NoObserver;

impl Observer for NoObserver {}

struct NoPackages;

impl Fetch for NoPackages {
    fn open(&mut self, path: &str) -> std::io::Result<std::fs::File> {
        panic!("opened {path}")
    }

    fn package(&mut self, origin: &Origin) -> Result<Vec<u8>, String> {
        panic!("fetched {origin:?}")
    }
}

/// Returns the steps of a result by id.
pub(crate) fn by_id(result: &RunResult) -> BTreeMap<&str, &StepResult> {
    result.steps.iter().map(|step| (step.id.as_str(), step)).collect()
}
