//! Taking the streams that are opened to a runtime.

use std::sync::Arc;

use async_nats::{Client, Message, Subscriber};
use futures_util::StreamExt;
use skep_protocol::RuntimeId;

use crate::connection::{FleetConnection, FleetError};
use crate::dial::ACCEPTED;
use crate::hub::Hub;
use crate::stream::NatsStream;
use crate::subject::{self, SubjectPart};

/// Maximum number of open streams. Each holds a window of about 1 MiB at most in each direction.
const STREAMS: usize = 512;

/// The answer to a dialer beyond that, and to a message that asks for no stream.
const REFUSED: &[u8] = b"refused";

/// Takes the streams that dialers open to one runtime.
#[derive(Debug)]
pub struct FleetListener {
    client: Client,
    hub: Arc<Hub>,
    dials: Subscriber,
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
        let at = subject::of_runtime(pool, runtime);
        let client = connection.client.clone();
        let hub = Hub::start(client.clone(), at.clone()).await?;
        let dials = client.subscribe(subject::dial(&at)).await?;
        client.publish(subject::up(&at), "".into()).await?;
        // Announced only once the server has all three.
        client.flush().await?;
        Ok(Self { client, hub, dials })
    }

    /// Returns the next stream, or `None` once the connection has ended for good.
    pub async fn accept(&mut self) -> Option<NatsStream> {
        loop {
            let message = self.dials.next().await?;
            let Some(reply) = message.reply.clone() else { continue };
            let stream = self.take(&message);
            let answer = if stream.is_some() { ACCEPTED } else { REFUSED };
            let answered = self.client.publish(reply, answer.into()).await;
            if let (Some(stream), Ok(())) = (stream, answered) {
                return Some(stream);
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
