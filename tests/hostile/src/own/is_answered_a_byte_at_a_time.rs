//! An endless answer without long pauses: one byte at a time.

use std::time::{Duration, Instant};

use skep_harness::Server;
use skep_protocol::LimitName;

use crate::asker::Asker;
use crate::attack::Sight;
use crate::bed::Bed;
use crate::end::End;
use crate::seen::Seen;

/// The deadline of the turn.
const DEADLINE: Duration = Duration::from_millis(4_000);

pub(crate) fn run(bed: &Bed) -> Sight<'_> {
    Box::pin(async move {
        let server = Server::start();
        let limits = [(LimitName::turn_deadline_ms, 4_000), (LimitName::http_wait_ms, 1_500)];
        let asker = Asker::with(bed, &[&server.url("")], &limits).await;
        let began = Instant::now();
        let outcome = asker.tell(&format!("drain {}", server.url("/drizzle"))).await;
        let stopped_in = began.elapsed().saturating_sub(DEADLINE);
        // The connection ends with the turn, although the worker lives on.
        let end = match super::quiet(&server).await {
            Ok(()) => End::of_outcome(&outcome),
            Err(what) => End::Wrong(what),
        };
        asker.remove().await;
        Seen { end, stopped_in, ran: true }
    })
}
