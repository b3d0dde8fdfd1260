//! Following all runtimes and their workers.

use std::pin::Pin;

use futures_util::Stream;
use skep_protocol::{Error, FleetChange};

/// Changes of runtimes and workers from some place on.
pub type FleetStream = Pin<Box<dyn Stream<Item = Result<FleetChange, Error>> + Send>>;
