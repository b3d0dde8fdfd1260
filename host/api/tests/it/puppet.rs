//! An in-memory runtime that fails on demand.

use std::sync::{Arc, Mutex};

use skep_conformance::fake::{FakeDisk, FakeRuntime};
use skep_protocol::*;

/// A runtime that fails on demand.
pub(crate) struct Puppet {
    runtime: FakeRuntime,
    /// Error of every verb, if set.
    fails: Mutex<Option<Error>>,
}

impl Puppet {
    pub(crate) fn new(id: &str) -> Self {
        let runtime = FakeRuntime::open(&FakeDisk::new(id.parse().unwrap()));
        Self { runtime, fails: Mutex::default() }
    }

    /// Sets or clears the error of every verb.
    pub(crate) fn fail(&self, error: Option<Error>) {
        *self.fails.lock().unwrap() = error;
    }
}

impl Layer for Puppet {
    async fn pass<A: Send + 'static, T: Answer>(
        &self,
        invocation: Invocation<A, T>,
    ) -> Result<T, Error> {
        let error = self.fails.lock().unwrap().clone();
        error.map_or(Ok(()), Err)?;
        invocation.forward(Arc::new(self.runtime.clone())).await
    }
}
