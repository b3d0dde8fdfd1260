//! Choices made of a fuzzer's bytes, from the front. Where there are no more, each choice is 0.

/// See the module's documentation.
pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    /// One of so many, from 0.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        usize::from(self.byte()) % count
    }

    pub(crate) fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    pub(crate) fn number(&mut self) -> u64 {
        let mut bytes = [0; 8];
        let width = [1, 2, 4, 8][self.below(4)];
        for byte in &mut bytes[..width] {
            *byte = self.byte();
        }
        u64::from_le_bytes(bytes)
    }

    /// Up to the next 0, or all.
    pub(crate) fn piece(&mut self) -> &'a [u8] {
        let end = self.0.iter().position(|&byte| byte == 0).unwrap_or(self.0.len());
        let piece = &self.0[..end];
        self.0 = self.0.get(end + 1..).unwrap_or_default();
        piece
    }
}
