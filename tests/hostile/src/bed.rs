//! A durable runtime to do harm to, with its store on disk and the real compiler.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use futures_util::{StreamExt, stream};
use skep_harness::{TestDir, test_dir};
use skep_protocol::input::RUN_REQUEST;
use skep_protocol::{
    Artifacts, ComponentDigest, CreateWorker, Ending, Error, Grants, InputId, InputState,
    LimitChanges, LimitName, Limits, NewInput, Outcome, Output, Payload, Rights, Role,
    RuntimeHandle, ScopeGrant, Sent, Timestamp, Turns, WorkerId, WorkerSpec, Workers,
};
use skep_runtime::{Embedded, EmbeddedParts, OperatorScope, Options};
use skep_sandbox::{ChildCompiler, Isolation, OutOfProcess, Outbound, Sandbox, SandboxParts};
use skep_store::{NoFaults, Store, StoreParts};

use crate::case::{Case, What};
use crate::names::Names;
use crate::neighbour::Neighbour;
use crate::seen::{End, Seen};

/// The longest that a turn is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a turn is given to end by itself where its worker is stopped.
const STOP_GRACE: Duration = Duration::from_millis(100);

/// The compiling child has this subcommand, and the child of a run that.
const COMPILE: &str = "__compile";
const RUN: &str = "__run";

/// See the module's documentation.
pub struct Bed {
    runtime: Embedded,
    dir: TestDir,
    compile_wall: Duration,
    names: Arc<Names>,
    outbound: Outbound,
    isolation: Isolation,
}

impl Bed {
    /// Opens a new one, whose commands run there. Within a tokio runtime.
    pub fn open(host_limits: &[(LimitName, u64)], isolation: Isolation) -> Self {
        let dir = test_dir();
        for name in ["store", "read", "write"] {
            std::fs::create_dir(dir.join(name)).unwrap();
        }
        let mut limits = Limits::default();
        for &(name, value) in host_limits {
            limits.set(name, value);
        }
        let compile_wall = Duration::from_millis(limits.compile_wall_ms);
        let names = Arc::new(Names::default());
        let outbound = Outbound::new(names.clone(), Vec::new());
        let runtime = open(&dir, limits, &outbound, isolation);
        Self { runtime, dir, compile_wall, names, outbound, isolation }
    }

    /// Has the host die, and opens what lies on the disk at that moment.
    pub async fn crash(&mut self) {
        let copy = test_dir();
        let copied =
            std::process::Command::new("cp").arg("-a").arg(self.dir.join(".")).arg(&*copy).status();
        assert!(copied.unwrap().success());
        let next = open(&copy, Limits::default(), &self.outbound, self.isolation);
        let before = std::mem::replace(&mut self.runtime, next);
        before.shutdown(Duration::ZERO).await;
        self.dir = copy;
    }

    /// The runtime.
    pub fn runtime(&self) -> Arc<dyn RuntimeHandle> {
        Arc::new(self.runtime.clone())
    }

    /// Where the store lies in `store`, and the operator's directories in `read` and `write`.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where names lead to.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// What sends the requests of all guests.
    pub fn outbound(&self) -> &Outbound {
        &self.outbound
    }

    /// What a turn is given to end by itself where its worker is stopped.
    pub fn stop_grace(&self) -> Duration {
        STOP_GRACE
    }

    /// Closes it.
    pub async fn close(self) {
        self.runtime.shutdown(Duration::from_secs(5)).await;
    }

    /// Stores a component.
    ///
    /// # Errors
    /// As the runtime says it.
    pub async fn put(&self, wasm: Vec<u8>) -> Result<ComponentDigest, Error> {
        let wasm = Bytes::from(wasm);
        let starts = (0..wasm.len()).step_by(64 << 10);
        let pieces: Vec<_> =
            starts.map(|at| Ok(wasm.slice(at..wasm.len().min(at + (64 << 10))))).collect();
        let stored = self.runtime.put_component(stream::iter(pieces).boxed(), Role::Admin).await?;
        Ok(stored.item.digest)
    }

