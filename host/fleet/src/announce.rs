//! Announces a runtime to its fleet.

use std::convert::Infallible;
use std::time::Duration;

use skep_protocol::RuntimeHandle;

use tokio::time::Instant;

use crate::connection::{FleetConnection, FleetError};
use crate::record::{Heartbeat, RuntimeRecord};
use crate::subject::{self, RUNTIMES, SubjectPart};

/// Interval of signs of life.
pub(crate) const BEAT: Duration = Duration::from_secs(5);

/// Pauses before a record that was not stored is stored again: the first, and the longest.
const RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(10);

/// Interval at which a stored record is stored again, in case it was lost.
const RENEW: Duration = Duration::from_secs(60);

/// Stores what a runtime is, at once and whenever the connection was made anew, and then gives signs of
/// life, until the future is dropped.
pub async fn announce(
    connection: &FleetConnection,
    pool: &SubjectPart,
    record: &RuntimeRecord,
    runtime: &dyn RuntimeHandle,
) -> Infallible {
    let beat = subject::heartbeat(pool, &record.runtime_id);
    let mut connected = connection.connected.clone();
    let mut beats = tokio::time::interval(BEAT);
    let mut retry = RETRY;
    let mut due = Instant::now();
    loop {
        if Instant::now() >= due {
            connected.mark_unchanged();
            let pause = match store(connection, record).await {
                Ok(()) => {
                    retry = RETRY;
                    RENEW
                }
                Err(error) if retry == RETRY => {
                    tracing::warn!(%error, "this runtime is not announced yet: no host of the fleet has run, or the servers elect a leader");
                    retry = LONGEST_RETRY.min(2 * retry);
                    RETRY
                }
                Err(error) => {
                    tracing::debug!(%error, "this runtime is not announced");
                    retry = LONGEST_RETRY.min(2 * retry);
                    retry
                }
            };
            due = Instant::now() + pause;
        }
        tokio::select! {
            _ = beats.tick() => {
                let view = runtime.describe().await.ok();
                let heartbeat = Heartbeat {
                    record: record.clone(),
                    workers: view.as_ref().map_or(0, |view| view.workers),
                    connected: view.as_ref().map_or(0, |view| view.connected),
                };
                // The next one follows.
                let _ = connection.client.publish(beat.clone(), heartbeat.to_json()).await;
            }
            Ok(()) = connected.changed() => due = Instant::now(),
            () = tokio::time::sleep_until(due) => {}
        }
    }
}

/// Stores a record, and waits until the servers have it.
async fn store(connection: &FleetConnection, record: &RuntimeRecord) -> Result<(), FleetError> {
    let fault = |why: String| FleetError::Store { what: "this runtime's record", why };
    let streams = async_nats::jetstream::new(connection.client.clone());
    let key = format!("$KV.{RUNTIMES}.{}", record.runtime_id);
    let sent =
        streams.publish(key, record.to_json()).await.map_err(|error| fault(error.to_string()))?;
    sent.await.map_err(|error| fault(error.to_string()))?;
    Ok(())
}
