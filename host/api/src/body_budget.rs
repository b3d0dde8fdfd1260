//! A bound on the request bodies that are in memory at the same time.

use std::sync::Arc;
use std::time::Duration;

use skep_protocol::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The delay after which a request that found the budget used up is worth another try.
const RETRY: Duration = Duration::from_secs(1);

/// The unit of the budget, in bytes.
const UNIT: usize = 1 << 10;

/// A budget for bodies that are read whole, shared by all requests.
pub(crate) struct BodyBudget(Arc<Semaphore>);

impl BodyBudget {
    /// Creates a budget of some bytes.
    pub(crate) fn new(bytes: u64) -> Self {
        let units = usize::try_from(bytes).unwrap_or(usize::MAX) / UNIT;
        Self(Arc::new(Semaphore::new(units.min(Semaphore::MAX_PERMITS))))
    }

    /// Raises a request's reservation to `bytes`.
    ///
    /// # Errors
    /// [`Error::Busy`] if the budget is used up.
    pub(crate) fn take(
        &self,
        reserved: &mut Option<OwnedSemaphorePermit>,
        bytes: usize,
    ) -> Result<(), Error> {
        let has = reserved.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = u32::try_from(bytes.div_ceil(UNIT).saturating_sub(has)).unwrap_or(u32::MAX);
        let more = self.0.clone().try_acquire_many_owned(more);
        let more = more.map_err(|_| Error::Busy { retry_after: RETRY })?;
        match reserved {
            Some(reserved) => reserved.merge(more),
            None => *reserved = Some(more),
        }
        Ok(())
    }
}
