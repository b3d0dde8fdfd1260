//! Compressed answers.

use std::io::Read;

use flate2::read::GzDecoder;
use serde_json::Value;
use skep_conformance::Guest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::bed::Bed;
use crate::client::LONG;

/// Decompresses as much as there is.
fn plain(compressed: &[u8]) -> String {
    let (mut decoder, mut out, mut piece) = (GzDecoder::new(compressed), Vec::new(), [0; 4096]);
    while let Ok(read @ 1..) = decoder.read(&mut piece) {
        out.extend(&piece[..read]);
    }
    String::from_utf8(out).unwrap()
}

#[tokio::test]
async fn long_json_is_compressed_for_clients_that_accept_it() {
    let bed = Bed::browser().await;
    let long = || bed.admin("GET", "/api/openapi.json");
    let whole = long().send().await.is(200);
    assert_eq!(whole.header("content-encoding"), "");
    assert_eq!(whole.header("vary"), "accept-encoding");
    let small = long().header("accept-encoding", "br, gzip").send().await.is(200);
    assert_eq!(small.header("content-encoding"), "gzip");
    assert_eq!(small.header("content-length"), "", "its length is not that of the whole");
    assert!(small.body.len() * 5 < whole.body.len(), "{} bytes", small.body.len());
    let read: Value = serde_json::from_str(&plain(&small.body)).unwrap();
    assert_eq!(read, whole.json());
    for refused in ["", "br", "gzip;q=0", "identity"] {
        let said = long().header("accept-encoding", refused).send().await.is(200);
        assert_eq!(said.header("content-encoding"), "", "{refused}");
    }
    let short = bed.admin("GET", "/api/me").header("accept-encoding", "gzip").send().await.is(200);
    assert_eq!(short.header("content-encoding"), "", "it fits in one packet anyway");
    let head = bed.admin("HEAD", "/api/openapi.json").header("accept-encoding", "gzip");
    assert_eq!(head.send().await.is(200).header("content-encoding"), "");
}

#[tokio::test]
async fn a_file_is_sent_as_it_is() {
    let bed = Bed::browser().await;
    let worker = bed.worker(Guest::Scribe).await;
    let file = format!("{worker}/files/a.json");
    bed.admin("PUT", &file).body("x".repeat(4096)).send().await.is(201);
    let said = bed.admin("GET", &file).header("accept-encoding", "gzip").send().await.is(200);
    assert_eq!((said.header("content-encoding"), said.header("content-length")), ("", "4096"));
}

#[tokio::test]
async fn each_event_of_a_compressed_stream_arrives_at_once() {
    let bed = Bed::browser().await;
    let worker = bed.worker(Guest::Scribe).await;
    let mut stream = TcpStream::connect(bed.addr).await.unwrap();
    let head = format!(
        "GET {worker}/events?after=0 HTTP/1.0\r\nhost: localhost\r\naccept-encoding: gzip\r\n\
         authorization: Bearer {}\r\n\r\n",
        bed.admin
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut all = Vec::new();
    let mut until = async |text: &str| {
        let read = async {
            loop {
                let at = all.windows(4).position(|four| four == b"\r\n\r\n");
                if at.is_some_and(|at| plain(&all[at + 4..]).contains(text)) {
                    return;
                }
                let mut piece = [0; 4096];
                let read = stream.read(&mut piece).await.unwrap();
                assert!(read > 0, "the stream ended before {text}");
                all.extend_from_slice(&piece[..read]);
            }
        };
        tokio::time::timeout(LONG, read).await.expect("the event arrives");
    };
    until("\"created\"").await;
    // The stream stays open; what a turn adds is there without the end of the stream.
    bed.handle(&worker, "emit tick 1").await;
    until("\"tick\"").await;
    let head = String::from_utf8_lossy(&all).to_lowercase();
    assert!(head.contains("content-encoding: gzip") && head.contains("text/event-stream"));
}
