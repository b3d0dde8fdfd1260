//! An answer that arrives faster than the worker reads.

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
    let limits = [(LimitName::http_chunk_bytes, 1_000), (LimitName::http_body_bytes, 100_000)];
    let asker = Asker::with(bed, &[&server.url("")], &limits).await;
    let answer = asker.ask(&format!("drain {}", server.url("/endless"))).await;
    expect("a chunk", answer.contains("largest 1000 "), answer)?;
    asker.remove().await;
    // Backpressure: a guest that does not read leaves in flight only what the socket buffers hold.
    let asker = Asker::with(bed, &[&server.url("")], &[]).await;
    let before = server.written();
    let answer = asker.ask(&format!("hold {} 1", server.url("/endless"))).await;
    expect("held", answer == "held", answer)?;
    let written = server.written() - before;
    expect("bytes in flight", written < 16 << 20, written)?;
    asker.remove().await;
    super::quiet(&server).await?;
    Ok(End::Limit(LimitName::http_chunk_bytes))
}
