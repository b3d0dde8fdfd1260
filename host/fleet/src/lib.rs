//! A fleet: runtimes that dial out to NATS, and what finds and reaches them there.
//!
//! Runtimes listen on no port. A runtime connects to the servers of its fleet, says what it is
//! ([`announce`]), and takes byte streams that others open to it ([`FleetListener`], [`Dialer`]). What
//! goes over a stream is the caller's business: Skep's HTTP, unchanged. The hosts that do so share a log
//! ([`HostLog`]).
//!
//! Only this crate names NATS.

mod announce;
mod connection;
mod dial;
mod discover;
mod frame;
mod host_log;
mod hub;
mod inspect;
mod link;
mod listen;
mod record;
mod rights;
mod server_answer;
mod server_state;
mod stream;
mod subject;

pub use announce::announce;
pub use connection::{FleetAccess, FleetConnection, FleetError};
pub use dial::Dialer;
pub use discover::{FoundRuntime, FoundRuntimes, discover};
pub use host_log::HostLog;
pub use inspect::{inspect, reach_servers};
pub use listen::{FleetListener, StreamFlusher};
pub use record::{Heartbeat, RuntimeRecord};
pub use rights::{RightsToTry, TriedSubject, try_rights};
pub use server_state::{ServerGroup, ServerState, ServerStorage, StoredStream};
pub use stream::NatsStream;
pub use subject::{SubjectPart, SubjectPartError, rights_of_host, rights_of_runtime};
