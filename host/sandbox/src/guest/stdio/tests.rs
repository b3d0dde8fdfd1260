//! Tests of line splitting and of errors on the host's side.

use rustix::io::Errno;

use super::*;

#[derive(Default)]
struct Log(Mutex<Vec<String>>);

impl LineSink for Log {
    fn line(&self, line: &[u8]) {
        self.0.lock().unwrap().push(String::from_utf8(line.to_vec()).unwrap());
    }
}

impl Log {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

#[test]
fn lines_are_passed_on_as_written_and_the_last_at_the_end() {
    let log = Arc::new(Log::default());
    let mut output = GuestOutput::lines(log.clone());
    output.clone().write(Bytes::from("one\ntw")).unwrap();
    assert_eq!(log.take(), ["one"]);
    output.write(Bytes::from("o\nthree")).unwrap();
    assert_eq!(log.take(), ["two"]);
    output.finish_lines();
    output.finish_lines();
    assert_eq!(log.take(), ["three"]);
    assert_eq!(output.total(), 13);
    assert!(output.contents().is_empty());
}

#[test]
fn the_first_bytes_are_captured_beside_the_lines() {
    let log = Arc::new(Log::default());
    let mut output = GuestOutput::lines_and_captured(log.clone(), 6);
    output.write(Bytes::from("one\ntwo\nthree")).unwrap();
    output.finish_lines();
    assert_eq!(log.take(), ["one", "two", "three"]);
    assert_eq!(output.contents(), b"one\ntw");
}

#[test]
fn a_logged_output_always_has_room() {
    let mut output = GuestOutput::lines(Arc::new(Log::default()));
    for _ in 0..4 {
        let room = output.check_write().unwrap();
        assert_eq!(room, CAPACITY);
        output.write(Bytes::from(vec![b'x'; room])).unwrap();
    }
}

#[test]
fn finishing_lines_of_a_captured_output_does_nothing() {
    let output = GuestOutput::captured(8);
    output.finish_lines();
    assert!(output.contents().is_empty());
}

/// A host stream that yields its bytes and then fails on every use.
struct Failing(&'static [u8], Errno);

impl Read for Failing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(self.1.into()),
            read => Ok(read),
        }
    }
}

impl Write for Failing {
    fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
        Err(self.1.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Creates an output whose target has failed with `errno`.
fn failed_output(errno: Errno) -> (GuestOutput, OutputWriter) {
    let (mut output, writer) = GuestOutput::to_writer(Failing(b"", errno), false).unwrap();
    output.write(Bytes::from("lost")).unwrap();
    let mut queue = output.0.queue();
    while queue.failure.is_none() {
        queue = output.0.wait(queue);
    }
    drop(queue);
    (output, writer)
}

/// Returns the error that the guest sees.
#[track_caller]
fn guest_error<T: std::fmt::Debug>(result: StreamResult<T>) -> Option<Errno> {
    match result.unwrap_err() {
        StreamError::LastOperationFailed(error) => {
            Errno::from_io_error(error.downcast_ref::<io::Error>().unwrap())
        }
        other => panic!("not a failed operation: {other}"),
    }
}

#[tokio::test]
async fn a_failed_write_fails_every_later_write() {
    let (mut output, writer) = failed_output(Errno::NOSPC);
    for _ in 0..2 {
        assert_eq!(guest_error(output.check_write()), Some(Errno::NOSPC));
        assert_eq!(guest_error(output.write(Bytes::from("more"))), Some(Errno::NOSPC));
        assert_eq!(guest_error(output.flush()), Some(Errno::NOSPC));
        assert_eq!(guest_error(output.write_ready().await), Some(Errno::NOSPC));
        let lost = writer.drain(None).unwrap_err();
        assert_eq!(Errno::from_io_error(&lost), Some(Errno::NOSPC));
    }
}

#[test]
fn a_closed_pipe_is_closed_without_loss() {
    let (mut output, writer) = failed_output(Errno::PIPE);
    assert!(matches!(output.check_write(), Err(StreamError::Closed)));
    assert!(matches!(output.write(Bytes::from("more")), Err(StreamError::Closed)));
    assert!(writer.drain(None).unwrap());
}

#[test]
fn drain_waits_for_delivery() {
    struct Shared(Arc<Mutex<Vec<u8>>>);
    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let target = Arc::<Mutex<Vec<u8>>>::default();
    let (mut output, writer) = GuestOutput::to_writer(Shared(target.clone()), false).unwrap();
    output.write(Bytes::from("all of it")).unwrap();
    assert!(writer.drain(None).unwrap());
    assert_eq!(*target.lock().unwrap(), b"all of it");
}

#[test]
fn drain_gives_up_on_a_slow_reader() {
    let (_reader, target) = io::pipe().unwrap();
    let (mut output, writer) = GuestOutput::to_writer(target, false).unwrap();
    // More than a pipe buffers.
    output.write(Bytes::from(vec![0; CAPACITY])).unwrap();
    assert!(!writer.drain(Some(Duration::from_millis(1))).unwrap());
}

#[tokio::test]
async fn input_before_a_read_error_is_delivered_and_the_error_is_not_the_end() {
    let mut input = GuestInput::from_reader(Failing(b"half", Errno::IO), false).unwrap();
    assert_eq!(input.blocking_read(16).await.unwrap(), "half");
    for _ in 0..2 {
        input.ready().await;
        assert_eq!(guest_error(input.read(16)), Some(Errno::IO));
        assert_eq!(guest_error(input.blocking_read(16).await), Some(Errno::IO));
    }
}

#[tokio::test]
async fn the_end_of_input_closes_the_stream() {
    let mut input = GuestInput::from_reader(&b"all"[..], false).unwrap();
    assert_eq!(input.blocking_read(16).await.unwrap(), "all");
    assert!(matches!(input.blocking_read(16).await, Err(StreamError::Closed)));
}

#[test]
fn what_exceeds_a_budget_is_counted_and_hashed_and_dropped() {
    let budget = OutputBudget::new(10);
    let mut out = GuestOutput::captured(100).within(&budget).hashed();
    let mut err = GuestOutput::captured(100).within(&budget);
    out.write(Bytes::from("12345678")).unwrap();
    err.write(Bytes::from("abcd")).unwrap();
    out.write(Bytes::from("9")).unwrap();
    assert_eq!((out.contents(), err.contents()), (b"12345678".to_vec(), b"ab".to_vec()));
    assert_eq!((out.total(), out.kept(), err.total(), err.kept()), (9, 8, 4, 2));
    let whole = ComponentDigest::from_sha256(Sha256::digest("123456789").into());
    assert_eq!((out.digest(), err.digest()), (Some(whole), None));
}

#[test]
fn a_flood_past_its_budget_does_not_wait_for_its_reader() {
    struct NeverReads;
    impl Write for NeverReads {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            loop {
                std::thread::park();
            }
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (output, _writer) = GuestOutput::to_writer(NeverReads, false).unwrap();
    let mut output = output.within(&OutputBudget::new(1_000));
    for _ in 0..8 {
        let room = output.check_write().unwrap();
        assert!(room > 0);
        output.write(Bytes::from(vec![b'x'; room])).unwrap();
    }
    assert_eq!(output.kept(), 1_000);
    assert!(output.total() > CAPACITY as u64);
}
