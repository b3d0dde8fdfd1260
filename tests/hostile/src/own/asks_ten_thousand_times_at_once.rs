//! Ten thousand concurrent requests, beside a neighbour with requests of its own.

use std::time::{Duration, Instant};

use skep_harness::Server;
use skep_protocol::LimitName;

use crate::asker::{Asker, answered, expect, seen};
use crate::attack::Sight;
use crate::bed::Bed;
use crate::end::End;

/// The bound on the neighbour's wait for an answer. The machine has two cores and other work.
const SLOWEST: Duration = Duration::from_secs(10);

pub(crate) fn run(bed: &Bed) -> Sight<'_> {
    Box::pin(async move { seen(attempt(bed).await) })
}

async fn attempt(bed: &Bed) -> Result<End, String> {
    let server = Server::start();
    let limits = [(LimitName::component_handles, 50_000), (LimitName::host_resources, 50_000)];
    let greedy = Asker::with(bed, &[&server.url("")], &limits).await;
    let neighbour = Asker::with(bed, &[&server.url("")], &[]).await;
    let get = format!("get {}", server.url("/hello"));
    neighbour.ask(&get).await;
    let many = format!("many 10000 {}", server.url("/nap"));
    let (answer, slowest) = tokio::join!(greedy.ask(&many), async {
        let mut slowest = Duration::ZERO;
        for _ in 0..20 {
            let began = Instant::now();
            let answer = neighbour.ask(&get).await;
            expect("the neighbour", answer.starts_with("status 200"), answer)?;
            slowest = slowest.max(began.elapsed());
        }
        Ok::<_, String>(slowest)
    });
    let slowest = slowest?;
    greedy.remove().await;
    neighbour.remove().await;
    let (good, refused) = answered(&answer);
    expect("answers", good + refused == 10_000 && refused > 0 && good >= 288, &answer)?;
    expect("connections at once", server.most() <= 32, server.most())?;
    expect("the neighbour's slowest", slowest < SLOWEST, slowest)?;
    super::quiet(&server).await?;
    Ok(End::Limit(LimitName::outbound_connections))
}
