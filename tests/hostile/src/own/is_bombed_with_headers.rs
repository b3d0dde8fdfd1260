//! Answers and requests with too many headers.

use skep_harness::Server;

use crate::asker::{Asker, expect, seen};
use crate::attack::Sight;
use crate::bed::Bed;
use crate::end::End;

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
    asker.remove().await;
    Ok(End::of_outcome(&outcome))
}
