//! A remote runtime, trusted only with its own workers.
//!
//! A remote is used only after it has identified itself as the runtime of its entry, and it must do
//! so again after every outage. Views of another runtime's workers are rejected. While it does not
//! answer, calls fail at once until the next attempt is due; a call or [`Remote::monitor`] makes
//! that attempt.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use skep_protocol::{
    Diagnostic, DiagnosticCode, Error, RuntimeHandle, RuntimeId, RuntimeView, Source, Timestamp,
    WorkerView,
};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::circuit::{Circuit, CircuitState};
use crate::{ConnectError, RemoteSpec};

/// Interval between checks of a healthy runtime.
const CALM: Duration = Duration::from_secs(5);
/// Interval between checks of a runtime that is restoring or slow.
const UNEASY: Duration = Duration::from_millis(500);
/// Unanswered checks after which the runtime counts as unavailable.
const PATIENCE: u32 = 2;

/// The known health of a remote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RemoteHealth {
    /// Last description that it returned.
    pub(crate) view: Option<RuntimeView>,
    /// True if it has identified itself since the last outage.
    pub(crate) proven: bool,
    /// True if it has another runtime's id, or returned another runtime's workers.
    pub(crate) mismatch: bool,
    /// True if it missed a deadline.
    pub(crate) slow: bool,
    /// Start of the outage.
    pub(crate) since: Option<Timestamp>,
}

/// The reason why a remote is a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RemoteEntry {
    /// The operator added it.
    Added(RemoteSpec),
    /// It made itself known.
    Discovered(RuntimeId),
}

impl RemoteEntry {
    pub(crate) fn id(&self) -> &RuntimeId {
        match self {
            Self::Added(spec) => &spec.runtime_id,
            Self::Discovered(id) => id,
        }
    }

    pub(crate) fn source(&self) -> Source {
        match self {
            Self::Added(_) => Source::Remote,
            Self::Discovered(_) => Source::Fleet,
        }
    }
}

/// One remote.
pub(crate) struct Remote {
    pub(crate) entry: RemoteEntry,
    runtime: Result<Arc<dyn RuntimeHandle>, ConnectError>,
    circuit: Mutex<Circuit>,
    health: watch::Sender<RemoteHealth>,
    /// Held by the task that asks it to identify itself. Counts unanswered attempts.
    identifying: tokio::sync::Mutex<u32>,
    changed: Notify,
    now: fn() -> Timestamp,
    deadline: Duration,
}

impl Remote {
    pub(crate) fn new(
        entry: RemoteEntry,
        runtime: Result<Arc<dyn RuntimeHandle>, ConnectError>,
        now: fn() -> Timestamp,
        deadline: Duration,
    ) -> Self {
        let since = runtime.is_err().then(now);
        Self {
            entry,
            runtime,
            circuit: Mutex::default(),
            health: watch::Sender::new(RemoteHealth { since, ..RemoteHealth::default() }),
            identifying: tokio::sync::Mutex::default(),
            changed: Notify::new(),
            now,
            deadline,
        }
    }

    pub(crate) fn id(&self) -> &RuntimeId {
        self.entry.id()
    }

    pub(crate) fn health(&self) -> RemoteHealth {
        self.health.borrow().clone()
    }

    /// Returns a receiver of health changes.
    pub(crate) fn follow(&self) -> watch::Receiver<RemoteHealth> {
        self.health.subscribe()
    }

    /// Returns the diagnostic of the current problem, if any.
    pub(crate) fn diagnostic(&self) -> Option<Diagnostic> {
        let health = self.health.borrow();
        let id = self.id();
        let (code, message) = if health.mismatch {
            let message = format!(
                "another runtime answers at the address of {id}, so it is not used; correct its entry"
            );
            (DiagnosticCode::RuntimeMismatch, message)
        } else if self.runtime.is_err() {
            let message =
                format!("the entry of {id} cannot be used; see the host's log for the reason");
            (DiagnosticCode::RuntimeUnavailable, message)
        } else if let Some(since) = health.since {
            let message = format!("{id} has not answered since {since}");
            (DiagnosticCode::RuntimeUnavailable, message)
        } else if health.slow {
            (DiagnosticCode::RuntimeSlow, format!("{id} did not answer in time"))
        } else {
            return None;
        };
        let subject = Some(id.clone().into());
        Some(Diagnostic::new(code, message, subject, (self.now)()))
    }

