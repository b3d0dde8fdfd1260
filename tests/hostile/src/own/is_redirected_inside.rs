//! A server that redirects to addresses that the worker may not reach.

use skep_harness::Server;

use crate::asker::{Asker, PROHIBITED, expect, seen};
use crate::attack::Sight;
use crate::bed::Bed;
use crate::end::End;

pub(crate) fn run(bed: &Bed) -> Sight<'_> {
    Box::pin(async move { seen(attempt(bed).await) })
}

async fn attempt(bed: &Bed) -> Result<End, String> {
    let (outer, inner) = (Server::start(), Server::start());
    bed.names().lead("outer.test", &[&["127.0.0.1"]]);
    let (port, other) = (outer.port(), inner.port());
    let grants = [
        format!("http://outer.test:{port} inner"),
        format!("http://*:{port}"),
        format!("http://*:{other}"),
    ];
    let asker = Asker::with(bed, &grants.each_ref().map(String::as_str), &[]).await;
    let targets = [
        inner.url("/hello"),
        outer.url("/hello"),
        format!("http://localhost:{other}/hello"),
        format!("http://169.254.169.254:{other}/latest/meta-data/"),
        format!("http://[::ffff:127.0.0.1]:{other}/hello"),
    ];
    for to in &targets {
        let answer = asker.ask(&format!("follow http://outer.test:{port}/to?{to}")).await;
        let followed = answer.contains(" 302\n") && answer.ends_with(PROHIBITED);
        expect(to, followed, answer)?;
    }
    // A target without any grant.
    let denied = "error ErrorCode::HttpRequestDenied";
    let answer =
        asker.ask(&format!("follow http://outer.test:{port}/to?http://127.0.0.1:1/x")).await;
    expect("another port", answer.ends_with(denied), answer)?;
    asker.remove().await;
    expect("requests that arrived", inner.heads().is_empty(), inner.heads())?;
    expect("redirects", outer.heads().len() == targets.len() + 1, outer.heads())?;
    Ok(End::Denied(format!("all {} redirects", targets.len())))
}
