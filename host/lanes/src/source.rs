//! The owner of a component, who makes its instances.

use std::sync::Arc;

use async_trait::async_trait;
use skep_protocol::Limits;
use skep_sandbox::{Done, Instance, KillSwitch, Turn};

use crate::exchange::ExchangeReport;

/// Makes the instances of one HTTP guest, and takes the reports of its requests.
#[async_trait]
pub trait InstanceSource: Send + Sync + 'static {
    /// Returns the limits of a request that begins now. `turn_deadline_ms` bounds the time until the
    /// head of the answer.
    fn limits(&self) -> Limits;

    /// Creates an instance for a request that `kill` ends. The instance itself needs no deadline.
    async fn connect(&self, kill: Arc<KillSwitch>) -> Result<Instance, Done>;

    /// Returns the record of the next request of an instance that is used again.
    fn turn(&self) -> Box<dyn Turn>;

    /// Takes the report of a request after both the guest and the answer have ended. Must not block.
    fn ended(&self, report: ExchangeReport);
}
