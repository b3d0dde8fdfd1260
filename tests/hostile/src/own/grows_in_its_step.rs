//! A step that takes all memory that it gets.

use skep_protocol::LimitName;

use crate::attack::Sight;
use crate::bed::Bed;
use crate::seen::Seen;
use crate::step_bed::{self, StepBed};

pub(crate) fn run(_: &Bed) -> Sight<'_> {
    Box::pin(async move {
        let bed = StepBed::open();
        let attacked = bed.attack(("probe", &["grow"]), |step| {
            step.limits.0.insert(LimitName::memory_bytes, 32 << 20);
        });
        Seen::told(step_bed::end(attacked.await))
    })
}
