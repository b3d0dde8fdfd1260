//! The guest's random numbers, seeded by the operating system or by a number for repeatable runs.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A guest's own generator. The operating system is asked for a seed at its first use: most requests of
/// an HTTP guest use none.
pub(crate) struct Random(Option<ChaCha20Rng>);

impl Random {
    /// Creates a generator that is seeded from the operating system.
    pub(crate) fn from_system() -> Self {
        Self(None)
    }

    /// Seeds the generator with a number. The sequence is the same on every host and in every
    /// release.
    pub(crate) fn from_seed(seed: u64) -> Self {
        Self(Some(ChaCha20Rng::seed_from_u64(seed)))
    }

    pub(crate) fn fill(&mut self, bytes: &mut [u8]) -> Result<(), getrandom::Error> {
        self.generator()?.fill_bytes(bytes);
        Ok(())
    }

    pub(crate) fn next_u64(&mut self) -> Result<u64, getrandom::Error> {
        Ok(self.generator()?.next_u64())
    }

    fn generator(&mut self) -> Result<&mut ChaCha20Rng, getrandom::Error> {
        if self.0.is_none() {
            let mut seed = [0; 32];
            getrandom::fill(&mut seed)?;
            self.0 = Some(ChaCha20Rng::from_seed(seed));
        }
        Ok(self.0.as_mut().expect("the generator was set above"))
    }
}
