//! A step that writes more than it may, partly to its outputs.

use skep_protocol::LimitName;

use crate::attack::Sight;
use crate::bed::Bed;
use crate::seen::Seen;
use crate::step_bed::{self, StepBed};

pub(crate) fn run(_: &Bed) -> Sight<'_> {
    Box::pin(async move {
        let bed = StepBed::open();
        let attacked = bed.attack(("probe", &["write", "/out/large", "1000000000"]), |step| {
            step.out = vec!["**".into()];
            step.limits.0.insert(LimitName::disk_bytes, 1 << 20);
        });
        Seen::told(step_bed::end(attacked.await))
    })
}
