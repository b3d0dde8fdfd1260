//! Limits on concurrent name lookups: a few for each worker, and as many in total as there are
//! lookup threads.
//!
//! A lookup cannot be cancelled. It holds its permit until it returns, even if the request that
//! started it is long gone. Requests without a permit wait here and not in the thread pool's own
//! queue, which is unbounded and not fair among workers. A waiting request gives up at its connect
//! timeout.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// Maximum concurrent lookups, which is also the number of lookup threads.
pub(super) const ALL: usize = 64;

/// Maximum concurrent lookups of one worker, across its instances.
const EACH: usize = 4;

/// The runtime id and worker id of an instance.
pub(crate) type WorkerKey = Arc<str>;

/// The permits for lookups.
pub(super) struct Lookups {
    all: Arc<Semaphore>,
    /// The workers that have lookups in flight or waiting.
    workers: Mutex<HashMap<WorkerKey, Weak<Semaphore>>>,
}

/// Permission for one lookup.
pub(super) struct LookupPermit {
    _own: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Default for Lookups {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(ALL)), workers: Mutex::default() }
    }
}

impl Lookups {
    /// Waits for a permit.
    pub(super) async fn acquire(&self, worker: &WorkerKey) -> Result<LookupPermit, AcquireError> {
        // The worker's own permit comes first, so that a worker with too many lookups does not hold
        // a shared permit while it waits.
        let own = self.of(worker).acquire_owned().await?;
        let all = self.all.clone().acquire_owned().await?;
        Ok(LookupPermit { _own: own, _all: all })
    }

    fn of(&self, worker: &WorkerKey) -> Arc<Semaphore> {
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = workers.get(worker).and_then(Weak::upgrade) {
            return own;
        }
        workers.retain(|_, own| own.strong_count() > 0);
        let own = Arc::new(Semaphore::new(EACH));
        workers.insert(worker.clone(), Arc::downgrade(&own));
        own
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::net::IpAddr;
    use std::pin::Pin;
    use std::sync::Condvar;
    use std::time::Duration;

    use http_body_util::{BodyExt, Empty};
    use skep_protocol::{Limits, RequestRecord};
    use tokio::task::JoinSet;
    use wasmtime_wasi_http::{Error, WasiHttpHooks};

    use super::*;
    use crate::egress::{HttpAccess, HttpCaller, Outbound, Resolver};
    use crate::guest::turn::{RecordError, RequestLog};

    /// Resolves `known.test` at once. All other lookups block until they are released.
    #[derive(Default)]
    struct StuckResolver {
        started: Mutex<usize>,
        is_over: Mutex<bool>,
        over: Condvar,
    }

    impl Resolver for StuckResolver {
        fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
            if name != "known.test" {
                *self.started.lock().unwrap() += 1;
                let is_over = self.is_over.lock().unwrap();
                drop(self.over.wait_while(is_over, |is_over| !*is_over).unwrap());
            }
            Ok(vec![[10, 0, 0, 1].into()])
        }
    }

    impl StuckResolver {
        fn started(&self) -> usize {
            *self.started.lock().unwrap()
        }

        fn release(&self) {
            *self.is_over.lock().unwrap() = true;
            self.over.notify_all();
        }
    }

    /// Records nothing.
    struct DiscardLog;

    #[async_trait::async_trait]
    impl RequestLog for DiscardLog {
        async fn before_leaving(&self) -> Result<(), RecordError> {
            Ok(())
        }

        fn record(&self, _request: RequestRecord) {}
    }

    fn instance(outbound: &Outbound, worker: &str) -> HttpCaller {
        let grants = vec!["http://known.test".parse().unwrap(), "http://a.test".parse().unwrap()];
        let access = HttpAccess { grants, ..HttpAccess::default() };
        let limits = Limits { http_wait_ms: 1_000, ..Limits::default() };
        HttpCaller::new(outbound.clone(), worker.into(), access, limits, Arc::new(DiscardLog))
            .unwrap()
    }

    /// Returns the error of a request that fails.
    async fn request_error(caller: &mut HttpCaller, url: &str) -> Error {
        let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
        let request = http::Request::get(url).body(body).unwrap();
        let sent = caller.send_request(request, None, Box::new(async { Ok(()) }));
        Pin::from(sent).await.err().unwrap()
    }

    /// Starts requests of several workers for a name that never resolves, and drops them at their
    /// deadline.
    async fn short_turns(outbound: &Outbound, workers: impl Iterator<Item = usize>) {
        let mut turns = JoinSet::new();
        for worker in workers {
            for _ in 0..8 {
                let mut caller = instance(outbound, &worker.to_string());
                turns.spawn(async move {
                    let asking = request_error(&mut caller, "http://a.test/");
                    let _ = tokio::time::timeout(Duration::from_millis(30), asking).await;
                });
            }
        }
        turns.join_all().await;
    }

    #[tokio::test]
    async fn stuck_lookups_of_one_worker_leave_permits_for_others() {
        let names = Arc::new(StuckResolver::default());
        let outbound = Outbound::new(names.clone(), Vec::new());
        for _ in 0..20 {
            short_turns(&outbound, 0..1).await;
        }
        let error = request_error(&mut instance(&outbound, "other"), "http://known.test/").await;
        let started = names.started();
        names.release();
        assert!(matches!(error, Error::DestinationIpProhibited), "{error:?}");
        assert_eq!(started, EACH, "each instance of the worker got permits of its own");
    }

    #[tokio::test]
    async fn a_lookup_without_a_permit_ends_at_the_connect_timeout() {
        let names = Arc::new(StuckResolver::default());
        let outbound = Outbound::new(names.clone(), Vec::new());
        for _ in 0..2 {
            short_turns(&outbound, 0..ALL / EACH + 4).await;
        }
        let error = request_error(&mut instance(&outbound, "other"), "http://known.test/").await;
        assert!(matches!(error, Error::DnsTimeout), "{error:?}");
        names.release();
        // Abandoned requests neither block others nor start their lookups later.
        let error = request_error(&mut instance(&outbound, "other"), "http://known.test/").await;
        assert!(matches!(error, Error::DestinationIpProhibited), "{error:?}");
        assert_eq!(names.started(), ALL);
        assert!(outbound.lookups().workers.lock().unwrap().len() <= ALL / EACH + 5);
    }
}
