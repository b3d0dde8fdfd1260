//! Typed errors survive the hop.

use std::time::Duration;

use skep_client::{Client, Refusals};
use skep_protocol::{
    ComponentDigest, ConfigDigest, Conflict, Error, Invalid, LimitName, RuntimeHandle,
};

use crate::server::{Server, problem};
use crate::{client, endpoint, input, worker};

fn every_error() -> Vec<Error> {
    let retry_after = Duration::from_millis(1_500);
    let name = LimitName::mailbox_bytes;
    let mut all = vec![
        Error::Unauthenticated,
        Error::Forbidden,
        Error::UnknownRuntime("elsewhere".parse().unwrap()),
        Error::UnknownWorker(worker()),
        Error::UnknownHost("elsewhere".parse().unwrap()),
        Error::UnknownComponent(ComponentDigest::from_sha256([1; 32])),
        Error::UnknownConfig(ConfigDigest::from_sha256([1; 32])),
        Error::UnknownInput(input()),
        Error::UnknownFile,
        Error::WorkerStopped,
        Error::WorkerRemoved,
        Error::LimitExceeded { name, limit: 7 },
        Error::ComponentRefused { reason: "it imports `x:y/z`".into() },
        Error::MailboxFull { name, retry_after },
        Error::OperationUnsupported,
        Error::Busy { retry_after },
        Error::RuntimeUnavailable,
        Error::StorageFull,
        Error::Internal,
    ];
    all.extend(Invalid::all(name).map(Error::InvalidRequest));
    all.extend(Conflict::ALL.map(Error::Conflict));
    all
}

#[tokio::test]
async fn every_error_is_the_same_on_the_other_side() {
    let all = every_error();
    // Total: a new variant does not compile without a decision.
    for error in &all {
        match error {
            Error::InvalidRequest(_)
            | Error::Unauthenticated
            | Error::Forbidden
            | Error::UnknownRuntime(_)
            | Error::UnknownWorker(_)
            | Error::WorkerNotVisible(_)
            | Error::UnknownHost(_)
            | Error::UnknownComponent(_)
            | Error::UnknownConfig(_)
            | Error::UnknownInput(_)
            | Error::UnknownFile
            | Error::Conflict(_)
            | Error::WorkerStopped
            | Error::WorkerRemoved
            | Error::LimitExceeded { .. }
            | Error::ComponentRefused { .. }
            | Error::MailboxFull { .. }
            | Error::OperationUnsupported
            | Error::Busy { .. }
            | Error::RuntimeUnavailable
            | Error::StorageFull
            | Error::Internal => {}
        }
    }
    let answers: Vec<_> = all.iter().map(problem).collect();
    let server = Server::answering(&answers).await;
    let client = client(&server.url);
    for error in &all {
        assert_eq!(client.get(worker()).await.err().as_ref(), Some(error));
    }
    assert_eq!(server.requests().len(), all.len(), "an error is an answer: nobody asks again");
}

#[tokio::test]
async fn what_the_caller_may_not_see_is_not_there() {
    let server = Server::answering(&[problem(&Error::WorkerNotVisible(worker()))]).await;
    let seen = client(&server.url).get(worker()).await.err();
    assert_eq!(seen, Some(Error::UnknownWorker(worker())));
}

#[tokio::test]
async fn a_remote_that_refuses_the_operators_token_is_unavailable_to_others() {
    for error in [Error::Unauthenticated, Error::Forbidden] {
        let server = Server::answering(&[problem(&error)]).await;
        let remote = Client::new(endpoint(&server.url)).unwrap();
        assert_eq!(remote.get(worker()).await.err(), Some(Error::RuntimeUnavailable));
        let own = remote.with_refusals(Refusals::Told);
        assert_eq!(own.get(worker()).await.err(), Some(error));
    }
}

#[tokio::test]
async fn nothing_of_the_endpoint_is_in_an_error() {
    let server = Server::answering(&["nonsense".into()]).await;
    let client = client(&server.url);
    let port = server.url.rsplit(':').next().unwrap();
    let error = client.get(worker()).await.unwrap_err();
    let shown = format!("{error} {error:?} {client:?}");
    assert!(!shown.contains(port) && !shown.contains("one-token"), "{shown}");
}
