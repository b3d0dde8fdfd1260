//! The verbs of turns.

use std::time::Duration;

use async_trait::async_trait;
use skep_protocol::*;

use super::follow;
use crate::fake::disk::{Disk, InputRow, Row};
use crate::fake::{FakeRuntime, guest, now, unique};

/// Accepts an input, or finds the one with its key.
fn accept(row: &mut Row, input: NewInput) -> Result<InputId, Error> {
    let limits = row.limits();
    if row.kind == ComponentKind::Command {
        guest::run_request(&input.payload)?;
    }
    let fresh = now().as_millis().saturating_sub(limits.idempotency_ms);
    row.keys.retain(|(_, _, at)| at.as_millis() > fresh);
    if let Some(key) = &input.key
        && let Some((_, known, _)) = row.keys.iter().find(|(known, _, _)| known == key)
    {
        let known = *known;
        let same = row.input(known)?.payload == input.payload;
        return if same { Ok(known) } else { Err(Conflict::IdempotencyKey.into()) };
    }
    if row.desired == Desired::Stopped {
        return Err(Error::WorkerStopped);
    }
    if matches!(row.observed, Observed::Failed { .. }) {
        return Err(Conflict::WorkerFailed.into());
    }
    let bytes = input.payload.body.len() as u64;
    if bytes > limits.input_bytes {
        return Err(Error::LimitExceeded {
            name: LimitName::input_bytes,
            limit: limits.input_bytes,
        });
    }
    let waiting = row.unfinished().map(|input| input.payload.body.len() as u64).sum::<u64>();
    let full = |name| Err(Error::MailboxFull { name, retry_after: Duration::from_secs(1) });
    if row.unfinished().count() as u64 >= limits.mailbox_inputs {
        return full(LimitName::mailbox_inputs);
    }
    if waiting + bytes > limits.mailbox_bytes {
        return full(LimitName::mailbox_bytes);
    }
    let id = InputId::new(now().as_millis(), unique());
    let body = input.payload.body.clone();
    let entry = row.append(EntryKind::Input, Some(id), None, None, body.to_vec());
    entry.payload.content_type.clone_from(&input.payload.content_type);
    let seq = entry.seq;
    let (payload, state) = (input.payload, InputState::Queued);
    row.inputs.push(InputRow {
        id,
        seq,
        payload,
        state,
        attempt: 0,
        started_at: None,
        outcome: None,
    });
    if let Some(key) = input.key {
        row.keys.push_back((key, id, now()));
        while row.keys.len() as u64 > limits.idempotency_keys {
            row.keys.pop_front();
        }
    }
    Ok(id)
}

#[async_trait]
impl Turns for FakeRuntime {
    async fn send(&self, worker: WorkerId, input: NewInput) -> Result<Sent, Error> {
        let wait = input.wait;
        let sent = self.with(|disk| {
            let row = disk.worker(worker)?;
            let id = accept(row, input)?;
            let sent = row.input(id)?.sent();
            disk.touch(worker)?;
            self.pump(disk, worker);
            Ok::<_, Error>(sent)
        })??;
        let (id, wait) = match (&sent, wait) {
            (Sent::Accepted { input_id, .. }, Some(wait)) => (*input_id, wait),
            _ => return Ok(sent),
        };
        let done = self.wait_for(|disk| {
            let input = disk.worker(worker).and_then(|row| row.input(id).map(|input| input.sent()));
            (!matches!(input, Ok(Sent::Accepted { .. }))).then_some(input)
        });
        tokio::time::timeout(wait, done).await.unwrap_or(Ok(sent))
    }

    async fn cancel(&self, worker: WorkerId, input: InputId) -> Result<InputView, Error> {
        self.with(|disk| {
            let row = disk.worker(worker)?;
            match row.input(input)?.state {
                InputState::Done => return Err(Error::from(Conflict::Ended)),
                InputState::Running => drop(row.turn.take()),
                InputState::Queued => {
                    row.settle(input, guest::Ended::cut(Ending::Cancelled).outcome);
                    disk.touch(worker)?;
                }
            }
            Ok(())
        })??;
        let view = self
            .wait_for(|disk| {
                let row = disk.worker(worker).and_then(|row| row.input(input));
                let view = row.map(|row| row.view());
                let running = view.as_ref().is_ok_and(|view| view.state == InputState::Running);
                (!running).then_some(view)
            })
            .await?;
        match view.outcome.as_ref().is_some_and(|outcome| outcome.ending == Ending::Cancelled) {
            true => Ok(view),
            // The turn ended first.
            false => Err(Conflict::Ended.into()),
        }
    }

