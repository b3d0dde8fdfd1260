//! An HTTP guest that traps after it has sent a part of its answer: the answer does not look whole.

use skep_protocol::WorkerId;

use crate::attack::Sight;
use crate::bed::Bed;
use crate::end::End;
use crate::seen::Seen;

pub(crate) fn run(bed: &Bed) -> Sight<'_> {
    Box::pin(async move {
        let mut ends = Vec::new();
        for worker in super::handlers(bed, &[]).await {
            ends.push(end(bed, worker).await.unwrap_or_else(End::Wrong));
            bed.runtime().remove(worker).await.unwrap();
        }
        Seen::told(super::common(ends))
    })
}

async fn end(bed: &Bed, worker: WorkerId) -> Result<End, String> {
    let answered = super::request(bed, worker, "/trap-after-head").await;
    super::expect("an answer that is cut off", answered.is_err(), &answered)?;
    let (reason, record) = super::access(bed, worker).await?;
    super::expect("its reason", reason == "trap", &reason)?;
    let good = super::request(bed, worker, "/hello").await;
    super::expect("a request afterwards", good == Ok(200), &good)?;
    record.trap.map(End::Trap).ok_or("there is no trap".into())
}
