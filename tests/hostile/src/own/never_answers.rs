//! HTTP guests that give no answer: one that waits, one that computes, and for WASI 0.3 one that blocks
//! its instance in a call of 0.2.

use skep_protocol::{Error, LimitName, NoAnswer, WorkerId};

use crate::attack::Sight;
use crate::bed::Bed;
use crate::end::End;
use crate::seen::Seen;

/// The time until the head of an answer, in milliseconds.
const MOST: u64 = 300;

pub(crate) fn run(bed: &Bed) -> Sight<'_> {
    Box::pin(async move {
        let mut ends = Vec::new();
        for worker in super::handlers(bed, &[(LimitName::turn_deadline_ms, MOST)]).await {
            ends.push(end(bed, worker).await.unwrap_or_else(End::Wrong));
            bed.runtime().remove(worker).await.unwrap();
        }
        Seen::told(super::common(ends))
    })
}

async fn end(bed: &Bed, worker: WorkerId) -> Result<End, String> {
    for target in ["/sleep/3600000", "/spin", "/block"] {
        let answered = super::request(bed, worker, target).await;
        let is_late = answered == Err(Error::NoAnswer(NoAnswer::Deadline));
        super::expect(target, is_late, &answered)?;
    }
    let good = super::request(bed, worker, "/hello").await;
    super::expect("a request afterwards", good == Ok(200), &good)?;
    Ok(End::Deadline)
}
