//! `wasi:random` of 0.3, implemented with the guest's own generator. The insecure variants are secure too.

use wasmtime_wasi::p3::bindings::random::{insecure, insecure_seed, random};

use crate::wasi::world::World;

impl random::Host for World {
    /// Returns at most as many bytes as the limit allows. In 0.3 a call may return fewer than it was
    /// asked for.
    fn get_random_bytes(&mut self, most: u64) -> wasmtime::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(most.min(self.limits.random_bytes_per_call))?];
        self.random.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(self.random.next_u64()?)
    }
}

impl insecure::Host for World {
    fn get_insecure_random_bytes(&mut self, most: u64) -> wasmtime::Result<Vec<u8>> {
        random::Host::get_random_bytes(self, most)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        random::Host::get_random_u64(self)
    }
}

impl insecure_seed::Host for World {
    fn get_insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        // Each call returns the same.
        if let Some(seed) = self.insecure_seed {
            return Ok(seed);
        }
        let seed = (self.random.next_u64()?, self.random.next_u64()?);
        Ok(*self.insecure_seed.insert(seed))
    }
}
