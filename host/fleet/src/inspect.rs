//! The state of a fleet's servers, and of one member's rights there.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_nats::{Client, Event, ServerError};
use futures_util::StreamExt;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use skep_protocol::Timestamp;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

use crate::connection::{FleetAccess, FleetError};

/// A subject of no member. The server refuses it to each.
const BARRIER: &str = "skep.barrier";

/// What a server says of itself to the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerState {
    /// Its name.
    pub name: String,
    /// Its version, such as `2.15.1`.
    pub version: String,
    /// Milliseconds that its clock is ahead of this machine's, give or take the time of the question.
    pub clock_ahead_ms: i64,
    /// The reason why it is not well, in its own words.
    pub unwell: Option<String>,
    /// What it stores for the fleet; none if it stores nothing.
    pub storage: Option<ServerStorage>,
}

/// The storage of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerStorage {
    /// True if it writes to disk before it acknowledges.
    pub syncs_always: bool,
    /// Bytes that it uses, and may use.
    pub used: u64,
    /// The bytes that it may use.
    pub most: u64,
    /// The servers that decide together, and their leader. A single server has neither.
    pub group: Option<ServerGroup>,
    /// What the fleet stores, as far as this server leads it.
    pub streams: Vec<StoredStream>,
}

/// The servers that decide together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerGroup {
    /// Their leader; none while they elect one.
    pub leader: Option<String>,
    /// Their number.
    pub size: usize,
}

/// Something that the fleet stores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredStream {
    /// Its name.
    pub name: String,
    /// The servers that are to have a copy.
    pub replicas: usize,
    /// The servers whose copy is complete, with the leader's own.
    pub current: usize,
}

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

/// Tries subjects as a member: those that it needs, and those that are of others. Returns the ones that are
/// refused against expectation, and the ones that are allowed.
///
/// # Errors
/// [`FleetError`] if no server can be reached.
pub async fn try_rights(
    access: &FleetAccess,
    rights: &RightsToTry,
) -> Result<(Vec<String>, Vec<String>), FleetError> {
    let (to, mut refused) = mpsc::unbounded_channel();
    let client = access
        .connect(move |event| {
            if let Event::ServerError(ServerError::Other(error)) = event {
                // The reader may have gone.
                let _ = to.send(error.clone());
            }
        })
        .await?;
    let (mut missing, mut excess) = (Vec::new(), Vec::new());
    for (subjects, is_own) in [(&rights.own, true), (&rights.others, false)] {
        for subject in subjects {
            let held = match subject {
                TriedSubject::Publish(subject) => {
                    client.publish(subject.clone(), "".into()).await?;
                    None
                }
                TriedSubject::Subscribe(subject) => Some(client.subscribe(subject.clone()).await?),
            };
            client.publish(BARRIER, "".into()).await?;
            let is_refused = loop {
                let error = timeout(Duration::from_secs(5), refused.recv()).await;
                let Ok(Some(error)) = error else { return Err(FleetError::Silent) };
                if error.contains(BARRIER) {
                    break false;
                }
                if error.contains(subject.as_str()) {
                    // The barrier's own refusal is still to come.
                    let _ = timeout(Duration::from_secs(5), refused.recv()).await;
                    break true;
                }
            };
            drop(held);
            match (is_own, is_refused) {
                (true, true) => missing.push(subject.as_str().to_owned()),
                (false, false) => excess.push(subject.as_str().to_owned()),
                _ => {}
            }
        }
    }
    Ok((missing, excess))
}

/// The subjects to try.
#[derive(Clone, Debug, Default)]
pub struct RightsToTry {
    /// What the member needs. Nothing listens there, so that trying it has no effect.
    pub own: Vec<TriedSubject>,
    /// What is of others.
    pub others: Vec<TriedSubject>,
}

/// A subject to try.
#[derive(Clone, Debug)]
pub enum TriedSubject {
    /// By a message without content.
    Publish(String),
    /// By a subscription that ends at once.
    Subscribe(String),
}

impl TriedSubject {
    fn as_str(&self) -> &str {
        match self {
            Self::Publish(subject) | Self::Subscribe(subject) => subject,
        }
    }
}

/// The answers of servers by their names, each with the time at which it came, in milliseconds.
type Answers<T> = BTreeMap<String, (AnsweringServer, i64, T)>;

async fn ping<T: DeserializeOwned>(
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
        if let Ok(ServerAnswer { server, data }) = serde_json::from_slice(&message.payload) {
            all.insert(server.name.clone(), (server, heard, data));
        }
    }
    Ok(all)
}

#[derive(Deserialize)]
struct ServerAnswer<T> {
    server: AnsweringServer,
    data: T,
}

#[derive(Deserialize)]
struct AnsweringServer {
    name: String,
    ver: String,
}

#[derive(Deserialize)]
struct HealthAnswer {
    status: String,
    error: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct StorageAnswer {
    now: String,
    disabled: bool,
    storage: u64,
    config: StorageConfig,
    meta_cluster: Option<MetaAnswer>,
    account_details: Vec<AccountAnswer>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct StorageConfig {
    max_storage: u64,
    sync_always: bool,
}

#[derive(Deserialize)]
struct MetaAnswer {
    leader: Option<String>,
    cluster_size: usize,
}

#[derive(Deserialize)]
struct AccountAnswer {
    #[serde(default)]
    stream_detail: Vec<StreamAnswer>,
}

#[derive(Deserialize)]
struct StreamAnswer {
    name: String,
    config: StreamConfig,
    cluster: Option<StreamCluster>,
}

#[derive(Deserialize)]
struct StreamConfig {
    num_replicas: usize,
}

#[derive(Deserialize)]
struct StreamCluster {
    leader: Option<String>,
    #[serde(default)]
    replicas: Vec<StreamReplica>,
}

#[derive(Deserialize)]
struct StreamReplica {
    current: bool,
    #[serde(default)]
    offline: bool,
}

impl StorageAnswer {
    /// Returns the storage of the server with this name.
    fn storage(self, name: &str) -> Option<ServerStorage> {
        if self.disabled {
            return None;
        }
        let leads = |stream: &StreamAnswer| match &stream.cluster {
            Some(cluster) => cluster.leader.as_deref() == Some(name),
            None => true,
        };
        let streams = self.account_details.into_iter().flat_map(|account| account.stream_detail);
        let streams = streams.filter(leads).map(|stream| {
            let others = stream.cluster.map_or_else(Vec::new, |cluster| cluster.replicas);
            let current = others.iter().filter(|other| other.current && !other.offline).count();
            StoredStream {
                name: stream.name,
                replicas: stream.config.num_replicas,
                current: current + 1,
            }
        });
        Some(ServerStorage {
            syncs_always: self.config.sync_always,
            used: self.storage,
            most: self.config.max_storage,
            streams: streams.collect(),
            group: self.meta_cluster.map(|meta| ServerGroup {
                leader: meta.leader.filter(|leader| !leader.is_empty()),
                size: meta.cluster_size,
            }),
        })
    }
}
