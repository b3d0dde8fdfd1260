//! The runtimes that have made themselves known.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::{kv, stream};
use futures_util::StreamExt;
use skep_protocol::RuntimeId;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::announce::BEAT;
use crate::connection::{FleetConnection, FleetError};
use crate::record::{Heartbeat, RuntimeRecord};
use crate::subject::RUNTIMES;

/// Time for which two processes count as the same runtime after one was heard again.
const BOTH: Duration = Duration::from_secs(3 * BEAT.as_secs());

/// Maximum number of replaced processes that are remembered for each runtime.
const FORMER: usize = 8;

/// Maximum bytes of a record.
const RECORD_BYTES: i32 = 4 << 10;

/// Pause before the records are read again after an error.
const RETRY: Duration = Duration::from_secs(1);

/// The runtimes of a fleet.
pub type FoundRuntimes = BTreeMap<RuntimeId, FoundRuntime>;

/// A runtime of a fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundRuntime {
    /// Its stored record.
    pub record: RuntimeRecord,
    /// True if two processes say that they are it.
    pub is_duplicate: bool,
}

/// The signs of life of one runtime's processes.
#[derive(Debug, Default)]
struct Beats {
    last: String,
    /// The processes before that, which may have been replaced. The newest is last.
    former: VecDeque<String>,
    /// The time at which one of those was heard again, so it was not replaced.
    both_at: Option<Instant>,
}

impl Beats {
    fn add(&mut self, process: String, now: Instant) {
        if process == self.last {
            return;
        }
        if self.former.contains(&process) {
            self.both_at = Some(now);
        }
        let replaced = std::mem::replace(&mut self.last, process);
        self.former.push_back(replaced);
        if self.former.len() > FORMER {
            self.former.pop_front();
        }
    }

    fn are_of_two(&self, now: Instant) -> bool {
        self.both_at.is_some_and(|at| now - at < BOTH)
    }
}

/// Makes the bucket of the runtimes if there is none, and follows it from now on. The task ends when all
/// receivers are dropped. Servers that elect a leader store nothing for some seconds, so errors are
/// logged, and it is tried again.
pub fn discover(
    connection: &FleetConnection,
    replicas: usize,
) -> watch::Receiver<Arc<FoundRuntimes>> {
    let (found, follow) = watch::channel(Arc::default());
    let connection = connection.clone();
    tokio::spawn(async move {
        let mut finding = Finding { found, beats: BTreeMap::new() };
        let receivers = finding.found.clone();
        let following = async {
            loop {
                if let Err(error) = finding.follow(&connection, replicas).await {
                    tracing::warn!(%error, "the fleet's runtimes cannot be followed");
                }
                tokio::time::sleep(RETRY).await;
            }
        };
        tokio::select! {
            () = following => {}
            () = receivers.closed() => {}
        }
    });
    follow
}

async fn bucket(streams: &jetstream::Context, replicas: usize) -> Result<kv::Store, FleetError> {
    let bucket = match streams.get_key_value(RUNTIMES).await {
        Ok(bucket) => bucket,
        Err(_) => {
            streams.create_stream(config(replicas)).await.map_err(|error| fault(&error))?;
            streams.get_key_value(RUNTIMES).await.map_err(|error| fault(&error))?
        }
    };
    let info = bucket.status().await.map_err(|error| fault(&error))?.info;
    // A header of a message could replace the records of others.
    match info.config.allow_rollup {
        true => Err(fault(&"its stream lets one runtime remove the records of others")),
        false => Ok(bucket),
    }
}

/// Returns the stream of the bucket. Unlike the library's, it takes no rollups: with one, a runtime
/// could remove the records of others, since permissions are about subjects.
fn config(replicas: usize) -> stream::Config {
    stream::Config {
        name: format!("KV_{RUNTIMES}"),
        subjects: vec![format!("$KV.{RUNTIMES}.>")],
        max_messages_per_subject: 1,
        max_message_size: RECORD_BYTES,
        num_replicas: replicas,
        discard: stream::DiscardPolicy::New,
        deny_delete: true,
        deny_purge: true,
        allow_rollup: false,
        allow_direct: true,
        ..stream::Config::default()
    }
}

