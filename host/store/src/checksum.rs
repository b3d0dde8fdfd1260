//! Checksums of rows.
//!
//! A CRC-32 over the columns in the order of the table. A number is 8 bytes; a text or blob is
//! preceded by its length. It detects damage, not forgery.

use crc32fast::Hasher;

/// A checksum that is being computed.
pub(crate) struct Checksum {
    hasher: Hasher,
    // Collects the numbers, so that ten of them cost one call of the hasher.
    pending: [u8; 96],
    filled: usize,
}

impl Checksum {
    pub(crate) fn new() -> Self {
        Self { hasher: Hasher::new(), pending: [0; 96], filled: 0 }
    }

    pub(crate) fn int(mut self, value: i64) -> Self {
        self.push(&value.to_le_bytes());
        self
    }

    pub(crate) fn optional_int(self, value: Option<i64>) -> Self {
        match value {
            Some(value) => self.int(1).int(value),
            None => self.int(0),
        }
    }

    pub(crate) fn bytes(mut self, value: &[u8]) -> Self {
        self = self.int(value.len() as i64);
        if value.len() <= 32 {
            self.push(value);
        } else {
            self.flush();
            self.hasher.update(value);
        }
        self
    }

    pub(crate) fn optional_bytes(self, value: Option<&[u8]>) -> Self {
        match value {
            Some(value) => self.bytes(value),
            None => self.int(-1),
        }
    }

    pub(crate) fn finish(mut self) -> i64 {
        self.flush();
        i64::from(self.hasher.finalize())
    }

    fn push(&mut self, bytes: &[u8]) {
        if self.filled + bytes.len() > self.pending.len() {
            self.flush();
        }
        self.pending[self.filled..self.filled + bytes.len()].copy_from_slice(bytes);
        self.filled += bytes.len();
    }

    fn flush(&mut self) {
        self.hasher.update(&self.pending[..self.filled]);
        self.filled = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffered_values_have_the_same_checksum() {
        let long = vec![7; 5_000];
        let mut plain = Hasher::new();
        let mut sum = Checksum::new();
        for n in 0..40 {
            sum = sum.int(n).bytes(&long[..n as usize * 100]);
            plain.update(&n.to_le_bytes());
            plain.update(&(n * 100).to_le_bytes());
            plain.update(&long[..n as usize * 100]);
        }
        assert_eq!(sum.finish(), i64::from(plain.finalize()));
    }

    #[test]
    fn absent_and_empty_differ() {
        let sum = |value| Checksum::new().optional_bytes(value).finish();
        assert_ne!(sum(None), sum(Some(&[])));
    }
}
