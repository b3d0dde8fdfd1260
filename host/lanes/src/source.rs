//! The owner of a component, who makes its instances and keeps the records of its requests.

use std::sync::Arc;

use async_trait::async_trait;
use skep_protocol::{Error, Limits};
use skep_sandbox::{Done, Instance, KillSwitch, Turn};

use crate::exchange::ExchangeReport;

/// Makes the instances of one HTTP guest.
#[async_trait]
pub trait InstanceSource: Send + Sync + 'static {
    /// The record of one request.
    type Record: ExchangeRecord;
    /// The host's resources that an instance holds.
    type Hold: Hold<Self::Record>;

    /// Returns the limits of a request that begins now. `turn_deadline_ms` bounds the time until the
    /// head of the answer.
    fn limits(&self) -> Limits;

    /// Begins the record of a request that has a place, or of an instance that handles several.
    async fn record(&self) -> Result<Self::Record, Error>;

    /// Returns true if the guest gets each body whole. Called after [`record`](Self::record).
    fn takes_whole_bodies(&self) -> bool;

    /// Creates an instance for a request that `kill` ends. The instance itself needs no deadline.
    async fn connect(
        &self,
        record: &Self::Record,
        kill: Arc<KillSwitch>,
    ) -> Result<(Instance, Self::Hold), Done>;

    /// Ends the record of an instance that handled several requests at once, which had one record for
    /// all that its guest wrote. Must not block.
    fn put_away(&self, record: Arc<Self::Record>);

    /// Takes the report of a request after both the guest and the answer have ended. `record` is none
    /// if it never had a place. Must not block.
    fn ended(&self, record: Option<Arc<Self::Record>>, report: ExchangeReport);
}

/// The record of one request.
#[async_trait]
pub trait ExchangeRecord: Send + Sync + 'static {
    /// Returns the guest's view of it. Called once at most.
    fn turn(&self) -> Box<dyn Turn>;

    /// Makes durable what the guest wrote until it answered. The head of the answer leaves after that.
    /// Goes on to its end even if its future is dropped.
    ///
    /// # Errors
    /// If nothing of it was made durable.
    async fn commit(&self) -> Result<(), Error>;
}

/// What an instance holds of its host, such as memory.
pub trait Hold<R>: Send + 'static {
    /// Prepares for another request.
    fn begin(&mut self, record: &R);

    /// Lets the instance wait for its next request. The host may call `evict` to end it.
    fn park(&mut self, evict: Box<dyn FnOnce() + Send>);

    /// Takes the instance out of its wait. Returns false if it has to go.
    fn resume(&mut self) -> bool;
}

/// Holds nothing.
impl<R> Hold<R> for () {
    fn begin(&mut self, _record: &R) {}

    fn park(&mut self, _evict: Box<dyn FnOnce() + Send>) {}

    fn resume(&mut self) -> bool {
        true
    }
}
