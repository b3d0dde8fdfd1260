//! DNS rebinding: a name with another address at each query, a permitted one first and an inner one
//! later.

use std::net::TcpListener;

use skep_harness::Server;

use crate::asker::{Asker, PROHIBITED, expect, seen};
use crate::attack::Sight;
use crate::bed::Bed;
use crate::end::End;

pub(crate) fn run(bed: &Bed) -> Sight<'_> {
    Box::pin(async move { seen(attempt(bed).await) })
}

async fn attempt(bed: &Bed) -> Result<End, String> {
    let first = Server::start();
    let port = first.port();
    let second = Server::serve(TcpListener::bind(("127.0.0.2", port)).unwrap());
    // The address that was checked is the one that is dialled: no second query comes in between.
    bed.names().lead("shifty.test", &[&["127.0.0.1"], &["127.0.0.2"]]);
    let asker = Asker::with(bed, &[&format!("http://shifty.test:{port} inner")], &[]).await;
    let get = format!("get http://shifty.test:{port}/hello");
    let answer = asker.ask(&get).await;
    expect("the first address", answer.starts_with("status 200"), answer)?;
    let asked = bed.names().asked("shifty.test");
    expect("name queries", asked == 1, asked)?;
    expect("the second server", second.heads().is_empty(), second.heads())?;
    asker.remove().await;
    // The addresses of a public name are checked at each request, alone or among others.
    let inside: [&[&str]; 6] = [
        &["127.0.0.1"],
        &["10.0.0.1", "::1", "127.0.0.1"],
        &["0.0.0.0"],
        &["169.254.169.254"],
        &["::ffff:127.0.0.1"],
        &["127.0.0.2"],
    ];
    bed.names().lead("shifty.test", &inside);
    let asker = Asker::with(bed, &[&format!("http://shifty.test:{port}")], &[]).await;
    asker.is_refused(port, &["shifty.test"; 6], PROHIBITED).await?;
    asker.remove().await;
    let asked = bed.names().asked("shifty.test");
    expect("name queries", asked == inside.len(), asked)?;
    expect("requests", first.heads().len() == 1 && second.heads().is_empty(), first.heads())?;
    Ok(End::Denied(format!("all {} answers", inside.len())))
}
