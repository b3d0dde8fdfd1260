//! The fake's implementation of the runtime handle, with a file per noun.

mod artifacts;
mod files;
mod turns;
mod workers;

use std::future::Future;

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use skep_protocol::*;

use super::{FakeRuntime, now, responder};

/// The number of items on a page by default.
const PAGE: usize = 100;

/// Streams the items that `next` finds after a position, each with the position after it.
fn follow<T, F>(
    runtime: FakeRuntime,
    from: u64,
    next: impl Fn(FakeRuntime, u64) -> F + Send + 'static,
) -> std::pin::Pin<Box<dyn stream::Stream<Item = Result<T, Error>> + Send>>
where
    T: Send + 'static,
    F: Future<Output = Result<(u64, T), Error>> + Send + 'static,
{
    // Any later error means that the worker or the runtime is gone, which ends the stream.
    let step = move |(runtime, at): (FakeRuntime, u64)| {
        let found = next(runtime.clone(), at);
        async move { found.await.ok().map(|(at, item)| (Ok(item), (runtime, at))) }
    };
    stream::unfold((runtime, from), step).boxed()
}

/// Collects the bytes of a stream up to a bound.
async fn gather(mut stream: ByteStream, limit: u64, past: &Error) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    while let Some(piece) = stream.next().await {
        bytes.extend(piece?);
        if bytes.len() as u64 > limit {
            return Err(past.clone());
        }
    }
    Ok(bytes)
}

/// The fake runs no steps.
impl Steps for FakeRuntime {}

#[async_trait]
impl Http for FakeRuntime {
    async fn http(&self, worker: WorkerId, request: HttpRequest) -> Result<HttpAnswer, Error> {
        self.with(|disk| {
            let row = disk.worker(worker)?;
            match (row.kind, row.desired) {
                (ComponentKind::Http, Desired::Running) => Ok(()),
                (ComponentKind::Http, Desired::Stopped) => Err(NoAnswer::Stopped.into()),
                _ => Err(Error::OperationUnsupported),
            }
        })??;
        responder::respond(request)
    }
}

#[async_trait]
impl Overview for FakeRuntime {
    async fn describe(&self) -> Result<RuntimeView, Error> {
        self.with(|disk| RuntimeView {
            runtime_id: disk.runtime_id.clone(),
            host_id: "fake-host".parse().expect("the id is valid"),
            version: env!("CARGO_PKG_VERSION").into(),
            workers: disk.workers.len() as u64,
            connected: disk.workers.values().filter(|row| row.instance.is_some()).count() as u64,
            ready: true,
        })
    }

    async fn load_history(&self) -> Result<RuntimeHistory, Error> {
        let view = self.describe().await?;
        let turns = self.with(|disk| disk.workers.values().map(|row| row.usage.turns).sum())?;
        let sample = RuntimeSample {
            at: now(),
            workers: view.workers,
            connected: view.connected,
            memory_bytes: 0,
            turns,
            queued_inputs: 0,
        };
        Ok(RuntimeHistory { interval_ms: 10_000, items: vec![sample] })
    }

    async fn diagnostics(&self, worker: Option<WorkerId>) -> Result<Vec<Diagnostic>, Error> {
        self.with(|disk| match worker {
            Some(worker) => Ok(disk.worker(worker)?.diagnostics.iter().rev().cloned().collect()),
            None => {
                let all = disk.workers.values().flat_map(|row| row.diagnostics.iter().cloned());
                let mut all: Vec<_> = all.collect();
                all.sort_by_key(|diagnostic| std::cmp::Reverse(diagnostic.at));
                Ok(all)
            }
        })?
    }
}