    /// Makes a worker.
    pub async fn worker(&self, component: ComponentDigest, case: &Case) -> WorkerId {
        self.try_worker(component, case).await.unwrap()
    }

    /// Makes a worker of a component that may not be one.
    ///
    /// # Errors
    /// As the runtime says it.
    pub async fn try_worker(
        &self,
        component: ComponentDigest,
        case: &Case,
    ) -> Result<WorkerId, Error> {
        let limits = LimitChanges(case.limits.iter().copied().collect());
        let grant = |&(name, guest, rights): &(&str, &str, Rights)| ScopeGrant {
            name: name.parse().unwrap(),
            guest: guest.parse().unwrap(),
            rights,
        };
        let mut spec = WorkerSpec { limits, ..WorkerSpec::new(component) };
        spec.grants = Grants { scopes: case.scopes.iter().map(grant).collect(), ..spec.grants };
        let request = CreateWorker { worker_id: None, spec };
        Ok(self.runtime.create(request).await?.item.worker_id)
    }

    /// A worker of this tree's guests with nothing but the defaults: `echo`, `hello`, `scribe`.
    pub async fn good_worker(&self, guest: &str) -> WorkerId {
        let wasm = std::fs::read(built(guest)).unwrap();
        let component = self.put(wasm).await.unwrap();
        let spec = WorkerSpec::new(component);
        self.runtime.create(CreateWorker { worker_id: None, spec }).await.unwrap().item.worker_id
    }

    /// A neighbour at work.
    pub async fn neighbour(&self) -> Neighbour {
        let worker = self.good_worker("echo").await;
        Neighbour::start(self.runtime(), worker)
    }

    /// Runs a case, and removes what it ran on. Its bytes are these, if it has any.
    pub async fn run(&self, case: &Case, wasm: Option<Vec<u8>>) -> Seen {
        if let Some(prepare) = case.prepare {
            prepare(self);
        }
        match (case.what, wasm) {
            (What::Own(own), _) => own(self).await,
            (_, Some(wasm)) => self.turn(case, wasm, input(case)).await,
            (_, None) => panic!("{} is no function", case.name),
        }
    }

    /// Has a worker as the case wants it handle one input, and removes it.
    pub async fn turn(&self, case: &Case, wasm: Vec<u8>, input: Payload) -> Seen {
        let began = Instant::now();
        let component = match self.put(wasm).await {
            Ok(component) => component,
            Err(error) => {
                let end = End::of_error(&error);
                let mut stopped_in = began.elapsed();
                let ran = end == End::Limit(LimitName::compile_wall_ms);
                if ran {
                    stopped_in = stopped_in.saturating_sub(self.compile_wall);
                }
                return Seen { end, stopped_in, ran };
            }
        };
        let (worker, seen) = self.once(component, input, case).await;
        self.runtime.remove_component(component).await.unwrap();
        match case.leaves_nothing.then(|| self.left(worker)) {
            Some(left) => match left.await {
                Ok(()) => seen,
                Err(what) => Seen::told(End::Wrong(what)),
            },
            None => seen,
        }
    }

    /// The same with a component that is stored and stays so. The worker is removed.
    pub async fn once(
        &self,
        component: ComponentDigest,
        input: Payload,
        case: &Case,
    ) -> (WorkerId, Seen) {
        let worker = self.worker(component, case).await;
        let seen = match case.cancels.is_empty() {
            true => self.wait(worker, input, case).await,
            false => self.cancel(worker, input, &case.cancels).await,
        };
        self.runtime.remove(worker).await.unwrap();
        (worker, seen)
    }

