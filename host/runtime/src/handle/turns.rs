//! Turns of an embedded runtime: inputs and transcripts.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream;
use skep_protocol::{
    Conflict, Cursor, Ending, Entry, EntryPage, EntryStream, Error, InputId, InputState,
    InputSummary, InputView, Invalid, ListEntries, ListInputs, NewInput, Outcome, Page, Preview,
    Sent, Turns, WorkerId,
};
use skep_store::record::{InputRecord, Transaction, WorkerWrite};
use skep_store::{FeedUpdate, RecentInput};
use tokio::sync::watch;

use skep_sandbox::KillReason;

use super::admission::Admission;
use super::{PAGE, page};
use crate::clock::now;
use crate::embedded::Embedded;
use crate::roster::machine::InputLocation;
use crate::roster::worker::{InputProgress, Worker};
use crate::turn::ending;

/// Delay after which a cancelled turn is signalled again, or a pending cancellation is checked
/// again.
const CANCEL_RETRY: Duration = Duration::from_millis(20);

#[async_trait]
impl Turns for Embedded {
    async fn send(&self, worker: WorkerId, input: NewInput) -> Result<Sent, Error> {
        let worker = self.0.worker(worker)?;
        let NewInput { payload, key, wait, sender } = input;
        let (id, progress) = self.admit(&worker, payload, key, sender, wait.is_some())?;
        let (id, progress) = match progress {
            Admission::Pending(progress) => (id, progress),
            Admission::Ended(input) => return self.ended(&worker, &input),
        };
        self.follow(id, progress, wait).await
    }

    async fn cancel(&self, worker: WorkerId, input: InputId) -> Result<InputView, Error> {
        let worker = self.0.worker(worker)?;
        loop {
            let (found, mut progress) = {
                let state = worker.state();
                let progress = state.inputs.get(&input).map(|w| w.progress.subscribe());
                (state.machine.locate(input), progress)
            };
            match (found, &mut progress) {
                (_, None) => {
                    let view = self.input(worker.id, input).await?;
                    return match view.state {
                        InputState::Done => Err(Conflict::Ended.into()),
                        InputState::Queued | InputState::Running => Err(Error::Internal),
                    };
                }
                (InputLocation::Absent, Some(progress)) => {
                    // A concurrent cancellation of this input is being committed.
                    let moved = tokio::time::timeout(CANCEL_RETRY, progress.changed()).await;
                    drop(moved);
                }
                (InputLocation::Queued, _) => {
                    // If its turn has begun meanwhile, the next iteration ends that.
                    if self.dequeue(&worker, input).await? {
                        return self.input(worker.id, input).await;
                    }
                }
                (InputLocation::Running, Some(progress)) => {
                    if let Some(running) = &worker.state().running
                        && running.input == input
                    {
                        running.kill.throw(KillReason::Cancelled);
                    }
                    let ended = |p: &InputProgress| {
                        matches!(p, InputProgress::Done(_) | InputProgress::Refused(_))
                    };
                    // The guest may not have begun yet; the signal is then repeated.
                    let has_ended =
                        tokio::time::timeout(CANCEL_RETRY, progress.wait_for(ended)).await.is_ok();
                    if has_ended {
                        let view = self.input(worker.id, input).await?;
                        let cancelled = |outcome: &Outcome| outcome.ending == Ending::Cancelled;
                        return match view.outcome.as_ref().is_some_and(cancelled) {
                            true => Ok(view),
                            // The turn ended before the signal reached it.
                            false => Err(Conflict::Ended.into()),
                        };
                    }
                }
                (InputLocation::Submitted, Some(progress)) => {
                    let moved = |p: &InputProgress| !matches!(p, InputProgress::Pending);
                    drop(progress.wait_for(moved).await);
                }
            }
        }
    }

