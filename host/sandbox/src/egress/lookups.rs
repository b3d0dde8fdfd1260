//! Names that are being looked up: few of each worker's, and of all no more than there are threads
//! for it.
//!
//! A call that looks a name up cannot be broken off: it holds its place until it returns, however
//! long ago whoever asked has gone. Who has no place waits outside of the threads' own queue, which
//! has no bound and no order among workers, and gives up when its time to connect is over.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// Names that are looked up at a time, which is also the number of threads that do so.
pub(super) const ALL: usize = 64;

/// Those of one worker, whichever of its instances asked for them.
const EACH: usize = 4;

/// Whose instance asks: the runtime and its worker.
pub(crate) type WorkerKey = Arc<str>;

/// See the module's documentation.
pub(super) struct Lookups {
    all: Arc<Semaphore>,
    /// Of those that look names up, or wait to.
    workers: Mutex<HashMap<WorkerKey, Weak<Semaphore>>>,
}

/// A place for looking up one name.
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
    /// Waits for a place.
    pub(super) async fn acquire(&self, worker: &WorkerKey) -> Result<LookupPermit, AcquireError> {
        // Its own first: one that has too many under way takes no place from others while it waits.
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

    /// Knows `known.test`; whoever asks for anything else waits until it is let go.
    #[derive(Default)]
    struct Stuck {
        asked: Mutex<usize>,
        is_over: Mutex<bool>,
        over: Condvar,
    }

    impl Resolver for Stuck {
        fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
            if name != "known.test" {
                *self.asked.lock().unwrap() += 1;
                let is_over = self.is_over.lock().unwrap();
                drop(self.over.wait_while(is_over, |is_over| !*is_over).unwrap());
            }
            Ok(vec![[10, 0, 0, 1].into()])
        }
    }

    impl Stuck {
        fn asked(&self) -> usize {
            *self.asked.lock().unwrap()
        }

        fn let_go(&self) {
            *self.is_over.lock().unwrap() = true;
            self.over.notify_all();
        }
    }

    /// Takes note of nothing.
    struct Forgetful;

    #[async_trait::async_trait]
    impl RequestLog for Forgetful {
        async fn before_leaving(&self) -> Result<(), RecordError> {
            Ok(())
        }

        fn record(&self, _request: RequestRecord) {}
    }

    fn instance(outbound: &Outbound, worker: &str) -> HttpCaller {
        let grants = vec!["http://known.test".parse().unwrap(), "http://a.test".parse().unwrap()];
        let access = HttpAccess { grants, ..HttpAccess::default() };
        let limits = Limits { http_wait_ms: 1_000, ..Limits::default() };
        HttpCaller::new(outbound.clone(), worker.into(), access, limits, Arc::new(Forgetful))
            .unwrap()
    }

    /// Why a request came to nothing.
    async fn request_error(caller: &mut HttpCaller, url: &str) -> Error {
        let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
        let request = http::Request::get(url).body(body).unwrap();
        let sent = caller.send_request(request, None, Box::new(async { Ok(()) }));
        Pin::from(sent).await.err().unwrap()
    }

    /// So many workers ask for a name that never comes, and are gone after their deadline.
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
    async fn a_worker_whose_names_are_never_found_leaves_others_their_places() {
        let names = Arc::new(Stuck::default());
        let outbound = Outbound::new(names.clone(), Vec::new());
        for _ in 0..20 {
            short_turns(&outbound, 0..1).await;
        }
        let error = request_error(&mut instance(&outbound, "other"), "http://known.test/").await;
        let asked = names.asked();
        names.let_go();
        assert!(matches!(error, Error::DestinationIpProhibited), "{error:?}");
        assert_eq!(asked, EACH, "its instances have places of their own");
    }

    #[tokio::test]
    async fn where_all_places_are_taken_asking_ends_when_its_time_is_over() {
        let names = Arc::new(Stuck::default());
        let outbound = Outbound::new(names.clone(), Vec::new());
        for _ in 0..2 {
            short_turns(&outbound, 0..ALL / EACH + 4).await;
        }
        let error = request_error(&mut instance(&outbound, "other"), "http://known.test/").await;
        assert!(matches!(error, Error::DnsTimeout), "{error:?}");
        names.let_go();
        // None of those that gave up is in the way, or asked for all the same.
        let error = request_error(&mut instance(&outbound, "other"), "http://known.test/").await;
        assert!(matches!(error, Error::DestinationIpProhibited), "{error:?}");
        assert_eq!(names.asked(), ALL);
        assert!(outbound.lookups().workers.lock().unwrap().len() <= ALL / EACH + 5);
    }
}
