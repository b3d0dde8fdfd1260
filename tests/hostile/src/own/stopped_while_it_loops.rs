//! A stop of a worker in an endless loop, and a start after it.

use std::time::{Duration, Instant};

use skep_protocol::Observed;

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
        bed.runtime().stop(worker).await.unwrap();
        let outcome = bed.outcome(worker, sent.input_id()).await;
        let stopped_in = began.elapsed().saturating_sub(bed.stop_grace());
        if bed.runtime().get(worker).await.unwrap().observed != Observed::Stopped {
            return Seen::told(End::Wrong("it is not stopped".into()));
        }
        bed.runtime().start(worker).await.unwrap();
        let again = End::of_outcome(&super::tell(bed, worker, "echo again").await);
        bed.runtime().remove(worker).await.unwrap();
        match again {
            End::Completed(text) if text == "again" => {
                Seen { end: End::of_outcome(&outcome), stopped_in, ran: true }
            }
            other => Seen::told(End::Wrong(format!("{other:?}"))),
        }
    })
}
