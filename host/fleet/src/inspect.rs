//! The state of a fleet's servers, as they answer for it.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_nats::Client;
use futures_util::StreamExt;
use skep_protocol::Timestamp;
use tokio::time::{Instant, timeout_at};

use crate::connection::{FleetAccess, FleetError};
use crate::server_answer::{
    AnsweringServer, FromServer, HealthAnswer, ServerAnswer, StorageAnswer,
};
use crate::server_state::ServerState;

/// Connects to each server of the access on its own, and returns its version or the reason why it cannot be
/// used.
pub async fn reach_servers(access: &FleetAccess) -> Vec<(String, Result<String, FleetError>)> {
    let each = access.servers.iter().map(|server| async move {
        let alone = FleetAccess { servers: vec![server.clone()], ..access.clone() };
        let version = alone.connect(|_| {}).await.map(|client| client.server_info().version);
        (server.clone(), version)
    });
    futures_util::future::join_all(each).await
}

/// Asks all servers how they are, as the operator, and waits this long for their answers.
///
/// # Errors
/// [`FleetError`] if no server can be reached.
pub async fn inspect(access: &FleetAccess, wait: Duration) -> Result<Vec<ServerState>, FleetError> {
    let client = access.connect(|_| {}).await?;
    let options = br#"{"accounts": true, "streams": true, "config": true}"#;
    let (storage, health) = tokio::try_join!(
        ping::<StorageAnswer>(&client, "JSZ", options, wait),
        ping::<HealthAnswer>(&client, "HEALTHZ", b"", wait),
    )?;
    let states = storage.into_iter().map(|(name, (server, heard, answer))| {
        let health = health.get(&name).map(|(_, _, health)| health);
        let unwell = match health {
            None => Some("it does not say how it is".to_owned()),
            Some(health) if health.status == "ok" => None,
            Some(health) => Some(health.error.clone().unwrap_or_else(|| health.status.clone())),
        };
        let now: Option<Timestamp> = answer.now.parse().ok();
        let clock_ahead_ms =
            now.map_or(0, |now| now.as_millis().cast_signed().saturating_sub(heard));
        let version = server.ver;
        ServerState { version, clock_ahead_ms, unwell, storage: answer.storage(&name), name }
    });
    Ok(states.collect())
}

/// The answers of servers by their names, each with the time at which it came, in milliseconds.
type Answers<T> = BTreeMap<String, (AnsweringServer, i64, T)>;

async fn ping<T: FromServer>(
    client: &Client,
    what: &str,
    options: &'static [u8],
    wait: Duration,
) -> Result<Answers<T>, FleetError> {
    let inbox = client.new_inbox();
    let mut answers = client.subscribe(inbox.clone()).await?;
    let subject = format!("$SYS.REQ.SERVER.PING.{what}");
    client.publish_with_reply(subject, inbox, options.into()).await?;
    client.flush().await?;
    let until = Instant::now() + wait;
    let mut all = Answers::new();
    while let Ok(Some(message)) = timeout_at(until, answers.next()).await {
        let heard = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let heard = i64::try_from(heard.as_millis()).unwrap_or(i64::MAX);
        if let Some(ServerAnswer { server, data }) = ServerAnswer::read(&message.payload) {
            all.insert(server.name.clone(), (server, heard, data));
        }
    }
    Ok(all)
}
