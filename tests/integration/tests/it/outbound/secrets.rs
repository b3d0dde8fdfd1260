//! A secret is where the operator said, and nowhere else.

use std::path::Path;
use std::time::Duration;

use skep_harness::Server;
use skep_protocol::EntryKind;
use skep_runtime::OperatorSecret;

use super::bed::{self, Bed};

/// Found nowhere but with the server it is for.
const VALUE: &str = "MARKER/hunter2+MARKER-0123456789";

/// A runtime that knows the secret `token` for one server.
fn bed(server: &Server) -> Bed {
    let secret = OperatorSecret::new(VALUE, vec![server.url("").parse().unwrap()]).unwrap();
    Bed::knowing([("token".parse().unwrap(), secret)].into())
}

/// The files below a directory that have the secret, or a piece of it, in them.
fn tainted(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    let mut files = 0;
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
                continue;
            }
            files += 1;
            let content = std::fs::read(&path).unwrap();
            if content.windows(6).any(|piece| piece == b"MARKER") {
                found.push(path.display().to_string());
            }
        }
    }
    assert!(files > 2, "there is nothing to look at");
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_put_in_on_the_way_to_its_host_only() {
    let (friend, stranger) = (Server::start(), Server::start());
    let bed = bed(&friend);
    let worker = bed.caller(&[&friend.url(""), &stranger.url("")], &[], &["token"]).await;
    let standin = bed.ask(worker, "say secret.token").await;
    assert!(standin.starts_with("skep-secret-") && standin.len() == 44, "{standin}");
    assert!(bed.ask(worker, "env").await.contains(&format!("SKEP_SECRET_TOKEN={standin}\n")));

    let asked = "?key=$token authorization:Bearer_$token x-key:$token";
    for (server, knows) in [(&friend, true), (&stranger, false)] {
        let echoed = bed.ask(worker, &format!("get {}{asked}", server.url("/echo"))).await;
        let dripped = bed.ask(worker, &format!("get {}{asked}", server.url("/drip"))).await;
        let mirrored = bed.ask(worker, &format!("get {}{asked}", server.url("/mirror"))).await;
        for seen in [&echoed, &dripped, &mirrored] {
            assert!(seen.contains(&standin) && !seen.contains("MARKER"), "{seen}");
        }
        assert!(echoed.contains(&format!("authorization: Bearer {standin}")), "{echoed}");
        assert!(mirrored.contains(&format!("x-mirror: {standin}")), "{mirrored}");
        for head in server.heads() {
            let bearer = if knows { VALUE } else { &standin };
            assert!(head.contains(&format!("authorization: Bearer {bearer}\r\n")), "{head}");
            assert_eq!(head.contains("?key=MARKER%2Fhunter2%2BMARKER-0123456789"), knows, "{head}");
            assert_eq!(head.contains("MARKER"), knows);
        }
    }
    // A body is content, not a credential.
    bed.ask(worker, &format!("send POST {} 10 x-key:$token", friend.url("/hello"))).await;

    // What is packed cannot be looked through.
    let packed = format!("get {} x-key:$token", friend.url("/gzip"));
    assert_eq!(bed.ask(worker, &packed).await, "error ErrorCode::HttpResponseContentCoding(None)");
    assert!(bed.ask(worker, &format!("get {}", friend.url("/gzip"))).await.contains("status 200"));

    let requests = bed.entries(worker, EntryKind::Request).await;
    assert!(requests.len() >= 8);
    assert!(bed::json(&requests[0])["status"] == 200);
    assert_eq!(tainted(&bed.dir), [""; 0]);
    let Bed { runtime, dir } = bed;
    runtime.shutdown(Duration::from_secs(5)).await;
    assert_eq!(tainted(&dir), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_for_workers_that_were_granted_it() {
    let friend = Server::start();
    let bed = bed(&friend);
    let other = bed.caller(&[&friend.url("")], &[], &[]).await;
    assert_eq!(bed.ask(other, "say secret.token").await, "-");
    // One worker's stand-in is nothing in the hands of another, nor are two alike.
    let worker = bed.caller(&[&friend.url("")], &[], &["token"]).await;
    let standin = bed.ask(worker, "say secret.token").await;
    let third = bed.caller(&[&friend.url("")], &[], &["token"]).await;
    assert_ne!(bed.ask(third, "say secret.token").await, standin);
    for worker in [other, third] {
        bed.ask(worker, &format!("get {} x-key:{standin}", friend.url("/echo"))).await;
    }
    assert!(friend.heads().iter().all(|head| head.contains(&standin)));
    // Without a grant for the host a secret opens no way there.
    let fourth = bed.caller(&[], &[], &["token"]).await;
    let answer = bed.ask(fourth, &format!("get {} x-key:$token", friend.url("/echo"))).await;
    assert_eq!(answer, "error ErrorCode::HttpRequestDenied");
}
