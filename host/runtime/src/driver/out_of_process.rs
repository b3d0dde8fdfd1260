//! A command's run in a process of its own: what goes there, and what is made of what comes back.

use std::sync::Arc;

use skep_protocol::{Failure, LimitName, Limits};
use skep_scope::DiskUsage;
use skep_store::record::Standing;

use super::task::{Driver, Job, Ran, ran};
use crate::turn::ending::{self, Captured};
use crate::turn::record::DurableTurn;
use crate::turn::run::Run;
use skep_sandbox::Ended;
use skep_sandbox::Loaded;
use skep_sandbox::{MountJob, OutOfProcess, Placement, ProcessJob, stdio};

impl Driver {
    /// Who runs it in a process of its own, if it is to be. `Err` where it would have to be and
    /// cannot.
    pub(super) fn out_of_process(
        &self,
        job: &Job,
        loaded: &Loaded,
    ) -> Result<Option<Arc<OutOfProcess>>, Failure> {
        let grants = &job.record.spec.grants;
        let may_dial = !grants.http.is_empty() || !grants.secrets.is_empty();
        let Some(out_of_process) = &self.inner.out_of_process else { return Ok(None) };
        let is_trusted = || match self.inner.store.component(&loaded.shape.digest) {
            Ok(record) => record.is_some_and(|record| record.trusted),
            Err(error) => {
                self.inner.fault(error);
                false
            }
        };
        match out_of_process.placement(loaded, may_dial, is_trusted) {
            Placement::InProcess => Ok(None),
            Placement::OutOfProcess => Ok(Some(out_of_process.clone())),
            Placement::Impossible => Err(Failure {
                code: "isolation".into(),
                message: "this host runs commands in processes of their own only, which have \
                          neither skep:worker nor requests to others"
                    .into(),
            }),
        }
    }

    /// One run of a command. The rest of the turn is as with an instance in this process.
    #[expect(clippy::too_many_arguments, reason = "they are the parts of one run")]
    pub(super) async fn run_out_of_process(
        &mut self,
        job: &Job,
        loaded: &Arc<Loaded>,
        out_of_process: Arc<OutOfProcess>,
        run: Run,
        turn: &DurableTurn,
        (stdout, stderr): (stdio::GuestOutput, stdio::GuestOutput),
        captured: Captured,
    ) -> Ran {
        // Its process borrows nothing on the way, so all that it may have is kept ready for it.
        let most = job.limits.memory_bytes;
        let place = self.inner.residency.place(most, most);
        let _place = match job.kill.unless_thrown(place).await {
            Ok(place) => place,
            Err(reason) => return ran(reason.into(), &job.limits),
        };
        let fault = |error: skep_store::StoreError| Ended::HostFault(error.to_string());
        let mounts = match self.mounts(&job.record, &job.limits).await {
            Ok(mounts) => mounts,
            Err(error) => return ran(fault(error), &job.limits),
        };
        let own = mounts.first().map(|mount| mount.scope.clone());
        let data = self.worker.directory.usage();
        let mount = |(at, mount): (usize, &skep_sandbox::Mount)| MountJob {
            guest: mount.guest.clone(),
            rights: mount.scope.rights(),
            // The first is the worker's own, of which everything counts.
            used: data.filter(|_| at == 0),
        };
        let order = ProcessJob {
            abi: loaded.shape.abi,
            profile: loaded.profile,
            args: run.args,
            env: run.env,
            stdin: run.stdin,
            config: turn.config.iter().map(|(key, value)| (key.into(), value.into())).collect(),
            identity: turn.identity.clone(),
            mounts: mounts.iter().enumerate().map(mount).collect(),
            limits: job.limits,
        };
        self.worker.state().connected = true;
        let streams = (stdout.clone(), stderr.clone());
        let (share, kill) = (self.inner.sandbox.share(), job.kill.clone());
        let mut done =
            out_of_process.run(share, order, loaded.clone(), mounts, streams, kill).await;
        self.worker.state().connected = false;
        stdout.finish_lines();
        stderr.finish_lines();
        self.record_denials(&job.log, &done.denials);
        // The child is not asked what the directory holds now: it is counted again.
        let recount = move || own.map_or(Ok(()), |own| own.recount());
        let recounted = tokio::task::spawn_blocking(recount).await;
        let recounted = recounted.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        if let Err(error) = recounted {
            return ran(fault(error.into()), &job.limits);
        }
        if let (Some(before), Some(after)) = (data, self.worker.directory.usage())
            && let Some(name) = overfilled(before, after, &job.limits)
        {
            // A guest cannot do that. Whoever has its process can, and is told nothing else.
            done.ended = Ended::Limit { name, crash: None, exit_code: None };
        }
        let standing = match &done.ended {
            Ended::Exited(code) => Some(Standing::Exited(*code)),
            _ => Some(Standing::Idle),
        };
        let outcome = ending::outcome(done.ended, Some(&captured), &job.limits);
        Ran { outcome, cost: done.cost, standing, good: true }
    }
}

/// The limit that a directory is past after a run and was not before.
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