    /// Calls the runtime if it is available.
    pub(crate) async fn call<T, F>(
        &self,
        verb: impl FnOnce(Arc<dyn RuntimeHandle>) -> F + Send,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>> + Send,
    {
        let runtime = self.enter().await?;
        let result = verb(runtime).await;
        self.record_result(result.as_ref().err());
        result.map_err(hide_refused_token)
    }

    /// Updates the health from the result of a call or of a stream item.
    pub(crate) fn record_result(&self, error: Option<&Error>) {
        match error {
            Some(Error::RuntimeUnavailable | Error::Unauthenticated) => self.failed(),
            Some(_) | None => {
                self.health.send_if_modified(|health| std::mem::take(&mut health.slow));
            }
        }
    }

    /// Records that it missed a deadline.
    pub(crate) fn was_slow(&self) {
        let slow = |health: &mut RemoteHealth| !std::mem::replace(&mut health.slow, true);
        if self.health.send_if_modified(slow) {
            self.changed.notify_one();
        }
    }

    /// Rejects a view of another runtime's worker.
    pub(crate) fn check_owner(&self, view: &WorkerView) -> Result<(), Error> {
        if view.runtime_id == *self.id() {
            return Ok(());
        }
        self.mismatched();
        Err(Error::RuntimeUnavailable)
    }

    /// Checks the runtime periodically, until the future is dropped.
    pub(crate) async fn monitor(&self) {
        if let Err(error) = &self.runtime {
            tracing::warn!(runtime_id = %self.id(), %error, "the remote is not used");
            return;
        }
        loop {
            // If another task is already asking, that is enough.
            if let Ok(held) = self.identifying.try_lock() {
                let _seen_in_health = self.identify(held).await;
            }
            loop {
                let next = self.next_check();
                tokio::select! {
                    () = sleep_until(next) => break,
                    () = self.changed.notified() => {}
                }
            }
        }
    }

    fn next_check(&self) -> Instant {
        let due = self.circuit().due();
        let health = self.health.borrow();
        let uneasy = health.slow || health.view.as_ref().is_some_and(|view| !view.ready);
        due.unwrap_or_else(|| Instant::now() + if uneasy { UNEASY } else { CALM })
    }

    /// Returns the runtime once it has identified itself.
    async fn enter(&self) -> Result<Arc<dyn RuntimeHandle>, Error> {
        let runtime = self.runtime.as_ref().map_err(|_| Error::RuntimeUnavailable)?;
        if !self.admits_all()? {
            let due = self.circuit().due();
            let held = match due {
                Some(_) => self.identifying.try_lock().map_err(|_| Error::RuntimeUnavailable)?,
                // On first use one caller asks it to identify itself, and the others wait.
                None => return self.enter_first(runtime).await,
            };
            self.identify(held).await?;
        }
        Ok(Arc::clone(runtime))
    }

    async fn enter_first(
        &self,
        runtime: &Arc<dyn RuntimeHandle>,
    ) -> Result<Arc<dyn RuntimeHandle>, Error> {
        let held = self.identifying.lock().await;
        if !self.admits_all()? {
            self.identify(held).await?;
        }
        Ok(Arc::clone(runtime))
    }

    /// Returns true if calls may pass, false if one may try, and an error if none may.
    fn admits_all(&self) -> Result<bool, Error> {
        let state = self.circuit().state(Instant::now());
        match state {
            CircuitState::Open => Err(Error::RuntimeUnavailable),
            CircuitState::HalfOpen => Ok(false),
            CircuitState::Closed => Ok(self.health.borrow().proven),
        }
    }

    /// Asks the runtime to identify itself.
    async fn identify(
        &self,
        mut unanswered: tokio::sync::MutexGuard<'_, u32>,
    ) -> Result<(), Error> {
        let runtime = self.runtime.as_ref().map_err(|_| Error::RuntimeUnavailable)?;
        match timeout(self.deadline, runtime.describe()).await {
            Ok(Ok(view)) => {
                *unanswered = 0;
                self.described(view).map(drop)
            }
            Ok(Err(error)) => {
                *unanswered = 0;
                self.record_result(Some(&error));
                Err(hide_refused_token(error))
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

    /// Checks a description, and records it if it is from the expected runtime.
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
        let known =
            RemoteHealth { view: Some(view.clone()), proven: true, ..RemoteHealth::default() };
        self.set_health(known);
        Ok(view)
    }

    fn mismatched(&self) {
        self.open_circuit();
        let since = self.circuit().since();
        self.set_health(RemoteHealth {
            view: None,
            proven: false,
            mismatch: true,
            slow: false,
            since,
        });
    }

    fn failed(&self) {
        self.open_circuit();
        let since = self.circuit().since();
        let RemoteHealth { view, mismatch, .. } = self.health();
        self.set_health(RemoteHealth { view, proven: false, mismatch, slow: false, since });
    }

    fn open_circuit(&self) {
        // Without randomness, retries of several hosts are merely not spread out.
        let random = getrandom::u32().map_or(1.0, |n| f64::from(n) / f64::from(u32::MAX));
        self.circuit().failed(Instant::now(), (self.now)(), random);
        self.changed.notify_one();
    }

    fn set_health(&self, known: RemoteHealth) {
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

/// Translates an error for the caller. A refused token is the registry's, not the caller's, so it
/// must not look like a failed login.
fn hide_refused_token(error: Error) -> Error {
    match error {
        Error::Unauthenticated => Error::RuntimeUnavailable,
        other => other,
    }
}
