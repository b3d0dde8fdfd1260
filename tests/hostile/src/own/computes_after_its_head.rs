//! An HTTP guest that has sent the head of its answer, and computes on while it writes a byte now and
//! then: neither its deadline nor the wait for a chunk ends it.

use std::time::{Duration, Instant};

use skep_protocol::{AccessRecord, EntryKind, LimitName};

use crate::attack::Sight;
use crate::bed::Bed;
use crate::end::End;
use crate::seen::Seen;

/// The CPU time that it may use, in milliseconds.
const MOST: u64 = 300;

pub(crate) fn run(bed: &Bed) -> Sight<'_> {
    Box::pin(async move {
        let worker = super::responder(bed, &[(LimitName::http_cpu_ms, MOST)]).await;
        let answered = super::request(bed, worker, "/burn").await;
        let end = match answered {
            Ok(status) => End::Wrong(format!("answered whole with {status}")),
            Err(_) => end(bed, worker).await,
        };
        bed.runtime().remove(worker).await.unwrap();
        Seen::told(end)
    })
}

/// Returns what the transcript says about the request.
async fn end(bed: &Bed, worker: skep_protocol::WorkerId) -> End {
    let until = Instant::now() + super::PATIENCE;
    while Instant::now() < until {
        let entries = super::entries(bed, worker).await;
        if let Some(access) = entries.iter().find(|entry| entry.kind == EntryKind::Access) {
            let record: AccessRecord = serde_json::from_slice(&access.payload.body).unwrap();
            return match record.limit {
                Some(name) => End::Limit(name),
                None => End::Wrong(format!("{record:?}")),
            };
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    End::Wrong("it has no entry".into())
}
