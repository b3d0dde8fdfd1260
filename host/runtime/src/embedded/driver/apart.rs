//! A command's run in a process of its own: what goes there, and what is made of what comes back.

use std::sync::Arc;

use skep_store::record::Standing;

use super::super::ending::{self, Captured};
use super::super::record::DurableTurn;
use super::super::run::Run;
use super::guest::{Ran, ran};
use super::{Driver, Job};
use crate::loaded::Loaded;
use crate::outcome::Ended;
use crate::stdio;
use crate::walled::{self, MountJob, Walled};

impl Driver {
    /// Who runs it in a process of its own, if it is to be.
    pub(super) fn walled(&self, job: &Job, loaded: &Loaded) -> Option<Arc<Walled>> {
        let grants = &job.record.spec.grants;
        let may_dial = !grants.http.is_empty() || !grants.secrets.is_empty();
        let walled = self.inner.walled.as_ref()?;
        let is_trusted = || match self.inner.store.component(&loaded.shape.digest) {
            Ok(record) => record.is_some_and(|record| record.trusted),
            Err(error) => {
                self.inner.fault(error);
                false
            }
        };
        walled.takes(loaded, may_dial, is_trusted).then(|| walled.clone())
    }

    /// One run of a command. The rest of the turn is as with an instance in this process.
    #[expect(clippy::too_many_arguments, reason = "they are the parts of one run")]
    pub(super) async fn execute_walled(
        &mut self,
        job: &Job,
        loaded: &Arc<Loaded>,
        walled: Arc<Walled>,
        run: Run,
        turn: &DurableTurn,
        (stdout, stderr): (stdio::Output, stdio::Output),
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
        let mount = |(at, mount): (usize, &crate::Mount)| MountJob {
            guest: mount.guest.clone(),
            rights: mount.scope.rights(),
            // The first is the worker's own, of which everything counts.
            used: data.filter(|_| at == 0),
        };
        let order = walled::Job {
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
        let done = walled.run(order, loaded.clone(), mounts, streams, job.kill.clone()).await;
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
        let standing = match &done.ended {
            Ended::Exited(code) => Some(Standing::Exited(*code)),
            _ => Some(Standing::Idle),
        };
        let outcome = ending::outcome(done.ended, Some(&captured), &job.limits);
        Ran { outcome, cost: done.cost, standing, good: true }
    }
}
