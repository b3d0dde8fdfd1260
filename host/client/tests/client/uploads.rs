//! Uploads.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use skep_client::ClientDeadlines;
use skep_protocol::{Artifacts, ByteStream, Error, FileCondition, Files, Invalid, Role};

use crate::server::{Server, json, problem};
use crate::{client, hurried, worker};

const VIEW: &str = r#"{"name":"a b","bytes":6,"modified_at":"2026-11-21T08:02:00.250Z"}"#;

fn pieces(pieces: Vec<Result<Bytes, Error>>) -> ByteStream {
    stream::iter(pieces).boxed()
}

fn text(pieces_of: &[&'static str]) -> ByteStream {
    pieces(pieces_of.iter().map(|&piece| Ok(piece.into())).collect())
}

#[tokio::test]
async fn an_upload_arrives_as_one_body() {
    let server = Server::answering(&[json(201, VIEW)]).await;
    let stored = client(&server.url)
        .write_file(
            worker(),
            "d/a b".parse().unwrap(),
            text(&["abc", "", "def"]),
            FileCondition::Any,
        )
        .await
        .unwrap();
    assert!(stored.created);
    assert_eq!(stored.item.modified_at.to_string(), "2026-11-21T08:02:00.250Z");
    let request = &server.requests()[0];
    assert_eq!(request.line(), format!("PUT /v1/workers/{}/files/d/a%20b", worker()));
    assert_eq!(request.body, b"abcdef");
}

#[tokio::test]
async fn a_started_upload_is_not_retried() {
    let server = Server::answering(&[String::new(), json(201, VIEW)]).await;
    let written = client(&server.url)
        .write_file(worker(), "a".parse().unwrap(), text(&["abc"]), FileCondition::Any)
        .await;
    assert_eq!(written.err(), Some(Error::RuntimeUnavailable));
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn an_error_of_the_uploads_stream_goes_to_the_caller() {
    let server = Server::answering(&[json(201, VIEW)]).await;
    let broken = pieces(vec![Ok("abc".into()), Err(Invalid::Body.into())]);
    let written = client(&server.url).put_component(broken, Role::Admin).await;
    assert_eq!(written.err(), Some(Invalid::Body.into()));
    assert_eq!(server.requests().len(), 0, "the server gets an incomplete body");
}

#[tokio::test]
async fn a_server_may_refuse_an_upload_early() {
    let server = Server::start(|mut connection| async move {
        connection.head().await;
        connection.send(problem(&Error::StorageFull)).await;
        connection.hang().await;
    })
    .await;
    let endless = stream::repeat_with(|| Ok(Bytes::from(vec![7; 64 << 10]))).boxed();
    let written = client(&server.url).import(worker(), endless).await;
    assert_eq!(written.err(), Some(Error::StorageFull));
}

#[tokio::test]
async fn an_upload_to_a_stalled_server_times_out() {
    let server = Server::start(|mut connection| async move {
        connection.head().await;
        std::future::pending::<()>().await;
    })
    .await;
    let soon = Duration::from_millis(200);
    let deadlines = ClientDeadlines { headers: soon, body: soon, ..ClientDeadlines::default() };
    let endless = stream::repeat_with(|| Ok(Bytes::from(vec![7; 64 << 10]))).boxed();
    let client = hurried(&server.url, deadlines);
    let written =
        client.write_file(worker(), "a".parse().unwrap(), endless, FileCondition::Any).await;
    assert_eq!(written.err(), Some(Error::RuntimeUnavailable));
}

#[tokio::test]
async fn an_upload_that_moves_may_exceed_the_response_deadline() {
    let server = Server::answering(&[json(200, VIEW)]).await;
    let soon = Duration::from_millis(600);
    let deadlines =
        ClientDeadlines { headers: soon, body: soon * 20, ..ClientDeadlines::default() };
    let slow = stream::unfold(0, |n| async move {
        tokio::time::sleep(Duration::from_millis(60)).await;
        (n < 14).then(|| (Ok(Bytes::from_static(b"x")), n + 1))
    });
    let client = hurried(&server.url, deadlines);
    let stored = client
        .write_file(worker(), "a".parse().unwrap(), slow.boxed(), FileCondition::Any)
        .await
        .unwrap();
    assert!(!stored.created);
    assert_eq!(server.requests()[0].body, [b'x'; 14]);
}
