//! A step that computes without end.

use skep_protocol::LimitName;

use crate::attack::Sight;
use crate::bed::Bed;
use crate::seen::Seen;
use crate::step_bed::{self, StepBed};

pub(crate) fn run(_: &Bed) -> Sight<'_> {
    Box::pin(async move {
        let bed = StepBed::open();
        let attacked = bed.attack(("probe", &["spin"]), |step| {
            step.limits.0.insert(LimitName::turn_deadline_ms, 500);
        });
        Seen::told(step_bed::end(attacked.await))
    })
}
