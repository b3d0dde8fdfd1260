//! Requests to the host's own API, from a worker with every grant.

use std::net::{Ipv4Addr, SocketAddr};

use skep_harness::Server;

use crate::asker::{Asker, PROHIBITED, expect, seen};
use crate::attack::Sight;
use crate::bed::Bed;
use crate::end::End;

pub(crate) fn run(bed: &Bed) -> Sight<'_> {
    Box::pin(async move { seen(attempt(bed).await) })
}

async fn attempt(bed: &Bed) -> Result<End, String> {
    let (own, everywhere) = (Server::start(), Server::start());
    bed.names().lead("own.test", &[&["::ffff:127.0.0.1", "127.0.0.1"]]);
    let forms =
        ["127.0.0.1", "[::ffff:127.0.0.1]", "0.0.0.0", "[::ffff:0.0.0.0]", "localhost", "own.test"];
    for server in [&own, &everywhere] {
        let port = server.port();
        let asker = Asker::with(bed, &[&format!("http://*:{port} inner")], &[]).await;
        for host in forms {
            let answer = asker.ask(&format!("get http://{host}:{port}/hello")).await;
            expect(host, answer.starts_with("status 200"), answer)?;
        }
        // The host registers its own port like this: this listener, and one on all addresses.
        let all = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port);
        bed.outbound().shun(if port == own.port() { own.address() } else { all });
        let refused = asker.is_refused(port, &forms, PROHIBITED).await;
        refused.map_err(|what| format!("{what} at {}", server.address()))?;
        asker.remove().await;
        expect("requests that arrived", server.heads().len() == forms.len(), server.heads())?;
    }
    Ok(End::Denied(format!("in all {} forms", forms.len())))
}
