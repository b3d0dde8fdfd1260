//! The turn of a case's worker on a bed.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use skep_protocol::{
    ComponentDigest, CreateWorker, Ending, Error, Grants, LimitChanges, LimitName, Limits,
    NewInput, Outcome, Output, Payload, Rights, ScopeGrant, Sent, WorkerId, WorkerSpec,
};

use crate::attack::Attack;
use crate::bed::{Bed, PATIENCE};
use crate::case::Case;
use crate::end::End;
use crate::seen::Seen;

impl Bed {
    /// Creates a worker.
    pub async fn worker(&self, component: ComponentDigest, case: &Case) -> WorkerId {
        self.try_worker(component, case).await.unwrap()
    }

    /// Creates a worker of a component that may be refused.
    ///
    /// # Errors
    /// The runtime's error.
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
        Ok(self.runtime().create(request).await?.item.worker_id)
    }

    /// Runs a case on its bytes, if it has any, and removes its worker and component.
    pub async fn run(&self, case: &Case, wasm: Option<Vec<u8>>) -> Seen {
        if let Some(prepare) = case.prepare {
            prepare(self);
        }
        match (case.attack, wasm) {
            (Attack::Own(own), _) => own(self).await,
            (_, Some(wasm)) => self.turn(case, wasm, case.input()).await,
            (_, None) => panic!("{} has no bytes", case.name),
        }
    }

    /// Stores a component, has a worker of it handle one input, and removes both.
    pub async fn turn(&self, case: &Case, wasm: Vec<u8>, input: Payload) -> Seen {
        let began = Instant::now();
        let component = match self.put(wasm).await {
            Ok(component) => component,
            Err(error) => {
                let end = End::of_error(&error);
                let mut stopped_in = began.elapsed();
                let ran = end == End::Limit(LimitName::compile_wall_ms);
                if ran {
                    stopped_in = stopped_in.saturating_sub(self.compile_wall());
                }
                return Seen { end, stopped_in, ran };
            }
        };
        let (worker, seen) = self.once(component, input, case).await;
        self.runtime().remove_component(component).await.unwrap();
        match case.leaves_nothing.then(|| self.left(worker)) {
            Some(left) => match left.await {
                Ok(()) => seen,
                Err(what) => Seen::told(End::Wrong(what)),
            },
            None => seen,
        }
    }

    /// Has a worker of a stored component handle one input, and removes the worker.
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
        self.runtime().remove(worker).await.unwrap();
        (worker, seen)
    }

    async fn wait(&self, worker: WorkerId, payload: Payload, case: &Case) -> Seen {
        let began = Instant::now();
        let input = NewInput { payload, key: None, wait: Some(PATIENCE), sender: None };
        let sent = async { (self.runtime().send(worker, input).await, began.elapsed()) };
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
                    && case.expected.matches(&end)
                    && let Err(what) = look(self, worker, &outcome).await
                {
                    end = End::Wrong(what);
                }
                Seen { end, stopped_in, ran: true }
            }
            Ok(Sent::Accepted { .. }) => {
                let end = End::Wrong(format!("no outcome after {PATIENCE:?}"));
                Seen { end, stopped_in: took, ran: true }
            }
            Err(error) => Seen { stopped_in: took, ..Seen::told(End::of_error(&error)) },
        }
    }

    async fn cancel(&self, worker: WorkerId, payload: Payload, cancels: &[Duration]) -> Seen {
        let input = NewInput { payload, key: None, wait: None, sender: None };
        let input = self.runtime().send(worker, input).await.unwrap().input_id();
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
            // The turn may have ended in between.
            let cancelled = cancelled.await.unwrap();
            assert!(matches!(cancelled, Ok(_) | Err(Error::Conflict(_))), "{cancelled:?}");
        }
        Seen { end: End::of_outcome(&outcome), stopped_in, ran: true }
    }
}

/// Returns the time since the guest announced that it would exceed its limit, if it did.
fn announced(outcome: &Outcome) -> Option<Duration> {
    let Some(Output::Run(run)) = &outcome.output else { return None };
    let said = String::from_utf8_lossy(&run.stderr);
    let at = said.lines().rev().find_map(|line| line.strip_prefix("now it comes: "))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Some(now.saturating_sub(Duration::from_nanos(at.parse().ok()?)))
}
