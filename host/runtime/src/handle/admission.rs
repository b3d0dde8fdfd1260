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
use crate::roster::machine::{Admitted, Refused};
use crate::roster::worker::{Progress, Waiting, Worker};
use crate::turn::run::Run;

/// The delay after which a full mailbox is worth another try.
const RETRY: Duration = Duration::from_secs(1);

/// What became of an input that was sent.
pub(super) enum Admission {
    /// It has not ended.
    Waiting(watch::Receiver<Progress>),
    /// The same was sent before, and has ended.
    Ended(Box<InputRecord>),
}

impl Embedded {
    pub(super) fn admit(
        &self,
        cell: &Arc<Worker>,
        payload: Payload,
        key: Option<skep_protocol::IdempotencyKey>,
        sender: Option<skep_protocol::TokenId>,
        waits: bool,
    ) -> Result<(InputId, Admission), Error> {
        let inner = &self.0;
        let bytes = payload.body.len() as u64;
        let content_digest = content_digest(&payload);
        let id = new_input_id()?;
        let mut state = cell.state();
        if state.removed {
            return Err(Error::WorkerRemoved);
        }
        if bytes > state.limits.input_bytes {
            let (name, limit) = (LimitName::input_bytes, state.limits.input_bytes);
            return Err(Error::LimitExceeded { name, limit });
        }
        if let Some(key) = &key {
            // Under the lock: what is not in the mailbox any more is on disk.
            if let Some((id, waiting)) = state.with_key(key) {
                if waiting.content_digest != content_digest {
                    return Err(Conflict::IdempotencyKey.into());
                }
                return Ok((id, Admission::Waiting(waiting.progress.subscribe())));
            }
            let oldest = state.limits.idempotency_ms;
            let known = inner.store.input_by_key(cell.number, key, now(), oldest);
            if let Some(known) = known.map_err(|error| inner.fault(error))? {
                if known.content_digest != content_digest {
                    return Err(Conflict::IdempotencyKey.into());
                }
                return Ok((known.id, Admission::Ended(Box::new(known))));
            }
        }
        if cell.kind == ComponentKind::Command {
            Run::parse(&payload)?;
        }
        if inner.is_closing() || inner.residency.is_overrun() {
            return Err(inner.busy());
        }
        let admitted =
            state.machine.admit(bytes, waits, &state.limits).map_err(|refused| match refused {
                Refused::Stopped => Error::WorkerStopped,
                Refused::Failed => Conflict::WorkerFailed.into(),
                Refused::Closing => inner.busy(),
                Refused::Full(name) => Error::MailboxFull { name, retry_after: RETRY },
            })?;
        state.machine.enqueue(id, bytes, admitted);
        let (done, progress) = watch::channel(Progress::Pending);
        let payload = Some(payload);
        let waiting = Waiting { payload, content_digest, key, sender, progress: done };
        let accept = match admitted {
            Admitted::Held => None,
            Admitted::First => Some(waiting.acceptance(id, 1)),
            Admitted::Behind => Some(waiting.acceptance(id, 0)),
        };
        state.inputs.insert(id, waiting);
        match accept {
            None => {
                drop(state);
                inner.drive(cell);
            }
            Some(accept) if state.machine.is_ahead() || !state.behind.is_empty() => {
                state.behind.push((id, accept));
            }
            Some(accept) => {
                inner.submit_held(cell, &mut state);
                inner.submit(cell, id, accept);
            }
        }
        Ok((id, Admission::Waiting(progress)))
    }
}

fn content_digest(payload: &Payload) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(payload.content_type.as_bytes());
    hash.update([0]);
    hash.update(&payload.body);
    hash.finalize().into()
}
