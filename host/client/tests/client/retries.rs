//! Only harmless requests are retried.

use std::time::Duration;

use skep_protocol::{
    Artifacts, ComponentDigest, ConfigDigest, Conflict, CreateWorker, Error, Files, FollowChanges,
    InputId, LimitName, NewInput, Overview, RemoveFile, Sent, Turns, WorkerChange, WorkerSpec,
    Workers,
};

use crate::server::{RUNTIME, Server, json, problem};
use crate::{client, input, message, worker};

/// Starts a server that drops the first request and answers the others.
async fn loses_one(answer: String) -> Server {
    Server::answering(&[String::new(), answer]).await
}

fn accepted() -> String {
    json(202, &format!(r#"{{"input_id":"{}","seq":3}}"#, input()))
}

fn ended(outcome: &str) -> String {
    let error = r#"{"code":"x","message":"y"}"#;
    let input = input();
    json(
        200,
        &format!(
            r#"{{"input_id":"{input}","seq":3,"state":"done","attempt":1,"outcome":"{outcome}","output":null,"error":{error}}}"#
        ),
    )
}

fn create(id: bool) -> CreateWorker {
    let spec = WorkerSpec::new(ComponentDigest::from_sha256([1; 32]));
    CreateWorker { worker_id: id.then(worker), spec }
}

#[tokio::test]
async fn a_read_is_retried() {
    let server = loses_one(json(200, RUNTIME)).await;
    client(&server.url).describe().await.unwrap();
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn an_input_is_retried_only_with_an_idempotency_key() {
    let server = loses_one(accepted()).await;
    let sent = client(&server.url).send(worker(), message(Some("k 1"))).await;
    assert!(matches!(sent, Ok(Sent::Accepted { .. })), "{sent:?}");
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    for request in requests {
        assert_eq!(request.line(), format!("POST /v1/workers/{}/inputs", worker()));
        assert_eq!(request.header("idempotency-key"), Some("k 1"));
        assert_eq!(request.header("content-type"), Some("text/plain"));
        assert_eq!(request.body, b"hello");
    }

    let server = loses_one(accepted()).await;
    let sent = client(&server.url).send(worker(), message(None)).await;
    assert_eq!(sent.err(), Some(Error::RuntimeUnavailable));
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_retried_input_does_not_extend_the_wait() {
    let server = Server::start(|mut connection| async move {
        connection.request().await;
        if connection.nth == 0 {
            // Half of the backoff before the next attempt is enough.
            tokio::time::sleep(Duration::from_millis(50)).await;
        } else {
            connection.send(accepted()).await;
        }
    })
    .await;
    let wait = Some(Duration::from_secs(7));
    client(&server.url).send(worker(), NewInput { wait, ..message(Some("k")) }).await.unwrap();
    let waits = server
        .requests()
        .iter()
        .map(|request| request.parameter("wait_ms").unwrap().parse::<u64>().unwrap())
        .collect::<Vec<_>>();
    assert!(waits[0] <= 7_000 && waits[0] > 6_000, "{waits:?}");
    assert!(waits[1] + 50 < waits[0], "{waits:?}");
}

#[tokio::test]
async fn a_wait_is_at_most_a_minute() {
    let server = Server::answering(&[accepted()]).await;
    let wait = Some(Duration::MAX);
    client(&server.url).send(worker(), NewInput { wait, ..message(None) }).await.unwrap();
    let request = &server.requests()[0];
    assert!(request.parameter("wait_ms").unwrap().parse::<u64>().unwrap() <= 60_000);
    assert_eq!(request.header("idempotency-key"), None);
}

#[tokio::test]
async fn values_that_do_not_fit_a_header_are_refused_locally() {
    let server = Server::answering(&[accepted()]).await;
    let client = client(&server.url);
    for key in [" k", "k "] {
        let refused = client.send(worker(), message(Some(key))).await.unwrap_err();
        assert_eq!(refused.code(), "invalid_request", "{key:?}");
    }
    let mut odd = message(None);
    odd.payload.content_type = "text/plain\r\nx: y".into();
    assert_eq!(client.send(worker(), odd).await.unwrap_err().code(), "invalid_request");
    for cursor in ["", "a b", "a\r\nb", "é"] {
        let refused = client
            .changes(FollowChanges { after: Some(cursor.into()), from_now: false })
            .await
            .err()
            .unwrap();
        assert_eq!(refused.code(), "invalid_request", "{cursor:?}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn creating_a_worker_is_retried_only_with_an_id() {
    for (with_id, requests) in [(true, 2), (false, 1)] {
        let server = loses_one(problem(&Error::StorageFull)).await;
        let made = client(&server.url).create(create(with_id)).await.err();
        assert_eq!(server.requests().len(), requests, "{with_id}");
        let said = if with_id { Error::StorageFull } else { Error::RuntimeUnavailable };
        assert_eq!(made, Some(said));
    }
}

#[tokio::test]
async fn non_idempotent_requests_are_not_retried() {
    let server = Server::answering(&[String::new()]).await;
    let client = client(&server.url);
    let lost = Some(Error::RuntimeUnavailable);
    assert_eq!(client.update(worker(), WorkerChange::default()).await.err(), lost);
    assert_eq!(client.rollback(worker()).await.err(), lost);
    assert_eq!(client.start(worker()).await.err(), lost);
    assert_eq!(client.stop(worker()).await.err(), lost);
    assert_eq!(server.requests().len(), 4);
}

#[tokio::test]
async fn busy_is_not_retried() {
    let retry_after = Duration::from_secs(1);
    let full = Error::MailboxFull { name: LimitName::mailbox_inputs, retry_after };
    for error in [Error::Busy { retry_after }, full] {
        let server = Server::answering(&[problem(&error)]).await;
        let refused = client(&server.url).send(worker(), message(Some("k"))).await;
        assert_eq!(refused.err(), Some(error));
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn a_retried_removal_succeeds_if_the_item_is_gone() {
    let component = ComponentDigest::from_sha256([1; 32]);
    let config = ConfigDigest::from_sha256([1; 32]);
    for lost in [true, false] {
        let gone = async |error: &Error| {
            let answer = problem(error);
            if lost { loses_one(answer).await } else { Server::answering(&[answer]).await }
        };
        let expected = |error: Error| if lost { None } else { Some(error) };

        let error = Error::WorkerRemoved;
        let server = gone(&error).await;
        assert_eq!(client(&server.url).remove(worker()).await.err(), expected(error));
        let error = Error::UnknownFile;
        let server = gone(&error).await;
        let name = "a/b".parse().unwrap();
        assert_eq!(
            client(&server.url).remove_file(worker(), name, RemoveFile::default()).await.err(),
            expected(error)
        );
        let error = Error::UnknownComponent(component);
        let server = gone(&error).await;
        let removed = client(&server.url).remove_component(component).await;
        assert_eq!(removed.err(), expected(error));
        let error = Error::UnknownConfig(config);
        let server = gone(&error).await;
        assert_eq!(client(&server.url).remove_config(config).await.err(), expected(error));
    }
    // It is another answer if the worker never existed.
    let error = Error::UnknownWorker(worker());
    let server = loses_one(problem(&error)).await;
    assert_eq!(client(&server.url).remove(worker()).await.err(), Some(error));
}

#[tokio::test]
async fn a_retried_cancel_returns_the_ended_input() {
    let already = problem(&Conflict::Ended.into());
    let cancel = async |answers: &[String]| {
        let server = Server::answering(answers).await;
        client(&server.url).cancel(worker(), input()).await
    };
    let cancelled = cancel(&[String::new(), already.clone(), ended("cancelled")]).await;
    assert_eq!(cancelled.map(|view| view.input_id), Ok::<InputId, _>(input()));
    let completed = cancel(&[String::new(), already.clone(), ended("failed")]).await;
    assert_eq!(completed.err(), Some(Conflict::Ended.into()));
    assert_eq!(cancel(&[already]).await.err(), Some(Conflict::Ended.into()));
}
