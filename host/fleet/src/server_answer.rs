//! The answers of servers to questions for their state, as they send them.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::server_state::{ServerGroup, ServerStorage, StoredStream};

/// An answer, with the server that it is of.
#[derive(Deserialize)]
pub(crate) struct ServerAnswer<T> {
    pub(crate) server: AnsweringServer,
    pub(crate) data: T,
}

/// An answer of a server to one kind of question.
pub(crate) trait FromServer: DeserializeOwned {}

impl<T: FromServer> ServerAnswer<T> {
    /// Reads an answer; none if it is of another form, as a refusal is.
    pub(crate) fn read(text: &[u8]) -> Option<Self> {
        serde_json::from_slice(text).ok()
    }
}

impl FromServer for HealthAnswer {}
impl FromServer for StorageAnswer {}

#[derive(Deserialize)]
pub(crate) struct AnsweringServer {
    pub(crate) name: String,
    pub(crate) ver: String,
}

#[derive(Deserialize)]
pub(crate) struct HealthAnswer {
    pub(crate) status: String,
    pub(crate) error: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct StorageAnswer {
    pub(crate) now: String,
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
    pub(crate) fn storage(self, name: &str) -> Option<ServerStorage> {
        if self.disabled {
            return None;
        }
        let streams = self.account_details.into_iter().flat_map(|account| account.stream_detail);
        let streams = streams.map(|stream| {
            let leads = match &stream.cluster {
                Some(cluster) => cluster.leader.as_deref() == Some(name),
                None => true,
            };
            let others = stream.cluster.map_or_else(Vec::new, |cluster| cluster.replicas);
            let current = others.iter().filter(|other| other.current && !other.offline).count();
            StoredStream {
                name: stream.name,
                replicas: stream.config.num_replicas,
                current: leads.then_some(current + 1),
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
