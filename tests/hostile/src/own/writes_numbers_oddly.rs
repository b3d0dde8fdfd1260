//! Requests to this machine by address notations that only some programs accept, and by ambiguous
//! hosts.

use skep_harness::Server;

use crate::asker::{Asker, UNREADABLE, expect, seen};
use crate::attack::Sight;
use crate::bed::Bed;
use crate::end::End;

pub(crate) fn run(bed: &Bed) -> Sight<'_> {
    Box::pin(async move { seen(attempt(bed).await) })
}

async fn attempt(bed: &Bed) -> Result<End, String> {
    let server = Server::start();
    let port = server.port();
    let grants = [format!("http://*:{port}"), format!("http://*:{port} inner")];
    let asker = Asker::with(bed, &grants.each_ref().map(String::as_str), &[]).await;
    // Decimal, hexadecimal, octal, short, and mixtures; a name and a password; two dots.
    let forms = [
        "2130706433",
        "0x7f000001",
        "0X7F000001",
        "017700000001",
        "0x7f.1",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "0177.0.0x1",
        "127.1",
        "127.0.1",
        "127.0.0.01",
        "127.0.0.1..",
        "example.com@127.0.0.1",
        "a:b@127.0.0.1",
    ];
    asker.is_refused(port, &forms, UNREADABLE).await?;
    // The library rejects these before the host sees them.
    let more =
        ["127.0.0.1%00", "%3127.0.0.1", "[::1%25lo]", "[::1%lo]", "１２７.0.0.1", "127。0。0。1"];
    for host in more {
        let answer = asker.ask(&format!("get http://{host}:{port}/hello")).await;
        expect(host, answer.starts_with("error "), answer)?;
    }
    // These ports do not exist.
    for port in ["0", "65536", "", "+80", "0x50"] {
        let answer = asker.ask(&format!("get http://127.0.0.1:{port}/hello")).await;
        expect(port, answer.starts_with("error "), answer)?;
    }
    expect("requests that arrived", server.heads().is_empty(), server.heads())?;
    // The unambiguous form is reachable.
    let answer = asker.ask(&format!("get {}", server.url("/hello"))).await;
    expect("a plain one", answer.starts_with("status 200"), answer)?;
    asker.remove().await;
    Ok(End::Denied(format!("in all {} forms", forms.len() + more.len())))
}
