//! More concurrent requests than may have or await a connection.

use skep_harness::Server;
use skep_protocol::LimitName;

use crate::asker::{Asker, answered, expect, seen};
use crate::attack::Sight;
use crate::bed::Bed;
use crate::end::End;

pub(crate) fn run(bed: &Bed) -> Sight<'_> {
    Box::pin(async move { seen(attempt(bed).await) })
}

async fn attempt(bed: &Bed) -> Result<End, String> {
    let server = Server::start();
    let limits = [(LimitName::outbound_connections, 4)];
    let asker = Asker::with(bed, &[&server.url("")], &limits).await;
    let answer = asker.ask(&format!("many 30 {}", server.url("/nap"))).await;
    expect("waiting requests", answer == "30 200\n", answer)?;
    let answer = asker.ask(&format!("many 50 {}", server.url("/nap"))).await;
    // 36 have room: 4 connections and a queue of 32. An early answer makes room for another.
    let (good, refused) = answered(&answer);
    expect("refused requests", good + refused == 50 && (1..=14).contains(&refused), answer)?;
    asker.remove().await;
    expect("connections at once", server.most() == 4, server.most())?;
    super::quiet(&server).await?;
    Ok(End::Limit(LimitName::outbound_connections))
}
