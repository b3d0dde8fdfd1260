//! An endless answer, and a request body above its limit.

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
    let limits = [(LimitName::http_body_bytes, 100_000)];
    let asker = Asker::with(bed, &[&server.url("")], &limits).await;
    let answer = asker.ask(&format!("drain {}", server.url("/endless"))).await;
    let said = "HTTP response body size exceeds limit: 100000 bytes";
    expect("an answer", answer.contains(said), answer)?;
    let answer = asker.ask(&format!("measure {}", server.url("/endless"))).await;
    expect("a whole answer", answer == "error Error::TooLarge(100000)", answer)?;
    let answer = asker.ask(&format!("send POST {} 200000", server.url("/hello"))).await;
    expect("a request", answer.contains("HttpRequestBodySize(Some(100000))"), answer)?;
    super::quiet(&server).await?;
    asker.remove().await;
    Ok(End::Limit(LimitName::http_body_bytes))
}
