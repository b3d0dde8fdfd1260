//! Requests of guests to others: one way out, which every request takes.
//!
//! ```text
//! guest -> world/http.rs -> Caller: target, grant, denial   (the guest's thread; nothing waits)
//!                              |  Exchange: record, permit
//!                           exchange.rs -> wait for the turn's input to be on disk
//!                              |           resolve -> check each address -> dial only those -> TLS
//!                           body.rs     <- answer, a chunk at a time
//! ```
//!
//! Nothing here follows a redirect: the guest does, with a request that is checked like any other.
//! No connection is kept: the next request may go by another grant.

mod body;
mod caller;
mod dial;
mod exchange;
mod fault;
mod lookups;
mod resolver;
mod secret;
mod standin;
mod target;
mod veil;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use skep_protocol::HttpGrant;
use skep_protocol::SecretName;
use std::collections::BTreeMap;

pub(crate) use caller::Caller;
pub use resolver::{Resolver, SystemResolver};
pub use secret::{OperatorSecret, SecretError};

/// How long a thread that looked a name up waits for another one.
const REST: Duration = Duration::from_secs(1);

/// What one guest may ask others, and what it may show them.
#[derive(Clone, Debug, Default)]
pub struct HttpAccess {
    /// Where its requests may go.
    pub grants: Vec<HttpGrant>,
    /// The secrets that it has stand-ins for.
    pub secrets: BTreeMap<SecretName, OperatorSecret>,
}

/// What sends the requests of all guests: threads of its own, a resolver, whom TLS trusts. Nothing
/// is started before the first request. Cheap to clone.
#[derive(Clone)]
pub struct Outbound(Arc<Inner>);

struct Inner {
    resolver: Arc<dyn Resolver>,
    /// In DER, besides the system's.
    authorities: Vec<Vec<u8>>,
    shunned: Mutex<Vec<SocketAddr>>,
    tls: OnceLock<Option<tokio_rustls::TlsConnector>>,
    lookups: lookups::Lookups,
    threads: Mutex<Option<tokio::runtime::Runtime>>,
}

impl Outbound {
    /// One that looks names up with `resolver` and trusts `authorities` (certificates in DER)
    /// besides the system's.
    pub fn new(resolver: Arc<dyn Resolver>, authorities: Vec<Vec<u8>>) -> Self {
        Self(Arc::new(Inner {
            resolver,
            authorities,
            shunned: Mutex::default(),
            tls: OnceLock::new(),
            lookups: lookups::Lookups::default(),
            threads: Mutex::default(),
        }))
    }

    /// Never connects to this listener, whatever is granted: it is the host's own.
    pub fn shun(&self, listener: SocketAddr) {
        self.0.shunned.lock().unwrap_or_else(PoisonError::into_inner).push(listener);
    }

    fn shunned(&self) -> Vec<SocketAddr> {
        self.0.shunned.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The threads that carry all requests. They are not the guests': those wait for each other's
    /// CPU slots, and have no sockets.
    fn threads(&self) -> io::Result<tokio::runtime::Handle> {
        let mut threads = self.0.threads.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(threads) = &*threads {
            return Ok(threads.handle().clone());
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let started = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(cores.div_ceil(4))
            .max_blocking_threads(lookups::ALL)
            .thread_keep_alive(REST)
            .thread_name("skep-outbound")
            .enable_all()
            .build()?;
        Ok(threads.insert(started).handle().clone())
    }

    fn tls(&self) -> Option<&tokio_rustls::TlsConnector> {
        let made = || dial::tls(&self.0.authorities);
        self.0.tls.get_or_init(made).as_ref()
    }
}

impl Default for Outbound {
    fn default() -> Self {
        Self::new(Arc::new(SystemResolver), Vec::new())
    }
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound").finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let threads = self.threads.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(threads) = threads.take() {
            // It may be dropped on one of its own threads.
            threads.shutdown_background();
        }
    }
}
