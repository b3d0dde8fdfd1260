//! A step that fills its outputs with empty files: it gets as many names as it may, and an error then.

use skep_protocol::LimitName;

use crate::attack::Sight;
use crate::bed::Bed;
use crate::seen::Seen;
use crate::step_bed::{self, StepBed};

pub(crate) fn run(_: &Bed) -> Sight<'_> {
    Box::pin(async move {
        let bed = StepBed::open();
        let attacked = bed.attack(("probe", &["mkfiles", "/out", "1000000"]), |step| {
            step.out = vec!["**".into()];
            step.limits.0.insert(LimitName::disk_entries, 2_000);
        });
        Seen::told(step_bed::end(attacked.await))
    })
}
