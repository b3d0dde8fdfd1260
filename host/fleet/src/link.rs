//! One end of a byte stream: what has come in, what may go out, and whether it is broken.
//!
//! A sender may have a window of unread data on its way, and the reader says what it has taken. So both
//! ends hold a bounded amount, however slowly the other reads.

use std::collections::VecDeque;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};

use crate::frame::{DATA_BYTES, StreamFrame};

/// The cost of a frame beside its data: about what it takes in memory. Without it, a window would hold a
/// million frames of one byte.
const FRAME_COST: u64 = 256;

/// Data below this length is copied: it would hold a buffer of 64 KiB or more.
const COPIED: usize = 32 << 10;

/// Maximum cost of data that was sent and not taken: eight full frames.
const WINDOW: u64 = 8 * (DATA_BYTES as u64 + FRAME_COST);

/// Time without a frame after which an end says that it is alive.
const SILENCE: Duration = Duration::from_secs(5);

/// Time without a frame after which the other end counts as gone: three signs of life.
const GONE: Duration = Duration::from_secs(15);

/// One end of a stream.
#[derive(Debug)]
pub(crate) struct Link(Mutex<LinkState>);

#[derive(Debug)]
struct LinkState {
    incoming: VecDeque<Bytes>,
    next_incoming: u64,
    /// The cost of all data that came in, and of what was read of it; and what the other end was told of
    /// that.
    received: u64,
    taken: u64,
    told: u64,
    has_ended: bool,
    next_outgoing: u64,
    /// The cost of all data that went out, and of what the other end has taken of it.
    sent: u64,
    acknowledged: u64,
    is_shut: bool,
    broken: Option<StreamFault>,
    reader: Option<Waker>,
    writer: Option<Waker>,
    heard: Instant,
    spoke: Instant,
}

/// The reason why a stream is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamFault {
    /// The other end dropped it.
    Reset,
    /// A frame is missing.
    Gap,
    /// The other end sent what it may not.
    Invalid,
    /// The other end has been silent for too long.
    Silent,
}

impl StreamFault {
    fn error(self) -> io::Error {
        let (kind, why) = match self {
            Self::Reset => (io::ErrorKind::ConnectionReset, "the other end dropped the stream"),
            Self::Gap => (io::ErrorKind::ConnectionReset, "a part of the stream was lost"),
            Self::Invalid => (io::ErrorKind::InvalidData, "the other end broke the protocol"),
            Self::Silent => (io::ErrorKind::TimedOut, "the other end does not answer"),
        };
        io::Error::new(kind, why)
    }
}

impl Default for Link {
    fn default() -> Self {
        let now = Instant::now();
        Self(Mutex::new(LinkState {
            incoming: VecDeque::new(),
            next_incoming: 0,
            received: 0,
            taken: 0,
            told: 0,
            has_ended: false,
            next_outgoing: 0,
            sent: 0,
            acknowledged: 0,
            is_shut: false,
            broken: None,
            reader: None,
            writer: None,
            heard: now,
            spoke: now,
        }))
    }
}

impl Link {
    /// Takes a frame of the other end.
    ///
    /// # Errors
    /// [`StreamFault`] if it breaks the stream, which the other end should be told.
    pub(crate) fn receive(&self, frame: StreamFrame) -> Result<(), StreamFault> {
        let mut state = self.state();
        if state.broken.is_some() {
            return Ok(());
        }
        state.heard = Instant::now();
        let received = state.receive(frame);
        if let Err(broken) = received {
            state.fail(broken);
        }
        match received {
            Err(StreamFault::Reset) | Ok(()) => Ok(()),
            Err(broken) => Err(broken),
        }
    }

    /// Reads data. The second value is what the other end is to be told.
    pub(crate) fn poll_read(
        &self,
        context: &Context<'_>,
        most: usize,
    ) -> Poll<io::Result<(Bytes, Option<StreamFrame>)>> {
        let mut state = self.state();
        if let Some(broken) = state.broken.filter(|_| !state.has_all()) {
            return Poll::Ready(Err(broken.error()));
        }
        let Some(first) = state.incoming.front_mut() else {
            if state.has_ended {
                return Poll::Ready(Ok((Bytes::new(), None)));
            }
            state.reader = Some(context.waker().clone());
            return Poll::Pending;
        };
        let data = first.split_to(most.min(first.len()));
        let is_whole = !first.has_remaining();
        state.taken += data.len() as u64;
        if is_whole {
            state.incoming.pop_front();
            state.taken += FRAME_COST;
        }
        let tell = !state.has_ended && state.taken - state.told >= WINDOW / 2;
        if tell {
            state.told = state.taken;
        }
        let frame = tell.then_some(StreamFrame::Taken(state.taken));
        if tell {
            state.spoke = Instant::now();
        }
        Poll::Ready(Ok((data, frame)))
    }

