//! An input with an expired idempotency key.

use std::time::{Duration, Instant};

use skep_protocol::{LimitName, NewInput, Sent, WorkerId};

use crate::attack::Sight;
use crate::bed::Bed;
use crate::end::End;
use crate::guest::message;
use crate::seen::Seen;

async fn send(bed: &Bed, worker: WorkerId) -> Sent {
    let input = super::post(message("echo x"));
    let input =
        NewInput { key: Some("key".parse().unwrap()), wait: Some(super::PATIENCE), ..input };
    bed.runtime().send(worker, input).await.unwrap()
}

pub(crate) fn run(bed: &Bed) -> Sight<'_> {
    Box::pin(async move {
        let worker = super::scribe(bed, &[(LimitName::idempotency_ms, 200)]).await;
        let first = send(bed, worker).await;
        let until = Instant::now() + super::PATIENCE;
        let end = loop {
            if send(bed, worker).await.input_id() != first.input_id() {
                break End::Limit(LimitName::idempotency_ms);
            }
            if Instant::now() > until {
                break End::Wrong("the key never expires".into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        bed.runtime().remove(worker).await.unwrap();
        Seen::told(end)
    })
}
