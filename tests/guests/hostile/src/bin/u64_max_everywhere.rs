//! Passes `u64::MAX` to every host call that takes a number.

use wasip2::cli::{stdin::get_stdin, stdout::get_stdout};
use wasip2::clocks::monotonic_clock::{subscribe_duration, subscribe_instant};
use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::*;
use wasip2::io::streams::StreamError;

const MAX: u64 = u64::MAX;

fn main() {
    let (data, _) = get_directories().remove(0);
    let flags = DescriptorFlags::READ | DescriptorFlags::WRITE;
    let open = |name| {
        let file = data.open_at(PathFlags::empty(), name, OpenFlags::CREATE, flags);
        file.unwrap_or_else(|error| hostile::allowed(error))
    };
    let file = open("file");
    must_fail("write at the end of all", file.write(b"x", MAX));
    must_fail("set-size", file.set_size(MAX));
    must_fail("set-size of half", file.set_size(MAX / 2));
    may_be_empty("read", file.read(MAX, 0).map(|(bytes, _)| bytes.len()));
    may_be_empty("read there", file.read(MAX, MAX).map(|(bytes, _)| bytes.len()));
    let _ = file.advise(MAX, MAX, Advice::WillNeed);
    let at = Datetime { seconds: MAX, nanoseconds: u32::MAX };
    must_fail("times", file.set_times(NewTimestamp::Timestamp(at), NewTimestamp::Timestamp(at)));
    must_fail(
        "times by name",
        data.set_times_at(
            PathFlags::empty(),
            "file",
            NewTimestamp::Timestamp(at),
            NewTimestamp::Timestamp(at),
        ),
    );

    if let Ok(stream) = file.read_via_stream(MAX) {
        may_be_empty("stream", stream.blocking_read(MAX).map(|bytes| bytes.len()).or_else(closed));
        let _ = stream.blocking_skip(MAX);
        let _ = stream.skip(MAX);
    }
    if let Ok(stream) = file.write_via_stream(MAX) {
        let written = stream.blocking_write_and_flush(b"x");
        must_fail("stream at the end of all", written.map_err(drop));
    }
    if let Ok(stream) = open("other").append_via_stream() {
        // Not checked: exceeding the permit traps elsewhere, and nothing is written in any case.
        let _ = stream.splice(&get_stdin(), MAX);
        let _ = stream.blocking_splice(&get_stdin(), MAX);
    }
    let stdin = get_stdin();
    may_be_empty("stdin", stdin.read(MAX).map(|bytes| bytes.len()).or_else(closed));
    may_be_empty(
        "stdin, blocking",
        stdin.blocking_read(MAX).map(|bytes| bytes.len()).or_else(closed),
    );
    let _ = stdin.skip(MAX);
    let _ = get_stdout().check_write();

    if subscribe_duration(MAX).ready() || subscribe_instant(MAX).ready() {
        hostile::allowed("the end of time has come");
    }
    if let Ok(stat) = file.stat()
        && stat.size > 0
    {
        hostile::allowed(format_args!("a file of {} bytes", stat.size));
    }
    hostile::denied("all of it");
}

fn must_fail<E>(what: &str, result: Result<impl Sized, E>) {
    if result.is_ok() {
        hostile::allowed(what);
    }
}

fn may_be_empty<E>(what: &str, result: Result<usize, E>) {
    if result.is_ok_and(|length| length > 0) {
        hostile::allowed(what);
    }
}

fn closed(error: StreamError) -> Result<usize, StreamError> {
    match error {
        StreamError::Closed => Ok(0),
        other => Err(other),
    }
}
