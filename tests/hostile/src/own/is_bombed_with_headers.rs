//! Answers with more headers than anyone wants, and requests with as many.

use skep_harness::Server;

use crate::asker::{Asker, expect, seen};
use crate::bed::Bed;
use crate::case::Sight;
use crate::seen::End;

pub(crate) fn run(bed: &Bed) -> Sight<'_> {
    Box::pin(async move { seen(attempt(bed).await) })
}

async fn attempt(bed: &Bed) -> Result<End, String> {
    let server = Server::start();
    let asker = Asker::with(bed, &[&server.url("")], &[]).await;
    for path in ["/bomb", "/many-headers"] {
        let answer = asker.ask(&format!("get {}", server.url(path))).await;
        expect(path, answer.contains("HttpResponseHeaderSectionSize(Some(32768))"), answer)?;
    }
    super::quiet(&server).await?;
    let arrived = server.heads().len();
    let long = "x".repeat(40_000);
    let answer = asker.ask(&format!("get {}?{long}", server.url("/hello"))).await;
    expect("a path", answer.contains("HttpRequestHeaderSectionSize(Some(32768))"), answer)?;
    expect("requests that arrived", server.heads().len() == arrived, arrived)?;
    let outcome = asker.tell("fields 1 40000").await;
    asker.leave().await;
    Ok(End::of_outcome(&outcome))
}