    async fn wait(&self, worker: WorkerId, payload: Payload, case: &Case) -> Seen {
        let began = Instant::now();
        let input = NewInput { payload, key: None, wait: Some(PATIENCE), sender: None };
        let sent = async { (self.runtime.send(worker, input).await, began.elapsed()) };
        let meanwhile = async {
            match case.meanwhile {
                Some(meanwhile) => meanwhile(self, worker).await,
                None => Ok(()),
            }
        };
        let ((sent, took), meanwhile) = tokio::join!(sent, meanwhile);
        if let Err(what) = meanwhile {
            return Seen::told(End::Wrong(what));
        }
        match sent {
            Ok(Sent::Done { outcome, .. }) => {
                let deadline = LimitChanges(case.limits.iter().copied().collect());
                let deadline = deadline.over(&Limits::default()).turn_deadline_ms;
                let stopped_in = match outcome.ending {
                    Ending::Deadline => took.saturating_sub(Duration::from_millis(deadline)),
                    _ => announced(&outcome).map_or(took, |at| took.min(at)),
                };
                let mut end = End::of_outcome(&outcome);
                if let Some(look) = case.look
                    && case.ends.are(&end)
                    && let Err(what) = look(self, worker, &outcome).await
                {
                    end = End::Wrong(what);
                }
                Seen { end, stopped_in, ran: true }
            }
            Ok(Sent::Accepted { .. }) => {
                let end = End::Wrong(format!("it has no outcome after {PATIENCE:?}"));
                Seen { end, stopped_in: took, ran: true }
            }
            Err(error) => Seen { stopped_in: took, ..Seen::told(End::of_error(&error)) },
        }
    }

    async fn cancel(&self, worker: WorkerId, payload: Payload, cancels: &[Duration]) -> Seen {
        let input = NewInput { payload, key: None, wait: None, sender: None };
        let input = self.runtime.send(worker, input).await.unwrap().input_id();
        self.running(worker, input).await;
        let (mut first, mut all) = (None, Vec::new());
        for pause in cancels {
            tokio::time::sleep(*pause).await;
            first = first.or_else(|| Some(Instant::now()));
            let runtime = self.runtime();
            all.push(tokio::spawn(async move { runtime.cancel(worker, input).await }));
        }
        let outcome = self.outcome(worker, input).await;
        let stopped_in = first.map_or(Duration::ZERO, |first| first.elapsed());
        for cancelled in all {
            // It may have ended in between.
            let cancelled = cancelled.await.unwrap();
            assert!(matches!(cancelled, Ok(_) | Err(Error::Conflict(_))), "{cancelled:?}");
        }
        Seen { end: End::of_outcome(&outcome), stopped_in, ran: true }
    }

    /// Where a worker's own directory lies.
    pub fn data(&self, worker: WorkerId) -> PathBuf {
        self.dir.join("store/workers").join(worker.to_string()).join("data")
    }

