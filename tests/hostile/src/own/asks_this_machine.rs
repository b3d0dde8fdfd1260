//! Requests to this machine by each way of naming it, with a grant for every public host.

use skep_harness::Server;

use crate::asker::{Asker, PROHIBITED, expect, seen};
use crate::attack::Sight;
use crate::bed::Bed;
use crate::end::End;

pub(crate) fn run(bed: &Bed) -> Sight<'_> {
    Box::pin(async move { seen(attempt(bed).await) })
}

async fn attempt(bed: &Bed) -> Result<End, String> {
    let server = Server::start();
    let port = server.port();
    let asker = Asker::with(bed, &[&format!("http://*:{port}")], &[]).await;
    let forms = [
        "127.0.0.1",
        "127.9.9.9",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "localhost",
        "LOCALHOST.",
        "127.0.0.1.",
        "own.test",
    ];
    bed.names().lead("own.test", &[&["127.0.0.1"]]);
    asker.is_refused(port, &forms, PROHIBITED).await?;
    asker.remove().await;
    expect("requests that arrived", server.heads().is_empty(), server.heads())?;
    // A worker with an `inner` grant reaches it.
    let friend = Asker::with(bed, &[&format!("http://localhost:{port} inner")], &[]).await;
    let answer = friend.ask(&format!("get http://LOCALHOST.:{port}/hello")).await;
    expect("a friend", answer.starts_with("status 200"), answer)?;
    friend.remove().await;
    Ok(End::Denied(format!("in all {} forms", forms.len())))
}