    async fn input(&self, worker: WorkerId, input: InputId) -> Result<InputView, Error> {
        let record = self.record(worker)?;
        let fault = |error| self.0.fault(error);
        let stored = self.0.store.input(record.number, &input).map_err(fault)?;
        let stored = stored.ok_or(Error::UnknownInput(input))?;
        let outcome = match stored.outcome_seq {
            None => None,
            Some(seq) => self.0.store.outcome(record.number, seq).map_err(fault)?,
        };
        let running = self.0.in_use(worker).is_some_and(|worker| {
            worker.state().running.as_ref().is_some_and(|running| running.input == input)
        });
        let state = match (stored.outcome_seq, running) {
            (Some(_), _) => InputState::Done,
            (None, true) => InputState::Running,
            (None, false) => InputState::Queued,
        };
        Ok(InputView { input_id: input, seq: stored.seq, state, attempt: stored.attempt, outcome })
    }

    async fn inputs(
        &self,
        worker: WorkerId,
        query: ListInputs,
    ) -> Result<Page<InputSummary>, Error> {
        let record = self.record(worker)?;
        let before = match query.cursor {
            None => Cursor(u64::MAX),
            Some(cursor) => Cursor(cursor.parse().map_err(|_| Invalid::Cursor)?),
        };
        let limit = page(query.limit);
        let found =
            self.read(move |store| store.recent_inputs(record.number, before, limit)).await?;
        let running = self.0.in_use(worker).and_then(|worker| {
            let state = worker.state();
            state.running.as_ref().map(|running| running.input)
        });
        let items = found.inputs.into_iter().map(|input| summary(input, running)).collect();
        Ok(Page { items, next_cursor: found.next.map(|next| next.0.to_string()) })
    }

    async fn transcript(&self, worker: WorkerId, query: ListEntries) -> Result<EntryPage, Error> {
        let record = self.record(worker)?;
        let query = ListEntries { limit: page(query.limit), ..query };
        let _search = match query.filter.is_empty() {
            true => None,
            false => Some(self.0.searches.acquire().await.map_err(|_| Error::Internal)?),
        };
        self.read(move |store| store.list_entries(record.number, &query)).await
    }

    async fn entry(&self, worker: WorkerId, seq: Cursor) -> Result<Entry, Error> {
        let record = self.record(worker)?;
        let found = self.read(move |store| {
            Ok(match store.entry(record.number, seq)? {
                Some(entry) => Ok(entry),
                None => Err(seq.0 > 0 && seq <= store.last_seq(record.number)?),
            })
        });
        found.await?.map_err(|trimmed| Error::UnknownEntry { seq, trimmed })
    }

    async fn subscribe(
        &self,
        worker: WorkerId,
        after: Option<Cursor>,
        preview: Option<Preview>,
    ) -> Result<EntryStream, Error> {
        let record = self.record(worker)?;
        let store = self.0.store.clone();
        let feed = store.watch(record.number);
        let after = match after {
            Some(after) => after,
            None => store.last_seq(record.number).map_err(|error| self.0.fault(error))?,
        };
        let core = self.0.clone();
        let batches = stream::unfold(Some((feed, after)), move |following| {
            let core = core.clone();
            async move {
                let (mut feed, after) = following?;
                let entries = match feed.next(after).await {
                    FeedUpdate::Ended => return None,
                    FeedUpdate::Entries(entries) => entries,
                    FeedUpdate::Behind => {
                        let read = tokio::task::spawn_blocking(move || {
                            let page = feed.read(after, PAGE);
                            (feed, page)
                        });
                        let Ok((back, page)) = read.await else { return None };
                        feed = back;
                        match page {
                            Ok(page) => page.entries.into_iter().map(Arc::new).collect(),
                            Err(error) => return Some((vec![Err(core.fault(error))], None)),
                        }
                    }
                };
                let after = entries.last().map_or(after, |entry| entry.seq);
                let cut = |entry| match preview {
                    Some(preview) => preview.cut_shared(entry),
                    None => entry,
                };
                let entries = entries.into_iter().map(|entry| Ok(cut(entry))).collect::<Vec<_>>();
                Some((entries, Some((feed, after))))
            }
        });
        Ok(batches.flat_map(stream::iter).boxed())
    }
}

