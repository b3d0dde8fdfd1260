//! The client against misbehaving servers.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod errors;
mod faults;
mod files;
mod host;
mod retries;
mod server;
mod streams;
mod tokens;
mod uploads;

use skep_client::{Client, ClientDeadlines, Endpoint, Prefix, Refusals, Token};
use skep_protocol::{InputId, NewInput, Payload, WorkerId};

/// Returns the default endpoint of these tests.
fn endpoint(url: &str) -> Endpoint {
    let url = url.parse().unwrap();
    let token = Token::Text("one-token".into());
    Endpoint { url, token, ca: None, insecure: false, prefix: Prefix::V1 }
}

fn client(url: &str) -> Client {
    Client::new(endpoint(url)).unwrap().with_refusals(Refusals::Told)
}

fn hurried(url: &str, deadlines: ClientDeadlines) -> Client {
    Client::with_deadlines(endpoint(url), deadlines).unwrap()
}

fn worker() -> WorkerId {
    WorkerId::new(1, [1; 10])
}

fn input() -> InputId {
    InputId::new(1, [2; 10])
}

fn message(key: Option<&str>) -> NewInput {
    let payload = Payload { content_type: "text/plain".into(), body: "hello".into() };
    NewInput { payload, key: key.map(|key| key.parse().unwrap()), wait: None, sender: None }
}
