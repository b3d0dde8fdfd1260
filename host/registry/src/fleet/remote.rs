//! A runtime in another process, trusted with no more than its own workers.
//!
//! Before anything is asked of it, it has to say that it is the runtime that its entry is pinned to;
//! after it was away, again. What it then says of another runtime's workers is not believed. Where
//! it does not answer, callers are told so at once until it is due to be tried: by whoever wants
//! something of it then, or by [`Remote::look_after`].

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use skep_protocol::{
    Diagnostic, DiagnosticCode, Error, RuntimeHandle, RuntimeId, RuntimeView, Timestamp, WorkerView,
};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::circuit::{Circuit, State};
use crate::{ConnectError, RemoteSpec};

/// Between two looks at a runtime that answers.
const CALM: Duration = Duration::from_secs(5);
/// Between two looks at one that is restoring or slow.
const UNEASY: Duration = Duration::from_millis(500);
/// Looks that may end without an answer before the runtime is said not to answer.
const PATIENCE: u32 = 2;

/// What is known of a remote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Health {
    /// What it last said of itself.
    pub(crate) view: Option<RuntimeView>,
    /// It has said who it is, and has not been away since.
    pub(crate) proven: bool,
    /// It answers with another runtime's id, or speaks of another's workers.
    pub(crate) mismatch: bool,
    /// It did not answer in time.
    pub(crate) slow: bool,
    /// Since when it does not answer.
    pub(crate) since: Option<Timestamp>,
}

/// One remote.
pub(crate) struct Remote {
    pub(crate) spec: RemoteSpec,
    runtime: Result<Arc<dyn RuntimeHandle>, ConnectError>,
    circuit: Mutex<Circuit>,
    health: watch::Sender<Health>,
    /// Held by the one who asks it who it is.
    proving: tokio::sync::Mutex<u32>,
    changed: Notify,
    now: fn() -> Timestamp,
    deadline: Duration,
}

impl Remote {
    pub(crate) fn new(
        spec: RemoteSpec,
        runtime: Result<Arc<dyn RuntimeHandle>, ConnectError>,
        now: fn() -> Timestamp,
        deadline: Duration,
    ) -> Self {
        let since = runtime.is_err().then(now);
        Self {
            spec,
            runtime,
            circuit: Mutex::default(),
            health: watch::Sender::new(Health { since, ..Health::default() }),
            proving: tokio::sync::Mutex::default(),
            changed: Notify::new(),
            now,
            deadline,
        }
    }

    pub(crate) fn id(&self) -> &RuntimeId {
        &self.spec.runtime_id
    }

    pub(crate) fn health(&self) -> Health {
        self.health.borrow().clone()
    }

    /// Tells whenever something else is known.
    pub(crate) fn follow(&self) -> watch::Receiver<Health> {
        self.health.subscribe()
    }

    /// What an operator should know of it.
    pub(crate) fn diagnostic(&self) -> Option<Diagnostic> {
        let health = self.health.borrow();
        let id = self.id();
        let (code, message) = if health.mismatch {
            let message = format!(
                "what answers for {id} is another runtime, so it is not used; see to its entry"
            );
            (DiagnosticCode::RuntimeMismatch, message)
        } else if self.runtime.is_err() {
            let message = format!("the entry of {id} cannot be used; the host's log says why");
            (DiagnosticCode::RuntimeUnavailable, message)
        } else if let Some(since) = health.since {
            let message = format!("{id} does not answer since {since}");
            (DiagnosticCode::RuntimeUnavailable, message)
        } else if health.slow {
            (DiagnosticCode::RuntimeSlow, format!("{id} did not answer in time"))
        } else {
            return None;
        };
        let subject = Some(id.clone().into());
        Some(Diagnostic::new(code, message, subject, (self.now)()))
    }

