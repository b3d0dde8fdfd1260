//! The removal of a worker in an endless loop.

use std::time::{Duration, Instant};

use skep_protocol::Error;

use crate::attack::Sight;
use crate::bed::Bed;
use crate::end::End;
use crate::guest::message;
use crate::seen::Seen;

pub(crate) fn run(bed: &Bed) -> Sight<'_> {
    Box::pin(async move {
        let worker = super::scribe(bed, &[]).await;
        let sent = bed.runtime().send(worker, super::post(message("spin"))).await.unwrap();
        bed.running(worker, sent.input_id()).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        let began = Instant::now();
        bed.runtime().remove(worker).await.unwrap();
        let stopped_in = began.elapsed().saturating_sub(bed.stop_grace());
        match bed.runtime().get(worker).await {
            Err(Error::WorkerRemoved) => Seen { end: End::Killed, stopped_in, ran: true },
            other => Seen::told(End::Wrong(format!("{other:?}"))),
        }
    })
}