    async fn input(&self, worker: WorkerId, input: InputId) -> Result<InputView, Error> {
        self.with(|disk| disk.worker(worker)?.input(input).map(|row| row.view()))?
    }

    async fn inputs(
        &self,
        worker: WorkerId,
        query: ListInputs,
    ) -> Result<Page<InputSummary>, Error> {
        let before = match query.cursor {
            None => u64::MAX,
            Some(cursor) => cursor.parse().map_err(|_| Invalid::Cursor)?,
        };
        let limit = if query.limit == 0 { 100 } else { query.limit };
        self.with(|disk| {
            let row = disk.worker(worker)?;
            let mut found: Vec<_> =
                row.inputs.iter().rev().filter(|input| input.seq.0 < before).collect();
            let more = found.len() > limit;
            found.truncate(limit);
            let next_cursor = found.last().filter(|_| more).map(|input| input.seq.0.to_string());
            let items = found.into_iter().map(|input| {
                let entry = row.entries.iter().find(|entry| entry.seq == input.seq);
                let entry = entry.ok_or(Error::Internal)?;
                let end = row.entries.iter().find(|entry| {
                    entry.input_id == Some(input.id)
                        && matches!(entry.kind, EntryKind::Output | EntryKind::Failure)
                });
                Ok(InputSummary {
                    input_id: input.id,
                    seq: input.seq,
                    state: input.state,
                    attempt: input.attempt,
                    sender: entry.label.as_ref().and_then(|id| id.parse().ok()),
                    accepted_at: entry.at,
                    started_at: input.started_at,
                    ended_at: end.map(|entry| entry.at),
                    ending: input.outcome.as_ref().map(|outcome| outcome.ending),
                    content_type: entry.payload.content_type.clone(),
                    bytes: entry.payload.body.len() as u64,
                })
            });
            Ok(Page { items: items.collect::<Result<_, Error>>()?, next_cursor })
        })?
    }

    async fn transcript(&self, worker: WorkerId, query: ListEntries) -> Result<EntryPage, Error> {
        self.with(|disk| Ok(disk.worker(worker)?.page(&query)))?
    }

    async fn entry(&self, worker: WorkerId, seq: Cursor) -> Result<Entry, Error> {
        self.with(|disk| {
            let row = disk.worker(worker)?;
            let is_it = |entry: &&Entry| entry.seq == seq && entry.kind != EntryKind::Gap;
            let found = row.entries.iter().find(is_it).cloned();
            let trimmed = (1..=row.last_seq).contains(&seq.0);
            found.ok_or(Error::UnknownEntry { seq, trimmed })
        })?
    }

    async fn subscribe(
        &self,
        worker: WorkerId,
        after: Option<Cursor>,
        preview: Option<Preview>,
    ) -> Result<EntryStream, Error> {
        let cut = move |entry: &Entry| {
            let entry = std::sync::Arc::new(entry.clone());
            preview.map_or_else(|| entry.clone(), |preview| preview.cut_shared(entry.clone()))
        };
        let last = self.with(|disk| disk.worker(worker).map(|row| row.last_seq))??;
        let after = after.map_or(last, |cursor| cursor.0);
        Ok(follow(self.clone(), after, move |runtime, after| async move {
            let look = |disk: &mut Disk| match disk.worker(worker) {
                Ok(row) => {
                    let next = row.entries.iter().find(|entry| entry.seq.0 > after);
                    next.map(|entry| Ok((entry.seq.0, cut(entry))))
                }
                Err(error) => Some(Err(error)),
            };
            runtime.wait_for(look).await
        }))
    }
}
