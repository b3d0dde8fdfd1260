//! Running a command out of process: the job for the child, and the conversion of its result.

use std::sync::Arc;

use skep_protocol::{Failure, LimitName, Limits};
use skep_scope::DiskUsage;
use skep_store::record::Standing;

use super::task::{Driver, TurnEnd, TurnJob, not_run};
use crate::turn::ending::{self, Captured};
use crate::turn::record::DurableTurn;
use crate::turn::run::RunSpec;
use skep_sandbox::Ended;
use skep_sandbox::Loaded;
use skep_sandbox::{MountJob, OutOfProcess, Placement, ProcessJob, ProcessStreams, stdio};

impl Driver {
    /// Returns the out-of-process runner if the command must run there. Fails if it must and
    /// cannot.
    pub(super) fn out_of_process(
        &self,
        job: &TurnJob,
        loaded: &Loaded,
    ) -> Result<Option<Arc<OutOfProcess>>, Failure> {
        let grants = &job.record.spec.grants;
        let may_dial = !grants.http.is_empty() || !grants.secrets.is_empty();
        let Some(out_of_process) = &self.core.out_of_process else { return Ok(None) };
        let is_trusted = || match self.core.store.component(&loaded.shape.digest) {
            Ok(record) => record.is_some_and(|record| record.trusted),
            Err(error) => {
                self.core.fault(error);
                false
            }
        };
        match out_of_process.placement(loaded, may_dial, is_trusted) {
            Placement::InProcess => Ok(None),
            Placement::OutOfProcess => Ok(Some(out_of_process.clone())),
            Placement::Impossible => Err(Failure {
                code: "isolation".into(),
                message: "this host runs commands only out of process, where skep:worker and \
                          outgoing requests are not available"
                    .into(),
            }),
        }
    }

    /// Runs a command once. The rest of the turn is the same as in process.
    #[expect(clippy::too_many_arguments, reason = "they are the parts of one run")]
    pub(super) async fn run_out_of_process(
        &mut self,
        job: &TurnJob,
        loaded: &Arc<Loaded>,
        out_of_process: Arc<OutOfProcess>,
        run: RunSpec,
        turn: &DurableTurn,
        (stdout, stderr): (stdio::GuestOutput, stdio::GuestOutput),
        captured: Captured,
    ) -> TurnEnd {
        // The child cannot request memory while it runs, so its full limit is reserved in advance.
        let most = job.limits.memory_bytes;
        let residence = self.core.residency.admit(most, most);
        let _residence = match job.kill.unless_thrown(residence).await {
            Ok(residence) => residence,
            Err(reason) => return not_run(reason.into(), &job.limits),
        };
        let fault = |error: skep_store::StoreError| Ended::HostFault(error.to_string());
        let mounts = match self.mounts(&job.record, &job.limits).await {
            Ok(mounts) => mounts,
            Err(error) => return not_run(fault(error), &job.limits),
        };
        let own = mounts.first().map(|mount| mount.scope.clone());
        let data = self.worker.directory.usage();
        let mount = |(at, mount): (usize, &skep_sandbox::Mount)| MountJob {
            guest: mount.guest.clone(),
            rights: mount.scope.rights(),
            // The first mount is the worker's own, the only one with disk accounting.
            used: data.filter(|_| at == 0),
            is_scratch: false,
        };
        let order = ProcessJob {
            abi: loaded.shape.abi,
            profile: loaded.profile,
            args: run.args,
            env: run.env,
            initial_cwd: None,
            stdin: run.stdin,
            more_stdin: false,
            config: turn.config.iter().map(|(key, value)| (key.into(), value.into())).collect(),
            identity: turn.identity.clone(),
            mounts: mounts.iter().enumerate().map(mount).collect(),
            limits: job.limits,
            seed: None,
        };
        self.worker.state().connected = true;
        let streams =
            ProcessStreams { stdin: None, stdout: stdout.clone(), stderr: stderr.clone() };
        let (share, kill) = (self.core.sandbox.share(), job.kill.clone());
        let mut done =
            out_of_process.run(share, order, loaded.clone(), mounts, streams, kill).await;
        self.worker.state().connected = false;
        stdout.finish_lines();
        stderr.finish_lines();
        self.denials.record(&self.core, &self.worker, &job.log, &done.denials);
        // Recounts the directory, since the child's own numbers are not trusted.
        let recount = move || own.map_or(Ok(()), |own| own.recount());
        let recounted = tokio::task::spawn_blocking(recount).await;
        let recounted = recounted.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        if let Err(error) = recounted {
            return not_run(fault(error.into()), &job.limits);
        }
        if let (Some(before), Some(after)) = (data, self.worker.directory.usage())
            && let Some(name) = overfilled(before, after, &job.limits)
        {
            // Only a compromised child can exceed the quota; it is reported as an ordinary limit.
            done.ended = Ended::Limit { name, crash: None, exit_code: None };
        }
        done.ended = self.core.components.place(loaded, done.ended).await;
        let standing = match &done.ended {
            Ended::Exited(code) => Some(Standing::Exited(*code)),
            _ => Some(Standing::Idle),
        };
        let outcome = ending::outcome(done.ended, Some(&captured), &job.limits);
        TurnEnd { outcome, cost: done.cost, standing, keeps_state: true }
    }
}

/// Returns the limit that the directory exceeds after a run and did not before.
fn overfilled(before: DiskUsage, after: DiskUsage, limits: &Limits) -> Option<LimitName> {
    let is_past = |before: u64, after: u64, limit: u64| after > limit.max(before);
    if is_past(before.bytes, after.bytes, limits.disk_bytes) {
        Some(LimitName::disk_bytes)
    } else if is_past(before.entries, after.entries, limits.disk_entries) {
        Some(LimitName::disk_entries)
    } else {
        None
    }
}
