//! A flood of requests to an HTTP worker: those that may not wait are refused at once.

use futures_util::future::join_all;
use skep_protocol::{Error, LimitName};

use crate::attack::Sight;
use crate::bed::Bed;
use crate::end::End;
use crate::seen::Seen;

/// The requests that may wait beside the one that runs, and those that come.
const WAIT: u64 = 3;
const COME: usize = 500;

pub(crate) fn run(bed: &Bed) -> Sight<'_> {
    Box::pin(async move {
        let limits = [(LimitName::http_at_once, 1), (LimitName::http_queue, WAIT)];
        let worker = super::responder(bed, &limits).await;
        let asked = (0..COME).map(|_| super::request(bed, worker, "/sleep/300"));
        let answers = join_all(asked).await;
        bed.runtime().remove(worker).await.unwrap();
        let busy =
            answers.iter().filter(|answer| matches!(answer, Err(Error::Busy { .. }))).count();
        let answered = answers.iter().filter(|answer| **answer == Ok(200)).count();
        let may_wait = usize::try_from(WAIT).unwrap();
        Seen::told(match answered == may_wait + 1 && busy == COME - answered {
            true => End::Limit(LimitName::http_queue),
            false => End::Wrong(format!("{answered} answered, {busy} refused")),
        })
    })
}
