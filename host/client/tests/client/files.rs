//! Downloads.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use skep_client::ClientDeadlines;
use skep_protocol::{ByteStream, Error, FileRange, FileView, Files};

use crate::server::{Server, answer};
use crate::{client, hurried, worker};

fn file(status: u16, more: &str, body: &str) -> String {
    let answer = answer(status, "application/octet-stream", body);
    let modified = "skep-modified-at: 2026-11-21T08:02:00.250Z";
    answer.replace("connection: close", &format!("{modified}\r\n{more}connection: close"))
}

async fn read(stream: ByteStream) -> Result<String, Error> {
    let bytes: Vec<u8> = stream.map_ok(Vec::from).try_concat().await?;
    Ok(String::from_utf8(bytes).unwrap())
}

async fn ask(server: &Server, range: Option<FileRange>) -> Result<(FileView, ByteStream), Error> {
    client(&server.url).read_file(worker(), "d/a".parse().unwrap(), range).await
}

#[tokio::test]
async fn a_file_is_described_and_read() {
    let server = Server::answering(&[file(200, "", "0123456789")]).await;
    let (view, bytes) = ask(&server, None).await.unwrap();
    assert_eq!((view.name.as_str(), view.bytes), ("d/a", 10));
    assert_eq!(view.modified_at.to_string(), "2026-11-21T08:02:00.250Z");
    assert_eq!(read(bytes).await.unwrap(), "0123456789");
    assert_eq!(server.requests()[0].header("range"), None);
}

#[tokio::test]
async fn a_range_is_requested() {
    let part = file(206, "content-range: bytes 3-6/10\r\n", "3456");
    for (bytes, asked) in [(Some(4), "bytes=3-6"), (None, "bytes=3-")] {
        let server = Server::answering(std::slice::from_ref(&part)).await;
        let (view, stream) = ask(&server, Some(FileRange { start: 3, bytes })).await.unwrap();
        assert_eq!(view.bytes, 10, "the view describes the whole file");
        assert_eq!(read(stream).await.unwrap(), "3456");
        assert_eq!(server.requests()[0].header("range"), Some(asked));
    }
}

#[tokio::test]
async fn a_server_may_ignore_the_range() {
    let server = Server::answering(&[file(200, "", "0123456789")]).await;
    let (view, stream) = ask(&server, Some(FileRange { start: 3, bytes: Some(4) })).await.unwrap();
    assert_eq!((view.bytes, read(stream).await.unwrap().as_str()), (10, "3456"));
    let (_, stream) = ask(&server, Some(FileRange { start: 3, bytes: Some(0) })).await.unwrap();
    assert_eq!(read(stream).await.unwrap(), "");
}

#[tokio::test]
async fn a_range_beyond_the_end_is_empty() {
    let nothing = file(416, "content-range: bytes */10\r\n", "whatever");
    let server = Server::answering(std::slice::from_ref(&nothing)).await;
    let (view, stream) = ask(&server, Some(FileRange { start: 10, bytes: None })).await.unwrap();
    assert_eq!((view.bytes, read(stream).await.unwrap().as_str()), (10, ""));
    // Without a range, 416 is not a valid response.
    assert_eq!(ask(&server, None).await.err(), Some(Error::RuntimeUnavailable));
}

#[tokio::test]
async fn a_truncated_download_is_an_error() {
    let whole = file(200, "", "0123456789");
    let server = Server::answering(&[whole[..whole.len() - 3].to_owned()]).await;
    let (_, stream) = ask(&server, None).await.unwrap();
    let pieces: Vec<_> = stream.collect().await;
    assert_eq!(pieces.last().unwrap().as_ref().err(), Some(&Error::RuntimeUnavailable));
}

#[tokio::test]
async fn a_stalled_download_times_out() {
    let whole = file(200, "", "0123456789");
    let server = Server::start(move |mut connection| {
        let whole = whole.clone();
        async move {
            connection.request().await;
            connection.send(&whole[..whole.len() - 3]).await;
            connection.hang().await;
        }
    })
    .await;
    let deadlines =
        ClientDeadlines { body: Duration::from_millis(100), ..ClientDeadlines::default() };
    let client = hurried(&server.url, deadlines);
    let (_, stream) = client.read_file(worker(), "a".parse().unwrap(), None).await.unwrap();
    assert_eq!(read(stream).await, Err(Error::RuntimeUnavailable));
}

#[tokio::test]
async fn a_response_that_is_not_an_archive_is_refused() {
    let server = Server::answering(&[answer(200, "text/html", "hello")]).await;
    let exported = client(&server.url).export(worker()).await;
    assert_eq!(exported.err(), Some(Error::RuntimeUnavailable));
    let server = Server::answering(&[answer(200, "application/x-tar", "tar")]).await;
    let exported = client(&server.url).export(worker()).await.unwrap();
    assert_eq!(read(exported).await.unwrap(), "tar");
}