    /// Waits until nothing is left of a worker that was removed.
    async fn left(&self, worker: WorkerId) -> Result<(), String> {
        let places = ["workers", "trash"];
        let places =
            places.map(|place| self.dir.join("store").join(place).join(worker.to_string()));
        let until = Instant::now() + PATIENCE;
        while let Some(left) = places.iter().find(|place| place.symlink_metadata().is_ok()) {
            if Instant::now() > until {
                return Err(format!("its directory is not gone after {PATIENCE:?}: {left:?}"));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Waits for an input's turn to begin.
    pub async fn running(&self, worker: WorkerId, input: InputId) {
        let until = Instant::now() + PATIENCE;
        while self.runtime.input(worker, input).await.unwrap().state == InputState::Queued {
            assert!(Instant::now() < until, "its turn does not begin");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Waits for an input's outcome.
    pub async fn outcome(&self, worker: WorkerId, input: InputId) -> Outcome {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(outcome) = self.runtime.input(worker, input).await.unwrap().outcome {
                return outcome;
            }
            assert!(Instant::now() < until, "it has no outcome");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

/// The bytes of a case that is not a function of its own.
pub(crate) fn wasm(case: &Case) -> Vec<u8> {
    match case.what {
        What::Command => std::fs::read(built(&format!("hostile/{}", case.name))).unwrap(),
        What::Text => wat::parse_str(text(case.name)).unwrap(),
        What::Service => std::fs::read(built("misbehaves")).unwrap(),
        What::Made(bytes) => bytes(),
        What::Own(_) => panic!("{} is a function", case.name),
    }
}

/// A guest of `tests/guests/hostile/wat`.
pub(crate) fn text(name: &str) -> String {
    let folder = skep_harness::root().join("tests/guests/hostile/wat");
    std::fs::read_to_string(folder.join(name).with_extension("wat")).unwrap()
}

/// What it is sent.
pub(crate) fn input(case: &Case) -> Payload {
    match case.what {
        What::Service => message(case.name),
        _ => run_request(&[]),
    }
}

/// A text for a service.
pub fn message(text: &str) -> Payload {
    Payload { content_type: "text/plain".into(), body: text.to_owned().into() }
}

/// A run of a command.
pub fn run_request(args: &[&str]) -> Payload {
    let body = serde_json::json!({ "args": args }).to_string().into_bytes();
    Payload { content_type: RUN_REQUEST.into(), body: body.into() }
}

/// A guest that is built, as all are before the first case.
pub(crate) fn built(name: &str) -> PathBuf {
    let path = xtask::guests::folder().join(name).with_extension("wasm");
    assert!(path.is_file(), "there is no {}", path.display());
    path
}

/// How long ago a guest said that it would go too far, if it said so.
fn announced(outcome: &Outcome) -> Option<Duration> {
    let Some(Output::Run(run)) = &outcome.output else { return None };
    let said = String::from_utf8_lossy(&run.stderr);
    let at = said.lines().rev().find_map(|line| line.strip_prefix("now it comes: "))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Some(now.saturating_sub(Duration::from_nanos(at.parse().ok()?)))
}

fn open(dir: &Path, limits: Limits, outbound: &Outbound, isolation: Isolation) -> Embedded {
    let access = |name: &str| Dir::open_ambient_dir(dir.join(name), ambient_authority()).unwrap();
    let store = Store::open(StoreParts {
        dir: access("store"),
        now: Timestamp(1_700_000_000_000),
        new_runtime_id: "bed".parse().unwrap(),
        faults: Arc::new(NoFaults),
        vfs: None,
    })
    .unwrap();
    let cache = skep_harness::shared_cache();
    std::fs::create_dir_all(&cache).unwrap();
    let sandbox = Sandbox::start(SandboxParts {
        cores: 2,
        workers: 64,
        compiler: Arc::new(ChildCompiler::new(program(), vec![COMPILE.into()], 2)),
        cache: Some(Dir::open_ambient_dir(cache, ambient_authority()).unwrap()),
        limits: limits.for_any_worker(),
        outbound: outbound.clone(),
    })
    .unwrap();
    let scope = |name, rights| OperatorScope { dir: access(name), rights };
    let scopes = BTreeMap::from([
        ("read".parse().unwrap(), scope("read", Rights::ReadOnly)),
        ("write".parse().unwrap(), scope("write", Rights::ReadWrite)),
    ]);
    let options = Options {
        stop_grace: STOP_GRACE,
        compile_wait: Duration::from_secs(150),
        ..Options::default()
    };
    let out_of_process = Some(OutOfProcess::new(program(), vec![RUN.into()], isolation));
    let (host_id, secrets) = ("bed-host".parse().unwrap(), BTreeMap::new());
    Embedded::open(EmbeddedParts {
        store,
        sandbox,
        scopes,
        secrets,
        out_of_process,
        options,
        host_id,
    })
    .unwrap()
}

/// The built `skep`, which compiles.
pub(crate) fn program() -> PathBuf {
    match std::env::var_os(crate::suite::SKEP) {
        Some(path) => path.into(),
        None => skep_harness::skep().to_owned(),
    }
}
