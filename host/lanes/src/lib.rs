//! Runs HTTP guests. Each request has a lane: a task on the guests' threads, with its own kill switch
//! and its own deadline, beside the task that talks to the client.
//!
//! A lane outlives neither side: dropping the answer ends the guest, and the end of the guest ends the
//! answer. A client that leaves while its guest computes is noticed, because its own task does not
//! compute.
//!
//! [`Lanes`] decides when a request runs and in which instance. The owner passes in an
//! [`InstanceSource`], which knows the component, the grants and the state.

mod answer_body;
mod exchange;
mod groups;
mod idle_instances;
mod lanes;
mod policy;
mod received_body;
mod source;

pub use answer_body::{AnswerBody, CutOff};
pub use exchange::{ExchangeEnd, ExchangeReport};
pub use lanes::Lanes;
pub use policy::HttpPolicy;
pub use source::{ExchangeRecord, Hold, InstanceSource};
