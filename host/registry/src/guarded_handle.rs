//! A runtime handle restricted to one caller.
//!
//! Changes run in a task of their own: a caller that disconnects cannot keep a change out of the
//! audit.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::{Stream, StreamExt, stream};
use skep_protocol::step::{STEP_DEADLINE_MS, StepSpec};
use skep_protocol::*;
use tracing::Instrument;

use crate::{Access, Audit, AuditRecord, Caller, Policy};

/// The policy, audit and tokens that every restricted handle shares.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) policy: Arc<dyn Policy>,
    pub(crate) audit: Arc<dyn Audit>,
    pub(crate) access: Access,
    pub(crate) now: fn() -> Timestamp,
}

/// The target of a handle, as one caller sees it.
#[derive(Clone)]
pub(crate) enum HandleTarget {
    /// A visible runtime.
    Seen(Arc<dyn RuntimeHandle>),
    /// A runtime that the caller may not see. It answers like a missing one.
    Unseen,
    /// No runtime.
    Missing,
}

/// A runtime handle restricted to one caller.
#[derive(Clone)]
pub(crate) struct GuardedHandle {
    pub(crate) gate: Gate,
    pub(crate) caller: Caller,
    pub(crate) runtime_id: RuntimeId,
    pub(crate) target: HandleTarget,
}

impl GuardedHandle {
    /// Returns the runtime if the caller may see it and has the role.
    fn enter(&self, needs: Role) -> Result<&Arc<dyn RuntimeHandle>, Error> {
        let HandleTarget::Seen(runtime) = &self.target else {
            return Err(Error::UnknownRuntime(self.runtime_id.clone()));
        };
        self.gate.policy.allows(&self.caller, needs)?;
        Ok(runtime)
    }

