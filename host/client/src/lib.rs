//! A remote runtime as a [`RuntimeHandle`](skep_protocol::RuntimeHandle), over HTTP, with the same
//! types and errors as one in this process.
//!
//! [`Client`] is a client of one runtime, [`HostClient`] of a registry over many. A registry has a
//! `Client` for each remote; the command line uses both.
//!
//! Responses are validated strictly. Anything else, from a proxy's page to half a body, is
//! [`RuntimeUnavailable`](skep_protocol::Error::RuntimeUnavailable), and so is a timeout. Only
//! [`Endpoint`] knows the address and the token; errors, logs and `Debug` output contain neither.
//!
//! Ignores proxies in the environment, redirects, cookies and compression.

mod answer;
mod backoff;
mod bearer;
mod bulk;
mod client;
mod connect;
mod deadlines;
mod dial;
mod endpoint;
mod feed;
mod follow;
mod from_json;
mod host;
mod http_upload;
mod request;
mod sse;
mod transfer;
mod wire;

pub use bulk::BulkResults;
pub use client::Client;
pub use deadlines::ClientDeadlines;
pub use dial::{ByteStream, Dial, Dialing};
pub use endpoint::{Endpoint, EndpointError, Prefix, Refusals, Token};
pub use host::HostClient;
pub use url::Url;