    /// Returns the number of bytes of a frame that may go out, at most `wanted`, and the frame's number.
    pub(crate) fn poll_send(
        &self,
        context: &Context<'_>,
        wanted: usize,
    ) -> Poll<io::Result<(usize, u64)>> {
        let mut state = self.state();
        if let Some(broken) = state.broken {
            return Poll::Ready(Err(broken.error()));
        }
        if state.is_shut {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let free = WINDOW - (state.sent - state.acknowledged);
        if free <= FRAME_COST {
            state.writer = Some(context.waker().clone());
            return Poll::Pending;
        }
        let free = usize::try_from(free - FRAME_COST).unwrap_or(usize::MAX);
        let bytes = wanted.min(DATA_BYTES).min(free);
        state.sent += bytes as u64 + FRAME_COST;
        Poll::Ready(Ok((bytes, state.number())))
    }

    /// Ends the outgoing data, once.
    pub(crate) fn shut(&self) -> Option<StreamFrame> {
        let mut state = self.state();
        if state.broken.is_some() || std::mem::replace(&mut state.is_shut, true) {
            return None;
        }
        Some(StreamFrame::End(state.number()))
    }

    /// Returns what the other end is to be told when this end is dropped. An end that was shut has said
    /// all, and what was sent is still read.
    pub(crate) fn drop_frame(&self) -> Option<StreamFrame> {
        let state = self.state();
        (state.broken.is_none() && !state.is_shut).then_some(StreamFrame::Reset)
    }

    /// Breaks the stream, and returns true if it was whole before.
    pub(crate) fn fail(&self, broken: StreamFault) -> bool {
        let mut state = self.state();
        let was_whole = state.broken.is_none();
        state.fail(broken);
        was_whole
    }

    /// Breaks the stream if the other end is gone, and returns a sign of life if one is due.
    pub(crate) fn tick(&self, now: Instant) -> Option<StreamFrame> {
        let mut state = self.state();
        if state.broken.is_some() {
            return None;
        }
        if now.saturating_duration_since(state.heard) >= GONE {
            state.fail(StreamFault::Silent);
            return Some(StreamFrame::Reset);
        }
        if now.saturating_duration_since(state.spoke) < SILENCE {
            return None;
        }
        state.spoke = now;
        Some(StreamFrame::Alive(state.next_outgoing))
    }

    fn state(&self) -> MutexGuard<'_, LinkState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LinkState {
    fn receive(&mut self, frame: StreamFrame) -> Result<(), StreamFault> {
        match frame {
            StreamFrame::Data(number, data) => {
                self.expect(number)?;
                self.received += data.len() as u64 + FRAME_COST;
                if self.has_ended || self.received - self.told > WINDOW {
                    return Err(StreamFault::Invalid);
                }
                // Data shares the memory that the connection read it into, which is more than it counts.
                let data = if data.len() < COPIED { Bytes::copy_from_slice(&data) } else { data };
                self.incoming.push_back(data);
                wake(&mut self.reader);
            }
            StreamFrame::End(number) => {
                self.expect(number)?;
                if std::mem::replace(&mut self.has_ended, true) {
                    return Err(StreamFault::Invalid);
                }
                wake(&mut self.reader);
            }
            StreamFrame::Taken(cost) => {
                if cost > self.sent {
                    return Err(StreamFault::Invalid);
                }
                self.acknowledged = self.acknowledged.max(cost);
                wake(&mut self.writer);
            }
            // A smaller number was overtaken by data, which shows no loss.
            StreamFrame::Alive(next) if next > self.next_incoming => return Err(StreamFault::Gap),
            StreamFrame::Alive(_) => {}
            StreamFrame::Reset => return Err(StreamFault::Reset),
        }
        Ok(())
    }

    /// Checks the number of a frame.
    fn expect(&mut self, number: u64) -> Result<(), StreamFault> {
        if number != self.next_incoming {
            return Err(StreamFault::Gap);
        }
        self.next_incoming += 1;
        Ok(())
    }

    /// Returns the number of the next frame that goes out.
    fn number(&mut self) -> u64 {
        let number = self.next_outgoing;
        self.next_outgoing += 1;
        self.spoke = Instant::now();
        number
    }

    /// Returns true if all data has come, whatever becomes of the stream. The other end may have
    /// dropped it since.
    fn has_all(&self) -> bool {
        self.has_ended && self.broken != Some(StreamFault::Invalid)
    }

    fn fail(&mut self, broken: StreamFault) {
        self.broken.get_or_insert(broken);
        if !self.has_all() {
            self.incoming.clear();
        }
        wake(&mut self.reader);
        wake(&mut self.writer);
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context() -> Context<'static> {
        Context::from_waker(Waker::noop())
    }

    fn data(number: u64, bytes: usize) -> StreamFrame {
        StreamFrame::Data(number, vec![7; bytes].into())
    }

    fn read(link: &Link, most: usize) -> (usize, Option<StreamFrame>) {
        match link.poll_read(&context(), most) {
            Poll::Ready(Ok((data, frame))) => (data.len(), frame),
            other => panic!("{other:?}"),
        }
    }

    fn error(link: &Link) -> io::ErrorKind {
        match link.poll_read(&context(), 1) {
            Poll::Ready(Err(error)) => error.kind(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_writer_stops_at_the_window_and_goes_on_when_the_reader_has_taken_half() {
        let (writer, reader) = (Link::default(), Link::default());
        let mut sent = 0;
        while let Poll::Ready(Ok((bytes, number))) = writer.poll_send(&context(), usize::MAX) {
            assert!(bytes <= DATA_BYTES);
            reader.receive(data(number, bytes)).unwrap();
            sent += bytes;
        }
        assert_eq!(sent, 8 * DATA_BYTES);
        assert!(reader.poll_read(&context(), 0).is_ready());
        let mut told = None;
        let mut taken = 0;
        while told.is_none() {
            let (bytes, frame) = read(&reader, 10_000);
            taken += bytes;
            told = frame;
        }
        assert!((4 * DATA_BYTES..5 * DATA_BYTES).contains(&taken), "{taken}");
        writer.receive(told.unwrap()).unwrap();
        assert!(writer.poll_send(&context(), 1).is_ready());
    }

    #[test]
    fn frames_of_one_byte_cost_more_than_their_data() {
        let link = Link::default();
        let mut frames = 0;
        while link.poll_send(&context(), 1).is_ready() {
            frames += 1;
        }
        assert!((3_000..6_000).contains(&frames), "{frames}");
        let flooded = Link::default();
        let mut number = 0;
        let refused = loop {
            if let Err(broken) = flooded.receive(data(number, 1)) {
                break broken;
            }
            number += 1;
        };
        assert_eq!(refused, StreamFault::Invalid);
        assert_eq!(number, frames);
        assert_eq!(error(&flooded), io::ErrorKind::InvalidData);
    }

    #[test]
    fn a_missing_frame_breaks_the_stream_whatever_comes_next() {
        for next in [data(1, 1), StreamFrame::End(1), StreamFrame::Alive(1)] {
            let link = Link::default();
            assert_eq!(link.receive(next), Err(StreamFault::Gap));
            assert_eq!(error(&link), io::ErrorKind::ConnectionReset);
            assert!(matches!(link.poll_send(&context(), 1), Poll::Ready(Err(_))));
            // What comes later is of no use.
            assert_eq!(link.receive(data(0, 1)), Ok(()));
        }
        let whole = Link::default();
        whole.receive(data(0, 1)).unwrap();
        whole.receive(StreamFrame::Alive(1)).unwrap();
        // Data that was sent on another thread came first.
        whole.receive(StreamFrame::Alive(0)).unwrap();
        assert_eq!(read(&whole, 9).0, 1);
    }

    #[test]
    fn data_before_the_end_is_read_and_none_comes_after_it() {
        let link = Link::default();
        link.receive(data(0, 3)).unwrap();
        link.receive(StreamFrame::End(1)).unwrap();
        assert_eq!(read(&link, 2).0, 2);
        assert_eq!(read(&link, 2).0, 1);
        assert_eq!(read(&link, 2).0, 0);
        assert_eq!(link.receive(data(2, 1)), Err(StreamFault::Invalid));
    }

    #[test]
    fn data_that_came_whole_is_read_although_the_other_end_has_gone() {
        let link = Link::default();
        link.receive(data(0, 3)).unwrap();
        link.receive(StreamFrame::End(1)).unwrap();
        link.receive(StreamFrame::Reset).unwrap();
        assert_eq!(read(&link, 9).0, 3);
        assert_eq!(read(&link, 9).0, 0);
        assert!(matches!(link.poll_send(&context(), 1), Poll::Ready(Err(_))));
        let cut = Link::default();
        cut.receive(data(0, 3)).unwrap();
        cut.receive(StreamFrame::Reset).unwrap();
        assert_eq!(error(&cut), io::ErrorKind::ConnectionReset);
    }

    #[test]
    fn an_end_that_was_shut_is_not_reset_when_it_is_dropped() {
        let link = Link::default();
        assert_eq!(link.drop_frame(), Some(StreamFrame::Reset));
        assert_eq!(link.shut(), Some(StreamFrame::End(0)));
        assert_eq!(link.shut(), None);
        assert_eq!(link.drop_frame(), None);
        assert!(matches!(link.poll_send(&context(), 1), Poll::Ready(Err(_))));
    }

    #[test]
    fn a_silent_end_is_told_of_life_and_then_given_up() {
        let link = Link::default();
        let began = Instant::now();
        assert_eq!(link.tick(began), None);
        assert_eq!(
            link.tick(began + SILENCE + Duration::from_secs(1)),
            Some(StreamFrame::Alive(0))
        );
        assert_eq!(link.tick(began + GONE + Duration::from_secs(1)), Some(StreamFrame::Reset));
        assert_eq!(error(&link), io::ErrorKind::TimedOut);
        assert_eq!(link.tick(began + GONE * 2), None);
    }

    #[test]
    fn more_cannot_be_taken_than_was_sent() {
        let link = Link::default();
        assert!(link.poll_send(&context(), 10).is_ready());
        assert_eq!(link.receive(StreamFrame::Taken(10 + FRAME_COST)), Ok(()));
        assert_eq!(link.receive(StreamFrame::Taken(11 + FRAME_COST)), Err(StreamFault::Invalid));
    }
}
