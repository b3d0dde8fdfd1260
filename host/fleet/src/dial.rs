//! Opening streams to runtimes.

use std::io;
use std::sync::Arc;

use async_nats::Client;
use futures_util::StreamExt;
use skep_protocol::RuntimeId;

use crate::connection::{FleetConnection, FleetError};
use crate::hub::Hub;
use crate::stream::NatsStream;
use crate::subject::{self, SubjectPart};

/// The answer of a runtime that takes a stream.
pub(crate) const ACCEPTED: &[u8] = b"ok";

/// Opens streams to the runtimes of a fleet.
#[derive(Clone, Debug)]
pub struct Dialer {
    client: Client,
    hub: Arc<Hub>,
    /// The subjects on which this process is reached.
    at: String,
}

impl Dialer {
    /// Starts to take the frames of streams that this process opens.
    ///
    /// # Errors
    /// [`FleetError`].
    pub async fn start(connection: &FleetConnection) -> Result<Self, FleetError> {
        let name = SubjectPart::random().map_err(|_| FleetError::NoRandomness)?;
        let at = subject::of_dialer(&name);
        let client = connection.client.clone();
        let hub = Hub::start(client.clone(), at.clone()).await?;
        let mut begun = client.subscribe(subject::ALL_UP).await?;
        let weak = Arc::downgrade(&hub);
        tokio::spawn(async move {
            // Idle streams to the process before it would fail the next request.
            while let Some(message) = begun.next().await {
                let Some(hub) = weak.upgrade() else { return };
                if let Some(runtime) = message.subject.strip_suffix(".up") {
                    hub.reset_all(runtime);
                }
            }
        });
        Ok(Self { client, hub, at })
    }

    /// Opens a stream to a runtime of a pool.
    ///
    /// # Errors
    /// [`io::ErrorKind::ConnectionRefused`] if the runtime is not connected or takes no more streams;
    /// [`io::ErrorKind::TimedOut`] if it does not answer.
    pub async fn dial(&self, pool: &SubjectPart, runtime: &RuntimeId) -> io::Result<NatsStream> {
        let id = SubjectPart::random().map_err(|_| io::ErrorKind::Other)?;
        let runtime = subject::of_runtime(pool, runtime);
        let open = self.hub.open(&id, subject::stream(&runtime, &id));
        let open = open.ok_or(io::ErrorKind::AlreadyExists)?;
        // Dropping it closes this end, also if this future is dropped.
        let stream = NatsStream::new(Arc::clone(&self.hub), open);
        let wanted = format!("{id} {}", self.at);
        let answer = self.client.request(subject::dial(&runtime), wanted.into()).await;
        match answer {
            Ok(answer) if answer.payload[..] == *ACCEPTED => Ok(stream),
            Ok(_) => Err(io::ErrorKind::ConnectionRefused.into()),
            Err(error) => Err(match error.kind() {
                async_nats::RequestErrorKind::NoResponders => io::ErrorKind::ConnectionRefused,
                async_nats::RequestErrorKind::TimedOut => io::ErrorKind::TimedOut,
                _ => io::ErrorKind::NotConnected,
            }
            .into()),
        }
    }
}
