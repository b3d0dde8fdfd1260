//! An HTTP guest whose answer has no end: it is cut off at the limit on bodies.

use skep_protocol::{LimitName, WorkerId};

use crate::attack::Sight;
use crate::bed::Bed;
use crate::end::End;
use crate::seen::Seen;

/// The bytes that it may send.
const MOST: u64 = 1_000;

pub(crate) fn run(bed: &Bed) -> Sight<'_> {
    Box::pin(async move {
        let mut ends = Vec::new();
        for worker in super::handlers(bed, &[(LimitName::http_body_bytes, MOST)]).await {
            ends.push(end(bed, worker).await.unwrap_or_else(End::Wrong));
            bed.runtime().remove(worker).await.unwrap();
        }
        Seen::told(super::common(ends))
    })
}

async fn end(bed: &Bed, worker: WorkerId) -> Result<End, String> {
    let answered = super::request(bed, worker, "/burn").await;
    super::expect("an answer that is cut off", answered.is_err(), &answered)?;
    let (reason, record) = super::access(bed, worker).await?;
    super::expect("its reason", reason == "limit", &reason)?;
    super::expect("bytes sent", record.sent_bytes <= MOST, record.sent_bytes)?;
    Ok(End::Limit(LimitName::http_body_bytes))
}
