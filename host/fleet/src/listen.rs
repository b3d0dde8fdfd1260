//! Taking the streams that are opened to a runtime.

use std::sync::Arc;

use async_nats::{Message, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use skep_protocol::RuntimeId;

use crate::connection::{FleetConnection, FleetError};
use crate::dial::accepted;
use crate::hub::Hub;
use crate::stream::NatsStream;
use crate::subject::{self, SubjectPart};

/// Maximum number of open streams. Each holds a window of about 1 MiB at most in each direction.
const STREAMS: usize = 512;

/// The group of processes of which one gets a message that asks for a stream.
const DIALS: &str = "dials";

/// The answer to a dialer beyond that, and to a message that asks for no stream.
const REFUSED: Bytes = Bytes::from_static(b"refused");

/// Takes the streams that dialers open to one runtime.
#[derive(Debug)]
pub struct FleetListener {
    hub: Arc<Hub>,
    dials: Subscriber,
    process: SubjectPart,
}

/// Waits for what was sent on the streams of a listener.
#[derive(Clone, Debug)]
pub struct StreamFlusher(Arc<Hub>);

impl StreamFlusher {
    /// Waits until the server has all that was sent before. The last answers of a process that ends
    /// would be lost otherwise.
    pub async fn flush(&self) {
        self.0.flush().await;
    }
}

impl FleetListener {
    /// Starts to listen as this runtime.
    ///
    /// # Errors
    /// [`FleetError`].
    pub async fn start(
        connection: &FleetConnection,
        pool: &SubjectPart,
        runtime: &RuntimeId,
    ) -> Result<Self, FleetError> {
        let process = SubjectPart::random().map_err(|_| FleetError::NoRandomness)?;
        let at = subject::of_runtime(pool, runtime);
        let client = connection.client.clone();
        let hub = Hub::start(client.clone(), at.clone()).await?;
        // Of two processes that say to be the same runtime, one takes the stream. The other does not know
        // it, and breaks it.
        let dials = client.queue_subscribe(subject::dial(&at), DIALS.to_owned()).await?;
        client.publish(subject::up(&at), process.to_string().into()).await?;
        // Announced only once the server has all three.
        client.flush().await?;
        Ok(Self { hub, dials, process })
    }

    /// Returns the name of this process of the runtime, which no other has.
    pub fn process(&self) -> &SubjectPart {
        &self.process
    }

    /// Returns what can wait until all that was sent on the streams is with the server.
    pub fn flusher(&self) -> StreamFlusher {
        StreamFlusher(Arc::clone(&self.hub))
    }

    /// Returns the next stream, or `None` once the connection has ended for good. Dropping the future
    /// loses none.
    pub async fn accept(&mut self) -> Option<NatsStream> {
        loop {
            let message = self.dials.next().await?;
            let Some(reply) = message.reply.clone() else { continue };
            let stream = self.take(&message);
            let answer = if stream.is_some() { accepted(&self.process) } else { REFUSED };
            self.hub.answer(reply, answer);
            if stream.is_some() {
                return stream;
            }
        }
    }

    fn take(&self, message: &Message) -> Option<NatsStream> {
        let asked = std::str::from_utf8(&message.payload).ok()?;
        let (id, dialer) = asked.split_once(' ')?;
        let id: SubjectPart = id.parse().ok()?;
        let other = subject::dialer_end(dialer, &id)?;
        if self.hub.count() >= STREAMS {
            tracing::warn!("the fleet opens more streams than this runtime takes");
            return None;
        }
        let open = self.hub.open(&id, other)?;
        Some(NatsStream::new(Arc::clone(&self.hub), open))
    }
}
