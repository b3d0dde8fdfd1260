//! The threads, resolver and TLS configuration that all guests' requests share.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::AcquireError;
use tokio_rustls::TlsConnector;

use super::lookups::{self, LookupPermit, Lookups, WorkerKey};
use super::resolver::{Resolver, SystemResolver};
use super::tls;

/// Time that an idle lookup thread waits for another name before it exits.
const LOOKUP_KEEP_ALIVE: Duration = Duration::from_secs(1);

/// Sends the requests of all guests on threads of its own. Starts no thread before the first
/// request. Cheap to clone.
#[derive(Clone)]
pub struct Outbound(Arc<OutboundParts>);

struct OutboundParts {
    resolver: Arc<dyn Resolver>,
    /// Certificate authorities in DER, in addition to the system's.
    authorities: Vec<Vec<u8>>,
    shunned: Mutex<Vec<SocketAddr>>,
    tls: OnceLock<Option<TlsConnector>>,
    lookups: Lookups,
    threads: Mutex<Option<tokio::runtime::Runtime>>,
}

impl Outbound {
    /// Resolves names with `resolver` and trusts `authorities` (certificates in DER) in addition to
    /// the system's.
    pub fn new(resolver: Arc<dyn Resolver>, authorities: Vec<Vec<u8>>) -> Self {
        Self(Arc::new(OutboundParts {
            resolver,
            authorities,
            shunned: Mutex::default(),
            tls: OnceLock::new(),
            lookups: Lookups::default(),
            threads: Mutex::default(),
        }))
    }

    /// Never connects to `listener`, regardless of grants. It is the host's own.
    pub fn shun(&self, listener: SocketAddr) {
        self.0.shunned.lock().unwrap_or_else(PoisonError::into_inner).push(listener);
    }

    pub(super) fn shunned(&self) -> Vec<SocketAddr> {
        self.0.shunned.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the runtime that sends all requests, and starts it at the first call. Guest threads
    /// do not send: they queue for CPU slots, and their runtime has no IO driver.
    pub(super) fn threads(&self) -> io::Result<tokio::runtime::Handle> {
        let mut threads = self.0.threads.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(threads) = &*threads {
            return Ok(threads.handle().clone());
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let started = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(cores.div_ceil(4))
            .max_blocking_threads(lookups::ALL)
            .thread_keep_alive(LOOKUP_KEEP_ALIVE)
            .thread_name("skep-outbound")
            .enable_all()
            .build()?;
        Ok(threads.insert(started).handle().clone())
    }

    pub(super) fn tls(&self) -> Option<&TlsConnector> {
        let made = || tls::connector(&self.0.authorities);
        self.0.tls.get_or_init(made).as_ref()
    }

    pub(super) async fn lookup_permit(
        &self,
        worker: &WorkerKey,
    ) -> Result<LookupPermit, AcquireError> {
        self.0.lookups.acquire(worker).await
    }

    /// Returns the call that resolves `name`. It blocks its thread.
    pub(super) fn resolving(
        &self,
        name: &str,
    ) -> impl FnOnce() -> io::Result<Vec<IpAddr>> + Send + 'static {
        let (resolver, name) = (self.0.resolver.clone(), name.to_owned());
        move || resolver.addresses(&name)
    }

    #[cfg(test)]
    pub(super) fn lookups(&self) -> &Lookups {
        &self.0.lookups
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

impl Drop for OutboundParts {
    fn drop(&mut self) {
        let threads = self.threads.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(threads) = threads.take() {
            // This may run on one of the runtime's own threads, which must not block.
            threads.shutdown_background();
        }
    }
}
