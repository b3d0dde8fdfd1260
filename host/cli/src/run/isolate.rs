//! `--isolate`: a guest in a process of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use skep_sandbox::{
    Done, GuestSpec, Identity, Isolation, KillSwitch, Loaded, MountJob, OutOfProcess, Placement,
    ProcessJob, ProcessStreams, Sandbox,
};

use super::isolate_arg::IsolateArg;
use super::prepare::PreparedRun;
use super::streams::InputSource;
use crate::child;
use crate::source::NamedSource;

/// Decides whether a guest gets a process of its own. Returns the means to start it, or the reason that
/// it is refused.
///
/// A component from standard input was most likely fetched a moment ago, so it gets one if it can.
pub(super) fn decide(
    run: &PreparedRun,
    loaded: &Loaded,
) -> Result<Option<Arc<OutOfProcess>>, String> {
    let arguments = &run.arguments;
    let is_fetched = NamedSource::from(arguments.component.clone()).is_standard_input();
    let policy = match arguments.isolate {
        Some(isolate) => isolate.policy(),
        None if is_fetched => IsolateArg::Auto.policy(),
        None => Isolation::Thread,
    };
    let out_of_process = child::out_of_process(policy);
    let may_dial = !arguments.guest.allow_http.is_empty();
    match out_of_process.placement(loaded, may_dial, || false) {
        Placement::InProcess => Ok(None),
        Placement::OutOfProcess => Ok(Some(Arc::new(out_of_process))),
        Placement::Impossible => Err(
            "a guest in a process of its own is a command that sends no requests, and this one is not"
                .into(),
        ),
    }
}

/// Makes the job of a child.
pub(super) fn job(run: &PreparedRun, loaded: &Loaded, spec: &GuestSpec) -> ProcessJob {
    let last = spec.mounts.len().saturating_sub(1);
    let mount = |(at, mount): (usize, &skep_sandbox::Mount)| MountJob {
        guest: mount.guest.clone(),
        rights: mount.scope.rights(),
        used: None,
        is_scratch: run.dirs.has_own_root && at == last,
    };
    let config: BTreeMap<_, _> = run.arguments.guest.config.iter().cloned().collect();
    ProcessJob {
        abi: loaded.shape.abi,
        profile: loaded.profile,
        args: spec.args.clone(),
        env: spec.env.clone(),
        initial_cwd: spec.initial_cwd.clone(),
        stdin: Vec::new(),
        more_stdin: true,
        config,
        identity: Identity {
            runtime_id: "run".into(),
            worker_id: "run".into(),
            input_id: Some("run".into()),
            attempt: 1,
        },
        mounts: spec.mounts.iter().enumerate().map(mount).collect(),
        limits: spec.limits,
        seed: spec.seed,
    }
}

/// Runs a guest in a child process.
pub(super) async fn run(
    out_of_process: Arc<OutOfProcess>,
    sandbox: Sandbox,
    loaded: Arc<Loaded>,
    job: ProcessJob,
    spec: GuestSpec,
    stdin: InputSource,
    kill: Arc<KillSwitch>,
) -> Done {
    let reader = stdin.into_reader().unwrap_or_else(|| Box::new(std::io::empty()));
    let streams = ProcessStreams { stdin: Some(reader), stdout: spec.stdout, stderr: spec.stderr };
    out_of_process.run(sandbox.share(), job, loaded, spec.mounts, streams, kill).await
}
