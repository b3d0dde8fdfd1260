//! Requests to this machine by IPv6 addresses that embed an IPv4 address.

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
        "[::ffff:127.0.0.1]",
        "[0:0:0:0:0:ffff:7f00:1]",
        "[::FFFF:7F00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[64:ff9b:1::7f00:1]",
        "[2002:7f00:1::]",
        "[::ffff:0:127.0.0.1]",
        "mapped.test",
        "translated.test",
    ];
    bed.names().lead("mapped.test", &[&["::ffff:127.0.0.1"]]);
    bed.names().lead("translated.test", &[&["64:ff9b::7f00:1"]]);
    asker.is_refused(port, &forms, PROHIBITED).await?;
    asker.remove().await;
    expect("requests that arrived", server.heads().is_empty(), server.heads())?;
    // A mapped address is covered by the grant for its IPv4 address.
    let friend = Asker::with(bed, &[&server.url("")], &[]).await;
    let answer = friend.ask(&format!("get http://[::ffff:127.0.0.1]:{port}/hello")).await;
    expect("a friend", answer.starts_with("status 200"), answer)?;
    friend.remove().await;
    Ok(End::Denied(format!("in all {} forms", forms.len())))
}
