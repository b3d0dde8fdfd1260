//! A step that writes to both streams without end: its result keeps as much as it may of both together,
//! and counts the rest.

use skep_protocol::LimitName;
use skep_protocol::ci::StepOutcome;

use crate::attack::Sight;
use crate::bed::Bed;
use crate::end::End;
use crate::seen::Seen;
use crate::step_bed::StepBed;

const KEPT: u64 = 1 << 20;

pub(crate) fn run(_: &Bed) -> Sight<'_> {
    Box::pin(async move {
        let bed = StepBed::open();
        let attacked = bed.attack(("hostile/floods_its_output", &[]), |step| {
            step.log_bytes = KEPT;
            step.limits.0.insert(LimitName::turn_deadline_ms, 1_500);
        });
        let results = match attacked.await {
            Ok(results) => results,
            Err(why) => return Seen::told(End::Wrong(why)),
        };
        for result in results {
            let (out, err) = (&result.stdout, &result.stderr);
            let whole = out.kept + err.kept == KEPT && out.kept > 0 && err.kept > 0;
            let counted = out.bytes > KEPT && err.bytes > KEPT;
            if !(whole && counted && result.outcome == StepOutcome::Deadline) {
                return Seen::told(End::Wrong(format!("{result:?}")));
            }
        }
        Seen::told(End::Deadline)
    })
}
