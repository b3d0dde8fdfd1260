//! The lanes of an HTTP worker in use, as its roster entry sees them.

use std::fmt;

use async_trait::async_trait;
use skep_protocol::{Error, HttpAnswer, HttpRequest};

/// The lanes of one version of an HTTP worker.
#[async_trait]
pub(crate) trait WorkerLanes: fmt::Debug + Send + Sync {
    /// Handles a request.
    async fn respond(&self, request: HttpRequest) -> Result<HttpAnswer, Error>;

    /// Returns true while a request is in flight.
    fn is_busy(&self) -> bool;

    /// Returns true if there is an instance.
    fn has_instance(&self) -> bool;

    /// Returns true if they were in use a moment ago, so that the worker should stay in memory.
    fn is_recent(&self) -> bool;

    /// Keeps no instance from now on. Requests in flight and those that wait go on.
    fn retire(&self);

    /// Refuses further requests.
    fn close(&self);

    /// Ends the requests in flight.
    fn cancel(&self);
}
