//! More requests at once than there may be connections, and than may wait for one.

use skep_harness::Server;
use skep_protocol::LimitName;

use crate::asker::{Asker, answered, expect, seen};
use crate::bed::Bed;
use crate::case::Sight;
use crate::seen::End;

pub(crate) fn run(bed: &Bed) -> Sight<'_> {
    Box::pin(async move { seen(attempt(bed).await) })
}

async fn attempt(bed: &Bed) -> Result<End, String> {
    let server = Server::start();
    let limits = [(LimitName::outbound_connections, 4)];
    let asker = Asker::with(bed, &[&server.url("")], &limits).await;
    let answer = asker.ask(&format!("many 30 {}", server.url("/nap"))).await;
    expect("those that wait", answer == "30 200\n", answer)?;
    let answer = asker.ask(&format!("many 50 {}", server.url("/nap"))).await;
    // 36 have room. One that is answered before all have been asked makes room for another.
    let (good, refused) = answered(&answer);
    expect("those that may not", good + refused == 50 && (1..=14).contains(&refused), answer)?;
    asker.leave().await;
    expect("connections at once", server.most() == 4, server.most())?;
    super::quiet(&server).await?;
    Ok(End::Limit(LimitName::outbound_connections))
}
