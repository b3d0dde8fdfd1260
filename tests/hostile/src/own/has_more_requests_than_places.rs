//! More requests at once than an HTTP worker handles: the others wait their turn, and all are answered.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use skep_protocol::LimitName;

use crate::attack::Sight;
use crate::bed::Bed;
use crate::end::End;
use crate::seen::Seen;

/// The places, and the requests for each.
const PLACES: u64 = 4;
const ROUNDS: u64 = 3;

/// The time that a request takes.
const NAP: Duration = Duration::from_millis(200);

pub(crate) fn run(bed: &Bed) -> Sight<'_> {
    Box::pin(async move {
        let worker = super::responder(bed, &[(LimitName::http_at_once, PLACES)]).await;
        let began = Instant::now();
        let target = format!("/sleep/{}", NAP.as_millis());
        let asked = (0..PLACES * ROUNDS).map(|_| super::request(bed, worker, &target));
        let answers = join_all(asked).await;
        let took = began.elapsed();
        bed.runtime().remove(worker).await.unwrap();
        let wrong = answers.iter().find(|answer| **answer != Ok(200));
        Seen::told(match wrong {
            Some(wrong) => End::Wrong(format!("{wrong:?}")),
            None if took < NAP * u32::try_from(ROUNDS).unwrap() => {
                End::Wrong(format!("{took:?}: more ran at once"))
            }
            None => End::Limit(LimitName::http_at_once),
        })
    })
}
