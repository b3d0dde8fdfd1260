//! A worker that asks others what it is told to: the guest `caller`.

use skep_protocol::{CreateWorker, LimitChanges, LimitName, Outcome, Output, WorkerId, WorkerSpec};

use crate::bed::{Bed, built};
use crate::own;
use crate::seen::{End, Seen};

/// The error for an address that the operator did not open.
pub(crate) const PROHIBITED: &str = "error ErrorCode::DestinationIpProhibited";

/// The error for a host that may be read in two ways.
pub(crate) const UNREADABLE: &str = "error ErrorCode::HttpRequestUriInvalid";

/// See the module's documentation.
pub(crate) struct Asker<'a> {
    bed: &'a Bed,
    worker: WorkerId,
}

impl<'a> Asker<'a> {
    /// One with these grants and limits.
    pub(crate) async fn with(
        bed: &'a Bed,
        grants: &[&str],
        limits: &[(LimitName, u64)],
    ) -> Asker<'a> {
        let component = bed.put(std::fs::read(built("caller")).unwrap()).await.unwrap();
        let mut spec = WorkerSpec::new(component);
        spec.limits = LimitChanges(limits.iter().copied().collect());
        spec.grants.http = grants.iter().map(|grant| grant.parse().unwrap()).collect();
        let request = CreateWorker { worker_id: None, spec };
        let worker = bed.runtime().create(request).await.unwrap().item.worker_id;
        Self { bed, worker }
    }

    /// Has it do something.
    pub(crate) async fn tell(&self, command: &str) -> Outcome {
        own::tell(self.bed, self.worker, command).await
    }

    /// What it answers to that.
    pub(crate) async fn ask(&self, command: &str) -> String {
        match self.tell(command).await.output {
            Some(Output::Message(payload)) => String::from_utf8(payload.body.to_vec()).unwrap(),
            other => format!("no answer: {other:?}"),
        }
    }

    /// Has it ask these hosts, each of which has to be refused with this error.
    pub(crate) async fn is_refused(
        &self,
        port: u16,
        hosts: &[&str],
        error: &str,
    ) -> Result<(), String> {
        for host in hosts {
            let answer = self.ask(&format!("get http://{host}:{port}/hello")).await;
            expect(host, answer == error, answer)?;
        }
        Ok(())
    }

    /// Removes it.
    pub(crate) async fn leave(self) {
        self.bed.runtime().remove(self.worker).await.unwrap();
    }
}

/// Of the answers to `many`, those that are good, and those that found no room among the connections.
pub(crate) fn answered(answer: &str) -> (u64, u64) {
    let counted = |end: &str| -> u64 {
        let line = answer.lines().find(|line| line.ends_with(end));
        line.map_or(0, |line| line.split(' ').next().unwrap().parse().unwrap())
    };
    (counted(" 200"), counted("ConnectionLimitReached"))
}

/// An error that says what was seen, where that is not what it had to be.
pub(crate) fn expect(what: &str, is_so: bool, seen: impl std::fmt::Debug) -> Result<(), String> {
    if is_so { Ok(()) } else { Err(format!("{what}: {seen:?}")) }
}

/// What a case has seen that ends so where nothing went wrong.
pub(crate) fn seen(result: Result<End, String>) -> Seen {
    Seen::told(result.unwrap_or_else(End::Wrong))
}
