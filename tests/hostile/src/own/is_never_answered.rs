//! Servers that take a request and never answer, or stop in the middle.

use std::time::{Duration, Instant};

use skep_harness::Server;
use skep_protocol::LimitName;

use crate::asker::{Asker, expect, seen};
use crate::attack::Sight;
use crate::bed::Bed;
use crate::end::End;

pub(crate) fn run(bed: &Bed) -> Sight<'_> {
    Box::pin(async move { seen(attempt(bed).await) })
}

async fn attempt(bed: &Bed) -> Result<End, String> {
    let server = Server::start();
    let limits = [(LimitName::http_wait_ms, 1_000)];
    let asker = Asker::with(bed, &[&server.url("")], &limits).await;
    let timeout = "error ErrorCode::HttpResponseTimeout";
    let began = Instant::now();
    let silent = server.url("/silent");
    // The guest may shorten the timeout, not extend it.
    for ask in
        [format!("get {silent}"), format!("hurry {silent} 50"), format!("hurry {silent} 100000")]
    {
        let answer = asker.ask(&ask).await;
        expect(&ask, answer == timeout, answer)?;
    }
    let answer = asker.ask(&format!("drain {}", server.url("/stall"))).await;
    let ended = answer.contains("received 4 ") && answer.contains("connection read timeout");
    expect("a stalled answer", ended, answer)?;
    let took = began.elapsed();
    expect("the time taken", took < Duration::from_secs(10), took)?;
    asker.remove().await;
    super::quiet(&server).await?;
    Ok(End::Limit(LimitName::http_wait_ms))
}
