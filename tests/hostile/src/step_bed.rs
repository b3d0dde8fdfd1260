//! A host of pipelines' steps beside the runtime of a bed: steps that attack, and a good one that must
//! end the same before, during and after.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use futures_util::{StreamExt, stream};
use skep_ci::{Keep, digest_of};
use skep_harness::{TestDir, test_dir};
use skep_protocol::ci::{StepOutcome, StepResult};
use skep_protocol::step::{StepProgress, StepRequest, StepSpec};
use skep_protocol::{BlobDigest, BlobHash, Error, LimitName, Limits, Role, Steps};
use skep_sandbox::{Isolation, OutOfProcess, Outbound};
use skep_steps::{ExecutorParts, LazyExecutor, Scratch, StepExecutor, StepHost, StepHostParts};

use crate::end::End;
use crate::guest::built;
use crate::host;

/// The bound on the wait for a step.
const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes that callers may store.
pub(crate) const ROOM: u64 = 64 << 20;

/// A host of steps with directories of its own.
pub(crate) struct StepBed {
    host: StepHost,
    dir: TestDir,
}

impl StepBed {
    /// Opens a host that runs two steps at a time.
    pub(crate) fn open() -> Self {
        let dir = test_dir();
        for name in ["store", "scratch"] {
            std::fs::create_dir(dir.join(name)).unwrap();
        }
        let open = |name| Dir::open_ambient_dir(dir.join(name), ambient_authority()).unwrap();
        let keep = Keep { bytes: u64::MAX, age: Duration::from_secs(1 << 30) };
        let store = StepHost::open_store(open("store"), &keep).unwrap();
        let (of_steps, scratch) = (store.clone(), open("scratch"));
        let start = move || {
            let (limits, outbound) = (Limits::default(), Outbound::default());
            StepExecutor::start(ExecutorParts {
                sandbox: host::sandbox_parts(&limits, &outbound),
                out_of_process: OutOfProcess::new(
                    host::program(),
                    vec![host::RUN.into()],
                    Isolation::Process,
                ),
                store: of_steps.clone(),
                scratch: Scratch { dir: scratch.try_clone().unwrap(), guard: Box::new(()) },
                secrets: BTreeMap::new(),
            })
        };
        let host = StepHost::new(StepHostParts {
            store,
            executor: LazyExecutor::new(Box::new(start)),
            secrets: BTreeSet::new(),
            name: "bed".into(),
            jobs: 2,
            most_memory: 1 << 30,
            most_stored: ROOM,
        });
        Self { host, dir }
    }

    /// Stores a blob.
    pub(crate) async fn put(&self, content: &[u8]) -> Result<BlobDigest, Error> {
        let digest = digest_of(content);
        let pieces: Vec<_> = content.chunks(64 << 10).map(|it| Ok(it.to_vec().into())).collect();
        let hash = BlobHash::from_sha256(digest.sha256);
        self.host.put_blob(hash, stream::iter(pieces).boxed()).await?;
        Ok(digest)
    }

    /// Returns a request to run a guest as the step `id`.
    pub(crate) async fn request(&self, id: &str, guest: &str, args: &[&str]) -> StepRequest {
        let component = self.put(&std::fs::read(built(guest)).unwrap()).await.unwrap();
        let argv: Vec<_> = [guest].into_iter().chain(args.iter().copied()).collect();
        let request = serde_json::json!({
            "run": "hostile",
            "cache": "off",
            "step": {
                "id": id,
                "tool": guest,
                "component": component,
                "argv": argv,
                "log_bytes": 1_000_000,
                "expected": { "outcomes": ["exited"], "exits": [0] },
                "verify": 1,
                "seed": 0,
            },
        });
        serde_json::from_value(request).unwrap()
    }

    /// Runs a step to its end.
    ///
    /// # Errors
    /// The host's refusal.
    pub(crate) async fn run(&self, request: StepRequest) -> Result<StepResult, Error> {
        let mut view = self.host.start_step(request, Role::Operator).await?;
        while view.result.is_none() {
            let after = view.log.last().map_or(0, |record| record.seq);
            let progress = StepProgress { after, wait: Some(PATIENCE) };
            view = self.host.step(view.key, progress).await?;
        }
        Ok(*view.result.unwrap())
    }

    /// Runs a guest as a step, in the host's process and behind the second wall, beside a good step.
    /// Returns both results.
    ///
    /// # Errors
    /// What is wrong with the good step or with what is left on the disk.
    pub(crate) async fn attack(
        &self,
        (guest, args): (&str, &[&str]),
        change: impl Fn(&mut StepSpec),
    ) -> Result<[StepResult; 2], String> {
        let before = self.good("before").await?;
        let mut all = Vec::new();
        for (id, isolated) in [("here", false), ("apart", true)] {
            let mut request = self.request(id, guest, args).await;
            request.step.isolated = isolated;
            change(&mut request.step);
            let beside = format!("beside-{id}");
            let (attacked, beside) = tokio::join!(self.run(request), self.good(&beside));
            if beside? != before {
                return Err("the step beside it has another result".into());
            }
            all.push(attacked.map_err(|error| format!("{error:?}"))?);
        }
        if self.good("after").await? != before {
            return Err("the step after it has another result".into());
        }
        let left = std::fs::read_dir(self.dir.join("scratch")).unwrap().count();
        if left > 0 {
            return Err(format!("{left} directories of steps are left"));
        }
        Ok(all.try_into().expect("it ran twice"))
    }

    /// Runs a good step, and returns the digest of its output.
    async fn good(&self, id: &str) -> Result<String, String> {
        let request = self.request(id, "hello", &["neighbour"]).await;
        let result = self.run(request).await.map_err(|error| format!("{error:?}"))?;
        match (result.as_expected, result.stdout.digest) {
            (true, Some(digest)) => Ok(digest),
            _ => Err(format!("a good step ended as {:?}: {:?}", result.outcome, result.message)),
        }
    }
}

/// Classifies the results of an attack, which must be alike.
pub(crate) fn end(attacked: Result<[StepResult; 2], String>) -> End {
    match attacked {
        Ok([here, apart]) => match (end_of(&here), end_of(&apart)) {
            (here, apart) if here == apart => here,
            (here, apart) => End::Wrong(format!("{here:?} here, {apart:?} apart")),
        },
        Err(why) => End::Wrong(why),
    }
}

/// Classifies the end of a step. A limit that it met is its end, also if it then exited by itself.
fn end_of(result: &StepResult) -> End {
    let met = result.limits_met.first().and_then(|name| name.parse::<LimitName>().ok());
    match (result.outcome, met) {
        (StepOutcome::Deadline, _) => End::Deadline,
        (StepOutcome::Limit, Some(name)) => End::Limit(name),
        (StepOutcome::Exited, Some(name)) if !result.as_expected => End::Limit(name),
        (outcome, _) => End::Wrong(format!("{outcome:?}: {:?}", result.message)),
    }
}
