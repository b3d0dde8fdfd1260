//! Typed errors survive the network.

use skep_client::{Client, Refusals};
use skep_protocol::{Error, Workers};

use crate::server::{Server, problem};
use crate::{client, endpoint, worker};

#[tokio::test]
async fn every_error_survives_the_network() {
    let mut all = Error::every();
    all.retain(|error| !matches!(error, Error::WorkerNotVisible(_)));
    let answers: Vec<_> = all.iter().map(problem).collect();
    let server = Server::answering(&answers).await;
    let client = client(&server.url);
    for error in &all {
        assert_eq!(client.get(worker()).await.err().as_ref(), Some(error));
    }
    assert_eq!(server.requests().len(), all.len(), "an error is an answer and is not retried");
}

#[tokio::test]
async fn an_invisible_worker_is_unknown() {
    let server = Server::answering(&[problem(&Error::WorkerNotVisible(worker()))]).await;
    let seen = client(&server.url).get(worker()).await.err();
    assert_eq!(seen, Some(Error::UnknownWorker(worker())));
}

#[tokio::test]
async fn a_refused_operator_token_is_reported_as_unavailable() {
    let forbidden = Error::Forbidden(skep_protocol::Need::Role(skep_protocol::Role::Admin));
    for error in [Error::Unauthenticated, forbidden] {
        let server = Server::answering(&[problem(&error)]).await;
        let remote = Client::new(endpoint(&server.url)).unwrap();
        assert_eq!(remote.get(worker()).await.err(), Some(Error::RuntimeUnavailable));
        let own = remote.with_refusals(Refusals::Told);
        assert_eq!(own.get(worker()).await.err(), Some(error));
    }
}

#[tokio::test]
async fn errors_do_not_contain_the_endpoint() {
    let server = Server::answering(&["nonsense".into()]).await;
    let client = client(&server.url);
    let port = server.url.rsplit(':').next().unwrap();
    let error = client.get(worker()).await.unwrap_err();
    let shown = format!("{error} {error:?} {client:?}");
    assert!(!shown.contains(port) && !shown.contains("one-token"), "{shown}");
}
