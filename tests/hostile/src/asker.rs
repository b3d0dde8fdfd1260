//! The guest `caller` as a worker that sends HTTP requests on command.

use skep_protocol::{CreateWorker, LimitChanges, LimitName, Outcome, Output, WorkerId, WorkerSpec};

use crate::bed::Bed;
use crate::end::End;
use crate::guest::built;
use crate::own;
use crate::seen::Seen;

/// The error for an address that no grant opens.
pub(crate) const PROHIBITED: &str = "error ErrorCode::DestinationIpProhibited";

/// The error for a host that can be read in two ways.
pub(crate) const UNREADABLE: &str = "error ErrorCode::HttpRequestUriInvalid";

/// A worker of the guest `caller`. The test sends it commands and reads its answers.
pub(crate) struct Asker<'a> {
    bed: &'a Bed,
    worker: WorkerId,
}

impl<'a> Asker<'a> {
    /// Creates a worker with these grants and limits.
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

    /// Sends a command and returns the outcome of its turn.
    pub(crate) async fn tell(&self, command: &str) -> Outcome {
        own::tell(self.bed, self.worker, command).await
    }

    /// Sends a command and returns the text of the answer.
    pub(crate) async fn ask(&self, command: &str) -> String {
        match self.tell(command).await.output {
            Some(Output::Message(payload)) => String::from_utf8(payload.body.to_vec()).unwrap(),
            other => format!("no answer: {other:?}"),
        }
    }

    /// Requests each of these hosts, and expects this error from all of them.
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

    /// Removes the worker.
    pub(crate) async fn remove(self) {
        self.bed.runtime().remove(self.worker).await.unwrap();
    }
}

/// Counts, in the answer to `many`, the requests that succeeded and those refused for lack of a
/// connection.
pub(crate) fn answered(answer: &str) -> (u64, u64) {
    let counted = |end: &str| -> u64 {
        let line = answer.lines().find(|line| line.ends_with(end));
        line.map_or(0, |line| line.split(' ').next().unwrap().parse().unwrap())
    };
    (counted(" 200"), counted("ConnectionLimitReached"))
}

/// Returns an error with the value seen, unless the expectation holds.
pub(crate) fn expect(what: &str, is_so: bool, seen: impl std::fmt::Debug) -> Result<(), String> {
    if is_so { Ok(()) } else { Err(format!("{what}: {seen:?}")) }
}

/// Turns the result of an attempt into an observation, in which an error is a wrong end.
pub(crate) fn seen(result: Result<End, String>) -> Seen {
    Seen::told(result.unwrap_or_else(End::Wrong))
}
