//! Admission of an input to a worker's queue.

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use skep_protocol::{ComponentKind, Conflict, Error, InputId, LimitName, Payload};
use skep_store::record::InputRecord;
use tokio::sync::watch;

use crate::clock::now;
use crate::embedded::Embedded;
use crate::roster::core::new_input_id;
use crate::roster::machine::{AdmitError, AdmittedAs};
use crate::roster::worker::{InputProgress, PendingInput, Worker};
use crate::turn::run::RunSpec;

/// Delay after which a caller may retry on a full mailbox.
const RETRY: Duration = Duration::from_secs(1);

/// The result of sending an input.
pub(super) enum Admission {
    /// The input has not ended.
    Pending(watch::Receiver<InputProgress>),
    /// The same input was sent before and has ended.
    Ended(Box<InputRecord>),
}

impl Embedded {
    pub(super) fn admit(
        &self,
        worker: &Arc<Worker>,
        payload: Payload,
        key: Option<skep_protocol::IdempotencyKey>,
        sender: Option<skep_protocol::TokenId>,
        waits: bool,
    ) -> Result<(InputId, Admission), Error> {
        let core = &self.0;
        let bytes = payload.body.len() as u64;
        let content_digest = content_digest(&payload);
        let id = new_input_id()?;
        let mut state = worker.state();
        if state.removed {
            return Err(Error::WorkerRemoved);
        }
        if bytes > state.limits.input_bytes {
            let (name, limit) = (LimitName::input_bytes, state.limits.input_bytes);
            return Err(Error::LimitExceeded { name, limit });
        }
        if let Some(key) = &key {
            // Checked under the lock: an input that has left the mailbox is on disk.
            if let Some((id, pending)) = state.with_key(key) {
                if pending.content_digest != content_digest {
                    return Err(Conflict::IdempotencyKey.into());
                }
                return Ok((id, Admission::Pending(pending.progress.subscribe())));
            }
            let oldest = state.limits.idempotency_ms;
            let known = core.store.input_by_key(worker.number, key, now(), oldest);
            if let Some(known) = known.map_err(|error| core.fault(error))? {
                if known.content_digest != content_digest {
                    return Err(Conflict::IdempotencyKey.into());
                }
                return Ok((known.id, Admission::Ended(Box::new(known))));
            }
        }
        if worker.kind == ComponentKind::Command {
            RunSpec::parse(&payload)?;
        }
        if core.is_closing() || core.residency.is_overloaded() {
            return Err(core.busy());
        }
        let admitted =
            state.machine.admit(bytes, waits, &state.limits).map_err(|refused| match refused {
                AdmitError::Stopped => Error::WorkerStopped,
                AdmitError::Failed => Conflict::WorkerFailed.into(),
                AdmitError::Closing => core.busy(),
                AdmitError::Full(name) => Error::MailboxFull { name, retry_after: RETRY },
            })?;
        state.machine.enqueue(id, bytes, admitted);
        let (done, progress) = watch::channel(InputProgress::Pending);
        let payload = Some(payload);
        let pending = PendingInput { payload, content_digest, key, sender, progress: done };
        let accept = match admitted {
            AdmittedAs::Held => None,
            AdmittedAs::First => Some(pending.acceptance(id, 1)),
            AdmittedAs::Behind => Some(pending.acceptance(id, 0)),
        };
        state.inputs.insert(id, pending);
        match accept {
            None => {
                drop(state);
                core.drive(worker);
            }
            Some(accept) if state.machine.is_ahead() || !state.behind.is_empty() => {
                state.behind.push((id, accept));
            }
            Some(accept) => {
                core.submit_held(worker, &mut state);
                core.submit(worker, id, accept);
            }
        }
        Ok((id, Admission::Pending(progress)))
    }
}

fn content_digest(payload: &Payload) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(payload.content_type.as_bytes());
    hash.update([0]);
    hash.update(&payload.body);
    hash.finalize().into()
}
