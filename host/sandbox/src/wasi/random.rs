//! `wasi:random`, implemented with the guest's own generator. The insecure variants are secure too.

use skep_protocol::LimitName;
use wasmtime_wasi::p2::bindings::random::{insecure, insecure_seed, random};

use super::world::World;
use crate::limits::past::PastLimit;

impl random::Host for World {
    fn get_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        if len > self.limits.random_bytes_per_call {
            // The interface has no error to return.
            return Err(PastLimit(LimitName::random_bytes_per_call).into());
        }
        let mut bytes = vec![0; usize::try_from(len)?];
        self.random.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(self.random.next_u64()?)
    }
}

impl insecure::Host for World {
    fn get_insecure_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        random::Host::get_random_bytes(self, len)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        random::Host::get_random_u64(self)
    }
}

impl insecure_seed::Host for World {
    fn insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        Ok((self.random.next_u64()?, self.random.next_u64()?))
    }
}
