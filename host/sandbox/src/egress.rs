//! Outbound HTTP requests of guests. Every request takes this one way out.
//!
//! ```text
//! guest -> wasi/http.rs -> HttpCaller: target, grant, denial   (the guest's thread; never blocks)
//!          wasi/fetch.rs       |
//!                              |  Exchange: ledger entry, connection permit
//!                          exchange.rs -> wait until the turn's input is on disk
//!                              |          resolve -> check each address -> dial only those -> TLS
//!                          pump.rs     <- response body, one chunk at a time
//! ```
//!
//! Redirects are not followed here. The guest follows them with a new request, which is checked like
//! any other. Connections are not reused, because the next request may be allowed by another grant.

mod access;
mod body;
mod caller;
mod dial;
mod exchange;
mod fault;
mod ledger;
mod lookups;
mod outbound;
mod placeholder;
mod pump;
mod redactor;
mod resolver;
mod secret;
mod target;
mod task;
mod tls;
mod whole;

pub use access::HttpAccess;
pub(crate) use caller::{HttpCaller, is_ours};
pub use outbound::Outbound;
pub use resolver::{Resolver, SystemResolver};
pub use secret::{OperatorSecret, SecretError};
pub(crate) use whole::{WholeError, WholeResponse};
