//! A worker with a long transcript of finished turns.

use skep_protocol::{
    ComponentDigest, Ending, EntryKind, InputId, LimitName, Output, Payload, Timestamp, TurnError,
    Usage, WorkerId, WorkerSpec,
};
use skep_store::{NewEntry, Store, WorkerNumber, WorkerWrite};

use crate::lane::Lane;
use crate::{Failure, record};

/// Entries of a turn: the input, events, the output.
const TURN: u64 = 100;

/// Every so many turns, one fails.
const FAILED: u64 = 1_000;

/// Milliseconds between two entries.
const STEP_MS: u64 = 50;

pub(crate) struct Plan<'a> {
    pub(crate) name: &'a str,
    pub(crate) entries: u64,
    pub(crate) keep: Option<u64>,
    pub(crate) needle: Option<(u64, &'a str)>,
}

/// Adds the worker and its entries. Event `n` of the transcript says `line n`.
pub(crate) fn fill(
    store: &Store,
    component: ComponentDigest,
    plan: &Plan<'_>,
) -> Result<WorkerId, Failure> {
    let number = store.next_number();
    let mut spec = WorkerSpec::new(component);
    spec.display_ref = Some(plan.name.parse()?);
    if let Some(bytes) = plan.keep {
        spec.limits.0.insert(LimitName::transcript_bytes, bytes);
    }
    let record = record(number, spec, (plan.entries + 1) * STEP_MS)?;
    let worker = record.id;
    let began = record.created_at.as_millis();
    let mut lane = Lane::new(store);
    lane.push(number, vec![WorkerWrite::Create(Box::new(record))])?;

    let turns = plan.entries.saturating_sub(1) / TURN;
    for turn in 0..turns {
        let needle = plan.needle.filter(|(at, _)| *at == turn).map(|(_, text)| text);
        lane.push(number, turn_of(number, turn, began, needle))?;
    }
    // What is left over, so that the number of entries is exact. The first one is `created`.
    let rest = plan.entries.saturating_sub(1) - turns * TURN;
    let at = |n| Timestamp(began + (turns * TURN + n) * STEP_MS);
    lane.push(number, (0..rest).map(|n| event(at(n), None, "after all turns")).collect())?;
    let usage = Usage { turns, ..Usage::default() };
    lane.push(number, vec![WorkerWrite::Usage(usage)])?;
    lane.finish()?;
    if plan.keep.is_some() {
        while store.janitor_step()? {}
    }
    Ok(worker)
}

fn turn_of(number: WorkerNumber, turn: u64, began: u64, needle: Option<&str>) -> Vec<WorkerWrite> {
    let first = 1 + turn * TURN;
    let at = |n: u64| Timestamp(began + (first + n) * STEP_MS);
    let id = input_id(number, turn, at(0));
    let mut writes = vec![WorkerWrite::Accept {
        id,
        at: at(0),
        payload: text(&format!("turn {turn}")),
        content_digest: [0; 32],
        key: None,
        attempt: 1,
        sender: None,
    }];
    for n in 1..TURN - 1 {
        // The first entry is `created`, so this is also the number of the entry.
        let line = format!("line {}", first + n + 1);
        let body = if n == TURN / 2 { needle.unwrap_or(&line) } else { &line };
        writes.push(event(at(n), Some(id), body));
    }
    let failed = turn % FAILED == FAILED - 1;
    writes.push(WorkerWrite::End {
        id,
        at: at(TURN - 1),
        ending: if failed { Ending::Trapped } else { Ending::Completed },
        output: (!failed).then(|| Output::Message(text(&format!("done {turn}")))),
        error: failed.then(|| TurnError {
            code: "trap".into(),
            message: "the worker crashed".into(),
            limit: None,
            frames: Vec::new(),
            stderr: Vec::new(),
        }),
    });
    writes
}

fn event(at: Timestamp, input_id: Option<InputId>, body: &str) -> WorkerWrite {
    WorkerWrite::Append(NewEntry {
        at,
        kind: EntryKind::Event,
        input_id,
        label: Some("tick".into()),
        ending: None,
        payload: text(body),
        truncated: false,
    })
}

fn text(body: &str) -> Payload {
    Payload { content_type: "text/plain".into(), body: body.as_bytes().to_vec().into() }
}

fn input_id(number: WorkerNumber, turn: u64, at: Timestamp) -> InputId {
    let mut random = [0; 10];
    random[..2].copy_from_slice(&number.0.to_be_bytes()[6..]);
    random[2..].copy_from_slice(&turn.to_be_bytes());
    InputId::new(at.as_millis(), random)
}
