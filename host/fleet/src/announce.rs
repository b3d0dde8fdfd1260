//! How a runtime makes itself known.

use std::time::Duration;

use skep_protocol::RuntimeHandle;

use crate::connection::{FleetConnection, FleetError};
use crate::record::{Heartbeat, RuntimeRecord};
use crate::subject::{self, RUNTIMES, SubjectPart};

/// Interval of signs of life.
pub(crate) const BEAT: Duration = Duration::from_secs(5);

/// Pause before a record that was not stored is stored again.
const RETRY: Duration = Duration::from_secs(1);

/// Stores what a runtime is, at once and whenever the connection was made anew, and then gives signs of
/// life, until the future is dropped.
///
/// # Errors
/// [`FleetError::NoRandomness`].
pub async fn announce(
    connection: &FleetConnection,
    pool: &SubjectPart,
    mut record: RuntimeRecord,
    runtime: &dyn RuntimeHandle,
) -> Result<std::convert::Infallible, FleetError> {
    let process = SubjectPart::random().map_err(|_| FleetError::NoRandomness)?;
    record.process = process.as_str().to_owned();
    let beat = subject::heartbeat(pool, &record.runtime_id);
    let mut connected = connection.connected.clone();
    let mut beats = tokio::time::interval(BEAT);
    let mut is_stored = false;
    loop {
        if !is_stored {
            connected.mark_unchanged();
            match store(connection, &record).await {
                Ok(()) => is_stored = true,
                Err(error) => tracing::warn!(%error, "this runtime is not announced"),
            }
        }
        tokio::select! {
            _ = beats.tick() => {
                let view = runtime.describe().await.ok();
                let heartbeat = Heartbeat {
                    process: record.process.clone(),
                    workers: view.as_ref().map_or(0, |view| view.workers),
                    connected: view.as_ref().map_or(0, |view| view.connected),
                };
                // The next one follows.
                let _ = connection.client.publish(beat.clone(), heartbeat.to_json()).await;
            }
            Ok(()) = connected.changed() => is_stored = false,
            () = tokio::time::sleep(RETRY), if !is_stored => {}
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
