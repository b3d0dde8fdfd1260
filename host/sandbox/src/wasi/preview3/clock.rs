//! `wasi:clocks` of 0.3, implemented with the guest's [`Clocks`](crate::guest::clocks::Clocks).

use std::time::Duration;

use wasmtime::component::Accessor;
use wasmtime_wasi::p3::bindings::clocks::{monotonic_clock, system_clock, types};
use wasmtime_wasi_io::poll::Pollable as _;

use crate::guest::clocks::Timer;
use crate::wasi::linker::HasWorld;
use crate::wasi::world::World;

impl types::Host for World {}

impl system_clock::Host for World {
    fn now(&mut self) -> wasmtime::Result<system_clock::Instant> {
        let since = self.clocks.wall();
        let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
        Ok(system_clock::Instant { seconds, nanoseconds: since.subsec_nanos() })
    }

    fn get_resolution(&mut self) -> wasmtime::Result<types::Duration> {
        Ok(nanos(self.clocks.resolution()))
    }
}

impl monotonic_clock::Host for World {
    fn now(&mut self) -> wasmtime::Result<monotonic_clock::Mark> {
        Ok(nanos(self.clocks.monotonic()))
    }

    fn get_resolution(&mut self) -> wasmtime::Result<types::Duration> {
        Ok(nanos(self.clocks.resolution()))
    }
}

impl<U> monotonic_clock::HostWithStore<U> for HasWorld {
    async fn wait_until(
        accessor: &Accessor<U, Self>,
        when: monotonic_clock::Mark,
    ) -> wasmtime::Result<()> {
        let when = Duration::from_nanos(when);
        let timer = accessor.with(|mut world| {
            let clocks = &world.get().clocks;
            (clocks.monotonic() < when).then(|| clocks.timer_at(when))
        });
        wait(timer).await;
        Ok(())
    }

    async fn wait_for(
        accessor: &Accessor<U, Self>,
        duration: types::Duration,
    ) -> wasmtime::Result<()> {
        let duration = Duration::from_nanos(duration);
        let timer = accessor.with(|mut world| {
            (!duration.is_zero()).then(|| world.get().clocks.timer_after(duration))
        });
        wait(timer).await;
        Ok(())
    }
}

/// Waits for a timer. What is over is ready at once: between two such calls a guest computes, and that is
/// interrupted.
async fn wait(timer: Option<Timer>) {
    if let Some(mut timer) = timer {
        timer.ready().await;
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
