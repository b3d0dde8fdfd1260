//! Opening streams to runtimes.

use std::io;
use std::sync::Arc;

use async_nats::Client;
use bytes::Bytes;
use futures_util::StreamExt;
use skep_protocol::RuntimeId;

use crate::connection::{FleetConnection, FleetError};
use crate::hub::Hub;
use crate::stream::NatsStream;
use crate::subject::{self, SubjectPart};

/// The beginning of the answer of a runtime that takes a stream. Its process follows.
const ACCEPTED: &str = "ok ";

/// Returns the answer of a process that takes a stream.
pub(crate) fn accepted(process: &SubjectPart) -> Bytes {
    format!("{ACCEPTED}{process}").into()
}

/// Returns the process that takes the stream, if the answer says so.
fn taker(answer: &[u8]) -> Option<SubjectPart> {
    std::str::from_utf8(answer).ok()?.strip_prefix(ACCEPTED)?.parse().ok()
}

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
                let process = std::str::from_utf8(&message.payload).unwrap_or_default().parse();
                if let (Some(runtime), Ok(process)) = (message.subject.strip_suffix(".up"), process)
                {
                    hub.reset_former(runtime, &process);
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
        let stream = NatsStream::new(Arc::clone(&self.hub), open.clone());
        let wanted = format!("{id} {}", self.at);
        let answer = self.client.request(subject::dial(&runtime), wanted.into()).await;
        match answer {
            Ok(answer) => {
                let process = taker(&answer.payload).ok_or(io::ErrorKind::ConnectionRefused)?;
                self.hub.taken(&open, &runtime, process);
                Ok(stream)
            }
            Err(error) => Err(match error.kind() {
                async_nats::RequestErrorKind::NoResponders => io::ErrorKind::ConnectionRefused,
                async_nats::RequestErrorKind::TimedOut => io::ErrorKind::TimedOut,
                _ => io::ErrorKind::NotConnected,
            }
            .into()),
        }
    }
}
