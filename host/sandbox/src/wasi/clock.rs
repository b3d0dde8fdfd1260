//! `wasi:clocks`, implemented with the guest's [`Clocks`](crate::guest::clocks::Clocks).

use std::time::Duration;

use wasmtime::component::Resource;
use wasmtime_wasi::p2::bindings::clocks::{monotonic_clock, wall_clock};
use wasmtime_wasi_io::poll::{DynPollable, subscribe};

use super::world::World;
use crate::guest::clocks::Timer;

impl monotonic_clock::Host for World {
    fn now(&mut self) -> wasmtime::Result<monotonic_clock::Instant> {
        Ok(nanos(self.clocks.monotonic()))
    }

    fn resolution(&mut self) -> wasmtime::Result<monotonic_clock::Duration> {
        Ok(nanos(self.clocks.resolution()))
    }

    fn subscribe_instant(
        &mut self,
        when: monotonic_clock::Instant,
    ) -> wasmtime::Result<Resource<DynPollable>> {
        let timer = self.clocks.timer_at(Duration::from_nanos(when));
        self.subscribe(timer)
    }

    fn subscribe_duration(
        &mut self,
        when: monotonic_clock::Duration,
    ) -> wasmtime::Result<Resource<DynPollable>> {
        let timer = self.clocks.timer_after(Duration::from_nanos(when));
        self.subscribe(timer)
    }
}

impl wall_clock::Host for World {
    fn now(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        Ok(datetime(self.clocks.wall()))
    }

    fn resolution(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        Ok(datetime(self.clocks.resolution()))
    }
}

impl World {
    fn subscribe(&mut self, timer: Timer) -> wasmtime::Result<Resource<DynPollable>> {
        let timer = self.table.push(timer)?;
        subscribe(&mut self.table, timer)
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn datetime(since: Duration) -> wall_clock::Datetime {
    wall_clock::Datetime { seconds: since.as_secs(), nanoseconds: since.subsec_nanos() }
}
