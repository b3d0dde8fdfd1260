//! A service that emits without end: the oldest entries are dropped, and a gap is recorded.

use std::time::Instant;

use skep_protocol::{EntryKind, LimitName};

use crate::attack::Sight;
use crate::bed::Bed;
use crate::end::End;
use crate::seen::Seen;

const LIMIT: u64 = 256 << 10;

pub(crate) fn run(bed: &Bed) -> Sight<'_> {
    Box::pin(async move {
        let worker = super::scribe(bed, &[(LimitName::transcript_bytes, LIMIT)]).await;
        let note = format!("emit note {}", "x".repeat(60 << 10));
        let until = Instant::now() + super::PATIENCE;
        let end = loop {
            super::tell(bed, worker, &note).await;
            let first = super::entries(bed, worker).await.remove(0);
            let held = bed.runtime().usage(worker).await.unwrap().transcript_bytes;
            if first.kind == EntryKind::Gap && held <= LIMIT {
                break End::Limit(LimitName::transcript_bytes);
            }
            if Instant::now() > until {
                break End::Wrong(format!(
                    "the transcript has {held} bytes and begins with {:?}",
                    first.kind
                ));
            }
        };
        bed.runtime().remove(worker).await.unwrap();
        Seen::told(end)
    })
}
