//! An answer that never ends and never pauses for long: a byte at a time, for ever.

use std::time::{Duration, Instant};

use skep_harness::Server;
use skep_protocol::LimitName;

use crate::asker::Asker;
use crate::bed::Bed;
use crate::case::Sight;
use crate::seen::{End, Seen};

/// What the turn is given.
const DEADLINE: Duration = Duration::from_millis(4_000);

pub(crate) fn run(bed: &Bed) -> Sight<'_> {
    Box::pin(async move {
        let server = Server::start();
        let limits = [(LimitName::turn_deadline_ms, 4_000), (LimitName::http_wait_ms, 1_500)];
        let asker = Asker::with(bed, &[&server.url("")], &limits).await;
        let began = Instant::now();
        let outcome = asker.tell(&format!("drain {}", server.url("/drizzle"))).await;
        let stopped_in = began.elapsed().saturating_sub(DEADLINE);
        // Its connection ends with it, although the worker lives on.
        let end = match super::quiet(&server).await {
            Ok(()) => End::of_outcome(&outcome),
            Err(what) => End::Wrong(what),
        };
        asker.leave().await;
        Seen { end, stopped_in, ran: true }
    })
}
