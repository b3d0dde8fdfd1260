//! An HTTP guest that has sent the head of its answer, and computes on while it writes a byte now and
//! then: neither its deadline nor the wait for a chunk ends it.

use skep_protocol::{LimitName, WorkerId};

use crate::attack::Sight;
use crate::bed::Bed;
use crate::end::End;
use crate::seen::Seen;

/// The CPU time that it may use, in milliseconds.
const MOST: u64 = 300;

pub(crate) fn run(bed: &Bed) -> Sight<'_> {
    Box::pin(async move {
        let mut ends = Vec::new();
        for worker in super::handlers(bed, &[(LimitName::http_cpu_ms, MOST)]).await {
            ends.push(end(bed, worker).await.unwrap_or_else(End::Wrong));
            bed.runtime().remove(worker).await.unwrap();
        }
        Seen::told(super::common(ends))
    })
}

async fn end(bed: &Bed, worker: WorkerId) -> Result<End, String> {
    let answered = super::request(bed, worker, "/burn").await;
    super::expect("an answer that is cut off", answered.is_err(), &answered)?;
    let (_, record) = super::access(bed, worker).await?;
    record.limit.map(End::Limit).ok_or(format!("{record:?}"))
}
