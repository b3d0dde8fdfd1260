//! An input whose turn crashes the host at every attempt.

use skep_protocol::{LimitName, Observed};
use skep_sandbox::Isolation;

use crate::attack::Sight;
use crate::bed::Bed;
use crate::end::End;
use crate::guest::message;
use crate::seen::Seen;

pub(crate) fn run(_: &Bed) -> Sight<'_> {
    Box::pin(async move {
        // A bed of its own, since it crashes.
        let mut bed = Bed::open(&[], Isolation::Thread);
        let limits = [(LimitName::attempts_per_input, 2), (LimitName::turn_deadline_ms, 600_000)];
        let worker = super::scribe(&bed, &limits).await;
        let sent = bed.runtime().send(worker, super::post(message("spin"))).await.unwrap();
        for _ in 0..2 {
            bed.running(worker, sent.input_id()).await;
            bed.crash().await;
        }
        let outcome = bed.outcome(worker, sent.input_id()).await;
        let observed = bed.runtime().get(worker).await.unwrap().observed;
        bed.close().await;
        Seen::told(match observed {
            Observed::Failed { .. } => End::of_outcome(&outcome),
            other => End::Wrong(format!("the worker is {other:?}")),
        })
    })
}
