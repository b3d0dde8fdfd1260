//! Failed loads of components that are tried again.
//!
//! A failure that does not follow from a component's bytes may pass: the host lacked memory, the
//! compiler was killed or took too long, the disk failed. The next turn that needs the component
//! tries again, after a delay that doubles with each failure. Turns that wait at the same time share
//! a failure instead of adding one each.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use skep_protocol::ComponentDigest;
use skep_sandbox::Profile;
use tokio::sync::Notify;

use crate::not_ready::NotReady;

/// The longest delay, in multiples of the first.
const LONGEST: u32 = 30;

/// A component, compiled for a profile.
pub(crate) type Key = (Profile, ComponentDigest);

/// The components that failed to load and may be tried again.
pub(crate) struct CompileRetries {
    /// The delay after a first failure.
    first: Duration,
    failed: Mutex<HashMap<Key, Failures>>,
    /// Notifies when failures were forgotten.
    forgotten: Notify,
}

struct Failures {
    count: u32,
    until: Instant,
    last: Arc<NotReady>,
}

impl CompileRetries {
    pub(crate) fn new(first: Duration) -> Self {
        Self { first, failed: Mutex::default(), forgotten: Notify::new() }
    }

    /// Returns the number of failures in succession.
    pub(crate) fn count(&self, key: &Key) -> u32 {
        self.failed().get(key).map_or(0, |failures| failures.count)
    }

    /// Returns the time until the next attempt. Returns `None` if it may begin.
    pub(crate) fn delay(&self, key: &Key) -> Option<Duration> {
        let failed = self.failed();
        let left = failed.get(key)?.until.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    /// Waits until the next attempt may begin.
    pub(crate) async fn wait(&self, key: &Key) {
        loop {
            let forgotten = self.forgotten.notified();
            let Some(delay) = self.delay(key) else { return };
            drop(tokio::time::timeout(delay, forgotten).await);
        }
    }

    /// Returns the latest failure if there were some since there were `count`, and their number.
    pub(crate) fn since(&self, key: &Key, count: u32) -> Option<(u32, Arc<NotReady>)> {
        let failed = self.failed();
        let failures = failed.get(key).filter(|failures| failures.count > count)?;
        Some((failures.count - count, failures.last.clone()))
    }

    /// Records a failure and returns it.
    pub(crate) fn failed_again(&self, key: Key, error: NotReady) -> Arc<NotReady> {
        let last = Arc::new(error);
        let mut failed = self.failed();
        let count = failed.get(&key).map_or(0, |failures| failures.count).saturating_add(1);
        let factor = 1_u32.checked_shl(count - 1).unwrap_or(LONGEST).min(LONGEST);
        let until = Instant::now() + self.first * factor;
        failed.insert(key, Failures { count, until, last: last.clone() });
        last
    }

    /// Forgets the failures of a component: it was loaded or removed, or a person asks for another
    /// attempt.
    pub(crate) fn forget(&self, digest: &ComponentDigest) {
        self.failed().retain(|(_, failed), _| failed != digest);
        self.forgotten.notify_waiters();
    }

    fn failed(&self) -> MutexGuard<'_, HashMap<Key, Failures>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = (Profile::Default, ComponentDigest::from_sha256([7; 32]));

    #[test]
    fn the_delay_doubles_up_to_a_maximum() {
        let retries = CompileRetries::new(Duration::from_secs(10));
        assert_eq!(retries.delay(&KEY), None);
        for (count, seconds) in [(1, 10), (2, 20), (3, 40), (4, 80), (5, 160), (6, 300), (7, 300)] {
            retries.failed_again(KEY, NotReady::Panicked);
            let delay = retries.delay(&KEY).unwrap().as_secs_f64();
            assert!((f64::from(seconds) - 1.0..=f64::from(seconds)).contains(&delay), "{delay}");
            assert_eq!(retries.count(&KEY), count);
        }
        assert_eq!(retries.since(&KEY, 5).unwrap().0, 2);
        assert!(retries.since(&KEY, 7).is_none());
        retries.forget(&KEY.1);
        assert_eq!((retries.delay(&KEY), retries.count(&KEY)), (None, 0));
    }

    #[tokio::test]
    async fn an_attempt_waits_until_the_delay_is_over_or_forgotten() {
        let retries = Arc::new(CompileRetries::new(Duration::from_millis(20)));
        retries.failed_again(KEY, NotReady::Panicked);
        retries.wait(&KEY).await;
        assert_eq!(retries.delay(&KEY), None);
        let retries = Arc::new(CompileRetries::new(Duration::from_secs(1_000)));
        retries.failed_again(KEY, NotReady::Panicked);
        let waiting = tokio::spawn({
            let retries = retries.clone();
            async move { retries.wait(&KEY).await }
        });
        tokio::task::yield_now().await;
        retries.forget(&KEY.1);
        tokio::time::timeout(Duration::from_secs(10), waiting).await.unwrap().unwrap();
    }
}