    /// Does something with the runtime, if it is there.
    pub(crate) async fn call<T, F>(
        &self,
        verb: impl FnOnce(Arc<dyn RuntimeHandle>) -> F + Send,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>> + Send,
    {
        let runtime = self.enter().await?;
        let result = verb(runtime).await;
        self.heard(result.as_ref().err());
        result.map_err(told)
    }

    /// What a call, or a part of a stream, says of the runtime.
    pub(crate) fn heard(&self, error: Option<&Error>) {
        match error {
            Some(Error::RuntimeUnavailable | Error::Unauthenticated) => self.failed(),
            Some(_) | None => {
                self.health.send_if_modified(|health| std::mem::take(&mut health.slow));
            }
        }
    }

    /// It did not answer a list in time.
    pub(crate) fn was_slow(&self) {
        let slow = |health: &mut Health| !std::mem::replace(&mut health.slow, true);
        if self.health.send_if_modified(slow) {
            self.changed.notify_one();
        }
    }

    /// Refuses a view of another runtime's worker.
    pub(crate) fn check_owner(&self, view: &WorkerView) -> Result<(), Error> {
        if view.runtime_id == *self.id() {
            return Ok(());
        }
        self.mismatched();
        Err(Error::RuntimeUnavailable)
    }

    /// Looks at it now and then, until that is dropped.
    pub(crate) async fn look_after(&self) {
        if let Err(error) = &self.runtime {
            tracing::warn!(runtime_id = %self.id(), %error, "the remote is not used");
            return;
        }
        loop {
            // Somebody else may be asking; then that is as good.
            if let Ok(held) = self.proving.try_lock() {
                let _seen_in_health = self.prove(held).await;
            }
            loop {
                let next = self.next_look();
                tokio::select! {
                    () = sleep_until(next) => break,
                    () = self.changed.notified() => {}
                }
            }
        }
    }

    fn next_look(&self) -> Instant {
        let due = self.circuit().due();
        let health = self.health.borrow();
        let uneasy = health.slow || health.view.as_ref().is_some_and(|view| !view.ready);
        due.unwrap_or_else(|| Instant::now() + if uneasy { UNEASY } else { CALM })
    }

    /// The runtime, if it is known to be the one.
    async fn enter(&self) -> Result<Arc<dyn RuntimeHandle>, Error> {
        let runtime = self.runtime.as_ref().map_err(|_| Error::RuntimeUnavailable)?;
        if !self.is_open_to_all()? {
            let due = self.circuit().due();
            let held = match due {
                Some(_) => self.proving.try_lock().map_err(|_| Error::RuntimeUnavailable)?,
                // It was never asked: whoever comes first asks, and the others wait for that.
                None => return self.enter_first(runtime).await,
            };
            self.prove(held).await?;
        }
        Ok(Arc::clone(runtime))
    }

    async fn enter_first(
        &self,
        runtime: &Arc<dyn RuntimeHandle>,
    ) -> Result<Arc<dyn RuntimeHandle>, Error> {
        let held = self.proving.lock().await;
        if !self.is_open_to_all()? {
            self.prove(held).await?;
        }
        Ok(Arc::clone(runtime))
    }

    /// Whether anybody may go on; an error where nobody may.
    fn is_open_to_all(&self) -> Result<bool, Error> {
        let state = self.circuit().state(Instant::now());
        match state {
            State::Open => Err(Error::RuntimeUnavailable),
            State::HalfOpen => Ok(false),
            State::Closed => Ok(self.health.borrow().proven),
        }
    }

    /// Asks it who it is.
    async fn prove(&self, mut unanswered: tokio::sync::MutexGuard<'_, u32>) -> Result<(), Error> {
        let runtime = self.runtime.as_ref().map_err(|_| Error::RuntimeUnavailable)?;
        match timeout(self.deadline, runtime.describe()).await {
            Ok(Ok(view)) => {
                *unanswered = 0;
                self.described(view).map(drop)
            }
            Ok(Err(error)) => {
                *unanswered = 0;
                self.heard(Some(&error));
                Err(told(error))
            }
            Err(_) => {
                *unanswered += 1;
                if *unanswered < PATIENCE && self.circuit().due().is_none() {
                    self.was_slow();
                } else {
                    self.failed();
                }
                Err(Error::RuntimeUnavailable)
            }
        }
    }

    /// It said who it is.
    pub(crate) fn described(&self, mut view: RuntimeView) -> Result<RuntimeView, Error> {
        if view.runtime_id != *self.id() {
            self.mismatched();
            return Err(Error::RuntimeUnavailable);
        }
        let plain = |c: char| c.is_ascii_graphic() || c == ' ';
        if view.version.len() > 64 || !view.version.chars().all(plain) {
            view.version = String::new();
        }
        self.circuit().succeeded();
        let known = Health { view: Some(view.clone()), proven: true, ..Health::default() };
        self.know(known);
        Ok(view)
    }

    fn mismatched(&self) {
        self.open();
        let since = self.circuit().since();
        self.know(Health { view: None, proven: false, mismatch: true, slow: false, since });
    }

    fn failed(&self) {
        self.open();
        let since = self.circuit().since();
        let Health { view, mismatch, .. } = self.health();
        self.know(Health { view, proven: false, mismatch, slow: false, since });
    }

    fn open(&self) {
        // Without randomness all that is lost is that those who ask do not spread.
        let random = getrandom::u32().map_or(1.0, |n| f64::from(n) / f64::from(u32::MAX));
        self.circuit().failed(Instant::now(), (self.now)(), random);
        self.changed.notify_one();
    }

    fn know(&self, known: Health) {
        self.health.send_if_modified(|health| {
            let news = *health != known;
            if health.since.is_some() != known.since.is_some() || health.mismatch != known.mismatch
            {
                let (away, mismatch) = (known.since.is_some(), known.mismatch);
                tracing::info!(runtime_id = %self.id(), away, mismatch, "remote");
            }
            *health = known;
            news
        });
    }

    fn circuit(&self) -> MutexGuard<'_, Circuit> {
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a caller hears. That the runtime does not take the registry's token is nothing about the
/// caller's own.
fn told(error: Error) -> Error {
    match error {
        Error::Unauthenticated => Error::RuntimeUnavailable,
        other => other,
    }
}
