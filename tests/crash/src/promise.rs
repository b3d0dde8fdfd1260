//! Checks the promises about a worker's inputs against its transcript.

use skep_protocol::{Ending, InputState, Turns, WorkerId};
use skep_runtime::Embedded;

use crate::findings::Findings;
use crate::life::Life;
use crate::line::Ended;

/// Checks every promise of an idle worker.
pub(crate) async fn judge(
    runtime: &Embedded,
    worker: WorkerId,
    life: &mut Life,
    findings: &mut Findings,
) {
    if life.is_trimmed() {
        return;
    }
    let stopped = life.possible.iter().any(|standing| standing.stopped);
    let Life { promises, story, cancels, was_stopped, .. } = life;
    for name in story.names.keys() {
        findings.expect(promises.contains_key(name), || format!("{worker}: {name} was never sent"));
    }
    for (name, promise) in promises {
        let Some(told) = story.names.get(name).map(|id| (*id, &story.inputs[id])) else {
            findings.expect(promise.id.is_none(), || {
                format!("{worker}: {name} was acknowledged and is missing: {promise:?}")
            });
            promise.absent = true;
            continue;
        };
        let (id, told) = told;
        findings.expect(!promise.is_void(), || {
            format!("{worker}: {name} was refused or lost, but exists: {promise:?}")
        });
        if let Err(wrong) = promise.is_input(id) {
            findings.wrong(format!("{worker}: {name} {wrong}"));
        }
        findings.expect(promise.seq.replace(told.seq).is_none_or(|seq| seq == told.seq), || {
            format!("{worker}: {name} is at {}, not where it was acknowledged", told.seq)
        });
        let Some(ending) = told.ending else {
            findings.expect(stopped, || format!("{worker}: {name} has no outcome"));
            findings.expect(promise.ended.is_none(), || {
                format!("{worker}: {name} has lost its outcome {:?}", promise.ended)
            });
            continue;
        };
        findings
            .expect(ending != Ending::Cancelled || *was_stopped || cancels.contains(&id), || {
                format!("{worker}: {name} was cancelled without a request")
            });
        if std::mem::replace(&mut promise.viewed, true) {
            continue;
        }
        match runtime.input(worker, id).await {
            Ok(view) => {
                let right = view.state == InputState::Done
                    && view.seq.0 == told.seq
                    && view.attempt.saturating_sub(1) == told.interrupted
                    && view.outcome.as_ref().is_some_and(|outcome| outcome.ending == ending);
                findings.expect(right, || {
                    let interrupted = told.interrupted;
                    format!("{worker}: {name} ({ending:?}, {interrupted} interrupted) is {view:?}")
                });
                if let Some(outcome) = &view.outcome
                    && let Err(wrong) = promise.is_ended(&Ended::of(outcome))
                {
                    findings.wrong(format!("{worker}: {name} {wrong}"));
                }
            }
            Err(error) => findings.wrong(format!("{worker}: {name} cannot be viewed: {error}")),
        }
    }
}
