//! The frames of a byte stream, each one message of NATS.
//!
//! ```text
//! 0        1                 9
//! | kind   | number, 64 bits | bytes ...
//! ```
//!
//! NATS delivers a message at most once, and in order. So frames that carry data are numbered, and a
//! number that is missing breaks the stream; nothing is sent again.

use bytes::{BufMut, Bytes, BytesMut};

/// Maximum bytes of a frame's data. A server accepts messages of 1 MiB by default.
pub(crate) const DATA_BYTES: usize = 128 << 10;

const HEAD_BYTES: usize = 9;

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StreamFrame {
    /// Data, with its number in this direction.
    Data(u64, Bytes),
    /// The end of the data, with a number as if it were data.
    End(u64),
    /// The cost of all data that the reader has taken since the stream began.
    Taken(u64),
    /// A sign of life, with the number of the next frame of data.
    Alive(u64),
    /// The stream is broken or was dropped.
    Reset,
}

/// A message that is no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoStreamFrame;

impl StreamFrame {
    pub(crate) fn encode(&self) -> Bytes {
        let (kind, number, data) = match self {
            Self::Data(number, data) => (b'd', *number, &data[..]),
            Self::End(number) => (b'e', *number, &[][..]),
            Self::Taken(cost) => (b't', *cost, &[][..]),
            Self::Alive(next) => (b'a', *next, &[][..]),
            Self::Reset => (b'r', 0, &[][..]),
        };
        Self::put(kind, number, data)
    }

    /// Encodes a frame of data without a copy in between.
    pub(crate) fn encode_data(number: u64, data: &[u8]) -> Bytes {
        Self::put(b'd', number, data)
    }

    fn put(kind: u8, number: u64, data: &[u8]) -> Bytes {
        let mut bytes = BytesMut::with_capacity(HEAD_BYTES + data.len());
        bytes.put_u8(kind);
        bytes.put_u64(number);
        bytes.put_slice(data);
        bytes.freeze()
    }

    pub(crate) fn decode(mut message: Bytes) -> Result<Self, NoStreamFrame> {
        let head = message.first_chunk::<HEAD_BYTES>().ok_or(NoStreamFrame)?;
        let [kind, number @ ..] = *head;
        let number = u64::from_be_bytes(number);
        let data = message.split_off(HEAD_BYTES);
        match (kind, data.len()) {
            (b'd', 1..=DATA_BYTES) => Ok(Self::Data(number, data)),
            (b'e', 0) => Ok(Self::End(number)),
            (b't', 0) => Ok(Self::Taken(number)),
            (b'a', 0) => Ok(Self::Alive(number)),
            (b'r', 0) => Ok(Self::Reset),
            _ => Err(NoStreamFrame),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        for frame in [
            StreamFrame::Data(7, Bytes::from_static(b"abc")),
            StreamFrame::Data(u64::MAX, vec![1; DATA_BYTES].into()),
            StreamFrame::End(8),
            StreamFrame::Taken(1 << 40),
            StreamFrame::Alive(0),
            StreamFrame::Reset,
        ] {
            assert_eq!(StreamFrame::decode(frame.encode()), Ok(frame));
        }
        assert_eq!(
            StreamFrame::encode_data(3, b"x"),
            StreamFrame::Data(3, Bytes::from_static(b"x")).encode()
        );
    }

    #[test]
    fn messages_that_are_no_frames_are_refused() {
        let long = StreamFrame::Data(0, vec![0; DATA_BYTES + 1].into()).encode();
        let empty = StreamFrame::Data(0, Bytes::new()).encode();
        let mut ended = StreamFrame::End(1).encode().to_vec();
        ended.push(0);
        for message in
            [long, empty, ended.into(), Bytes::new(), vec![b'd'; 8].into(), vec![0; 9].into()]
        {
            assert_eq!(StreamFrame::decode(message), Err(NoStreamFrame));
        }
    }
}
