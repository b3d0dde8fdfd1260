//! `skep:worker`: the imports of a service, implemented with its current turn.

use skep_protocol::LimitName;

use self::bindings::skep::worker::{config, context, state, transcript};
use super::world::World;
use crate::guest::turn::RecordError;
use crate::limits::past::PastLimit;
use crate::wasi::lifecycle::NO_STATE;

pub(crate) mod bindings {
    wasmtime::component::bindgen!({
        path: "../../wit",
        inline: "
            package skep:host;
            world service {
                import skep:worker/context@0.1.0;
                import skep:worker/config@0.1.0;
                import skep:worker/state@0.1.0;
                import skep:worker/transcript@0.1.0;
                import skep:worker/fetch@0.1.0;
                export skep:worker/handler@0.1.0;
            }
        ",
        world: "skep:host/service",
        imports: {
            // Only these calls wait. An async host call costs more than a synchronous one.
            "skep:worker/transcript.emit": async | trappable,
            "skep:worker/fetch.send": async | trappable,
            default: trappable,
        },
        exports: { default: async },
        // An input is lowered from where it lies.
        ownership: Borrowing { duplicate_if_necessary: true },
    });
}

/// Maximum keys or entries returned by one call.
const PAGE: usize = 1_000;

/// Maximum bytes of a key.
const KEY_BYTES: usize = 512;

impl context::Host for World {
    fn runtime_id(&mut self) -> wasmtime::Result<String> {
        Ok(self.turn.identity().runtime_id.clone())
    }

    fn worker_id(&mut self) -> wasmtime::Result<String> {
        Ok(self.turn.identity().worker_id.clone())
    }

    fn input_id(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(self.turn.identity().input_id.clone())
    }

    fn attempt(&mut self) -> wasmtime::Result<u32> {
        Ok(self.turn.identity().attempt)
    }

    fn remaining_ms(&mut self) -> wasmtime::Result<Option<u64>> {
        // A deterministic run must not see the host's time in any form.
        if self.clocks.is_virtual() {
            return Ok(None);
        }
        let millis = self.remaining().map(|left| left.as_millis());
        Ok(millis.map(|millis| u64::try_from(millis).unwrap_or(u64::MAX)))
    }
}

impl config::Host for World {
    fn get(&mut self, key: String) -> wasmtime::Result<Option<String>> {
        Ok(World::config(self, &key))
    }

    fn get_all(&mut self) -> wasmtime::Result<Vec<(String, String)>> {
        Ok(World::config_all(self))
    }
}

impl state::Host for World {
    fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<Vec<u8>>, state::Error>> {
        Ok(valid_key(&key).and_then(|()| self.turn.state_get(&key)).map_err(Into::into))
    }

    fn set(&mut self, key: String, value: Vec<u8>) -> wasmtime::Result<Result<(), state::Error>> {
        changed(self.writable(&key).and_then(|()| self.turn.state_set(&key, value)))
    }

    fn delete(&mut self, key: String) -> wasmtime::Result<Result<bool, state::Error>> {
        changed(self.writable(&key).and_then(|()| self.turn.state_delete(&key)))
    }

    fn list(
        &mut self,
        prefix: String,
        cursor: Option<String>,
    ) -> wasmtime::Result<Result<state::Keys, state::Error>> {
        let keys = self.turn.state_list(&prefix, cursor.as_deref(), PAGE);
        Ok(keys.map_err(Into::into).map(|keys| state::Keys {
            next: keys.last().filter(|_| keys.len() == PAGE).cloned(),
            keys,
        }))
    }
}

impl World {
    fn writable(&self, key: &str) -> Result<(), RecordError> {
        if self.in_hook {
            return Err(RecordError::Unavailable(NO_STATE.into()));
        }
        valid_key(key)
    }
}

/// A guest that reaches a size limit gets an error. A guest that changes too many keys is ended.
fn changed<T>(done: Result<T, RecordError>) -> wasmtime::Result<Result<T, state::Error>> {
    match done {
        Err(RecordError::Limit { name: name @ LimitName::state_changes_per_turn, .. }) => {
            Err(PastLimit(name).into())
        }
        done => Ok(done.map_err(Into::into)),
    }
}

/// Maximum bytes of a media type. All registered ones are shorter.
const CONTENT_TYPE_BYTES: usize = 255;

fn valid_key(key: &str) -> Result<(), RecordError> {
    if key.is_empty() || key.len() > KEY_BYTES { Err(RecordError::InvalidName) } else { Ok(()) }
}

impl transcript::Host for World {
    async fn emit(
        &mut self,
        kind: String,
        content_type: String,
        body: Vec<u8>,
    ) -> wasmtime::Result<Result<(), transcript::Error>> {
        let limit = self.limits.event_bytes;
        let emitted = if !is_event_kind(&kind) {
            Err(RecordError::InvalidName)
        } else if body.len() as u64 > limit || content_type.len() > CONTENT_TYPE_BYTES {
            Err(RecordError::Limit { name: LimitName::event_bytes, limit })
        } else {
            self.turn.emit(&kind, &content_type, body).await
        };
        Ok(emitted.map_err(Into::into))
    }

    fn read(
        &mut self,
        after: u64,
        limit: u32,
    ) -> wasmtime::Result<Result<transcript::Page, transcript::Error>> {
        let limit = (limit as usize).min(PAGE);
        let read = self.turn.read(after, limit);
        Ok(read.map_err(Into::into).map(|page| transcript::Page {
            next: page.entries.last().filter(|_| page.more).map(|entry| entry.seq),
            entries: page
                .entries
                .into_iter()
                .map(|entry| transcript::Entry {
                    seq: entry.seq,
                    at_ms: u64::try_from(entry.at.as_millis()).unwrap_or(u64::MAX),
                    kind: entry.kind,
                    event: entry.event,
                    input_id: entry.input_id,
                    content_type: entry.content_type,
                    body: entry.body,
                })
                .collect(),
        }))
    }
}

fn is_event_kind(kind: &str) -> bool {
    let allowed = |c| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.');
    (1..=64).contains(&kind.len()) && kind.bytes().all(allowed)
}

impl From<RecordError> for state::Error {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::Limit { limit, .. } => Self::TooLarge(limit),
            RecordError::InvalidName => Self::InvalidKey,
            RecordError::Unavailable(what) => Self::Unavailable(what),
        }
    }
}

impl From<RecordError> for transcript::Error {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::Limit { name: LimitName::events_per_turn, limit } => Self::TooMany(limit),
            RecordError::Limit { limit, .. } => Self::TooLarge(limit),
            RecordError::InvalidName => Self::InvalidKind,
            RecordError::Unavailable(what) => Self::Unavailable(what),
        }
    }
}
