//! A runtime in another process, as a [`RuntimeHandle`](skep_protocol::RuntimeHandle): over HTTP,
//! with the same words and the same errors as one in this process.
//!
//! [`Client`] is one runtime, [`Host`] what a registry says of many. A registry uses a `Client` for
//! each remote, the command line both.
//!
//! What comes back is believed only where it is the protocol's: anything else that answers, from a
//! proxy's page to half a body, is [`RuntimeUnavailable`](skep_protocol::Error::RuntimeUnavailable),
//! as is silence. Where and with what a runtime is reached is known to [`Endpoint`] alone; nothing
//! of it is in an error, a log line or what `Debug` prints.
//!
//! No proxy is taken from the environment, no redirect followed, no cookie kept, nothing unpacked.

mod answer;
mod ask;
mod backoff;
mod bearer;
mod client;
mod connect;
mod deadlines;
mod endpoint;
mod feed;
mod follow;
mod host;
mod shape;
mod sse;
mod transfer;
mod wire;

pub use client::Client;
pub use deadlines::Deadlines;
pub use endpoint::{Endpoint, EndpointError, Prefix, Refusals, Token};
pub use host::{FleetStream, Host};
pub use url::Url;
