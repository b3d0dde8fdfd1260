//! The log that the hosts of a fleet share, in a stream of its own.

use std::error::Error as _;
use std::time::Duration;

use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::push::OrderedConfig;
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::{self, ErrorCode, stream};
use async_trait::async_trait;
use futures_util::{StreamExt, TryFutureExt, TryStreamExt};
use skep_protocol::Error;
use skep_registry::{ENTRY_BYTES, LogItem, LogItems, SharedLog};
use tokio::sync::OnceCell;
use tokio::time::{sleep, timeout};

use crate::connection::FleetConnection;
use crate::subject::SubjectPart;

/// The stream's name, and the subjects of its messages.
const STREAM: &str = "HOSTS";
const ENTRY: &str = "hosts.entry";
const MARK: &str = "hosts.mark";

/// Maximum bytes of a message, which has headers too.
const MESSAGE_BYTES: i32 = 256 << 10;

/// Time after which a mark may be removed.
const MARK_LIFE: Duration = Duration::from_secs(60);

/// Deadline of a change. It is sent again until then, and stored once.
const ACKNOWLEDGED: Duration = Duration::from_secs(5);

/// Deadline of one attempt, and the pause before the next one after a refusal.
const ATTEMPT: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(200);

/// Pause that a caller is asked for while the servers do not answer.
const RETRY_AFTER: Duration = Duration::from_secs(1);

const _: () = assert!(ENTRY_BYTES + (8 << 10) < MESSAGE_BYTES as usize);

/// The errors of servers that have no room.
const FULL: [ErrorCode; 2] =
    [ErrorCode::INSUFFICIENT_RESOURCES, ErrorCode::STORAGE_RESOURCES_EXCEEDED];

/// The log that the hosts of a fleet share.
#[derive(Debug)]
pub struct HostLog {
    connection: FleetConnection,
    streams: jetstream::Context,
    replicas: usize,
    /// Set once the stream is known to be there.
    made: OnceCell<()>,
}

impl HostLog {
    /// Returns the log of a fleet, of which this many servers keep a copy.
    pub fn new(connection: &FleetConnection, replicas: usize) -> Self {
        let mut streams = jetstream::new(connection.client.clone());
        streams.set_timeout(ATTEMPT);
        Self { connection: connection.clone(), streams, replicas, made: OnceCell::new() }
    }

    /// Makes the stream if there is none.
    async fn make(&self) -> Result<(), Error> {
        let made = self.made.get_or_try_init(|| async {
            if self.streams.get_stream(STREAM).await.is_err() {
                self.streams.create_stream(config(self.replicas)).await.map_err(|error| {
                    tracing::debug!(%error, "the log of the hosts is not made");
                    busy()
                })?;
            }
            Ok(())
        });
        made.await.copied()
    }

    /// Stores a message, and returns its number. Sends it again until the deadline.
    async fn store(&self, subject: &'static str, message: PublishMessage) -> Result<u64, Error> {
        let attempts = async {
            loop {
                match self.try_store(subject, message.clone()).await {
                    Ok(number) => return Ok(number),
                    Err(error @ (Error::StorageFull | Error::Internal)) => return Err(error),
                    Err(_) => sleep(PAUSE).await,
                }
            }
        };
        timeout(ACKNOWLEDGED, attempts).await.unwrap_or(Err(busy()))
    }

    async fn try_store(
        &self,
        subject: &'static str,
        message: PublishMessage,
    ) -> Result<u64, Error> {
        self.make().await?;
        let stored = async { self.streams.send_publish(subject, message).await?.await };
        stored.await.map(|stored| stored.sequence).map_err(|error| {
            tracing::debug!(%error, "a message to the hosts' log is not acknowledged");
            let code = error.source().and_then(|source| source.downcast_ref::<jetstream::Error>());
            match (code.map(jetstream::Error::error_code), error.kind()) {
                (Some(code), _) if FULL.contains(&code) => Error::StorageFull,
                (_, PublishErrorKind::MaxPayloadExceeded) => Error::Internal,
                _ => busy(),
            }
        })
    }
}

#[async_trait]
impl SharedLog for HostLog {
    async fn append(&self, entry: Vec<u8>) -> Result<u64, Error> {
        // The servers store one message with this id, however often it is sent.
        let id = SubjectPart::random().map_err(|_| Error::Internal)?;
        let message = PublishMessage::build().payload(entry.into()).message_id(id.as_str());
        self.store(ENTRY, message).await
    }

    async fn mark(&self) -> Result<u64, Error> {
        // Whatever the reason is, the state cannot be confirmed.
        self.store(MARK, PublishMessage::build().ttl(MARK_LIFE)).await.map_err(|_| busy())
    }

    async fn identity(&self) -> Result<String, Error> {
        self.make().await?;
        let stream = self.streams.get_stream(STREAM).await.map_err(|error| {
            tracing::debug!(%error, "the log of the hosts is not there");
            busy()
        })?;
        Ok(stream.cached_info().created.unix_timestamp_nanos().to_string())
    }

    fn follow(&self, after: u64) -> LogItems {
        let inbox = self.connection.client.new_inbox();
        let (streams, mut connected) = (self.streams.clone(), self.connection.connected.clone());
        connected.mark_unchanged();
        let items = async move {
            let config = OrderedConfig {
                deliver_subject: inbox,
                deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: after + 1 },
                ..OrderedConfig::default()
            };
            let consumer = streams.create_consumer_on_stream(config, STREAM).await;
            let messages = consumer.map_err(|error| lost(&error))?.messages().await;
            Ok(messages.map_err(|error| lost(&error))?.map(|message| {
                let message = message.map_err(|error| lost(&error))?;
                let number = message.info().map_err(|error| lost(&*error))?.stream_sequence;
                // Skips acknowledgements of servers, which a member can have sent here.
                let is_ours = message.headers.as_ref().is_some_and(|headers| {
                    headers.get(async_nats::header::NATS_MESSAGE_ID).is_some()
                });
                let is_entry = is_ours && message.subject.as_str() == ENTRY;
                let entry = is_entry.then(|| message.payload.to_vec());
                Ok(LogItem { number, entry })
            }))
        };
        // Messages may be missing after a new connection: the reader begins again.
        let broken = async move {
            // An error means that there will be no other connection.
            let _ = connected.changed().await;
        };
        let items = items.try_flatten_stream();
        // The library begins at the first message again if it is interrupted before it had one.
        let items = items.try_filter(move |item| std::future::ready(item.number > after));
        items.take_until(broken).boxed()
    }
}

fn config(replicas: usize) -> stream::Config {
    stream::Config {
        name: STREAM.to_owned(),
        subjects: vec![ENTRY.to_owned(), MARK.to_owned()],
        max_message_size: MESSAGE_BYTES,
        num_replicas: replicas,
        discard: stream::DiscardPolicy::New,
        deny_delete: true,
        deny_purge: true,
        allow_rollup: false,
        allow_message_ttl: true,
        ..stream::Config::default()
    }
}

fn lost(error: &dyn std::fmt::Display) -> Error {
    tracing::debug!(%error, "the hosts' log is not read");
    busy()
}

const fn busy() -> Error {
    Error::Busy { retry_after: RETRY_AFTER }
}
