//! A new idempotency key with each input: the oldest are forgotten.

use std::time::Instant;

use skep_protocol::{LimitName, NewInput, Sent, WorkerId};

use crate::attack::Sight;
use crate::bed::Bed;
use crate::end::End;
use crate::guest::message;
use crate::seen::Seen;

const LIMIT: u64 = 20;

async fn send(bed: &Bed, worker: WorkerId, key: &str) -> Sent {
    let input = super::post(message("echo x"));
    let input = NewInput { key: Some(key.parse().unwrap()), wait: Some(super::PATIENCE), ..input };
    bed.runtime().send(worker, input).await.unwrap()
}

pub(crate) fn run(bed: &Bed) -> Sight<'_> {
    Box::pin(async move {
        let worker = super::scribe(bed, &[(LimitName::idempotency_keys, LIMIT)]).await;
        let first = send(bed, worker, "first").await;
        if send(bed, worker, "first").await != first {
            return Seen::told(End::Wrong("a key was forgotten at once".into()));
        }
        for n in 0..200 {
            send(bed, worker, &format!("key-{n}")).await;
        }
        let until = Instant::now() + super::PATIENCE;
        let end = loop {
            if send(bed, worker, "first").await.input_id() != first.input_id() {
                break End::Limit(LimitName::idempotency_keys);
            }
            if Instant::now() > until {
                break End::Wrong("no key is forgotten".into());
            }
        };
        bed.runtime().remove(worker).await.unwrap();
        Seen::told(end)
    })
}