impl Embedded {
    /// Waits until the input has ended or `wait` has passed, and at least for its acceptance.
    async fn follow(
        &self,
        id: InputId,
        mut progress: watch::Receiver<InputProgress>,
        wait: Option<Duration>,
    ) -> Result<Sent, Error> {
        let ended =
            |p: &InputProgress| matches!(p, InputProgress::Done(_) | InputProgress::Refused(_));
        if let Some(wait) = wait
            && let Ok(Ok(last)) = tokio::time::timeout(wait, progress.wait_for(ended)).await
        {
            return answer(id, &last);
        }
        let moved = |p: &InputProgress| !matches!(p, InputProgress::Pending);
        match progress.wait_for(moved).await {
            Ok(last) => answer(id, &last),
            Err(_) => Err(self.0.busy()),
        }
    }

    fn ended(&self, worker: &Worker, input: &InputRecord) -> Result<Sent, Error> {
        let Some(seq) = input.outcome_seq else {
            return Ok(Sent::Accepted { input_id: input.id, seq: input.seq });
        };
        let outcome = self.0.store.outcome(worker.number, seq).map_err(|e| self.0.fault(e))?;
        // The outcome was trimmed; all that is known is that the input has ended.
        let outcome = outcome.ok_or(Error::Conflict(Conflict::Ended))?;
        Ok(Sent::Done { input_id: input.id, outcome })
    }

    /// Cancels a queued input. Returns false if it is no longer queued.
    async fn dequeue(&self, worker: &Arc<Worker>, input: InputId) -> Result<bool, Error> {
        let outcome = ending::cancelled();
        let (queued, commit) = {
            let mut state = worker.state();
            if state.machine.locate(input) != InputLocation::Queued {
                return Ok(false);
            }
            let Some(queued) = state.machine.get(input).cloned() else { return Ok(false) };
            state.machine.drop_queued(input);
            let writes = vec![WorkerWrite::End {
                id: input,
                at: now(),
                ending: outcome.ending,
                output: None,
                error: outcome.error.clone(),
            }];
            (queued, self.0.store.submit(Transaction { worker: worker.number, writes }))
        };
        let committed = commit.await;
        let mut state = worker.state();
        match committed {
            Ok(_) => {
                state.done(input, outcome);
                drop(state);
                self.0.changes.note(worker.id);
                Ok(true)
            }
            Err(error) => {
                state.machine.restore(queued);
                drop(state);
                self.0.drive(worker);
                Err(self.0.fault(error))
            }
        }
    }
}

fn summary(input: RecentInput, running: Option<InputId>) -> InputSummary {
    let RecentInput { record, accepted_at, started_at, sender, content_type, end } = input;
    let state = match record.outcome_seq {
        Some(_) => InputState::Done,
        None if running == Some(record.id) => InputState::Running,
        None => InputState::Queued,
    };
    InputSummary {
        input_id: record.id,
        seq: record.seq,
        state,
        attempt: record.attempt,
        sender,
        accepted_at,
        started_at,
        ended_at: end.map(|(at, _)| at),
        ending: end.map(|(_, ending)| ending),
        content_type,
        bytes: record.bytes,
    }
}

fn answer(id: InputId, progress: &InputProgress) -> Result<Sent, Error> {
    match progress {
        InputProgress::Done(outcome) => {
            Ok(Sent::Done { input_id: id, outcome: Outcome::clone(outcome) })
        }
        InputProgress::Accepted(seq) => Ok(Sent::Accepted { input_id: id, seq: *seq }),
        InputProgress::Refused(error) => Err(error.clone()),
        InputProgress::Pending => Err(Error::Internal),
    }
}