fn fault(error: &dyn std::fmt::Display) -> FleetError {
    FleetError::Store { what: "the list of runtimes", why: error.to_string() }
}

struct Finding {
    found: watch::Sender<Arc<FoundRuntimes>>,
    beats: BTreeMap<RuntimeId, Beats>,
}

impl Finding {
    /// Follows records and signs of life until either ends. A new connection begins anew, since what was
    /// followed before may have missed something.
    async fn follow(
        &mut self,
        connection: &FleetConnection,
        replicas: usize,
    ) -> Result<(), FleetError> {
        let mut connected = connection.connected.clone();
        connected.mark_unchanged();
        let streams = jetstream::new(connection.client.clone());
        let bucket = bucket(&streams, replicas).await?;
        let mut beats = connection.client.subscribe("hb.>").await?;
        let mut records = bucket.watch_with_history(">").await.map_err(|error| fault(&error))?;
        loop {
            tokio::select! {
                record = records.next() => {
                    let record = record.ok_or_else(|| fault(&"the watch has ended"))?;
                    self.record(record.map_err(|error| fault(&error))?);
                }
                beat = beats.next() => {
                    let beat = beat.ok_or_else(|| fault(&"the subscription has ended"))?;
                    self.beat(&beat);
                }
                Ok(()) = connected.changed() => return Ok(()),
            }
        }
    }

    fn record(&mut self, entry: kv::Entry) {
        let Ok(id) = entry.key.parse::<RuntimeId>() else { return };
        if entry.operation != kv::Operation::Put {
            self.change(|found| found.remove(&id).is_some());
            return;
        }
        // A runtime may write only under its own id.
        let record = RuntimeRecord::from_json(&entry.value);
        let record = record.filter(|record| record.runtime_id == id);
        let Some(record) = record else {
            tracing::warn!(runtime_id = %id, "the record of a runtime is malformed");
            return;
        };
        self.found(id, record);
    }

    fn found(&self, id: RuntimeId, record: RuntimeRecord) {
        let is_duplicate = self.is_duplicate(&id);
        let new = FoundRuntime { record, is_duplicate };
        self.change(|found| found.insert(id, new.clone()).as_ref() != Some(&new));
    }

    fn beat(&mut self, message: &async_nats::Message) {
        let Some(Heartbeat { record, .. }) = Heartbeat::from_json(&message.payload) else { return };
        let id = record.runtime_id.clone();
        // A runtime may give signs of life only under its own id, in its own pool.
        if message.subject.as_str() != format!("hb.{}.{id}", record.pool) {
            return;
        }
        self.beats.entry(id.clone()).or_default().add(record.process.clone(), Instant::now());
        self.found(id, record);
    }

    fn is_duplicate(&self, id: &RuntimeId) -> bool {
        self.beats.get(id).is_some_and(|beats| beats.are_of_two(Instant::now()))
    }

    /// Changes the runtimes. Receivers are told if `change` returns true.
    fn change(&self, change: impl FnOnce(&mut FoundRuntimes) -> bool) {
        self.found.send_if_modified(|found| change(Arc::make_mut(found)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_processes_are_a_duplicate_unless_one_replaced_the_other() {
        let mut beats = Beats::default();
        let began = Instant::now();
        for process in ["a", "a", "b", "b", "c"] {
            beats.add(process.into(), began);
            assert!(!beats.are_of_two(began), "{process}");
        }
        beats.add("b".into(), began + BEAT);
        assert!(beats.are_of_two(began + BEAT));
        assert!(!beats.are_of_two(began + BEAT + BOTH));
        // Three take turns.
        let mut three = Beats::default();
        for process in ["a", "b", "c", "a"] {
            three.add(process.into(), began);
        }
        assert!(three.are_of_two(began));
    }
}