    /// Runs a change and records it in the audit, in a task of its own: a caller that disconnects
    /// cannot keep it out of the audit.
    async fn change<A: Send + 'static, T: Answer>(
        &self,
        action: Action,
        mut invocation: Invocation<A, T>,
    ) -> Result<T, Error> {
        let guarded = self.clone();
        let change = async move {
            let worker = invocation.verb().worker();
            let states = guarded.audited(invocation.verb()).await;
            let mut result = guarded.run(Role::Operator, invocation).await;
            let made = || result.as_mut().ok()?.workers().first().map(|view| view.worker_id);
            let worker = worker.or_else(made);
            let mut record = guarded.record(action, worker, result.as_ref().err());
            (record.before, record.after) = states;
            match (result, guarded.gate.audit.record(record).await) {
                (Ok(_), Err(error)) => Err(error),
                (result, _) => result,
            }
        };
        let task = tokio::spawn(change.in_current_span());
        task.await.unwrap_or_else(|error| {
            tracing::error!(panicked = error.is_panic(), "a change did not complete");
            Err(Error::Internal)
        })
    }

    /// Forwards a verb to the runtime, if the caller has the role and the policy allows it.
    async fn run<A: Send + 'static, T: Answer>(
        &self,
        needs: Role,
        mut invocation: Invocation<A, T>,
    ) -> Result<T, Error> {
        let runtime = self.enter(needs)?;
        self.check(&**runtime, invocation.verb()).await?;
        invocation.forward(runtime.clone()).await
    }

    /// Checks the verbs that need more than a role, and limits their arguments to what the caller
    /// may request.
    async fn check(&self, runtime: &dyn RuntimeHandle, verb: Verb<'_>) -> Result<(), Error> {
        match verb {
            Verb::create { request } => self.gate.policy.allows_spec(&self.caller, &request.spec),
            Verb::fork { worker, request } => self.check_fork(runtime, *worker, request).await,
            Verb::update { worker, change } => self.check_update(runtime, *worker, change).await,
            Verb::rollback { worker } => self.may_run_in(runtime, *worker).await,
            Verb::send { input, .. } => {
                // Another registry may name the sender of an input that it forwards; it has an
                // admin's token.
                if input.sender.is_none() || self.caller.role < Role::Admin {
                    input.sender = self.caller.token_id.clone();
                }
                Ok(())
            }
            Verb::put_component { by, .. } => {
                *by = (*by).min(self.caller.role);
                Ok(())
            }
            Verb::start_step { request, by } => {
                *by = (*by).min(self.caller.role);
                self.check_step(&request.step)
            }
            _ => Ok(()),
        }
    }

    /// Checks a step like a new worker with the same grants and limits.
    fn check_step(&self, step: &StepSpec) -> Result<(), Error> {
        let (policy, caller) = (&self.gate.policy, &self.caller);
        let grants = Grants {
            http: step.http.clone(),
            secrets: step.secrets.iter().cloned().collect(),
            ..Grants::default()
        };
        policy.allows_grants(caller, &Grants::default(), &grants)?;
        let mut limits = step.limits.clone();
        limits.0.retain(|name, value| {
            *name != LimitName::turn_deadline_ms || *value > STEP_DEADLINE_MS
        });
        policy.allows_limits(caller, &LimitChanges::default(), &limits)
    }

    /// Checks a copy like a new worker with the same limits. A copy has no grants.
    async fn check_fork(
        &self,
        runtime: &dyn RuntimeHandle,
        worker: WorkerId,
        request: &mut ForkWorker,
    ) -> Result<(), Error> {
        if self.caller.role >= Role::Admin {
            return Ok(());
        }
        let spec = request.spec(&runtime.get(worker).await?.spec);
        self.gate.policy.allows_spec(&self.caller, &spec)?;
        // Whatever the worker's limits are by then, the copy gets the ones that were checked.
        request.limits = Some(spec.limits);
        Ok(())
    }

    async fn check_update(
        &self,
        runtime: &dyn RuntimeHandle,
        worker: WorkerId,
        change: &mut WorkerChange,
    ) -> Result<(), Error> {
        let decides = change.component.is_some() || change.config.is_some();
        let permits = change.grants.is_some() || change.limits.is_some();
        if self.caller.role >= Role::Admin || !(decides || permits) {
            return Ok(());
        }
        let before = runtime.get(worker).await?.spec;
        let policy = &self.gate.policy;
        if decides {
            policy.allows_spec(&self.caller, &before)?;
        }
        if let Some(grants) = &change.grants {
            policy.allows_grants(&self.caller, &before.grants, grants)?;
        }
        if let Some(limits) = &change.limits {
            policy.allows_limits(&self.caller, &before.limits, limits)?;
        }
        change.check_before(&before)?;
        // The policy allowed this change for these grants and limits. If they change before the
        // update, the runtime refuses it.
        change.grants_before = Some(before.grants);
        change.limits_before = Some(before.limits);
        Ok(())
    }

    fn record(
        &self,
        action: Action,
        worker_id: Option<WorkerId>,
        error: Option<&Error>,
    ) -> AuditRecord {
        let unseen = matches!(self.target, HandleTarget::Unseen);
        let outcome = match worker_id {
            Some(worker) if unseen => audit_word(Some(&Error::WorkerNotVisible(worker))),
            _ => audit_word(error),
        };
        AuditRecord {
            at: (self.gate.now)(),
            token_id: self.caller.token_id.clone(),
            action,
            runtime_id: Some(self.runtime_id.clone()),
            worker_id,
            outcome,
            before: None,
            after: None,
        }
    }

    /// Returns the audited parts of a worker or step before a change, and as the change asks for
    /// them. What the worker has is read only if the change may be made and names such a part.
    async fn audited(&self, verb: Verb<'_>) -> (Option<AuditedState>, Option<AuditedState>) {
        match verb {
            Verb::create { request } => {
                let spec = request.spec.clone();
                let after = AuditedState {
                    grants: Some(spec.grants).filter(|grants| *grants != Grants::default()),
                    limits: Some(spec.limits).filter(|limits| !limits.0.is_empty()),
                    labels: Some(spec.labels).filter(|labels| *labels != Labels::default()),
                    ..AuditedState::default()
                };
                (None, Some(after).filter(|after| *after != AuditedState::default()))
            }
            Verb::update { worker, change } => {
                let after = AuditedState {
                    grants: change.grants.clone(),
                    limits: change.limits.clone(),
                    labels: change.labels.clone(),
                    ..AuditedState::default()
                };
                if after == AuditedState::default() {
                    return (None, None);
                }
                let had = match self.enter(Role::Operator) {
                    Ok(runtime) => runtime.get(*worker).await.ok(),
                    Err(_) => None,
                };
                let before = had.map(|view| AuditedState {
                    grants: after.grants.as_ref().map(|_| view.spec.grants),
                    limits: after.limits.as_ref().map(|_| view.spec.limits),
                    labels: after.labels.as_ref().map(|_| view.spec.labels),
                    ..AuditedState::default()
                });
                (before, Some(after))
            }
            Verb::start_step { request, .. } => {
                let step = Some(AuditedStep::of(&request.run, &request.step));
                (None, Some(AuditedState { step, ..AuditedState::default() }))
            }
            _ => (None, None),
        }
    }

    /// Checks that the caller may decide what runs in that worker, which may have more grants than
    /// the caller could give it.
    async fn may_run_in(&self, runtime: &dyn RuntimeHandle, worker: WorkerId) -> Result<(), Error> {
        if self.caller.role >= Role::Admin {
            return Ok(());
        }
        self.gate.policy.allows_spec(&self.caller, &runtime.get(worker).await?.spec)
    }

    /// Ends the stream when the caller's token ends.
    fn while_valid<T: Send + 'static>(
        &self,
        items: Pin<Box<dyn Stream<Item = Result<T, Error>> + Send>>,
    ) -> Pin<Box<dyn Stream<Item = Result<T, Error>> + Send>> {
        while_valid(&self.gate.access, &self.caller, items)
    }
}

/// Ends a stream when the caller's token or session ends.
pub(crate) fn while_valid<T: Send + 'static>(
    access: &Access,
    caller: &Caller,
    items: Pin<Box<dyn Stream<Item = Result<T, Error>> + Send>>,
) -> Pin<Box<dyn Stream<Item = Result<T, Error>> + Send>> {
    if caller.token_id.is_none() && caller.session_id.is_none() {
        return items;
    }
    let (access, caller) = (access.clone(), caller.clone());
    let following = access.clone();
    let ended = Box::pin(async move { following.ended(caller).await });
    stream::unfold(Some((items, ended, access)), |open| async move {
        let (mut items, mut ended, access) = open?;
        // A reader may have paused for longer than what is known counts.
        if let Err(error) = access.fresh().await {
            return Some((Err(error), None));
        }
        tokio::select! {
            biased;
            error = &mut ended => Some((Err(error), None)),
            item = items.next() => item.map(|item| (item, Some((items, ended, access)))),
        }
    })
    .boxed()
}

impl Layer for GuardedHandle {
    async fn pass<A: Send + 'static, T: Answer>(
        &self,
        mut invocation: Invocation<A, T>,
    ) -> Result<T, Error> {
        let answer = match invocation.verb().effect() {
            Effect::Read => self.run(Role::Viewer, invocation).await?,
            Effect::Act => self.run(Role::Operator, invocation).await?,
            Effect::Change(action) => self.change(action, invocation).await?,
        };
        let answer = answer.map_entries(|entries| self.while_valid(entries));
        Ok(answer.map_changes(|changes| self.while_valid(changes)))
    }
}
